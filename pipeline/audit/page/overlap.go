package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

const (
	openPairs   = 10 // pairs of flags
	matrixFlags = 12 // as many as a phone has room for
)

type pair struct {
	*report.Overlap
	Mark      mark
	Explained bool
}

// addOverlaps adds the matrix of the pairs of flags, and their list, which comes with the worst first.
func (v *reportView) addOverlaps(r *report.Report) {
	for i := range r.Overlaps {
		o := &r.Overlaps[i]
		p := pair{Overlap: o, Mark: overlapMark(o)}
		p.Explained = p.Mark != ok && p.Mark != none || o.Group != ""
		if i < openPairs || p.Mark.bad() {
			v.Pairs = append(v.Pairs, p)
		} else {
			v.More = append(v.More, p)
		}
	}
	unfoldFew(&v.Pairs, &v.More)
	v.Matrix = newMatrix(r)
}

var depends = mark{"warn", "◆", "depends"}

// overlapMark is the mark of a pair. The report cannot know whether one flag is meant to depend on the other: so that
// is a difference, and not a warning.
func overlapMark(o *report.Overlap) mark {
	m := testMark(o.Test)
	switch {
	case o.Exclusive && o.Assigned > 0:
		return alert
	case m.bad():
		return depends
	case o.Exclusive:
		return ok
	}
	return m
}

// chanceRatio is how many times as many users are in a treatment of both as by chance; 1 if chance gives none.
func chanceRatio(o *report.Overlap) float64 {
	if o.Independent < 0.5 {
		return 1
	}
	return float64(o.Treatments) / o.Independent
}

// times is the ratio to chance in few characters.
func times(o *report.Overlap) string {
	ratio := chanceRatio(o)
	switch {
	case o.Independent < 0.5:
		return "–"
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

// newMatrix is the matrix of the flags that overlap most, or nil if there are fewer than three.
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
		m.Left = fmt.Sprintf("The matrix has the %d of %d flags that overlap most; the list below has all pairs.",
			matrixFlags, len(keys))
		slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(weight[b], weight[a]) })
		keys = keys[:matrixFlags]
		slices.Sort(keys)
	}
	m.Columns = keys[:len(keys)-1]
	for i, b := range keys[1:] {
		row := matrixRow{Name: b}
		for k, a := range m.Columns {
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
	c.Name = fmt.Sprintf("%s in a treatment of both, by chance %s", unit.Count(o.Treatments), round(o.Independent))
	switch ratio := chanceRatio(o); {
	case o.Exclusive && o.Assigned > 0:
		c.Class, c.Text, c.Name = "mx", "▲", c.Name+", although they exclude each other"
	case o.Exclusive:
		c.Text, c.Name = "✓", "nobody is in both, as group "+text.Shorten(o.Group, nameLength)+" demands"
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
