package diff

import (
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

const (
	minWidth   = 60
	labelWidth = 28
	maxListed  = 20 // transitions that are listed where the matrix is too wide
	maxCells   = 40 // rows and columns of a matrix
)

// Table is the report for a terminal of that width in columns: the verdict first.
func (r *Report) Table(width int) string {
	p := &text.Printer{Width: max(width, minWidth)}
	p.Wrap(strings.ToUpper(r.Verdict.Word())+"  ", 2, r.Verdict.Text)
	for i, s := range []*Snapshot{&r.Before, &r.After} {
		p.Line("")
		p.Wrap([]string{"Before  ", "After   "}[i], 8, s.Path)
		for _, line := range s.describe(r.Unit) {
			p.Wrap("        ", 10, line)
		}
	}
	p.Line("")
	p.Wrap("Flag configurations: ", 2, r.Configs.Words)
	for i := range r.Configs.Changed {
		p.Wrap("  ", 4, r.Configs.Changed[i].String())
	}
	var unchanged []string
	for i := range r.Flags {
		f := &r.Flags[i]
		if r.Unchanged(f) {
			unchanged = append(unchanged, f.Key)
			continue
		}
		p.Line("")
		p.Wrap("Flag ", 2, f.Key)
		for _, s := range r.Sentences(f) {
			p.Wrap("  ", 4, s)
		}
		if f.MayHaveChanged() {
			f.printTransitions(p)
		}
	}
	if len(unchanged) > 0 {
		p.Line("")
		p.Wrap("Unchanged flags: ", 2, strings.Join(unchanged, ", "))
	}
	if len(r.Notes) > 0 {
		p.Line("")
	}
	for _, n := range r.Notes {
		p.Wrap("", 0, n)
	}
	return p.String()
}

// printTransitions prints a matrix, or a list where that would be too wide.
func (f *Flag) printTransitions(p *text.Printer) {
	if cells := f.Matrix().cells(maxCells); cells != nil && p.Fits(cells) {
		p.Table(1, cells)
		return
	}
	p.Line("  BEFORE → AFTER")
	transitions := f.ChangedTransitions()
	for i := range transitions {
		if i == maxListed {
			p.Line("  and %s", text.Count(int64(len(transitions)-i), "more transition"))
			break
		}
		before, after := transitions[i].Ends()
		p.Wrap("  ", 4, fmt.Sprintf("%s → %s: %s", before.Label(), after.Label(), text.Thousands(transitions[i].Users)))
	}
}
