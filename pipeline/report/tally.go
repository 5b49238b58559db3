package report

import (
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Tally is a sink that counts. The zero value counts all flags that are answered; [NewTally] also those that
// were asked for and are not. It is used from one goroutine.
type Tally struct {
	Read        int64 // users, failed ones included
	Answered    int64
	Assignments int64 // without not_assigned rows
	Unasked     int64 // assignments that came without having been asked for, and were dropped
	Failed      map[pipeline.Kind]int64

	flags map[string]map[string]int64 // by flag, by variant
}

// NewTally counts flags, all of them also where nobody gets them. With none it counts what is answered.
func NewTally(flags []string) *Tally {
	t := &Tally{flags: make(map[string]map[string]int64, len(flags))}
	for _, flag := range flags {
		t.flags[flag] = map[string]int64{}
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
	t.Unasked += int64(o.Unasked)
	for i := range o.Assignments {
		a := &o.Assignments[i]
		if !a.Assigned {
			continue
		}
		t.Assignments++
		variants := t.flags[a.FlagKey]
		if variants == nil {
			if t.flags == nil {
				t.flags = map[string]map[string]int64{}
			}
			variants = map[string]int64{}
			t.flags[strings.Clone(a.FlagKey)] = variants // the key is part of an answer, which it would keep alive
		}
		if _, known := variants[a.Key]; known {
			variants[a.Key]++
		} else {
			variants[strings.Clone(a.Key)] = 1
		}
	}
	return nil
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

// FlagCount is who got what of one flag. Assigned + NotAssigned is the answered users.
type FlagCount struct {
	Flag        string         `json:"flag"`
	Assigned    int64          `json:"assigned"`
	NotAssigned int64          `json:"not_assigned"`
	Variants    []VariantCount `json:"variants"` // sorted by variant
}

// Flags are the counts of each flag, sorted by flag.
func (t *Tally) Flags() []FlagCount {
	counts := []FlagCount{}
	for _, flag := range slices.Sorted(maps.Keys(t.flags)) {
		c := FlagCount{Flag: flag, Variants: []VariantCount{}}
		for _, variant := range slices.Sorted(maps.Keys(t.flags[flag])) {
			users := t.flags[flag][variant]
			c.Variants = append(c.Variants, VariantCount{variant, users})
			c.Assigned += users
		}
		c.NotAssigned = t.Answered - c.Assigned
		counts = append(counts, c)
	}
	return counts
}

// Nobody are the flags that no user got, sorted. It says nothing where nobody was answered.
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
