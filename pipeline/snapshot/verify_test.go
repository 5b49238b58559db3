package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sinks"
)

// run is a finished run that a test makes up, through the real sinks.
type run struct {
	spec     sinks.Spec
	options  map[string]string
	formats  []string
	errors   string // format of the error records
	outcomes []pipeline.Outcome

	// tamper changes what is written to one format, without the manifest's counts knowing.
	tamper map[string]func([]pipeline.Outcome) []pipeline.Outcome
	// edit changes the manifest.
	edit func(m *Manifest)
}

// strange are values that formats are apt to differ about.
var strangeCarry = []pipeline.Column{
	{Name: "plan"}, {Name: "seats", Type: pipeline.TypeInt}, {Name: "score", Type: pipeline.TypeFloat},
	{Name: "beta", Type: pipeline.TypeBool},
	{Name: "since", Type: pipeline.TypeDate}, {Name: "seen", Type: pipeline.TypeTimestamp},
	{Name: "tags", Type: pipeline.TypeJSON},
	{Name: "rate", Type: pipeline.TypeDecimal, Precision: 9, Scale: 9},
	{Name: "balance", Type: pipeline.TypeDecimal, Precision: 18, Scale: 2},
	{Name: "wei", Type: pipeline.TypeDecimal, Precision: 38},
	{Name: "any thing, Else", Type: pipeline.TypeJSON},
}

func strangeOutcomes(flags ...string) []pipeline.Outcome {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	carry := [][]pipeline.Value{
		{
			pipeline.StringValue("pro, \"annual\"\n"), pipeline.IntValue(math.MinInt64), pipeline.FloatValue(0.1),
			pipeline.BoolValue(true),
			{Kind: pipeline.Date, Text: "2026-01-01", Num: 20454},
			{Kind: pipeline.Timestamp, Text: "2026-01-01T14:00:00.123456789+02:00", Num: 1767268800123456},
			{Kind: pipeline.List, Members: []pipeline.Member{{Value: pipeline.StringValue("a")}}}, pipeline.StringValue("text"),
		},
		{
			pipeline.StringValue(""), pipeline.IntValue(7), pipeline.FloatValue(math.NaN()), pipeline.BoolValue(false),
			{Kind: pipeline.Date, Text: "1969-12-31", Num: -1},
			{Kind: pipeline.Timestamp, Text: "1969-12-31T23:59:59.5Z", Num: -500000},
			{Kind: pipeline.Object, Members: []pipeline.Member{{Name: "a", Value: pipeline.IntValue(1)}}},
			pipeline.StringValue(""),
		},
		make([]pipeline.Value, 8),
		{
			{Kind: pipeline.Number, Text: "18446744073709551615"}, {}, pipeline.FloatValue(1e300), {}, {}, {},
			pipeline.IntValue(3), pipeline.BoolValue(true),
		},
		{pipeline.StringValue("=1+1"), {}, pipeline.FloatValue(math.Inf(-1)), {}, {}, {}, {},
			{Kind: pipeline.Number, Text: "1.50"}},
		{pipeline.StringValue("\t\\ \x01 ünï😀"), {}, pipeline.FloatValue(math.Copysign(0, -1)), {}, {}, {}, {}, {}},
	}
	decimals := [][3]string{
		{"0.999999999", "-9999999999999999.99", "-99999999999999999999999999999999999999"},
		{"-0.000000001", "0.00", "99999999999999999999999999999999999999"},
		{}, {"0.000000000", "-0.01", "0"}, {"-0.999999999", "12.50", "-1"},
	}
	for i := range carry {
		cells := make([]pipeline.Value, 3)
		for j, d := range decimals[i%len(decimals)] {
			if d != "" {
				cells[j] = pipeline.StringValue(d)
			}
		}
		carry[i] = slices.Insert(carry[i], 7, cells...)
	}
	payloads := []string{`{"a": [1, "x,y"]}`, "[\n 1,\r\n\t2 ]", `"text \"\u00e9"`, "null", "-1", ""}
	var outcomes []pipeline.Outcome
	for i := range 1100 { // more than a batch of rows
		o := pipeline.Outcome{
			Row: pipeline.Row{Number: int64(2*i + 1), User: pipeline.User{UserID: fmt.Sprintf("u%d", i)},
				Carry: carry[i%len(carry)]},
			Cache: []pipeline.Cache{{State: "hit", Aged: true, Age: int64(i)}, {State: "miss"}, {}, {Aged: true}}[i%4],
			At:    at.Add(time.Duration(i/7) * time.Second), Attempts: 1,
		}
		switch i % 5 {
		case 0:
			o.Row.User.DeviceID = "-d,\n\""
		case 1:
			o.Row.User = pipeline.User{DeviceID: "only"}
		}
		if i%11 == 3 {
			o.Err = pipeline.Errorf(pipeline.Kinds[i%len(pipeline.Kinds)], "message %d", i)
			o.Row.Input = []pipeline.Member{{Name: "user_id", Value: pipeline.StringValue("x\ny")}}
			outcomes = append(outcomes, o)
			continue
		}
		for f, flag := range flags {
			a := pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag}}
			if (i+f)%3 > 0 {
				a.Assigned, a.Key, a.Payload = true, []string{"control", "treatment", "=on"}[(i+f)%5%3],
					payloads[(i+2*f)%len(payloads)]
				a.ExperimentKey, a.Metadata, a.EvaluationID, a.Value = "exp-1", `{"deployed": true}`, fmt.Sprint("e", i), a.Key
				if f%2 == 0 {
					a.ExperimentKey, a.Metadata = "", ""
				}
			}
			o.Assignments = append(o.Assignments, a)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// assignedOnly is what a run without --flags has.
func assignedOnly(outcomes []pipeline.Outcome) []pipeline.Outcome {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		o := &outcomes[i]
		o.Assignments = slices.DeleteFunc(slices.Clone(o.Assignments),
			func(a pipeline.Assignment) bool { return !a.Assigned })
		slices.SortFunc(o.Assignments, func(a, b pipeline.Assignment) int { return strings.Compare(a.FlagKey, b.FlagKey) })
	}
	return outcomes
}

// write writes the run's files to the folder, and returns the manifest's name.
func (r *run) write(tb testing.TB, folder string) string {
	tb.Helper()
	spec := r.spec
	spec.Version, spec.Meta = "1", map[string]string{"rollcall.run_id": "r1"}
	m := &Manifest{
		Format: ManifestFormat, RunID: "r1", StartedAt: time.Unix(1, 0), FinishedAt: time.Unix(2, 0), Options: RunOptions{},
		Users: Users{FailedByKind: map[pipeline.Kind]int64{}},
	}
	for k, v := range r.options {
		m.Options[k] = v
	}
	m.Layout = layoutOf(m)
	if m.Layout.unordered {
		m.Layout.Flags, m.Layout.unordered = spec.Flags, false
	}
	if m.Layout.BOM = spec.BOM; spec.Delimiter != 0 {
		m.Layout.Delimiter = string(spec.Delimiter)
	}
	tally := NewTally(nil)
	if m.Layout.Flags != nil {
		tally = NewTally(spec.Flags)
	}
	for i := range r.outcomes {
		if err := tally.Write(&r.outcomes[i]); err != nil {
			tb.Fatal(err)
		}
	}
	m.Users.Read, m.Users.Answered, m.Users.Failed, m.Assignments, m.Flags = tally.Read, tally.Answered,
		tally.FailedUsers(), tally.Assignments, tally.Flags()
	for kind, n := range tally.Failed {
		m.Users.FailedByKind[kind] = n
	}
	add := func(name string, out *sinks.Output, err error, outcomes []pipeline.Outcome) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		for i := range outcomes {
			if err := out.Write(&outcomes[i]); err != nil {
				tb.Fatal(err)
			}
		}
		if err := errors.Join(out.Close(), os.Rename(out.Info().Temp, out.Info().Path)); err != nil {
			tb.Fatal(err)
		}
		info := out.Info()
		m.Outputs = append(m.Outputs, File{Path: "run/" + name, Bytes: info.Bytes, Rows: info.Rows, SHA256: info.SHA256})
	}
	outcomesOf := func(format string) []pipeline.Outcome {
		if f := r.tamper[format]; f != nil {
			outcomes := slices.Clone(r.outcomes)
			for i := range outcomes {
				outcomes[i].Assignments = slices.Clone(outcomes[i].Assignments)
				outcomes[i].Row.Carry = slices.Clone(outcomes[i].Row.Carry)
			}
			return f(outcomes)
		}
		return r.outcomes
	}
	for _, format := range r.formats {
		out, err := sinks.Create(filepath.Join(folder, "a."+format), spec)
		add("a."+format, out, err, outcomesOf(format))
	}
	name := "a.errors." + r.errors
	out, err := sinks.CreateErrors(filepath.Join(folder, name), sinks.Spec{RunID: "r1", Version: "1", Meta: spec.Meta,
		EscapeFormulas: spec.EscapeFormulas, Delimiter: spec.Delimiter, BOM: spec.BOM})
	add(name, out, err, outcomesOf("errors"))
	if r.edit != nil {
		r.edit(m)
	}
	data, err := m.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(folder, "a."+r.formats[0]+".manifest.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// findings are the failed checks with their examples, the folder's name cut out.
func findings(t *testing.T, manifest string) (found []string) {
	t.Helper()
	verdict, err := Verify(context.Background(), nil, manifest, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(manifest) + "/"
	for _, c := range verdict.Checks {
		if c.Status == StatusFailed != (c.Findings > 0) || len(c.Examples) > int(c.Findings) ||
			len(c.Examples) > maxPerCheck {
			t.Errorf("check %s of %s: status %s, %d findings, %d examples", c.Name, c.File, c.Status, c.Findings,
				len(c.Examples))
		}
		for _, e := range c.Examples {
			found = append(found, strings.ReplaceAll(fmt.Sprintf("%s %s: %s", strings.TrimPrefix(c.File, folder), c.Name, e),
				folder, ""))
		}
	}
	if verdict.OK != (len(found) == 0) {
		t.Errorf("OK is %v, with %d findings", verdict.OK, len(found))
	}
	return found
}

var allFormats = []string{"csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "tsv.zst", "jsonl", "jsonl.gz", "jsonl.zst",
	"parquet"}

// runs are runs as they should be, of every layout.
func runs() map[string]*run {
	flags := []string{"b-flag", "Zeta flag", "=a"}
	outcomes := strangeOutcomes(flags...)
	carried := ""
	for i, c := range strangeCarry {
		carried += c.Name
		if i < len(strangeCarry)-1 {
			carried += ","
		}
	}
	base := func(spec sinks.Spec, options ...string) *run {
		r := &run{spec: spec, formats: allFormats, errors: "jsonl", outcomes: outcomes,
			options: map[string]string{"carry": carried}}
		r.spec.Carry = strangeCarry
		r.spec.Flags = flags
		for i := 0; i < len(options); i += 2 {
			r.options[options[i]] = options[i+1]
		}
		return r
	}
	asked := strings.Join(flags, ",")
	all := map[string]*run{
		"flags asked for": base(sinks.Spec{}, "flags", asked),
		"from a file":     base(sinks.Spec{}, "flags-from", "flags.txt"),
		"included": base(sinks.Spec{Include: []string{"value", "metadata", "evaluation_id"}}, "flags", asked,
			"include", "value,metadata,evaluation_id"),
		"caches": base(sinks.Spec{Include: []string{"metadata", "cache"}}, "flags", asked, "include", "metadata,cache"),
		"wide, caches": base(sinks.Spec{Wide: true, Include: []string{"cache", "payload"}, SnakeNames: true}, "flags", asked,
			"layout", "wide", "include", "cache,payload", "column-names", "snake"),
		"wide, caches alone": base(sinks.Spec{Wide: true, Include: []string{"cache"}}, "flags", asked, "layout", "wide",
			"include", "cache"),
		"snake":      base(sinks.Spec{SnakeNames: true}, "flags", asked, "column-names", "snake"),
		"escaped":    base(sinks.Spec{EscapeFormulas: true}, "flags", asked, "csv-formulas", "escape"),
		"semicolons": base(sinks.Spec{Delimiter: ';', BOM: true}, "flags", asked),
		"wide, tabs": base(sinks.Spec{Wide: true, Delimiter: '\t', EscapeFormulas: true}, "flags", asked, "layout", "wide",
			"csv-formulas", "escape"),
		"wide": base(sinks.Spec{Wide: true}, "flags", asked, "layout", "wide"),
		"wide, payloads": base(sinks.Spec{Wide: true, Include: []string{"payload"}}, "flags", asked, "layout", "wide",
			"include", "payload"),
		"wide, snake": base(sinks.Spec{Wide: true, SnakeNames: true, Include: []string{"payload"}}, "flags", asked, "layout",
			"wide",
			"include", "payload", "column-names", "snake"),
		"wide, from a file, snake": base(sinks.Spec{Wide: true, SnakeNames: true}, "flags-from", "f", "layout", "wide",
			"column-names", "snake"),
		"all flags":    base(sinks.Spec{}),
		"nobody":       base(sinks.Spec{}, "flags", asked),
		"nobody, wide": base(sinks.Spec{Wide: true}, "flags", asked, "layout", "wide"),
	}
	all["all flags"].outcomes = assignedOnly(outcomes)
	all["nobody"].outcomes, all["nobody, wide"].outcomes = nil, nil
	for i, format := range []string{"csv", "tsv.gz", "parquet", "csv"} {
		all[[]string{"wide", "all flags", "included", "semicolons"}[i]].errors = format
	}
	return all
}

func TestVerify(t *testing.T) {
	for name, r := range runs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "wide" && name != "flags asked for" { // these have more than a batch of rows
				r.outcomes = r.outcomes[:min(len(r.outcomes), 150)]
			}
			if diff := cmp.Diff([]string(nil), findings(t, r.write(t, t.TempDir()))); diff != "" {
				t.Errorf("findings in a run that is as it should be:\n%s", diff)
			}
		})
	}
}

func TestVerifyFinds(t *testing.T) {
	type outcomes = []pipeline.Outcome
	first := func(f func(o *pipeline.Outcome)) func(outcomes) outcomes {
		return func(o outcomes) outcomes { f(&o[0]); return o }
	}
	tests := []struct {
		name, run string
		format    string
		tamper    func(outcomes) outcomes
		edit      func(m *Manifest)
		want      []string // each begins a finding
	}{
		{"other delimiters", "flags asked for", "csv", nil, func(m *Manifest) { m.Layout.Delimiter, m.Layout.BOM = ";", true },
			[]string{
				"a.csv columns: a byte order mark is false, want true", "a.csv columns: the delimiter is \",\", want \";\"",
				"a.csv.gz columns: the delimiter is", "a.tsv.gz columns: a byte order mark is false, want true",
			}},
		{"no delimiter in the manifest", "semicolons", "csv", nil, func(m *Manifest) { m.Layout.Delimiter = "" }, []string{
			"a.csv columns: the delimiter is \";\", want \",\"", "a.errors.csv rows: the delimiter is \";\", want \",\"",
		}},
		{"a user less", "flags asked for", "csv", func(o outcomes) outcomes { return o[1:] }, nil, []string{
			"a.csv rows: it has 99 users, the manifest says that 100 were answered",
			"a.csv counts: flag \"Zeta flag\": 66 users are assigned, the manifest says 67",
			"all agreement: row 1 is in a.parquet and not in a.csv",
		}},
		{"a flag less", "flags asked for", "parquet", first(func(o *pipeline.Outcome) { o.Assignments = o.Assignments[1:] }),
			nil, []string{
				"a.parquet order: row 1: flag b-flag is missing",
				"all agreement: row 1: a.parquet and a.csv do not have the same flags",
			}},
		{"a row twice", "flags asked for", "jsonl", first(func(o *pipeline.Outcome) {
			o.Assignments = append(o.Assignments[:1:1], o.Assignments...)
		}), nil, []string{"a.jsonl order: row 1: flag b-flag is duplicated"}},
		{"a row twice, sorted", "all flags", "jsonl", first(func(o *pipeline.Outcome) {
			o.Assignments = append(o.Assignments[:1:1], o.Assignments...)
		}), nil, []string{"a.jsonl order: row 1: flag =a is duplicated"}},
		{"a user twice", "wide", "csv", func(o outcomes) outcomes { return append(outcomes{o[0]}, o...) }, nil, []string{
			"a.csv order: row 1 is duplicated", "a.csv rows: it has 101 users",
		}},
		{"users swapped", "wide", "csv", func(o outcomes) outcomes { o[0], o[1] = o[1], o[0]; return o }, nil, []string{
			"a.csv order: row 1 comes after row 3",
		}},
		{"flags swapped", "flags asked for", "csv", first(func(o *pipeline.Outcome) { slices.Reverse(o.Assignments) }), nil,
			[]string{
				"a.csv order: row 1: flag \"Zeta flag\" is not in the order asked for",
				"all agreement: row 1: a.parquet and a.csv do not have the same flags",
			}},
		{"flags swapped, sorted", "all flags", "csv", first(func(o *pipeline.Outcome) { slices.Reverse(o.Assignments) }), nil,
			[]string{
				"a.csv order: row 1: flag =a comes after \"Zeta flag\"",
			}},
		{"another variant", "flags asked for", "parquet", first(func(o *pipeline.Outcome) { o.Assignments[1].Key = "other" }),
			nil, []string{
				"a.parquet counts: flag \"Zeta flag\", variant other: 1 user, the manifest has no such variant",
				"a.parquet counts: flag \"Zeta flag\", variant treatment: ",
				"all agreement: row 1, flag \"Zeta flag\", column variant: other in a.parquet, treatment in a.csv",
			}},
		{"another variant, wide", "wide, snake", "jsonl",
			first(func(o *pipeline.Outcome) { o.Assignments[1].Key = "control" }), nil, []string{
				"a.jsonl counts: flag \"Zeta flag\", variant control:",
				"all agreement: row 1, flag \"Zeta flag\", column variant: treatment in a.parquet, control in a.jsonl",
			}},
		{"assigned without a variant", "flags asked for", "csv",
			first(func(o *pipeline.Outcome) { o.Assignments[1].Key = "" }), nil, []string{
				"a.csv outcomes: row 1, flag \"Zeta flag\": it is assigned, but column variant is null",
			}},
		{"a variant and not assigned", "flags asked for", "csv",
			first(func(o *pipeline.Outcome) { o.Assignments[1].Assigned = false }), nil, []string{
				"a.csv outcomes: row 1, flag \"Zeta flag\": it is not assigned, but",
				"all agreement: row 1, flag \"Zeta flag\", column outcome: a.parquet and a.csv differ",
			}},
		{"not asked for", "flags asked for", "csv", first(func(o *pipeline.Outcome) { o.Assignments[1].FlagKey = "new" }),
			nil, []string{
				"a.csv order: row 1: flag new was not asked for", "a.csv counts: flag new: 1 user, the manifest has no such flag",
			}},
		{"nobody's", "flags asked for", "csv", first(func(o *pipeline.Outcome) { o.Row.User = pipeline.User{} }), nil,
			[]string{
				"a.csv outcomes: row 1 has neither a user_id nor a device_id",
				"all agreement: row 1, column user_id: a.parquet and a.csv differ",
			}},
		{"another payload", "flags asked for", "parquet",
			first(func(o *pipeline.Outcome) { o.Assignments[1].Payload += " " }), nil, []string{
				"all agreement: row 1, flag \"Zeta flag\", column payload: a.parquet and a.csv differ",
			}},
		{"another experiment", "flags asked for", "parquet",
			first(func(o *pipeline.Outcome) { o.Assignments[1].ExperimentKey += "1" }), nil, []string{
				"all agreement: row 1, flag \"Zeta flag\", column experiment_key: a.parquet and a.csv differ",
			}},
		{"another time", "flags asked for", "tsv.gz", first(func(o *pipeline.Outcome) { o.At = o.At.Add(time.Millisecond) }),
			nil, []string{
				"all agreement: row 1, column evaluated_at: a.parquet and a.tsv.gz differ",
			}},
		{"another metadata", "included", "jsonl", first(func(o *pipeline.Outcome) { o.Assignments[1].Metadata = "{}" }), nil,
			[]string{
				"all agreement: row 1, flag \"Zeta flag\", column metadata: a.parquet and a.jsonl differ",
			}},
		{"another integer", "wide", "parquet", first(func(o *pipeline.Outcome) { o.Row.Carry[1].Num++ }), nil,
			[]string{"all agreement: row 1, column seats: a.parquet and a.csv differ"}},
		{"another float", "wide", "jsonl", first(func(o *pipeline.Outcome) { o.Row.Carry[2].Num++ }), nil,
			[]string{"all agreement: row 1, column score: a.parquet and a.jsonl differ"}},
		{"another timestamp", "wide", "parquet", first(func(o *pipeline.Outcome) { o.Row.Carry[5].Num++ }), nil,
			[]string{"all agreement: row 1, column seen: a.parquet and a.csv differ"}},
		{"another decimal", "wide", "parquet", first(func(o *pipeline.Outcome) { o.Row.Carry[9].Text = "-99999999999999999999999999999999999998" }), nil,
			[]string{"all agreement: row 1, column wei: a.parquet and a.csv differ"}},
		{"another sign", "wide", "csv", first(func(o *pipeline.Outcome) { o.Row.Carry[7].Text = "-0.999999999" }), nil,
			[]string{"all agreement: row 1, column rate: a.parquet and a.csv differ"}},
		{"another cache", "caches", "jsonl", first(func(o *pipeline.Outcome) { o.Cache.State = "miss" }), nil,
			[]string{"all agreement: row 1, column cache: a.parquet and a.jsonl differ"}},
		{"another age", "wide, caches", "csv", first(func(o *pipeline.Outcome) { o.Cache.Age++ }), nil,
			[]string{"all agreement: row 1, column age_seconds: a.parquet and a.csv differ"}},
		{"a cache that is none", "caches", "csv", first(func(o *pipeline.Outcome) { o.Cache.State = "perhaps" }), nil,
			[]string{`a.csv outcomes: row 1: column cache is perhaps, want hit, miss or null`}},
		{"a text in quotes", "wide", "parquet", func(o outcomes) outcomes {
			o[60].Row.Carry[0] = pipeline.StringValue(string(o[60].Row.Carry[0].AppendJSON(nil)))
			return o
		}, nil, []string{"all agreement: row 121, column plan: a.parquet and a.jsonl differ"}},
		{"null for empty", "wide", "parquet", func(o outcomes) outcomes { o[1].Row.Carry[0] = pipeline.Value{}; return o },
			nil, []string{
				"all agreement: row 3, column plan: a.parquet and a.jsonl differ",
			}},
		{"no errors", "wide", "errors", func(outcomes) outcomes { return nil }, nil, []string{
			"a.errors.csv rows: it has 0 rows, the manifest says that 10 users failed",
			"a.errors.csv kinds: 0 users with bad_answer, the manifest says",
			"a.csv.manifest.json manifest: 10 users failed, but run/a.errors.csv has 0 rows",
		}},
		{"another kind", "wide", "errors", func(o outcomes) outcomes {
			o[3].Err = pipeline.Errorf("odd", "")
			return o
		}, nil, []string{"a.errors.csv kinds: row 7: odd is not a kind of failure",
			"a.errors.csv kinds: 1 users with request_too_long, the manifest says 2"}},
		{"answered and failed", "wide", "errors", func(o outcomes) outcomes {
			o[2].Err = pipeline.Errorf(pipeline.KindBadRow, "")
			return o
		}, nil, []string{"all overlap: row 5 is both in the outputs and in the error records"}},
		{"errors swapped", "wide", "errors", func(o outcomes) outcomes { slices.Reverse(o); return o }, nil,
			[]string{"a.errors.csv rows: row 183 comes after row 205"}},
		{"a count of rows", "wide", "", nil, func(m *Manifest) { m.Outputs[1].Rows++ },
			[]string{"a.csv.gz rows: it has 100 rows, the manifest says 101"}},
		{"sums", "wide", "", nil, func(m *Manifest) {
			m.Users.Answered++
			m.Users.FailedByKind["bad_row"]++
			m.Assignments += 2
			m.Flags[0].Assigned++
		}, []string{
			"a.csv.manifest.json manifest: 110 users were read, but 101 answered and 10 failed",
			"a.csv.manifest.json manifest: 10 users failed, but 11 by kind",
			"a.csv.manifest.json manifest: flag =a: 66 users by variant, 67 assigned",
			"a.csv.manifest.json manifest: 202 assignments, but 201 by flag",
		}},
		{"the options", "wide", "", nil, func(m *Manifest) { m.Layout.Wide = false },
			[]string{"a.csv columns: the layout is not the one in the manifest, long"}},
		{"carried", "flags asked for", "", nil, func(m *Manifest) { m.Layout.Carry = []Carried{{"x", "x"}} },
			[]string{"a.csv columns: the columns after column 9 are"}},
		{"a column", "included", "", nil, func(m *Manifest) {
			m.Layout.Include = []string{"metadata", "value",
				"evaluation_id"}
		}, []string{
			"a.csv columns: column 10 is value, want metadata",
		}},
		{"of another run", "wide", "", nil, func(m *Manifest) { m.RunID = "r2" }, []string{
			"a.parquet columns: it is of run r1, the manifest is of run r2", "a.errors.csv rows: row 7 is of another run",
		}},
		{"outputs that are none", "wide", "", nil, func(m *Manifest) { m.Outputs = nil },
			[]string{"a.csv.manifest.json manifest: it lists no output"}},
	}
	all := runs()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := *all[tt.run]
			r.formats = []string{"csv", "csv.gz", "tsv.gz", "jsonl", "parquet"}
			r.outcomes = r.outcomes[:min(len(r.outcomes), 110)]
			r.edit = tt.edit
			if tt.tamper != nil {
				r.tamper = map[string]func(outcomes) outcomes{tt.format: tt.tamper}
			}
			found := findings(t, r.write(t, t.TempDir()))
			for _, want := range tt.want {
				want = strings.Replace(want, "all ", " ", 1)
				if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, want) }) {
					t.Errorf("no finding begins with %q; there are:\n%s", want, strings.Join(found, "\n"))
				}
			}
			for _, f := range found {
				if strings.Contains(f, "only") || strings.Contains(f, "annual") {
					t.Errorf("a finding has an id or a carried value in it: %s", f)
				}
			}
		})
	}
}
