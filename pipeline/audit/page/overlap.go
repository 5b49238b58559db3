package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
)

// overlaps makes the matrix of the pairs of flags, and their list, the worst first as they come.
func (v *view) overlaps(r *report.Report) {
	for i := range r.Overlaps {
		o := &r.Overlaps[i]
		p := pair{Mark: overlapMark(o), A: clean(o.A), B: clean(o.B), Users: report.Thousands(o.Treatments),
			Chance: report.Thousands(int64(o.Independent + 0.5)), Shares: times(o)}
		if p.Mark != ok && p.Mark != none || o.Group != "" {
			p.Words = capital(prose(o.Words)) + "."
		}
		if i < openPairs || p.Mark == alert || p.Mark == warn {
			v.Pairs = append(v.Pairs, p)
		} else {
			v.More = append(v.More, p)
		}
	}
	if len(v.More) <= fewMore {
		v.Pairs, v.More = append(v.Pairs, v.More...), nil
	}
	v.MorePairs = count(int64(len(v.More)), "more pair")
	v.Matrix = newMatrix(r)
}

// overlapMark is what is the matter with a pair. Whether a dependence between two flags is meant the report cannot know:
// then it is a difference, and no warning.
func overlapMark(o *report.Overlap) mark {
	if o.Exclusive && o.Assigned > 0 {
		return alert
	}
	m := testMark(o.Test)
	if m == alert || m == warn {
		return mark{"warn", "◆", "depends"}
	}
	if o.Exclusive {
		return ok
	}
	return m
}

// times is how many times as many users as by chance.
func times(o *report.Overlap) string {
	if o.Independent < 0.5 {
		return "–"
	}
	ratio := float64(o.Treatments) / o.Independent
	switch {
	case ratio >= 99.5:
		return ">99"
	case ratio >= 9.95:
		return strconv.FormatFloat(ratio, 'f', 0, 64)
	case ratio > 0 && ratio < 0.05:
		return "<0.1"
	case ratio == 0:
		return "0"
	}
	return strconv.FormatFloat(ratio, 'f', 1, 64)
}

// newMatrix makes the matrix of the flags that have most to do with each other. nil: of fewer than three flags there is
// none.
func newMatrix(r *report.Report) *matrix {
	weight := map[string]float64{}
	pairs := map[[2]string]*report.Overlap{}
	for i := range r.Overlaps {
		o := &r.Overlaps[i]
		w := float64(o.Treatments)
		if m := overlapMark(o); m != ok && m != none {
			w += 1e12
		}
		weight[o.A] += w
		weight[o.B] += w
		pairs[[2]string{o.A, o.B}] = o
	}
	var keys []string
	for i := range r.Flags {
		if _, seen := weight[r.Flags[i].Key]; seen {
			keys = append(keys, r.Flags[i].Key)
		}
	}
	if len(keys) < 3 {
		return nil
	}
	m := &matrix{}
	if len(keys) > matrixFlags {
		m.Left = fmt.Sprintf("The matrix has the %d of %d flags that overlap most; the list below has all pairs.", matrixFlags, len(keys))
		slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(weight[b], weight[a]) })
		keys = keys[:matrixFlags]
		slices.Sort(keys)
	}
	for _, key := range keys[:len(keys)-1] {
		m.Columns = append(m.Columns, clean(key))
	}
	for i, b := range keys[1:] {
		row := matrixRow{Name: clean(b)}
		for k, a := range keys[:len(keys)-1] {
			switch o := pairs[[2]string{a, b}]; {
			case k > i:
				row.Cells = append(row.Cells, cell{None: true})
			case o == nil:
				row.Cells = append(row.Cells, cell{Class: "m0", Text: "0", Name: "nobody in both"})
			default:
				row.Cells = append(row.Cells, newCell(o, r.Unit))
			}
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

func newCell(o *report.Overlap, unit stats.Unit) cell {
	c := cell{Class: "m0", Text: times(o)}
	c.Name = fmt.Sprintf("%s in a treatment of both, by chance %s", unit.Count(o.Treatments), report.Thousands(int64(o.Independent+0.5)))
	ratio := 1.0
	if o.Independent >= 0.5 {
		ratio = float64(o.Treatments) / o.Independent
	}
	switch {
	case o.Exclusive && o.Assigned > 0:
		c.Class, c.Text, c.Name = "mx", "▲", c.Name+", although they exclude each other"
	case o.Exclusive:
		c.Class, c.Text, c.Name = "m0", "✓", "nobody is in both, as group "+short(o.Group)+" demands"
	case ratio >= 2:
		c.Class = "m4"
	case ratio >= 1.25:
		c.Class = "m3"
	case ratio <= 0.5:
		c.Class = "m1"
	case ratio <= 0.8:
		c.Class = "m2"
	}
	return c
}
