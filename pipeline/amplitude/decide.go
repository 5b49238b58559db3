package amplitude

import (
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
	maxRefused    = 2               // tries after the first 401 or 403
)

// result is what came of one attempt. The zero result is an answer that was used, but for its status.
type result struct {
	status     int    // 0: no answer came
	retryAfter string // the header
	date       string // the header: Retry-After's date is by the server's clock
	location   string // the header
	class      string // why no answer came
	bad        string // why a 200 could not be used
	broken     bool   // its body was not read to the end
	fatal      error  // set where no answer came and trying again does not help
}

// last is what was seen: a status, or why there was none.
func (r result) last() string {
	if r.status == 0 {
		return r.class
	}
	return "status " + strconv.Itoa(r.status)
}

// state is what decide knows of the attempts for one user.
type state struct {
	path    string
	spent   int // attempts that count against max, this one included
	max     int // attempts for one user
	bad     int // unusable answers, this one included
	refused int // 401 and 403, this one included
}

// action is what to do after an attempt.
type action uint8

const (
	done   action = iota
	again         // the same user, after wait
	pause         // everybody, until wait is over (0: the API did not say); then the same user
	refuse        // the key was refused: the same user, but nobody else meanwhile
	spent         // the attempts ran out: this user, with user, if the API is there; else an outage
	outage        // nobody gets through: everybody, when the API is back
	fail          // this user, with user
	fatal         // the run, with err
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
// The kinds of answers are those of the fault table; the comments say what it leaves open.
func decide(s state, r result, now time.Time, jitter float64) decision {
	switch {
	case r.fatal != nil:
		return decision{action: fatal, err: r.fatal}
	case r.status == 0:
		return retry(s, r, now, jitter)
	case r.status == http.StatusOK && r.bad == "":
		return decision{action: done}
	case r.status < 300: // also a 204 and the like: the API has no such answer
		if s.bad > maxBad || s.spent >= s.max {
			d := failure(pipeline.KindBadAnswer, r, "the API's answer could not be used: "+r.bad)
			d.action = spent // a page that says the API is down comes with 200, too
			return d
		}
		return decision{action: again, wait: backoff(s.bad, jitter)}
	case r.status < 400:
		return decision{action: fatal, err: pipeline.WithHint(&RedirectError{r.status, r.location}, "give --server the URL that it redirects to, if you trust it")}
	}
	switch r.status {
	case http.StatusTooManyRequests:
		wait, _ := retryAfter(r, now)
		return decision{action: pause, wait: wait}
	case http.StatusUnauthorized, http.StatusForbidden:
		if s.refused > maxRefused {
			return decision{action: fatal} // the circuit has the error
		}
		return decision{action: refuse}
	case http.StatusRequestTimeout, http.StatusTooEarly,
		http.StatusMisdirectedRequest: // a matter of the connection, RFC 9110, 15.5.20
		return retry(s, r, now, jitter)
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented,
		http.StatusProxyAuthRequired, http.StatusGone, http.StatusUpgradeRequired, http.StatusHTTPVersionNotSupported:
		return decision{action: fatal, err: pipeline.WithHint(&ServerError{r.status, s.path}, "is --server the base URL of the Evaluation API?")}
	}
	if r.status >= 500 { // 500 502 503 504, a CDN's 520 to 530, and what comes up tomorrow
		return retry(s, r, now, jitter)
	}
	return failure(pipeline.KindRejected, r, "the API refused the request with status "+strconv.Itoa(r.status))
}

// retry is for failures that pass. Whether attempts that ran out are this user's failure or everybody's, Client.alive
// finds out.
func retry(s state, r result, now time.Time, jitter float64) decision {
	if s.spent < s.max {
		wait := backoff(s.spent, jitter)
		if after, ok := retryAfter(r, now); ok {
			wait = max(wait, after)
		}
		return decision{action: again, wait: wait}
	}
	d := failure(pipeline.KindUnavailable, r, "no attempt got an answer, while those of others did; last: "+r.last())
	d.action = spent
	return d
}

func failure(kind pipeline.Kind, r result, message string) decision {
	return decision{action: fail, user: &pipeline.UserError{Kind: kind, HTTPStatus: r.status, Message: message}}
}

// backoff is exponential with full jitter: anything from 0 to the cap of this attempt, so that those who failed
// together do not come back together.
func backoff(attempt int, jitter float64) time.Duration {
	limit := backoffCap
	if attempt < 8 { // beyond, the shift is over the cap anyway
		limit = min(limit, backoffBase<<max(attempt-1, 0))
	}
	return time.Duration(jitter * float64(limit))
}

// retryAfter reads a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3). It is never negative and
// never above maxRetryAfter; ok is false where the header says nothing.
func retryAfter(r result, now time.Time) (wait time.Duration, ok bool) {
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
		now = date // both by the server's clock, so that ours may be wrong
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}
