package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

var update = flag.Bool("update", false, "write the golden files anew")

func build(t *testing.T, o report.Options) *report.Report {
	t.Helper()
	r, err := report.Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// findings are those of a kind, as "severity flag column=slice".
func findings(r *report.Report, kind string) []string {
	found := []string{}
	for _, f := range r.Findings {
		if f.Kind == kind {
			text := string(f.Severity)
			for _, part := range []string{f.Flag, f.Other, f.Column, f.Slice} {
				if part != "" {
					text += " " + part
				}
			}
			found = append(found, text)
		}
	}
	return found
}

// TestFormatsAgree: whatever the format and the layout, the same users give the same report.
func TestFormatsAgree(t *testing.T) {
	folder := t.TempDir()
	var first *report.Report
	for _, name := range []string{"out.csv", "out.tsv", "out.jsonl", "out.parquet", "out.csv.gz", "out.jsonl.zst",
		"wide/out.csv", "wide/out.jsonl", "wide/out.parquet"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			w := world{seed: 5, users: 2000, flags: []string{"b-flag", "a-flag"}, reach: 0.7,
				wide: strings.Contains(name, "wide/")}
			w.touch = func(i int, o *pipeline.Outcome) {
				switch {
				case i%100 == 7:
					o.Err = pipeline.Errorf(pipeline.KindRejected, "no")
				case i%50 == 3:
					o.Row.Carry[0], o.Row.Carry[1] = pipeline.Value{}, pipeline.Value{}
				}
			}
			m := w.write(t, path)
			r := build(t, report.Options{Snapshots: []string{path}, By: []string{"country", "age"}})
			if !r.Snapshots[0].Complete || !r.Snapshots[0].Everybody || r.Users.Failed != 20 || r.Users.InFile != 1980 {
				t.Fatalf("%s: snapshot %+v, users %+v, want a complete one of 1980 users", name, r.Snapshots[0], r.Users)
			}
			for i, f := range m.Flags {
				got := r.Flags[i]
				if got.Key != f.Flag || got.Assigned != f.Assigned || got.NotAssigned != f.NotAssigned {
					t.Errorf("%s: flag %+v, want %+v", name, got.Counts, f)
				}
				for k, v := range f.Variants {
					if got.Variants[k].Key != v.Variant || got.Variants[k].Users != v.Users {
						t.Errorf("%s: flag %s has %d users of %s, want %+v", name, f.Flag, got.Variants[k].Users, got.Variants[k].Key, v)
					}
				}
			}
			addUp(t, name, r)
			r.Snapshots, r.Files = nil, nil
			if first == nil {
				first = r
			} else if diff := cmp.Diff(first, r); diff != "" {
				t.Errorf("%s: another report than of out.csv (-out.csv):\n%s", name, diff)
			}
		})
	}
	for i, want := range []int{len(countries) + 1, report.Bins + 1} {
		if c := first.Columns[i]; len(c.Slices) != want || c.Slices[want-1].Kind != report.SliceMissing {
			t.Errorf("slices by %s: %+v, want %d, the last one of those without a value", c.Name, c.Slices, want)
		}
	}
}

// addUp: the slices of each column together are all users.
func addUp(t *testing.T, name string, r *report.Report) {
	t.Helper()
	for _, c := range r.Columns {
		var users, failed int64
		for _, s := range c.Slices {
			users, failed = users+s.Users, failed+s.Failed
		}
		if users != r.Users.InFile || failed != r.Users.Failed {
			t.Errorf("%s: slices by %s have %d users and %d failed ones, want %d and %d", name, c.Name, users, failed,
				r.Users.InFile, r.Users.Failed)
		}
	}
	for _, f := range r.Flags {
		for _, c := range r.Columns {
			var users, assigned, left int64
			variants := make([]int64, len(f.Variants))
			for _, s := range f.Slices {
				if s.Column != c.Name {
					continue
				}
				users, assigned, left = users+s.Users, assigned+s.Assigned, left+s.LeftOut
				for i, v := range s.Variants {
					variants[i] += v.Users
				}
			}
			if users != f.Users || assigned != f.Assigned || left != f.LeftOut {
				t.Errorf("%s: flag %s by %s: %d users, %d assigned, %d left out, want %d, %d, %d", name, f.Key, c.Name, users,
					assigned, left, f.Users, f.Assigned, f.LeftOut)
			}
			for i, v := range f.Variants {
				if variants[i] != v.Users {
					t.Errorf("%s: flag %s by %s: %d users of %s, want %d", name, f.Key, c.Name, variants[i], v.Key, v.Users)
				}
			}
		}
	}
}

// TestTrust: what is wrong with a snapshot is the first finding.
func TestTrust(t *testing.T) {
	edit := func(change func(lines []string) []string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := change(slices.Collect(strings.Lines(string(data))))
			if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, path string)
		want   string // in the problems; "" is none
	}{
		{"whole", func(*testing.T, string) {}, ""},
		{"no manifest", func(t *testing.T, path string) {
			if err := os.Remove(path + ".manifest.json"); err != nil {
				t.Fatal(err)
			}
		}, "there is no manifest beside it"},
		{"cut", edit(func(l []string) []string { return l[:len(l)-3] }), "it has 597 rows, the manifest says 600"},
		{"a user twice", edit(func(l []string) []string { return append(l, l[1]) }),
			"not sorted by row number, and may be duplicated"},
		{"another variant", edit(func(l []string) []string {
			i := slices.IndexFunc(l, func(s string) bool { return strings.Contains(s, "control") })
			l[i] = strings.Replace(l[i], "control", "kontrol", 1)
			return l
		}), "variant control: 152 users, the manifest says 153"},
		{"another user", edit(func(l []string) []string { l[1] = strings.Replace(l[1], "user-", "usor-", 1); return l }),
			"its checksum is not the one in the manifest"},
		{"the same flag twice", edit(func(l []string) []string { l[2] = strings.Replace(l[2], "two", "one", 1); return l }),
			"1 user has the same flag more than once"},
		{"records that disagree", edit(func(l []string) []string {
			l[2] = strings.Replace(l[2], "user-", "usor-",
				1)
			return l
		}), "1 user has rows that disagree, for example in column user_id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.csv")
			w := world{seed: 1, users: 300, flags: []string{"one", "two"}}
			w.write(t, path)
			test.damage(t, path)
			r := build(t, report.Options{Snapshots: []string{path}, Checksums: true,
				Expectations: []report.Expectation{{Source: "x",
					Split: engine.Split{Flag: "one", BucketBy: "user_id", Variants: half}}}})
			s := r.Snapshots[0]
			problems := strings.Join(s.Problems, "\n")
			found := r.Verdict.Severity == report.Alert && r.Findings[0].Kind == report.KindSnapshot
			if s.Complete != (test.want == "") || !strings.Contains(problems, test.want) || test.want != "" && !found {
				t.Errorf("complete %v, problems %q, verdict %+v, want %q", s.Complete, problems, r.Verdict, test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "out.csv")
	w := world{seed: 1, users: 10, flags: []string{"one"}}
	w.write(t, path)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "copy.csv"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.manifest(t, filepath.Join(folder, "copy.csv"), &snapshot.Manifest{Format: 1, RunID: "run-1",
		Outputs: []snapshot.File{{Path: "copy.csv"}, {Path: "e.jsonl"}}})
	for _, test := range []struct {
		o    report.Options
		want string
		hint string
	}{
		{report.Options{Snapshots: []string{path, filepath.Join(folder, "copy.csv")}}, "are of the same run",
			"name one output of each run"},
		{report.Options{Snapshots: []string{path, path}}, "are of the same run", "name one output of each run"},
		{report.Options{Snapshots: []string{path + ".errors.jsonl"}}, "holds the error records of a run",
			"name one of its other outputs"},
		{report.Options{Snapshots: []string{path + ".nowhere"}}, "no such file", ""},
		{report.Options{Snapshots: []string{path}, By: []string{"Country"}}, `has no carried column "Country"`,
			`did you mean "country"?`},
		{report.Options{Snapshots: []string{path}, By: []string{"subscription"}}, `has no carried column "subscription"`,
			"--carry subscription"},
		{report.Options{Snapshots: []string{path}, Expectations: []report.Expectation{{Source: report.SourceExpect,
			Split: engine.Split{Flag: "onne"}}}}, `--expect names flag "onne"`, `did you mean "one"?`},
	} {
		_, err := report.Build(t.Context(), test.o)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(pipeline.Hint(err), test.hint) {
			t.Errorf("Build(%+v) = %v (%s), want %s (%s)", test.o, err, pipeline.Hint(err), test.want, test.hint)
		}
	}
}

// TestRunsAddUp: two runs are one whole; a manifest stands for its first output.
func TestRunsAddUp(t *testing.T) {
	folder := t.TempDir()
	a, b := filepath.Join(folder, "eu.csv"), filepath.Join(folder, "us.parquet")
	wa, wb := world{seed: 1, users: 500, flags: []string{"one"}},
		world{seed: 2, users: 700, flags: []string{"one", "two"}, wide: true}
	wa.write(t, a)
	wb.write(t, b)
	r := build(t, report.Options{Snapshots: []string{a + ".manifest.json", b}, By: []string{"country"}})
	if len(r.Snapshots) != 2 || r.Users.Answered != 1200 || r.Flags[0].Assigned != 1200 || r.Flags[1].Assigned != 700 ||
		r.Flags[1].NotAssigned != 500 {
		t.Errorf("users %+v, flags %+v, want 1200 users of one, 700 of two", r.Users, r.Flags)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes,
		"the other runs' users count as without a variant: two.") {
		t.Errorf("notes %q, want that only one run knows flag two", notes)
	}
	addUp(t, "two runs", r)
}

// TestFailing: users of one country fail more, which is found; or all alike, which is not.
func TestFailing(t *testing.T) {
	for _, more := range []int{1, 4} {
		path := filepath.Join(t.TempDir(), "out.csv")
		w := world{seed: 3, users: 20_000, flags: []string{"one"}}
		w.touch = func(i int, o *pipeline.Outcome) {
			every := 100
			if o.Row.Carry[0].Text == "FR" {
				every /= more
			}
			if i%every == 0 {
				o.Err = pipeline.Errorf(pipeline.KindUnavailable, "gone")
			}
		}
		w.write(t, path)
		r := build(t, report.Options{Snapshots: []string{path}, By: []string{"country", "age"}})
		want := []string{"warn"}
		if more > 1 {
			want = []string{"alert country FR", "warn"}
		}
		if got := findings(r, report.KindFailed); !slices.Equal(got, want) {
			t.Errorf("%d times as many failed users in FR: findings %q, want %q; %s", more, got, want,
				r.Columns[0].FailingResult)
		}
		if more == 1 && !strings.HasPrefix(r.Columns[0].FailingResult.String(),
			"users of all slices fail alike, corrected p = ") {
			t.Errorf("words %q", r.Columns[0].FailingResult)
		}
	}
}

// TestLeftToChance: users without the id that is bucketed, and users whom the configuration names, get a variant for
// other reasons. Counted with the others they would be an alarm.
func TestLeftToChance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	w := world{seed: 6, users: 6000, flags: []string{"one"}, wide: true}
	w.touch = func(i int, o *pipeline.Outcome) {
		o.Row.User.DeviceID = fmt.Sprint("device", i)
		if i%10 == 0 {
			o.Row.User.DeviceID, o.Assignments[0].Key = "", "control"
		}
		if i%10 == 1 {
			o.Row.User.UserID, o.Assignments[0].Key = fmt.Sprint("staff", i), "treatment"
		}
	}
	w.write(t, path)
	var staff []string
	for i := range 6000 {
		staff = append(staff, fmt.Sprint("staff", i))
	}
	e := report.Expectation{Source: "flags.json", Split: engine.Split{Flag: "one", Variants: half}}
	if r := build(t, report.Options{Snapshots: []string{path},
		Expectations: []report.Expectation{e}}); r.Flags[0].LeftOut != 0 || r.Tests != 1 {
		t.Errorf("nobody is left out: %+v", r.Flags[0].Counts)
	}
	all := 1.0
	e.BucketBy, e.NamedUserIDs, e.Assigned = "device_id", staff, &all
	r := build(t, report.Options{Snapshots: []string{path}, By: []string{"country"},
		Expectations: []report.Expectation{e}})
	if f := r.Flags[0]; f.LeftOut != 1200 || f.Test.N != 4800 || r.Verdict.Severity != report.OK {
		t.Errorf("%d left out, %d tested, verdict %+v, want 1200, 4800, ok", f.LeftOut, f.Test.N, r.Verdict)
	}
	for _, v := range r.Flags[0].Variants { // 600 of the left out have each
		if v.ExpectedUsers == nil || *v.ExpectedUsers != 3000 {
			t.Errorf("variant %s: %v users are expected, want 3000", v.Key, v.ExpectedUsers)
		}
	}
	if f := r.Flags[0]; f.Eligible != 4800 || f.ExpectedReach == nil || *f.ExpectedReach != 1 {
		t.Errorf("%d are eligible, %v of all users should have a variant, want 4800 and 1", f.Eligible, f.ExpectedReach)
	}
	addUp(t, "left out", r)
}

func TestAllocation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	w := world{seed: 4, users: 5000, flags: []string{"one"}, reach: 0.3}
	w.write(t, path)
	for _, test := range []struct {
		assigned float64
		want     []string
	}{{0.3, []string{}}, {0.4, []string{"alert one"}}, {1, []string{"alert one"}}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			r := build(t, report.Options{Snapshots: []string{path}, By: []string{"country"}, Expectations: []report.Expectation{
				{Source: report.SourceExpect, Split: engine.Split{Flag: "one", Variants: half, Assigned: &test.assigned}}}})
			got := findings(r, report.KindAllocation)
			if !slices.Equal(got, test.want) { // what is off everywhere is not repeated for each country
				t.Errorf("of 30 %% instead of %v: findings %q, want %q", test.assigned, got, test.want)
			}
		})
	}
}

// TestUnexpected: a variant that the expectation does not know is a finding, and not part of the test.
func TestUnexpected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	w := world{seed: 4, users: 1000, flags: []string{"one"}}
	w.touch = func(i int, o *pipeline.Outcome) {
		if i == 5 {
			o.Assignments[0].Key = "beta"
		}
	}
	w.write(t, path)
	r := build(t, report.Options{Snapshots: []string{path}, Expectations: []report.Expectation{
		{Source: report.SourceExpect, Split: engine.Split{Flag: "one",
			Variants: append([]engine.Weight{{Variant: "never", Share: 0}}, half...)}}}})
	if got := findings(r, report.KindUnexpected); !slices.Equal(got, []string{"alert one"}) || r.Flags[0].Test.N != 999 ||
		len(r.Flags[0].Variants) != 4 {
		t.Errorf("findings %q, test %+v of variants %+v", got, r.Flags[0].Test, r.Flags[0].Variants)
	}
}

// TestRepeated: users who are there more than once are counted, few exactly and many nearly.
func TestRepeated(t *testing.T) {
	for _, test := range []struct {
		users, every int
		want         float64
		severity     string
	}{{1000, 0, 0, ""}, {1000, 500, 0.002, "note"}, {1000, 4, 0.25, "warn"}, {80_000, 10, 0.1, "warn"}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.csv")
			w := world{seed: 4, users: test.users, flags: []string{"one"}, wide: true}
			w.touch = func(i int, o *pipeline.Outcome) {
				switch {
				case test.every > 0 && i%test.every == 1: // as the one before
					o.Row.User.UserID = fmt.Sprintf("user-%d-%08x", w.seed, i-1)
				case test.every == 0 && i%3 == 0:
					o.Row.User.UserID, o.Row.User.DeviceID = "", o.Row.User.UserID
				}
			}
			w.write(t, path)
			r := build(t, report.Options{Snapshots: []string{path}})
			got := strings.Join(findings(r, report.KindRepeated), ", ")
			unit := stats.UnitUsers
			if test.want > 0 {
				unit = stats.UnitRows
			}
			if u := r.Users; r.Unit != unit || float64(u.Distinct) < float64(u.InFile)*(1-test.want)-400 ||
				float64(u.Distinct) > float64(u.InFile)*(1-test.want)+400 ||
				!u.Estimated && float64(u.Distinct) != float64(u.InFile)*(1-test.want) || (u.Differing > 0) != (test.want > 0.01) {
				t.Errorf("%+v: counts are of %s, %+v; want of %s, and that some have different answers where many are repeated",
					test, r.Unit, u, unit)
			}
			if text := r.Table(80); strings.Contains(text, " rows got a variant") != (test.want > 0) ||
				strings.Contains(text, "ROWS") != (test.want > 0) {
				t.Errorf("%+v: the table does not count %s:\n%s", test, unit, text)
			}
			if d := r.Users.Repeated - test.want; got != test.severity || d > 0.005 || d < -0.005 || test.users <= 1000 &&
				r.Users.Repeated != test.want {
				t.Errorf("%+v: %v repeated, findings %q", test, r.Users.Repeated, got)
			}
		})
	}
}

// TestBounds: a file with more variants than anybody has is refused before it takes all memory; many flags are counted
// by fewer values.
func TestBounds(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, users, flags int, variant func(i int) string) string {
		var b strings.Builder
		b.WriteString("row_number,user_id,device_id")
		for f := range flags {
			fmt.Fprintf(&b, ",flag-%d", f)
		}
		b.WriteString(",evaluated_at,city\n")
		for i := range users {
			fmt.Fprintf(&b, "%d,u%d,%s,2026-01-02T03:04:05.000Z,city-%d\n", i+1, i,
				strings.Repeat(","+variant(i)+strings.Repeat(",", min(flags-1, 5)), (flags+5)/6), i%1000)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	many := write("variants.csv", 30_000, 1, func(i int) string { return fmt.Sprintf("v%d", i*i%29_989) })
	_, err := report.Build(t.Context(), report.Options{Snapshots: []string{many}, By: []string{"city"}})
	if err == nil || !strings.Contains(err.Error(), "more flags and variants than can be counted by 1 column at once") {
		t.Errorf("30,000 variants: %v, want to be refused", err)
	}
	r := build(t, report.Options{Snapshots: []string{write("flags.csv", 450, 3000, func(int) string { return "on" })},
		By: []string{"city"}})
	if len(r.Flags) != 3000 || len(r.Overlaps) > 5000 || len(r.Columns[0].Slices) != report.TopValues+1 {
		t.Errorf("3000 flags: %d, %d overlaps, %d slices", len(r.Flags), len(r.Overlaps), len(r.Columns[0].Slices))
	}
	addUp(t, "3000 flags", r)
}

// TestOverlap: flags that exclude each other and do not, flags that share a salt, and flags that have nothing to do
// with each other.
func TestOverlap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	w := world{seed: 9, users: 2000, flags: []string{"alone", "slot-a", "slot-b", "same-salt", "slot-a-too"}}
	w.touch = func(i int, o *pipeline.Outcome) {
		o.Assignments[3].Key = o.Assignments[0].Key // as alone
		in := i % 2
		o.Assignments[1+in].Variant = pipeline.Variant{FlagKey: o.Assignments[1+in].FlagKey}
		o.Assignments[1+in].Assigned = i%500 == 0 // which lets four users into both
		if o.Assignments[1+in].Assigned {
			o.Assignments[1+in].Key = "treatment"
		}
	}
	w.write(t, path)
	groups := []engine.Group{
		{Key: "mutex", Type: engine.MutualExclusion, Flags: []engine.Member{{Flag: "slot-a", Slots: []string{"1"}},
			{Flag: "slot-b", Slots: []string{"2"}}, {Flag: "slot-a-too", Slots: []string{"1", "3"}}}},
		{Key: "holdout", Type: engine.Holdout, Flags: []engine.Member{{Flag: "alone"}, {Flag: "slot-a"}}},
	}
	r := build(t, report.Options{Snapshots: []string{path}, Groups: groups})
	if got, want := findings(r, report.KindExclusion),
		[]string{"alert slot-a slot-b", "alert slot-a-too slot-b", "note alone slot-a",
			"note slot-a slot-a-too"}; !slices.Equal(got, want) {
		t.Errorf("exclusion: findings %q, want %q", got, want)
	}
	if got, want := findings(r, report.KindDependence), []string{"warn alone same-salt"}; !slices.Equal(got, want) {
		t.Errorf("dependence: findings %q, want %q", got, want)
	}
	for _, o := range r.Overlaps {
		if o.A == "slot-a" && o.B == "slot-b" && (o.Assigned != 4 || !o.Exclusive) || o.A == "slot-a" &&
			o.B == "slot-a-too" && o.Exclusive {
			t.Errorf("overlap %+v", o)
		}
		if o.A == "alone" && o.B == "slot-a-too" && (o.Assigned != 2000 || o.Treatments < 430 || o.Treatments > 570 ||
			o.Independent < 430 || o.Independent > 570) {
			t.Errorf("overlap of two independent flags %+v, want about 500 in both", o)
		}
	}
	clustered := []report.Expectation{{Source: "f", Split: engine.Split{Flag: "alone", Clustered: true,
		None: engine.NoSplit{Reason: engine.SplitClustered}}}}
	if got := findings(build(t, report.Options{Snapshots: []string{path}, Expectations: clustered}),
		report.KindDependence); len(got) > 0 {
		t.Errorf("of a flag that buckets groups of users: findings %q, want none", got)
	}
}

// example is a report with something of everything.
func example(t *testing.T) *report.Report {
	t.Helper()
	folder := t.TempDir()
	t.Chdir(folder)
	w := world{seed: 21, users: 12_000, flags: []string{"checkout-redesign", "one-click-pay",
		"a-flag-with-a-name-that-is-longer-than-any-column-of-any-table-should-be"},
		biased: "FR", bias: 0.08, runID: "20260102T030405Z-example"}
	w.touch = func(i int, o *pipeline.Outcome) {
		if i%400 == 0 {
			o.Err = pipeline.Errorf(pipeline.KindUnavailable, "gone")
		}
		if o.Row.Carry[0].Text == "TR" {
			o.Row.Carry[0] = pipeline.StringValue("T\x1b[31mR|<b>`")
		}
		for k := range o.Assignments {
			if k == 1 && i%3 > 0 {
				o.Assignments[k] = pipeline.Assignment{Variant: pipeline.Variant{FlagKey: o.Assignments[k].FlagKey}}
			}
		}
	}
	w.write(t, "example.csv")
	third := 1 / 3.
	return build(t, report.Options{
		Snapshots: []string{"example.csv"}, By: []string{"country", "age"},
		Expectations: []report.Expectation{
			{Source: "--expect", Split: engine.Split{Flag: "checkout-redesign", Variants: half}},
			{Source: "flags.json", Split: engine.Split{Flag: "one-click-pay", Variants: half, Assigned: &third}},
			{Source: "flags.json", Split: engine.Split{Flag: w.flags[2],
				None: engine.NoSplit{Reason: engine.SplitTargeted, Segments: [2]string{"Staff"}, Variant: "treatment"}}},
		},
		Groups: []engine.Group{{Key: "mutex", Type: engine.MutualExclusion,
			Flags: []engine.Member{{Flag: "checkout-redesign"}, {Flag: "one-click-pay"}}}},
	})
}

func TestGolden(t *testing.T) {
	golden, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	r := example(t)
	data, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"report.txt": []byte(r.Table(80)), "wide.txt": []byte(r.Table(160)),
		"report.md": []byte(r.Markdown()), "report.json": data} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(golden, name)
			if *update {
				if err := os.MkdirAll(golden, 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, got, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if diff := cmp.Diff(string(want), string(got)); diff != "" || err != nil {
				t.Errorf("%s: %v (-want +got; -update writes it anew):\n%s", file, err, diff)
			}
		})
	}
	if bytes.Contains(data, []byte(": null")) {
		for line := range strings.Lines(string(data)) {
			name := strings.TrimSpace(line)
			if strings.HasSuffix(strings.TrimSuffix(name, ","), ": null") &&
				!slices.Contains([]string{`"test"`, `"allocation"`, `"assigned"`, `"expected"`, `"failing"`, `"expected_users"`,
					`"expected_reach"`}, strings.SplitN(name, ":", 2)[0]) {
				t.Errorf("JSON has %s: lists are never null", name)
			}
		}
	}
	var back struct {
		report.Report
		Findings []struct {
			report.Finding
			Text string
		} `json:"findings"`
		Flags []struct {
			report.Flag
			Expected struct {
				Source   string
				Assigned *float64
				Variants []engine.Weight
			} `json:"expected"`
		} `json:"flags"`
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	back.Report.Findings, back.Report.Flags, back.Report.Files = nil, nil, r.Files
	for i, f := range back.Findings {
		if f.Text != r.Findings[i].Text() {
			t.Errorf("finding %d: the JSON says %q, want %q", i, f.Text, r.Findings[i].Text())
		}
		f.Snapshot, f.Says = r.Findings[i].Snapshot, r.Findings[i].Says
		back.Report.Findings = append(back.Report.Findings, f.Finding)
	}
	for i, f := range back.Flags {
		f.Flag.Expected = r.Flags[i].Expected
		f.Flag.Expected.Source, f.Flag.Expected.Assigned, f.Flag.Expected.Variants = f.Expected.Source, f.Expected.Assigned,
			f.Expected.Variants
		back.Report.Flags = append(back.Report.Flags, f.Flag)
	}
	sentences := cmp.Comparer(func(a, b report.Statement) bool { return a.String() == b.String() })
	if diff := cmp.Diff(r, &back.Report, sentences); diff != "" {
		t.Errorf("the report is not what its JSON says:\n%s", diff)
	}
	for _, width := range []int{60, 80, 100, 160} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			for line := range strings.Lines(r.Table(width)) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("at width %d a line has %d columns: %s", width, n, line)
				}
				if strings.ContainsRune(line, '\x1b') {
					t.Errorf("a terminal would act upon %q", line)
				}
			}
		})
	}
}

// TestManyVariants: of a flag with many variants the most frequent ones are printed, in slices too; in slices of a few
// variants all of them, with counts.
func TestManyVariants(t *testing.T) {
	for _, test := range []struct {
		name     string
		variants int
		lines    int // at most
		want     []string
	}{
		{"five", 5, 90, []string{"v-0", "v-1", "v-2", "v-3", "v-4"}},
		{"many", 3000, 120, []string{"and 2,980 more variants with", "and 2,980 variants that are more rare"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.csv")
			w := world{seed: 4, users: 6000, flags: []string{"one"}, wide: true}
			w.touch = func(i int, o *pipeline.Outcome) { o.Assignments[0].Key = fmt.Sprint("v-", i%test.variants) }
			w.write(t, path)
			r := build(t, report.Options{Snapshots: []string{path}, By: []string{"country"}})
			text := r.Table(80)
			if lines := strings.Count(text, "\n"); lines > test.lines && test.variants == 5 || len(r.Markdown())+
				len(text) > 40_000 {
				t.Errorf("%d lines, %d bytes of Markdown:\n%s", lines, len(r.Markdown()), text)
			}
			at := strings.Index(text, "country")
			for _, want := range test.want {
				if !strings.Contains(text[at:], want) && !strings.Contains(text, want) || test.variants == 5 &&
					strings.Count(text, want) < 2 {
					t.Errorf("the table does not say %q of the flag and of its slices:\n%s", want, text)
				}
			}
			for line := range strings.Lines(text) {
				if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
					t.Errorf("a line of %d columns: %s", n, line)
				}
			}
		})
	}
}
