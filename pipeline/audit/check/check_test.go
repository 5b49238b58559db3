package check

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
)

var update = flag.Bool("update", false, "write the golden files anew")

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// run is a finished run that a test makes up, through the real sinks.
type run struct {
	spec     sinks.Spec
	asked    bool // with --flags
	outcomes []pipeline.Outcome
	edit     func(m *snapshot.Manifest)
}

var runs int

// write writes the run to a file, with its manifest and error records.
func (r *run) write(tb testing.TB, path string) string {
	tb.Helper()
	runs++
	m := &snapshot.Manifest{Format: snapshot.ManifestFormat, RunID: fmt.Sprint("run-", runs), StartedAt: began,
		FinishedAt: began.Add(time.Minute)}
	tally := snapshot.NewTally(nil)
	if r.asked {
		m.Layout.Flags = r.spec.Flags
		tally = snapshot.NewTally(r.spec.Flags)
	}
	m.Layout.Wide, m.Layout.Include = r.spec.Wide, r.spec.Include
	out, err := sinks.Create(path, r.spec)
	failed, err2 := sinks.CreateErrors(path+".errors.jsonl", sinks.Spec{})
	if err := errors.Join(err, err2); err != nil {
		tb.Fatal(err)
	}
	for i := range r.outcomes {
		if err := errors.Join(out.Write(&r.outcomes[i]), failed.Write(&r.outcomes[i]),
			tally.Write(&r.outcomes[i])); err != nil {
			tb.Fatal(err)
		}
	}
	m.Users = snapshot.Users{Read: tally.Read, Answered: tally.Answered, Failed: tally.FailedUsers(),
		FailedByKind: tally.Failed}
	m.Flags = tally.Flags()
	for _, o := range []*sinks.Output{out, failed} {
		if err := o.Close(); err != nil {
			tb.Fatal(err)
		}
		name := path
		if o == failed {
			name += ".errors.jsonl"
		}
		if err := os.Rename(o.Info().Temp, name); err != nil {
			tb.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			tb.Fatal(err)
		}
		m.Outputs = append(m.Outputs, snapshot.File{Path: name, Bytes: info.Size(), Rows: o.Info().Rows})
	}
	if r.edit != nil {
		r.edit(m)
	}
	data, err := m.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path+".manifest.json", data, 0o666); err != nil {
		tb.Fatal(err)
	}
	return path
}

// planned is a run of 1,200 users by a plan that the tests know, and three who failed.
func planned() *run {
	r := &run{asked: true, spec: sinks.Spec{
		Flags: []string{"checkout", "pricing", "holdout-h1", "dark-mode", "unused"},
		Carry: []pipeline.Column{{Name: "country"}, {Name: "user_properties.plan"}, {Name: "seats", Type: pipeline.TypeInt}},
	}}
	for i := int64(1); i <= 1203; i++ {
		o := pipeline.Outcome{At: began.Add(time.Duration(i) * time.Millisecond)}
		o.Row.Number, o.Row.User.UserID, o.Row.User.DeviceID = i, fmt.Sprintf("user-%d", i), fmt.Sprintf("device-%d", i)
		o.Row.Carry = make([]pipeline.Value, 3)
		if i > 1200 {
			o.SetError(pipeline.Errorf(pipeline.KindMissingID, "no id"), o.At)
			o.Row.Input = []pipeline.Member{{Name: "country", Value: pipeline.StringValue("DE")}}
			r.outcomes = append(r.outcomes, o)
			continue
		}
		if i%50 != 0 {
			o.Row.Carry[0] = pipeline.StringValue([]string{"DE", "FR", "US"}[i%3])
		}
		if i%7 != 0 {
			o.Row.Carry[1] = pipeline.StringValue([]string{"free", "pro", "pro", "pro"}[i%4])
		}
		if i%9 != 0 {
			o.Row.Carry[2] = pipeline.IntValue(i % 20)
		}
		var variants []pipeline.Variant
		if i%10 != 0 {
			v := pipeline.Variant{FlagKey: "checkout", Key: "control", Payload: `{"steps":4}`}
			if (i+i/10)%2 == 0 {
				v.Key, v.Payload = "treatment", `{"steps":1,"cta":{"text":"go"}}`
			}
			if i == 77 {
				v.Payload = `{"steps":"one"}`
			}
			variants = append(variants, v, pipeline.Variant{FlagKey: "holdout-h1", Key: "in"})
		} else {
			variants = append(variants, pipeline.Variant{FlagKey: "pricing", Key: []string{"control", "discount"}[i/10%2]},
				pipeline.Variant{FlagKey: "holdout-h1", Key: "holdout"})
		}
		if i%10 == 5 {
			variants = append(variants, pipeline.Variant{FlagKey: "dark-mode", Key: "on"})
		}
		o.SetAnswer(pipeline.Answer{Variants: variants, At: o.At}, pipeline.IndexFlags(r.spec.Flags))
		r.outcomes = append(r.outcomes, o)
	}
	return r
}

// like are the other layouts and formats of a run.
func (r *run) like(wide, asked bool) *run {
	other := *r
	other.asked = asked || wide
	other.spec.Wide = wide
	if wide {
		other.spec.Include = []string{"payload"}
	}
	other.outcomes = nil
	for _, o := range r.outcomes {
		if !other.asked && o.Err == nil {
			var assigned []pipeline.Assignment
			for _, a := range o.Assignments {
				if a.Assigned {
					assigned = append(assigned, a)
				}
			}
			slices.SortFunc(assigned, func(a, b pipeline.Assignment) int { return cmp.Compare(a.FlagKey, b.FlagKey) })
			o.Assignments = assigned
		}
		other.outcomes = append(other.outcomes, o)
	}
	return &other
}

var schemaDir = fstest.MapFS{
	"checkout.json":   {Data: []byte(`{"type":"object","required":["steps"],"properties":{"steps":{"type":"integer"}}}`)},
	"outside.json":    {Data: []byte(`{"$ref":"other.json"}`)},
	"remote.json":     {Data: []byte(`{"$ref":"https://example.com/schema.json"}`)},
	"other.json":      {Data: []byte(`true`)},
	"broken.json":     {Data: []byte(`{"type":`)},
	"wrong.json":      {Data: []byte(`{"type":"objekt"}`)},
	"recursive.json":  {Data: []byte(`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","additionalProperties":{"$ref":"#/$defs/a"}}}}`)},
	"sub/schema.json": {Data: []byte(`{"type":"object"}`)},
}

// parse reads rules, of which checks may be all.
func parse(tb testing.TB, text string) *File {
	tb.Helper()
	if !strings.Contains(text, "checks:") {
		text = "checks:\n" + text
	}
	f, err := Parse("r.yaml", []byte(text), schemaDir)
	if err != nil {
		tb.Fatalf("%s\n%v", text, err)
	}
	return f
}

func check(tb testing.TB, text string, o Options) *Report {
	tb.Helper()
	if o.Now.IsZero() {
		o.Now = began.Add(3 * time.Hour)
	}
	r, err := Run(context.Background(), parse(tb, text), o)
	if err != nil {
		tb.Fatalf("%s\n%v (%s)", text, err, pipeline.Hint(err))
	}
	return r
}

// checkOne returns the only result.
func checkOne(tb testing.TB, text string, o Options) resultJSON {
	tb.Helper()
	r := check(tb, text, o)
	return r.newResultJSON(&r.Checks[0])
}

func TestKinds(t *testing.T) {
	path := planned().write(t, filepath.Join(t.TempDir(), "a.parquet"))
	for _, test := range []struct {
		rule     string
		status   Status
		found    string // part of it
		examples string // rows, or rows with notes
	}{
		{"{flag: checkout, variant: treatment, share: {min: 45%, max: 46%}}", Held,
			"45.00 %, 540 of 1,200 users (95 % interval 42.21 % to 47.83 %)", ""},
		{"{flag: checkout, variant: treatment, share: {max: 0.449}}", NotHeld, "45.00 %", "2 4 6 8 11 13 15 17 19 22"},
		{"{flag: checkout, variant: treatment, share: {min: 45.1%}}", NotHeld, "45.00 %", "1 3 5 7 9 10 12 14 16 18"},
		{"{flag: checkout, variant: treatment, of: assigned, share: {min: 50%, max: 50%}}", Held,
			"50.00 %, 540 of 1,080 users", ""},
		{"{flag: checkout, variant: [treatment, control], share: {min: 90%, max: 90%}}", Held, "1,080 of 1,200", ""},
		{"{flag: checkout, variant: not_assigned, share: {min: 10%, max: 10%}}", Held, "120 of 1,200", ""},
		{`{flag: checkout, variant: treatment, where: country == "DE", share: {max: 40%}}`, NotHeld, "180 of 392 users",
			"6 15 24 33 39 42 48 51 57 66"},
		{`{flag: checkout, variant: treatment, where: country == "AT", share: {max: 90%}}`, Undecided,
			`vacuous: there are no users where country == "AT", so this says nothing`, ""},
		{"{flag: unused, variant: not_assigned, of: users, share: {min: 100%}}", Held, "1,200 of 1,200", ""},
		{"{flag: checkout, variant: control, count: {min: 540, max: 540}}", Held, "540 of 1,200 users", ""},
		{"{flag: checkout, variant: control, count: {min: 541}}", NotHeld, "540 of 1,200 users", "2 4 6 8 10 11 13 15 17 19"},
		{"{flag: checkout, variant: treatment, count: {max: 1}, where: seats > 18}", NotHeld, "53 of 53 users",
			"19 39 59 79 119 139 159 179 199 219"},

		{`{flag: dark-mode, exposed: nobody, where: seats == 4}`, Held, "0 of 54 users are exposed", ""},
		{`{flag: dark-mode, exposed: nobody, where: seats == 5}`, NotHeld, "53 of 53 users are exposed",
			"5 25 65 85 105 125 145 165 185 205"},
		{`{flag: dark-mode, exposed: everybody, where: seats == 5}`, Held, "53 of 53 users", ""},
		{`{flag: dark-mode, exposed: everybody, where: "seats in [5, 6]"}`, NotHeld, "53 of 107 users",
			"6 26 46 66 86 106 146 166 186 206"},
		{`{flag: pricing, exposed: nobody, where: seats == 0}`, Held, "0 of 54", ""},
		{`{flag: pricing, exposed: nobody, where: seats == 10}`, NotHeld, "53 of 53", "10 30 50 70 110 130 150 170 190 210"},
		{`{flag: checkout, exposed: nobody, where: seats == 0}`, Held, "0 of 54 users are exposed (0.00 %)", ""},
		{`{flag: checkout, exposed: nobody}`, NotHeld, "540 of 1,200 users are exposed (45.00 %)",
			"2 4 6 8 11 13 15 17 19 22"},
		{`{flag: checkout, exposed: nobody, treatments: [control]}`, NotHeld, "540 of 1,200", "1 3 5 7 9 12 14 16 18 21"},
		{`{flag: checkout, exposed: everybody, where: seats != 1 and seats == nil}`, NotHeld, "57 of 133 users", ""},
		{`{flag: dark-mode, exposed: nobody, where: country == "AT"}`, Undecided, "vacuous", ""},

		{"{exclusive: [checkout, pricing]}", Held, "none of 1,200 users", ""},
		{"{exclusive: [checkout, dark-mode]}", NotHeld, "120 of 1,200 users",
			"5 checkout control, dark-mode on|15 checkout treatment, dark-mode on"},
		{"{exclusive: [checkout, dark-mode], who: exposed}", NotHeld, "60 of 1,200 users",
			"15 checkout treatment, dark-mode on|35 checkout treatment, dark-mode on"},
		{"{exclusive: [checkout, dark-mode, pricing], who: exposed, treatments: [treatment, discount]}", Held,
			"none of 1,200 users", ""},
		{"{exclusive: [checkout, unused]}", Undecided, "vacuous: none of these users has any of the flags but checkout", ""},
		{`{exclusive: [checkout, pricing], where: country == "AT"}`, Undecided,
			"vacuous: none of these users has any of the flags", ""},

		{"{holdout: holdout-h1, variant: holdout, flags: [checkout, dark-mode]}", Held,
			"none of 120 held-out users is exposed", ""},
		{"{holdout: holdout-h1, variant: holdout, flags: [checkout, pricing]}", NotHeld,
			"60 of 120 held-out users are exposed", "10 pricing discount|30 pricing discount"},
		{"{holdout: holdout-h1, variant: holdout, flags: [pricing], treatments: [control]}", NotHeld,
			"60 of 120 held-out users are exposed", "20 pricing control|40 pricing control"},
		{`{holdout: holdout-h1, variant: holdout, flags: [checkout], where: country == "AT"}`, Undecided,
			"vacuous: nobody is held out", ""},

		{"{flag: checkout, ratio: {control: 50, treatment: 50}}", Held,
			"control 50.00 % (540), treatment 50.00 % (540); p = 1", ""},
		{"{flag: checkout, ratio: {control: 40, treatment: 60}}", NotHeld, "p = 4e-11", "1 3 5 7 9 12 14 16 18 21"},
		{"{flag: checkout, ratio: {control: 60, treatment: 40}}", NotHeld, "p = 4e-11", "2 4 6 8 11 13 15 17 19 22"},
		{"{flag: checkout, ratio: {control: 45, treatment: 45, not_assigned: 10}}", Held, "not_assigned 10.00 % (120)", ""},
		{"{flag: checkout, ratio: {control: 50, treatment: 50}, by: [country, seats]}", NotHeld, "",
			"11 31 51 71 91 111 131 151 191 211"},
		{"{flag: checkout, ratio: {control: 50, treatment: 50}, by: country}", Held, "p = 1", ""},
		{"{flag: checkout, ratio: {control: 50, treatmnt: 50}}", NotHeld, "others 50.00 % (540)",
			"2 4 6 8 11 13 15 17 19 22"},
		{"{flag: unused, ratio: {control: 50, treatment: 50}}", Undecided,
			"vacuous: none of the users has a variant of the flag", ""},
		{"{flag: checkout, ratio: {control: 50, treatment: 50}, where: seats == 1 and country == nil}", Undecided, "vacuous",
			""},
		{`{flag: pricing, ratio: {control: 50, discount: 50}, where: country == nil and user_properties.plan == nil}`,
			Undecided, "not tested: too few users", ""},
		{`{flag: checkout, ratio: {control: 49, treatment: 51}, by: country, where: "seats in [5, 6]", alert: 0.01}`, Held,
			"", ""},

		{"{flag: checkout, payload: checkout.json}", NotHeld, "1 of 1,080 users with a payload that does not conform",
			"77 /steps: got string, want integer"},
		{"{flag: checkout, variant: treatment, payload: checkout.json}", NotHeld, "1 of 540",
			"77 /steps: got string, want integer"},
		{"{flag: checkout, variant: control, payload: checkout.json}", Held, "all 540 conform", ""},
		{"{flag: checkout, variant: treatment, payload: recursive.json}", NotHeld, "540 of 540", ""},
		{"{flag: checkout, variant: treatment, payload: sub/schema.json}", Held, "all 540 conform", ""},
		{"{flag: checkout, variant: control, payload: {type: object, required: [steps], properties: {steps: {maximum: 4, " +
			"multipleOf: 0.5}}}}", Held, "all 540 conform", ""},
		{"{flag: dark-mode, payload: checkout.json}", NotHeld, "120 of 120", "5 no payload|15 no payload"},
		{"{flag: dark-mode, payload: checkout.json, optional: true}", Undecided, "vacuous: none of the users has a payload",
			""},
		{"{flag: unused, payload: checkout.json}", Undecided, "vacuous: none of the users has a variant of the flag", ""},

		{"{failed: {max: 3}}", Held, "3 of 1,203 users (0.25 %)", ""},
		{"{failed: {max: 2}}", NotHeld, "3 of 1,203 users", "1201 1202 1203"},
		{"{failed: {max: 0.3%}}", Held, "0.25 %", ""},
		{"{failed: {max: 0.002}}", NotHeld, "0.25 %", "1201 1202 1203"},
		{"{users: {min: 1200}}", Held, "1,200 users", ""},
		{"{users: {min: 1201}}", NotHeld, "1,200 users", ""},
		{"{users: {max: 1199}}", NotHeld, "1,200 users", ""},
		{"{flags: [checkout, pricing]}", Held, "somebody got each", ""},
		{"{flags: [checkout, unused, pricng]}", NotHeld, "nobody got unused, pricng", ""},
		{"{younger: 181m}", Held, "it began 3h ago, at 2026-01-02T03:04:05Z", ""},
		{"{younger: 3h}", NotHeld, "it began 3h ago", ""},
		{"{younger: 0.1d}", NotHeld, "it began 3h ago", ""},
	} {
		t.Run(test.rule, func(t *testing.T) {
			r := check(t, "- "+test.rule, Options{Snapshots: []string{path}})
			got := r.newResultJSON(&r.Checks[0])
			want := test.status
			var rows, notes []string
			for _, row := range got.Examples {
				rows = append(rows, fmt.Sprint(row.Row))
				notes = append(notes, fmt.Sprint(row.Row, " ", row.Note))
			}
			examples := strings.Join(rows, " ")
			if strings.ContainsAny(test.examples, "|/") || strings.Contains(test.examples, "payload") {
				examples = strings.Join(notes[:min(len(notes), strings.Count(test.examples, "|")+1)], "|")
			}
			if got.Status != want || !strings.Contains(got.Found, test.found) || test.examples != "" &&
				examples != test.examples ||
				(got.Status == NotHeld) != (r.Failed == 1) || r.OK != (want == Held) || got.Status != NotHeld &&
				len(got.Examples) > 0 || len(got.Examples) > MaxExamples {
				t.Errorf("%s:\ngot  %s: %s, rows %q\nwant %s: %s, rows %q\n%q", test.rule, got.Status, got.Found, examples, want,
					test.found, test.examples, got.Details)
			}
			if got.Expected == "" || len(r.Table(80)) == 0 {
				t.Errorf("%s: nothing is expected", test.rule)
			}
		})
	}
}

// TestMistakes: what is wrong in a rules file is an error with its line and a hint.
func TestMistakes(t *testing.T) {
	path := planned().write(t, filepath.Join(t.TempDir(), "a.csv"))
	for _, test := range []struct{ text, want, hint string }{
		{"", "r.yaml: no rules: the file is empty", ""},
		{"# nothing\n", "r.yaml: no rules: the file is empty", ""},
		{"version: 1\n", "r.yaml: no checks: the file needs a list of them", ""},
		{"checks: []", "r.yaml:1: no checks: the list is empty", ""},
		{"checks: 1", "r.yaml:1: checks is not a list", ""},
		{"- a", "r.yaml:1: a rules file is not a list", "checks:"},
		{"checks:\n  - a", "r.yaml:2: a check is not a mapping", ""},
		{"version: 2\nchecks: [{users: {min: 1}}]", `r.yaml:1: version "2" is not known: it is 1`, ""},
		{"chekcs: []", `r.yaml:1: "chekcs" is not a key of a rules file`, `did you mean "checks"?`},
		{"checks: [{users: {min: 1}}]\n---\nchecks: []", "r.yaml:2: a second document", ""},
		{"checks:\n- {users: {min: 1}\n", "not YAML", ""},
		{"checks: [{users: {min: 1}}]\nchecks: []", "r.yaml:2: key checks is duplicated", ""},
		{"checks:\n- usres: {min: 1}", `r.yaml:2: "usres" is not a key of a check`, `did you mean "users"?`},
		{"checks:\n- users: {mins: 1}", `r.yaml:2: "mins" is not a key of users: it has min max`, `did you mean "min"?`},
		{"checks:\n- users: {}", "r.yaml:2: users has no limit", ""},
		{"checks:\n- users: 5", "r.yaml:2: users is not a mapping", "for example users: {max: 10}"},
		{"checks:\n- users: {min: 5, max: 4}", "r.yaml:2: users: min is greater than max", ""},
		{"checks:\n- users: {min: -5}", "is not a number of users", ""},
		{"checks:\n- users: {min: many}", "is not a number of users", ""},
		{"checks:\n- failed: {min: 3}", `"min" is not a key of failed`, ""},
		{"checks:\n- failed: {max: 150%}", `"150%" is not a share`, "45% or 0.45"},
		{"checks:\n- name: x", "r.yaml:2: a check that asserts nothing", "it needs one of share count exposed"},
		{"checks:\n- users: {min: 1}\n  failed: {max: 1}",
			"r.yaml:2: a check is one assertion, and this is two: failed and users", ""},
		{"checks:\n- users: {min: 1}\n  where: a == 1", "r.yaml:3: a check of kind users cannot have where",
			"beside its kind it can have name"},
		{"checks:\n- users: {min: 1}\n- users: {min: 2}", `r.yaml:3: two checks have the name "answered users"`,
			"another name"},
		{"checks:\n- variant: a\n  share: {min: 1%}", "r.yaml:2: share needs a flag", ""},
		{"checks:\n- flag: checkout\n  share: {min: 1%}", "r.yaml:2: share needs a variant", ""},
		{"checks:\n- flag: checkout\n  variant: a\n  share: {min: 45}", `"45" is not a share`, "45% or 0.45"},
		{"checks:\n- flag: checkout\n  variant: not_assigned\n  of: assigned\n  share: {min: 45%}",
			"r.yaml:3: share is about users who have a variant", ""},
		{"checks:\n- flag: checkout\n  exposed: no", `exposed cannot be "no"`, ""},
		{"checks:\n- flag: checkout\n  exposed: everbody", `exposed cannot be "everbody": it is one of nobody everybody`,
			`did you mean "everybody"?`},
		{"checks:\n- exclusive: [checkout]", "exclusive needs two flags", ""},
		{"checks:\n- exclusive: [checkout, checkout]", `exclusive: "checkout" is duplicated`, ""},
		{"checks:\n- exclusive: [checkout, pricing]\n  treatments: [control]", "treatments needs who: exposed", ""},
		{"checks:\n- holdout: holdout-h1\n  variant: holdout", "holdout needs the flags", ""},
		{"checks:\n- flag: checkout\n  ratio: {control: 1}", "ratio needs two variants", ""},
		{"checks:\n- flag: checkout\n  ratio: {control: 1, treatment: 0}", `"0" is not a number greater than 0`, ""},
		{"checks:\n- flag: checkout\n  ratio: {control: 1, treatment: 1}\n  alert: 0.9", "r.yaml:4: alert is a p-value", ""},
		{"checks:\n- younger: soon", `"soon" is not a time`, "90m, 24h or 7d"},
		{"checks:\n- younger: -1h", `"-1h" is not a time`, ""},
		{"checks:\n- &a {users: {min: 1}}\n- *a", "r.yaml:3: a rules file cannot have aliases (*a)", ""},
		{"checks:\n- name: !x y\n  users: {min: 1}", "a rules file cannot have tags (!x)", "quotes"},
		{"checks:\n- name: ~\n  users: {min: 1}", "name is ~, which means no value in YAML", "quotes"},
		{"types: {seats: number}\nchecks: [{users: {min: 1}}]",
			`the type of seats cannot be "number": it is one of string int float bool`, ""},
		{"checks:\n- flag: checkout\n  payload: ../x.json", "not a valid file name", "the directory of the rules file"},
		{"checks:\n- flag: checkout\n  payload: /etc/passwd", "not a valid file name", ""},
		{"checks:\n- flag: checkout\n  payload: nowhere.json", "nowhere.json", ""},
		{"checks:\n- flag: checkout\n  payload: broken.json", "the schema broken.json: not JSON", ""},
		{"checks:\n- flag: checkout\n  payload: wrong.json", "the schema wrong.json is not a JSON Schema: /type: ", ""},
		{"checks:\n- flag: checkout\n  payload: outside.json", "other.json is outside of the schema, and nothing is fetched",
			""},
		{"checks:\n- flag: checkout\n  payload: remote.json",
			"https://example.com/schema.json is outside of the schema, and nothing is fetched", ""},
		{"checks:\n- flag: checkout\n  payload: {type: objekt}", "the schema is not a JSON Schema", ""},
		{"checks:\n- flag: checkout\n  payload: {$ref: 'file:///etc/passwd'}", "nothing is fetched", ""},

		// Against the snapshot.
		{"checks:\n- flag: chekout\n  exposed: nobody", `r.yaml:2: no snapshot has flag "chekout"`,
			`did you mean "checkout"?`},
		{"checks:\n- holdout: holdout\n  variant: holdout\n  flags: [checkout]", `r.yaml:2: no snapshot has flag "holdout"`,
			"holdout-h1"},
		{"checks:\n- exclusive: [checkout, pricng]", `r.yaml:2: no snapshot has flag "pricng"`, "pricing"},
		{"flag: checkout\nchecks:\n- variant: treatmnt\n  share: {max: 50%}",
			`r.yaml:3: nobody has variant "treatmnt" of checkout`, `did you mean "treatment"?`},
		{"flag: checkout\nchecks:\n- variant: new\n  share: {max: 50%}", `nobody has variant "new" of checkout`,
			"variants: {checkout: [new]}"},
		{"flag: checkout\nchecks:\n- exposed: nobody\n  treatments: [treatmnt]",
			`r.yaml:4: nobody has variant "treatmnt" of checkout`, "treatment"},
		{"variants: {chekout: [a]}\nchecks: [{users: {min: 1}}]", `r.yaml:1: no snapshot has flag "chekout"`, "checkout"},
		{"controls: [contrl]\nchecks: [{users: {min: 1}}]", `r.yaml:1: controls: nobody has variant "contrl" of any flag`,
			`did you mean "control"?`},
		{"types: {seat: int}\nchecks: [{users: {min: 1}}]", `r.yaml:1: there is no carried column "seat"`, "seats"},
		{"flag: checkout\nchecks:\n- exposed: nobody\n\n  where: contry == 'DE'",
			`r.yaml:5: where: there is no carried column "contry"`, "country"},
		{"flag: checkout\nchecks:\n- exposed: nobody\n  where: email == 'DE'", `there is no carried column "email"`,
			"--carry email"},
		{"flag: checkout\nchecks:\n- exposed: nobody\n  where: seats > 3",
			"r.yaml:4: where: invalid operation: > (mismatched types string and int) (column 7 of the expression)", ""},
		{"flag: checkout\nchecks:\n- ratio: {control: 1, treatment: 1}\n  by: contry",
			`r.yaml:4: there is no carried column "contry"`, "country"},
		{"types: {country: int}\nflag: checkout\nchecks:\n- exposed: nobody\n  where: country > 3",
			"row 1: column country: a value that is not a valid int", ""},
	} {
		t.Run(test.text, func(t *testing.T) {
			f, err := Parse("r.yaml", []byte(test.text), schemaDir)
			if err == nil {
				_, err = Run(t.Context(), f, Options{Snapshots: []string{path}})
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(pipeline.Hint(err), test.hint) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%s\ngot  %v (%s)\nwant %s (%s)", test.text, err, pipeline.Hint(err), test.want, test.hint)
			}
			if _, ok := errors.AsType[*Error](err); !ok && !strings.Contains(test.want, "row 1") {
				t.Errorf("%s: a %T, want an *Error", test.text, err)
			}
		})
	}
	declared := "variants: {checkout: [new], unused: [on]}\nflag: checkout\nchecks:\n- variant: new\n  count: {max: " +
		"0}\n- {flag: unused, variant: [on], count: {max: 0}}"
	if r := check(t, declared, Options{Snapshots: []string{path}}); !r.OK {
		t.Errorf("variants that are declared: %s, want that nobody has them", r.Table(80))
	}
}

// TestFormats: all formats and layouts give the same results.
func TestFormats(t *testing.T) {
	dir, r := t.TempDir(), planned()
	rules := `
flag: checkout
types: {seats: int}
checks:
- {variant: treatment, where: country == "DE", share: {max: 40%}}
- {variant: not_assigned, share: {max: 5%}, name: absent}
- {flag: dark-mode, exposed: everybody, where: "seats in [5, 6] or country == nil"}
- {ratio: {control: 50, treatment: 50}, by: [country, seats]}
- {payload: checkout.json}
- {exclusive: [checkout, dark-mode]}
`
	want := ""
	for _, name := range []string{"a.parquet", "b.csv", "c.tsv.gz", "d.jsonl.zst", "wide.parquet", "wide.csv",
		"wide.jsonl"} {
		t.Run(name, func(t *testing.T) {
			path := r.like(strings.HasPrefix(name, "wide"), true).write(t, filepath.Join(dir, name))
			got := check(t, rules, Options{Snapshots: []string{path}, IDs: true})
			data, err := got.JSON()
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(data), path, "FILE")
			if want == "" {
				want = text
			}
			if text != want {
				t.Errorf("%s:\n%s\nwant as of a.parquet:\n%s", name, text, want)
			}
			if byManifest := check(t, rules, Options{Snapshots: []string{path + ".manifest.json"},
				IDs: true}); !slices.Equal(byManifest.Snapshots, got.Snapshots) {
				t.Errorf("%s by its manifest: %v, want %v", name, byManifest.Snapshots, got.Snapshots)
			}
		})
	}
	if !strings.Contains(want, `"user_id": "user-6"`) || !strings.Contains(want, `"device_id": "device-6"`) {
		t.Errorf("no ids in %s", want)
	}
}

// TestEscapedFormulas: rules name flags, variants and values as they are, and not as a CSV for a spreadsheet has them.
func TestEscapedFormulas(t *testing.T) {
	const rules = `
flag: =f
checks:
- {variant: -on, where: country == "=DE", count: {min: 2, max: 2}}
- {exposed: nobody}
- {ratio: {-on: 1, control: 1}, by: country}
`
	dir, want := t.TempDir(), ""
	for _, name := range []string{"a.csv", "b.parquet", "c.tsv", "wide.csv"} {
		t.Run(name, func(t *testing.T) {
			r := &run{asked: true, spec: sinks.Spec{Flags: []string{"=f"}, Carry: []pipeline.Column{{Name: "country"}},
				EscapeFormulas: true}}
			r.spec.Wide = strings.HasPrefix(name, "wide")
			r.edit = func(m *snapshot.Manifest) { m.Layout.EscapeFormulas = true }
			for i := range int64(4) {
				o := pipeline.Outcome{At: began}
				o.Row.Number, o.Row.User.UserID = i+1, fmt.Sprint("@u", i)
				o.Row.Carry = []pipeline.Value{pipeline.StringValue([]string{"=DE", "'FR"}[i%2])}
				variant := pipeline.Variant{FlagKey: "=f", Key: []string{"-on", "control"}[i%2]}
				o.SetAnswer(pipeline.Answer{Variants: []pipeline.Variant{variant}, At: began}, pipeline.IndexFlags(r.spec.Flags))
				r.outcomes = append(r.outcomes, o)
			}
			path := r.write(t, filepath.Join(dir, name))
			got := check(t, rules, Options{Snapshots: []string{path}, IDs: true}).Table(80)
			if want == "" {
				want = got
			}
			if got != want || !strings.Contains(got, "2 of 4 users are exposed") || strings.Contains(got, "others") {
				t.Errorf("got:\n%s\nwant as of a.csv:\n%s", got, want)
			}
		})
	}
}

// TestNotInFile: what depends on users who are not in the file is told from the manifest, or not decided.
func TestNotInFile(t *testing.T) {
	r := planned()
	for i := range r.outcomes { // forty users get nothing
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
		{"{flag: holdout-h1, variant: not_assigned, count: {min: 40, max: 40}}", Held, "40 of 1,200 users"},
		{"{flag: holdout-h1, variant: in, share: {max: 100%}}", Held, "1,040 of 1,200 users"},
		{"{flag: holdout-h1, exposed: everybody}", NotHeld, "1,160 of 1,200 users"},
		{"{flag: holdout-h1, ratio: {in: 1040, holdout: 120, not_assigned: 40}}", Held, "not_assigned 3.33 % (40)"},
		{`{flag: holdout-h1, exposed: everybody, where: country == "DE"}`, Undecided,
			"not known: 40 users got no variant of any flag"},
		{`{flag: holdout-h1, exposed: nobody, where: country == "DE"}`, NotHeld, "352 of 352 users"},
		{`{flag: holdout-h1, variant: not_assigned, count: {max: 0}, where: country == "DE"}`, Undecided, "not known"},
		{`{flag: holdout-h1, variant: in, share: {min: 1%}, where: country == "DE"}`, Undecided, "not known"},
		{`{flag: holdout-h1, variant: in, share: {min: 1%}, of: assigned, where: country == "DE"}`, Held, ""},
		{`{flag: holdout-h1, ratio: {in: 1040, holdout: 120, not_assigned: 40}, by: country}`, Undecided, "not known"},
		{`{flag: holdout-h1, ratio: {in: 9, holdout: 1}, by: country}`, Held, ""},
		{"{exclusive: [checkout, pricing]}", Held, "none of 1,200 users"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got := checkOne(t, "- "+test.rule, Options{Snapshots: []string{path}})
			if got.Status != test.status || !strings.Contains(got.Found, test.found) {
				t.Errorf("%s: %s: %s, want %s: %s", test.rule, got.Status, got.Found, test.status, test.found)
			}
		})
	}
}

// TestTampered: a file that is not the one which its run wrote is an error, and not a result.
func TestTampered(t *testing.T) {
	dir := t.TempDir()
	rules := parse(t, "- {users: {min: 1}}")
	for i, test := range []struct {
		name string
		edit func(m *snapshot.Manifest)
		do   func(path string) error
		want string
	}{
		{"a row less by the manifest", func(m *snapshot.Manifest) { m.Outputs[0].Rows-- }, nil,
			"it has 500 rows, the manifest says 499"},
		{"bytes", func(m *snapshot.Manifest) { m.Outputs[0].Bytes++ }, nil, "bytes, the manifest says"},
		{"users", func(m *snapshot.Manifest) { m.Users.Answered++ }, nil,
			"it has 100 users, the manifest says that 101 were answered"},
		{"variants", func(m *snapshot.Manifest) { m.Flags[0].Variants[0].Users++ }, nil,
			"flag checkout, variant control: 45 users, the manifest says 46"},
		{"a variant", func(m *snapshot.Manifest) { m.Flags[0].Variants[0].Variant = "x" }, nil,
			"flag checkout, variant x: 0 users, the manifest says 45"},
		{"a flag", func(m *snapshot.Manifest) {
			m.Flags = append(m.Flags, snapshot.FlagCount{Flag: "more", Assigned: 1})
		}, nil, "flag more: 0 users are assigned, the manifest says 1"},
		{"no outputs", func(m *snapshot.Manifest) { m.Outputs = nil }, nil, "does not list it"},
		{"no outputs, and the manifest named", func(m *snapshot.Manifest) { m.Outputs = nil },
			func(path string) error { return os.Remove(path) }, "no output of this run is a file that can be read"},
		{"no start", func(m *snapshot.Manifest) { m.StartedAt = time.Time{} }, nil, "is not complete"},
		{"another file", func(m *snapshot.Manifest) { m.Outputs[0].Path = "other.csv" }, nil, "does not list it"},
		{"no manifest", nil, func(path string) error { return os.Remove(path + ".manifest.json") }, "there is no manifest"},
		{"a broken manifest", nil, func(path string) error { return os.WriteFile(path+".manifest.json", []byte("{"), 0o600) },
			"unexpected end of JSON"},
		{"another format", func(m *snapshot.Manifest) { m.Format = 9 }, nil, "format 9 is not known"},
		{"a line less", nil, func(path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, data[:len(data)-40], 0o600))
		}, "bytes, the manifest says"},
		{"two users swapped", nil, func(path string) error {
			data, err := os.ReadFile(path)
			lines := strings.SplitAfter(string(data), "\n")
			for k := 1; k <= 5; k++ {
				lines[k], lines[k+5] = lines[k+5], lines[k]
			}
			return errors.Join(err, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
		}, "1 user is not sorted by row number"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := planned()
			r.outcomes, r.edit = r.outcomes[:100], test.edit
			path := r.write(t, filepath.Join(dir, fmt.Sprint(i, ".csv")))
			arg := path
			if test.do != nil {
				if err := test.do(path); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(path); err != nil {
					arg = path + ".manifest.json"
				}
			}
			got, err := Run(t.Context(), rules, Options{Snapshots: []string{arg}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, %v, want an error: %s", test.name, got, err, test.want)
			}
		})
	}
	path := planned().write(t, filepath.Join(dir, "a.csv"))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{path, path}, "are of the same run"},
		{[]string{path, path + ".manifest.json"}, "are of the same run"},
		{[]string{path + ".errors.jsonl"}, "holds the error records of a run"},
		{[]string{filepath.Join(dir, "nowhere.csv")}, "no such file"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			if _, err := Run(t.Context(), rules, Options{Snapshots: test.args}); err == nil ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("%v: %v, want %s", test.args, err, test.want)
			}
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stop"))
	if _, err := Run(ctx, rules, Options{Snapshots: []string{bigRun(4500).write(t,
		filepath.Join(dir, "b.csv"))}}); err == nil || err.Error() != "stop" {
		t.Errorf("canceled: %v, want stop", err)
	}
}

// bigRun is a run of so many users, with a flag that nothing is wrong with.
func bigRun(n int64) *run {
	r := &run{asked: true, spec: sinks.Spec{Flags: []string{"f"}, Carry: []pipeline.Column{{Name: "country"}}}}
	for i := range n {
		o := pipeline.Outcome{At: began}
		o.Row.Number, o.Row.User.UserID, o.Row.Carry = i+1, fmt.Sprint("u", i),
			[]pipeline.Value{pipeline.StringValue(fmt.Sprint("c", i))}
		o.SetAnswer(pipeline.Answer{Variants: []pipeline.Variant{{FlagKey: "f", Key: []string{"control", "treatment"}[i%2]}},
			At: began}, pipeline.IndexFlags(r.spec.Flags))
		r.outcomes = append(r.outcomes, o)
	}
	return r
}

func TestTooManySlices(t *testing.T) {
	path := bigRun(3000).write(t, filepath.Join(t.TempDir(), "a.csv"))
	got := checkOne(t, "- {flag: f, ratio: {control: 1, treatment: 1}, by: country}", Options{Snapshots: []string{path}})
	if got.Status != Undecided || got.Found != "not tested: column country has more than 1,000 values" {
		t.Errorf("3,000 slices: %+v, want that they are too many", got)
	}
	path = bigRun(900).write(t, filepath.Join(t.TempDir(), "b.csv"))
	got = checkOne(t, "- {flag: f, ratio: {control: 1, treatment: 1}, by: country}", Options{Snapshots: []string{path}})
	if got.Status != Undecided || !strings.Contains(got.Found, "no slice by country has enough users") {
		t.Errorf("slices of one user: %+v, want that they are too small", got)
	}
}

// TestSeveral: runs are added up, and the oldest one counts.
func TestSeveral(t *testing.T) {
	dir := t.TempDir()
	second := planned()
	second.edit = func(m *snapshot.Manifest) { m.StartedAt = began.Add(-48 * time.Hour) }
	paths := []string{planned().write(t, filepath.Join(dir, "a.parquet")), second.write(t, filepath.Join(dir, "b.csv"))}
	r := check(t, `
types: {seats: int}
flag: checkout
checks:
- {variant: treatment, count: {min: 1080, max: 1080}}
- {younger: 24h}
- {exposed: nobody, where: seats > 3}
- {ratio: {control: 1, treatment: 1}, by: [seats, country]}
- {failed: {max: 0}}
- {flag: dark-mode, exposed: nobody}
`, Options{Snapshots: paths})
	if r.Users != 1200 || r.Rows != 2400 || r.Checks[0].Status != Held ||
		!strings.Contains(r.found(&r.Checks[1]), "b.csv: it began 2d3h ago") {
		t.Errorf("two runs: %s", r.Table(100))
	}
	if rows := r.exampleRows(&r.Checks[4]); len(rows) != 2 || !strings.HasSuffix(rows[1], "b.csv rows 1201, 1202, 1203") {
		t.Errorf("failed rows of two runs: %q", rows)
	}
	_, err := Run(t.Context(), parse(t, "- {flag: checkout, exposed: nobody, where: seats > 3}"),
		Options{Snapshots: paths})
	if err == nil || !strings.Contains(err.Error(), "column seats has different types: it is int in") {
		t.Errorf("int and string: %v, want that the column has different types", err)
	}
	less := planned()
	less.spec.Carry = less.spec.Carry[:1]
	for i := range less.outcomes {
		less.outcomes[i].Row.Carry = less.outcomes[i].Row.Carry[:1]
	}
	paths[1] = less.write(t, filepath.Join(dir, "c.csv"))
	_, err = Run(t.Context(), parse(t, "- {flag: checkout, exposed: nobody, where: seats > 3}"), Options{Snapshots: paths})
	if err == nil || !strings.Contains(err.Error(), `c.csv has no carried column "seats"`) {
		t.Errorf("a column that one run lacks: %v", err)
	}
	future := planned()
	future.edit = func(m *snapshot.Manifest) { m.StartedAt = began.Add(24 * time.Hour) }
	got := checkOne(t, "- younger: 24h", Options{Snapshots: []string{future.write(t, filepath.Join(dir, "f.csv"))}})
	if got.Status != NotHeld || !strings.Contains(got.Found, "it began 21h in the future") {
		t.Errorf("a run of the future: %+v", got)
	}
}

// randomRun is a run with random flags, variants, columns and payloads, odd names among them.
func randomRun(r *rand.Rand, asked bool) *run {
	odd := []string{"a-flag", "on", "null", "x: y", "# not", "'q'", `"`, "ü ö", "- dash", "*star", "&and", "!tag", "{",
		"a, b", "0x10", "1.5", "yes", " lead", "\ttab", "new\nline", "\u0085", "%", "holdout-x", "\u202e", "\x1b[31m",
		"\u009b", "\U000e0001"}
	pick := func(n int) (list []string) {
		for _, i := range r.Perm(len(odd))[:n] {
			list = append(list, odd[i])
		}
		return list
	}
	out := &run{asked: asked, spec: sinks.Spec{Flags: pick(1 + r.IntN(6)), Wide: false,
		Carry: []pipeline.Column{{Name: "c"}}}}
	variants := map[string][]string{}
	reach := map[string]float64{}
	for _, f := range out.spec.Flags {
		variants[f] = append(pick(1+r.IntN(4)), []string{"control", "holdout", "off"}[r.IntN(3)])
		reach[f] = r.Float64() * 1.3
	}
	for i := range int64(1 + r.IntN(300)) {
		o := pipeline.Outcome{At: began}
		o.Row.Number, o.Row.User.UserID = i+1, fmt.Sprint("u", i)
		o.Row.Carry = []pipeline.Value{pipeline.StringValue([]string{"DE", "FR", "a \"quoted\", one"}[r.IntN(3)])}
		if r.IntN(5) == 0 {
			o.Row.Carry[0] = pipeline.Value{}
		}
		if r.IntN(20) == 0 {
			o.SetError(pipeline.Errorf(pipeline.KindRejected, "no"), began)
			out.outcomes = append(out.outcomes, o)
			continue
		}
		var got []pipeline.Variant
		for k, f := range out.spec.Flags {
			if r.Float64() < reach[f] && (k != 1 || len(got) == 0) { // the first two exclude each other
				v := pipeline.Variant{FlagKey: f, Key: variants[f][r.IntN(len(variants[f]))]}
				if k%2 == 0 {
					v.Payload = []string{`{"a":1,"b c":"x","z":null}`, `{"a":2,"b c":"y","d":[1]}`, `{"a":"n","b c":""}`}[r.IntN(3)]
				} else if r.IntN(3) == 0 {
					v.Payload = `"text"`
				}
				got = append(got, v)
			}
		}
		flags := out.spec.Flags
		if !out.asked {
			flags = nil
			slices.SortFunc(got, func(a, b pipeline.Variant) int { return cmp.Compare(a.FlagKey, b.FlagKey) })
		}
		o.SetAnswer(pipeline.Answer{Variants: got, At: began}, pipeline.IndexFlags(flags))
		out.outcomes = append(out.outcomes, o)
	}
	return out
}

// TestInit: what --init writes holds for the snapshot that it is written from.
func TestInit(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		run := randomRun(r, seed%2 == 0)
		path := run.write(t, filepath.Join(dir, fmt.Sprint(seed, ".", []string{"csv", "jsonl", "parquet"}[seed%3])))
		rules, err := Init(t.Context(), Options{Snapshots: []string{path}})
		if err != nil {
			if strings.Contains(err.Error(), "nobody was answered") {
				continue
			}
			t.Fatalf("seed %d: %v", seed, err)
		}
		f, err := Parse("init.yaml", []byte(rules), nil)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, rules)
		}
		if rules != text.CleanLines(rules) {
			t.Errorf("seed %d: not safe to print: %q", seed, rules)
		}
		got, err := Run(t.Context(), f, Options{Snapshots: []string{path}})
		if err != nil || !got.OK {
			t.Fatalf("seed %d: %v\n%s\n%s", seed, err, rules, got.Table(100))
		}
	}
	path := planned().write(t, filepath.Join(dir, "planned.csv"))
	rules, err := Init(t.Context(), Options{Snapshots: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "init.yaml", rules)
	r := planned()
	r.outcomes = r.outcomes[1200:]
	path = r.write(t, filepath.Join(dir, "nobody.csv"))
	if _, err := Init(t.Context(), Options{Snapshots: []string{path}}); err == nil || !strings.Contains(err.Error(), "nobody was answered") {
		t.Errorf("of a run that answered nobody: %v", err)
	}
	got := check(t, "- users: {min: 0}\n- failed: {max: 100%}", Options{Snapshots: []string{path}})
	if got.Checks[0].Status != Undecided || got.Checks[1].Status != Held {
		t.Errorf("a run that answered nobody: %s", got.Table(100))
	}
}

// TestSlicesAddUp: the users of each value of a column, and those without one, are all users.
func TestSlicesAddUp(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(10) {
		run := randomRun(rand.New(rand.NewPCG(seed, 2)), true).like(seed%2 == 0, true)
		path := run.write(t, filepath.Join(dir, fmt.Sprint(seed, ".csv")))
		flag := run.spec.Flags[0]
		rule := func(where string) string {
			return fmt.Sprintf("- {name: %[1]s, flag: %[2]s, variant: not_assigned, count: {min: 0}, where: %[1]s}\n",
				quoteYAML(where), quoteYAML(flag))
		}
		slices := []string{`c == "DE"`, `c == "FR"`, `c not in ["DE", "FR"] and c != nil`, "c == nil"}
		text := "- {flag: " + quoteYAML(flag) + ", variant: not_assigned, count: {min: 0}, name: all}\n"
		for _, s := range slices {
			text += rule(s)
		}
		for _, s := range slices { // and their complements
			text += rule("not (" + s + ")")
		}
		f, err := Parse("r.yaml", []byte("checks:\n"+text), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		r, err := Run(t.Context(), f, Options{Snapshots: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for i := range slices {
			sum += r.Checks[1+i].Users
			if both := r.Checks[1+i].Users + r.Checks[1+len(slices)+i].Users; both != r.Users {
				t.Errorf("seed %d: %s and its complement are %d users, want %d", seed, slices[i], both, r.Users)
			}
		}
		if sum != r.Users || r.Checks[0].Users != r.Users {
			t.Errorf("seed %d: slices of %d users, all are %d", seed, sum, r.Users)
		}
	}
}

// TestRatio: a bias in one slice is found, and healthy splits are left alone.
func TestRatio(t *testing.T) {
	dir := t.TempDir()
	alarms := 0
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 3))
		run := &run{asked: true, spec: sinks.Spec{Flags: []string{"f"}, Carry: []pipeline.Column{{Name: "country"}}}}
		biased := seed == 7
		for i := range int64(2000) {
			country := []string{"DE", "FR", "US", "PL", "IT"}[r.IntN(5)]
			treated := r.Float64() < 0.5
			if biased && country == "PL" {
				treated = r.Float64() < 0.7
			}
			o := pipeline.Outcome{At: began}
			o.Row.Number, o.Row.User.UserID, o.Row.Carry = i+1, fmt.Sprint("u", i),
				[]pipeline.Value{pipeline.StringValue(country)}
			key := "control"
			if treated {
				key = "treatment"
			}
			o.SetAnswer(pipeline.Answer{Variants: []pipeline.Variant{{FlagKey: "f", Key: key}}, At: began}, pipeline.IndexFlags(run.spec.Flags))
			run.outcomes = append(run.outcomes, o)
		}
		path := run.write(t, filepath.Join(dir, fmt.Sprint(seed, ".parquet")))
		got := checkOne(t, "- {flag: f, ratio: {control: 1, treatment: 1}, by: country}", Options{Snapshots: []string{path}})
		switch {
		case biased && (got.Status != NotHeld || !slices.ContainsFunc(got.Details,
			func(d string) bool { return strings.HasPrefix(d, "country = PL: control ") })):
			t.Errorf("a bias in one country: %+v", got)
		case !biased && got.Status != Held:
			alarms++
		}
	}
	if alarms > 0 { // of 14 at 0.001; the seeds are fixed
		t.Errorf("%d alarms for healthy splits", alarms)
	}
}

func TestPayloadBounds(t *testing.T) {
	f := parse(t, "- {flag: f, payload: checkout.json}")
	p := payloadChecker{schema: f.Checks[0].schema}
	for i := range maxRememberedPayloads + 10 {
		if wrong := p.findError([]byte(fmt.Sprintf(`{"steps":%d}`, i))); wrong != "" {
			t.Fatalf("payload %d: %s", i, wrong)
		}
	}
	if len(p.errors) > maxRememberedPayloads {
		t.Errorf("%d payloads are remembered, want at most %d", len(p.errors), maxRememberedPayloads)
	}
	if wrong := p.findError([]byte(`{"steps":"` + strings.Repeat("x", maxRememberedBytes) + `"}`)); wrong == "" ||
		p.bytes > maxRememberedBytes {
		t.Errorf("a huge payload: %q, %d bytes are remembered", wrong, p.bytes)
	}
	for _, payload := range []string{`{"steps":1e999999999}`, `{"steps":1e-999999999}`, `{"steps":` +
		strings.Repeat("9", 2000) + `}`, `{"steps":1} x`, `{`, "", "\xff",
		strings.Repeat("[", 20000)} {
		if wrong := p.findError([]byte(payload)); wrong == "" {
			t.Errorf("payload %.40q conforms, want that it does not", payload)
		}
	}
}

// mixed is a report with a check of every outcome, and hostile names.
func mixed(t *testing.T) *Report {
	path := planned().write(t, filepath.Join(t.TempDir(), "a.csv"))
	if err := os.Remove(path + ".errors.jsonl"); err != nil {
		t.Fatal(err)
	}
	r := check(t, `
flag: checkout
types: {seats: int}
checks:
- {variant: treatment, share: {min: 40%}}
- {variant: treatment, where: country == "DE" and user_properties.plan != "free", share: {min: 50%, max: 55%}}
- {exposed: nobody, where: country == "AT", name: nobody in Austria}
- {payload: checkout.json, variant: control}
- {exclusive: [checkout, dark-mode], who: exposed}
- {ratio: {control: 50, treatment: 50}, by: [seats], name: "split | by <seats> & \"more\" \u001b[31m"}
- {failed: {max: 1}}
- {flags: [checkout, pricng]}
- {younger: 7d}
`, Options{Snapshots: []string{path}, IDs: true})
	r.Snapshots[0] = "a.csv"
	for i := range r.Checks {
		for k := range r.Checks[i].Examples {
			r.Checks[i].Examples[k].Snapshot = "a.csv"
		}
		for k := range r.Checks[i].Notes {
			if n := &r.Checks[i].Notes[k]; n.Subject == path {
				n.Subject = "a.csv"
			}
		}
	}
	return r
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s (%v; -update writes it anew):\ngot\n%s\nwant\n%s", file, err, got, want)
	}
}

func TestRender(t *testing.T) {
	r := mixed(t)
	data, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", string(data))
	golden(t, "report.txt", r.Table(80))
	golden(t, "report.md", r.Markdown())
	junit, err := r.JUnit()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.xml", string(junit))
	if strings.ContainsRune(r.Table(80)+r.Markdown()+string(junit), 0x1b) {
		t.Error("an escape character is printed")
	}
	var suites junitSuites
	if err := xml.Unmarshal(junit, &suites); err != nil {
		t.Fatalf("%v:\n%s", err, junit)
	}
	suite := suites.Suites[0]
	failures, errs := 0, 0
	for i, c := range suite.Cases {
		if c.Failure != nil {
			failures++
		}
		if c.Error != nil {
			errs++
		}
		if c.Line != r.Checks[i].Line || c.Name != text.Clean(r.Checks[i].Name) {
			t.Errorf("case %d: %+v, want %s of line %d", i, c, r.Checks[i].Name, r.Checks[i].Line)
		}
	}
	if suites.Tests != len(r.Checks) || suite.Tests != len(suite.Cases) || suite.Failures != failures ||
		suite.Errors != errs || failures != r.Failed || errs != r.Errors ||
		suites.Failures != failures || suites.Errors != errs || r.Held+failures+errs != len(r.Checks) || failures == 0 ||
		errs == 0 || r.Held == 0 {
		t.Errorf("counts of %+v do not agree with %d held, %d failed, %d errors", suites, r.Held, r.Failed, r.Errors)
	}
	again, err := xml.MarshalIndent(suites, "", "  ")
	if err != nil || xml.Header+string(again)+"\n" != string(junit) {
		t.Errorf("read and written again (%v):\n%s\nwant\n%s", err, again, junit)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"checks:\n- users: {min: 1}", "flag: f\nchecks:\n- {variant: [a, b], share: {min: 45%, max: 0.5}, of: assigned, " +
			"where: 'a == \"b\"'}",
		"version: 1\ncontrols: [off]\nvariants: {f: [a]}\ntypes: {a: int}\nflag: f\nchecks:\n- {exposed: nobody, " +
			"treatments: a}\n- {exclusive: [a, b], who: exposed}",
		"checks:\n- {holdout: h, variant: v, flags: [a]}\n- {flag: f, ratio: {a: 1, b: 2}, by: [c], alert: 0.01}\n- " +
			"{failed: {max: 1%}}\n- {flags: a}\n- {younger: 7d}",
		"checks:\n- {flag: f, payload: checkout.json, optional: true}\n- {flag: g, payload: {type: object, $ref: " +
			"'#/$defs/a', $defs: {a: {minimum: 1e400}}}}",
		"checks: &a [*a]", "checks:\n- &x {users: *x}", "a: !!binary x", "\xff", "{",
		"checks:\n- {flag: f, payload: {pattern: '((('}}", "? [a]\n: b", "<<: {a: b}",
		"checks:\n- {flag: f, payload: {multipleOf: 0, minLength: -1, maximum: .inf}}",
	} {
		f.Add([]byte(text), "country == 'DE'")
	}
	f.Fuzz(func(t *testing.T, data []byte, where string) {
		file, err := Parse("r.yaml", data, schemaDir)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("%q: a %T, want an *Error: %v", data, err, err)
			}
		} else {
			for _, r := range file.Checks {
				if r.Name == "" || r.Kind == "" || r.Line < 1 {
					t.Errorf("%q: %+v", data, r)
				}
			}
		}
		if len(where) > maxWhere {
			return
		}
		w, err := compileWhere(where, whereColumns, acceptColumn)
		if err != nil {
			return
		}
		if _, err := w.evaluate(make([]snapshot.Value, len(w.columns))); err != nil &&
			!strings.Contains(err.Error(), "divide") {
			t.Errorf("%q of missing values: %v", where, err)
		}
	})
}

// TestControls: the file says what a treatment is.
func TestControls(t *testing.T) {
	path := planned().write(t, filepath.Join(t.TempDir(), "a.csv"))
	for _, test := range []struct {
		controls string
		exposed  int64
	}{{"[control]", 540}, {"[CONTROL, off]", 540}, {"treatment", 540}, {"[control, treatment]", 0}, {"[off]", 1080}} {
		t.Run(test.controls, func(t *testing.T) {
			r := check(t, "controls: "+test.controls+"\nflag: checkout\nchecks:\n- exposed: nobody",
				Options{Snapshots: []string{path}})
			if got := r.Checks[0]; got.Violations != test.exposed {
				t.Errorf("controls %s: %d users are exposed, want %d", test.controls, got.Violations, test.exposed)
			}
		})
	}
}

// TestDocumented: doc.go says what every key is.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"version", "flag", "controls", "variants", "types", "checks", "name"}
	for _, k := range kinds {
		keys = append(append(keys, string(k.kind)), k.keys...)
	}
	for _, key := range keys {
		t.Run(key, func(t *testing.T) {
			if !regexp.MustCompile(`\b` + key + `\b`).Match(data) {
				t.Errorf("doc.go does not say what %s is", key)
			}
		})
	}
	for _, name := range functions {
		if !strings.Contains(string(data), name) {
			t.Errorf("doc.go does not name the function %s", name)
		}
	}
}

// TestRepeatedUsers: 1,200 users in 1,260 rows are 1,200 users and 1,260 rows, wherever a number stands.
func TestRepeatedUsers(t *testing.T) {
	const rules = `
- users: {max: 1200}
- {flag: checkout, variant: treatment, share: {min: 1%}}
- {flag: checkout, ratio: {control: 1, treatment: 1}}
- {exclusive: [checkout, pricing]}
- {holdout: holdout-h1, variant: holdout, flags: [checkout]}
- {failed: {max: 5}}
`
	for _, test := range []struct {
		name   string
		differ bool // repeated users are in checkout in one row and in pricing in the other
		want   []string
	}{
		{"same answers", false, []string{"ok 1,200 users in 1,260 rows", "ok 45.00 %, 567 of 1,260 rows",
			"ok control 50.00 % (567), treatment 50.00 % (567)",
			"ok none of 1,260 rows", "ok none of 126 held-out rows is exposed", "ok 3 of 1,263 rows"}},
		{"other answers", true, []string{"ok 1,200 users in 1,260 rows", "ok ", "ok ",
			"ok none of 1,260 rows; row by row: 60 users have different variants of such flags in different rows",
			"ok none of 180 held-out rows is exposed; row by row: 60 users have", "ok 3 of 1,263 rows"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := planned()
			failed := slices.Clone(r.outcomes[1200:])
			r.outcomes = r.outcomes[:1200]
			for i := range 60 { // rows 10, 20, … are in pricing, all others in checkout
				again := r.outcomes[i]
				if test.differ {
					again = r.outcomes[10*i+9]
					again.Row.User = r.outcomes[10*i].Row.User
				}
				r.outcomes = append(r.outcomes, again)
			}
			r.outcomes = append(r.outcomes, failed...)
			for i := range r.outcomes {
				r.outcomes[i].Row.Number = int64(i + 1)
			}
			path := r.write(t, filepath.Join(t.TempDir(), "a.csv"))
			got := check(t, rules, Options{Snapshots: []string{path}})
			if got.Users != 1200 || got.Rows != 1260 || got.Unit != stats.UnitRows || (got.Differing > 0) != test.differ {
				t.Errorf("%d users, %d rows, unit %s, %d differing; want 1200, 1260, rows, some: %v", got.Users, got.Rows, got.Unit,
					got.Differing, test.differ)
			}
			for i, want := range test.want {
				if res := got.newResultJSON(&got.Checks[i]); !strings.HasPrefix(string(res.Status)+" "+res.Found, want) {
					t.Errorf("check %s: %s %s, want %s", res.Name, res.Status, res.Found, want)
				}
			}
			text := strings.Join(strings.Fields(got.Table(80)), " ")
			if !strings.Contains(text, "for 1,200 users in 1,260 rows.") ||
				strings.Contains(text, "different variants in different rows, and each row counts as it is") != test.differ {
				t.Errorf("the table does not say how many users there are in how many rows, or whether they differ:\n%s", text)
			}
		})
	}
}

// TestManyVariants: a first rules file of very many variants is bounded and holds, and a ratio of many lists a few of
// them.
func TestManyVariants(t *testing.T) {
	r := &run{asked: true, spec: sinks.Spec{Flags: []string{"held", "many", "other"}}}
	var weights []string
	for i := range int64(6000) {
		o := pipeline.Outcome{At: began}
		o.Row.Number, o.Row.User.UserID = i+1, fmt.Sprint("u", i)
		other := "control"
		if i%60 >= 50 { // not held out
			other = "on"
		}
		o.SetAnswer(pipeline.Answer{At: o.At, Variants: []pipeline.Variant{
			{FlagKey: "held", Key: fmt.Sprintf("holdout-%d", i%60)}, {FlagKey: "many", Key: fmt.Sprintf("v%d", i%600)},
			{FlagKey: "other", Key: other},
		}}, pipeline.IndexFlags(r.spec.Flags))
		r.outcomes = append(r.outcomes, o)
		if i < 600 {
			weights = append(weights, fmt.Sprintf("v%d: 1", i))
		}
	}
	path := r.write(t, filepath.Join(t.TempDir(), "a.csv"))
	text, err := Init(t.Context(), Options{Snapshots: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text, "- holdout:"); n > maxHoldouts {
		t.Errorf("%d checks of holdouts, want at most %d", n, maxHoldouts)
	}
	if got := check(t, text, Options{Snapshots: []string{path}}); !got.OK {
		t.Errorf("the first rules do not hold:\n%s", got.Table(100))
	}
	res := checkOne(t, "- {flag: many, ratio: {"+strings.Join(weights, ", ")+"}}", Options{Snapshots: []string{path}})
	if res.Status != Held || len(res.Found) > 1000 || len(res.Expected) > 1000 ||
		!strings.Contains(res.Found, "and 580 more variants 96.67 % (5,800)") {
		t.Errorf("ratio of 600 variants: %s, found %q, expected %q; want 20 of them listed", res.Status, res.Found,
			res.Expected)
	}
}

// TestSlips: what YAML or another format makes of a name is read as it is meant, or an error with its line.
func TestSlips(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       string // the error; "": there is none
		hint       string
	}{
		{"yes and no are names", "flag: f\nchecks:\n- ratio: {yes: 50, no: 50}", "", ""},
		{"on is a name", "flag: f\nchecks:\n- {variant: on, share: {min: 1%}}", "", ""},
		{"a name in quotes", "flag: f\nchecks:\n- {variant: \"~\", share: {min: 1%}}", "", ""},
		{"a comma in quotes", "checks:\n- flags: \"a,b\"", "", ""},
		{"tilde", "flag: f\nchecks:\n- variant: ~\n  share: {min: 1%}",
			"r.yaml:3: variant is ~, which means no value in YAML", `put it in quotes: "~"`},
		{"null in a list", "checks:\n- flags: [a, null]",
			"r.yaml:2: an element of flags is null, which means no value in YAML", `put it in quotes: "null"`},
		{"a list without brackets", "checks:\n- flags: a, b",
			`r.yaml:2: flags is one text with a comma, "a, b", and not a list`, "write a list as [a"},
		{"exclusive without brackets", "checks:\n- exclusive: a,b,", `r.yaml:2: exclusive is one text with a comma`,
			"write a list as [a"},
		{"controls without brackets", "controls: off,old\nchecks:\n- flags: a", `r.yaml:1: controls is one text with a comma`,
			"[off,old]"},
		{"by without brackets", "flag: f\nchecks:\n- ratio: {a: 1, b: 1}\n  by: x, y",
			`r.yaml:4: by is one text with a comma`, "[x, y]"},
		{"a list at the top", "- flags: [a]", "r.yaml:1: a rules file is not a list", "checks:"},
		{"rules", "rules:\n- flags: [a]", `r.yaml:1: "rules" is not a key of a rules file`, "under checks:"},
		{"a check at the top", "flag: a\nratio: {a: 1, b: 1}",
			`r.yaml:2: "ratio" is a key of a check, and not of a rules file`, "checks: [{ratio: …}]"},
		{"type", "checks:\n- type: share\n  min: 0.4", `r.yaml:2: "type" is not a key of a check`,
			"the kind of a check is its key"},
		{"srm", "flag: f\nchecks:\n- srm: {a: 1, b: 1}", `r.yaml:3: "srm" is not a key of a check`,
			"ratio: {control: 50, treatment: 50}"},
		{"where as a mapping", "flag: f\nchecks:\n- exposed: nobody\n  where: {country: DE}", "r.yaml:4: where is not a text",
			`country == "DE"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Parse("r.yaml", []byte(test.text), schemaDir)
			switch {
			case test.want == "" && (err != nil || len(f.Checks) != 1):
				t.Errorf("%s\nerror %v, want one check", test.text, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) ||
				!strings.Contains(pipeline.Hint(err), test.hint)):
				t.Errorf("%s\nerror %v (hint %q), want %q with a hint that says %q", test.text, err, pipeline.Hint(err), test.want,
					test.hint)
			}
		})
	}
	f := parse(t, "- {flag: f, ratio: {yes: 50, no: 50}}")
	if w := f.Checks[0].Weights; w[0].Variant != "yes" || w[1].Variant != "no" {
		t.Errorf("weights %+v, want of the variants yes and no", w)
	}
}
