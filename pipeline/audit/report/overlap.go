package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// addOverlaps looks at the flags in pairs.
func (a *analysis) addOverlaps() {
	order := make([]int, len(a.c.flags)) // by key
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(a.c.flags[i].key, a.c.flags[j].key) })
	if len(order) > maxPaired {
		a.addNote("Of more than %d flags, only the first ones in the file are looked at in pairs.", maxPaired)
	}
	var list []Overlap
	for x, i := range order {
		for _, j := range order[x+1:] {
			if max(i, j) >= maxPaired {
				continue
			}
			o := a.newOverlap(i, j)
			if o.Assigned > 0 || o.Group != "" {
				list = append(list, o)
			}
			if o.Test != nil { // corrected for it, whether it is listed or not
				a.tests[FamilyOverlaps] = append(a.tests[FamilyOverlaps], o.Test)
			}
		}
	}
	if len(list) > maxOverlaps {
		slices.SortStableFunc(list, func(x, y Overlap) int {
			return cmp.Or(trueFirst(x.Group != "", y.Group != ""), cmp.Compare(testP(&x), testP(&y)),
				cmp.Compare(y.Treatments, x.Treatments))
		})
		a.addNote("Of %s pairs of flags that have users in common, %s are listed.", text.Thousands(int64(len(list))),
			text.Thousands(maxOverlaps))
		list = list[:maxOverlaps]
	}
	a.r.Overlaps = append(a.r.Overlaps, list...)
	for i := range a.r.Overlaps {
		o := &a.r.Overlaps[i]
		a.after = append(a.after, func() { a.sayOverlap(o) })
	}
}

// trueFirst orders what is so before what is not.
func trueFirst(x, y bool) int {
	rank := map[bool]int{true: 0, false: 1}
	return rank[x] - rank[y]
}

// breaksGroup reports whether users are in both flags although the flags exclude each other.
func (o *Overlap) breaksGroup() bool { return o.Exclusive && o.Assigned > 0 }

func testP(o *Overlap) float64 {
	if o.Test == nil || !o.Test.Tested() {
		return 1
	}
	return o.Test.P
}

// newOverlap is that of the flags at i and j, i's key first.
func (a *analysis) newOverlap(i, j int) Overlap {
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
		o.Independent = float64(a.countTreated(i)) / float64(a.answered) * float64(a.countTreated(j))
	}
	if !a.expectationOf(o.A).Clustered && !a.expectationOf(o.B).Clustered && cell(1, 0)+cell(1, 1) > 0 && cell(0, 0)+
		cell(0, 1) > 0 && cell(0, 1)+cell(1, 1) > 0 && cell(0, 0)+cell(1, 0) > 0 {
		t := stats.Homogeneity([]int64{cell(1, 0), cell(1, 1)}, []int64{cell(0, 0), cell(0, 1)})
		t.N = o.Assigned
		o.Test = &t
	}
	for _, g := range a.o.Groups {
		mi := slices.IndexFunc(g.Flags, func(m engine.Member) bool { return m.Flag == o.A })
		mj := slices.IndexFunc(g.Flags, func(m engine.Member) bool { return m.Flag == o.B })
		if mi < 0 || mj < 0 {
			continue
		}
		exclusive := g.Type == engine.MutualExclusion &&
			!slices.ContainsFunc(g.Flags[mi].Slots, func(s string) bool { return slices.Contains(g.Flags[mj].Slots, s) })
		if o.Group == "" || exclusive && !o.Exclusive {
			o.Group, o.GroupType, o.Exclusive = g.Key, g.Type, exclusive
		}
	}
	return o
}

// countTreated counts the users in a treatment of the i-th flag.
func (a *analysis) countTreated(i int) (n int64) {
	for v, users := range a.c.all.flag(int32(i)).counts {
		if v < len(a.c.flags[i].variants) && a.c.flags[i].variants[v].treatment == 1 {
			n += users
		}
	}
	return n
}

// sayOverlap says what was found about a pair.
func (a *analysis) sayOverlap(o *Overlap) {
	o.Result = Statement{Code: Together, Unit: a.r.Unit, N: o.Treatments, Name: o.Group}
	find := func(severity Severity, kind string, says Statement) {
		a.addFinding(Finding{Severity: severity, Kind: kind, Flag: o.A, Other: o.B, Says: says})
	}
	switch {
	case o.breaksGroup():
		o.Result.Code, o.Result.N, o.Result.Other = ExclusionBroken, o.Assigned, text.Thousands(o.Treatments)
		find(Alert, KindExclusion, o.Result)
	case o.Exclusive:
		o.Result.Code = ExclusionHolds
	case o.Group != "" && o.Treatments > 0:
		o.Result.Code = GroupShared
		says := o.Result
		if says.Code = HoldoutShared; o.GroupType == engine.MutualExclusion {
			says.Code = SlotShared
		}
		find(Note, KindExclusion, says)
	}
	if !found(o.Test) {
		return
	}
	severity := Severity(o.Test.Verdict)
	if len(a.expectationOf(o.A).Variants) == 0 || len(a.expectationOf(o.B).Variants) == 0 {
		severity = milder(severity) // some of the variants may be targeted
	}
	says := Statement{Code: Depends, Unit: a.r.Unit, N: o.Treatments, Test: o.Test}
	o.Result.And = new(says)
	says.And = &Statement{Code: SaltShared}
	find(severity, KindDependence, says)
}
