package amplitude

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	backoffBase   = 200 * time.Millisecond
	backoffCap    = 10 * time.Second
	maxRetryAfter = 5 * time.Minute // a longer Retry-After is cut to this; the API is asked again then
	maxBad        = 3               // tries after the first unusable answer
	maxRefused    = 2               // tries after the first 401, or 403 before any user was answered
	maxDenied     = 1               // tries after the first status that would end the run if no user had been answered
)

// result is the result of one attempt. The zero result is an answer that was used, but for its status.
type result struct {
	status     int    // 0: no answer came
	retryAfter string // the header
	date       string // the header: the server's clock, which Retry-After's date follows
	location   string // the header
	class      string // why no answer came
	bad        string // why a 200 could not be used
	broken     bool   // its body was not read to the end
	fatal      error  // set where no answer came and trying again does not help
}

// describe returns the status, or why there was no answer.
func (r result) describe() string {
	if r.status == 0 {
		return cmp.Or(classWords[r.class], r.class)
	}
	return "status " + strconv.Itoa(r.status)
}

// apiState is what asking about a known user, one who was answered before, shows about the API.
type apiState uint8

const (
	apiUnasked apiState = iota
	apiThere            // the first known user was answered
	apiBack             // a later one was answered: the API may have been away a moment ago
	apiAway             // no known user was answered
)

// state is what decide knows besides the result of an attempt.
type state struct {
	path    string
	post    bool // it is a POST
	max     int  // attempts for one user
	spent   int  // attempts that count against max, this one included
	bad     int  // unusable answers, this one included
	refused int  // refusals of the key, this one included
	denied  int  // statuses that would end the run if no user had been answered, this one included
	known   bool // a user was answered with this key, and can be asked about again
	probe   bool // this attempt is about a known user, to find out whether the API is up

	outage bool     // an outage is on, according to the circuit
	api    apiState // what asking about a known user right after this attempt showed
}

// countResult records the result of another attempt.
func (s *state) countResult(r result) {
	s.outage, s.api = false, apiUnasked
	switch {
	case r.status == http.StatusTooManyRequests: // not the user's fault
		return
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden && !s.known:
		s.refused++
		return
	case r.bad != "":
		s.bad++
	case isDenial(r.status):
		s.denied++
	}
	s.spent++
}

// forgetAttempts resets the counts: an outage is to blame for the failures.
func (s *state) forgetAttempts() { s.spent, s.bad, s.refused, s.denied = 0, 0, 0, 0 }

// nextIsLast reports whether the next attempt may be this user's last.
func (s *state) nextIsLast() bool {
	return s.spent >= s.max-1 || s.bad >= maxBad || s.denied >= maxDenied
}

// isDenial reports whether a status ends the run if no user was answered before, because then the key or the server is
// wrong. Later it comes from a firewall that blocks one user, or all users get it.
func isDenial(status int) bool {
	switch status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented,
		http.StatusProxyAuthRequired,
		http.StatusGone, http.StatusUpgradeRequired, http.StatusHTTPVersionNotSupported:
		return true
	}
	return false
}

// action is what to do after an attempt.
type action uint8

const (
	actionDone    action = iota
	actionAgain          // the same user, after wait
	actionPause          // all users wait (0: the API did not say how long); then the same user
	actionRefuse         // the key was refused: the same user, and no other meanwhile
	actionAsk            // ask about a known user now; then decide again
	actionRestart        // the same user, whose attempts start over: an outage is to blame for them
	actionOutage         // no user gets through: all wait until the API is back, and attempts start over
	actionFail           // this user failed, with decision.user
	actionFatal          // the run ends, with decision.err
)

type decision struct {
	action action
	wait   time.Duration
	user   *pipeline.UserError
	err    error
}

// decide says what to do after an attempt. It is pure: now dates a Retry-After, and jitter, in [0, 1), is the
// randomness of the backoff.
//
// A user is given up only if a known user was answered right before the last attempt (Client.sendUntilDecided), and is
// answered again right after it. Nothing else tells one user's failure from an outage: that others were answered a
// moment ago does not prove that they would be now, and the last user of an input has no others.
func decide(s state, r result, now time.Time, jitter float64) decision {
	_, machine := errors.AsType[*MachineError](r.fatal) // not an outage of the server, even if users were answered before
	switch {
	case r.fatal != nil && (!s.known || machine):
		return decision{action: actionFatal, err: r.fatal}
	case r.status == http.StatusOK && r.bad == "":
		return decision{action: actionDone}
	case r.status >= 300 && r.status < 400:
		return decision{action: actionFatal, err: pipeline.WithHint(&RedirectError{r.status, r.location},
			"give --server the URL that it redirects to, if you trust it")}
	case s.refused > maxRefused:
		return decision{action: actionFatal} // the circuit has the error
	case s.outage:
		return decision{action: actionRestart}
	case r.status == 0: // including a host that is no longer found
		return retryOrGiveUp(s, r, now, jitter)
	case r.status < 300: // 200 with a body that cannot be used; also a 204 and the like: the API has no such answer
		if s.bad > maxBad || s.spent >= s.max {
			return giveUp(s, r, pipeline.KindBadAnswer, "the API's answer could not be used: "+r.bad)
		}
		return decision{action: actionAgain, wait: backoffWait(s.bad, jitter)}
	case r.status == http.StatusTooManyRequests:
		wait, _ := parseRetryAfter(r, now)
		return decision{action: actionPause, wait: wait}
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden && !s.known:
		return decision{action: actionRefuse}
	case isDenial(r.status) && !s.known:
		hint := "is --server the base URL of the Evaluation API?"
		if s.post {
			hint += " It may not take a POST: leave --method out"
		}
		return decision{action: actionFatal, err: pipeline.WithHint(&ServerError{r.status, s.path}, hint)}
	case isDenial(r.status):
		if s.denied > maxDenied || s.spent >= s.max {
			return giveUp(s, r, pipeline.KindRejected, rejectedMessage(r)+", but answered for other users")
		}
		return decision{action: actionAgain, wait: backoffWait(s.spent, jitter)}
	case r.status >= 500, // 500 502 503 504, a CDN's 520 to 530, and any future ones
		r.status == http.StatusRequestTimeout, r.status == http.StatusTooEarly,
		r.status == http.StatusMisdirectedRequest: // a matter of the connection, RFC 9110, 15.5.20
		return retryOrGiveUp(s, r, now, jitter)
	}
	return failUser(pipeline.KindRejected, r, rejectedMessage(r))
}

// retryOrGiveUp decides about failures that may pass.
func retryOrGiveUp(s state, r result, now time.Time, jitter float64) decision {
	if s.spent >= s.max {
		return giveUp(s, r, pipeline.KindUnavailable, unavailableMessage(r))
	}
	wait := backoffWait(s.spent, jitter)
	if after, ok := parseRetryAfter(r, now); ok {
		wait = max(wait, after)
	}
	return decision{action: actionAgain, wait: wait}
}

// giveUp decides about a user whose attempts are used up. Asking about a known user shows whether it is this user's
// failure or an outage.
func giveUp(s state, r result, kind pipeline.Kind, message string) decision {
	switch {
	case s.probe:
		return decision{action: actionOutage}
	case !s.known && kind == pipeline.KindBadAnswer:
		return failUser(kind, r, message) // something answers, and may never answer otherwise
	case !s.known:
		return decision{action: actionOutage} // no user ever got through
	case s.api == apiUnasked:
		return decision{action: actionAsk}
	case s.api == apiAway:
		return decision{action: actionRestart}
	case s.api == apiBack:
		return decision{action: actionAgain}
	}
	return failUser(kind, r, message)
}

func rejectedMessage(r result) string {
	return "the API refused the request with status " + strconv.Itoa(r.status)
}

func unavailableMessage(r result) string {
	return "no attempt for this user was answered, while those for other users were; last: " + r.describe()
}

func failUser(kind pipeline.Kind, r result, message string) decision {
	return decision{action: actionFail, user: &pipeline.UserError{Kind: kind, HTTPStatus: r.status, Message: message}}
}

// backoffWait is exponential with full jitter: anything from 0 to the cap of this attempt, so that requests
// that failed together are not sent again together.
func backoffWait(attempt int, jitter float64) time.Duration {
	limit := backoffCap
	if attempt < 8 { // beyond, the shift is over the cap anyway
		limit = min(limit, backoffBase<<max(attempt-1, 0))
	}
	return time.Duration(jitter * float64(limit))
}

// parseRetryAfter reads a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3). It is never negative and
// never above maxRetryAfter; ok is false if there is no valid header.
func parseRetryAfter(r result, now time.Time) (wait time.Duration, ok bool) {
	text := strings.TrimSpace(r.retryAfter)
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil { // a few servers send fractions
		if !(seconds > 0) { // or NaN
			return 0, seconds == 0
		}
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second)), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(r.date); err == nil {
		now = date // both by the server's clock, since ours may be wrong
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}
