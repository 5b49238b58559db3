package sinks

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

func TestColumns(t *testing.T) {
	carry := []pipeline.Column{{Name: "Plan Name"}, {Name: "n", Type: pipeline.TypeInt}}
	for _, test := range []struct {
		spec Spec
		want string
	}{
		{Spec{}, "row_number user_id device_id flag_key outcome variant payload experiment_key evaluated_at"},
		{
			Spec{Carry: carry, Include: []string{"value", "metadata", "evaluation_id"}, Flags: []string{"a"}},
			"row_number user_id device_id flag_key outcome variant payload experiment_key evaluated_at value metadata " +
				"evaluation_id Plan Name n",
		},
		{Spec{Wide: true, Flags: []string{"a", "b-c"}, Carry: carry},
			"row_number user_id device_id a b-c evaluated_at Plan Name n"},
		{
			Spec{Wide: true, Flags: []string{"a", "b-c"}, Carry: carry, Include: []string{"payload"}, SnakeNames: true},
			"row_number user_id device_id a a_payload b_c b_c_payload evaluated_at plan_name n",
		},
		{Spec{Carry: []pipeline.Column{{Name: "Plan"}, {Name: "plan"}}},
			"row_number user_id device_id flag_key outcome variant payload experiment_key evaluated_at Plan plan"},
	} {
		t.Run(test.want, func(t *testing.T) {
			columns, err := test.spec.Columns()
			var got []string
			for _, c := range columns {
				got = append(got, c.Name)
			}
			if err != nil || strings.Join(got, " ") != test.want {
				t.Errorf("Columns of %+v: %q, %v; want %q", test.spec, got, err, test.want)
			}
		})
	}
}

func TestColumnErrors(t *testing.T) {
	carry := func(names ...string) (c []pipeline.Column) {
		for _, name := range names {
			c = append(c, pipeline.Column{Name: name})
		}
		return c
	}
	for _, test := range []struct {
		spec      Spec
		err, hint string
	}{
		{Spec{Carry: carry("user_id")}, `carry column "user_id": the output already has a column of that name`, "--carry"},
		{Spec{Carry: carry("a", "a")}, `carry column "a": the output already has a column of that name`, "--carry"},
		{Spec{Carry: carry("value"), Include: []string{"value"}}, `carry column "value"`, "--carry"},
		{Spec{Carry: carry("Plan", "plan"), SnakeNames: true}, `columns "Plan" and "plan": both would have the name plan`,
			"--carry"},
		{Spec{Carry: carry("userID"), SnakeNames: true}, `columns "user_id" and "userID": both would have the name user_id`,
			"--carry"},
		{Spec{Carry: carry("日本"), SnakeNames: true}, `column "日本": its name has no ASCII letter or digit`, "--carry"},
		{Spec{Carry: carry(""), SnakeNames: true}, `column ""`, "--carry"},
		{Spec{Wide: true}, "no flags are named", "--flags"},
		{Spec{Wide: true, Flags: []string{"a", "a"}}, `flag "a": the output already has a column of that name`, "long"},
		{Spec{Wide: true, Flags: []string{"user_id"}}, `flag "user_id"`, "long"},
		{Spec{Wide: true, Flags: []string{"a", "a.payload"}, Include: []string{"payload"}}, `"a.payload"`, "long"},
		{Spec{Wide: true, Flags: []string{"a-b", "a.b"}, SnakeNames: true},
			`columns "a-b" and "a.b": both would have the name a_b`, "long"},
		{Spec{Wide: true, Flags: []string{"a"}, Carry: carry("a")}, `carry column "a"`, "--carry"},
		{Spec{Wide: true, Flags: []string{"a"}, Include: []string{"metadata"}},
			`include "metadata": the wide layout can include payload`, "long layout"},
		{Spec{Include: []string{"payload"}}, `include "payload": the long layout can include metadata, evaluation_id, value`,
			"always"},
		{Spec{Include: []string{"metdata"}}, `include "metdata": the long layout can include metadata, evaluation_id, value`,
			`did you mean "metadata"?`},
		{Spec{Carry: carry("age_seconds"), Include: []string{"cache"}}, `carry column "age_seconds"`, "--carry"},
		{Spec{Wide: true, Flags: []string{"cache"}, Include: []string{"cache"}}, "cache", ""},
		{Spec{Include: []string{"value", "value"}}, `include "value" is duplicated`, ""},
	} {
		t.Run(test.err, func(t *testing.T) {
			_, err := NewStream(&bytes.Buffer{}, "csv", test.spec)
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(pipeline.Hint(err), test.hint) {
				t.Errorf("%+v: error %v, hint %q; want %q, %q", test.spec, err, pipeline.Hint(err), test.err, test.hint)
			}
			if _, columnsErr := test.spec.Columns(); columnsErr == nil || columnsErr.Error() != err.Error() {
				t.Errorf("%+v: Columns fails with %v, NewStream with %v", test.spec, columnsErr, err)
			}
		})
	}
}

func TestSnakeName(t *testing.T) {
	for in, want := range map[string]string{
		"plan": "plan", "Plan Name": "plan_name", "planName": "plan_name", "HTTPServer": "http_server", "userID": "user_id",
		"user_properties.Plan": "user_properties_plan", "a--b": "a_b", "_TABLE_x": "table_x", "__ROOT__": "root",
		"_PARTITIONTIME": "partitiontime",
		"1st":            "_1st", "-1": "_1", "a1B2": "a1_b2", "é": "", "été!": "t", "": "", "__": "", "A": "a",
		"ABc":                    "a_bc",
		"x.payload":              "x_payload",
		strings.Repeat("x", 400): strings.Repeat("x", 300),
	} {
		t.Run(in, func(t *testing.T) {
			got := toSnakeName(in)
			if got != want {
				t.Errorf("toSnakeName(%q) = %q, want %q", in, got, want)
			}
			if again := toSnakeName(got); again != got {
				t.Errorf("toSnakeName(%q) = %q, and of that %q", in, got, again)
			}
		})
	}
}

// TestLayouts: each layout with all that it can include, in a format that shows nulls.
func TestLayouts(t *testing.T) {
	carry := goldenCarry[:1]
	for name, test := range map[string]struct {
		spec Spec
		want string
	}{
		"long": {
			Spec{Carry: carry, Include: []string{"value", "metadata", "evaluation_id"}},
			`{"row_number":1,"user_id":"ana","device_id":"d-1","flag_key":"checkout","outcome":"assigned","variant":"treatment","payload":{"title": "Buy \"now\"", "n": 1},"experiment_key":"exp-1","evaluated_at":"2026-01-02T03:04:05.678Z","value":"treatment","metadata":{"deployed":true},"evaluation_id":"e","plan":"pro, annual"}
{"row_number":1,"user_id":"ana","device_id":"d-1","flag_key":"dark-mode","outcome":"not_assigned","variant":null,"payload":null,"experiment_key":null,"evaluated_at":"2026-01-02T03:04:05.678Z","value":null,"metadata":null,"evaluation_id":null,"plan":"pro, annual"}
{"row_number":3,"user_id":null,"device_id":"=cmd()","flag_key":"checkout","outcome":"assigned","variant":"control","payload":-1,"experiment_key":null,"evaluated_at":"2026-01-02T03:04:07.678Z","value":null,"metadata":null,"evaluation_id":null,"plan":null}
{"row_number":3,"user_id":null,"device_id":"=cmd()","flag_key":"dark-mode","outcome":"assigned","variant":"on","payload":[1],"experiment_key":null,"evaluated_at":"2026-01-02T03:04:07.678Z","value":null,"metadata":null,"evaluation_id":null,"plan":null}
`,
		},
		"wide": {
			Spec{Wide: true, Flags: []string{"checkout", "dark-mode"}, Carry: carry},
			`{"row_number":1,"user_id":"ana","device_id":"d-1","checkout":"treatment","dark-mode":null,"evaluated_at":"2026-01-02T03:04:05.678Z","plan":"pro, annual"}
{"row_number":3,"user_id":null,"device_id":"=cmd()","checkout":"control","dark-mode":"on","evaluated_at":"2026-01-02T03:04:07.678Z","plan":null}
`,
		},
		"long with caches": {
			Spec{Carry: carry, Include: []string{"cache", "value"}},
			`{"row_number":1,"user_id":"ana","device_id":"d-1","flag_key":"checkout","outcome":"assigned","variant":"treatment","payload":{"title": "Buy \"now\"", "n": 1},"experiment_key":"exp-1","evaluated_at":"2026-01-02T03:04:05.678Z","value":"treatment","cache":"hit","age_seconds":17,"plan":"pro, annual"}
{"row_number":1,"user_id":"ana","device_id":"d-1","flag_key":"dark-mode","outcome":"not_assigned","variant":null,"payload":null,"experiment_key":null,"evaluated_at":"2026-01-02T03:04:05.678Z","value":null,"cache":"hit","age_seconds":17,"plan":"pro, annual"}
{"row_number":3,"user_id":null,"device_id":"=cmd()","flag_key":"checkout","outcome":"assigned","variant":"control","payload":-1,"experiment_key":null,"evaluated_at":"2026-01-02T03:04:07.678Z","value":null,"cache":null,"age_seconds":null,"plan":null}
{"row_number":3,"user_id":null,"device_id":"=cmd()","flag_key":"dark-mode","outcome":"assigned","variant":"on","payload":[1],"experiment_key":null,"evaluated_at":"2026-01-02T03:04:07.678Z","value":null,"cache":null,"age_seconds":null,"plan":null}
`,
		},
		"wide with caches": {
			Spec{Wide: true, Flags: []string{"checkout"}, Carry: carry, Include: []string{"cache"}},
			`{"row_number":1,"user_id":"ana","device_id":"d-1","checkout":"treatment","evaluated_at":"2026-01-02T03:04:05.678Z","cache":"hit","age_seconds":17,"plan":"pro, annual"}
{"row_number":3,"user_id":null,"device_id":"=cmd()","checkout":"control","evaluated_at":"2026-01-02T03:04:07.678Z","cache":null,"age_seconds":null,"plan":null}
`,
		},
		"wide with payloads, another order, a flag without assignments": {
			Spec{Wide: true, Flags: []string{"dark-mode", "x", "checkout"}, Include: []string{"payload"}, SnakeNames: true},
			`{"row_number":1,"user_id":"ana","device_id":"d-1","dark_mode":null,"dark_mode_payload":null,"x":null,"x_payload":null,"checkout":"treatment","checkout_payload":{"title": "Buy \"now\"", "n": 1},"evaluated_at":"2026-01-02T03:04:05.678Z"}
{"row_number":3,"user_id":null,"device_id":"=cmd()","dark_mode":"on","dark_mode_payload":[1],"x":null,"x_payload":null,"checkout":"control","checkout_payload":-1,"evaluated_at":"2026-01-02T03:04:07.678Z"}
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			out, err := NewStream(&buf, "jsonl", test.spec)
			own := goldenOutcomes()
			for i := range own {
				own[i].Row.Carry = own[i].Row.Carry[:len(test.spec.Carry)]
			}
			info := writeFile(t, out, err, own)
			if diff := cmp.Diff(test.want, buf.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := int64(strings.Count(test.want, "\n")); info.Rows != want {
				t.Errorf("%d rows, want %d", info.Rows, want)
			}
		})
	}
}

// layoutOutcomes are users with all fields of an answer, some repeated, some not, for many flags and for few.
func layoutOutcomes() []pipeline.Outcome {
	random := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "on", "=off", "a,b", "tab\t", `q"q`, "line\nbreak", "ü🎉", " ", strings.Repeat("long ", 400)}
	var outcomes []pipeline.Outcome
	for i := range 100 {
		o := pipeline.Outcome{At: time.UnixMilli(int64(i)*7777 - 1_000_000), Attempts: 1}
		o.Row = pipeline.Row{Number: int64(i + 1), User: pipeline.User{UserID: fmt.Sprint("u", i)}}
		o.Row.Carry = []pipeline.Value{pipeline.StringValue(texts[i%len(texts)])}
		if i%17 == 16 {
			o.Err = pipeline.Errorf(pipeline.KindRejected, "no")
			outcomes = append(outcomes, o)
			continue
		}
		for f := range []int{0, 1, 5, 40}[i%4] {
			a := pipeline.Assignment{Variant: pipeline.Variant{FlagKey: fmt.Sprint("flag ", f)}, Assigned: random.IntN(4) > 0}
			if a.Assigned {
				a.Key = texts[random.IntN(len(texts))]
				a.Payload = []string{"", "1", `{"a":1}`, fmt.Sprint(random.Int())}[random.IntN(4)]
				if random.IntN(100) == 0 {
					a.Payload = `"` + strings.Repeat("y", tupleText) + `"`
				}
				a.ExperimentKey = texts[random.IntN(3)]
				a.Metadata = []string{"", `{"deployed":true}`, fmt.Sprintf(`{"n":%d}`, random.Int())}[random.IntN(3)]
				a.EvaluationID = fmt.Sprint("e-", i, "-", f)
				a.Value = texts[random.IntN(3)]
			}
			o.Assignments = append(o.Assignments, a)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// wantTable is what the package comment says of a layout, written independently of the code under test.
func wantTable(spec *Spec, outcomes []pipeline.Outcome) (table pipelinetest.Table) {
	cell := func(text string) pipelinetest.Cell { return pipelinetest.Cell{Text: text, Null: text == ""} }
	fields := map[string]func(*pipeline.Variant) string{
		"metadata":      func(v *pipeline.Variant) string { return v.Metadata },
		"evaluation_id": func(v *pipeline.Variant) string { return v.EvaluationID },
		"value":         func(v *pipeline.Variant) string { return v.Value },
	}
	table.Columns = []string{"row_number", "user_id", "device_id"}
	if spec.Wide {
		for _, flag := range spec.Flags {
			if table.Columns = append(table.Columns, flag); spec.Include != nil {
				table.Columns = append(table.Columns, flag+".payload")
			}
		}
		table.Columns = append(table.Columns, "evaluated_at")
	} else {
		table.Columns = append(table.Columns, "flag_key", "outcome", "variant", "payload", "experiment_key", "evaluated_at")
		table.Columns = append(table.Columns, spec.Include...)
	}
	table.Columns = append(table.Columns, "plan")
	for _, o := range outcomes {
		if o.Err != nil {
			continue
		}
		user := []pipelinetest.Cell{cell(fmt.Sprint(o.Row.Number)), cell(o.Row.User.UserID), cell(o.Row.User.DeviceID)}
		plan := pipelinetest.Cell{Text: o.Row.Carry[0].Text}
		if spec.Wide {
			row := user
			for _, flag := range spec.Flags {
				var key, payload string
				for _, a := range o.Assignments {
					if a.FlagKey == flag {
						key, payload = a.Key, a.Payload
					}
				}
				if row = append(row, cell(key)); spec.Include != nil {
					row = append(row, cell(payload))
				}
			}
			table.Rows = append(table.Rows, append(row, millisCell(o.At.UnixMilli()), plan))
			continue
		}
		for _, a := range o.Assignments {
			outcome := "not_assigned"
			if a.Assigned {
				outcome = "assigned"
			}
			row := append(slices.Clone(user), cell(a.FlagKey), cell(outcome), cell(a.Key), cell(a.Payload),
				cell(a.ExperimentKey), millisCell(o.At.UnixMilli()))
			for _, name := range spec.Include {
				row = append(row, cell(fields[name](&a.Variant)))
			}
			table.Rows = append(table.Rows, append(row, plan))
		}
	}
	return table
}

// TestLayoutsInAllFormats: every reader finds every value of every layout in every format, and a second run writes
// the same bytes.
func TestLayoutsInAllFormats(t *testing.T) {
	carry := []pipeline.Column{{Name: "plan"}}
	outcomes := layoutOutcomes()
	for _, spec := range []Spec{
		{Carry: carry, Include: []string{"evaluation_id", "value", "metadata"}},
		{Carry: carry, Include: []string{"value", "metadata"}},
		{Carry: carry, Wide: true, Flags: []string{"flag 0", "flag 4", "flag 3", "nobody's"}},
		{Carry: carry, Wide: true, Flags: []string{"flag 0", "flag 30"}, Include: []string{"payload"}},
	} {
		want := wantTable(&spec, outcomes)
		for _, format := range formats {
			t.Run(fmt.Sprintf("%s, wide %v, including %v", format, spec.Wide, spec.Include), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "out."+format)
				out, err := Create(path, spec)
				info := writeFile(t, out, err, outcomes)
				var again bytes.Buffer
				out, err = NewStream(&again, format, spec)
				if writeFile(t, out, err, outcomes).SHA256 != info.SHA256 {
					t.Errorf("a second run writes other bytes")
				}
				base, _, _ := strings.Cut(format, ".")
				for name, read := range readers[base] {
					got, err := read(path)
					if err != nil {
						t.Fatalf("read by %s: %v", name, err)
					}
					if diff := firstDifference(want, got); diff != "" {
						t.Errorf("read by %s: %s", name, diff)
					}
				}
				if int(info.Rows) != len(want.Rows) {
					t.Errorf("%d rows, want %d", info.Rows, len(want.Rows))
				}
			})
		}
	}
}

// firstDifference says where two tables differ; "" if they do not.
func firstDifference(want, got pipelinetest.Table) string {
	if !slices.Equal(want.Columns, got.Columns) || len(want.Rows) != len(got.Rows) {
		return fmt.Sprintf("columns %q, %d rows; want %q, %d", got.Columns, len(got.Rows), want.Columns, len(want.Rows))
	}
	for i := range got.Rows {
		for j := range got.Rows[i] {
			if got, want := got.Rows[i][j], want.Rows[i][j]; got != want {
				return fmt.Sprintf("row %d, column %d: %+v, want %+v", i, j, got, want)
			}
		}
	}
	return ""
}

// TestTupleCache: equal assignments have the same tuple; tuples that are not kept are correct; and tuples that are out
// of use are dropped.
func TestTupleCache(t *testing.T) {
	ts := newTupleCache(nil)
	one := func(a pipeline.Assignment) *tuple { return ts.appendTuples(nil, []pipeline.Assignment{a})[0] }
	common := pipeline.Assignment{Assigned: true, Variant: pipeline.Variant{FlagKey: "f", Key: "on", Payload: "1"}}
	first, none := one(common), one(pipeline.Assignment{})
	for _, other := range []pipeline.Assignment{
		{Variant: common.Variant}, {Assigned: true, Variant: pipeline.Variant{FlagKey: "f", Key: "on", Payload: "2"}},
		{Assigned: true, Variant: pipeline.Variant{FlagKey: "f", Key: "on"}},
		{Assigned: true, Variant: pipeline.Variant{FlagKey: "g", Key: "on", Payload: "1"}},
		{Assigned: true, Variant: pipeline.Variant{FlagKey: "f", Key: "on", Payload: "1", ExperimentKey: "e"}},
	} {
		if one(other) == first {
			t.Errorf("%+v and %+v have one tuple", common, other)
		}
	}
	common.EvaluationID = "not included, so it makes no difference"
	if one(common) != first || !first.kept {
		t.Error("the same assignment has another tuple")
	}
	for i := range 3 * tupleMisses {
		a := common
		a.Payload = strconv.Itoa(i + 10)
		if got := one(a).cells[3].text; got != a.Payload {
			t.Fatalf("payload %s became %s", a.Payload, got)
		}
		if ts.count > maxTuples || ts.bytes > tupleBytes {
			t.Fatalf("%d tuples of %d bytes are kept", ts.count, ts.bytes)
		}
	}
	if again := one(pipeline.Assignment{}); one(common) == first || again == none || len(again.cells) != len(none.cells) {
		t.Error("a tuple that is out of use is never dropped")
	}
	kept := 0
	for i := range 100 {
		fresh := common
		fresh.FlagKey = fmt.Sprint("g", i)
		if one(fresh).kept {
			kept++
		}
	}
	if kept < 50 { // the hash decides which of them collide
		t.Errorf("%d of 100 tuples are kept after many that were not", kept)
	}
	huge := common
	huge.Payload = strings.Repeat("9", tupleText)
	if one(huge).kept {
		t.Error("a huge tuple is kept")
	}
}
