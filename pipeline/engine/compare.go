package engine

import (
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Comparison evaluates flags as a [Plan] does, and finds which of them the other semantics answer otherwise for a
// user. It evaluates a second time only what can differ: flags with a condition on which the semantics can differ for
// any text (a regular expression, a value that is a number or a version for one of them only, a value of "set
// contains" that is there twice), which is known when it is made; all flags of a user of whom a value was read on
// which they can differ (a number that is not a plain integer, an object, a list with an empty text, a text that
// begins with a bracket and is not a JSON array of plain texts, a group that is not a list of texts; where an order
// was asked for, what is not a plain number or version; where "set is not" or "regex does not match" was, none at
// all); and flags that read the result of one that differs. It is safe for concurrent use.
type Comparison struct {
	plan, other *Plan
	flags       []comparedFlag // by flag
	always      bool           // some flag of the plan is evaluated twice for every user
}

// comparedFlag is what a Comparison knows about a flag.
type comparedFlag struct {
	left   bool    // not compared: one of the engines cannot run it
	always bool    // it is evaluated twice for every user
	reads  []int32 // the flags whose results it reads
	shift  result  // what to add to a result to get the other engine's
}

// Compare returns the comparison of the plan with the other semantics.
func (p *Plan) Compare() (*Comparison, error) {
	e := p.engine
	o, err := ParseLenient(e.Configs(nil), e.semantics.other())
	if err != nil {
		return nil, err
	}
	c := &Comparison{plan: p, other: &Plan{engine: o, order: p.order, asked: p.asked}} // the flags are numbered alike
	c.flags = make([]comparedFlag, len(e.flags))
	for i := range c.flags {
		f, g := &e.flags[i], &o.flags[i]
		c.flags[i].shift = result(g.variants[0] - f.variants[0])
	}
	for _, engine := range []*Engine{e, o} {
		for _, u := range engine.unanswered {
			c.flags[e.index[u.Flag]].left = true
		}
	}
	for _, i := range p.order {
		f := &c.flags[i]
		if f.left {
			continue
		}
		f.always, f.reads = canDiffer(e, o, &e.flags[i], &o.flags[i])
		c.always = c.always || f.always
	}
	return c, nil
}

// canDiffer reports whether the engines can differ on the flag for a user whose values are plain, if the results that
// it reads are the same. It returns the flags that these are of.
func canDiffer(e, o *Engine, f, g *flag) (always bool, reads []int32) {
	selector := func(i, j int32) {
		s, t := &e.selectors[i], &o.selectors[j]
		always = always || s.root != t.root || s.root == rootWhole
		for _, s := range []*selector{s, t} {
			if s.root == rootResult && !slices.Contains(reads, s.flag) {
				reads = append(reads, s.flag)
			}
		}
	}
	for i := range f.segments {
		s, t := &f.segments[i], &g.segments[i]
		if s.bucket != nil {
			selector(s.bucket.selector, t.bucket.selector)
		}
		for j := range s.conditions {
			for k := range s.conditions[j] {
				c, d := &s.conditions[j][k], &t.conditions[j][k]
				selector(c.selector, d.selector)
				if c.answers != nil && d.answers != nil {
					always = always || !slices.Equal(c.answers, d.answers)
				} else {
					always = always || c.differsOnPlain(d) || e.selectors[c.selector].root == rootResult
				}
			}
		}
	}
	return always, reads
}

// differsOnPlain reports whether the condition, compiled for both semantics, can differ for a value after which the
// state of an evaluation is not odd: a text, or a list of texts none of which is empty; for an order, a plain number or
// version.
func (c *condition) differsOnPlain(d *condition) bool {
	switch c.op {
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return len(c.numbers) == 0 || !slices.EqualFunc(c.numbers, d.numbers, func(a, b float64) bool {
			return compareDoubles(a, b) == 0
		})
	case opVersionLess, opVersionLessEqual, opVersionGreater, opVersionGreaterEqual:
		return len(c.versions) == 0 && len(d.versions) > 0 || !slices.Equal(c.versions, d.versions)
	case opRegex, opRegexNot:
		return true
	case opSetContains, opSetContainsNot:
		return c.set.size != len(c.values) // a value is there twice
	}
	return false
}

// Semantics returns the other semantics, with which the plan's are compared.
func (c *Comparison) Semantics() Semantics { return c.other.engine.semantics }

// Skipped returns the flags that are asked for and not compared, because one of the engines cannot run a regular
// expression of theirs or of a flag that they depend on.
func (c *Comparison) Skipped() []string {
	var keys []string
	for _, i := range c.plan.asked {
		if c.flags[i].left {
			keys = append(keys, c.plan.engine.flags[i].info.Key)
		}
	}
	return keys
}

// Append is [Plan.Append]. It also appends to differ the positions in [Engine.Flags] of the flags that the other
// semantics answer otherwise: with another variant, payload or experiment, or with none.
func (c *Comparison) Append(dst []*Variant, differ []int, u *pipeline.User) ([]*Variant, []int) {
	e := c.plan.engine
	st := e.states.Get().(*state)
	st.evaluate(c.plan, u, len(c.plan.order))
	for _, i := range c.plan.asked {
		if r := st.results[i]; r != 0 {
			dst = append(dst, e.variants[r-1])
		}
	}
	if c.always || st.odd {
		differ = c.compare(differ, st)
	}
	st.reset(c.plan)
	e.states.Put(st)
	return dst, differ
}

// compare evaluates with the other semantics what can differ for the user of st, who has been evaluated.
func (c *Comparison) compare(differ []int, st *state) []int {
	o := c.other.engine
	ot := o.states.Get().(*state)
	ot.begin(c.other, st.user)
	differs := func(i int32) bool { return ot.results[i] != c.shifted(i, st.results[i]) }
	changed := false
	for k, i := range c.plan.order {
		f := &c.flags[i]
		if f.left || !f.always && !st.odd && !(changed && slices.ContainsFunc(f.reads, differs)) {
			ot.results[i] = c.shifted(i, st.results[i])
			continue
		}
		ot.done = k
		ot.results[i] = o.flags[i].evaluate(ot)
		changed = changed || differs(i)
	}
	if changed {
		for _, i := range c.plan.asked {
			if differs(i) && !sameAnswer(c.plan.engine.answerOf(st.results[i]), o.answerOf(ot.results[i])) {
				differ = append(differ, int(i))
			}
		}
	}
	ot.reset(c.other)
	o.states.Put(ot)
	return differ
}

// shifted returns the result of a flag as the other engine numbers it.
func (c *Comparison) shifted(i int32, r result) result {
	if r == 0 {
		return 0
	}
	return r + c.flags[i].shift
}

// answerOf returns the variant of a result, if the API would list it; nil otherwise.
func (e *Engine) answerOf(r result) *Variant {
	if r == 0 || !e.variants[r-1].answered {
		return nil
	}
	return e.variants[r-1]
}

// sameAnswer reports whether a client sees the same: the metadata, which names the segment, may differ.
func sameAnswer(a, b *Variant) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Key == b.Key && a.Value == b.Value && a.Payload == b.Payload && a.ExperimentKey == b.ExperimentKey
}
