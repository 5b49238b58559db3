package report

import (
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// Markdown is the report as a comment on a pull request, or a page of a wiki: the verdict and the findings first.
func (r *Report) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	table := func(left int, rows [][]string) { b.WriteString("\n" + text.MarkdownTable(left, rows)) }
	line("# Exposure report: %s", r.Verdict.Severity)
	line("\n%s.", text.Markdown(text.Capitalize(r.Verdict.Text)))
	for _, said := range r.CrossChecks() {
		line("\n%s.", text.Markdown(text.Capitalize(said)))
	}
	if len(r.Findings) > 0 {
		line("\n## Findings\n")
		for i := range r.Findings {
			f := &r.Findings[i]
			line("- **%s** %s", f.Severity, text.Markdown(f.Text()))
		}
	}
	for i := range r.Cohorts {
		c := &r.Cohorts[i]
		line("\n## Cohort %s\n\n%s; %s.", text.Code(c.Name), text.Markdown(c.FoundText()),
			text.Markdown(c.ExposedText(r.Unit)))
		if c.Found > 0 && len(c.Flags) > 0 {
			table(2, c.Rows(r.Unit))
		}
	}
	line("\n## Snapshots\n")
	for i := range r.Snapshots {
		s := &r.Snapshots[i]
		state := "complete"
		if !s.Complete {
			state = "**not to be trusted**"
		}
		line("- %s: %s", text.Code(s.Path), state)
		if s.Manifest != "" {
			for _, said := range s.describe(r.Unit) {
				line("  - %s", text.Markdown(said))
			}
		}
	}
	if len(r.Snapshots) > 1 {
		line("\nAll together: %s.", text.Markdown(countsText(r.Unit, &r.Users.Users)))
	}
	for i := range r.Columns {
		c := &r.Columns[i]
		line("\n## Slices by %s", text.Code(c.Name))
		table(1, c.rows(r.Unit))
		line("\nFailing: %s.", text.Markdown(c.FailingResult.String()))
	}
	for _, f := range r.ByVerdict() {
		line("\n## Flag %s\n\n%s.", text.Code(f.Key), text.Markdown(text.Capitalize(f.reachText(r.Unit))))
		if len(f.Variants) == 0 {
			continue
		}
		rows, more := f.variantRows(r.Unit)
		rows[0][4] = "expected"
		table(1, rows)
		if more != "" {
			line("\nAnd %s.", more)
		}
		for _, said := range f.Words() {
			line("\n%s.", text.Markdown(text.Capitalize(said)))
		}
		if len(f.Slices) == 0 {
			continue
		}
		var names []int
		if len(f.Variants) > 1 {
			names, _, _ = f.ShownVariants(maxVariants)
		}
		rows = [][]string{{"", "slice", r.Unit.Noun(2), "reach"}}
		for _, n := range names {
			rows[0] = append(rows[0], f.Variants[n].Key)
		}
		for k := range f.Slices {
			s := &f.Slices[k]
			row := []string{s.verdictWord(), s.Column + " = " + s.Label, text.Thousands(s.Users), text.Percent(s.Reach.Share)}
			for _, n := range names {
				cell := "-"
				if s.Assigned > 0 {
					cell = fmt.Sprintf("%s (%s)", text.Thousands(s.Variants[n].Users), text.Percent(s.Variants[n].Split.Share))
				}
				row = append(row, cell)
			}
			rows = append(rows, row)
		}
		table(2, rows)
	}
	if len(r.Overlaps) > 0 {
		line("\n## Users in a treatment of two flags")
		table(3, overlapRows(r.Unit, r.Overlaps))
	}
	for _, n := range r.Notes {
		line("\n%s", text.Markdown(n))
	}
	line("\n%s", text.Markdown(r.Reading()))
	return b.String()
}
