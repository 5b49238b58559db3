package check

import (
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// Table is the report for a person at a terminal of that width.
func (r *Report) Table(width int) string {
	p := &text.Printer{Width: width}
	const indent = "        "
	list := func(label string, lines ...string) {
		for _, line := range lines {
			p.Hang(indent+label, line)
			label = strings.Repeat(" ", len(label))
		}
	}
	for i := range r.Checks {
		res := &r.Checks[i]
		p.Hang(map[Status]string{Held: "ok    ", NotHeld: "FAIL  ", Undecided: "ERROR "}[res.Status], res.Name)
		if res.Status == Held {
			list("", r.found(res))
			continue
		}
		list("check     ", r.Rules+":"+strconv.Itoa(res.Line))
		list("expected  ", r.expected(res.Check))
		list("found     ", append([]string{r.found(res)}, r.details(res)...)...)
		list("example   ", r.exampleRows(res)...)
	}
	p.Line("")
	p.Hang("", r.Rules+": "+r.Verdict()+" for "+r.users()+".")
	for i := range r.Cohorts {
		p.Hang("", r.Cohorts[i].String())
	}
	if warning := r.warning(); warning != "" {
		p.Hang("", "warning: "+warning+".")
	}
	return p.String()
}
