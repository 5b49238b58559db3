package check

import (
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// Markdown is the report for a comment on a pull request, or a page of a wiki.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", text.Capitalize(r.Verdict()))
	fmt.Fprintf(&b, "%s on %s, %s.\n\n", text.Markdown(r.Rules), text.Markdown(strings.Join(r.Snapshots, ", ")), r.users())
	for i := range r.Cohorts {
		fmt.Fprintf(&b, "- %s\n", text.Markdown(r.Cohorts[i].String()))
	}
	if r.Cohorts != nil {
		b.WriteString("\n")
	}
	if warning := r.warning(); warning != "" {
		fmt.Fprintf(&b, "**Warning:** %s.\n\n", warning)
	}
	b.WriteString("| | Check | Found |\n|---|---|---|\n")
	for i := range r.Checks {
		res := &r.Checks[i]
		mark := map[Status]string{Held: "ok", NotHeld: "**FAIL**", Undecided: "**ERROR**"}[res.Status]
		fmt.Fprintf(&b, "| %s | %s | %s |\n", mark, text.Markdown(res.Name), text.Markdown(r.found(res)))
	}
	for i := range r.Checks {
		res := &r.Checks[i]
		if res.Status == Held {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n- Check: %s line %d\n", text.Markdown(res.Name), text.Markdown(r.Rules), res.Line)
		fmt.Fprintf(&b, "- Expected: %s\n", text.Markdown(r.expected(res.Check)))
		fmt.Fprintf(&b, "- Found: %s\n", text.Markdown(r.found(res)))
		for _, detail := range r.details(res) {
			fmt.Fprintf(&b, "- %s\n", text.Markdown(detail))
		}
		if rows := r.exampleRows(res); len(rows) > 0 {
			b.WriteString("- For example:\n")
			for _, row := range rows {
				fmt.Fprintf(&b, "  - %s\n", text.Markdown(row))
			}
		}
	}
	return b.String()
}
