package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline/report"
)

// TestSummaryFitsTheTerminal: the table of the closing summary is as wide as the terminal at most, and cuts no name
// that has room.
func TestSummaryFitsTheTerminal(t *testing.T) {
	long := "flag-" + strings.Repeat("ä", 60)
	m := &report.Manifest{
		Users: report.Users{Read: 123_456_789, Answered: 123_456_789},
		Flags: []report.FlagCount{
			{Flag: long, Assigned: 123_456_789, Variants: []report.VariantCount{{Variant: "variant-" + strings.Repeat("x", 40), Users: 123_456_789}}},
			{Flag: "short", NotAssigned: 123_456_789},
		},
	}
	for width, cut := range map[int]bool{80: true, 100: true, 200: false} {
		text := summaryText(m, "", 0, width)
		table, _, _ := strings.Cut(text[strings.Index(text, "FLAG"):], "\n\n")
		for line := range strings.Lines(table) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("at %d columns, a line of %d: %s", width, n, line)
			}
		}
		if got := !strings.Contains(table, long); got != cut {
			t.Errorf("at %d columns, a flag's name of %d characters was cut: %t, want %t:\n%s", width, utf8.RuneCountInString(long), got, cut, table)
		}
		if !strings.Contains(table, "short ") || !strings.Contains(table, "(not assigned)") {
			t.Errorf("at %d columns, short names are cut:\n%s", width, table)
		}
	}
}
