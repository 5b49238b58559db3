package amplitude

import (
	"context"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// slack is the part of the rate that is kept back, because a token is taken here and counted by the API: attempts
// that a late timer or a busy machine delays and then lets go at once must still fit into their second.
const slack = 0.002

// limiter lets attempts go at a rate. It starts empty, so that the first second has no more attempts than any other.
//
// Waiting attempts form one queue, and each takes its token when its turn has come, not in advance: tokens reserved
// ahead would all be used at once after a stall of the machine, and that second would exceed the rate and the burst.
type limiter struct {
	turn chan struct{}
	lim  *rate.Limiter
}

// newLimiter returns a limiter, or nil if the rate is 0, which means no limit.
func newLimiter(perSecond float64, burst int) *limiter {
	if perSecond <= 0 {
		return nil
	}
	// In any second no more than the rate and the burst go: (1-slack)*rate + size of the bucket + 1 (the token
	// that was granted late) is more than that by less than one.
	size := max(burst, 1) + int(math.Floor(slack*perSecond))
	l := &limiter{turn: make(chan struct{}, 1), lim: rate.NewLimiter(rate.Limit(perSecond*(1-slack)), size)}
	l.lim.AllowN(time.Now(), size)
	l.turn <- struct{}{}
	return l
}

// waitForToken returns when one attempt may go; dead ends it early without an error.
func (l *limiter) waitForToken(ctx context.Context, dead <-chan struct{}) error {
	if l == nil {
		return nil
	}
	select {
	case <-l.turn:
	case <-dead:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { l.turn <- struct{}{} }()
	r := l.lim.Reserve()
	err := sleep(ctx, r.Delay(), dead)
	if err != nil {
		r.Cancel()
	}
	return err
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
