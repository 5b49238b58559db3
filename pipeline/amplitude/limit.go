package amplitude

import (
	"context"
	"math"
	"sync/atomic"
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
// ahead would all be used at once after a stall of the machine.
//
// An attempt that is not its user's first goes before those that are: in the queue, behind a thousand users who have
// waited for less, it would hold up all who were answered after it.
//
// Tokens that a stall of this machine left unused while attempts were waiting may be used after it, as far as the last
// second has room for them. Those of an idle time may not, but for the burst.
type limiter struct {
	pace    *pace
	turn    chan struct{} // holds the turn while nobody has it
	urgent  chan struct{} // hands the turn to an attempt that goes before the others
	lim     *rate.Limiter
	burst   int
	waiting atomic.Int32

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
	l := &limiter{pace: newPace(start, ceiling), turn: make(chan struct{}, 1), urgent: make(chan struct{}), burst: max(burst, 1),
		lim: rate.NewLimiter(0, 0)}
	l.granted = make([]time.Time, max(1, int(math.Floor(ceiling))+l.burst-1))
	l.setRate(l.pace.rate)
	l.turn <- struct{}{}
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

// waitForToken returns when one attempt may go, an urgent one before the others; dead ends it early without an error.
func (l *limiter) waitForToken(ctx context.Context, dead <-chan struct{}, urgent bool) error {
	if l == nil {
		return nil
	}
	alone := l.waiting.Add(1) == 1
	defer l.waiting.Add(-1)
	var handed chan struct{}
	if urgent {
		handed = l.urgent
	}
	select {
	case <-l.turn:
	case <-handed:
	case <-dead:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer l.passTurn()
	now := time.Now()
	if perSecond := l.pace.raiseRate(now); perSecond != l.perSecond {
		l.setRate(perSecond)
	}
	if spare := int(l.lim.TokensAt(now)) - l.burst; alone && spare > 0 && now.Sub(l.last) > idleAfter {
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

// passTurn gives the turn to an attempt that is urgent, or else to the one that has waited longest.
func (l *limiter) passTurn() {
	select {
	case l.urgent <- struct{}{}:
	default:
		l.turn <- struct{}{}
	}
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
