package page

import (
	"cmp"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/diff"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
)

const (
	matrixEnds = 5  // columns of a matrix of transitions that a phone has room for; wider ones are lists
	listMoves  = 50 // of a flag
	looksShown = 20 // variants that the legend and the name of a bar have
)

// What the template of a diff prints.
type (
	diffView struct {
		frame
		Snapshots []diffSnapshot
		Configs   string
		Changes   []fact
		Figures   []fact
		Flags     []*diffSection
		Unchanged []string
	}
	diffSnapshot struct {
		snapshotView
		Which string
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
		MoreMoves      string
	}
	legend struct{ Look, Name string }
	move   struct{ From, To, Users string }
)

// Diff is the report on what changed between two snapshots as one file.
func Diff(r *diff.Report, o Origin) ([]byte, error) {
	return execute("diff.html", newDiffView(r, o))
}

func newDiffView(r *diff.Report, o Origin) *diffView {
	v := &diffView{frame: frame{CSS: template.CSS(pageCSS), Kind: "Snapshot diff", Units: r.Unit.Noun(2), Verdict: mark{"note", "●", "changed"}, Sentence: capital(clean(r.Verdict.Text))}}
	v.Unit = capital(v.Units)
	switch {
	case !r.Verdict.OK || !r.Before.Complete || !r.After.Complete:
		v.Verdict = mark{"alert", "▲", "not ok"}
	case r.Verdict.Same:
		v.Verdict = mark{"ok", "✓", "same"}
	}
	before, after := clean(filepath.Base(r.Before.Path)), clean(filepath.Base(r.After.Path))
	v.Names = before + " → " + after
	v.Title = fmt.Sprintf("Snapshot diff: %s (%s)", v.Names, v.Verdict.Word)
	for i, s := range []*diff.Snapshot{&r.Before, &r.After} {
		which := []string{"before", "after"}[i]
		if when := between(s.StartedAt, s.FinishedAt); when != "" {
			v.About = append(v.About, which+" "+when)
		}
		v.Snapshots = append(v.Snapshots, newDiffSnapshot(s, capital(which), v.Units))
		for _, p := range s.Problems {
			v.Findings = append(v.Findings, finding{Mark: alert, Text: []part{{Name: clean(filepath.Base(s.Path))}, {Text: ": " + prose(p)}}})
		}
	}
	v.Figures = []fact{
		{v.Units + " in both", report.Thousands(r.Users.Both)},
		{"changed", report.Thousands(r.Users.Changed)},
		{"added", report.Thousands(r.Users.Added)},
		{"removed", report.Thousands(r.Users.Removed)},
	}
	v.Configs = capital(clean(r.Configs.Words)) + "."
	for _, c := range r.Configs.Changed {
		text := clean(c.Change)
		if len(c.Parts) > 0 {
			text += ": " + clean(strings.Join(c.Parts, ", "))
		}
		v.Changes = append(v.Changes, fact{clean(c.Flag), text})
	}
	v.diffFlags(r)
	v.fold()
	for _, n := range r.Notes {
		v.Notes = append(v.Notes, clean(n))
	}
	v.Notes = append(v.Notes, "A user has changed who gets another variant, payload or experiment key of at least one flag. Users are the same where user id and device id are.")
	v.Footer = o.footer()
	for _, s := range []*diff.Snapshot{&r.Before, &r.After} {
		v.Footer.run(s.RunID, s.Path, "", s.StartedAt, s.FinishedAt)
	}
	return v
}

func newDiffSnapshot(s *diff.Snapshot, which, noun string) diffSnapshot {
	out := diffSnapshot{Which: which}
	out.Name, out.Mark = clean(filepath.Base(s.Path)), mark{"ok", "✓", "complete"}
	if !s.Complete {
		out.Mark = mark{"alert", "▲", "not to be trusted"}
	}
	for _, p := range s.Problems {
		out.Problems = append(out.Problems, capital(prose(p)))
	}
	out.Figures = []fact{
		{noun, report.Thousands(s.Users)},
		{"assignments", report.Thousands(s.Assignments)},
		{"failed", report.Thousands(s.Failed)},
	}
	if filepath.Base(s.Path) != s.Path {
		out.Facts = append(out.Facts, fact{"File", clean(s.Path)})
	}
	if len(s.Retries) > 0 {
		out.Facts = append(out.Facts, fact{"Asked again", clean(strings.Join(s.Retries, ", "))})
	}
	if s.RunID != "" {
		out.Facts = append(out.Facts, fact{"Run", between(s.StartedAt, s.FinishedAt)})
	}
	return out
}

// diffFlags makes the sections of the flags of which something changed, and the findings, the most users first.
func (v *diffView) diffFlags(r *diff.Report) {
	var changed []*diff.Flag
	for i := range r.Flags {
		f := &r.Flags[i]
		moved := slices.ContainsFunc(f.Transitions, func(t diff.Transition) bool { return !t.Same() })
		if moved || f.NotAsked != "" || f.Changed > 0 || slices.Contains(r.OnlyIn.Before, f.Key) || slices.Contains(r.OnlyIn.After, f.Key) {
			changed = append(changed, f)
		} else {
			v.Unchanged = append(v.Unchanged, clean(f.Key))
		}
	}
	slices.SortStableFunc(changed, func(a, b *diff.Flag) int { return cmp.Compare(b.Changed, a.Changed) })
	for i, f := range changed {
		out := newDiffSection(f, r)
		out.ID = fmt.Sprintf("flag-%d", i+1)
		v.Flags = append(v.Flags, out)
		if f.Changed == 0 {
			continue
		}
		said := finding{Mark: mark{"note", "●", "changed"}, Text: []part{{Name: out.Key, Link: out.ID}, {Text: ": " + strings.TrimSuffix(strings.Join(out.Words, " "), ".")}}}
		if len(v.Findings) < openFindings {
			v.Findings = append(v.Findings, said)
		} else {
			v.Folded = append(v.Folded, said)
		}
	}
}

// end is what users have on one side.
type end struct{ outcome, variant string }

func ends(t *diff.Transition) (before, after end) {
	before, after = end{outcome: t.BeforeOutcome}, end{outcome: t.AfterOutcome}
	if t.Before != nil {
		before.variant = *t.Before
	}
	if t.After != nil {
		after.variant = *t.After
	}
	return before, after
}

// label is what it is called. A variant with the name of an outcome stands in quotes.
func (e end) label() string {
	switch {
	case e.outcome != diff.Assigned:
		return strings.ReplaceAll(e.outcome, "_", " ")
	case e.variant == "" || e.variant == diff.Absent || e.variant == "not assigned" || e.variant == "not asked" || strings.TrimSpace(e.variant) != e.variant:
		return `"` + clean(e.variant) + `"`
	}
	return clean(e.variant)
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
	out := &diffSection{Key: clean(f.Key), Changed: report.Thousands(f.Changed), Share: report.Percent(ratio(f.Changed, r.Users.Both))}
	out.Bar = &bar{Name: "Changed " + out.Share}
	out.Bar.add("v1", ratio(f.Changed, r.Users.Both))
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
		out.Words = append(out.Words, capital(strings.Join(parts, "; "))+".")
	}
	parts = nil
	for _, c := range diff.Causes {
		if n := f.Causes[c]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", causeWords[c], report.Thousands(n)))
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
		before, after := ends(t)
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
	out.bars(rows, columns, had, has)
	if len(columns) > matrixEnds {
		out.moves(f)
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
				c.Text, c.Class = report.Thousands(n), "m3"
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

// bars are what the users who are in a snapshot have in it.
func (d *diffSection) bars(rows, columns []end, had, has map[end]int64) {
	var all []report.Variant
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
		all = append(all, report.Variant{Key: e.variant, Treatment: e.outcome == diff.Assigned && !e.control()})
	}
	looks := looksOf(all)
	for i, e := range both {
		if e.outcome != diff.Assigned {
			looks[i] = "empty"
		}
		d.Legend = append(d.Legend, legend{looks[i], e.label()})
	}
	if more > 0 {
		d.Legend = append(d.Legend, legend{"rest", count(int64(more), "more variant")})
	}
	newBar := func(name string, users map[end]int64) *bar {
		var total int64
		for e, n := range users {
			if e.outcome != diff.Absent && e.outcome != diff.NotAsked {
				total += n
			}
		}
		if total == 0 {
			return nil
		}
		b := &bar{}
		var said []string
		rest := 1.0
		for i, e := range both {
			share := ratio(users[e], total)
			b.add(looks[i], share)
			said = append(said, short(e.label())+" "+report.Percent(share))
			rest -= share
		}
		if b.others(rest) {
			said = append(said, "others "+report.Percent(rest))
		}
		b.Name = name + ": " + strings.Join(said, ", ")
		return b
	}
	d.Before, d.After = newBar("Before", had), newBar("After", has)
}

// moves are the transitions in which something changed, as a list.
func (d *diffSection) moves(f *diff.Flag) {
	moves := slices.DeleteFunc(slices.Clone(f.Transitions), func(t diff.Transition) bool { return t.Same() })
	slices.SortStableFunc(moves, func(a, b diff.Transition) int { return cmp.Compare(b.Users, a.Users) })
	for i := range moves[:min(len(moves), listMoves)] {
		before, after := ends(&moves[i])
		d.Moves = append(d.Moves, move{before.label(), after.label(), report.Thousands(moves[i].Users)})
	}
	if more := len(moves) - listMoves; more > 0 {
		d.MoreMoves = count(int64(more), "more transition")
	}
}
