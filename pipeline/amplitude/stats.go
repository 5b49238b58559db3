package amplitude

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what a client has done so far.
type Stats struct {
	Requests int64 // on the wire: requests that were written to a connection
	Retries  int64 // attempts for a user after its first
	Pauses   int64 // how often the API asked for one
	Outages  int64

	Statuses        map[int]int64    // answers by status
	TransportErrors map[string]int64 // attempts without an answer, by class; the keys of classWords

	MostInFlight int     // requests at a time
	FoundRate    float64 // about how many requests a second the API takes; 0: it never refused so many

	// First and Last are when attempts went out: the last one, and the second one about a user, because the first one
	// goes alone.
	First, Last   time.Time
	EffectiveRate float64 // attempts a second from First to Last

	// Latency from the request to the end of the answer's body, accurate to 6 %.
	P50, P90, P99, Max time.Duration

	// Latencies counts the answers by latency, for a histogram with the bounds of LatencyBounds: Latencies[i] took at most
	// LatencyBounds[i], those that the counts before it have included.
	Latencies    []uint64
	LatencyCount uint64        // of all answers
	LatencySum   time.Duration // of all answers
}

// LatencyBounds are the bounds of Stats.Latencies.
var LatencyBounds = []time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second,
}

// counters are safe for concurrent use.
type counters struct {
	requests, attempts, retries atomic.Int64
	first, last                 atomic.Int64 // Unix nanoseconds
	statuses                    [600]atomic.Int64
	latency                     histogram
	inFlight, mostInFlight      atomic.Int64

	mu      sync.Mutex
	classes map[string]int64
}

// countSent counts an attempt about a user.
func (c *counters) countSent(at time.Time) {
	n := at.UnixNano()
	if c.attempts.Add(1) > 1 {
		c.first.CompareAndSwap(0, n)
	}
	c.last.Store(n)
}

// beginRequest counts a request as in flight, until the returned function is called.
func (c *counters) beginRequest() (end func()) {
	n := c.inFlight.Add(1)
	for most := c.mostInFlight.Load(); n > most && !c.mostInFlight.CompareAndSwap(most, n); {
		most = c.mostInFlight.Load()
	}
	return c.endRequest
}

func (c *counters) endRequest() { c.inFlight.Add(-1) }

func (c *counters) countAnswer(status int, latency time.Duration) {
	if status >= 0 && status < len(c.statuses) {
		c.statuses[status].Add(1)
	}
	c.latency.addDuration(latency)
}

func (c *counters) countFailure(class string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.classes == nil {
		c.classes = map[string]int64{}
	}
	c.classes[class]++
}

func (c *counters) snapshotStats() Stats {
	s := Stats{
		Requests: c.requests.Load(), Retries: c.retries.Load(),
		Statuses: map[int]int64{}, TransportErrors: map[string]int64{},
		P50: c.latency.quantile(0.50), P90: c.latency.quantile(0.90), P99: c.latency.quantile(0.99),
		Max: time.Duration(c.latency.max.Load()), MostInFlight: int(c.mostInFlight.Load()),
	}
	s.Latencies, s.LatencyCount = c.latency.countUpTo(LatencyBounds)
	s.LatencySum = time.Duration(c.latency.sum.Load())
	for status := range c.statuses {
		if n := c.statuses[status].Load(); n > 0 {
			s.Statuses[status] = n
		}
	}
	c.mu.Lock()
	for class, n := range c.classes {
		s.TransportErrors[class] = n
	}
	c.mu.Unlock()
	if first, last := c.first.Load(), c.last.Load(); first != 0 {
		s.First, s.Last = time.Unix(0, first), time.Unix(0, last)
		if d := s.Last.Sub(s.First); d > 0 {
			s.EffectiveRate = float64(c.attempts.Load()-2) / d.Seconds()
		}
	}
	return s
}

// histogram counts durations in buckets that are a sixteenth of a power of two of microseconds wide.
type histogram struct {
	counts [64 * 16]atomic.Int64
	max    atomic.Int64
	sum    atomic.Int64
}

func (h *histogram) addDuration(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
	for {
		old := h.max.Load()
		if int64(d) <= old || h.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < 16 {
		return int(us)
	}
	shift := bits.Len64(us) - 5 // us>>shift is in [16, 32)
	return shift*16 + int(us>>shift)
}

// bucketEnd returns the end of a bucket.
func bucketEnd(bucket int) time.Duration {
	if bucket < 16 {
		return time.Duration(bucket+1) * time.Microsecond
	}
	shift := bucket/16 - 1
	return time.Duration((uint64(bucket%16)+17)<<shift) * time.Microsecond
}

// countUpTo counts the durations that are at most each of the bounds, which ascend, and all durations. A bucket counts
// for a bound if it ends there or before, so the counts are as exact as the buckets.
func (h *histogram) countUpTo(bounds []time.Duration) (upTo []uint64, total uint64) {
	upTo = make([]uint64, len(bounds))
	at := 0
	for i := range h.counts {
		for at < len(bounds) && bucketEnd(i) > bounds[at] {
			upTo[at] = total
			at++
		}
		total += uint64(h.counts[i].Load())
	}
	return upTo, total
}

func (h *histogram) quantile(q float64) time.Duration {
	total := int64(0)
	for i := range h.counts {
		total += h.counts[i].Load()
	}
	rank, seen := int64(q*float64(total)), int64(0)
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen > rank {
			return min(bucketEnd(i), time.Duration(h.max.Load()))
		}
	}
	return time.Duration(h.max.Load())
}
