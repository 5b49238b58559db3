package snapshot

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Tally is a sink that counts. The zero value counts all flags that are answered; [NewTally] also counts flags that
// were asked for and that nobody got. It is used from one goroutine, but for Encode.
type Tally struct {
	Read        int64 // users, failed ones included
	Answered    int64
	Assignments int64 // without not_assigned rows
	Unasked     int64 // assignments that were not asked for, and were dropped
	Failed      map[pipeline.Kind]int64
	Caches      Caches

	unasked map[string]bool // the flags of these: the first maxUnasked
	flags   map[string]*flagTally
	order   []*flagTally // of the last outcome: the next one most likely has the same flags in the same order

	counts sync.Pool // of *Tally, for Encode
}

// flagTally is how many users got each variant of a flag.
type flagTally struct {
	flag string
	few  []VariantCount   // the first ones: most flags have few, and searching them is faster than a map
	many map[string]int64 // the others
}

const fewVariants = 8

func (f *flagTally) countVariant(variant string, users int64) {
	for i := range f.few {
		if f.few[i].Variant == variant {
			f.few[i].Users += users
			return
		}
	}
	// The variant is a part of the answer, all of which it would keep in memory: hence the clones.
	switch _, known := f.many[variant]; {
	case known:
		f.many[variant] += users
	case len(f.few) < fewVariants:
		f.few = append(f.few, VariantCount{strings.Clone(variant), users})
	default:
		if f.many == nil {
			f.many = map[string]int64{}
		}
		f.many[strings.Clone(variant)] = users
	}
}

// NewTally returns a Tally of these flags, which it counts even if nobody gets them; nil: of all that are answered.
func NewTally(flags []string) *Tally {
	t := &Tally{}
	for i, flag := range flags {
		t.flagAt(i, flag)
	}
	return t
}

// Write counts one outcome. It never fails.
func (t *Tally) Write(o *pipeline.Outcome) error {
	t.count(o)
	t.countUnasked(o)
	return nil
}

// count counts an outcome, but not what was not asked for.
func (t *Tally) count(o *pipeline.Outcome) {
	t.Read++
	if o.Err != nil {
		if t.Failed == nil {
			t.Failed = map[pipeline.Kind]int64{}
		}
		t.Failed[o.Err.Kind]++
		return
	}
	t.Answered++
	t.Caches.count(&o.Cache)
	for i := range o.Assignments {
		a := &o.Assignments[i]
		if !a.Assigned {
			continue
		}
		t.Assignments++
		t.flagAt(i, a.FlagKey).countVariant(a.Key, 1)
	}
}

// countUnasked counts what was not asked for: in input order, since the first flags are named.
func (t *Tally) countUnasked(o *pipeline.Outcome) {
	t.Unasked += int64(len(o.Unasked))
	for _, flag := range o.Unasked {
		if !t.unasked[flag] && len(t.unasked) < maxUnasked && len(flag) <= maxUnaskedName {
			if t.unasked == nil {
				t.unasked = map[string]bool{}
			}
			t.unasked[strings.Clone(flag)] = true
		}
	}
}

// Encode counts outcomes, so that Write has only to add the counts.
func (t *Tally) Encode(outcomes []pipeline.Outcome) pipeline.Encoded {
	counts, ok := t.counts.Get().(*Tally)
	if !ok {
		counts = &Tally{}
	}
	for i := range outcomes {
		counts.count(&outcomes[i])
	}
	return encodedTally{t, counts}
}

// encodedTally is counts that are to be added to a tally.
type encodedTally struct{ to, counts *Tally }

// Write adds the counts. It never fails.
func (e encodedTally) Write(outcomes []pipeline.Outcome) error {
	for i := range outcomes {
		e.to.countUnasked(&outcomes[i])
	}
	e.to.addCounts(e.counts)
	e.to.counts.Put(e.counts)
	return nil
}

// addCounts moves the counts of other, but for those of what was not asked for, to t. The names of its flags and
// variants stay, to be used again.
func (t *Tally) addCounts(other *Tally) {
	t.Read += other.Read
	t.Answered += other.Answered
	t.Assignments += other.Assignments
	for kind, n := range other.Failed {
		if t.Failed == nil {
			t.Failed = map[pipeline.Kind]int64{}
		}
		t.Failed[kind] += n
	}
	t.Caches.add(&other.Caches)
	for flag, from := range other.flags {
		for i := range from.few {
			if v := &from.few[i]; v.Users > 0 {
				t.flagAt(noPlace, flag).countVariant(v.Variant, v.Users)
				v.Users = 0
			}
		}
		for variant, users := range from.many {
			t.flagAt(noPlace, flag).countVariant(variant, users)
		}
		from.many = nil
	}
	other.Read, other.Answered, other.Assignments, other.Failed, other.Caches = 0, 0, 0, nil, Caches{}
}

// noPlace is the place of a flag that is not looked for among those of the last outcome.
const noPlace = math.MaxInt

// How many flags that were not asked for a Tally names, and how long their names may be.
const (
	maxUnasked     = 1000
	maxUnaskedName = 1000
)

// UnaskedFlags are the flags that came although they were not asked for, sorted: the first 1,000.
func (t *Tally) UnaskedFlags() []string { return slices.Sorted(maps.Keys(t.unasked)) }

// Caches counts answers by what they say of the caches on their way.
type Caches struct {
	Hit     int64 `json:"hit"`     // a cache answered
	Miss    int64 `json:"miss"`    // the API itself answered
	Unknown int64 `json:"unknown"` // the answer does not tell

	// MaxAge is how many seconds a cache had the oldest answer. nil: no answer has an age.
	MaxAge *int64 `json:"max_age_seconds"`
}

func (c *Caches) count(answer *pipeline.Cache) {
	switch answer.State {
	case pipeline.CacheHit:
		c.Hit++
	case pipeline.CacheMiss:
		c.Miss++
	default:
		c.Unknown++
	}
	if answer.Aged && (c.MaxAge == nil || *c.MaxAge < answer.Age) {
		c.MaxAge = new(answer.Age)
	}
}

// add adds counts.
func (c *Caches) add(other *Caches) {
	c.Hit += other.Hit
	c.Miss += other.Miss
	c.Unknown += other.Unknown
	if age := other.MaxAge; age != nil && (c.MaxAge == nil || *c.MaxAge < *age) {
		c.MaxAge = age
	}
}

// flagAt is the count of the flag that is the i-th of an outcome.
func (t *Tally) flagAt(i int, flag string) *flagTally {
	if i < len(t.order) && t.order[i].flag == flag {
		return t.order[i]
	}
	f := t.flags[flag]
	if f == nil {
		if t.flags == nil {
			t.flags = map[string]*flagTally{}
		}
		f = &flagTally{flag: strings.Clone(flag)}
		t.flags[f.flag] = f
	}
	if i < len(t.order) {
		t.order[i] = f
	} else if i == len(t.order) {
		t.order = append(t.order, f)
	}
	return f
}

// Close does nothing.
func (t *Tally) Close() error { return nil }

// FailedUsers is the sum over the kinds.
func (t *Tally) FailedUsers() int64 {
	var n int64
	for _, failed := range t.Failed {
		n += failed
	}
	return n
}

// VariantCount is how many users got one variant.
type VariantCount struct {
	Variant string `json:"variant"`
	Users   int64  `json:"users"`
}

// FlagCount counts the users of one flag. Assigned + NotAssigned is the answered users.
type FlagCount struct {
	Flag        string         `json:"flag"`
	Assigned    int64          `json:"assigned"`
	NotAssigned int64          `json:"not_assigned"`
	Variants    []VariantCount `json:"variants"` // sorted by variant
}

// Flags is the counts of each flag, sorted by flag.
func (t *Tally) Flags() []FlagCount {
	counts := []FlagCount{}
	for _, flag := range slices.Sorted(maps.Keys(t.flags)) {
		c := FlagCount{Flag: flag, Variants: []VariantCount{}}
		c.Variants = append(c.Variants, t.flags[flag].few...)
		for variant, users := range t.flags[flag].many {
			c.Variants = append(c.Variants, VariantCount{variant, users})
		}
		slices.SortFunc(c.Variants, func(a, b VariantCount) int { return strings.Compare(a.Variant, b.Variant) })
		for _, v := range c.Variants {
			c.Assigned += v.Users
		}
		c.NotAssigned = t.Answered - c.Assigned
		counts = append(counts, c)
	}
	return counts
}

// Nobody is the flags that no user got, sorted. It is empty if no user was answered.
func (t *Tally) Nobody() []string {
	flags := []string{}
	if t.Answered == 0 {
		return flags
	}
	for _, c := range t.Flags() {
		if c.Assigned == 0 {
			flags = append(flags, c.Flag)
		}
	}
	return flags
}
