package diff

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
)

var fileNames = []string{"a.csv", "a.tsv.gz", "a.jsonl", "a.jsonl.zst", "a.parquet"}

// TestDiffIsWhatPlainMapsSay compares random snapshots in all formats with a join by maps of strings.
func TestDiffIsWhatPlainMapsSay(t *testing.T) {
	for seed := range uint64(40) {
		before, after := random(2*seed, 100), random(2*seed+1, 110)
		o := Options{
			Before: before.write(t, fileNames[seed%5], sinks.Spec{EscapeFormulas: seed%3 == 0}),
			After:  after.write(t, fileNames[seed/5%5], sinks.Spec{EscapeFormulas: seed%7 == 0}),
		}
		users, moves := expected(before, after)
		r, changes := build(t, o)
		if diff := cmp.Diff(users, r.Users); diff != "" {
			t.Errorf("seed %d: users (-want +got):\n%s", seed, diff)
		}
		if diff := cmp.Diff(moves, movesOf(r)); diff != "" {
			t.Errorf("seed %d: transitions (-want +got):\n%s", seed, diff)
		}
		if len(r.Before.Problems)+len(r.After.Problems) > 0 {
			t.Errorf("seed %d: problems %q %q, want none", seed, r.Before.Problems, r.After.Problems)
		}
		if u := r.Users; u.Both+u.Removed != r.Before.Users || u.Both+u.Added != r.After.Users {
			t.Errorf("seed %d: %+v do not add up to %d before and %d after", seed, u, r.Before.Users, r.After.Users)
		}
		var changed int64
		for _, f := range r.Flags {
			changed += f.Changed
			n := -r.Users.Both - r.Users.Added - r.Users.Removed
			for _, tr := range f.Transitions {
				n += tr.Users
			}
			if n != 0 {
				t.Errorf("seed %d: flag %s has %d transitions more than there are users", seed, f.Key, n)
			}
		}
		got := int64(0)
		for _, c := range changes {
			if !strings.Contains(c, UserAdded) && !strings.Contains(c, UserRemoved) && !strings.Contains(c, FlagNotAsked+":") {
				got++
			}
		}
		if got != changed {
			t.Errorf("seed %d: %d changes of users in both are told, want %d", seed, got, changed)
		}
	}
}

func TestSnapshotAgainstItself(t *testing.T) {
	for seed := range uint64(10) {
		path := random(seed, 200).write(t, fileNames[seed%5], sinks.Spec{})
		r, changes := build(t, Options{Before: path, After: path})
		if !r.Verdict.Same || !r.Verdict.OK || len(changes) > 0 || r.Users.Both == 0 {
			t.Errorf("seed %d: %+v, %+v, changes %q; want none", seed, r.Verdict, r.Users, changes)
		}
	}
}

// TestMirror: what goes from a to b from before to after goes from b to a from after to before.
func TestMirror(t *testing.T) {
	for seed := range uint64(10) {
		a, b := random(seed, 150).write(t, "a.csv", sinks.Spec{}), random(seed+100, 150).write(t, "a.parquet", sinks.Spec{})
		there, _ := build(t, Options{Before: a, After: b})
		back, _ := build(t, Options{Before: b, After: a})
		back.Users.Added, back.Users.Removed = back.Users.Removed, back.Users.Added
		if there.Users != back.Users {
			t.Errorf("seed %d: users %+v there, %+v back", seed, there.Users, back.Users)
		}
		mirrored := map[string]int64{}
		for move, n := range movesOf(back) {
			flag, ends, _ := strings.Cut(move, ": ")
			was, is, _ := strings.Cut(ends, " > ")
			mirrored[flag+": "+is+" > "+was] = n
		}
		if diff := cmp.Diff(movesOf(there), mirrored); diff != "" {
			t.Errorf("seed %d: transitions (-there +back):\n%s", seed, diff)
		}
		for i := range there.Flags {
			f, g := there.Flags[i], back.Flags[i]
			if f.Changed != g.Changed || f.Variants != g.Variants || f.Payloads != g.Payloads ||
				f.ExperimentKeys != g.ExperimentKeys {
				t.Errorf("seed %d: flag %s: %+v there, %+v back", seed, f.Key, f, g)
			}
		}
	}
}

// TestPasses: little memory makes many passes, and the same of it.
func TestPasses(t *testing.T) {
	for _, manifest := range []bool{true, false} {
		a, b := random(1, 3_000), random(2, 3_000)
		o := Options{Before: a.write(t, "a.csv", sinks.Spec{}), After: b.write(t, "b.parquet", sinks.Spec{})}
		if !manifest {
			for _, path := range []string{o.Before, o.After} {
				if err := os.Remove(path + ".manifest.json"); err != nil {
					t.Fatal(err)
				}
			}
		}
		one, changes := build(t, o)
		o.Memory = 50 << 10
		many, manyChanges := build(t, o)
		if one.Passes != 1 || many.Passes < 4 {
			t.Errorf("%d and %d passes, want 1 and at least 4", one.Passes, many.Passes)
		}
		many.Passes = 1
		if diff := cmp.Diff(one, many); diff != "" {
			t.Errorf("manifest %v: one pass and many (-one +many):\n%s", manifest, diff)
		}
		slices.Sort(changes)
		slices.Sort(manyChanges)
		if diff := cmp.Diff(changes, manyChanges); diff != "" || len(changes) == 0 {
			t.Errorf("manifest %v: changes of one pass and of many (-one +many):\n%s", manifest, diff)
		}
		o.Memory = 1
		if _, err := Compare(t.Context(), o); err == nil || pipeline.Hint(err) == "" {
			t.Errorf("one byte of memory: error %v, want one with a hint", err)
		}
	}
}

// TestFormatsAndLayouts: the same answers are the same, whatever they are written as.
func TestFormatsAndLayouts(t *testing.T) {
	w := random(3, 300)
	type output struct {
		name string
		spec sinks.Spec
	}
	outputs := []output{
		{"a.csv", sinks.Spec{}}, {"a.tsv", sinks.Spec{EscapeFormulas: true}},
		{"a.jsonl.gz", sinks.Spec{Include: []string{"evaluation_id"}}}, {"a.parquet", sinks.Spec{}},
		{"w.csv", sinks.Spec{Wide: true}}, {"w.tsv", sinks.Spec{Wide: true, EscapeFormulas: true,
			Include: []string{"payload"}}},
		{"w.jsonl", sinks.Spec{Wide: true}}, {"w.parquet", sinks.Spec{Wide: true, Include: []string{"payload"}}},
	}
	paths := make([]string, len(outputs))
	for i, out := range outputs {
		paths[i] = w.write(t, out.name, out.spec)
	}
	for i, a := range outputs {
		t.Run(a.name, func(t *testing.T) {
			for k, b := range outputs {
				r, changes := build(t, Options{Before: paths[i], After: paths[k]})
				if !r.Verdict.Same || len(changes) > 0 || !r.Before.Complete || !r.After.Complete {
					t.Errorf("%s and %s: %s; %q %q", a.name, b.name, r.Verdict.Text, r.Before.Problems, r.After.Problems)
				}
				payloads := (!a.spec.Wide || a.spec.Include != nil) && (!b.spec.Wide || b.spec.Include != nil)
				if want := (Compared{payloads, !a.spec.Wide && !b.spec.Wide}); r.Compared != want {
					t.Errorf("%s and %s: compared %+v, want %+v", a.name, b.name, r.Compared, want)
				}
			}
		})
	}
}

// one is a world of one user with one assignment.
func one(a pipeline.Assignment) *world {
	a.FlagKey = "f"
	return &world{[]string{"f"}, []pipeline.Outcome{{Row: pipeline.Row{Number: 1, User: pipeline.User{UserID: "u"}},
		Assignments: []pipeline.Assignment{a}, At: time.Unix(1767323045, 0)}}}
}

// TestWhatIsADifference: variant, payload and experiment key are; spacing, order and evaluation id are not.
func TestWhatIsADifference(t *testing.T) {
	base := pipeline.Assignment{Assigned: true, Variant: pipeline.Variant{Key: "on", Payload: `{"a":1,"b":[true,"x"]}`,
		ExperimentKey: "e", EvaluationID: "1"}}
	for name, test := range map[string]struct {
		change func(a *pipeline.Assignment)
		want   string
	}{
		"nothing":           {func(*pipeline.Assignment) {}, ""},
		"evaluation id":     {func(a *pipeline.Assignment) { a.EvaluationID = "2" }, ""},
		"spaces":            {func(a *pipeline.Assignment) { a.Payload = "{ \"a\": 1,\n\"b\": [ true , \"x\" ] }" }, ""},
		"names in order":    {func(a *pipeline.Assignment) { a.Payload = `{"b":[true,"x"],"a":1}` }, ""},
		"escapes":           {func(a *pipeline.Assignment) { a.Payload = `{"a":1,"b":[true,"\u0078"]}` }, ""},
		"elements in order": {func(a *pipeline.Assignment) { a.Payload = `{"a":1,"b":["x",true]}` }, PayloadChanged},
		"number":            {func(a *pipeline.Assignment) { a.Payload = `{"a":1.0,"b":[true,"x"]}` }, PayloadChanged},
		"no payload":        {func(a *pipeline.Assignment) { a.Payload = "" }, PayloadChanged},
		"long payload": {func(a *pipeline.Assignment) { a.Payload = `"` + strings.Repeat("x", maxRecent) + `"` },
			PayloadChanged},
		"experiment key":     {func(a *pipeline.Assignment) { a.ExperimentKey = "e2" }, ExperimentChanged},
		"no experiment key":  {func(a *pipeline.Assignment) { a.ExperimentKey = "" }, ExperimentChanged},
		"payload and key":    {func(a *pipeline.Assignment) { a.Payload, a.ExperimentKey = "1", "e2" }, PayloadChanged},
		"variant":            {func(a *pipeline.Assignment) { a.Key = "off" }, VariantChanged},
		"variant of no name": {func(a *pipeline.Assignment) { a.Key = "" }, VariantChanged},
		"not assigned":       {func(a *pipeline.Assignment) { *a = pipeline.Assignment{} }, VariantChanged},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range []string{"a.csv", "a.jsonl", "a.parquet"} {
				a := base
				test.change(&a)
				got := ""
				_, err := Compare(t.Context(), Options{Before: one(base).write(t, "a.csv", sinks.Spec{}),
					After: one(a).write(t, format, sinks.Spec{}),
					Each:  func(c *Change) error { got += c.What; return nil }})
				if err != nil || got != test.want {
					t.Errorf("%s, %s: %q, %v, want %q", name, format, got, err, test.want)
				}
			}
		})
	}
}

// TestManyStates: a flag whose payload is another one for each user takes more than a byte, and is compared as well.
func TestManyStates(t *testing.T) {
	worlds := [2]*world{}
	for i := range worlds {
		w := &world{flags: []string{"f"}}
		for n := range 3_000 {
			payload := fmt.Sprint(n)
			if i == 1 && n%100 == 99 {
				payload = "true"
			}
			w.outcomes = append(w.outcomes, pipeline.Outcome{Row: pipeline.Row{Number: int64(n + 1),
				User: pipeline.User{UserID: fmt.Sprint(n)}}, At: time.Unix(1767323045, 0),
				Assignments: []pipeline.Assignment{{Assigned: true,
					Variant: pipeline.Variant{FlagKey: "f", Key: "on", Payload: payload}}}})
		}
		worlds[i] = w
	}
	r, changes := build(t, Options{Before: worlds[0].write(t, "a.jsonl", sinks.Spec{}),
		After: worlds[1].write(t, "b.jsonl", sinks.Spec{})})
	if r.Users.Changed != 30 || r.Flags[0].Payloads != 30 || len(changes) != 30 ||
		!strings.Contains(changes[0], "{assigned on 99 } > {assigned on true }") {
		t.Errorf("%+v, %+v, %d changes, the first %q; want 30 changed payloads", r.Users, r.Flags[0], len(changes),
			changes[:1])
	}
}

func TestCodes(t *testing.T) {
	var c codes
	want := map[int]uint32{}
	r := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		i, code := r.IntN(5*chunkSize), r.Uint32()>>(8*r.IntN(4))
		if r.IntN(4) == 0 {
			code = 0
		}
		want[i] = code
		c.set(i, code)
	}
	for i := range 5 * chunkSize {
		if got := c.get(i); got != want[i] {
			t.Fatalf("code of %d: %d, want %d", i, got, want[i])
		}
	}
}

// TestMemory holds the tables to what the issue allows: 64 bytes a user and one a flag.
func TestMemory(t *testing.T) {
	const flags = 5
	for _, n := range []int64{10_000, 98_305, 200_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			for _, expected := range []int64{0, n} {
				u := newUsers(expected)
				var c [flags]codes
				var bytes int64
				for i := range n {
					id := identity{uint64(i) * 0x9e3779b97f4a7c15, uint64(i) * 0xbf58476d1ce4e5b9}
					if got := u.findUser(id); got != -1 {
						t.Fatalf("user %d is there before it was added, as %d", i, got)
					}
					at := u.insertUser(id, i)
					for f := range c {
						bytes += c[f].set(at, uint32(1+i%200))
					}
				}
				for i := range n {
					if got := u.findUser(identity{uint64(i) * 0x9e3779b97f4a7c15, uint64(i) * 0xbf58476d1ce4e5b9}); got != int(i) {
						t.Fatalf("user %d is found as %d", i, got)
					}
				}
				if per := float64(u.bytes+bytes) / float64(n); per > 64+flags {
					t.Errorf("%d users, %d expected: %.1f bytes each, want at most %d", n, expected, per, 64+flags)
				}
			}
		})
	}
}

// TestUntrusted: what is wrong with a snapshot is said, and a limit does not hold for it.
func TestUntrusted(t *testing.T) {
	good := random(5, 50)
	good.flags = allFlags
	for i := range good.outcomes {
		for len(good.outcomes[i].Assignments) < len(allFlags) {
			good.outcomes[i].Assignments = append(good.outcomes[i].Assignments, pipeline.Assignment{})
		}
		for k := range good.outcomes[i].Assignments {
			good.outcomes[i].Assignments[k].FlagKey = allFlags[k]
		}
	}
	for name, test := range map[string]struct {
		spoil func(path string, m *snapshot.Manifest)
		want  string
	}{
		"no manifest": {func(path string, _ *snapshot.Manifest) { os.Remove(path + ".manifest.json") },
			"there is no manifest beside it"}, //nolint:errcheck // seen below
		"another file": {func(_ string, m *snapshot.Manifest) { m.Outputs[0].Path += "x" },
			"the manifest does not list it"},
		"records": {func(_ string, m *snapshot.Manifest) { m.Outputs[0].Rows++ }, " rows, the manifest says "},
		"users":   {func(_ string, m *snapshot.Manifest) { m.Users.Answered++ }, "were answered"},
		"users of variant": {func(_ string, m *snapshot.Manifest) { m.Flags[1].Variants[0].Users++ },
			"flag checkout, variant +on: "},
	} {
		t.Run(name, func(t *testing.T) {
			path := good.write(t, "a.csv", sinks.Spec{})
			fine := good.write(t, "b.csv", sinks.Spec{})
			m, err := snapshot.ReadManifest(nil, path+".manifest.json")
			if err != nil {
				t.Fatal(err)
			}
			test.spoil(path, m)
			if name != "no manifest" {
				writeManifest(t, path, m)
			}
			r, _ := build(t, Options{Before: path, After: fine, Limit: &Limit{Text: "0"}})
			if !r.Verdict.Same || r.Verdict.OK || r.Before.Complete || !r.After.Complete ||
				!strings.Contains(strings.Join(r.Before.Problems, "\n"), test.want) {
				t.Errorf("%s: %+v, problems %q, want %q and a verdict that is not OK", name, r.Verdict, r.Before.Problems, test.want)
			}
			r, _ = build(t, Options{Before: fine, After: path})
			if !r.Verdict.OK || r.After.Complete || !strings.Contains(r.Table(80), "NOT TO BE TRUSTED") {
				t.Errorf("%s, without a limit: %+v, problems %q", name, r.Verdict, r.After.Problems)
			}
		})
	}
}

// TestDamaged: damage is an error, and never a panic or a result.
func TestDamaged(t *testing.T) {
	w := random(6, 100)
	fine := w.write(t, "a.csv", sinks.Spec{})
	for _, name := range fileNames {
		path := w.write(t, name, sinks.Spec{})
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for cut := 1; cut < len(data); cut += len(data)/7 + 1 {
			if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Compare(t.Context(), Options{Before: path, After: fine})
			if err == nil && r.Before.Complete { // a text that ends at the end of a line is a file
				t.Errorf("%s cut to %d of %d bytes: %s, want an error or a problem", name, cut, len(data), r.Verdict.Text)
			}
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none.csv"), t.TempDir(), "compare.go", fine +
		".errors.jsonl"} {
		if r, err := Compare(t.Context(), Options{Before: fine, After: path}); err == nil {
			t.Errorf("%s: %+v, want an error", path, r.Verdict)
		}
	}
}

func TestLimit(t *testing.T) {
	w, other := random(7, 100), random(7, 100)
	other.outcomes[3].Assignments[0] = pipeline.Assignment{Assigned: true,
		Variant: pipeline.Variant{FlagKey: w.flags[0], Key: "else"}}
	other.outcomes[9].Assignments[0] = pipeline.Assignment{Assigned: true,
		Variant: pipeline.Variant{FlagKey: w.flags[0], Key: "else"}}
	strangers := random(7, 100)
	for i := range strangers.outcomes {
		strangers.outcomes[i].Row.User.UserID = fmt.Sprint("stranger", i)
	}
	a, b, c := w.write(t, "a.csv", sinks.Spec{}), other.write(t, "b.csv", sinks.Spec{}),
		strangers.write(t, "c.csv", sinks.Spec{})
	for _, test := range []struct {
		after string
		limit *Limit
		ok    bool
		text  string
	}{
		{b, nil, true, "2 of 91 rows in both changed (2.2 %)"},
		{b, &Limit{Users: 2, Text: "2"}, true, "2 of 91 rows in both changed (2.2 %); --max-changed 2 holds"},
		{b, &Limit{Users: 1, Text: "1"}, false, "2 of 91 rows in both changed (2.2 %); --max-changed 1 allows 1"},
		{b, &Limit{Share: 0.03, IsShare: true, Text: "3%"}, true,
			"2 of 91 rows in both changed (2.2 %); --max-changed 3% holds"},
		{b, &Limit{Share: 0.02, IsShare: true, Text: "2%"}, false,
			"2 of 91 rows in both changed (2.2 %); --max-changed 2% allows 1"},
		{a, &Limit{Text: "0"}, true, "nothing changed for 91 rows in both; --max-changed 0 holds"},
		{c, &Limit{Users: 1000, Text: "1000"}, false, "no user is in both snapshots, 91 added, 91 removed; so " +
			"--max-changed cannot be said to hold"},
	} {
		r, _ := build(t, Options{Before: a, After: test.after, Limit: test.limit})
		if r.Verdict.OK != test.ok || r.Verdict.Text != test.text {
			t.Errorf("%+v: %v %q, want %v %q", test.limit, r.Verdict.OK, r.Verdict.Text, test.ok, test.text)
		}
	}
}

// TestNotAsked: a flag that one of the runs did not ask for is not compared, and no user has changed because of it.
func TestNotAsked(t *testing.T) {
	outcome := func(row int64, flags ...string) pipeline.Outcome {
		o := pipeline.Outcome{At: time.UnixMilli(1767323045000).UTC()}
		o.Row.Number, o.Row.User.UserID = row, fmt.Sprintf("u%d", row)
		for _, flag := range flags {
			o.Assignments = append(o.Assignments, pipeline.Assignment{Assigned: true,
				Variant: pipeline.Variant{FlagKey: flag, Key: "on"}})
		}
		return o
	}
	run := func(flags ...string) *world {
		w := &world{flags: flags}
		for row := range int64(3) {
			w.outcomes = append(w.outcomes, outcome(row+1, flags...))
		}
		return w
	}
	long, wide := sinks.Spec{}, sinks.Spec{Wide: true}
	for _, test := range []struct {
		name          string
		before, after *world
		spec          sinks.Spec
		notAsked      string // by the flag "new"
		change        string // what is told of each user
		verdict       string
		ok, same      bool
	}{
		{"asked after", run("a"), run("a", "new"), long, NotAskedBefore, "new not_asked: not_asked > assigned on",
			"nothing changed for 3 users in both; not compared: 1 flag that only one of the runs asked for; --max-changed 0 " +
				"holds (it does not count that flag)", true, true},
		{"asked before", run("a", "new"), run("a"), long, NotAskedAfter, "new not_asked: assigned on > not_asked",
			"nothing changed for 3 users in both; not compared: 1 flag that only one of the runs asked for; --max-changed 0 " +
				"holds (it does not count that flag)", true, true},
		{"wide", run("a"), run("a", "new"), wide, NotAskedBefore, "new not_asked: not_asked > assigned on",
			"nothing changed for 3 users in both; not compared: 1 flag that only one of the runs asked for; --max-changed 0 " +
				"holds (it does not count that flag)", true, true},
		{"nothing in common", run("a"), run("new"), long, NotAskedBefore, "new not_asked: not_asked > assigned on",
			"nothing is compared for 3 users in both: the runs have no flag in common; so --max-changed cannot be said to hold",
			false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var told []string
			r, err := Compare(t.Context(), Options{Before: test.before.write(t, "a.csv", test.spec),
				After: test.after.write(t, "b.csv", test.spec),
				Limit: &Limit{Text: "0"}, Each: func(c *Change) error {
					if c.Flag == "new" {
						told = append(told, strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", c.Flag, c.What, c.Before.Outcome,
							c.Before.Variant))+
							strings.TrimRight(fmt.Sprintf(" > %s %s", c.After.Outcome, c.After.Variant), " "))
					}
					return nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict.Text != test.verdict || r.Verdict.OK != test.ok || r.Verdict.Same != test.same || r.Users.Changed != 0 {
				t.Errorf("verdict %+v, %d changed; want %q, ok %v, same %v, none", r.Verdict, r.Users.Changed, test.verdict,
					test.ok, test.same)
			}
			at := slices.IndexFunc(r.Flags, func(f Flag) bool { return f.Key == "new" })
			if f := r.Flags[at]; f.NotAsked != test.notAsked || f.Changed != 0 || len(f.Transitions) != 1 ||
				f.Transitions[0].Users != 3 {
				t.Errorf("flag %+v, want not asked %s, nobody changed, one transition of 3 users", f, test.notAsked)
			}

			if len(told) != 3 || told[0] != test.change {
				t.Errorf("told %q, want three times %q", told, test.change)
			}
			sentence := "not compared: the run " + test.notAsked + " did not ask for it"
			for name, text := range map[string]string{"table": r.Table(80), "markdown": r.Markdown()} {
				if !strings.Contains(strings.ToLower(text), sentence) || !strings.Contains(text, "not asked") {
					t.Errorf("the %s does not say %q and show the outcome \"not asked\":\n%s", name, sentence, text)
				}
			}
			if data, err := r.JSON(); err != nil || !strings.Contains(string(data), `"not_asked": "`+test.notAsked+`"`) {
				t.Errorf("JSON (%v) does not have not_asked %q:\n%s", err, test.notAsked, data)
			}
		})
	}
}

// TestRepeatedUsers: where users have several rows, on either side, what is counted are rows, and the report says so.
func TestRepeatedUsers(t *testing.T) {
	run := func(ids ...string) *world {
		w := &world{flags: []string{"f"}}
		for i, id := range ids {
			o := pipeline.Outcome{At: time.UnixMilli(1767323045000).UTC(),
				Assignments: []pipeline.Assignment{{Assigned: true, Variant: pipeline.Variant{FlagKey: "f", Key: "on"}}}}
			o.Row.Number, o.Row.User.UserID = int64(i+1), id
			w.outcomes = append(w.outcomes, o)
		}
		return w
	}
	for _, test := range []struct {
		name          string
		before, after *world
		unit          stats.Unit
		verdict, note string
	}{
		{"once", run("a", "b"), run("a", "b"), stats.UnitUsers, "nothing changed for 2 users in both", ""},
		{"before", run("a", "b", "a"), run("a", "b"), stats.UnitRows, "nothing changed for 2 rows in both, 1 removed",
			"(before: 2 users in 3 rows, after: 2 users)"},
		{"after only", run("a"), run("a", "b", "b"), stats.UnitRows, "nothing changed for 1 row in both, 2 added",
			"(before: 1 user, after: 2 users in 3 rows)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := build(t, Options{Before: test.before.write(t, "a.csv", sinks.Spec{}),
				After: test.after.write(t, "b.csv", sinks.Spec{})})
			if r.Unit != test.unit || r.Verdict.Text != test.verdict || !strings.Contains(strings.Join(r.Notes, ""), test.note) {
				t.Errorf("unit %s, verdict %q, notes %q; want %s, %q, %q", r.Unit, r.Verdict.Text, r.Notes, test.unit, test.verdict,
					test.note)
			}
			if text := r.Table(80); strings.Contains(text, " row") != (test.unit == stats.UnitRows) {
				t.Errorf("unit %s, but the table says:\n%s", test.unit, text)
			}
		})
	}
}
