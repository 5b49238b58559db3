package amplitude

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const half = 0.5 // jitter
	first := state{path: "/v1/vardata", spent: 1, max: 5}
	last := state{spent: 5, max: 5}
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
	rows := []row{
		{"answer", first, result{status: 200}, want{action: done}},
		{"429 without Retry-After", first, result{status: 429}, want{action: pause}},
		{"429 seconds", first, result{status: 429, retryAfter: "7"}, want{action: pause, wait: 7 * time.Second}},
		{"429 date", first, result{status: 429, retryAfter: "Fri, 02 Jan 2026 03:04:35 GMT"}, want{action: pause, wait: 30 * time.Second}},
		{"429 never uses up attempts", last, result{status: 429, retryAfter: "7"}, want{action: pause, wait: 7 * time.Second}},
		{"401 first", state{refused: 1}, result{status: 401}, want{action: refuse}},
		{"403 third", state{refused: 3}, result{status: 403}, want{action: fatal}},
		{"dns", first, result{class: "dns", fatal: &ConnectError{Class: "dns"}}, want{action: fatal, err: &ConnectError{}}},
		{"refused", first, result{class: "refused"}, want{action: again, wait: 100 * time.Millisecond}},
		{"timeout, last", last, result{class: "timeout"}, want{action: spent, kind: pipeline.KindUnavailable}},
		{"503, last", last, result{status: 503}, want{action: spent, kind: pipeline.KindUnavailable}},
		{"503 with Retry-After", first, result{status: 503, retryAfter: "4"}, want{action: again, wait: 4 * time.Second}},
		{"503 with a shorter Retry-After", state{spent: 4, max: 5}, result{status: 503, retryAfter: "0"}, want{action: again, wait: 800 * time.Millisecond}},
		{"one attempt only", state{spent: 1, max: 1}, result{status: 500}, want{action: spent, kind: pipeline.KindUnavailable}},
		{"bad, first", state{spent: 1, bad: 1, max: 5}, result{status: 200, bad: "empty"}, want{action: again, wait: 100 * time.Millisecond}},
		{"bad, third retry", state{spent: 3, bad: 3, max: 5}, result{status: 200, bad: "empty"}, want{action: again, wait: 400 * time.Millisecond}},
		{"bad, after three retries", state{spent: 4, bad: 4, max: 5}, result{status: 200, bad: "empty"}, want{action: spent, kind: pipeline.KindBadAnswer}},
		{"bad, no attempts left", state{spent: 2, bad: 1, max: 2}, result{status: 200, bad: "empty"}, want{action: spent, kind: pipeline.KindBadAnswer}},
		{"204", state{spent: 4, bad: 4, max: 5}, result{status: 204, bad: "status 204"}, want{action: spent, kind: pipeline.KindBadAnswer}},
	}
	for _, status := range []int{408, 421, 425, 500, 502, 503, 504, 506, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530, 599} {
		rows = append(rows, row{fmt.Sprint(status), first, result{status: status}, want{action: again, wait: 100 * time.Millisecond}})
	}
	for _, status := range []int{400, 413, 414, 431, 402, 409, 418, 422, 451} {
		rows = append(rows, row{fmt.Sprint(status), first, result{status: status}, want{action: fail, kind: pipeline.KindRejected}})
	}
	for _, status := range []int{404, 405, 501, 407, 410, 426, 505} {
		rows = append(rows, row{fmt.Sprint(status), first, result{status: status}, want{action: fatal, err: &ServerError{}}})
	}
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		rows = append(rows, row{fmt.Sprint(status), first, result{status: status, location: "https://x"}, want{action: fatal, err: &RedirectError{}}})
	}
	for _, tt := range rows {
		d := decide(tt.s, tt.r, now, half)
		if d.action != tt.want.action || d.wait != tt.want.wait {
			t.Errorf("%s: action %d wait %v, want %d %v", tt.name, d.action, d.wait, tt.want.action, tt.want.wait)
		}
		var kind pipeline.Kind
		if d.user != nil {
			kind = d.user.Kind
			if d.user.HTTPStatus != tt.r.status {
				t.Errorf("%s: HTTPStatus %d", tt.name, d.user.HTTPStatus)
			}
		}
		if kind != tt.want.kind {
			t.Errorf("%s: kind %q, want %q", tt.name, kind, tt.want.kind)
		}
		if tt.want.err != nil {
			var e1 *ServerError
			var e2 *RedirectError
			var e3 *ConnectError
			ok := false
			switch tt.want.err.(type) {
			case *ServerError:
				ok = errors.As(d.err, &e1)
			case *RedirectError:
				ok = errors.As(d.err, &e2)
			case *ConnectError:
				ok = errors.As(d.err, &e3)
			}
			if !ok {
				t.Errorf("%s: error %T, want %T", tt.name, d.err, tt.want.err)
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
		wait, ok := retryAfter(result{retryAfter: tt.header, date: tt.date}, now)
		if wait != tt.wait || ok != tt.ok {
			t.Errorf("Retry-After %q, Date %q: %v %v, want %v %v", tt.header, tt.date, wait, ok, tt.wait, tt.ok)
		}
	}
}

func TestBackoff(t *testing.T) {
	for attempt, limit := range map[int]time.Duration{
		0: 200 * time.Millisecond, 1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 3: 800 * time.Millisecond,
		6: 6400 * time.Millisecond, 7: 10 * time.Second, 8: 10 * time.Second, 1000: 10 * time.Second,
	} {
		for _, jitter := range []float64{0, 0.25, 0.999} {
			if got, want := backoff(attempt, jitter), time.Duration(jitter*float64(limit)); got != want {
				t.Errorf("backoff(%d, %v) = %v, want %v", attempt, jitter, got, want)
			}
		}
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.9: 900 * time.Millisecond, 0.99: 990 * time.Millisecond} {
		if got := h.quantile(q); got < want || float64(got) > 1.07*float64(want) {
			t.Errorf("quantile(%v) = %v, want %v and at most 7 %% more", q, got, want)
		}
	}
	for _, d := range []time.Duration{-1, 0, 1, time.Microsecond, 15 * time.Microsecond, 16 * time.Microsecond, 1 << 40, 1<<63 - 1} {
		b := bucket(d)
		if b < 0 || b >= len(h.counts) || upper(b) < d && upper(b) > 0 {
			t.Errorf("bucket(%v) = %d, which ends at %v", d, b, upper(b))
		}
	}
}
