package report_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
)

// cohortsOf makes cohorts of those members.
func cohortsOf(t *testing.T, members map[string]string) *cohort.Set {
	t.Helper()
	files := map[string]string{}
	for name, ids := range members {
		files[name] = filepath.Join(t.TempDir(), name+".csv")
		if err := os.WriteFile(files[name], []byte("user_id\n"+ids), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := cohort.Load(t.Context(), cohort.Options{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestCohorts: members are found by user id in every format and layout, among the failed users, too; and what they got
// is beside what everybody got.
func TestCohorts(t *testing.T) {
	user := func(i int) string { return fmt.Sprintf("user-1-%08x", i) }
	ids := strings.Join([]string{user(0), user(1), user(2), "nobody", user(3), "nobody", user(99)}, "\n")
	set := cohortsOf(t, map[string]string{"none": "", "vip": ids})
	for _, tt := range []struct {
		name, file string
		wide       bool
	}{
		{"long CSV", "out.csv", false}, {"long Parquet", "out.parquet", false}, {"wide JSONL", "out.jsonl", true},
		{"wide Parquet", "out.parquet", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			w := world{seed: 1, users: 100, flags: []string{"one", "two"}, wide: tt.wide}
			w.touch = func(i int, o *pipeline.Outcome) {
				a, b := &o.Assignments[0], &o.Assignments[1]
				a.Assigned, a.Key, b.Assigned, b.Key = true, "control", false, ""
				switch {
				case i == 99:
					o.Err = pipeline.Errorf(pipeline.KindUnavailable, "gone")
				case i == 0 || i >= 50:
					a.Key = "treatment"
				case i == 3: // found after the counters of the others have grown
					a.Key = "zeta"
				}
			}
			w.write(t, path)
			o := report.Options{Snapshots: []string{path}, Cohorts: set, Named: []string{"vip"}}
			r := build(t, o)
			if len(r.Columns) != 0 || len(r.Flags[0].Slices) != 0 {
				t.Errorf("without --by: columns %v, slices %v; want none", r.Columns, r.Flags[0].Slices)
			}
			got := r.Cohorts[1]
			want := report.Cohort{Name: "vip", File: set.Get("vip").Path, SHA256: set.Get("vip").SHA256, Named: true,
				Members: 6, Found: 4, Failed: 1, Missing: 1,
				Users: 4, Flags: []report.CohortFlag{
					{Flag: "one", Assigned: 4, Exposed: 2, Everybody: 1, Variants: []report.CohortVariant{
						{Variant: "control", Users: 2, OfUsers: 0.5, Everybody: 48. / 99},
						{Variant: "treatment", Treatment: true, Users: 1, OfUsers: 0.25, Everybody: 50. / 99},
						{Variant: "zeta", Treatment: true, Users: 1, OfUsers: 0.25, Everybody: 1. / 99},
					}},
					{Flag: "two", Variants: []report.CohortVariant{}},
				}}
			for i, assigned := range []int64{4, 0} {
				f := &want.Flags[i]
				f.Reach.Share = float64(assigned) / 4
				f.Reach.Low, f.Reach.High = stats.Wilson(assigned, 4)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(report.Cohort{})); diff != "" {
				t.Errorf("cohort (-want +got):\n%s", diff)
			}
			var missing []string
			err := got.EachMissing(t.Context(), func(id []byte) error {
				missing = append(missing, string(id))
				return nil
			})
			if want := []string{"nobody"}; err != nil || !slices.Equal(missing, want) {
				t.Errorf("missing members %q, %v; want %q", missing, err, want)
			}
			data, err := r.JSON()
			var back struct {
				Cohorts []struct{ Members, Found, Failed, Missing int64 }
			}
			if err == nil {
				err = json.Unmarshal(data, &back)
			}
			if err != nil || len(back.Cohorts) != 2 || back.Cohorts[1].Found != 4 || back.Cohorts[1].Missing != 1 {
				t.Errorf("JSON: %+v, %v; want 4 found and 1 missing of the second", back, err)
			}
			for name, text := range map[string]string{"table": r.Table(80), "markdown": r.Markdown()} {
				for _, want := range []string{"4 of 6 members are found among the users, 1 failed, 1 never seen",
					"2 users in a treatment of one", "0 of 0 members are found among the users",
					"no member is found, so nothing is known of them"} {
					if !strings.Contains(text, want) {
						t.Errorf("the %s has no %q:\n%s", name, want, text)
					}
				}
			}

			o.By = []string{"cohort.vip", "country"}
			r = build(t, o)
			wantSlices := []report.Slice{{Label: "false", Kind: report.SliceValue, Users: 95},
				{Label: "true", Kind: report.SliceValue, Users: 4, Failed: 1}}
			if diff := cmp.Diff(wantSlices, r.Columns[0].Slices); diff != "" {
				t.Errorf("slices by cohort.vip (-want +got):\n%s", diff)
			}
			if s := r.Flags[0].Slices; !slices.ContainsFunc(s, func(s report.FlagSlice) bool {
				return s.Column == "cohort.vip" && s.Label == "true" && s.Users == 4 && s.Variants[1].Users == 1
			}) {
				t.Errorf("slices of flag one: %+v; want 4 users in cohort.vip = true, 1 of them with treatment", s)
			}
			if r.Cohorts[1].Found != 4 || len(r.Columns) != 2 {
				t.Errorf("with --by cohort.vip: %d found, %d columns; want 4 and 2", r.Cohorts[1].Found, len(r.Columns))
			}
		})
	}
}

// TestCohortText: what is said of the members, the flags that expose most of them first.
func TestCohortText(t *testing.T) {
	flags := func(exposed ...int64) (list []report.CohortFlag) {
		for i, n := range exposed {
			list = append(list, report.CohortFlag{Flag: string(rune('a' + i)), Exposed: n})
		}
		return list
	}
	for _, tt := range []struct {
		name           string
		c              report.Cohort
		found, exposed string
	}{
		{"nobody", report.Cohort{Members: 2, Missing: 2}, "0 of 2 members are found among the users, 2 never seen",
			"no member is found, so nothing is known of them"},
		{"not exposed", report.Cohort{Members: 1, Found: 1, Flags: flags(0, 0)}, "1 of 1 member is found among the users",
			"none of them is in a treatment of any flag"},
		{"many flags", report.Cohort{Members: 9000, Found: 8000, Failed: 1000, Flags: flags(1, 0, 7000, 3, 2, 1)},
			"8,000 of 9,000 members are found among the users, 1,000 failed",
			"7,000 users in a treatment of c, 3 users in a treatment of d, 2 users in a treatment of e, some in 2 more flags"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.FoundText(); got != tt.found {
				t.Errorf("FoundText of %+v = %q, want %q", tt.c, got, tt.found)
			}
			if got := tt.c.ExposedText(stats.UnitUsers); got != tt.exposed {
				t.Errorf("ExposedText of %+v = %q, want %q", tt.c, got, tt.exposed)
			}
		})
	}
}

// TestCohortsOfPartialFiles: where users are not in the file, or failed users are not known, that is said.
func TestCohortsOfPartialFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	w := world{seed: 1, users: 40, flags: []string{"one"}, reach: 0.5}
	w.touch = func(i int, o *pipeline.Outcome) {
		if !o.Assignments[0].Assigned { // as a run without --flags writes
			o.Assignments = o.Assignments[:0]
		}
		if i == 39 {
			o.Err = pipeline.Errorf(pipeline.KindUnavailable, "gone")
		}
	}
	m := w.write(t, path)
	m.Layout.Flags = nil
	m.Outputs[1].Path = filepath.Join(filepath.Dir(path), "gone.jsonl")
	w.manifest(t, path, m)
	r := build(t, report.Options{Snapshots: []string{path}, Cohorts: cohortsOf(t, map[string]string{"vip": "x"})})
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"so members of a cohort who were never seen may be among them.",
		"so members of a cohort who failed count as never seen."} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q, want %q", notes, want)
		}
	}
}
