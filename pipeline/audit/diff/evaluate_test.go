package diff

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
	"github.com/rollcall-cli/rollcall/sources"
)

// makeLocal makes the run of an output one that has read an input, and has evaluated flag configurations on this
// machine.
func makeLocal(tb testing.TB, path, input, configs string) {
	tb.Helper()
	m, err := snapshot.ReadManifest(nil, path+".manifest.json")
	if err != nil {
		tb.Fatal(err)
	}
	m.Inputs = []snapshot.File{writeFile(tb, path+".input.csv", input)}
	file := writeFile(tb, path+".flags.json", configs)
	m.FlagConfigs = &file
	writeManifest(tb, path, m)
}

func writeFile(tb testing.TB, path, text string) snapshot.File {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	return snapshot.File{Path: path, Bytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}
}

// TestCauses: a row for each way in which the four evaluations of old and new can agree.
func TestCauses(t *testing.T) {
	rows := []struct {
		// what the old user gets, with the new configuration, the new user with the old one, and both
		old, newConfig, newUser, both string
		recorded                      string // what BEFORE says; "" is what old is
		want                          Cause
	}{
		{"on", "on", "on", "on", "", ""},
		{"on", "off", "on", "off", "", CauseConfiguration},
		{"on", "on", "off", "off", "", CauseUser},
		{"on", "on", "on", "off", "", CauseBoth},
		{"on", "off", "off", "off", "", CauseEither},
		{"on", "off", "on", "off", "", CauseUnclear}, // row 6 has no user any more
		{"on", "off", "on", "off", "else", CauseUnclear},
		{"on", "", "on", "", "", CauseConfiguration},
		{"", "on", "", "on", "", CauseConfiguration},
		{"on/1", "on/2", "on/1", "on/2", "", CauseConfiguration}, // payloads that BEFORE does not have
		{"on/1", "on/1", "on/3", "on/3", "", CauseUser},
		{`on/{"a":1}`, `on/{"b":2,"a":1}`, `on/{"a":1}`, `on/{ "a":1, "b":2 }`, "", CauseConfiguration},
		{"on/1", "on/4", "on/5", "on/6", "", CauseBoth},
		{"on/1", "off", "on/1", "off", "", CauseConfiguration},
	}
	const times = 250 // each row, so that there are several passes
	n := int64(len(rows))
	answer := func(newConfig, newUser bool, row int64) string {
		r := rows[(row-1)%n]
		switch {
		case newConfig && newUser:
			return r.both
		case newConfig:
			return r.newConfig
		case newUser:
			return r.newUser
		}
		return r.old
	}
	worlds := [2]*world{{flags: []string{"f"}}, {flags: []string{"f"}}}
	counts := map[Cause]int64{}
	var inputs, configs [2]strings.Builder
	for side := range inputs {
		inputs[side].WriteString("user_id,user_properties.row,user_properties.new\n")
		configs[side].WriteString(`[{"key":"a","variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}]},` +
			`{"key":"f","variants":{"on":{"key":"on"},"off":{"key":"off"}`)
		for row := range n {
			for newUser := range 2 {
				if key, payload, ok := strings.Cut(answer(side == 1, newUser == 1, row+1), "/"); ok {
					fmt.Fprintf(&configs[side], `,"%d-%d":{"key":%q,"payload":%s}`, row, newUser, key, payload)
				}
			}
		}
		configs[side].WriteString(`},"segments":[`)
		for row := range n {
			for newUser := range 2 {
				variant := answer(side == 1, newUser == 1, row+1)
				if strings.Contains(variant, "/") {
					variant = fmt.Sprintf("%d-%d", row, newUser)
				}
				if variant != "" {
					fmt.Fprintf(&configs[side], `{"conditions":[[{"selector":["context","user","user_properties","row"],"op":"is","values":["%d"]},`+
						`{"selector":["context","user","user_properties","new"],"op":"is","values":["%d"]}]],"variant":%q},`, row,
						newUser, variant)
				}
			}
		}
		configs[side].WriteString(`{"conditions":[[{"selector":["context","user","user_id"],"op":"is","values":["nobody"]}]],"variant":"on"}]}]`)
	}
	for i := range times * n {
		r := rows[i%n]
		if r.want != "" {
			counts[r.want]++
		}
		for side, w := range worlds {
			id := fmt.Sprint(i + 1)
			if i%n == 5 {
				id = ""
			}
			fmt.Fprintf(&inputs[side], "%s,%d,%d\n", id, i%n, side)
			text := answer(side == 1, side == 1, i+1)
			if side == 0 && r.recorded != "" {
				text = r.recorded
			}
			a := pipeline.Assignment{Variant: pipeline.Variant{FlagKey: "f"}}
			a.Key, a.Payload, _ = strings.Cut(text, "/")
			a.Assigned = text != ""
			w.outcomes = append(w.outcomes, pipeline.Outcome{Row: pipeline.Row{Number: i + 1,
				User: pipeline.User{UserID: fmt.Sprint(i + 1)}},
				Assignments: []pipeline.Assignment{a}, At: time.Unix(1767323045, 0)})
		}
	}
	paths := [2]string{worlds[0].write(t, "a.csv", sinks.Spec{}), worlds[1].write(t, "b.jsonl", sinks.Spec{})}
	for side, path := range paths {
		makeLocal(t, path, inputs[side].String(), configs[side].String())
	}
	o := Options{Before: paths[0], After: paths[1]}
	for _, memory := range []int64{0, 50 << 10} {
		o.Memory, o.Each = memory, nil
		quiet, err := Compare(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		got := map[int64]Cause{}
		o.Each = func(c *Change) error {
			got[c.AfterRow] = c.Cause
			return nil
		}
		r, err := Compare(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if many := memory > 0; many != (r.Passes > 1) {
			t.Errorf("memory %d: %d passes", memory, r.Passes)
		}
		for i := range times * n {
			if row := rows[i%n]; got[i+1] != row.want {
				t.Fatalf("row %d (%+v): cause %q, want %q; notes %q, configurations %q", i+1, row, got[i+1], row.want, r.Notes,
					r.Configs.Words)
			}
		}
		if diff := cmp.Diff(counts, r.Flags[0].Causes); diff != "" {
			t.Errorf("counts of causes (-want +got):\n%s", diff)
		}
		if quiet.Passes = r.Passes; memory == 0 { // texts of payloads take memory, and passes
			if diff := cmp.Diff(r, quiet); diff != "" {
				t.Errorf("the report with and without a list of changes:\n%s", diff)
			}
		}
	}

	if err := os.Remove(paths[1] + ".input.csv"); err != nil {
		t.Fatal(err)
	}
	if r, err := Compare(t.Context(), o); err != nil || len(r.Flags[0].Causes) > 0 ||
		!strings.Contains(strings.Join(r.Notes, " "), ".input.csv is no longer there.") {
		t.Errorf("inputs that are gone: %v, causes %v, notes %q", err, r.Flags[0].Causes, r.Notes)
	}
}

// TestCausesOfChangedInput: an input that changes between its check and its reading ends the diff.
func TestCausesOfChangedInput(t *testing.T) {
	w := one(pipeline.Assignment{Assigned: true, Variant: pipeline.Variant{Key: "on"}})
	path := w.write(t, "a.csv", sinks.Spec{})
	makeLocal(t, path, "user_id\nu\n", "[]")
	run, err := snapshot.Open(nil, path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRerun(t.Context(), nil, run)
	if err != nil {
		t.Fatal(err)
	}
	defer (&reruns{r, nil}).unpin()
	writeFile(t, path+".input.csv", "user_id\nv\n")
	if err := r.openInput(); err != nil {
		t.Fatal(err)
	}
	if _, changed := errors.AsType[*sources.ChangedError](r.closeInput()); !changed {
		t.Error("the input has changed, and the pass that read it has no error")
	}
}

// TestCausesNeedTheOrderOfTheInput: rows in another order are told without causes.
func TestCausesNeedTheOrderOfTheInput(t *testing.T) {
	for side := range 2 {
		worlds := [2]*world{random(1, 50), random(4, 50)}
		var paths [2]string
		for i, w := range worlds {
			if i == side {
				w.outcomes[0].Row.Number = 1000
			}
			paths[i] = w.write(t, "a.csv", sinks.Spec{})
		}
		o := Options{Before: paths[0], After: paths[1]}
		_, want := build(t, o)
		for _, path := range paths {
			makeLocal(t, path, "user_id\n", "[]")
		}
		r, got := build(t, o)
		if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 ||
			!strings.Contains(strings.Join(r.Notes, " "), "not in the order of the input") {
			t.Errorf("side %d: notes %q; changes (-want +got):\n%s", side, r.Notes, diff)
		}
	}
}

func TestConfigs(t *testing.T) {
	w := one(pipeline.Assignment{})
	paths := [2]string{w.write(t, "a.csv", sinks.Spec{}), w.write(t, "b.csv", sinks.Spec{})}
	const base = `[{"key":"a","segments":[{"variant":"on","x":1.0}],"metadata":{"flagVersion":1,"deployed":true}},{"key":"b","variants":{}}]`
	for name, test := range map[string]struct {
		before, after string
		words         string
		changed       []ConfigChange
	}{
		"same":    {base, base, "none of 2 changed", nil},
		"order":   {base, `[ {"variants":{},"key":"b"}, {"key":"a","metadata":{"deployed":true,"flagVersion":1},"segments":[{"x":1.0,"variant":"on"}]}]`, "none of 2 changed", nil},
		"added":   {`[]`, base, "2 of 2 changed", []ConfigChange{{"a", "added", []string{}}, {"b", "added", []string{}}}},
		"removed": {base, `[{"key":"b","variants":{}}]`, "1 of 2 changed", []ConfigChange{{"a", "removed", []string{}}}},
		"parts": {base, strings.Replace(strings.Replace(base, `"on"`, `"off"`, 1), `Version":1`, `Version":2`, 1),
			"1 of 2 changed", []ConfigChange{{"a", "changed", []string{"metadata.flagVersion", "segments"}}}},
		"new member": {base, strings.Replace(base, `"variants":{}`, `"variants":{},"dependencies":["a"]`, 1),
			"1 of 2 changed", []ConfigChange{{"b", "changed", []string{"dependencies"}}}},
		"no JSON": {base, `[`, "the flag configurations of the run after cannot be compared: unexpected end of JSON input",
			nil},
		"no list": {`{}`, base, "the flag configurations of the run before cannot be compared: json: cannot unmarshal " +
			"object into Go value of type []json.RawMessage", nil},
		"no key": {base, `[{}]`, "the flag configurations of the run after cannot be compared: flag 1 has no key", nil},
		"twice": {base, `[{"key":"a"},{"key":"a"}]`,
			"the flag configurations of the run after cannot be compared: flag a is duplicated", nil},
	} {
		t.Run(name, func(t *testing.T) {
			makeLocal(t, paths[0], "user_id\n", test.before)
			makeLocal(t, paths[1], "user_id\n", test.after)
			r, _ := build(t, Options{Before: paths[0], After: paths[1]})
			if test.changed == nil {
				test.changed = []ConfigChange{}
			}
			if diff := cmp.Diff(test.changed, r.Configs.Changed); diff != "" || r.Configs.Words != test.words {
				t.Errorf("%q, want %q; changed (-want +got):\n%s", r.Configs.Words, test.words, diff)
			}
		})
	}
	if err := os.Remove(paths[0] + ".flags.json"); err != nil {
		t.Fatal(err)
	}
	r, _ := build(t, Options{Before: paths[0], After: paths[1]})
	if want := "the flag configurations of the run before cannot be compared: " + paths[0] +
		".flags.json is no longer there"; r.Configs.Words != want || r.Configs.Compared {
		t.Errorf("configurations that are gone: %+v, want %q", r.Configs, want)
	}
}

func FuzzParseConfigs(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"key":"a","metadata":{"x":[1,2]}}]`, `[{"key":1}]`, `[null]`, `{"a":`,
		`[{"key":"a","a":1,"a":2}]`, `[{"key":"a","metadata":null}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		flags, err := parseConfigs(data)
		if err == nil && flags == nil {
			t.Errorf("%q: neither flags nor an error", data)
		}
	})
}
