package amplitude

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	budgetSize   = 100              // retries that the run may have in advance
	budgetEarned = 0.2              // what each answer adds: in the long run a sixth of all requests may be retries
	probeFirst   = time.Second      // the wait before the first probe of an outage
	probeCap     = 30 * time.Second // and before any later one
	refusedWait  = 500 * time.Millisecond
)

// circuit is what the attempts of all users share. It is in one of two states:
//
//   - flowing: every attempt goes;
//   - gated: one attempt at a time goes, the probe, and not before until. Its sender holds the turn; the others
//     wait in a queue. An answer that proves that the API is up makes the circuit flow again.
//
// It begins gated: the first request goes alone, so a wrong key or host costs a handful of requests, not one for
// each worker. Three things gate it: a pause that the API asks for, so that one request finds out whether it is
// over; an outage, with a growing wait before each probe; and a refused key, with a count of the tries that are left.
// An error that ends the run is kept, and nothing is sent after it.
//
// Each change raises gen, and an attempt remembers the gen it was sent under. The result of an attempt that was
// sent before the last change is out of date: sixty 429s of one moment are one pause, and sixty timeouts one outage.
type circuit struct {
	maxOutage time.Duration
	source    string // of the key
	log       *slog.Logger
	limiter   *limiter      // whose rate a 429 lowers; nil: none
	turn      chan struct{} // holds the turn while no attempt has it
	dead      chan struct{} // closed when err is set

	mu       sync.Mutex
	err      error
	gen      int
	flowing  bool
	flows    chan struct{} // closed while flowing
	until    time.Time     // nothing is sent before; zero: no pause
	paused   bool          // by a 429; for the log and for stats
	outage   bool
	trouble  time.Time // when the first attempt failed since the last success
	waits    int       // pauses and probes in a row
	refusals int       // of the key, in a row
	budget   float64
	pauses   int64
	series   pauseSeries
	outages  int64
	answered bool // anything ever came back over the network
}

// ticket is the permission to send one attempt, and must be given back with noteResult or returnTicket.
type ticket struct {
	gen   int
	probe bool
	known bool // a known user is to be asked: see Client.askKnownUser
}

// pauseSeries is a series of pauses, which goes on as long as the rate is higher than the API accepts. It logs each
// change once, so that a night of pauses is a handful of lines. The zero pauseSeries is empty.
type pauseSeries struct {
	pauses  int
	longest time.Duration
	last    time.Time // when the last one was over
}

// seriesEnd is how long no pause may begin for the series to be over: longer than a pace stays at a rate (paceMost).
const seriesEnd = 45 * time.Minute

// notePause counts a pause, and logs the first one, the second one, and those much longer than any before.
func (s *pauseSeries) notePause(log *slog.Logger, now, until time.Time) {
	wait := until.Sub(now)
	s.pauses++
	switch attr := slog.Duration("for", wait.Round(time.Millisecond)); {
	case s.pauses == 1:
		log.Warn("the API asks for a pause", "code", "api_pauses", "status", http.StatusTooManyRequests, attr)
	case wait > 2*s.longest:
		log.Warn("the API asks for a longer pause", "code", "api_pauses", "status", http.StatusTooManyRequests, attr)
	case s.pauses == 2:
		log.Warn("the API keeps asking for pauses; from now on they are only counted", "code", "api_pauses",
			"hint", "the rate is lowered until the API takes it; the summary says what that is")
	}
	s.longest, s.last = max(s.longest, wait), until
}

// notePauseOver logs the end of the first pause of the series.
func (s *pauseSeries) notePauseOver(log *slog.Logger) {
	if s.pauses == 1 {
		log.Info("the pause is over")
	}
}

// endIfOver ends the series, and logs that, if there was no pause for long enough.
func (s *pauseSeries) endIfOver(log *slog.Logger) {
	if s.pauses == 0 || time.Since(s.last) < seriesEnd {
		return
	}
	if s.pauses > 1 {
		log.Info("the API asks for no more pauses", "pauses", s.pauses)
	}
	*s = pauseSeries{}
}

func newCircuit(maxOutage time.Duration, source string, log *slog.Logger) *circuit {
	c := &circuit{
		maxOutage: maxOutage, source: source, log: log, budget: budgetSize,
		turn: make(chan struct{}, 1), dead: make(chan struct{}), flows: make(chan struct{}),
	}
	c.turn <- struct{}{}
	return c
}

// admitAttempt waits until the circuit lets an attempt go, and then for a token of lim. The nth user goes
// before later ones.
func (c *circuit) admitAttempt(ctx context.Context, lim *limiter, nth int64) (t ticket, err error) {
	for {
		c.mu.Lock()
		err, t.gen = c.err, c.gen
		t.known = c.outage && c.waits%2 == 1 // every other probe: neither kind of user may be one that fails anyway
		flowing, flows, until := c.flowing, c.flows, c.until
		c.mu.Unlock()
		switch {
		case err != nil:
			c.returnTicket(t)
			return ticket{}, err
		case !flowing && !t.probe:
			select {
			case <-c.turn:
				t.probe = true
			case <-flows:
			case <-c.dead:
			case <-ctx.Done():
				return ticket{}, context.Cause(ctx)
			}
			continue
		case !until.IsZero():
			if wait := time.Until(until); wait > 0 {
				if err := sleep(ctx, wait, c.dead); err != nil {
					c.returnTicket(t)
					return ticket{}, err
				}
				continue
			}
		}
		if lim == nil {
			return t, nil
		}
		stale := func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.gen != t.gen || c.err != nil
		}
		if err := lim.waitForToken(ctx, c.dead, nth, stale); err != nil && err != errDead {
			c.returnTicket(t)
			return ticket{}, err
		}
		if !stale() {
			return t, nil
		} // else a pause or an outage began meanwhile: the token is lost, which does no harm
	}
}

// returnTicket gives back a ticket whose attempt has no result.
func (c *circuit) returnTicket(t ticket) {
	if t.probe {
		c.turn <- struct{}{}
	}
}

// noteResult records the result of an attempt and the decision about it. during reports that an outage is on: the
// attempt failed because of it, whatever its result was.
func (c *circuit) noteResult(t ticket, d decision, r result) (during bool, err error) {
	switch {
	case r.bad != "" && d.action != actionOutage:
		return c.noteAnswer(t, false), nil
	case d.action == actionDone, d.action == actionFail: // refusing this user also proves that the API is up
		return c.noteAnswer(t, true), nil
	}
	return c.noteFailure(t, d, r)
}

// noteAnswer records an answer. A good one has variants, or refuses this user alone. One that is not good cannot be
// used: it proves only that something listens, so it does not end an outage.
func (c *circuit) noteAnswer(t ticket, good bool) (during bool) {
	defer c.returnTicket(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
	if c.outage && !good && c.err == nil {
		now := time.Now()
		if t.gen == c.gen {
			c.pauseAll(now, c.nextWait())
		}
		_ = c.endRunIfTooLong(now, result{class: "answers that cannot be used"})
		return true // if the run has ended, admitAttempt returns the error
	}
	if good {
		c.series.endIfOver(c.log)
		c.budget = min(c.budget+budgetEarned, budgetSize)
	}
	if t.gen != c.gen || c.trouble.IsZero() && c.flowing {
		return false // the ordinary case
	}
	if c.outage {
		c.budget = budgetSize
		c.log.Info("the API answers again", "after", time.Since(c.trouble).Round(time.Second))
	} else if c.paused {
		c.series.notePauseOver(c.log)
	}
	c.trouble, c.until, c.waits, c.refusals, c.outage, c.paused = time.Time{}, time.Time{}, 0, 0, false, false
	if !c.flowing {
		c.flowing = true
		c.gen++
		close(c.flows)
	}
	return false
}

// everAnswered reports whether anything ever came back over the network.
func (c *circuit) everAnswered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered
}

// noteFailure records any other result.
func (c *circuit) noteFailure(t ticket, d decision, r result) (during bool, err error) {
	defer c.returnTicket(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false, c.err
	}
	now := time.Now()
	if c.trouble.IsZero() {
		c.trouble = now
	}
	c.answered = c.answered || r.status != 0
	current := t.gen == c.gen
	switch d.action {
	case actionFatal:
		if d.err == nil {
			d.err = c.keyRefusedError(r.status)
		}
		return false, c.endRun(d.err)
	case actionPause:
		if current {
			if !c.paused && c.flowing { // else the rate is not why it refuses
				c.limiter.slowDown(now)
			}
			c.paused = true
			c.pauses++
			wait := d.wait
			if wait == 0 {
				wait = c.nextWait()
			}
			c.closeGate() // one request finds out whether it is over
			c.pauseAll(now, wait)
			c.series.notePause(c.log, now, c.until)
		}
	case actionRefuse:
		if current {
			if c.refusals++; c.refusals > maxRefused {
				return false, c.endRun(c.keyRefusedError(r.status))
			}
			c.closeGate()
			c.pauseAll(now, time.Duration(c.refusals)*refusedWait)
		}
		return c.outage, nil // its own count ends it: a refused key must not be treated as an outage
	case actionAgain, actionAsk, actionOutage:
		c.budget--
		if c.outage {
			if current {
				c.pauseAll(now, c.nextWait())
			}
		} else if d.action == actionOutage || c.budget < 0 {
			c.outage = true
			c.outages++
			c.closeGate()
			c.pauseAll(now, c.nextWait())
			c.log.Warn("the API is not available; all users wait while one request at a time tries again",
				"code", "api_outage", "last", r.describe(), "max_outage", c.maxOutage)
		}
	}
	return c.outage, c.endRunIfTooLong(now, r)
}

// stopSending ends all sending: admitAttempt returns err at once from then on.
func (c *circuit) stopSending(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		_ = c.endRun(err)
	}
}

// inOutage reports whether an outage is on.
func (c *circuit) inOutage() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outage
}

// The methods below must be called with c.mu held.

func (c *circuit) keyRefusedError(status int) error {
	return pipeline.WithHint(&AuthError{status, c.source},
		"is it the deployment's key (not the project's or the management API's), and is --server the right region?")
}

func (c *circuit) endRun(err error) error {
	c.err = err
	c.gen++
	close(c.dead)
	return err
}

// endRunIfTooLong ends the run if the trouble has lasted too long.
func (c *circuit) endRunIfTooLong(now time.Time, last result) error {
	if d := now.Sub(c.trouble); d >= c.maxOutage {
		hint := "no user was given up: run the same command again when the API is back"
		if last.status == http.StatusForbidden {
			hint = "it did answer before: was the key withdrawn, or does a firewall block this machine?\n" + hint
		}
		return c.endRun(pipeline.WithHint(&OutageError{d, last.status, last.class}, hint))
	}
	return nil
}

func (c *circuit) closeGate() {
	if c.flowing {
		c.flowing, c.flows = false, make(chan struct{})
	}
	c.gen++
}

// pauseAll has all attempts wait, but not beyond the time when a last attempt decides whether the outage is too long.
func (c *circuit) pauseAll(now time.Time, wait time.Duration) {
	c.until = now.Add(wait)
	if end := c.trouble.Add(c.maxOutage); c.until.After(end) {
		c.until = end
	}
	c.gen++
}

func (c *circuit) nextWait() time.Duration {
	wait := min(probeFirst<<min(c.waits, 10), probeCap)
	c.waits++
	return wait
}
