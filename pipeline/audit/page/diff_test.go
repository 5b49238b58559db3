package page

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/audit/diff"
)

func transition(before, after string, users int64) diff.Transition {
	side := func(s string) (string, *string) {
		if s == diff.NotAssigned || s == diff.Absent || s == diff.NotAsked {
			return s, nil
		}
		return diff.Assigned, &s
	}
	t := diff.Transition{Users: users}
	t.BeforeOutcome, t.Before = side(before)
	t.AfterOutcome, t.After = side(after)
	return t
}

// exampleDiff is a diff with something of everything.
func exampleDiff() *diff.Report {
	day := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	r := &diff.Report{
		Files: exampleFiles(),
		Verdict: diff.Verdict{Text: "30 of 1,000 users in both changed (3.0 %), 5 added; but not both snapshots can be " +
			"trusted"},
		Before: diff.Snapshot{Path: "out/monday.parquet", Manifest: "out/monday.parquet.manifest.json", RunID: "run-1",
			StartedAt: day, FinishedAt: day.Add(time.Minute), Users: 1000, Assignments: 1500, Complete: true},
		After: diff.Snapshot{Path: "tuesday.csv", Users: 1005, Assignments: 1510, Failed: 2,
			Problems: []string{"there is no manifest beside it"}},
		Users: diff.Users{Both: 1000, Changed: 30, Share: 0.03, Added: 5},
		Configs: diff.Configs{Compared: true, Words: "1 of 3 changed",
			Changed: []diff.ConfigChange{{Flag: "checkout", Change: "changed", Parts: []string{"segments", "variants"}}}},
		OnlyIn: diff.OnlyIn{After: []string{"new"}},
		Flags: []diff.Flag{
			{Key: "checkout", Changed: 30, Variants: 22, Payloads: 8,
				Causes: map[diff.Cause]int64{diff.CauseConfiguration: 25, diff.CauseUser: 5}, Transitions: []diff.Transition{
					transition("bold", "bold", 400), transition("bold", "control", 20), transition("control", "control", 400),
					transition(diff.NotAssigned, "bold", 2),
					transition(diff.NotAssigned, diff.NotAssigned, 178), transition(diff.Absent, "bold", 5)}},
			{Key: "new", Transitions: []diff.Transition{transition(diff.Absent, "not assigned", 7),
				transition(diff.Absent, diff.NotAssigned, 998)}},
			{Key: "still", Transitions: []diff.Transition{transition("on", "on", 1000),
				transition(diff.Absent, diff.NotAssigned, 5)}},
			{Key: "unasked", NotAsked: diff.NotAskedAfter, Transitions: []diff.Transition{transition("on", diff.NotAsked, 800),
				transition(diff.NotAssigned, diff.NotAsked, 200)}},
			{Key: "wide"},
		},
		Notes: []string{"Payloads are not compared: a wide output has them only with --include payload."},
	}
	for i := range 60 {
		r.Flags[4].Transitions = append(r.Flags[4].Transitions,
			transition(diff.NotAssigned, strings.Repeat("v", i+1), int64(i+1)))
	}
	return r
}

func renderDiff(tb testing.TB, r *diff.Report) []byte {
	tb.Helper()
	data, err := Diff(r, origin)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestDiff(t *testing.T) {
	const file = "testdata/diff.html"
	got := renderDiff(t, exampleDiff())
	if err := checkPage(got); err != nil {
		t.Error(err)
	}
	if err := checkPage(renderDiff(t, &diff.Report{})); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" || err != nil {
		t.Errorf("%s: %v (-want +got; -update writes it anew):\n%s", file, err, diff)
	}
	text := string(got)
	for _, want := range []string{
		`not ok</span> <span class="sentence">30 of 1,000 users in both changed`,
		`<bdi>tuesday.csv</bdi>: there is no manifest`,
		`<a href="#flag-1"><bdi>checkout</bdi></a>: 22 users: another variant; 8 users: the same variant with another payload; cause: the new configuration (25), the user&#39;s new properties (5)`,
		`not to be trusted`, `1 of 3 changed.`, `changed: segments, variants`,
		`aria-label="Changed 3.0 %"`, `Unchanged: <bdi>still</bdi>.`,
		`aria-label="Before: control 40.0 %, bold 42.0 %, not assigned 18.0 %"`,
		`aria-label="After: control 41.8 %, bold 40.5 %, not assigned 17.7 %"`,
		`<td class="n m3">20</td>`, `<td class="n m0">178</td>`,
		`It is not in the snapshot before.`, `&#34;not assigned&#34;`, `Not compared: the run after did not ask for it.`,
		`And 10 more transitions.`,
		`Payloads are not compared`, `run-1`,
	} {
		t.Run(want, func(t *testing.T) {
			at := strings.Index(text, want)
			if at < 0 {
				t.Fatalf("the page does not say %q after what comes before it", want)
			}
			text = text[at:]
		})
	}
}

// FuzzDiff: whatever the names are, they are text.
func FuzzDiff(f *testing.F) {
	for _, s := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "\x00\u202e\xff", ""} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, variant string) {
		if len(key)+len(variant) > 1000 {
			return
		}
		r := exampleDiff()
		r.Verdict.Text, r.Configs.Words, r.Notes[0] = key, variant, key
		r.Before.Path, r.Before.RunID, r.After.Problems[0] = key, variant, variant
		r.Configs.Changed[0] = diff.ConfigChange{Flag: key, Change: variant, Parts: []string{key}}
		for i := range r.Flags {
			r.Flags[i].Key += key
			r.Flags[i].Transitions[0] = transition(variant, key, 3)
		}
		if err := checkPage(renderDiff(t, r)); err != nil {
			t.Errorf("key %q, variant %q: %v", key, variant, err)
		}
	})
}
