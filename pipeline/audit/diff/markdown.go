package diff

import (
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
)

// maxColumns are the rows and columns of a matrix in Markdown, whose width nobody knows.
const maxColumns = 12

// Markdown is the report as a comment on a pull request, or a page of a wiki: the verdict first. Flags of which nothing
// changed are named in one line.
func (r *Report) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Snapshot diff: %s", r.Verdict.word())
	line("\n%s.", escape(capital(r.Verdict.Text)))
	line("\n## Snapshots\n")
	for i, s := range []*Snapshot{&r.Before, &r.After} {
		line("- %s: %s", []string{"before", "after"}[i], code(s.Path))
		for _, text := range s.lines(r.Unit) {
			line("  - %s", escape(strings.TrimPrefix(text, "- ")))
		}
	}
	line("\n## Flag configurations\n\n%s.", escape(capital(r.Configs.Words)))
	if len(r.Configs.Changed) > 0 {
		line("")
	}
	for i := range r.Configs.Changed {
		line("- %s", escape(r.Configs.Changed[i].text()))
	}
	var still []string
	for i := range r.Flags {
		f := &r.Flags[i]
		if f.unchanged(r) {
			still = append(still, code(f.Key))
			continue
		}
		line("\n## Flag %s", code(f.Key))
		for _, text := range f.lines(r) {
			line("\n%s.", escape(capital(text)))
		}
		if f.still() {
			continue
		}
		matrix := f.matrix(maxColumns)
		if matrix == nil {
			line("\n| before | after | %s |\n|---|---|---:|", r.Unit.Noun(2))
			moves := f.moves()
			for k, t := range moves {
				if k == 5*maxMoves {
					line("| and %s | | |", count(int64(len(moves)-k), "more transition"))
					break
				}
				line("| %s | %s | %s |", escape(label(t.BeforeOutcome, t.Before)), escape(label(t.AfterOutcome, t.After)), report.Thousands(t.Users))
			}
			continue
		}
		line("")
		for k, row := range matrix {
			for _, cell := range row {
				fmt.Fprintf(&b, "| %s ", escape(cell))
			}
			line("|")
			if k == 0 {
				line("|---|%s", strings.Repeat("---:|", len(row)-1))
			}
		}
	}
	if len(still) > 0 {
		line("\nUnchanged flags: %s.", strings.Join(still, ", "))
	}
	for _, n := range r.Notes {
		line("\n%s", escape(n))
	}
	return b.String()
}

// markdown is what means something in Markdown or HTML.
var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", `\|`, "~", `\~`)

// escape is text that means itself.
func escape(s string) string { return markdown.Replace(report.Printable(s)) }

// code is text as code.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "¦").Replace(report.Printable(s)) + "`"
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
