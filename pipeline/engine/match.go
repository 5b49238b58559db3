package engine

import (
	"regexp"
	"slices"
)

// op is an operator of a condition.
type op uint8

const (
	opUnknown op = iota // never matches, as in the reference
	opIs
	opIsNot
	opContains
	opContainsNot
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opVersionLess
	opVersionLessEqual
	opVersionGreater
	opVersionGreaterEqual
	opSetIs
	opSetIsNot
	opSetContains
	opSetContainsNot
	opSetContainsAny
	opSetContainsAnyNot
	opRegex
	opRegexNot
)

var ops = map[string]op{
	"is":                       opIs,
	"is not":                   opIsNot,
	"contains":                 opContains,
	"does not contain":         opContainsNot,
	"less":                     opLess,
	"less or equal":            opLessEqual,
	"greater":                  opGreater,
	"greater or equal":         opGreaterEqual,
	"version less":             opVersionLess,
	"version less or equal":    opVersionLessEqual,
	"version greater":          opVersionGreater,
	"version greater or equal": opVersionGreaterEqual,
	"set is":                   opSetIs,
	"set is not":               opSetIsNot,
	"set contains":             opSetContains,
	"set does not contain":     opSetContainsNot,
	"set contains any":         opSetContainsAny,
	"set does not contain any": opSetContainsAnyNot,
	"regex match":              opRegex,
	"regex does not match":     opRegexNot,
}

// isOrder reports whether the operator compares numbers or versions.
func (o op) isOrder() bool { return opLess <= o && o <= opVersionGreaterEqual }

// condition is a compiled condition. Only the prepared values that its operator needs are set.
type condition struct {
	selector int32
	op       op
	missing  bool // whether it holds for a missing value
	texts    bool // an order: a value that is no number, or no version, is compared as text

	least int // set contains: how many elements the list must have; of a set, how many different ones

	// For a condition on another flag's result: whether it holds without a result, and for each variant of that flag
	// from the first on. nil: not precomputed.
	flag    int32
	first   int32 // ID of the first variant
	answers []bool

	set      valueSet // is: the values with booleans in lower case; set is: as they are
	values   []string // as configured
	lower    []string // contains
	numbers  []float64
	versions []version
	regexes  []*regexp.Regexp
	config   *conditionConfig
}

// holds reports whether the condition holds for the current user.
func (c *condition) holds(st *state) bool {
	if c.answers != nil {
		r := st.results[c.flag]
		if r != 0 {
			r -= c.first
		}
		return c.answers[r]
	}
	v := &st.slots[c.selector]
	if v.user != st.number {
		st.fillSlot(v, &st.engine.selectors[c.selector])
	}
	if c.op == opIs && v.shape == shapeScalar { // the common case
		return c.set.indexOf(canonBool(v.text)) >= 0
	}
	return c.matchSlot(st, v)
}

// maxAnswers bounds the total length of all condition.answers. Real deployments need a few hundred.
const maxAnswers = 1 << 20

// precomputeAnswers evaluates the conditions on other flags' results in advance, which is possible because a flag has
// few results.
func (e *Engine) precomputeAnswers() {
	st, left := e.newState(), maxAnswers
	st.number++ // so that the slots, which have number 0, are stale
	for i := range e.flags {
		for j := range e.flags[i].segments {
			for _, list := range e.flags[i].segments[j].conditions {
				for k := range list {
					c := &list[k]
					s := &e.selectors[c.selector]
					if s.root != rootResult {
						continue
					}
					from, to := e.flags[s.flag].variants[0], e.flags[s.flag].variants[1]
					if left -= int(to - from + 1); left < 0 {
						return
					}
					answers := []bool{c.matchSlot(st, st.loadSlot(c.selector))}
					for id := from; id < to; id++ {
						st.results[s.flag] = id + 1
						answers = append(answers, c.matchSlot(st, st.loadSlot(c.selector)))
					}
					st.results[s.flag] = 0
					c.answers, c.flag, c.first = answers, s.flag, from
				}
			}
		}
	}
}

// valueSet is a set of strings. A few are compared one by one, which is faster than hashing.
type valueSet struct {
	few  []string
	many map[string]int32 // to 0, 1, …
	size int
}

func newValueSet(values []string, canon func(string) string) valueSet {
	var distinct []string
	many := map[string]int32{}
	for _, v := range values {
		v = canon(v)
		if _, ok := many[v]; !ok {
			many[v] = int32(len(distinct))
			distinct = append(distinct, v)
		}
	}
	if len(distinct) <= 8 {
		return valueSet{few: distinct, size: len(distinct)}
	}
	return valueSet{many: many, size: len(distinct)}
}

// keepString keeps a value as it is.
func keepString(s string) string { return s }

// indexOf returns the number of v in the set, or -1.
func (s *valueSet) indexOf(v string) int {
	if s.many == nil {
		for i := range s.few {
			if s.few[i] == v {
				return i
			}
		}
		return -1
	}
	if i, ok := s.many[v]; ok {
		return int(i)
	}
	return -1
}

// matchSlot reports whether the condition holds for the value at its selector.
func (c *condition) matchSlot(st *state, v *slot) bool {
	switch v.shape {
	case shapeMissing:
		st.odd = st.odd || c.op == opSetIsNot || c.op == opRegexNot
		return c.missing
	case shapeList:
		switch c.op {
		case opSetIs:
			return c.setEqual(st, v.list)
		case opSetIsNot:
			return !c.setEqual(st, v.list)
		case opSetContains:
			return c.setContainsAll(st, v.list)
		case opSetContainsNot:
			return !c.setContainsAll(st, v.list)
		case opSetContainsAny:
			return c.setContainsAny(v.list)
		case opSetContainsAnyNot:
			return !c.setContainsAny(v.list)
		}
		st.odd = st.odd || c.op.isOrder()
		for _, s := range v.list { // one element that matches is enough, also for a negated operator
			if c.matchString(s, st.engine.rules) {
				return true
			}
		}
		return false
	}
	switch c.op { // the slot caches these conversions
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		n, ok := v.asNumber(st.engine.rules)
		st.odd = st.odd || !v.numPlain
		return c.compareNumber(v.text, n, ok)
	case opVersionLess, opVersionLessEqual, opVersionGreater, opVersionGreaterEqual:
		version, ok := v.asVersion(st.engine.rules)
		st.odd = st.odd || !ok || !version.isPlain(v.text)
		return c.compareVersion(v.text, version, ok)
	}
	return c.matchString(v.text, st.engine.rules)
}

// holdsMissing reports whether the operator holds for a missing value; none means that "(none)" is among the values.
func (o op) holdsMissing(none bool, r *rules) bool {
	switch o {
	case opIs, opContains, opLess, opLessEqual, opGreater, opGreaterEqual,
		opVersionLess, opVersionLessEqual, opVersionGreater, opVersionGreaterEqual,
		opSetIs, opSetContains, opSetContainsAny:
		return none
	case opIsNot, opContainsNot, opSetContainsNot, opSetContainsAnyNot:
		return !none
	case opSetIsNot, opRegexNot:
		return r.missing
	}
	return false
}

func (c *condition) matchString(s string, r *rules) bool {
	switch c.op {
	case opIs:
		return c.set.indexOf(canonBool(s)) >= 0
	case opIsNot:
		return c.set.indexOf(canonBool(s)) < 0
	case opContains:
		return c.matchContains(s)
	case opContainsNot:
		return !c.matchContains(s)
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		n, ok := r.number(s)
		return c.compareNumber(s, n, ok)
	case opVersionLess, opVersionLessEqual, opVersionGreater, opVersionGreaterEqual:
		version, ok := r.version(s)
		return c.compareVersion(s, &version, ok)
	case opRegex:
		return c.matchRegex(r.spell(s))
	case opRegexNot:
		return !c.matchRegex(r.spell(s))
	}
	return false // a set operator on a value that is not a list
}

func (c *condition) matchContains(s string) bool {
	for _, needle := range c.lower {
		if containsLower(s, needle) {
			return true
		}
	}
	return false
}

// compareNumber reports whether the operator holds for s and any of the values. If s is a number (ok, and n is it), and
// some of the values are, those are compared as numbers; otherwise all are compared as texts, or none is.
func (c *condition) compareNumber(s string, n float64, ok bool) bool {
	if !ok || len(c.numbers) == 0 {
		return c.compareText(s)
	}
	for _, w := range c.numbers {
		if c.acceptsOrder(compareDoubles(n, w)) {
			return true
		}
	}
	return false
}

// compareVersion is compareNumber for versions.
func (c *condition) compareVersion(s string, v *version, ok bool) bool {
	if !ok || len(c.versions) == 0 {
		return c.compareText(s)
	}
	for i := range c.versions {
		if c.acceptsOrder(v.compare(&c.versions[i])) {
			return true
		}
	}
	return false
}

// compareText reports whether the operator holds for s and any of the values, as texts.
func (c *condition) compareText(s string) bool {
	if !c.texts {
		return false
	}
	for _, w := range c.values {
		if c.acceptsOrder(compareStrings(s, w)) {
			return true
		}
	}
	return false
}

func (c *condition) acceptsOrder(order int) bool {
	switch c.op {
	case opLess, opVersionLess:
		return order < 0
	case opLessEqual, opVersionLessEqual:
		return order <= 0
	case opGreater, opVersionGreater:
		return order > 0
	}
	return order >= 0
}

func (c *condition) matchRegex(s string) bool {
	for _, re := range c.regexes {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}

// setEqual reports whether the list is the same set of strings; the case of booleans counts.
func (c *condition) setEqual(st *state, list []string) bool {
	found, others := st.countDistinct(&c.set, list, keepString)
	return found == c.set.size && !others
}

// setContainsAll compares the number of elements first, as the references do.
func (c *condition) setContainsAll(st *state, list []string) bool {
	if len(list) < c.least || st.engine.rules.sets && !hasDistinct(list, c.least) {
		return false
	}
	found, _ := st.countDistinct(&c.set, list, canonBool)
	return found == c.set.size
}

// hasDistinct reports whether the list has that many different elements.
func hasDistinct(list []string, least int) bool {
	var seen []string
	for i := 0; i < len(list) && len(seen) < least; i++ {
		if !slices.Contains(seen, list[i]) {
			seen = append(seen, list[i])
		}
	}
	return len(seen) >= least
}

func (c *condition) setContainsAny(list []string) bool {
	for _, s := range list {
		if c.set.indexOf(canonBool(s)) >= 0 {
			return true
		}
	}
	return false
}
