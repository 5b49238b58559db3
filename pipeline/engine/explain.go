package engine

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Explanation says why a user gets what a flag gives. Its JSON is what `rollcall explain --format json` prints.
type Explanation struct {
	Flag         string       `json:"flag"`
	Variant      *string      `json:"variant"`  // its key; nil: none
	Answered     bool         `json:"answered"` // whether the v1 API would list it
	Default      bool         `json:"default"`  // why not: this, or one of the next two
	Deployed     bool         `json:"deployed"`
	FlagType     string       `json:"flag_type"`
	Unanswered   string       `json:"unanswered,omitempty"` // why [ParseLenient] left the flag unanswered
	Dependencies []Dependency `json:"dependencies"`
	Segments     []Trace      `json:"segments"`        // those that were evaluated; the last one decided if Variant is set
	Other        *Difference  `json:"other,omitempty"` // what the other semantics give, if that is another answer
}

// Dependency is the result of a flag that another one depends on.
type Dependency struct {
	Flag    string  `json:"flag"`
	Variant *string `json:"variant"`
}

// Trace is what happened at one segment.
type Trace struct {
	Segment int    `json:"segment"` // its position, from 1
	Name    string `json:"name"`    // the metadata's segmentName
	Matched bool   `json:"matched"`
	// the lists, as far as they were evaluated; all conditions of one list have to hold; nil: every user matches
	Conditions [][]Check `json:"conditions"`
	Bucketing  *Bucketed `json:"bucketing"` // nil: it does not bucket, or did not match
	Variant    *string   `json:"variant"`   // what it gives; nil: nothing, and the next segment is tried
}

// Check is a condition and the value that it was checked against.
type Check struct {
	Selector []string       `json:"selector"`
	Op       string         `json:"op"`
	Values   []string       `json:"values"`
	Seen     jsontext.Value `json:"seen"` // null: no value
	Holds    bool           `json:"holds"`
}

// Bucketed says in which bucket of a segment the user is.
type Bucketed struct {
	Selector     []string      `json:"selector"`
	Value        *string       `json:"value"` // nil: no value, and the rest is empty
	Salt         string        `json:"salt"`
	Hash         uint32        `json:"hash"`         // murmur3 of salt + "/" + value
	Percent      uint32        `json:"percent"`      // hash % 100
	Position     uint32        `json:"position"`     // hash / 100
	Allocations  []Range       `json:"allocations"`  // all of them, of percents
	Allocation   *Range        `json:"allocation"`   // the one that contains the user; nil: none
	Distribution *Distribution `json:"distribution"` // nil: none, and the segment gives its own variant
}

// Range is the half-open range [Start, End).
type Range struct {
	Start uint32 `json:"start"`
	End   uint32 `json:"end"`
}

// Distribution is a range of positions that gives a variant. If the flag does not have the variant, the
// segment gives nothing.
type Distribution struct {
	Range
	Variant string `json:"variant"`
}

// Explain evaluates the flags for u as Append does, with the same conditions and buckets, and returns an
// Explanation for each flag of the plan that was asked for, sorted by key.
func (p *Plan) Explain(u *pipeline.User) []Explanation {
	e := p.engine
	st := e.newState()
	st.number, st.plan, st.user = 1, p, u
	all := make([]Explanation, len(e.flags))
	for k, i := range p.order {
		st.done = k
		st.results[i] = e.flags[i].explainFlag(st, &all[i])
	}
	explanations := make([]Explanation, len(p.asked))
	for k, i := range p.asked {
		explanations[k] = all[i]
		for _, unanswered := range e.unanswered {
			if unanswered.Flag == all[i].Flag {
				explanations[k].Unanswered = unanswered.Path + ": " + unanswered.Err.Error()
			}
		}
	}
	return explanations
}

// explainFlag is evaluate, but also records what it sees.
func (f *flag) explainFlag(st *state, x *Explanation) result {
	*x = Explanation{Flag: f.info.Key, Deployed: f.info.Deployed, FlagType: f.info.FlagType, Dependencies: []Dependency{},
		Segments: []Trace{}}
	for _, i := range f.dependencies {
		x.Dependencies = append(x.Dependencies, Dependency{st.engine.flags[i].info.Key, st.keyOf(st.results[i])})
	}
	for i := range f.segments {
		s := &f.segments[i]
		t := Trace{Segment: i + 1, Name: s.name, Matched: s.always}
		if !s.always {
			t.Conditions, t.Matched = s.traceConditions(st)
		}
		r := result(0)
		if t.Matched {
			r = s.pickVariant(st)
			t.Variant = st.keyOf(r)
			if s.bucket != nil {
				t.Bucketing = s.bucket.explainBucket(st)
			}
		}
		x.Segments = append(x.Segments, t)
		if r != 0 {
			v := st.engine.variants[r-1]
			x.Variant, x.Answered, x.Default, x.Deployed, x.FlagType = &v.Key, v.answered, v.Default, v.Deployed, v.FlagType
			return r
		}
	}
	return 0
}

// keyOf returns the key of a result's variant; nil: none.
func (st *state) keyOf(r result) *string {
	if r == 0 {
		return nil
	}
	return &st.engine.variants[r-1].Key
}

// traceConditions is matches, but also records what it sees.
func (s *segment) traceConditions(st *state) (lists [][]Check, matched bool) {
	lists = [][]Check{}
	for i := range s.conditions {
		list, holds := []Check{}, true
		for j := 0; j < len(s.conditions[i]) && holds; j++ {
			check := s.conditions[i][j].check(st)
			list, holds = append(list, *check), check.Holds
		}
		if lists = append(lists, list); holds {
			return lists, true
		}
	}
	return lists, false
}

// check returns the condition and what it sees.
func (c *condition) check(st *state) *Check {
	check := &Check{Selector: c.config.Selector, Op: c.config.Op, Values: c.config.Values, Seen: jsontext.Value("null"),
		Holds: c.holds(st)}
	if v := st.loadSlot(c.selector); v.value != nil {
		check.Seen = v.value.AppendJSON(nil)
	}
	return check
}

func (b *bucket) explainBucket(st *state) *Bucketed {
	out := &Bucketed{Selector: b.config.Selector, Salt: *b.config.Salt, Allocations: []Range{}}
	for _, a := range b.allocations {
		out.Allocations = append(out.Allocations, Range{a.start, a.end})
	}
	value := st.loadSlot(b.selector).asBucketing(st.engine.rules)
	if value == "" {
		return out
	}
	out.Value = &value
	out.Hash = b.salt.hashValue(value)
	out.Percent, out.Position = out.Hash%100, out.Hash/100
	for i, a := range b.allocations {
		if out.Percent < a.start || out.Percent >= a.end {
			continue
		}
		out.Allocation = &Range{a.start, a.end}
		for j, d := range a.distributions {
			if out.Position < d.start || out.Position >= d.end {
				continue
			}
			out.Distribution = &Distribution{Range: Range{d.start, d.end}}
			if name := b.config.Allocations[i].Distributions[j].Variant; name != nil {
				out.Distribution.Variant = *name
			}
			return out
		}
	}
	return out
}
