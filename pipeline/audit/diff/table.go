package diff

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
)

const (
	minWidth   = 60
	labelWidth = 28
	maxMoves   = 20 // transitions that are listed where the matrix is too wide
	maxEnds    = 40 // rows and columns of a matrix
	minute     = "2006-01-02 15:04"
)

// Table is the report for a person at a terminal that is so many columns wide: the verdict first.
func (r *Report) Table(width int) string {
	p := &printer{report.Lines{Width: max(width, minWidth)}}
	p.Wrap(strings.ToUpper(r.Verdict.word())+"  ", 2, r.Verdict.Text)
	for i, s := range []*Snapshot{&r.Before, &r.After} {
		p.Line("")
		p.Wrap([]string{"Before  ", "After   "}[i], 8, s.Path)
		for _, text := range s.lines(r.Unit) {
			p.Wrap("        ", 10, text)
		}
	}
	p.Line("")
	p.Wrap("Flag configurations: ", 2, r.Configs.Words)
	for i := range r.Configs.Changed {
		p.Wrap("  ", 4, r.Configs.Changed[i].text())
	}
	var still []string
	for i := range r.Flags {
		f := &r.Flags[i]
		if f.unchanged(r) {
			still = append(still, f.Key)
			continue
		}
		p.Line("")
		p.Wrap("Flag ", 2, f.Key)
		for _, text := range f.lines(r) {
			p.Wrap("  ", 4, text)
		}
		if f.still() {
			continue
		}
		if !p.table(f.matrix(maxEnds)) {
			p.Line("  BEFORE → AFTER")
			moves := f.moves()
			for k, t := range moves {
				if k == maxMoves {
					p.Line("  and %s", count(int64(len(moves)-k), "more transition"))
					break
				}
				p.Wrap("  ", 4, fmt.Sprintf("%s → %s: %s", label(t.BeforeOutcome, t.Before), label(t.AfterOutcome, t.After), report.Thousands(t.Users)))
			}
		}
	}
	if len(still) > 0 {
		p.Line("")
		p.Wrap("Unchanged flags: ", 2, strings.Join(still, ", "))
	}
	if len(r.Notes) > 0 {
		p.Line("")
	}
	for _, n := range r.Notes {
		p.Wrap("", 0, n)
	}
	return p.String()
}

// word is the verdict in a word.
func (v *Verdict) word() string {
	switch {
	case !v.OK:
		return "not ok"
	case v.Same:
		return "same"
	}
	return "changed"
}

// lines say what snapshot it is, and whether it can be trusted.
func (s *Snapshot) lines(unit stats.Unit) []string {
	lines := []string{"complete, by its manifest"}
	if !s.Complete {
		lines = []string{"NOT TO BE TRUSTED:"}
		for _, p := range s.Problems {
			lines = append(lines, "- "+p)
		}
	}
	if s.Manifest != "" {
		lines = append(lines, fmt.Sprintf("run %s, %s to %s UTC", s.RunID, clock(s.StartedAt), clock(s.FinishedAt)))
	}
	text := fmt.Sprintf("%s with %s", unit.Count(s.Users), count(s.Assignments, "assignment"))
	if s.Failed > 0 {
		text += "; " + report.Thousands(s.Failed) + " failed, and are not in it"
	}
	if len(s.Retries) > 0 {
		text += "; those asked about again, in " + strings.Join(s.Retries, ", ") + ", are part of it"
	}
	return append(lines, text)
}

func clock(t time.Time) string { return t.UTC().Format(minute) }

// text is a changed configuration in a line.
func (c *ConfigChange) text() string {
	text := c.Flag + ": " + c.Change
	if len(c.Parts) > 0 {
		text += " (" + strings.Join(c.Parts, ", ") + ")"
	}
	return text
}

// still reports whether there is nothing to show of the flag.
func (f *Flag) still() bool {
	return f.NotAsked == "" && !slices.ContainsFunc(f.Transitions, func(t Transition) bool { return !t.Same() })
}

// unchanged reports whether there is nothing to say of the flag.
func (f *Flag) unchanged(r *Report) bool {
	return f.still() && f.Changed == 0 && !slices.Contains(r.OnlyIn.Before, f.Key) && !slices.Contains(r.OnlyIn.After, f.Key)
}

// lines say what became of the flag.
func (f *Flag) lines(r *Report) []string {
	var lines []string
	switch {
	case f.NotAsked != "":
		return []string{"not compared: the run " + f.NotAsked + " did not ask for it"}
	case slices.Contains(r.OnlyIn.Before, f.Key):
		lines = append(lines, "it is not in the snapshot after")
	case slices.Contains(r.OnlyIn.After, f.Key):
		lines = append(lines, "it is not in the snapshot before")
	}
	switch {
	case f.Changed == 0:
		lines = append(lines, "nothing changed for "+r.Unit.Noun(2)+" in both")
	default:
		var parts []string
		for _, part := range []struct {
			n    int64
			text string
		}{{f.Variants, "another variant"}, {f.Payloads, "the same variant with another payload"}, {f.ExperimentKeys, "the same variant with another experiment key"}} {
			if part.n > 0 {
				parts = append(parts, r.Unit.Count(part.n)+": "+part.text)
			}
		}
		lines = append(lines, strings.Join(parts, "; "))
	}
	if text := f.causeText(); text != "" {
		lines = append(lines, "cause: "+text)
	}
	return lines
}

var causeWords = map[Cause]string{
	CauseConfiguration: "the new configuration", CauseUser: "the user's new properties", CauseBoth: "both together",
	CauseEither: "either alone", CauseUnclear: "unclear",
}

func (f *Flag) causeText() string {
	var parts []string
	for _, c := range Causes {
		if n := f.Causes[c]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", causeWords[c], report.Thousands(n)))
		}
	}
	return strings.Join(parts, ", ")
}

// label is one side of a transition. A variant with the name of an outcome stands in quotes.
func label(outcome string, variant *string) string {
	if variant == nil {
		return strings.ReplaceAll(outcome, "_", " ")
	}
	name := report.Printable(*variant)
	if name == "" || name == Absent || name == "not assigned" || name == "not asked" || strings.TrimSpace(name) != name {
		name = `"` + name + `"`
	}
	return name
}

// moves are the transitions in which something changed, the largest first.
func (f *Flag) moves() []Transition {
	moves := slices.DeleteFunc(slices.Clone(f.Transitions), func(t Transition) bool { return t.Same() })
	slices.SortStableFunc(moves, func(a, b Transition) int { return int(max(-1, min(1, b.Users-a.Users))) })
	return moves
}

// matrix is the transitions as rows of cells: variants before downwards, after to the right; nil where there are more
// than so many of either.
func (f *Flag) matrix(most int) [][]string {
	type end struct {
		outcome, variant string
		null             bool
	}
	ends := func(outcome string, variant *string) end {
		if variant == nil {
			return end{outcome, "", true}
		}
		return end{outcome, *variant, false}
	}
	var rows, columns []end
	cells := map[[2]end]int64{}
	for _, t := range f.Transitions {
		from, to := ends(t.BeforeOutcome, t.Before), ends(t.AfterOutcome, t.After)
		if !slices.Contains(rows, from) {
			rows = append(rows, from)
		}
		if !slices.Contains(columns, to) {
			columns = append(columns, to)
		}
		if len(rows) > most || len(columns) > most {
			return nil
		}
		cells[[2]end{from, to}] += t.Users
	}
	slices.SortFunc(columns, func(a, b end) int { return compareSides(a.outcome, &a.variant, b.outcome, &b.variant) })
	name := func(e end) string {
		if e.null {
			return label(e.outcome, nil)
		}
		return shorten(label(e.outcome, &e.variant), labelWidth)
	}
	head := []string{"before / after"}
	for _, c := range columns {
		head = append(head, name(c))
	}
	table := [][]string{head}
	for _, from := range rows {
		row := []string{name(from)}
		for _, to := range columns {
			cell := "-"
			if n := cells[[2]end{from, to}]; n > 0 {
				cell = report.Thousands(n)
			}
			row = append(row, cell)
		}
		table = append(table, row)
	}
	return table
}

type printer struct{ report.Lines }

// table prints rows of cells, all but the first to the right; false where they are too wide, or there are none.
func (p *printer) table(rows [][]string) bool {
	if len(rows) == 0 {
		return false
	}
	widths := make([]int, len(rows[0]))
	total := 0
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += 2 + widths[i]
	}
	if total > p.Width {
		return false
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			line.WriteString("  ")
			if i == 0 {
				line.WriteString(cell + gap)
			} else {
				line.WriteString(gap + cell)
			}
		}
		p.Line("%s", line.String())
	}
	return true
}

// shorten cuts a name that would tear a table.
func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func count(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return report.Thousands(n) + " " + noun
}
