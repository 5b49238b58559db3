package amplitude

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// paceServer answers 429 to more requests than it takes.
type paceServer struct {
	allow func(now time.Time) bool

	mu            sync.Mutex
	start         time.Time
	sent, refused int // after the first minute
	early         int // answered in the first minute
}

func (s *paceServer) answerRequest(int, *http.Request) (int, http.Header, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	ok := s.allow(now)
	if now.Sub(s.start) >= time.Minute {
		s.sent++
		if !ok {
			s.refused++
		}
	}
	if !ok {
		return 429, http.Header{"Retry-After": {"1"}}, "", nil
	}
	if now.Sub(s.start) < time.Minute {
		s.early++
	}
	return 200, nil, "{}", nil
}

// TestRateIsFound: a server that takes 50 requests a second is asked 100, and soon nearly as many as it takes.
func TestRateIsFound(t *testing.T) {
	const limit, users = 50, 120_000 // 40 minutes
	second, inSecond := time.Time{}, 0
	bucket := rate.NewLimiter(limit, limit)
	for _, tt := range []struct {
		name           string
		latency        time.Duration
		start, ceiling float64
		allow          func(now time.Time) bool
	}{
		{"a bucket", 60 * time.Millisecond, 100, 100, func(now time.Time) bool { return bucket.AllowN(now, 1) }},
		{"each second of the clock", 60 * time.Millisecond, 100, 100, func(now time.Time) bool {
			if s := now.Truncate(time.Second); s != second {
				second, inSecond = s, 0
			}
			inSecond++
			return inSecond <= limit
		}},
		{"a slow bucket", time.Second, 100, 100, func(now time.Time) bool { return bucket.AllowN(now, 1) }},
		{"auto", 60 * time.Millisecond, 100, 1000, func(now time.Time) bool { return bucket.AllowN(now, 1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket = rate.NewLimiter(limit, limit)
				s := &paceServer{allow: tt.allow, start: time.Now()}
				var log bytes.Buffer
				c := newFake(t, Config{Rate: tt.ceiling, StartRate: tt.start, Burst: 1, Concurrency: 256, MaxOutage: time.Hour,
					Logger: slog.New(slog.NewTextHandler(&log, nil))}, &fake{latency: tt.latency, answer: s.answerRequest})
				requireNoErrors(t, evaluateUsers(t.Context(), c, users, 256))
				took := time.Since(s.start).Seconds()
				if got := float64(users-s.early) / (took - 60); got < 47 {
					t.Errorf("%.1f users/s, want at least 47 of the %d that the server takes", got, limit)
				}
				if s.refused*50 > s.sent {
					t.Errorf("%d of %d requests were refused after the first minute, want at most 2 %%", s.refused, s.sent)
				}
				if got := c.Stats().FoundRate; got < 45 || got > 51 {
					t.Errorf("the run ends with a rate of %.1f/s, want about %d", got, limit)
				}
				if n := strings.Count(log.String(), "\n"); n > 10 {
					t.Errorf("%d lines of log, want a few:\n%s", n, log.String())
				}
				t.Logf("%.2f/s, %d of %d refused, found %.1f", float64(users-s.early)/(took-60), s.refused, s.sent,
					c.Stats().FoundRate)
			})
		})
	}
}

// TestPace is the rate of a pace, step by step.
func TestPace(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := newPace(100, 100)
	for _, step := range []struct {
		after  time.Duration
		refuse bool
		want   string
	}{
		{0, false, "100.0"},
		{time.Hour, false, "100.0"}, // its ceiling
		{time.Hour, true, "50.0"},
		{time.Hour + 999*time.Millisecond, false, "50.0"},
		{time.Hour + time.Second, false, "73.8"},
		{time.Hour + 2*time.Second, true, "36.9"},
		{time.Hour + 3*time.Second, false, "54.4"},
		{time.Hour + 4*time.Second, false, "63.1"},
		{time.Hour + 5*time.Second, false, "67.5"},
		{time.Hour + 6*time.Second, false, "69.7"},
		{time.Hour + 7*time.Second, false, "70.8"},
		{time.Hour + 8*time.Second, false, "71.5"},
		{time.Hour + 9*time.Second, false, "71.9"},
		{time.Hour + 2*time.Minute, false, "71.9"},
		{time.Hour + 3*time.Minute, false, "72.6"},
		{time.Hour + 4*time.Minute, false, "74.1"},
		{time.Hour + 5*time.Minute, false, "77.0"},
		{time.Hour + 6*time.Minute, false, "83.2"},
		{time.Hour + 7*time.Minute, false, "91.5"},
		{time.Hour + 8*time.Minute, false, "100.0"},
		{time.Hour + 9*time.Minute, false, "100.0"},
	} {
		now := start.Add(step.after)
		if step.refuse {
			p.lowerRate(now)
		}
		if got := fmt.Sprintf("%.1f", p.raiseRate(now)); got != step.want {
			t.Errorf("after %v: %s/s, want %s", step.after, got, step.want)
		}
	}
}
