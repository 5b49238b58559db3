package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// The types of a [Group].
const (
	MutualExclusion = "mutual-exclusion-group"
	Holdout         = "holdout-group"
)

// overlaps looks at the flags in pairs.
func (a *analysis) overlaps() {
	order := make([]int, len(a.c.flags)) // by key
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(a.c.flags[i].key, a.c.flags[j].key) })
	if len(order) > maxPaired {
		a.note("Of more than %d flags, only the first ones in the file are looked at in pairs.", maxPaired)
	}
	var list []Overlap
	for x, i := range order {
		for _, j := range order[x+1:] {
			if max(i, j) >= maxPaired {
				continue
			}
			if o := a.overlap(i, j); o.Assigned > 0 || o.Group != "" {
				list = append(list, o)
			}
		}
	}
	if len(list) > maxOverlaps {
		slices.SortStableFunc(list, func(x, y Overlap) int {
			return cmp.Or(-compareBool(x.Group != "", y.Group != ""), cmp.Compare(testP(&x), testP(&y)), cmp.Compare(y.Treatments, x.Treatments))
		})
		a.note("Of %s pairs of flags that have users in common, %s are listed.", text.Thousands(int64(len(list))), text.Thousands(maxOverlaps))
		for i := range list[maxOverlaps:] { // corrected for all the same
			if t := list[maxOverlaps+i].Test; t != nil {
				a.tests[FamilyOverlaps] = append(a.tests[FamilyOverlaps], t)
			}
		}
		list = list[:maxOverlaps]
	}
	a.r.Overlaps = append(a.r.Overlaps, list...)
	for i := range a.r.Overlaps {
		o := &a.r.Overlaps[i]
		if o.Test != nil {
			a.tests[FamilyOverlaps] = append(a.tests[FamilyOverlaps], o.Test)
		}
		a.after = append(a.after, func() { a.sayOverlap(o) })
	}
}

func testP(o *Overlap) float64 {
	if o.Test == nil || !o.Test.Tested() {
		return 1
	}
	return o.Test.P
}

// overlap is that of the flags at i and j, i's key first.
func (a *analysis) overlap(i, j int) Overlap {
	fi, fj := a.c.flags[i], a.c.flags[j]
	cell := func(ti, tj int) int64 { // ti, tj: in a treatment of i, of j
		if i > j {
			return fi.pairs[j][ti*2+tj]
		}
		return fj.pairs[i][tj*2+ti]
	}
	o := Overlap{A: fi.key, B: fj.key, Treatments: cell(1, 1)}
	for k := range 4 {
		o.Assigned += cell(k/2, k%2)
	}
	if a.answered > 0 {
		o.Independent = float64(fi.treated()) / float64(a.answered) * float64(fj.treated())
	}
	if !a.clustered(o.A) && !a.clustered(o.B) && cell(1, 0)+cell(1, 1) > 0 && cell(0, 0)+cell(0, 1) > 0 && cell(0, 1)+cell(1, 1) > 0 && cell(0, 0)+cell(1, 0) > 0 {
		t := stats.Homogeneity([]int64{cell(1, 0), cell(1, 1)}, []int64{cell(0, 0), cell(0, 1)})
		t.N = o.Assigned
		o.Test = &t
	}
	for _, g := range a.o.Groups {
		mi := slices.IndexFunc(g.Flags, func(m Member) bool { return m.Flag == o.A })
		mj := slices.IndexFunc(g.Flags, func(m Member) bool { return m.Flag == o.B })
		if mi < 0 || mj < 0 {
			continue
		}
		exclusive := g.Type == MutualExclusion && !slices.ContainsFunc(g.Flags[mi].Slots, func(s string) bool { return slices.Contains(g.Flags[mj].Slots, s) })
		if o.Group == "" || exclusive && !o.Exclusive {
			o.Group, o.GroupType, o.Exclusive = g.Key, g.Type, exclusive
		}
	}
	return o
}

// treated is how many users are in a treatment of the flag.
func (f *flagCounts) treated() (n int64) {
	for i, v := range f.variants {
		if v.treatment == 1 {
			n += f.counts[i]
		}
	}
	return n
}

// sayOverlap puts a pair into words.
func (a *analysis) sayOverlap(o *Overlap) {
	pair := o.A + " and " + o.B
	switch {
	case o.Exclusive && o.Assigned > 0:
		o.Words = fmt.Sprintf("%s a variant of both, %s a treatment of both, although group %s makes them exclude each other",
			a.users(o.Assigned, "has", "have"), text.Thousands(o.Treatments), o.Group)
		a.find(Finding{Severity: Alert, Kind: KindExclusion, Flag: o.A, Other: o.B, Text: pair + ": " + o.Words})
	case o.Exclusive:
		o.Words = fmt.Sprintf("nobody is in both, as group %s demands", o.Group)
	case o.Group != "" && o.Treatments > 0:
		o.Words = fmt.Sprintf("%s in a treatment of both; they share group %s", a.users(o.Treatments, "is", "are"), o.Group)
		why := ", which keeps the same users out of both and does not separate them"
		if o.GroupType == MutualExclusion {
			why = ", and a slot of it"
		}
		a.find(Finding{Severity: Note, Kind: KindExclusion, Flag: o.A, Other: o.B, Text: pair + ": " + o.Words + why})
	default:
		o.Words = a.users(o.Treatments, "is", "are") + " in a treatment of both"
	}
	t := o.Test
	if t == nil || !t.Tested() || t.Verdict == stats.OK {
		return
	}
	severity := severityOf(t.Verdict)
	if a.c.expected[o.A] == nil || a.c.expected[o.B] == nil || a.c.expected[o.A].Weights == nil || a.c.expected[o.B].Weights == nil {
		severity = milder(severity) // some of the variants may be targeted
	}
	words := fmt.Sprintf("which variant of one a user gets depends on the other: %s in a treatment of both; %s", a.users(o.Treatments, "is", "are"), effect(t))
	o.Words += "; " + words
	a.find(Finding{Severity: severity, Kind: KindDependence, Flag: o.A, Other: o.B, Text: pair + ": " + words + "; do they share a salt?"})
}
