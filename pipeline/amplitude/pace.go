package amplitude

import (
	"sync"
	"time"
)

const (
	paceLeast = 0.1             // requests a second that no refusal goes below
	paceShare = 0.975           // of the rate that was refused: where a pace stays
	paceHold  = 2 * time.Minute // how long it stays there at first
	paceMost  = 30 * time.Minute
	paceTick  = time.Second      // between two steps back to where it stays
	paceStep  = 10 * time.Second // between two steps beyond
)

// pace finds the rate that the API takes, as congestion control does. A refusal (a 429) halves the rate. It then
// returns within seconds to a little less than what was refused, and stays there for minutes: longer each time that
// the same rate is refused. After that it tries more, step by step, up to its ceiling. It is safe for concurrent use.
type pace struct {
	ceiling float64

	mu      sync.Mutex
	rate    float64       // requests a second now
	refused float64       // the rate that was refused last; 0: none, or it is out of date
	hold    time.Duration // how long to stay at paceShare of that
	growth  float64       // the next step beyond, as a share of the rate
	next    time.Time     // when the next step may be
	found   float64       // what the API takes, for Stats; 0: it never refused
}

// newPace starts at a rate, which is at most the ceiling.
func newPace(start, ceiling float64) *pace {
	return &pace{ceiling: ceiling, rate: min(start, ceiling)}
}

// lowerRate records that the API refused a request because of the rate.
func (p *pace) lowerRate(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused > 0 && p.rate > 0.9*p.refused && p.rate < 1.1*p.refused {
		p.hold = min(2*p.hold, paceMost)
	} else {
		p.hold = paceHold
	}
	p.refused, p.growth = p.rate, 0
	p.found = paceShare * p.rate
	p.rate = max(p.rate/2, min(paceLeast, p.ceiling))
	p.next = now.Add(paceTick)
}

// raiseRate takes the next step if it is time for one, and returns the rate.
func (p *pace) raiseRate(now time.Time) (perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate >= p.ceiling || now.Before(p.next) {
		return p.rate
	}
	switch stay := min(paceShare*p.refused, p.ceiling); {
	case p.rate < stay:
		p.rate = min(stay, p.rate+max((stay-p.rate)/2, p.refused/100))
		p.next = now.Add(paceTick)
		if p.rate == stay {
			p.next = now.Add(p.hold)
		}
	case p.next.IsZero(): // nothing was refused yet
		p.next = now.Add(paceStep)
		return p.rate
	default:
		p.growth = min(max(2*p.growth, 0.01), 0.1)
		p.rate = min(p.ceiling, p.rate*(1+p.growth))
		p.next = now.Add(paceStep)
		if p.refused > 0 && p.rate > 1.1*p.refused {
			p.found = max(p.found, p.rate) // it takes more than it did
		}
	}
	return p.rate
}

// foundRate is about what the API takes a second; 0 if it never refused anything.
func (p *pace) foundRate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found
}
