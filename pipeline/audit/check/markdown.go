package check

import (
	"fmt"
	"strings"
)

// Markdown is the report for a comment on a pull request, or a page of a wiki.
func (r *Report) Markdown() string {
	var b strings.Builder
	verdict := r.Verdict()
	fmt.Fprintf(&b, "# %s%s\n\n", strings.ToUpper(verdict[:1]), verdict[1:])
	fmt.Fprintf(&b, "%s on %s, %s.\n\n", escape(r.Rules), escape(strings.Join(r.Snapshots, ", ")), r.usersText())
	if text := r.differingText(); text != "" {
		fmt.Fprintf(&b, "**Warning:** %s.\n\n", text)
	}
	b.WriteString("| | Check | Found |\n|---|---|---|\n")
	for i := range r.Checks {
		res := &r.Checks[i]
		mark := map[Status]string{Held: "ok", NotHeld: "**FAIL**", Undecided: "**ERROR**"}[res.Status]
		fmt.Fprintf(&b, "| %s | %s | %s |\n", mark, escape(res.Name), escape(res.Found))
	}
	for i := range r.Checks {
		res := &r.Checks[i]
		if res.Status == Held {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n- Rule: %s line %d\n", escape(res.Name), escape(r.Rules), res.Line)
		if res.Expected != "" {
			fmt.Fprintf(&b, "- Expected: %s\n", escape(res.Expected))
		}
		fmt.Fprintf(&b, "- Found: %s\n", escape(res.Found))
		for _, detail := range res.Details {
			fmt.Fprintf(&b, "- %s\n", escape(detail))
		}
		if rows := r.rows(res); len(rows) > 0 {
			b.WriteString("- For example:\n")
			for _, text := range rows {
				fmt.Fprintf(&b, "  - %s\n", escape(text))
			}
		}
	}
	return b.String()
}

// escape makes Markdown of a text: nothing in it is markup.
func escape(text string) string {
	var b strings.Builder
	for _, r := range clean(text) {
		if strings.ContainsRune("\\`*_{}[]<>#|~&!$", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
