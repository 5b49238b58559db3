package page

import (
	"cmp"
	"fmt"
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
	v := &diffView{frame: newFrame("Snapshot diff", names, r.Unit, verdict, r.Verdict.Text, o), Configs: r.Configs.Words}
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
		"A user has changed who gets another variant, payload or experiment key of at least one flag. Users are the same where user id and device id are.")
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
		f := &r.Flags[i]
		moved := slices.ContainsFunc(f.Transitions, func(t diff.Transition) bool { return !t.Same() })
		if moved || f.NotAsked != "" || f.Changed > 0 || slices.Contains(r.OnlyIn.Before, f.Key) || slices.Contains(r.OnlyIn.After, f.Key) {
			list = append(list, f)
		} else {
			v.Unchanged = append(v.Unchanged, f.Key)
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
		said := finding{Mark: changed, Text: []part{{Name: out.Key, Link: out.ID}, {Text: ": " + strings.TrimSuffix(strings.Join(out.Words, " "), ".")}}}
		if len(v.Findings) < openFindings {
			v.Findings = append(v.Findings, said)
		} else {
			v.Folded = append(v.Folded, said)
		}
	}
}

// end is what users have on one side.
type end struct{ outcome, variant string }

func endsOf(t *diff.Transition) (before, after end) {
	before, after = end{outcome: t.BeforeOutcome}, end{outcome: t.AfterOutcome}
	if t.Before != nil {
		before.variant = *t.Before
	}
	if t.After != nil {
		after.variant = *t.After
	}
	return before, after
}

// label is the name of the variant or the outcome. A variant with the name of an outcome is in quotes.
func (e end) label() string {
	switch {
	case e.outcome != diff.Assigned:
		return strings.ReplaceAll(e.outcome, "_", " ")
	case e.variant == "" || e.variant == diff.Absent || e.variant == "not assigned" || e.variant == "not asked" || strings.TrimSpace(e.variant) != e.variant:
		return `"` + e.variant + `"`
	}
	return e.variant
}

func compareEnds(a, b end) int {
	rank := func(e end) int {
		return slices.Index([]string{diff.Assigned, diff.NotAssigned, diff.NotAsked, diff.Absent}, e.outcome)
	}
	control := func(e end) int { // first, where bars begin
		if e.control() {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(control(a), control(b)), strings.Compare(a.variant, b.variant))
}

func (e end) control() bool {
	return e.outcome == diff.Assigned && slices.Contains(report.DefaultControls, strings.ToLower(e.variant))
}

var causeWords = map[diff.Cause]string{
	diff.CauseConfiguration: "the new configuration", diff.CauseUser: "the user's new properties", diff.CauseBoth: "both together",
	diff.CauseEither: "either alone", diff.CauseUnclear: "unclear",
}

func newDiffSection(f *diff.Flag, r *diff.Report) *diffSection {
	share := ratio(f.Changed, r.Users.Both)
	out := &diffSection{Key: f.Key, Changed: text.Thousands(f.Changed), Share: text.Percent(share)}
	out.Bar = newBar("", []labelled{{"v1", "Changed", share}}, 0)
	if f.NotAsked != "" {
		out.Changed, out.Share, out.Bar.Name = "–", "not compared", "Not compared"
	}
	switch {
	case f.NotAsked != "":
		out.Words = append(out.Words, "Not compared: the run "+f.NotAsked+" did not ask for it.")
	case slices.Contains(r.OnlyIn.Before, f.Key):
		out.Words = append(out.Words, "It is not in the snapshot after.")
	case slices.Contains(r.OnlyIn.After, f.Key):
		out.Words = append(out.Words, "It is not in the snapshot before.")
	}
	var parts []string
	for _, p := range []struct {
		n    int64
		text string
	}{{f.Variants, "another variant"}, {f.Payloads, "the same variant with another payload"}, {f.ExperimentKeys, "the same variant with another experiment key"}} {
		if p.n > 0 {
			parts = append(parts, r.Unit.Count(p.n)+": "+p.text)
		}
	}
	if len(parts) == 0 && f.NotAsked == "" {
		parts = []string{"nothing changed for " + r.Unit.Noun(2) + " in both"}
	}
	if len(parts) > 0 {
		out.Words = append(out.Words, text.Capitalize(strings.Join(parts, "; "))+".")
	}
	parts = nil
	for _, c := range diff.Causes {
		if n := f.Causes[c]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", causeWords[c], text.Thousands(n)))
		}
	}
	if len(parts) > 0 {
		out.Words = append(out.Words, "Cause: "+strings.Join(parts, ", ")+".")
	}

	var rows, columns []end
	cells := map[[2]end]int64{}
	had, has := map[end]int64{}, map[end]int64{}
	for i := range f.Transitions {
		t := &f.Transitions[i]
		before, after := endsOf(t)
		if _, seen := had[before]; !seen {
			rows = append(rows, before)
		}
		if _, seen := has[after]; !seen {
			columns = append(columns, after)
		}
		cells[[2]end{before, after}] += t.Users
		had[before] += t.Users
		has[after] += t.Users
	}
	slices.SortFunc(rows, compareEnds)
	slices.SortFunc(columns, compareEnds)
	out.addBars(rows, columns, had, has)
	if len(columns) > matrixEnds {
		out.addMoves(f)
		return out
	}
	out.Matrix = &matrix{}
	for _, c := range columns {
		out.Matrix.Columns = append(out.Matrix.Columns, c.label())
	}
	for _, from := range rows {
		row := matrixRow{Name: from.label()}
		for _, to := range columns {
			c := cell{Text: "–"}
			if n := cells[[2]end{from, to}]; n > 0 {
				c.Text, c.Class = text.Thousands(n), "m3"
				if from == to || f.NotAsked != "" || from.outcome != diff.Assigned && to.outcome != diff.Assigned {
					c.Class = "m0"
				}
			}
			row.Cells = append(row.Cells, c)
		}
		out.Matrix.Rows = append(out.Matrix.Rows, row)
	}
	return out
}

// addBars adds a bar for what users had before, one for what they have after, and the legend.
func (d *diffSection) addBars(rows, columns []end, had, has map[end]int64) {
	var treatments []bool
	both := slices.Concat(rows, columns)
	slices.SortFunc(both, compareEnds)
	both = slices.DeleteFunc(slices.Compact(both), func(e end) bool { return e.outcome == diff.Absent || e.outcome == diff.NotAsked })
	more := len(both) - looksShown
	if more > 0 { // the most frequent ones
		slices.SortStableFunc(both, func(a, b end) int { return cmp.Compare(had[b]+has[b], had[a]+has[a]) })
		both = both[:looksShown]
		slices.SortFunc(both, compareEnds)
	}
	for _, e := range both {
		treatments = append(treatments, e.outcome == diff.Assigned && !e.control())
	}
	looks := looksOf(treatments)
	for i, e := range both {
		if e.outcome != diff.Assigned {
			looks[i] = "empty"
		}
		d.Legend = append(d.Legend, legend{looks[i], e.label()})
	}
	if more > 0 {
		d.Legend = append(d.Legend, legend{"rest", text.Count(int64(more), "more variant")})
	}
	barOf := func(name string, users map[end]int64) *bar {
		var total int64
		for e, n := range users {
			if e.outcome != diff.Absent && e.outcome != diff.NotAsked {
				total += n
			}
		}
		if total == 0 {
			return nil
		}
		var shares []labelled
		for i, e := range both {
			shares = append(shares, labelled{looks[i], e.label(), ratio(users[e], total)})
		}
		return newBar(name+": ", shares, 1)
	}
	d.Before, d.After = barOf("Before", had), barOf("After", has)
}

// addMoves adds the transitions in which something changed, as a list.
func (d *diffSection) addMoves(f *diff.Flag) {
	moves := slices.DeleteFunc(slices.Clone(f.Transitions), func(t diff.Transition) bool { return t.Same() })
	slices.SortStableFunc(moves, func(a, b diff.Transition) int { return cmp.Compare(b.Users, a.Users) })
	for i := range moves[:min(len(moves), listMoves)] {
		before, after := endsOf(&moves[i])
		d.Moves = append(d.Moves, move{before.label(), after.label(), text.Thousands(moves[i].Users)})
	}
	d.More = max(0, len(moves)-listMoves)
}
