package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
)

// cohortsOf makes cohorts of those members.
func cohortsOf(tb testing.TB, members map[string][]string) *cohort.Set {
	tb.Helper()
	files := map[string]string{}
	for name, ids := range members {
		files[name] = filepath.Join(tb.TempDir(), name+".csv")
		if err := os.WriteFile(files[name], []byte("user_id\n"+strings.Join(ids, "\n")), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	s, err := cohort.Load(tb.Context(), cohort.Options{Files: files})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func userIDs(from, to int) (ids []string) {
	for i := from; i <= to; i++ {
		ids = append(ids, fmt.Sprint("user-", i))
	}
	return ids
}

// testCohorts are cohorts of the users of [planned]: one of the 21 members of vip is not among them.
func testCohorts(tb testing.TB) *cohort.Set {
	return cohortsOf(tb, map[string][]string{"vip": append(userIDs(1, 20), "stranger"), "staff": userIDs(11, 30),
		"strangers": {"stranger", "device-1"}, "empty": nil})
}

// TestCohorts: a check is about the members of a cohort, or about all others.
func TestCohorts(t *testing.T) {
	path := planned().write(t, filepath.Join(t.TempDir(), "a.parquet"))
	for _, test := range []struct {
		rule   string
		status Status
		found  string // part of it
	}{
		{"{flag: checkout, exposed: nobody, cohort: vip}", NotHeld, "9 of 20 users are exposed"},
		{"{flag: checkout, exposed: nobody, not_cohort: vip}", NotHeld, "531 of 1,180 users are exposed"},
		{"{flag: checkout, exposed: nobody, cohort: [vip, staff]}", NotHeld, "13 of 30 users are exposed"},
		{"{flag: checkout, exposed: nobody, cohort: vip, not_cohort: staff}", NotHeld, "4 of 10 users are exposed"},
		{"{flag: checkout, exposed: nobody, not_cohort: [vip, staff]}", NotHeld, "527 of 1,170 users are exposed"},
		{`{flag: checkout, exposed: nobody, cohort: vip, where: "country == \"US\""}`, NotHeld, "4 of 7 users are exposed"},
		{"{flag: dark-mode, exposed: nobody, cohort: staff, where: seats > 10}", NotHeld, "1 of 8 users"},
		{"{flag: checkout, variant: control, share: {min: 45%, max: 45%}, cohort: vip}", Held, "45.00 %, 9 of 20 users"},
		{"{exclusive: [checkout, dark-mode], cohort: vip}", NotHeld, "2 of 20 users"},
		{"{holdout: holdout-h1, variant: holdout, flags: [pricing], cohort: vip}", NotHeld, "1 of 2 held-out users"},
		{"{flag: checkout, exposed: nobody, cohort: strangers}", Undecided,
			"vacuous: there are no users in cohort strangers, so this says nothing"},
		{"{flag: checkout, exposed: nobody, cohort: empty}", Undecided, "vacuous: there are no users in cohort empty"},

		{"{cohort: vip, seen: {min: 95%}}", Held, "20 of 21 members (95.24 %)"},
		{"{cohort: vip, seen: {min: 96%}}", NotHeld, "20 of 21 members (95.24 %)"},
		{"{cohort: vip, seen: {min: 20, max: 20}}", Held, "20 of 21 members"},
		{"{cohort: vip, seen: {max: 19}}", NotHeld, "20 of 21 members"},
		{"{cohort: strangers, seen: {max: 0}}", Held, "0 of 2 members"},
		{"{cohort: empty, seen: {min: 1%}}", Undecided, "vacuous: the cohort has no members"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got := checkOne(t, "- "+test.rule, Options{Snapshots: []string{path}, Cohorts: testCohorts(t)})
			if got.Status != test.status || !strings.Contains(got.Found, test.found) {
				t.Errorf("%s: %s: %s, want %s: %s", test.rule, got.Status, got.Found, test.status, test.found)
			}
		})
	}
	got := checkOne(t, "- {flag: checkout, exposed: nobody, cohort: vip, not_cohort: staff}",
		Options{Snapshots: []string{path}, Cohorts: testCohorts(t)})
	if want := "checkout: nobody exposed in cohort vip not in cohort staff"; got.Name != want {
		t.Errorf("name %q, want %q", got.Name, want)
	}
	if want := "none of the users in cohort vip not in cohort staff is in a treatment of checkout"; got.Expected != want {
		t.Errorf("expected %q, want %q", got.Expected, want)
	}
}

// TestCohortsNotInFile: users who are not in the file may be members.
func TestCohortsNotInFile(t *testing.T) {
	r := planned()
	for i := range r.outcomes { // user-6 and 39 others get nothing
		if i%30 == 5 && r.outcomes[i].Err == nil {
			r.outcomes[i].Assignments = []pipeline.Assignment{}
		}
	}
	path := r.like(false, false).write(t, filepath.Join(t.TempDir(), "a.csv"))
	for _, test := range []struct {
		rule   string
		status Status
		found  string
	}{
		{"{cohort: vip, seen: {min: 19}}", Held, "19 of 21 members"},
		{"{cohort: vip, seen: {min: 20}}", Undecided, "not known: 40 users got no variant of any flag"},
		{"{cohort: vip, seen: {max: 18}}", NotHeld, "19 of 21 members"},
		{"{cohort: vip, seen: {max: 20}}", Undecided, "so their ids are not known"},
		{"{cohort: vip, seen: {max: 21}}", Held, "19 of 21 members"},
		{"{flag: checkout, exposed: nobody, cohort: vip}", NotHeld, "8 of 19 users are exposed"},
		{"{flag: checkout, exposed: everybody, cohort: vip}", Undecided, "so their ids are not known"},
		{"{flag: checkout, variant: control, share: {min: 1%}, cohort: vip}", Undecided, "so their ids are not known"},
		{"{flag: checkout, variant: control, share: {min: 1%}, of: assigned, cohort: vip}", Held, ""},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got := checkOne(t, "- "+test.rule, Options{Snapshots: []string{path}, Cohorts: testCohorts(t)})
			if got.Status != test.status || !strings.Contains(got.Found, test.found) {
				t.Errorf("%s: %s: %s, want %s: %s", test.rule, got.Status, got.Found, test.status, test.found)
			}
		})
	}
}

// TestSeenOnce: a member who has several rows, in several snapshots, is seen once.
func TestSeenOnce(t *testing.T) {
	dir := t.TempDir()
	r := planned()
	a := r.write(t, filepath.Join(dir, "a.csv"))
	for i := range r.outcomes[:10] {
		r.outcomes[i].Row.User.UserID = "user-1"
	}
	b := r.write(t, filepath.Join(dir, "b.jsonl"))
	got := checkOne(t, "- {cohort: vip, seen: {min: 1}}", Options{Snapshots: []string{a, b}, Cohorts: testCohorts(t)})
	if want := "20 of 21 members"; got.Status != Held || !strings.HasPrefix(got.Found, want) {
		t.Errorf("%s: %s, want ok: %s", got.Status, got.Found, want)
	}
}

// TestInitCohorts: the first rules file says what is so of the members, and holds.
func TestInitCohorts(t *testing.T) {
	o := Options{Snapshots: []string{planned().write(t, filepath.Join(t.TempDir(), "a.csv"))}}
	var quiet []string // nobody of them is in a treatment of dark-mode
	for i, id := range userIDs(1, 600) {
		if i%10 != 4 {
			quiet = append(quiet, id)
		}
	}
	o.Cohorts = cohortsOf(t, map[string][]string{"quiet": append(quiet, "stranger"), "strangers": {"stranger"}})
	rules, err := Init(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	const want = `
  # The members of quiet.
  - cohort: quiet
    seen: {min: 99%}
  - flag: dark-mode
    exposed: nobody
    cohort: quiet
`
	if !strings.HasSuffix(rules, want) {
		t.Errorf("the rules end with %q, want %q", rules[max(0, len(rules)-300):], want)
	}
	if got := check(t, rules, o); !got.OK {
		t.Errorf("they do not hold:\n%s", got.Table(100))
	}
}

func TestCohortMistakes(t *testing.T) {
	path := planned().write(t, filepath.Join(t.TempDir(), "a.csv"))
	for _, test := range []struct{ name, rule, want, hint string }{
		{"not given", "{flag: checkout, exposed: nobody, cohort: gold}", `r.yaml:2: cohort "gold" is not given`,
			"give it: --cohort gold=FILE, or --cohorts DIR with a file of that name"},
		{"misspelt", "{flag: checkout, exposed: nobody, not_cohort: [vip, stuff]}", `r.yaml:2: cohort "stuff" is not given`,
			`did you mean "staff"?`},
		{"of seen", "{cohort: strangerz, seen: {min: 1}}", `r.yaml:2: cohort "strangerz" is not given`,
			`did you mean "strangers"?`},
		{"seen without", "{seen: {min: 1}}", "r.yaml:2: seen is about one cohort, and needs its name: cohort: NAME", ""},
		{"seen of two", "{cohort: [vip, staff], seen: {min: 1}}", "r.yaml:2: seen is about one cohort", ""},
		{"two units", "{cohort: vip, seen: {min: 1, max: 50%}}",
			"r.yaml:2: seen: one limit is a share, and the other a number of users", ""},
		{"no limit", "{cohort: vip, seen: {}}", "r.yaml:2: seen has no limit: it needs min or max", ""},
		{"of users", "{cohort: vip, users: {min: 1}}", "r.yaml:2: a check of kind users cannot have cohort", "beside its kind"},
		{"only a cohort", "{cohort: vip}", "r.yaml:2: a check that asserts nothing", "seen"},
		{"other key", "{cohorts: vip, exposed: nobody}", `"cohorts" is not a key of a check`, "write cohort: vip"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Parse("r.yaml", []byte("checks:\n- "+test.rule), nil)
			if err == nil {
				_, err = Run(context.Background(), f, Options{Snapshots: []string{path}, Cohorts: testCohorts(t)})
			}
			if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), test.want) ||
				!strings.Contains(pipeline.Hint(err), test.hint) {
				t.Errorf("%s: error %v (hint %q), want %q (%q)", test.rule, err, pipeline.Hint(err), test.want, test.hint)
			}
		})
	}
	f := parse(t, "- {flag: checkout, exposed: nobody, cohort: vip}")
	if _, err := Run(context.Background(), f, Options{Snapshots: []string{path}}); err == nil ||
		!strings.Contains(err.Error(), `cohort "vip" is not given`) {
		t.Errorf("without cohorts: %v, want that vip is not given", err)
	}
}
