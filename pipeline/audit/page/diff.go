package page

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/diff"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

const (
	matrixEnds = 5  // columns of a matrix of transitions that a phone has room for; more are shown as a list
	listMoves  = 50 // of a flag
	looksShown = 20 // variants that the legend and the name of a bar have
)

type (
	diffView struct {
		frame
		Snapshots []snapshotView
		Configs   string
		Changes   []fact
		Figures   []fact
		Flags     []*diffSection
		Unchanged []string
	}
	diffSection struct {
		ID, Key        string
		Changed, Share string
		Bar            *bar
		Words          []string
		Before, After  *bar
		Legend         []legend
		Matrix         *matrix
		Moves          []move
		More           int // transitions that are not among the moves
	}
	legend struct{ Look, Name string }
	move   struct{ From, To, Users string }
)

var changed = mark{"note", "●", "changed"}

// Diff is a diff as one HTML file.
func Diff(r *diff.Report, o Origin) ([]byte, error) { return execute("diff.html", newDiffView(r, o)) }

func newDiffView(r *diff.Report, o Origin) *diffView {
	verdict := changed
	switch {
	case !r.Verdict.OK || !r.Before.Complete || !r.After.Complete:
		verdict = mark{"alert", "▲", "not ok"}
	case r.Verdict.Same:
		verdict = mark{"ok", "✓", "same"}
	}
	names := filepath.Base(r.Before.Path) + " → " + filepath.Base(r.After.Path)
	v := &diffView{frame: newFrame("Snapshot diff", names, r.Unit, verdict, r.Verdict.Text, r.Files, o),
		Configs: r.Configs.Words}
	for i, s := range []*diff.Snapshot{&r.Before, &r.After} {
		which := []string{"before", "after"}[i]
		if span := formatSpan(s.StartedAt, s.FinishedAt); span != "" {
			v.About = append(v.About, which+" "+span)
		}
		v.Snapshots = append(v.Snapshots, newDiffSnapshot(s, which, v.Units))
		for _, p := range s.Problems {
			v.Findings = append(v.Findings, finding{Mark: alert, Text: []part{{Name: filepath.Base(s.Path)}, {Text: ": " + p}}})
		}
		v.addRun(s.RunID, s.Path, "", s.StartedAt, s.FinishedAt)
	}
	v.Figures = []fact{
		{v.Units + " in both", text.Thousands(r.Users.Both)},
		{"changed", text.Thousands(r.Users.Changed)},
		{"added", text.Thousands(r.Users.Added)},
		{"removed", text.Thousands(r.Users.Removed)},
	}
	for _, c := range r.Configs.Changed {
		change := c.Change
		if len(c.Parts) > 0 {
			change += ": " + strings.Join(c.Parts, ", ")
		}
		v.Changes = append(v.Changes, fact{c.Flag, change})
	}
	v.addFlags(r)
	unfoldFew(&v.Findings, &v.Folded)
	v.Notes = append(slices.Clone(r.Notes),
		"A user has changed if at least one flag has another variant, payload or experiment key. Two users are the same "+
			"if their user ids and device ids are.")
	return v
}

func newDiffSnapshot(s *diff.Snapshot, which, noun string) snapshotView {
	v := newSnapshotView(s.Path, s.Complete, s.Problems)
	v.Which = text.Capitalize(which)
	v.Figures = []fact{
		{noun, text.Thousands(s.Users)},
		{"assignments", text.Thousands(s.Assignments)},
		{"failed", text.Thousands(s.Failed)},
	}
	if len(s.Retries) > 0 {
		v.Facts = append(v.Facts, fact{"Asked again", strings.Join(s.Retries, ", ")})
	}
	if s.RunID != "" {
		v.Facts = append(v.Facts, fact{"Run", formatSpan(s.StartedAt, s.FinishedAt)})
	}
	return v
}

// addFlags adds a section and a finding for each flag that changed, those with the most users first.
func (v *diffView) addFlags(r *diff.Report) {
	var list []*diff.Flag
	for i := range r.Flags {
		if f := &r.Flags[i]; r.Unchanged(f) {
			v.Unchanged = append(v.Unchanged, f.Key)
		} else {
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(a, b *diff.Flag) int { return cmp.Compare(b.Changed, a.Changed) })
	for i, f := range list {
		out := newDiffSection(f, r)
		out.ID = fmt.Sprintf("flag-%d", i+1)
		v.Flags = append(v.Flags, out)
		if f.Changed == 0 {
			continue
		}
		said := finding{Mark: changed, Text: []part{{Name: out.Key, Link: out.ID},
			{Text: ": " + strings.Join(out.Words, "; ")}}}
		if len(v.Findings) < openFindings {
			v.Findings = append(v.Findings, said)
		} else {
			v.Folded = append(v.Folded, said)
		}
	}
}

func isControl(e diff.End) bool {
	return e.Outcome == diff.Assigned && slices.Contains(report.DefaultControls, strings.ToLower(e.Variant))
}

// compareEnds orders ends as bars have them, which begin with the controls.
func compareEnds(a, b diff.End) int {
	switch {
	case isControl(a) == isControl(b):
		return diff.CompareEnds(a, b)
	case isControl(a):
		return -1
	}
	return 1
}

func newDiffSection(f *diff.Flag, r *diff.Report) *diffSection {
	share := ratio(f.Changed, r.Users.Both)
	s := &diffSection{Key: f.Key, Changed: text.Thousands(f.Changed), Share: text.Percent(share), Words: r.Sentences(f)}
	s.Bar = newBar("", []labelled{{"v1", "Changed", share}}, 0)
	if f.NotAsked != "" {
		s.Changed, s.Share, s.Bar.Name = "–", "not compared", "Not compared"
	}
	m := f.Matrix()
	slices.SortFunc(m.Before, compareEnds)
	slices.SortFunc(m.After, compareEnds)
	s.addBars(m)
	if len(m.After) > matrixEnds {
		s.addMoves(f)
		return s
	}
	s.Matrix = &matrix{}
	for _, to := range m.After {
		s.Matrix.Columns = append(s.Matrix.Columns, to.Label())
	}
	for _, from := range m.Before {
		row := matrixRow{Name: from.Label()}
		for _, to := range m.After {
			c := cell{Text: "–"}
			if n := m.Users[[2]diff.End{from, to}]; n > 0 {
				c.Text, c.Class = text.Thousands(n), "m3"
				if from == to || f.NotAsked != "" || from.Outcome != diff.Assigned && to.Outcome != diff.Assigned {
					c.Class = "m0"
				}
			}
			row.Cells = append(row.Cells, c)
		}
		s.Matrix.Rows = append(s.Matrix.Rows, row)
	}
	return s
}

// addBars adds a bar for what users had before, one for what they have after, and the legend. Users who are not in a
// snapshot are not in its bar.
func (s *diffSection) addBars(m *diff.Matrix) {
	users := [2]map[diff.End]int64{{}, {}} // before, after
	var total [2]int64
	known := map[diff.End]int64{} // users of both
	for ends, n := range m.Users {
		for i, e := range ends {
			if e.Outcome != diff.Absent && e.Outcome != diff.NotAsked {
				users[i][e] += n
				total[i] += n
				known[e] += n
			}
		}
	}
	shown := slices.SortedFunc(maps.Keys(known), compareEnds)
	more := len(shown) - looksShown
	if more > 0 { // the most frequent ones
		slices.SortStableFunc(shown, func(a, b diff.End) int { return cmp.Compare(known[b], known[a]) })
		shown = shown[:looksShown]
		slices.SortFunc(shown, compareEnds)
	}
	var treatments []bool
	for _, e := range shown {
		treatments = append(treatments, e.Outcome == diff.Assigned && !isControl(e))
	}
	looks := looksOf(treatments)
	for i, e := range shown {
		if e.Outcome != diff.Assigned {
			looks[i] = "empty"
		}
		s.Legend = append(s.Legend, legend{looks[i], e.Label()})
	}
	if more > 0 {
		s.Legend = append(s.Legend, legend{"rest", text.Count(int64(more), "more variant")})
	}
	barOf := func(name string, side int) *bar {
		if total[side] == 0 {
			return nil
		}
		var shares []labelled
		for i, e := range shown {
			shares = append(shares, labelled{looks[i], e.Label(), ratio(users[side][e], total[side])})
		}
		return newBar(name+": ", shares, 1)
	}
	s.Before, s.After = barOf("Before", 0), barOf("After", 1)
}

// addMoves adds the transitions in which something changed, as a list.
func (s *diffSection) addMoves(f *diff.Flag) {
	moves := f.ChangedTransitions()
	s.More = max(0, len(moves)-listMoves)
	for _, t := range moves[:len(moves)-s.More] {
		before, after := t.Ends()
		s.Moves = append(s.Moves, move{before.Label(), after.Label(), text.Thousands(t.Users)})
	}
}
