// Package evalserver is Amplitude's Evaluation API on this machine, answered by the engine: for `rollcall serve`,
// for `--server embedded`, for the demo, and for tests that want real HTTP and no account.
//
//	server := evalserver.New(engine, evalserver.Config{})
//	running, err := evalserver.Start("127.0.0.1:0", server)
//	…
//	defer running.Close() // running.URL() is the base that /v1/vardata is added to
//
// [Server] is an http.Handler: it also works without a socket, and under testing/synctest.
//
// It answers
//
//   - GET and POST /v1/vardata: the variants of one user. The user is in the query (user_id, device_id, context),
//     or the body of a POST is the user; ids in the query win. The flags are flag_keys or flag_key, a comma list;
//     a parameter of any other name is ignored, so a misspelt one asks for all flags, as it does at Amplitude.
//   - GET /v1/flags and /sdk/v2/flags: the configurations, as an array; with flag_keys those and what they
//     depend on.
//   - GET /status, with [Config.Proxy] alone.
//
// 401 without the right key, 400 without an id or with a context that is no JSON object, 404 and 405 for the rest.
//
// Of what the engine says, /v1/vardata drops the variants whose metadata is default: true, the flags with
// deployed: false, and those of the types mutual-exclusion-group, holdout-group and release-group, as Amplitude's
// evaluation does (its proxy's evaluateV1, its Kotlin engine's FlagConfig.kt, and its documentation: the result of
// a group "isn't returned"). Answers are the same bytes for the same user, sorted by flag.
//
// What can go wrong between a client and the API is to be had on request: [Config.Latency], [Config.Limit],
// [Config.Faults] at random, [Config.Script] at will. And it sees what Amplitude would do with a request that
// does not say no-track twice: it is counted, and recorded as tracked.
package evalserver
