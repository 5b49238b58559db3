package amplitude

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// fake answers requests inside a synctest bubble.
type fake struct {
	latency time.Duration
	// n: 1 for the first request
	answer func(n int, r *http.Request) (status int, header http.Header, body string, err error)

	mu       sync.Mutex
	sent     []time.Time
	inFlight atomic.Int32
	most     atomic.Int32
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.sent = append(f.sent, time.Now())
	n := len(f.sent)
	f.mu.Unlock()
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
		trace.GotConn(httptrace.GotConnInfo{})
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	in := f.inFlight.Add(1)
	defer f.inFlight.Add(-1)
	f.most.Store(max(f.most.Load(), in))
	status, header, body, err := 200, http.Header{}, "{}", error(nil)
	if f.answer != nil {
		status, header, body, err = f.answer(n, r)
	}
	select {
	case <-time.After(f.latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body))}, nil
}

func (f *fake) sendTimes(start time.Time) (at []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sent {
		at = append(at, s.Sub(start))
	}
	return at
}

func newFake(t *testing.T, cfg Config, f *fake) *Client {
	t.Helper()
	cfg.BaseURL, cfg.RoundTripper = "https://example.com", f
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// evaluateUsers asks about n users with the given number of workers and returns the errors by user.
func evaluateUsers(ctx context.Context, c *Client, n, workers int) []error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				_, errs[i] = c.Evaluate(ctx, &pipeline.User{UserID: fmt.Sprint("SECRET-", i)})
			}
		})
	}
	wg.Wait()
	c.Close()
	return errs
}

func requireNoErrors(t *testing.T, errs []error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("user %d: %v", i, err)
		}
	}
}

func requireUserError(t *testing.T, err error, kind pipeline.Kind) *pipeline.UserError {
	t.Helper()
	ue, ok := errors.AsType[*pipeline.UserError](err)
	if !ok || ue.Kind != kind {
		t.Fatalf("got %v, want a %s", err, kind)
	}
	return ue
}

type http500 = http.Request

type roundTripper func(*http500)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return nil, errors.New("no")
}

func TestNoSecondHoldsMoreThanTheRate(t *testing.T) {
	for _, tt := range []struct {
		rate    float64
		burst   int
		latency time.Duration
		workers int
		fail    bool
	}{
		{300, 1, 60 * time.Millisecond, 60, false},
		{100, 1, 200 * time.Millisecond, 64, true},
		{50, 10, time.Millisecond, 64, true},
		{2000, 1, 10 * time.Millisecond, 64, false},
		{1, 1, time.Millisecond, 4, false},
		{0.5, 3, time.Millisecond, 4, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{latency: tt.latency}
			if tt.fail { // retries pay too
				f.answer = func(n int, _ *http.Request) (int, http.Header, string, error) {
					if n%10 == 3 {
						return 503, nil, "", nil
					}
					return 200, nil, "{}", nil
				}
			}
			c := newFake(t, Config{Rate: tt.rate, Burst: tt.burst}, f)
			start := time.Now()
			requireNoErrors(t, evaluateUsers(t.Context(), c, max(int(10*tt.rate), 5), tt.workers))
			at := f.sendTimes(start)
			limit := int(tt.rate) + tt.burst
			for i := range at {
				if j := i + limit; j < len(at) && at[j]-at[i] < time.Second {
					t.Fatalf("rate %v burst %d: requests %d to %d within %v", tt.rate, tt.burst, i, j, at[j]-at[i])
				}
			}
			if at[0] < time.Duration(float64(time.Second)/tt.rate) {
				t.Errorf("rate %v: the first request after %v: the burst did not start empty", tt.rate, at[0])
			}
			most := len(at) * 9 / 10 // the last ones are retries, and have pauses between them
			if took := (at[most] - at[0] - tt.latency).Seconds(); tt.rate > 10 && float64(most)/took < 0.99*tt.rate {
				t.Errorf("rate %v: %.1f/s reached", tt.rate, float64(most)/took)
			}
			if s := c.Stats(); tt.rate > 10 && (s.EffectiveRate < 0.9*tt.rate || s.EffectiveRate > tt.rate) ||
				s.Requests != int64(len(at)) {
				t.Errorf("rate %v: stats say %.1f/s, %d requests; there were %d", tt.rate, s.EffectiveRate, s.Requests, len(at))
			}
		})
	}
}

func TestFirstRequestGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: time.Second}
		c := newFake(t, Config{}, f)
		start := time.Now()
		requireNoErrors(t, evaluateUsers(t.Context(), c, 200, 64))
		if at := f.sendTimes(start); at[0] != 0 || at[1] != time.Second || at[64] != time.Second {
			t.Errorf("requests at %v", at[:70])
		}
		if most := f.most.Load(); most != 64 {
			t.Errorf("%d in flight, want 64", most)
		}
	})
}

func TestWrongKeyStopsWithinAHandfulOfRequests(t *testing.T) {
	for _, status := range []int{401, 403} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{latency: 50 * time.Millisecond, answer: func(int, *http.Request) (int, http.Header, string, error) {
				return status, nil, "SECRET", nil
			}}
			key, _ := NewKey(canary)
			c := newFake(t, Config{Key: key, KeySource: "AMPLITUDE_DEPLOYMENT_KEY"}, f)
			errs := evaluateUsers(t.Context(), c, 1000, 64)
			if n := len(f.sent); n != 3 {
				t.Errorf("%d requests, want 3", n)
			}
			for i, err := range errs {
				auth, ok := errors.AsType[*AuthError](err)
				if !ok || auth.Status != status || !strings.Contains(err.Error(), "AMPLITUDE_DEPLOYMENT_KEY") ||
					strings.Contains(err.Error(), "CANARY") {
					t.Fatalf("user %d: %v", i, err)
				}
			}
		})
	}
}

func TestWrongKeyIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFake(t, Config{MaxOutage: 100 * time.Millisecond},
			&fake{answer: func(int, *http.Request) (int, http.Header, string, error) {
				return 401, nil, "", nil
			}})
		_, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "SECRET"})
		if _, ok := errors.AsType[*AuthError](err); !ok {
			t.Errorf("err = %v, want that the key is refused, however short an outage may be", err)
		}
		c.Close()
	})
}

func TestKeyRefusedOnceIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: 50 * time.Millisecond, answer: func(n int, _ *http.Request) (int, http.Header, string, error) {
			if n >= 90 && n < 122 { // a hiccup of requests that are all in flight at once
				return 403, nil, "", nil
			}
			return 200, nil, "{}", nil
		}}
		requireNoErrors(t, evaluateUsers(t.Context(), newFake(t, Config{}, f), 1000, 40))
	})
}

func TestKeyRevokedMidRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: 50 * time.Millisecond, answer: func(n int, _ *http.Request) (int, http.Header, string, error) {
			if n > 100 {
				return 401, nil, "", nil
			}
			return 200, nil, "{}", nil
		}}
		errs := evaluateUsers(t.Context(), newFake(t, Config{}, f), 1000, 64)
		if n := len(f.sent); n > 100+64+2 {
			t.Errorf("%d requests, want at most those in flight and two more", n)
		}
		for _, err := range errs {
			if _, ok := errors.AsType[*AuthError](err); err != nil && !ok {
				t.Fatal(err)
			}
		}
	})
}

func TestManyTooManyRequestsAreOnePause(t *testing.T) {
	for name, header := range map[string]string{"seconds": "10", "date": "", "none": "-"} {
		synctest.Test(t, func(t *testing.T) {
			until := time.Now().Add(11 * time.Second)
			f := &fake{latency: 300 * time.Millisecond, answer: func(n int, _ *http.Request) (int, http.Header, string, error) {
				if n < 70 || n >= 110 { // all of them in flight at once
					return 200, nil, "{}", nil
				}
				switch header {
				case "":
					return 429, http.Header{"Retry-After": {until.UTC().Format(http.TimeFormat)}}, "", nil
				case "-":
					return 429, nil, "", nil
				}
				return 429, http.Header{"Retry-After": {header}}, "", nil
			}}
			var log bytes.Buffer
			c := newFake(t, Config{MaxAttempts: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))}, f)
			start := time.Now()
			requireNoErrors(t, evaluateUsers(t.Context(), c, 400, 64))
			at := f.sendTimes(start)
			gaps := 0
			for i := range at[1:] {
				if gap := at[i+1] - at[i]; gap > 500*time.Millisecond {
					gaps++
				}
			}
			if s := c.Stats(); s.Pauses != 1 || gaps != 1 || s.Statuses[429] != 40 || s.Retries != 40 {
				t.Errorf("%s: %d pauses, %d gaps, %v", name, s.Pauses, gaps, s)
			}
			if n := strings.Count(log.String(), "\n"); n != 2 || strings.Contains(log.String(), "SECRET") {
				t.Errorf("%s: want one line when it begins and one when it ends:\n%s", name, log.String())
			}
		})
	}
}

// TestPausesOfAnHourAreAFewLines: whoever asks at twice the rate that the API takes is paused, and finds its rate.
func TestPausesOfAnHourAreAFewLines(t *testing.T) {
	for name, tt := range map[string]struct {
		retryAfter string
		want       string // what it says, in order
	}{
		"one second": {"1", "asks for a pause,is over,keeps asking,asks for no more pauses"},
		"none":       {"", "asks for a pause,is over,keeps asking,asks for no more pauses"},
		"longer":     {"9", "asks for a pause,is over,keeps asking,asks for a longer pause,asks for no more pauses"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				second, taken := time.Time{}, 0
				f := &fake{latency: 10 * time.Millisecond}
				f.answer = func(n int, _ *http.Request) (int, http.Header, string, error) {
					if now := time.Now().Truncate(time.Second); now != second {
						second, taken = now, 0
					}
					if taken++; taken > 1 && time.Since(start) < time.Hour {
						if after := tt.retryAfter; n > 20 || after != "9" {
							return 429, http.Header{"Retry-After": {after}}, "", nil
						}
						return 429, http.Header{"Retry-After": {"1"}}, "", nil
					}
					return 200, nil, "{}", nil
				}
				var log bytes.Buffer
				c := newFake(t, Config{Rate: 2, Logger: slog.New(slog.NewTextHandler(&log, nil))}, f)
				requireNoErrors(t, evaluateUsers(t.Context(), c, 11000, 4)) // an hour, and the rest
				lines := strings.Split(strings.TrimSpace(log.String()), "\n")
				want := strings.Split(tt.want, ",")
				for i, line := range lines {
					if i >= len(want) || !strings.Contains(line, want[i]) {
						t.Errorf("line %d: %s\nwant lines with %q", i+1, line, want)
					}
				}
				if n := c.Stats().Pauses; len(lines) != len(want) || n < 3 || n > 30 {
					t.Errorf("%d pauses are %d lines, want 3 to 30, and %d lines", n, len(lines), len(want))
				}
			})
		})
	}
}

func TestNothingBut429Ends(t *testing.T) {
	for _, header := range []string{"", "0", "-5", "1", "99999999999", "junk", "Mon, 01 Jan 1990 00:00:00 GMT"} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{latency: 10 * time.Millisecond, answer: func(int, *http.Request) (int, http.Header, string, error) {
				return 429, http.Header{"Retry-After": {header}}, "", nil
			}}
			start := time.Now()
			errs := evaluateUsers(t.Context(), newFake(t, Config{}, f), 100, 64)
			for _, err := range errs {
				if _, ok := errors.AsType[*OutageError](err); !ok {
					t.Fatalf("Retry-After %q: %v", header, err)
				}
			}
			if took := time.Since(start); took < 15*time.Minute || took > 16*time.Minute {
				t.Errorf("Retry-After %q: gave up after %v", header, took)
			}
			if n := len(f.sent); n > 16*60+64 {
				t.Errorf("Retry-After %q: %d requests", header, n)
			}
		})
	}
}

func TestOutageIsNobodysFailure(t *testing.T) {
	for name, down := range map[string]func() (int, http.Header, string, error){
		"503":     func() (int, http.Header, string, error) { return 503, nil, "", nil },
		"429":     func() (int, http.Header, string, error) { return 429, nil, "", nil },
		"refused": func() (int, http.Header, string, error) { return 0, nil, "", syscall.ECONNREFUSED },
		"eof":     func() (int, http.Header, string, error) { return 0, nil, "", io.ErrUnexpectedEOF },
	} {
		for _, from := range []time.Duration{0, 2 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				f := &fake{latency: 100 * time.Millisecond}
				f.answer = func(int, *http.Request) (int, http.Header, string, error) {
					if d := time.Since(start); d >= from && d < 10*time.Minute {
						return down()
					}
					return 200, nil, "{}", nil
				}
				var log bytes.Buffer
				c := newFake(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, f)
				requireNoErrors(t, evaluateUsers(t.Context(), c, 3000, 64))
				during := 0
				for _, at := range f.sendTimes(start) {
					if at > 30*time.Second && at < 10*time.Minute {
						during++
					}
				}
				if during == 0 || during > 25 {
					t.Errorf("%s from %v: %d probes in 9.5 minutes", name, from, during)
				}
				if name != "429" && (c.Stats().Outages != 1 || strings.Count(log.String(), "\n") != 2) ||
					strings.Contains(log.String(), "SECRET") {
					t.Errorf("%s from %v: %d outages, log:\n%s", name, from, c.Stats().Outages, log.String())
				}
			})
		}
	}
}

func TestOutageEndsAfterMaxOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		f := &fake{latency: 100 * time.Millisecond}
		f.answer = func(n int, _ *http.Request) (int, http.Header, string, error) {
			if n > 200 {
				return 502, nil, "<html>", nil
			}
			return 200, nil, "{}", nil
		}
		errs := evaluateUsers(t.Context(), newFake(t, Config{MaxOutage: 5 * time.Minute}, f), 1000, 64)
		answered := 0
		for _, err := range errs {
			if err == nil {
				answered++
				continue
			}
			out, ok := errors.AsType[*OutageError](err)
			if !ok || out.Status != 502 || out.For < 5*time.Minute || pipeline.Hint(err) == "" {
				t.Fatalf("got %v", err)
			}
		}
		if answered != 200 {
			t.Errorf("%d answered, want 200", answered)
		}
		if took := time.Since(start); took < 5*time.Minute || took > 5*time.Minute+5*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

// TestMaintenancePageDuringAnOutage: a CDN's page with status 200 neither ends an outage nor fails anybody in it.
func TestMaintenancePageDuringAnOutage(t *testing.T) {
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			f := &fake{latency: 100 * time.Millisecond}
			f.answer = func(int, *http.Request) (int, http.Header, string, error) {
				switch d := time.Since(start); {
				case d > 10*time.Minute && back, d < time.Second:
					return 200, nil, "{}", nil
				case d > 30*time.Second:
					return 200, nil, "<html>", nil
				}
				return 503, nil, "", nil
			}
			errs := evaluateUsers(t.Context(), newFake(t, Config{}, f), 2000, 64)
			if back {
				requireNoErrors(t, errs)
				return
			}
			for _, err := range errs {
				if _, ok := errors.AsType[*OutageError](err); err != nil && !ok {
					t.Fatal(err)
				}
			}
			if took := time.Since(start); errs[1999] == nil || took > 16*time.Minute {
				t.Errorf("last error %v after %v", errs[1999], took)
			}
		})
	}
}

func TestUnavailableWhileOthersGoThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: 50 * time.Millisecond, answer: func(_ int, r *http.Request) (int, http.Header, string, error) {
			if r.URL.RawQuery == "user_id=SECRET-7" {
				return 500, nil, "", nil
			}
			return 200, nil, "{}", nil
		}}
		c := newFake(t, Config{}, f)
		for i, err := range evaluateUsers(t.Context(), c, 2000, 8) {
			if i != 7 {
				if err != nil {
					t.Fatalf("user %d: %v", i, err)
				}
				continue
			}
			if ue := requireUserError(t, err, pipeline.KindUnavailable); ue.Attempts != 5 || ue.HTTPStatus != 500 ||
				strings.Contains(ue.Error(), "SECRET") {
				t.Errorf("got %+v", ue)
			}
		}
		if s := c.Stats(); s.Outages != 0 || s.Retries != 4 || s.Requests != 2006 {
			t.Errorf("%+v; want 4 retries, and two questions whether the API is up", s)
		}
	})
}

// worlds is how many random worlds there are; -worlds 5000 tries more.
var worlds = flag.Uint64("worlds", 150, "random worlds of outages")

// TestShortOutagesAreNobodysFailure: whatever an outage begins and ends between, however many are at work, and whoever
// else fails for reasons of their own, nobody is written off for it, if it is longer than the two questions around a
// last attempt. Those who fail for reasons of their own are, also where many of those who could tell them from an
// outage have begun to fail meanwhile.
func TestShortOutagesAreNobodysFailure(t *testing.T) {
	const users = 1500
	notFound := &net.DNSError{Err: "no such host", Name: "example.com", IsNotFound: true}
	status := func(code int) func() (int, http.Header, string, error) {
		return func() (int, http.Header, string, error) { return code, nil, "", nil }
	}
	broken := func(err error) func() (int, http.Header, string, error) {
		return func() (int, http.Header, string, error) { return 0, nil, "", err }
	}
	page := func() (int, http.Header, string, error) { return 200, nil, "<html>we are back soon</html>", nil }
	atStart := []func() (int, http.Header, string, error){broken(syscall.ECONNREFUSED), status(503), page}
	later := append(atStart, status(403), status(404), status(405), status(410), status(501), broken(notFound))
	for seed := range *worlds {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			workers := []int{1, 2, 4, 64}[seed%4]
			type outage struct {
				from, to time.Duration
				answer   []func() (int, http.Header, string, error)
			}
			var down []outage
			kinds := later
			if seed%5 == 0 { // it begins before anybody was answered
				kinds, down = atStart, []outage{{0, 3 * time.Second, atStart[seed%2:][:1]}}
			}
			for at := 3 * time.Second * time.Duration(len(down)); len(down) < 10; {
				at += time.Millisecond + time.Duration(random.Int64N(int64(5*time.Second)))
				o := outage{from: at, answer: kinds}
				if at += 200*time.Millisecond + time.Duration(random.Int64N(int64(8*time.Second))); random.IntN(4) > 0 {
					n := random.IntN(len(o.answer)) // else all kinds at once
					o.answer = o.answer[n : n+1]
				}
				o.to = at
				down = append(down, o)
			}
			// Who fails for reasons of their own: from the start, or once they were answered.
			alone := map[string]func() (int, http.Header, string, error){}
			want := map[string]pipeline.Kind{}
			turned := sync.Map{}
			share := []float64{0, 0.01, 0.3}[random.IntN(3)]
			turn := []float64{0, 0.1, 0.3}[random.IntN(3)]
			for i := 1; i < users; i++ {
				name := fmt.Sprint("SECRET-", i)
				if random.Float64() < turn {
					turned.Store(name, []func() (int, http.Header, string, error){status(500), status(403), page}[random.IntN(3)])
				}
				if random.Float64() >= share || i < 64 { // before anybody was answered a 404 ends the run
					continue
				}
				switch random.IntN(5) {
				case 0:
					alone[name], want[name] = status(403), pipeline.KindRejected
				case 1:
					alone[name], want[name] = status(404), pipeline.KindRejected
				case 2:
					alone[name], want[name] = status(400), pipeline.KindRejected
				case 3:
					alone[name], want[name] = status(500), pipeline.KindUnavailable
				case 4:
					alone[name], want[name] = page, pipeline.KindBadAnswer
				}
			}
			start := time.Now()
			var mu sync.Mutex
			answered := map[string]bool{}
			f := &fake{latency: 40 * time.Millisecond, answer: func(n int, r *http.Request) (int, http.Header, string, error) {
				now := time.Since(start)
				for _, d := range down {
					if now >= d.from && now < d.to {
						return d.answer[n%len(d.answer)]()
					}
				}
				name := r.URL.Query().Get("user_id")
				if own := alone[name]; own != nil {
					return own()
				}
				mu.Lock()
				defer mu.Unlock()
				if own, ok := turned.Load(name); ok && answered[name] {
					return own.(func() (int, http.Header, string, error))()
				}
				answered[name] = true
				return 200, nil, "{}", nil
			}}
			for i, err := range evaluateUsers(t.Context(), newFake(t, Config{}, f), users, workers) {
				var got pipeline.Kind
				if ue, ok := errors.AsType[*pipeline.UserError](err); ok {
					got = ue.Kind
				} else if err != nil {
					t.Fatalf("seed %d, %d workers, down %v: user %d ends the run: %v", seed, workers, down, i, err)
				}
				if want := want[fmt.Sprint("SECRET-", i)]; got != want {
					t.Fatalf("seed %d, %d workers, down %v: user %d: %v; want %q", seed, workers, down, i, err, want)
				}
			}
		})
	}
}

// TestOneUserIsToldFromAnOutage: with nobody else at work, it takes a user who was answered before to find out that
// the API is up. Otherwise the last user of an input could end every run, resumed or not, as an outage.
func TestOneUserIsToldFromAnOutage(t *testing.T) {
	onlyFails := func(_ int, r *http.Request) (int, http.Header, string, error) {
		if strings.Contains(r.URL.RawQuery, "user_id=SECRET-2") {
			return 503, nil, "", nil
		}
		return 200, nil, "{}", nil
	}
	for name, tt := range map[string]struct {
		users int
		known bool // from an earlier part of the run
	}{"in the middle": {5, false}, "the last one": {3, false}, "the first one of a resumed run": {1, true}} {
		synctest.Test(t, func(t *testing.T) {
			c := newFake(t, Config{}, &fake{answer: onlyFails})
			first := 0
			if tt.known {
				noteAnswered(c, &pipeline.User{UserID: "SECRET-0"})
				first = 2
			}
			start := time.Now()
			for i := range tt.users {
				_, err := c.Evaluate(t.Context(), &pipeline.User{UserID: fmt.Sprint("SECRET-", first+i)})
				if first+i != 2 {
					if err != nil {
						t.Errorf("%s: user %d: %v", name, first+i, err)
					}
					continue
				}
				if ue := requireUserError(t, err, pipeline.KindUnavailable); ue.HTTPStatus != 503 {
					t.Errorf("%s: got %+v", name, ue)
				}
			}
			if took := time.Since(start); took > 2*time.Minute {
				t.Errorf("%s: took %v, want it long before an outage ends the run", name, took)
			}
			c.Close()
		})
	}
	synctest.Test(t, func(t *testing.T) { // nobody was ever answered: it may well be an outage
		c := newFake(t, Config{}, &fake{answer: onlyFails})
		_, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "SECRET-2"})
		if _, ok := errors.AsType[*OutageError](err); !ok {
			t.Errorf("err = %v, want an outage", err)
		}
		c.Close()
	})
}

// TestRefusedAfterAnswers: what ends the run at its start is this user's failure, or everybody's outage, once somebody
// was answered with this key.
func TestRefusedAfterAnswers(t *testing.T) {
	notFound := &net.DNSError{Err: "no such host", Name: "example.com", IsNotFound: true}
	untrusted := &tls.CertificateVerificationError{Err: errors.New("expired")}
	for name, tt := range map[string]struct {
		status int
		err    error
		kind   pipeline.Kind // if it happens to one user
	}{
		"403":         {403, nil, pipeline.KindRejected},
		"404":         {404, nil, pipeline.KindRejected},
		"405":         {405, nil, pipeline.KindRejected},
		"410":         {410, nil, pipeline.KindRejected},
		"501":         {501, nil, pipeline.KindRejected},
		"unknown":     {0, notFound, pipeline.KindUnavailable},
		"certificate": {0, untrusted, pipeline.KindUnavailable},
	} {
		for _, resumed := range []bool{false, true} {
			when := map[bool]string{false: " later", true: " when it goes on"}[resumed]
			t.Run(name+when+", one user", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &fake{latency: 50 * time.Millisecond, answer: func(_ int, r *http.Request) (int, http.Header, string, error) {
						if strings.HasPrefix(r.URL.RawQuery, "user_id=SECRET-7") {
							return tt.status, nil, "", tt.err
						}
						return 200, nil, "{}", nil
					}}
					var log bytes.Buffer
					c := newFake(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, f)
					users := 7
					if resumed {
						noteAnswered(c, &pipeline.User{UserID: "SECRET-0"})
					} else {
						requireNoErrors(t, evaluateUsers(t.Context(), c, users, 4))
					}
					_, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "SECRET-7"})
					if ue := requireUserError(t, err, tt.kind); ue.HTTPStatus != tt.status || ue.Attempts < 2 ||
						strings.Contains(ue.Error(), "SECRET") {
						t.Errorf("got %+v, want status %d after another attempt", ue, tt.status)
					}
					if log.Len() > 0 {
						t.Errorf("it said\n%s\nwant nothing: one user is no outage", &log)
					}
				})
			})
			t.Run(name+when+", everybody", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &fake{latency: 50 * time.Millisecond, answer: func(n int, _ *http.Request) (int, http.Header, string, error) {
						if n > 100 || resumed {
							return tt.status, nil, "", tt.err
						}
						return 200, nil, "{}", nil
					}}
					c := newFake(t, Config{MaxOutage: 5 * time.Minute}, f)
					want := 100
					if resumed {
						noteAnswered(c, &pipeline.User{UserID: "SECRET-0"})
						want = 0
					}
					start := time.Now()
					answered := 0
					for i, err := range evaluateUsers(t.Context(), c, 1000, 64) {
						if err == nil {
							answered++
						} else if out, ok := errors.AsType[*OutageError](err); !ok || out.Status != tt.status ||
							pipeline.Hint(err) == "" {
							t.Fatalf("user %d: %v, want an outage with status %d", i, err, tt.status)
						}
					}
					if took := time.Since(start); answered != want || took < 5*time.Minute || took > 6*time.Minute {
						t.Errorf("%d answered, gave up after %v; want %d and 5 minutes", answered, took, want)
					}
				})
			})
		}
	}
}

// TestKnownUserBeginsToFail: those who were answered before, and tell an outage from one user's failure, may fail
// themselves later on.
func TestKnownUserBeginsToFail(t *testing.T) {
	for _, failing := range []int{1, 2, 5, 8} {
		t.Run(fmt.Sprint(failing, " of 16"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fails := func(i int) bool { return i < failing || i == 20 }
				f := &fake{latency: 50 * time.Millisecond, answer: func(n int, r *http.Request) (int, http.Header, string, error) {
					var user int
					_, _ = fmt.Sscanf(r.URL.Query().Get("user_id"), "SECRET-%d", &user)
					if n > 16 && fails(user) {
						return 500, nil, "", nil
					}
					return 200, nil, "{}", nil
				}}
				c := newFake(t, Config{}, f)
				requireNoErrors(t, evaluateUsers(t.Context(), c, 16, 1))
				start := time.Now()
				_, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "SECRET-20"})
				requireUserError(t, err, pipeline.KindUnavailable)
				if took := time.Since(start); took > 10*time.Minute {
					t.Errorf("written off after %v, want it long before an outage ends the run", took)
				}
				if n := c.Stats().Outages; failing < maxAsked && n != 0 {
					t.Errorf("%d outages, want none: known users were answered", n)
				}
			})
		})
	}
}

func TestRing(t *testing.T) {
	var r ring
	if !r.isEmpty() {
		t.Error("the zero ring is not empty")
	}
	for i := range 100 {
		for range 2 { // a second time changes nothing
			r.addUser(request{query: fmt.Sprint(i / 2)})
		}
		if req, size := r.currentUser(); req.query == "" || size != min(i/2+1, len(r.requests)) || r.isEmpty() {
			t.Fatalf("after %d users: %q of %d", i/2+1, req.query, size)
		}
	}
	seen := map[string]bool{}
	for range r.requests {
		req, _ := r.currentUser()
		seen[req.query] = true
		r.moveOn()
	}
	for i := range r.requests {
		if last := fmt.Sprint(49 - i); !seen[last] {
			t.Errorf("user %s is not in %v, want the last %d", last, seen, len(r.requests))
		}
	}
}

func TestReplay(t *testing.T) {
	c := newFake(t, Config{FlagKeys: []string{"a", "b"}}, &fake{})
	r := c.Replay()
	users := []*pipeline.User{{UserID: "x"}, {DeviceID: "x"},
		{UserID: "x", Context: []pipeline.Member{{Name: "country", Value: pipeline.StringValue("DE")}}}}
	seen := map[[16]byte]bool{}
	for _, u := range users {
		hash := r.Request(u)
		if again := r.Request(u); again != hash || seen[hash] {
			t.Errorf("the hash of %+v is %x, then %x; want it twice, and no other user's", u, hash, again)
		}
		seen[hash] = true
	}
	body := `{"a":{"key":"on","payload":{"x": 1}}}`
	got, err := r.Decode(body)
	if len(got) != 1 || got[0].Key != "on" || got[0].Payload != `{"x": 1}` || err != nil {
		t.Errorf("Decode(%s) = %+v, %v", body, got, err)
	}
	if got, err := r.Decode(`{"a":{}}`); err == nil {
		t.Errorf("an answer without a key: %+v, want an error", got)
	}
}

func TestPersistentFailuresDrainTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: 10 * time.Millisecond, answer: func(n int, _ *http.Request) (int, http.Header, string, error) {
			if n > 1 && n%2 == 0 {
				return 503, nil, "", nil
			}
			return 200, nil, "{}", nil
		}}
		c := newFake(t, Config{MaxAttempts: 20}, f)
		requireNoErrors(t, evaluateUsers(t.Context(), c, 3000, 64))
		if s := c.Stats(); s.Outages == 0 {
			t.Errorf("half of all requests failed, and the run never slowed down: %+v", s)
		}
	})
}

func TestBadAnswersAreRetriedThreeTimes(t *testing.T) {
	for _, body := range []string{"<html>SECRET</html>", "null", "[]", `"SECRET"`, "", `{"f":`, "{} x"} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{latency: time.Millisecond, answer: func(int, *http.Request) (int, http.Header, string,
				error) {
				return 200, nil, body, nil
			}}
			c := newFake(t, Config{}, f)
			_, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"})
			c.Close()
			ue := requireUserError(t, err, pipeline.KindBadAnswer)
			if len(f.sent) != 4 || ue.Attempts != 4 || ue.HTTPStatus != 200 || strings.Contains(ue.Message, "SECRET") {
				t.Errorf("%q: %d requests, %+v", body, len(f.sent), ue)
			}
		})
	}
}

func TestRejectedIsOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: time.Millisecond, answer: func(int, *http.Request) (int, http.Header, string, error) {
			return 400,
				nil, "SECRET", nil
		}}
		c := newFake(t, Config{}, f)
		for _, err := range evaluateUsers(t.Context(), c, 100, 64) {
			if ue := requireUserError(t, err, pipeline.KindRejected); ue.Attempts != 1 || ue.HTTPStatus != 400 {
				t.Errorf("got %+v", ue)
			}
		}
		if len(f.sent) != 100 {
			t.Errorf("%d requests, want 100", len(f.sent))
		}
	})
}

func TestTimeoutBoundsAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: time.Minute}
		f.answer = func(n int, _ *http.Request) (int, http.Header, string, error) {
			if n == 2 {
				f.latency = time.Second
			}
			return 200, nil, "{}", nil
		}
		c := newFake(t, Config{Timeout: 3 * time.Second}, f)
		a, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"})
		c.Close()
		if err != nil || a.Attempts != 2 || c.Stats().TransportErrors["timeout"] != 1 {
			t.Errorf("%+v, %v, %+v", a, err, c.Stats())
		}
	})
}

func TestCancelEndsEveryWait(t *testing.T) {
	why := errors.New("because")
	for name, answer := range map[string]func(int, *http.Request) (int, http.Header, string, error){
		"in flight": nil,
		"pause": func(int, *http.Request) (int, http.Header, string, error) {
			return 429, http.Header{"Retry-After": {"300"}}, "", nil
		},
		"outage": func(int, *http.Request) (int, http.Header, string, error) { return 503, nil, "", nil },
	} {
		for _, rate := range []float64{0, 0.1} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				f := &fake{latency: 20 * time.Second, answer: answer}
				c := newFake(t, Config{Timeout: time.Hour, Rate: rate}, f)
				defer time.AfterFunc(70*time.Second, func() { cancel(why) }).Stop()
				start := time.Now()
				errs := evaluateUsers(ctx, c, 64, 64)
				if took := time.Since(start); took > 70*time.Second {
					t.Errorf("%s, rate %v: returned after %v", name, rate, took)
				}
				if n := slices.IndexFunc(errs, func(err error) bool { return err != nil && !errors.Is(err, why) }); n >= 0 {
					t.Errorf("%s, rate %v: %v", name, rate, errs[n])
				}
			})
		}
	}
}

// noteAnswered tells the client of a user who was answered earlier, as a resumed run does.
func noteAnswered(c *Client, u *pipeline.User) {
	r := c.Replay()
	r.Request(u)
	r.NoteAnswered()
}
