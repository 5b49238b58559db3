// Package amplitude asks Amplitude's Evaluation API which variants a user gets.
//
// [Client] is a [pipeline.Evaluator]. One Evaluate is, in this order:
//
//  1. The user becomes the one canonical query for it (query.go), because the CDN in front of the API caches exact
//     URLs. A URL that is too long is that user's failure, and nothing is sent.
//  2. The circuit (circuit.go) admits the attempt. It knows what all users share: that the very first request goes
//     alone, a pause that the API asked for, an outage, the error that ended everything. Then the limiter
//     (limit.go) lets it go, when the rate allows.
//  3. One request goes out (attempt.go): straight to the RoundTripper, so nothing follows redirects, and net/http's
//     own second try on another connection is stopped before it writes. What is sent is what the limiter counted.
//     A server without TLS is spoken to on a connection of the wire's own (direct.go), at half the CPU.
//  4. The answer is read within bounds of bytes and time and parsed strictly (answer.go).
//  5. Any other result is judged by a pure function, decide (decide.go): done, again, a pause for all, this user's
//     failure, or the end of the run. Client.sendUntilDecided obeys it and starts over at 2. Before a user is written off, Client.askKnownUser
//     asks about users who were answered before: if none of them is, it is an outage, and nobody's failure.
//
// Before the first user, [Client.Preflight] (notrack.go) finds out whether the server heeds the no-track headers.
//
// Every request of every kind carries both no-track headers. The key is in one place, the shared header map; its
// type [Key] cannot be printed, and no error of this package holds a URL's query or text that came with an answer.
package amplitude
