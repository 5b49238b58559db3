package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// TestSummaryFitsTheTerminal: the table of the closing summary is as wide as the terminal at most, and cuts no name
// that has room.
func TestSummaryFitsTheTerminal(t *testing.T) {
	long := "flag-" + strings.Repeat("ä", 60)
	m := &snapshot.Manifest{
		Users: snapshot.Users{Read: 123_456_789, Answered: 123_456_789},
		Flags: []snapshot.FlagCount{
			{Flag: long, Assigned: 123_456_789, Variants: []snapshot.VariantCount{{Variant: "variant-" + strings.Repeat("x", 40),
				Users: 123_456_789}}},
			{Flag: "short", NotAssigned: 123_456_789},
		},
	}
	for width, cut := range map[int]bool{80: true, 100: true, 200: false} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			text := summaryText(m, "", 0, width)
			table, _, _ := strings.Cut(text[strings.Index(text, "FLAG"):], "\n\n")
			for line := range strings.Lines(table) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("at %d columns, a line of %d: %s", width, n, line)
				}
			}
			if got := !strings.Contains(table, long); got != cut {
				t.Errorf("at %d columns, a flag's name of %d characters was cut: %t, want %t:\n%s", width,
					utf8.RuneCountInString(long), got, cut, table)
			}
			if !strings.Contains(table, "short ") || !strings.Contains(table, "(not assigned)") {
				t.Errorf("at %d columns, short names are cut:\n%s", width, table)
			}
		})
	}
}

// TestSummaryIsBounded: of many flags and variants the summary has the most frequent ones, and says how many more
// there are.
func TestSummaryIsBounded(t *testing.T) {
	m := &snapshot.Manifest{}
	for f := range 80 {
		count := snapshot.FlagCount{Flag: fmt.Sprintf("flag-%02d", f), Assigned: int64(f)}
		if f == 79 {
			for v := range 20_000 {
				count.Variants = append(count.Variants, snapshot.VariantCount{Variant: fmt.Sprintf("v%05d", v), Users: int64(v)})
			}
		} else {
			count.Variants = []snapshot.VariantCount{{Variant: "on", Users: int64(f)}}
		}
		m.Flags = append(m.Flags, count)
	}
	text := summaryText(m, "", time.Second, 80)
	if lines := strings.Count(text, "\n"); lines > 150 {
		t.Errorf("%d lines, want at most 150:\n%s", lines, text)
	}
	for _, want := range []string{"v19999", "v19980", "(19,980 more)", "199,590,210",
		"and 30 more flags; the manifest has all", "flag-30"} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(text, want) {
				t.Errorf("the summary does not have %q:\n%s", want, text)
			}
		})
	}
	for _, unwanted := range []string{"v19979", "flag-29"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("the summary has %q, which is not among the most frequent ones", unwanted)
		}
	}
	if len(m.Flags[79].Variants) != 20_000 || m.Flags[0].Flag != "flag-00" {
		t.Error("the manifest's own counts were changed")
	}
}

func TestDescribePauses(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    snapshot.Requests
		want string
	}{
		{"one", snapshot.Requests{Pauses: 1, PerSecond: 100, Statuses: map[string]int64{"200": 99, "429": 1}},
			"the API asked for 1 pause"},
		{"many", snapshot.Requests{Pauses: 2000, FoundRate: 48.3}, "the API asked for 2,000 pauses; it takes about 48 requests/s"},
		{"fast", snapshot.Requests{Pauses: 1, FoundRate: 1234.5}, "the API asked for 1 pause; it takes about 1,235 requests/s"},
		{"slow", snapshot.Requests{Pauses: 20, FoundRate: 0.482}, "the API asked for 20 pauses; it takes about 0.48 requests/s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := describePauses(&tt.r); got != tt.want {
				t.Errorf("describePauses(%+v) = %q, want %q", tt.r, got, tt.want)
			}
		})
	}
}

func TestWarningsAreCountedAndBounded(t *testing.T) {
	c := newConsole(&env{Stderr: io.Discard})
	for range 1500 {
		c.Warn("again", "a hint")
	}
	for i := range 2 * maxWarnings {
		c.Warn(fmt.Sprint("kind ", i), "")
	}
	got := warningTexts(c.Warnings())
	if len(got) != maxWarnings+1 || got[0] != "again (1,500 times)" || got[1] != "kind 0" ||
		got[maxWarnings] != "and 101 more warnings" {
		t.Errorf("%d warnings: %q, %q … %q; want %d, the first with its count", len(got), got[0], got[1], got[len(got)-1],
			maxWarnings+1)
	}
}

func TestDescribeShortfall(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name  string
		rate  float64
		stats amplitude.Stats
		want  string // in the message; "": no message
	}{
		{"reached", 100, amplitude.Stats{EffectiveRate: 99.2}, ""},
		{"no rate", 0, amplitude.Stats{EffectiveRate: 5}, ""},
		{"pauses", 100, amplitude.Stats{EffectiveRate: 50, Pauses: 1}, ""},
		{"an outage", 100, amplitude.Stats{EffectiveRate: 50, Outages: 1}, ""},
		{"all in flight", 100, amplitude.Stats{EffectiveRate: 12.8, MostInFlight: 64, P50: 5 * time.Second},
			"12.8 requests/s were sent, not the 100 of --rate: an answer takes 5s, and 64 requests were in flight"},
		{"few in flight", 100, amplitude.Stats{EffectiveRate: 80, MostInFlight: 20}, "80.0 requests/s were sent, not the " +
			"100 of --rate: this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.stats.First, tt.stats.Last = now, now.Add(minRated*time.Second)
			o := &snapshotOptions{rate: tt.rate, concurrency: 64}
			if got, _ := describeShortfall(o, &tt.stats); got != tt.want && (tt.want == "" || !strings.HasPrefix(got, tt.want)) {
				t.Errorf("describeShortfall(%+v) = %q, want %q", tt.stats, got, tt.want)
			}
			tt.stats.Last = now.Add(minRated*time.Second - 1)
			if got, _ := describeShortfall(o, &tt.stats); got != "" {
				t.Errorf("a short run: %q, want nothing", got)
			}
		})
	}
}
