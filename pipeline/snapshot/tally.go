package snapshot

import (
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Tally is a sink that counts. The zero value counts all flags that are answered; [NewTally] also counts flags that
// were asked for and that nobody got. It is used from one goroutine.
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
}

// flagTally is how many users got each variant of a flag.
type flagTally struct {
	flag string
	few  []VariantCount   // the first ones: most flags have few, and searching them is faster than a map
	many map[string]int64 // the others
}

const fewVariants = 8

func (f *flagTally) countVariant(variant string) {
	for i := range f.few {
		if f.few[i].Variant == variant {
			f.few[i].Users++
			return
		}
	}
	// The variant is a part of the answer, all of which it would keep in memory: hence the clones.
	switch _, known := f.many[variant]; {
	case known:
		f.many[variant]++
	case len(f.few) < fewVariants:
		f.few = append(f.few, VariantCount{strings.Clone(variant), 1})
	default:
		if f.many == nil {
			f.many = map[string]int64{}
		}
		f.many[strings.Clone(variant)] = 1
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
	t.Read++
	if o.Err != nil {
		if t.Failed == nil {
			t.Failed = map[pipeline.Kind]int64{}
		}
		t.Failed[o.Err.Kind]++
		return nil
	}
	t.Answered++
	t.Caches.count(&o.Cache)
	t.Unasked += int64(len(o.Unasked))
	for _, flag := range o.Unasked {
		if !t.unasked[flag] && len(t.unasked) < maxUnasked && len(flag) <= maxUnaskedName {
			if t.unasked == nil {
				t.unasked = map[string]bool{}
			}
			t.unasked[strings.Clone(flag)] = true
		}
	}
	for i := range o.Assignments {
		a := &o.Assignments[i]
		if !a.Assigned {
			continue
		}
		t.Assignments++
		t.flagAt(i, a.FlagKey).countVariant(a.Key)
	}
	return nil
}

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
