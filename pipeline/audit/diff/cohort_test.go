package diff

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/sinks"
)

func cohortOf(tb testing.TB, name string, ids ...string) *cohort.Cohort {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name+".txt")
	if err := os.WriteFile(path, []byte(strings.Join(ids, "\n")), 0o600); err != nil {
		tb.Fatal(err)
	}
	s, err := cohort.Load(tb.Context(), cohort.Options{Files: map[string]string{name: path}})
	if err != nil {
		tb.Fatal(err)
	}
	return s.Get(name)
}

// only is the world without the users who are in none of the lists.
func (w *world) only(lists ...[]string) *world {
	out := &world{flags: w.flags, outcomes: slices.Clone(w.outcomes)}
	out.outcomes = slices.DeleteFunc(out.outcomes, func(o pipeline.Outcome) bool {
		return !slices.ContainsFunc(lists,
			func(ids []string) bool { return slices.Contains(ids, o.Row.User.UserID) })
	})
	return out
}

// TestOnly: the members of cohorts are compared as if the snapshots had no other users, in one pass and in several.
func TestOnly(t *testing.T) {
	passes := 0
	for seed := range uint64(20) {
		before, after := random(2*seed, 300), random(2*seed+1, 310)
		var lists [2][]string
		for i := range before.outcomes {
			if id := before.outcomes[i].Row.User.UserID; id != "" && i%4 < 2 && !slices.Contains(lists[i%4], id) {
				lists[i%4] = append(lists[i%4], id)
			}
		}
		users, moves := expected(before.only(lists[:]...), after.only(lists[:]...))
		o := Options{
			Before: before.write(t, fileNames[seed%5], sinks.Spec{EscapeFormulas: seed%3 == 0}),
			After:  after.write(t, fileNames[seed/5%5], sinks.Spec{}),
			Only:   []*cohort.Cohort{cohortOf(t, "a", lists[0]...), cohortOf(t, "b", append(lists[1], "stranger")...)},
			Memory: []int64{0, 48 << 10}[seed%2],
		}
		r, changes := build(t, o)
		passes = max(passes, r.Passes)
		if diff := cmp.Diff(users, r.Users); diff != "" {
			t.Errorf("seed %d: users (-want +got):\n%s", seed, diff)
		}
		if diff := cmp.Diff(moves, movesOf(r)); diff != "" {
			t.Errorf("seed %d: transitions (-want +got):\n%s", seed, diff)
		}
		if len(r.Before.Problems)+len(r.After.Problems) > 0 {
			t.Errorf("seed %d: problems %q %q, want none: the snapshots are whole", seed, r.Before.Problems, r.After.Problems)
		}
		for _, change := range changes {
			if id, _, _ := strings.Cut(change, "|"); !slices.Contains(slices.Concat(lists[:]...), id) {
				t.Errorf("seed %d: a change of %q is listed, who is no member: %s", seed, id, change)
			}
		}
	}
	if passes < 2 {
		t.Error("no comparison took several passes")
	}
}

// TestOnlySays: the verdict says whose members were compared, and a cohort without users holds no limit.
func TestOnlySays(t *testing.T) {
	before, after := random(0, 100).write(t, "a.csv", sinks.Spec{}), random(1, 100).write(t, "b.csv", sinks.Spec{})
	strangers := cohortOf(t, "vip", "stranger", "another")
	for _, test := range []struct {
		name  string
		only  []*cohort.Cohort
		after string
		ok    bool
		want  string
	}{
		{"nobody", []*cohort.Cohort{strangers}, after, false,
			"of the members of cohort vip (2): none is in either snapshot; so --max-changed cannot be said to hold"},
		{"empty", []*cohort.Cohort{cohortOf(t, "empty")}, after, false, "of the members of cohort empty (0): none is in either"},
		{"some", []*cohort.Cohort{strangers, cohortOf(t, "staff", "=u4")}, before, true,
			"of the members of cohort vip (2) and staff (1): nothing changed for 1 user in both; --max-changed 0 holds"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := build(t, Options{Before: before, After: test.after, Only: test.only, Limit: &Limit{Text: "0"}})
			if r.Verdict.OK != test.ok || !strings.HasPrefix(r.Verdict.Text, test.want) {
				t.Errorf("ok %v, %q, want %v, %q", r.Verdict.OK, r.Verdict.Text, test.ok, test.want)
			}
		})
	}
}
