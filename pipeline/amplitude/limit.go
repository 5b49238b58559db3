package amplitude

import (
	"container/heap"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// limitWindow is the second in which no more than the rate and the burst may go, and what a late timer or a busy
	// machine may add between a token here and the request on the wire.
	limitWindow = 1002 * time.Millisecond

	// steady is the part of the rate that is asked for. What is left of a second makes up for stalls.
	steady = 0.993

	// maxCatchUp is how much of a stall is made up for. A longer one is the API's gain.
	maxCatchUp = 200 * time.Millisecond

	// idleAfter is how long nobody waited for a token if the time counts as idle, and not as a stall.
	idleAfter = 5 * time.Millisecond
)

// limiter lets attempts go at a rate, which its pace lowers where the API refuses it. It starts empty, so that the first second has no more attempts than any other.
//
// Waiting attempts form one queue, and each takes its token when its turn has come, not in advance: tokens reserved
// ahead would all be used at once after a stall of the machine. The user who came first goes first, also when the API
// is asked about this user again: after a thousand others, such an attempt would hold up all who were answered since.
//
// Tokens that a stall of this machine left unused while attempts were waiting may be used after it, as far as the last
// second has room for them. Those of an idle time may not, but for the burst.
type limiter struct {
	pace  *pace
	lim   *rate.Limiter
	burst int

	mu    sync.Mutex
	taken bool    // somebody has the turn
	queue waiters // who wait for it

	// The rest belongs to whoever has the turn.
	perSecond float64
	last      time.Time
	granted   []time.Time // when the last tokens were, a ring as long as the tokens that a second may have
	oldest    int
}

// newLimiter returns a limiter that starts at a rate and never exceeds the ceiling, or nil if that is 0, which means no
// limit.
func newLimiter(start, ceiling float64, burst int) *limiter {
	if ceiling <= 0 {
		return nil
	}
	l := &limiter{pace: newPace(start, ceiling), burst: max(burst, 1),
		lim: rate.NewLimiter(0, 0)}
	l.granted = make([]time.Time, max(1, int(math.Floor(ceiling))+l.burst-1))
	l.setRate(l.pace.rate)
	return l
}

func (l *limiter) setRate(perSecond float64) {
	l.perSecond = perSecond
	l.lim.SetLimit(rate.Limit(steady * perSecond))
	l.lim.SetBurst(l.burst + int(perSecond*maxCatchUp.Seconds()))
}

// slowDown lowers the rate, because the API refused a request.
func (l *limiter) slowDown(now time.Time) {
	if l != nil {
		l.pace.lowerRate(now)
	}
}

// waitForToken returns when an attempt of the nth user may go; dead ends it early without an error. It takes no token if
// stale, asked when the turn has come, is true.
func (l *limiter) waitForToken(ctx context.Context, dead <-chan struct{}, nth int64, stale func() bool) error {
	if l == nil {
		return nil
	}
	waited, err := l.takeTurn(ctx, dead, nth)
	if err != nil {
		return err
	}
	defer l.passTurn()
	if stale() {
		return nil
	}
	now := time.Now()
	if perSecond := l.pace.raiseRate(now); perSecond != l.perSecond {
		l.setRate(perSecond)
	}
	if spare := int(l.lim.TokensAt(now)) - l.burst; !waited && spare > 0 && now.Sub(l.last) > idleAfter {
		l.lim.AllowN(now, spare)
	}
	r := l.lim.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if first := l.granted[l.oldest]; !first.IsZero() {
		wait = max(wait, first.Add(limitWindow).Sub(now))
	}
	if err := sleep(ctx, wait, dead); err != nil {
		r.Cancel()
		return err
	}
	l.last = time.Now()
	l.granted[l.oldest] = l.last
	l.oldest = (l.oldest + 1) % len(l.granted)
	return nil
}

// takeTurn waits for the turn, which passTurn gives to the next one. If dead ends it early, somebody else may have the
// turn, too; nothing is sent then.
func (l *limiter) takeTurn(ctx context.Context, dead <-chan struct{}, nth int64) (waited bool, err error) {
	l.mu.Lock()
	if !l.taken {
		l.taken = true
		l.mu.Unlock()
		return false, nil
	}
	w := &waiter{nth: nth, ready: make(chan struct{})}
	heap.Push(&l.queue, w)
	l.mu.Unlock()
	select {
	case <-w.ready:
		return true, nil
	case <-dead:
		err = errDead
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.place < 0 { // it has the turn by now
		l.passTurnLocked()
	} else {
		heap.Remove(&l.queue, w.place)
	}
	return true, err
}

// errDead is the error of takeTurn when the run has ended. The circuit knows why.
var errDead = errors.New("the run has ended")

func (l *limiter) passTurn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passTurnLocked()
}

func (l *limiter) passTurnLocked() {
	if len(l.queue) == 0 {
		l.taken = false
		return
	}
	close(heap.Pop(&l.queue).(*waiter).ready)
}

// waiter is an attempt that waits for its turn.
type waiter struct {
	nth   int64 // of its user
	ready chan struct{}
	place int // in the queue; -1: it has left it
}

// waiters is a heap (container/heap), with the user who came first at its top.
type waiters []*waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].nth < w[j].nth }

func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push implements heap.Interface.
func (w *waiters) Push(x any) {
	last := x.(*waiter)
	last.place = len(*w)
	*w = append(*w, last)
}

// Pop implements heap.Interface.
func (w *waiters) Pop() any {
	n := len(*w) - 1
	last := (*w)[n]
	(*w)[n] = nil
	*w = (*w)[:n]
	last.place = -1
	return last
}

// sleep waits, and stops early without an error when dead is closed.
func sleep(ctx context.Context, d time.Duration, dead <-chan struct{}) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-dead:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
