// Package amplitude asks Amplitude's Evaluation API which variants a user gets.
//
// [Client] is a [pipeline.Evaluator]. One Evaluate is, in this order:
//
//  1. The user is converted to its canonical query (query.go), because the CDN in front of the API caches exact URLs. A
//     URL that is too long is that user's failure, and nothing is sent, unless [Config.Method] sends it by POST
//     (request.go). [Config.Nonce] is not a part of the canonical request.
//  2. The circuit (circuit.go) admits the attempt. It holds what all users share: that the very first request
//     goes alone, a pause that the API asked for, an outage, the error that ended the run. Then the limiter (limit.go)
//     lets it go, when the rate allows.
//  3. One request goes out (attempt.go): straight to the RoundTripper, so no redirect is followed, and net/http's
//     own second try on another connection is stopped before it writes. The limiter counts every request that is sent.
//     Over HTTP/1.1, with or without TLS, each wire has its own connection (direct.go), at two thirds of the CPU.
//     HTTP/2 and proxies are net/http's, over connections that join what is written (joined.go).
//  4. The answer is read within bounds of bytes and time and parsed strictly (answer.go). With [Config.Cache], what it
//     says of caches is kept (cache.go).
//  5. Any other result is passed to a pure function, decide (decide.go), which returns what to do: try again, pause for
//     all users, fail this user, or end the run. Client.sendUntilDecided does so and starts over at 2. Before a user is
//     given up, Client.askKnownUser asks about users who were answered before: if none of them is answered, it is an
//     outage, and no user fails.
//
// [Client.FlagConfigs] (configs.go) downloads the flag configurations, from whichever path the server has.
//
// Before the first user, [Client.Preflight] (notrack.go) finds out whether the server honours the no-track headers.
//
// Every request carries both no-track headers. The key is in one place, the shared header map; its type [Key] cannot be
// printed. No error of this package contains a URL's query or text from an answer.
package amplitude
