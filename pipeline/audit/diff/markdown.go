package diff

import (
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// maxColumns are the rows and columns of a matrix in Markdown, whose width nobody knows.
const maxColumns = 12

// Markdown is the report as a comment on a pull request, or a page of a wiki: the verdict first. Flags of which nothing
// changed are named in one line.
func (r *Report) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	sentence := func(s string) string { return text.Markdown(text.Capitalize(s)) + "." }
	line("# Snapshot diff: %s", r.Verdict.Word())
	line("\n%s", sentence(r.Verdict.Text))
	line("\n## Snapshots\n")
	for i, s := range []*Snapshot{&r.Before, &r.After} {
		line("- %s: %s", sideNames[i], text.Code(s.Path))
		for _, s := range s.describe(r.Unit) {
			line("  - %s", text.Markdown(strings.TrimPrefix(s, "- ")))
		}
	}
	line("\n## Flag configurations\n\n%s", sentence(r.Configs.Words))
	if len(r.Configs.Changed) > 0 {
		line("")
	}
	for i := range r.Configs.Changed {
		line("- %s", text.Markdown(r.Configs.Changed[i].String()))
	}
	var unchanged []string
	for i := range r.Flags {
		f := &r.Flags[i]
		if r.Unchanged(f) {
			unchanged = append(unchanged, text.Code(f.Key))
			continue
		}
		line("\n## Flag %s", text.Code(f.Key))
		for _, s := range r.Sentences(f) {
			line("\n%s", sentence(s))
		}
		if f.MayHaveChanged() {
			b.WriteString(r.markdownTransitions(f))
		}
	}
	if len(unchanged) > 0 {
		line("\nUnchanged flags: %s.", strings.Join(unchanged, ", "))
	}
	for _, n := range r.Notes {
		line("\n%s", text.Markdown(n))
	}
	return b.String()
}

// markdownTransitions is a matrix, or a list where that would be too wide.
func (r *Report) markdownTransitions(f *Flag) string {
	rows, labels := f.Matrix().cells(maxColumns), 1
	if rows == nil {
		rows, labels = [][]string{{"before", "after", r.Unit.Noun(2)}}, 2
		transitions := f.ChangedTransitions()
		for i := range transitions {
			if i == 5*maxListed {
				rows = append(rows, []string{"and " + text.Count(int64(len(transitions)-i), "more transition"), "", ""})
				break
			}
			before, after := transitions[i].Ends()
			rows = append(rows, []string{before.Label(), after.Label(), text.Thousands(transitions[i].Users)})
		}
	}
	return "\n" + text.MarkdownTable(labels, rows)
}
