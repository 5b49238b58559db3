// Package evalserver serves Amplitude's Evaluation API on this machine, with answers from the engine: for
// `rollcall serve`, for `--server embedded`, for the demo, and for tests that need real HTTP but no account.
//
//	server := evalserver.New(engine, evalserver.Config{})
//	running, err := evalserver.Start("127.0.0.1:0", server)
//	…
//	defer running.Close() // running.URL() is the base URL, without /v1/vardata
//
// [Server] is an http.Handler: it also works without a socket, and under testing/synctest.
//
// It serves
//
//   - GET and POST /v1/vardata: the variants of one user. The user is in the query (user_id, device_id, context),
//     or is the body of a POST; ids in the query take precedence. The flags are flag_keys or flag_key, a
//     comma-separated list. Parameters of any other name are ignored, so a misspelt one asks for all flags, as with
//     Amplitude.
//   - GET and POST /sdk/v2/vardata, what Amplitude's clients ask: the user of a GET is JSON in base64 in the header
//     X-Amp-Exp-User. /sdk/vardata is what older clients ask; its answer is that of /v1/vardata. For all three, a JSON
//     array in base64 in the header X-Amp-Exp-Flag-Keys has precedence over the flags in the query.
//   - GET /v1/flags and /sdk/v2/flags: the configurations as an array; with flag_keys, only those and the flags that
//     they depend on. /sdk/v2/flags leaves out flags of remote evaluation mode, unless eval_mode=remote asks for them.
//   - GET /sdk/v1/cohort/{id}, from [Config.Cohort]: the members of a cohort, written as they are read; 204 for the
//     lastModified that it has, 413 for more members than maxCohortSize. It takes the project's keys (Basic), not the
//     deployment key, and pages in a browser cannot read it. With [Config.AddCohorts] the server itself knows who is in
//     which cohort.
//   - GET /status, only with [Config.Proxy].
//   - OPTIONS for the paths of variants and flags, so that pages in a browser can ask from any origin.
//
// It answers 401 without the right key, 400 without an id or with a context that is not a JSON object, and 404 or 405
// for other requests. There is no /sdk/stream/v1/flags: clients that get a 404 there poll instead.
//
// /v1/vardata leaves out variants whose metadata is default: true, flags with deployed: false, and flags of the types
// mutual-exclusion-group, holdout-group and release-group. Amplitude's evaluation does the same (evaluateV1 of its
// proxy, FlagConfig.kt of its Kotlin engine, and its documentation: the result of a group "isn't returned").
// /sdk/v2/vardata leaves out nothing: clients tell by the metadata. It has no expKey, and the value as configured.
// The answer for a user is always the same bytes, sorted by flag.
//
// [Server.SetEngine] replaces the engine while the server runs, as when flags are edited.
//
// It can simulate what goes wrong between a client and the API: [Config.Latency], [Config.Limit],
// [Config.Faults] at random, and [Config.Script] for chosen requests. It also counts, and records as tracked, each
// request that Amplitude would track because it does not have both no-track headers.
package evalserver
