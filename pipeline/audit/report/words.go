package report

import (
	"fmt"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// countOf is a number of users, or rows, with the verb that goes with it.
func countOf(unit stats.Unit, n int64, one, many string) string {
	verb := many
	if n == 1 {
		verb = one
	}
	if verb != "" {
		verb = " " + verb
	}
	return unit.Count(n) + verb
}

// users is a number of users, or rows, with the verb that goes with it.
func (a *analysis) users(n int64, one, many string) string { return countOf(a.r.Unit, n, one, many) }

func (c *collector) countOf(n int64, one, many string) string {
	return countOf(c.ids.Unit(), n, one, many)
}

// pText is the p-value of a test, and says whether it is corrected: "p = 0.042", "corrected p = 0.042".
func pText(t *stats.Test) string {
	if t.Tests > 1 {
		return "corrected " + text.PValue(t.Corrected)
	}
	return text.PValue(t.Corrected)
}

// effect is the end of a sentence about a test: how large, how sure.
func effect(t *stats.Test) string {
	return fmt.Sprintf("w = %.3f, %s", t.W, pText(t))
}

// severityOf is how bad a test's verdict is.
func severityOf(v stats.Verdict) Severity {
	switch v {
	case stats.Alert:
		return Alert
	case stats.Warn:
		return Warn
	}
	return OK
}

// milder is one step less.
func milder(s Severity) Severity {
	switch s {
	case Alert:
		return Warn
	case Warn:
		return Note
	}
	return s
}
