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
	line("# Exposure report: %s", r.Verdict.Severity)
	line("\n%s.", text.Markdown(text.Capitalize(r.Verdict.Text)))
	if len(r.Findings) > 0 {
		line("\n## Findings\n")
		for i := range r.Findings {
			f := &r.Findings[i]
			line("- **%s** %s", f.Severity, text.Markdown(f.Text()))
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
			line("  - %s", text.Markdown(s.runText()))
			if tracking := s.TrackingText(); tracking != "" {
				line("  - %s", text.Markdown(tracking))
			}
			line("  - %s", text.Markdown(s.usersText(r.Unit)))
		}
	}
	if len(r.Snapshots) > 1 {
		line("\nAll together: %s.", text.Markdown(countsText(r.Unit, &r.Users.Users)))
	}
	for i := range r.Columns {
		c := &r.Columns[i]
		line("\n## Slices by %s\n", text.Code(c.Name))
		line("| %s | %s | failed |\n|---|---:|---:|", text.Markdown(c.Name), r.Unit.Noun(2))
		for _, s := range c.Slices {
			line("| %s | %s | %s |", text.Markdown(s.Label), text.Thousands(s.Users), text.Thousands(s.Failed))
		}
		line("\nFailing: %s.", text.Markdown(c.FailingResult.String()))
	}
	for _, f := range r.ByVerdict() {
		line("\n## Flag %s\n\n%s.", text.Code(f.Key), text.Markdown(text.Capitalize(f.reachText(r.Unit))))
		if len(f.Variants) == 0 {
			continue
		}
		line("\n| variant | %s | share | 95 %% interval | expected |\n|---|---:|---:|---:|---:|", r.Unit.Noun(2))
		shown, more, rest := f.ShownVariants(maxVariants)
		for _, k := range shown {
			v := &f.Variants[k]
			expected := ""
			if len(f.Expected.Variants) > 0 {
				expected = v.expected()
			}
			line("| %s | %s | %s | %s | %s |", text.Markdown(v.Key), text.Thousands(v.Users), text.Percent(v.Split.Share), v.Split.interval(), expected)
		}
		if more > 0 {
			line("\nAnd %s with %s.", text.Count(int64(more), "more variant"), r.Unit.Count(rest))
		}
		for _, said := range []string{f.Result.String(), f.AllocationResult.String()} {
			if said != "" {
				line("\n%s.", text.Markdown(text.Capitalize(said)))
			}
		}
		if len(f.Slices) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n| | slice | %s | reach |", r.Unit.Noun(2))
		rule := "|---|---|---:|---:|"
		var names []int
		if len(f.Variants) > 1 {
			names, _, _ = f.ShownVariants(maxSliceVariants)
		}
		for _, n := range names {
			fmt.Fprintf(&b, " %s |", text.Markdown(f.Variants[n].Key))
			rule += "---:|"
		}
		line("\n%s", rule)
		for k := range f.Slices {
			s := &f.Slices[k]
			fmt.Fprintf(&b, "| %s | %s | %s | %s |", s.mark(), text.Markdown(s.Column+" = "+s.Label), text.Thousands(s.Users), text.Percent(s.Reach.Share))
			for _, n := range names {
				cell := "-"
				if s.Assigned > 0 {
					cell = fmt.Sprintf("%s (%s)", text.Thousands(s.Variants[n].Users), text.Percent(s.Variants[n].Split.Share))
				}
				fmt.Fprintf(&b, " %s |", cell)
			}
			b.WriteByte('\n')
		}
	}
	if len(r.Overlaps) > 0 {
		line("\n## Users in a treatment of two flags\n\n| | | | %s | by chance |\n|---|---|---|---:|---:|", r.Unit.Noun(2))
		for i := range r.Overlaps {
			o := &r.Overlaps[i]
			line("| %s | %s | %s | %s | %s |", o.mark(), text.Markdown(o.A), text.Markdown(o.B), text.Thousands(o.Treatments), text.Thousands(int64(o.Independent+0.5)))
		}
	}
	for _, n := range r.Notes {
		line("\n%s", text.Markdown(n))
	}
	line("\n%s", text.Markdown(r.Reading()))
	return b.String()
}
