package sinks

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
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
			"row_number user_id device_id flag_key outcome variant payload experiment_key evaluated_at value metadata evaluation_id Plan Name n",
		},
		{Spec{Wide: true, Flags: []string{"a", "b-c"}, Carry: carry}, "row_number user_id device_id a b-c evaluated_at Plan Name n"},
		{
			Spec{Wide: true, Flags: []string{"a", "b-c"}, Carry: carry, Include: []string{"payload"}, SnakeNames: true},
			"row_number user_id device_id a a_payload b_c b_c_payload evaluated_at plan_name n",
		},
		{Spec{Carry: []pipeline.Column{{Name: "Plan"}, {Name: "plan"}}}, "row_number user_id device_id flag_key outcome variant payload experiment_key evaluated_at Plan plan"},
	} {
		got, err := test.spec.Columns()
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("Columns of %+v: %q, %v; want %q", test.spec, got, err, test.want)
		}
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
		{Spec{Carry: carry("user_id")}, `carry column "user_id": the output has a column of that name already`, "--carry"},
		{Spec{Carry: carry("a", "a")}, `carry column "a": the output has a column of that name already`, "--carry"},
		{Spec{Carry: carry("value"), Include: []string{"value"}}, `carry column "value"`, "--carry"},
		{Spec{Carry: carry("Plan", "plan"), SnakeNames: true}, `columns "Plan" and "plan": both would have the name plan`, "--carry"},
		{Spec{Carry: carry("userID"), SnakeNames: true}, `columns "user_id" and "userID": both would have the name user_id`, "--carry"},
		{Spec{Carry: carry("日本"), SnakeNames: true}, `column "日本": no letter or digit of its name is left`, "--carry"},
		{Spec{Carry: carry(""), SnakeNames: true}, `column ""`, "--carry"},
		{Spec{Wide: true}, "no flags are named", "--flags"},
		{Spec{Wide: true, Flags: []string{"a", "a"}}, `flag "a": the output has a column of that name already`, "long"},
		{Spec{Wide: true, Flags: []string{"user_id"}}, `flag "user_id"`, "long"},
		{Spec{Wide: true, Flags: []string{"a", "a.payload"}, Include: []string{"payload"}}, `"a.payload"`, "long"},
		{Spec{Wide: true, Flags: []string{"a-b", "a.b"}, SnakeNames: true}, `columns "a-b" and "a.b": both would have the name a_b`, "long"},
		{Spec{Wide: true, Flags: []string{"a"}, Carry: carry("a")}, `carry column "a"`, "--carry"},
		{Spec{Wide: true, Flags: []string{"a"}, Include: []string{"metadata"}}, `include "metadata": the wide layout can include payload`, "long layout"},
		{Spec{Include: []string{"payload"}}, `include "payload": the long layout can include metadata, evaluation_id, value`, "anyway"},
		{Spec{Include: []string{"metdata"}}, `include "metdata": the long layout can include metadata, evaluation_id, value`, `did you mean "metadata"?`},
		{Spec{Include: []string{"value", "value"}}, `include "value": it is named twice`, ""},
	} {
		_, err := Stream(&bytes.Buffer{}, "csv", test.spec)
		if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(pipeline.Hint(err), test.hint) {
			t.Errorf("%+v: error %v, hint %q; want %q, %q", test.spec, err, pipeline.Hint(err), test.err, test.hint)
		}
		if _, columnsErr := test.spec.Columns(); columnsErr == nil || columnsErr.Error() != err.Error() {
			t.Errorf("%+v: Columns fails with %v, Stream with %v", test.spec, columnsErr, err)
		}
	}
}

func TestSnakeName(t *testing.T) {
	for in, want := range map[string]string{
		"plan": "plan", "Plan Name": "plan_name", "planName": "plan_name", "HTTPServer": "http_server", "userID": "user_id",
		"user_properties.Plan": "user_properties_plan", "a--b": "a_b", "_TABLE_x": "table_x", "__ROOT__": "root", "_PARTITIONTIME": "partitiontime",
		"1st": "_1st", "-1": "_1", "a1B2": "a1_b2", "é": "", "été!": "t", "": "", "__": "", "A": "a", "ABc": "a_bc", "x.payload": "x_payload",
		strings.Repeat("x", 400): strings.Repeat("x", 300),
	} {
		got := snakeName(in)
		if got != want {
			t.Errorf("snakeName(%q) = %q, want %q", in, got, want)
		}
		if again := snakeName(got); again != got {
			t.Errorf("snakeName(%q) = %q, and of that %q", in, got, again)
		}
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
		"wide with payloads, another order, a flag of nobody": {
			Spec{Wide: true, Flags: []string{"dark-mode", "x", "checkout"}, Include: []string{"payload"}, SnakeNames: true},
			`{"row_number":1,"user_id":"ana","device_id":"d-1","dark_mode":null,"dark_mode_payload":null,"x":null,"x_payload":null,"checkout":"treatment","checkout_payload":{"title": "Buy \"now\"", "n": 1},"evaluated_at":"2026-01-02T03:04:05.678Z"}
{"row_number":3,"user_id":null,"device_id":"=cmd()","dark_mode":"on","dark_mode_payload":[1],"x":null,"x_payload":null,"checkout":"control","checkout_payload":-1,"evaluated_at":"2026-01-02T03:04:07.678Z"}
`,
		},
	} {
		var buf bytes.Buffer
		out, err := Stream(&buf, "jsonl", test.spec)
		own := goldenOutcomes()
		for i := range own {
			own[i].Row.Carry = own[i].Row.Carry[:len(test.spec.Carry)]
		}
		info := writeFile(t, out, err, own)
		if diff := cmp.Diff(test.want, buf.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if want := int64(strings.Count(test.want, "\n")); info.Rows != want {
			t.Errorf("%s: %d rows, want %d", name, info.Rows, want)
		}
	}
}
