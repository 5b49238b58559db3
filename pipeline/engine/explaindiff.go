package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Difference is what the other semantics give for a flag, and why.
type Difference struct {
	Semantics string  `json:"semantics"` // whose answer this is: hosted or node
	Variant   *string `json:"variant"`   // its key; nil: none
	Answered  bool    `json:"answered"`  // whether the v1 API would list it

	// Where they part: at a condition or, if that is nil, at the bucket of the segment, or at the result of another flag.
	Segment   int    `json:"segment"`
	Condition *Check `json:"condition,omitempty"` // as the explanation has it; the other semantics say the opposite
	Flag      string `json:"depends_on,omitempty"`

	Rule   int    `json:"rule,omitempty"` // of the nine of the package comment; 0: another flag's result is the reason
	Reason string `json:"reason"`         // in plain words
}

// Explain is [Plan.Explain]; where the other semantics give another answer, the explanation says which, and why.
func (c *Comparison) Explain(u *pipeline.User) []Explanation {
	list := c.plan.Explain(u)
	e, o := c.plan.engine, c.other.engine
	st, ot := e.newState(), o.newState()
	st.begin(c.plan, u)
	ot.begin(c.other, u)
	for k, i := range c.plan.order {
		f := &c.flags[i]
		if f.left {
			continue
		}
		st.done, ot.done = k, k
		d := c.findDifference(i, st, ot)
		st.results[i], ot.results[i] = e.flags[i].evaluate(st), o.flags[i].evaluate(ot)
		at, asked := slices.BinarySearchFunc(list, e.flags[i].info.Key, func(x Explanation, key string) int {
			return strings.Compare(x.Flag, key)
		})
		if d == nil || !asked || sameAnswer(e.answerOf(st.results[i]), o.answerOf(ot.results[i])) {
			continue
		}
		d.Semantics, d.Variant = o.semantics.String(), ot.keyOf(ot.results[i])
		d.Answered = o.answerOf(ot.results[i]) != nil
		list[at].Other = d
	}
	return list
}

// findDifference evaluates a flag with both semantics, side by side, up to where they part; nil: they do not.
func (c *Comparison) findDifference(i int32, st, ot *state) *Difference {
	f, g := &st.engine.flags[i], &ot.engine.flags[i]
	for n := range f.segments {
		s, t := &f.segments[n], &g.segments[n]
		matched := s.always
		for j := 0; j < len(s.conditions) && !matched; j++ {
			matched = true
			for k := 0; k < len(s.conditions[j]) && matched; k++ {
				a, b := &s.conditions[j][k], &t.conditions[j][k]
				matched = a.holds(st)
				if matched == b.holds(ot) {
					continue
				}
				d := c.explainSelector(st, ot, a.selector, b.selector, func(v, w *slot) (int, string) {
					return explainCondition(st, ot, a, b, v, w)
				})
				d.Segment, d.Condition = n+1, a.check(st)
				return d
			}
		}
		if !matched {
			continue
		}
		r := s.pickVariant(st)
		if c.shifted(i, r) != t.pickVariant(ot) {
			d := c.explainSelector(st, ot, s.bucket.selector, t.bucket.selector, func(v, w *slot) (int, string) {
				return explainValue(hostedFirst(st, v, w))
			})
			d.Segment = n + 1
			return d
		}
		if r != 0 {
			return nil
		}
	}
	return nil
}

// explainSelector says why what is read by a selector makes a difference: because of another flag, or as explain says.
func (c *Comparison) explainSelector(st, ot *state, i, j int32, explain func(v, w *slot) (int, string)) *Difference {
	d := &Difference{}
	for _, s := range []*selector{&st.engine.selectors[i], &ot.engine.selectors[j]} {
		if s.root == rootResult && ot.results[s.flag] != c.shifted(s.flag, st.results[s.flag]) {
			d.Flag = st.engine.flags[s.flag].info.Key
			d.Reason = fmt.Sprintf("it reads the result of flag %q, on which they differ", d.Flag)
			return d
		}
	}
	d.Rule, d.Reason = explain(st.loadSlot(i), ot.loadSlot(j))
	return d
}

// hostedFirst orders the slots of the engine of st and of the other one.
func hostedFirst(st *state, v, w *slot) (hosted, node *slot) {
	if st.engine.semantics == Node {
		return w, v
	}
	return v, w
}

// explainCondition says by which rule a condition holds for one engine and not for the other.
func explainCondition(st, ot *state, a, b *condition, v, w *slot) (rule int, reason string) {
	hosted, node := hostedFirst(st, v, w)
	nodeState, nodeCondition, hostedCondition := ot, b, a
	if st.engine.semantics == Node {
		nodeState, nodeCondition, hostedCondition = st, a, b
	}
	if hosted.shape == shapeMissing && node.shape == shapeMissing {
		return 1, fmt.Sprintf("hosted: %q holds for a missing value; node: it does not", a.config.Op)
	}
	// Would it be the same for the node engine if it saw what the hosted one sees? Then its operator differs.
	seen := slot{shape: hosted.shape, text: hosted.text, list: hosted.list}
	if nodeCondition.matchSlot(nodeState, &seen) != nodeCondition.matchSlot(nodeState, node) {
		return explainValue(hosted, node)
	}
	switch a.op {
	case opRegex, opRegexNot:
		return 2, "hosted: a regular expression, of Java's syntax, has to match the whole value; node: a part of it is enough"
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return 3, explainNumbers(hosted, hostedCondition, nodeCondition)
	case opVersionLess, opVersionLessEqual, opVersionGreater, opVersionGreaterEqual:
		return 5, explainVersions(hosted, hostedCondition, nodeCondition)
	}
	return 8, "hosted: values that are there twice count once; node: they count twice"
}

// explainNumbers says why the engines order a value differently.
func explainNumbers(v *slot, hosted, node *condition) string {
	for _, text := range v.texts() {
		_, h := parseDouble(text)
		_, n := nodeNumber(text)
		switch name := strconv.Quote(text); {
		case !h && !n:
			return "hosted: " + name + " is not a number, and is compared as text; node: it does not compare"
		case h && !n:
			return "hosted: " + name + " is a number; node: it is not, and does not compare"
		case n && !h:
			return "hosted: " + name + " is not a number, and is compared as text; node: it is one"
		}
	}
	if len(hosted.numbers) == 0 {
		return "hosted: none of the values of the condition is a number, and all are compared as text; node: they do not " +
			"compare"
	}
	if len(hosted.numbers) != len(node.numbers) {
		return "hosted and node disagree on which of the values of the condition are numbers"
	}
	return "hosted: NaN is greater than every number, and -0 less than 0; node: NaN does not compare, and -0 is 0"
}

// explainVersions says why the engines order a value differently.
func explainVersions(v *slot, hosted, node *condition) string {
	for _, text := range v.texts() {
		a, h := parseSemanticVersion(text)
		b, n := parseVersion(text)
		switch name := strconv.Quote(text); {
		case h && !n:
			return "hosted: " + name + " is a version, whose build is ignored; node: it is not, and is compared as text"
		case n && !h:
			return "hosted: " + name + " is not a version, and is compared as text; node: it is one"
		case h && a != b:
			return "hosted: the patch of " + name + " is too large, and counts as 0; node: it counts"
		}
	}
	if len(hosted.versions) != len(node.versions) {
		return "hosted and node disagree on which of the values of the condition are versions"
	}
	return "hosted: a patch of more than 2147483647 counts as 0; node: it counts"
}

// texts returns the value, or the elements of the list.
func (sl *slot) texts() []string {
	if sl.shape == shapeList {
		return sl.list
	}
	return []string{sl.text}
}

// explainValue says why the engines see different values.
func explainValue(hosted, node *slot) (rule int, reason string) {
	switch {
	case hosted.shape == shapeMissing || node.shape == shapeMissing:
		return 9, "hosted: selectors go through objects alone, only a list of texts is a group, and of a result only key, " +
			"value and metadata can be read; node: there is a value"
	case hosted.shape == shapeList && node.shape == shapeScalar:
		return 7, "hosted: the text that begins with a bracket is the list " + quoteTexts(hosted.list) +
			"; node: it is a text, for it is not JSON"
	case hosted.shape == shapeList:
		if filled := slices.DeleteFunc(slices.Clone(hosted.list), func(s string) bool { return s == "" }); len(filled) <
			len(hosted.list) && slices.Equal(filled, node.list) {
			return 6, "hosted: the empty text stays in the list; node: it is dropped"
		}
		return 4, "hosted: the list is the texts " + quoteTexts(hosted.list) + "; node: " + quoteTexts(node.list)
	case hosted.text != node.text:
		return 4, "hosted: the value is the text " + strconv.Quote(hosted.text) + "; node: " + strconv.Quote(node.text)
	}
	return 9, "the values differ"
}

// quoteTexts prints a list of texts, cut where it is long.
func quoteTexts(list []string) string {
	quoted := []string{}
	for i, s := range list {
		if i == 5 {
			quoted = append(quoted, "…")
			break
		}
		quoted = append(quoted, strconv.Quote(s))
	}
	return "[" + strings.Join(quoted, " ") + "]"
}
