package amplitude

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const half = 0.5 // jitter
	first := state{path: "/v1/vardata", spent: 1, max: 5}
	last := state{spent: 5, max: 5}
	// One more thing is known than in s.
	known := func(s state) state { s.known = true; return s }
	asked := func(s state, v apiState) state { s.known, s.api = true, v; return s }
	denied := func(n int) state { return state{path: "/v1/vardata", spent: n, denied: n, max: 5, known: true} }
	lastBad := state{spent: 4, bad: 4, max: 5}
	probe := state{spent: 1, bad: maxBad + 1, denied: maxDenied + 1, known: true, probe: true}
	out := func(s state) state { s.outage = true; return s }
	type want struct {
		action action
		wait   time.Duration
		kind   pipeline.Kind
		err    error // of this type
	}
	type row struct {
		name string
		s    state
		r    result
		want want
	}
	const ms = time.Millisecond
	dns := result{class: "dns", fatal: &ConnectError{Class: "dns"}}
	files := result{class: "other", fatal: machineError(syscall.EMFILE)}
	rows := []row{
		{"answer", first, result{status: 200}, want{action: actionDone}},
		{"answer in an outage", out(known(first)), result{status: 200}, want{action: actionDone}},
		{"429 without Retry-After", first, result{status: 429}, want{action: actionPause}},
		{"429 seconds", first, result{status: 429, retryAfter: "7"}, want{action: actionPause, wait: 7 * time.Second}},
		{"429 date", first, result{status: 429, retryAfter: "Fri, 02 Jan 2026 03:04:35 GMT"},
			want{action: actionPause, wait: 30 * time.Second}},
		{"429 never uses up attempts", last, result{status: 429, retryAfter: "7"},
			want{action: actionPause, wait: 7 * time.Second}},
		{"429 in an outage", out(known(last)), result{status: 429, retryAfter: "7"}, want{action: actionRestart}},
		{"429 to the probe", probe, result{status: 429}, want{action: actionPause}},

		{"401 first", state{refused: 1}, result{status: 401}, want{action: actionRefuse}},
		{"401 third", state{refused: 3}, result{status: 401}, want{action: actionFatal}},
		{"401 first, others were answered", state{refused: 1, known: true}, result{status: 401}, want{action: actionRefuse}},
		{"401 third, others were answered", state{refused: 3, known: true}, result{status: 401}, want{action: actionFatal}},
		{"401 third, in an outage", state{refused: 3, known: true, outage: true}, result{status: 401},
			want{action: actionFatal}},
		{"401 to the probe", probe, result{status: 401}, want{action: actionRefuse}},
		{"403 first, nobody was answered", state{refused: 1}, result{status: 403}, want{action: actionRefuse}},
		{"403 third, nobody was answered", state{refused: 3}, result{status: 403}, want{action: actionFatal}},
		{"403 first, others were answered", denied(1), result{status: 403}, want{action: actionAgain, wait: 100 * ms}},
		{"403 second, others were answered", denied(2), result{status: 403}, want{action: actionAsk}},
		{"403 second, a known user is answered", asked(denied(2), apiThere), result{status: 403},
			want{action: actionFail, kind: pipeline.KindRejected}},
		{"403 second, the second known user is answered", asked(denied(2), apiBack), result{status: 403},
			want{action: actionAgain}},
		{"403 second, known users get it too", asked(denied(2), apiAway), result{status: 403}, want{action: actionRestart}},
		{"403 to the probe", probe, result{status: 403}, want{action: actionOutage}},
		{"403 in an outage", out(denied(2)), result{status: 403}, want{action: actionRestart}},
		{"403, one attempt only", state{spent: 1, denied: 1, max: 1, known: true}, result{status: 403},
			want{action: actionAsk}},

		{"dns", first, dns, want{action: actionFatal, err: &ConnectError{}}},
		{"dns, others were answered", known(first), dns, want{action: actionAgain, wait: 100 * ms}},
		{"dns, last", known(last), dns, want{action: actionAsk}},
		{"dns, last, known users get through", asked(last, apiThere), dns,
			want{action: actionFail, kind: pipeline.KindUnavailable}},
		{"too many open files, others were answered", known(first), files, want{action: actionFatal, err: &MachineError{}}},
		{"too many open files, in an outage", out(known(first)), files, want{action: actionFatal, err: &MachineError{}}},
		{"dns to the probe", probe, dns, want{action: actionOutage}},
		{"refused", first, result{class: "refused"}, want{action: actionAgain, wait: 100 * ms}},
		{"refused in an outage", out(first), result{class: "refused"}, want{action: actionRestart}},
		{"timeout, last, nobody was answered", last, result{class: "timeout"}, want{action: actionOutage}},
		{"timeout, last", known(last), result{class: "timeout"}, want{action: actionAsk}},
		{"timeout, last, a known user is answered", asked(last, apiThere), result{class: "timeout"},
			want{action: actionFail, kind: pipeline.KindUnavailable}},
		{"timeout, last, the second known user is answered", asked(last, apiBack), result{class: "timeout"},
			want{action: actionAgain}},
		{"timeout, last, no known user is answered", asked(last, apiAway), result{class: "timeout"},
			want{action: actionRestart}},
		{"timeout of the probe", probe, result{class: "timeout"}, want{action: actionOutage}},
		{"503, last, nobody was answered", last, result{status: 503}, want{action: actionOutage}},
		{"503, last", known(last), result{status: 503}, want{action: actionAsk}},
		{"503, last, a known user is answered", asked(last, apiThere), result{status: 503},
			want{action: actionFail, kind: pipeline.KindUnavailable}},
		{"503 in an outage", out(known(first)), result{status: 503}, want{action: actionRestart}},
		{"503 with Retry-After", first, result{status: 503, retryAfter: "4"},
			want{action: actionAgain, wait: 4 * time.Second}},
		{"503 with a shorter Retry-After", state{spent: 4, max: 5}, result{status: 503, retryAfter: "0"},
			want{action: actionAgain, wait: 800 * ms}},
		{"one attempt only", state{spent: 1, max: 1, known: true}, result{status: 500}, want{action: actionAsk}},

		{"bad, first", state{spent: 1, bad: 1, max: 5}, result{status: 200, bad: "empty"},
			want{action: actionAgain, wait: 100 * ms}},
		{"bad, third retry", state{spent: 3, bad: 3, max: 5}, result{status: 200, bad: "empty"},
			want{action: actionAgain, wait: 400 * ms}},
		{"bad, after three retries, nobody was answered", lastBad, result{status: 200, bad: "empty"},
			want{action: actionFail, kind: pipeline.KindBadAnswer}},
		{"bad, after three retries", known(lastBad), result{status: 200, bad: "empty"}, want{action: actionAsk}},
		{"bad, after three retries, a known user is answered", asked(lastBad, apiThere), result{status: 200, bad: "empty"},
			want{action: actionFail, kind: pipeline.KindBadAnswer}},
		{"bad, after three retries, in an outage", out(lastBad), result{status: 200, bad: "empty"},
			want{action: actionRestart}},
		{"bad, no attempts left", state{spent: 2, bad: 1, max: 2, known: true}, result{status: 200, bad: "empty"},
			want{action: actionAsk}},
		{"bad to the probe", probe, result{status: 200, bad: "empty"}, want{action: actionOutage}},
		{"204", known(lastBad), result{status: 204, bad: "status 204"}, want{action: actionAsk}},
	}
	for _, status := range []int{408, 421, 425, 500, 502, 503, 504, 506, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529,
		530, 599} {
		rows = append(rows, row{fmt.Sprint(status), first, result{status: status}, want{action: actionAgain, wait: 100 * ms}},
			row{fmt.Sprint(status, " to the probe"), probe, result{status: status}, want{action: actionOutage}})
	}
	for _, status := range []int{400, 413, 414, 431, 402, 409, 418, 422, 451} {
		rows = append(rows, row{fmt.Sprint(status), first, result{status: status},
			want{action: actionFail, kind: pipeline.KindRejected}},
			row{fmt.Sprint(status, " to the probe"), probe, result{status: status},
				want{action: actionFail, kind: pipeline.KindRejected}})
	}
	for _, status := range []int{404, 405, 501, 407, 410, 426, 505} {
		r := result{status: status}
		rows = append(rows, row{fmt.Sprint(status), first, r, want{action: actionFatal, err: &ServerError{}}},
			row{fmt.Sprint(status, " first, others were answered"), denied(1), r, want{action: actionAgain, wait: 100 * ms}},
			row{fmt.Sprint(status, " second, others were answered"), denied(2), r, want{action: actionAsk}},
			row{fmt.Sprint(status, " second, known users get it too"), asked(denied(2), apiAway), r,
				want{action: actionRestart}},
			row{fmt.Sprint(status, " to the probe"), probe, r, want{action: actionOutage}})
	}
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		for name, s := range map[string]state{"": first, " in an outage": out(known(first)), " to the probe": probe} {
			rows = append(rows, row{fmt.Sprint(status, name), s, result{status: status, location: "https://x"},
				want{action: actionFatal, err: &RedirectError{}}})
		}
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			d := decide(tt.s, tt.r, now, half)
			if d.action != tt.want.action || d.wait != tt.want.wait {
				t.Errorf("decide(%+v, %+v): action %d wait %v, want %d %v", tt.s, tt.r, d.action, d.wait, tt.want.action,
					tt.want.wait)
			}
			var kind pipeline.Kind
			if d.user != nil {
				kind = d.user.Kind
				if d.user.HTTPStatus != tt.r.status {
					t.Errorf("decide(%+v, %+v): HTTPStatus %d", tt.s, tt.r, d.user.HTTPStatus)
				}
			}
			if kind != tt.want.kind {
				t.Errorf("decide(%+v, %+v): kind %q, want %q", tt.s, tt.r, kind, tt.want.kind)
			}
			ok := true
			switch tt.want.err.(type) {
			case *ServerError:
				_, ok = errors.AsType[*ServerError](d.err)
			case *RedirectError:
				_, ok = errors.AsType[*RedirectError](d.err)
			case *ConnectError:
				_, ok = errors.AsType[*ConnectError](d.err)
			}
			if !ok {
				t.Errorf("decide(%+v, %+v): error %T, want %T", tt.s, tt.r, d.err, tt.want.err)
			}
		})
	}
}

// TestDecideIsTotal: whatever the state, no result leaves the loop without something to do, and nobody is written off
// without a verdict of a known user.
func TestDecideIsTotal(t *testing.T) {
	results := []result{{class: "timeout"}, {class: "dns", fatal: &ConnectError{Class: "dns"}},
		{status: 200, bad: "empty"}}
	for status := 200; status < 600; status++ {
		r := result{status: status}
		if status > 200 && status < 300 {
			r.bad = "status"
		}
		results = append(results, r)
	}
	for _, r := range results {
		for bits := range 1 << 9 {
			on := func(n int) bool { return bits>>n&1 == 1 }
			s := state{max: 5, known: on(0), outage: on(1), probe: on(0) && on(2), api: apiState(bits >> 3 & 3)}
			for n, count := range map[int]*int{5: &s.spent, 6: &s.bad, 7: &s.refused, 8: &s.denied} {
				if on(n) {
					*count = 5
				}
			}
			if !s.known {
				s.api = apiUnasked
			}
			d := decide(s, r, time.Time{}, 0)
			refusal := r.status >= 400 && r.status < 500 && !isDenial(r.status) && r.status != 401
			switch d.action {
			case actionFail:
				alone := refusal || !s.known && r.bad != "" || s.api == apiThere
				if d.user == nil || !alone {
					t.Fatalf("decide(%+v, %+v): the user fails with %v, and no known user was answered", s, r, d.user)
				}
			case actionFatal:
				if d.err == nil && s.refused <= maxRefused {
					t.Fatalf("decide(%+v, %+v): the run ends without an error", s, r)
				}
			case actionAsk:
				if s.api != apiUnasked || !s.known || s.probe {
					t.Fatalf("decide(%+v, %+v): asks a known user again", s, r)
				}
			case actionDone, actionAgain, actionPause, actionRefuse, actionRestart, actionOutage:
			default:
				t.Fatalf("decide(%+v, %+v) = %+v", s, r, d)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format("Mon, 02 Jan 2006 15:04:05 GMT") }
	for _, tt := range []struct {
		header, date string
		wait         time.Duration
		ok           bool
	}{
		{"", "", 0, false},
		{"  ", "", 0, false},
		{"0", "", 0, true},
		{"1", "", time.Second, true},
		{" 12 ", "", 12 * time.Second, true},
		{"0.5", "", 500 * time.Millisecond, true},
		{"-1", "", 0, false},
		{"-99999999999999999999", "", 0, false},
		{"300", "", 5 * time.Minute, true},
		{"301", "", 5 * time.Minute, true},
		{"9223372036854775807", "", 5 * time.Minute, true},
		{"99999999999999999999999999", "", 5 * time.Minute, true},
		{"1e300", "", 5 * time.Minute, true},
		{"Inf", "", 5 * time.Minute, true},
		{"NaN", "", 0, false},
		{"soon", "", 0, false},
		{"1s", "", 0, false},
		{date(90 * time.Second), "", 90 * time.Second, true},
		{date(-time.Hour), "", 0, true},
		{date(24 * time.Hour), "", 5 * time.Minute, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", 5 * time.Minute, true},
		{date(time.Hour + 10*time.Second), date(time.Hour), 10 * time.Second, true}, // our clock is an hour slow
		{date(10 * time.Second), "garbage", 10 * time.Second, true},
		{"Fri, 99 Foo 2026 03:04:05 GMT", "", 0, false},
	} {
		t.Run(tt.header+" at "+tt.date, func(t *testing.T) {
			wait, ok := parseRetryAfter(result{retryAfter: tt.header, date: tt.date}, now)
			if wait != tt.wait || ok != tt.ok {
				t.Errorf("Retry-After %q, Date %q: %v %v, want %v %v", tt.header, tt.date, wait, ok, tt.wait, tt.ok)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	for attempt, limit := range map[int]time.Duration{
		0: 200 * time.Millisecond, 1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 3: 800 * time.Millisecond,
		6: 6400 * time.Millisecond, 7: 10 * time.Second, 8: 10 * time.Second, 1000: 10 * time.Second,
	} {
		t.Run(fmt.Sprint(attempt), func(t *testing.T) {
			for _, jitter := range []float64{0, 0.25, 0.999} {
				if got, want := backoffWait(attempt, jitter), time.Duration(jitter*float64(limit)); got != want {
					t.Errorf("backoff(%d, %v) = %v, want %v", attempt, jitter, got, want)
				}
			}
		})
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.addDuration(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.9: 900 * time.Millisecond,
		0.99: 990 * time.Millisecond} {
		t.Run(fmt.Sprint(q), func(t *testing.T) {
			if got := h.quantile(q); got < want || float64(got) > 1.07*float64(want) {
				t.Errorf("quantile(%v) = %v, want %v and at most 7 %% more", q, got, want)
			}
		})
	}
	for _, d := range []time.Duration{-1, 0, 1, time.Microsecond, 15 * time.Microsecond, 16 * time.Microsecond, 1 << 40,
		1<<63 - 1} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			b := bucketOf(d)
			if b < 0 || b >= len(h.counts) || bucketEnd(b) < d && bucketEnd(b) > 0 {
				t.Errorf("bucket(%v) = %d, which ends at %v", d, b, bucketEnd(b))
			}
		})
	}
}
