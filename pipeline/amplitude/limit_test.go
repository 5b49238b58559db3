package amplitude

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestStallsAreMadeUpFor: whoever has the turn is stalled now and then, as by a busy machine, while others wait. The
// rate is reached all the same, and no second holds more than the rate and the burst.
func TestStallsAreMadeUpFor(t *testing.T) {
	const seconds = 10
	for _, tt := range []struct {
		rate  float64
		burst int
		stall time.Duration // once in each second
	}{
		{100, 1, 0}, {3000, 1, 0}, {3000, 1, 20 * time.Millisecond}, {3000, 1, 150 * time.Millisecond},
		{100, 20, 150 * time.Millisecond}, {20000, 1, 100 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(tt.rate, tt.rate, tt.burst)
				start := time.Now()
				var mu sync.Mutex
				var at []time.Duration
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						for time.Since(start) < seconds*time.Second {
							if err := l.waitForToken(t.Context(), nil, 0, func() bool { return false }); err != nil {
								t.Error(err)
							}
							mu.Lock()
							at = append(at, time.Since(start))
							mu.Unlock()
						}
					})
				}
				if tt.stall > 0 {
					for i := range seconds {
						time.Sleep(time.Until(start.Add(time.Duration(i)*time.Second + 500*time.Millisecond)))
						if _, err := l.takeTurn(t.Context(), nil, 0); err != nil {
							t.Error(err)
						}
						time.Sleep(tt.stall)
						l.passTurn()
					}
				}
				wg.Wait()
				slices.Sort(at)
				limit := int(tt.rate) + tt.burst
				for i := range at {
					if j := i + limit; j < len(at) && at[j]-at[i] < time.Second {
						t.Fatalf("tokens %d to %d within %v, want at least 1s", i, j, at[j]-at[i])
					}
				}
				if got := float64(len(at)) / at[len(at)-1].Seconds(); got < 0.99*tt.rate {
					t.Errorf("%.1f/s reached, want at least 99 %% of %v/s", got, tt.rate)
				}
			})
		})
	}
}

// TestIdleTimeIsNotMadeUpFor: after a time in which nobody asked, only the burst may go at once.
func TestIdleTimeIsNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(100, 100, 3)
		for range 5 {
			time.Sleep(time.Second)
			start := time.Now()
			for n := 1; ; n++ {
				if err := l.waitForToken(t.Context(), nil, 0, func() bool { return false }); err != nil {
					t.Fatal(err)
				}
				if time.Since(start) == 0 {
					continue
				}
				if n != 4 {
					t.Errorf("token %d is the first to be waited for, want 4", n)
				}
				break
			}
		}
	})
}

// TestRateIsReachedWhateverTheLatency: the limiter alone says how many requests are in flight, which are as many as the
// rate needs at that latency.
func TestRateIsReachedWhateverTheLatency(t *testing.T) {
	for _, latency := range []time.Duration{60 * time.Millisecond, 200 * time.Millisecond, time.Second, 5 * time.Second} {
		t.Run(latency.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const perSecond = 100
				f := &fake{latency: latency}
				c := newFake(t, Config{Rate: perSecond, Burst: 1, Concurrency: 1024}, f)
				start := time.Now()
				requireNoErrors(t, evaluateUsers(t.Context(), c, 60*perSecond, 1024))
				at := f.sendTimes(start)[1:] // the first goes alone
				if got := float64(len(at)-1) / (at[len(at)-1] - at[0]).Seconds(); got < 0.99*perSecond || got > perSecond {
					t.Errorf("%.2f requests/s, want at least 99 %% of %d and no more than that", got, perSecond)
				}
				want := int(perSecond*latency.Seconds()) + perSecond/10
				if most := c.Stats().MostInFlight; most > want {
					t.Errorf("%d requests were in flight, want at most %d", most, want)
				}
				if n := len(c.lanes.free); n > want {
					t.Errorf("%d lanes are kept, want at most %d", n, want)
				}
			})
		})
	}
}

// TestRetriesGoFirst: a user who was refused does not wait behind all who were not asked about yet.
func TestRetriesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: 60 * time.Millisecond, answer: func(n int, r *http.Request) (int, http.Header, string, error) {
			if n == 100 {
				return 503, nil, "", nil
			}
			return 200, nil, "{}", nil
		}}
		c := newFake(t, Config{Rate: 100, Burst: 1, Concurrency: 1024}, f)
		start := time.Now()
		var second time.Duration // when the 100th user was asked about again
		var refused string
		answer := f.answer
		f.answer = func(n int, r *http.Request) (int, http.Header, string, error) {
			user := r.URL.Query().Get("user_id")
			f.mu.Lock()
			switch {
			case n == 100:
				refused = user
			case user == refused:
				second = time.Since(start)
			}
			f.mu.Unlock()
			return answer(n, r)
		}
		requireNoErrors(t, evaluateUsers(t.Context(), c, 3000, 1024))
		if second < time.Second || second > 3*time.Second {
			t.Errorf("the refused user was asked about again after %v, want within 2 s of the first time", second)
		}
	})
}
