package report

import (
	"fmt"
	"strings"
)

// Markdown is the report as a comment on a pull request, or a page of a wiki: the verdict and the findings first.
func (r *Report) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Exposure report: %s", r.Verdict.Severity)
	line("\n%s.", escape(capital(r.Verdict.Text)))
	if len(r.Findings) > 0 {
		line("\n## Findings\n")
		for _, f := range r.Findings {
			line("- **%s** %s", f.Severity, escape(f.Text))
		}
	}
	line("\n## Snapshots\n")
	for i := range r.Snapshots {
		s := &r.Snapshots[i]
		state := "complete"
		if !s.Complete {
			state = "**not to be trusted**"
		}
		line("- %s: %s", code(s.Path), state)
		if s.Manifest != "" {
			line("  - %s", escape(s.runText()))
			if text := s.TrackingText(); text != "" {
				line("  - %s", escape(text))
			}
			line("  - %s", escape(s.usersText(r.Unit)))
		}
	}
	if len(r.Snapshots) > 1 {
		line("\nAll together: %s.", escape(countsText(r.Unit, &r.Users.Users)))
	}
	for i := range r.Columns {
		c := &r.Columns[i]
		line("\n## Slices by %s\n", code(c.Name))
		line("| %s | %s | failed |\n|---|---:|---:|", escape(c.Name), r.Unit.Noun(2))
		for _, s := range c.Slices {
			line("| %s | %s | %s |", escape(s.Label), Thousands(s.Users), Thousands(s.Failed))
		}
		line("\nFailing: %s.", escape(c.FailingWords))
	}
	for _, f := range r.ByVerdict() {
		line("\n## Flag %s\n\n%s.", code(f.Key), escape(capital(f.reachText(r.Unit))))
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
			line("| %s | %s | %s | %s | %s |", escape(v.Key), Thousands(v.Users), Percent(v.Split.Share), v.Split.interval(), expected)
		}
		if more > 0 {
			line("\nAnd %s with %s.", count(more, "more variant"), r.Unit.Count(rest))
		}
		for _, words := range []string{f.Words, f.AllocationWords} {
			if words != "" {
				line("\n%s.", escape(capital(words)))
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
			fmt.Fprintf(&b, " %s |", escape(f.Variants[n].Key))
			rule += "---:|"
		}
		line("\n%s", rule)
		for k := range f.Slices {
			s := &f.Slices[k]
			fmt.Fprintf(&b, "| %s | %s | %s | %s |", s.mark(), escape(s.Column+" = "+s.Label), Thousands(s.Users), Percent(s.Reach.Share))
			for _, n := range names {
				text := "-"
				if s.Assigned > 0 {
					text = fmt.Sprintf("%s (%s)", Thousands(s.Variants[n].Users), Percent(s.Variants[n].Split.Share))
				}
				fmt.Fprintf(&b, " %s |", text)
			}
			b.WriteByte('\n')
		}
	}
	if len(r.Overlaps) > 0 {
		line("\n## Users in a treatment of two flags\n\n| | | | %s | by chance |\n|---|---|---|---:|---:|", r.Unit.Noun(2))
		for i := range r.Overlaps {
			o := &r.Overlaps[i]
			line("| %s | %s | %s | %s | %s |", o.mark(), escape(o.A), escape(o.B), Thousands(o.Treatments), Thousands(int64(o.Independent+0.5)))
		}
	}
	for _, n := range r.Notes {
		line("\n%s", escape(n))
	}
	line("\n%s", escape(r.Reading()))
	return b.String()
}

// markdown is what means something in Markdown or HTML.
var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", `\|`, "~", `\~`)

// escape is text that means itself.
func escape(s string) string { return markdown.Replace(Printable(s)) }

// code is text as code.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "¦").Replace(Printable(s)) + "`"
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
