package diff

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
)

func name(s string) *string { return &s }

// sample is a report with something of everything.
func sample() *Report {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &Report{
		Unit: stats.UnitUsers,
		Before: Snapshot{Path: "monday.parquet", Manifest: "monday.parquet.manifest.json", RunID: "20260102T030405Z-aaaa",
			StartedAt: at, FinishedAt: at.Add(time.Hour), Users: 12345, Assignments: 30000, Complete: true,
			Problems: []string{}},
		After: Snapshot{Path: "tuesday.csv", Users: 12346, Failed: 7, Assignments: 1,
			Problems: []string{"there is no manifest beside it: the run is not finished, or the file was moved alone"}},
		Users: Users{Both: 12340, Changed: 120, Share: 120. / 12340, Added: 6, Removed: 5},
		Configs: Configs{Compared: true, Words: "2 of 15 changed", Flags: 15,
			Changed: []ConfigChange{{"checkout", "changed", []string{"segments", "variants"}},
				{"new|flag", "added", []string{}}}},
		OnlyIn:   OnlyIn{[]string{"gone"}, []string{"new|flag", "unasked"}},
		Compared: Compared{true, true},
		Passes:   1,
		Notes:    []string{"Payloads are not compared: a wide output has them only with --include payload."},
		Flags: []Flag{
			{Key: "checkout", Changed: 110, Variants: 100, Payloads: 9, ExperimentKeys: 1,
				Causes: map[Cause]int64{CauseConfiguration: 90, CauseUser: 15, CauseBoth: 2, CauseEither: 2, CauseUnclear: 1},
				Config: "changed",
				Transitions: []Transition{
					{Assigned, name("absent"), Assigned, name("absent"), 11000},
					{Assigned, name("absent"), Assigned, name("treat\x1bment"), 60}, {Assigned, name("absent"), Absent, nil, 5},
					{Assigned, name("treat\x1bment"), NotAssigned, nil, 40}, {NotAssigned, nil, NotAssigned, nil, 1240},
					{Absent, nil, Assigned, name("absent"), 6},
				}},
			{Key: "gone", Causes: map[Cause]int64{}, Transitions: []Transition{{NotAssigned, nil, Absent, nil, 12345},
				{Absent, nil, Absent, nil, 6}}},
			{Key: "payload-only", Changed: 3, Payloads: 3, Causes: map[Cause]int64{},
				Transitions: []Transition{{Assigned, name("on"), Assigned, name("on"), 12345}}},
			{Key: "price_test", Causes: map[Cause]int64{}, Transitions: []Transition{{Assigned, name("on"), Assigned, name("on"),
				12345}}},
			{Key: "unasked", NotAsked: NotAskedBefore, Causes: map[Cause]int64{},
				Transitions: []Transition{{NotAsked, nil, Assigned, name("not asked"), 12000},
					{NotAsked, nil, NotAssigned, nil, 345}}},
			{Key: "wide", Changed: 60, Variants: 60, Causes: map[Cause]int64{}},
		},
	}
	for i := range 30 {
		r.Flags[5].Transitions = append(r.Flags[5].Transitions,
			Transition{Assigned, name(fmt.Sprintf("variant-%d", i)), Assigned, name(fmt.Sprintf("variant-%d", i+1)),
				int64(i + 1)})
	}
	r.Verdict = newVerdict(r, &Limit{Share: 0.01, IsShare: true, Text: "1%"})
	return r
}

// TestGolden holds the texts against testdata; -update writes them anew.
func TestGolden(t *testing.T) {
	r := sample()
	data, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string]string{"table.txt": r.Table(80), "diff.md": r.Markdown(),
		"diff.json": string(data)} {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join("testdata", file)
			if *update {
				if err := os.MkdirAll("testdata", 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if diff := cmp.Diff(string(want), got); diff != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%s", path, err, diff)
			}
			if file != "diff.json" && strings.ContainsRune(got, '\x1b') {
				t.Errorf("%s holds what a terminal would act upon", file)
			}
		})
	}
	for _, width := range []int{0, 60, 72, 80, 200} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			for line := range strings.Lines(r.Table(width)) {
				if n := utf8.RuneCountInString(line) - 1; n > max(width, minWidth) {
					t.Errorf("width %d: a line of %d: %s", width, n, line)
				}
			}
		})
	}
}
