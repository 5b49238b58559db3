package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
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

// Thousands is a count with separators: 1,234,567.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// Percent is a share as a percentage: "12.3 %", with more digits where the share is very near to none or all, and never
// 0 or 100 unless it is exactly that.
func Percent(share float64) string {
	p := 100 * share
	for digits := 1; digits <= 4; digits++ {
		text := strconv.FormatFloat(p, 'f', digits, 64)
		near := strings.Trim(text, "0.") == "" && share > 0 || strings.HasPrefix(text, "100.") && share < 1
		if !near {
			return text + " %"
		}
	}
	if share < 0.5 {
		return "< 0.0001 %"
	}
	return "> 99.9999 %"
}

// PValue is a p-value as a person reads it: "p = 0.042", "p < 1e-99".
func PValue(p float64) string {
	switch {
	case p < 1e-99:
		return "p < 1e-99"
	case p < 0.001:
		return "p = " + strconv.FormatFloat(p, 'e', 0, 64)
	case p < 0.01:
		return "p = " + strconv.FormatFloat(p, 'f', 4, 64)
	case p > 0.995:
		return "p = 1"
	}
	return "p = " + strconv.FormatFloat(p, 'f', 2, 64)
}

// pText is the p-value of a test, and says whether it is corrected: "p = 0.042", "corrected p = 0.042".
func pText(t *stats.Test) string {
	if t.Tests > 1 {
		return "corrected " + PValue(t.Corrected)
	}
	return PValue(t.Corrected)
}

// effect is the end of a sentence about a test: how large, how sure.
func effect(t *stats.Test) string {
	return fmt.Sprintf("w = %.3f, %s", t.W, pText(t))
}

// severityOf is how bad a test's verdict is.
func severityOf(v stats.Verdict) Severity {
	switch v {
	case stats.Alarm:
		return Alert
	case stats.Warning:
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
