package sources

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// errorRows returns the rows as error records.
func errorRows(header []string, rows [][]string) [][]string {
	var out [][]string
	for i, row := range rows {
		var input []pipeline.Member
		for j, cell := range row {
			v := pipeline.Value{}
			if cell != "" {
				v = pipeline.StringValue(cell)
			}
			input = append(input, pipeline.Member{Name: header[j], Value: v})
		}
		out = append(out, []string{strconv.Itoa(i + 1), "other", "", "unavailable", "503", "5", "message",
			"2026-01-01T00:00:00Z",
			string(pipeline.AppendObject(nil, input)), "run-1"})
	}
	return out
}

// errorJSONL returns the records as JSONL, in which input is an object.
func errorJSONL(header []string, rows [][]string) []byte {
	var b []byte
	for _, row := range errorRows(header, rows) {
		var members []pipeline.Member
		for i, name := range errorColumns {
			v := pipeline.StringValue(row[i])
			switch name {
			case "row_number", "http_status", "attempts":
				v.Kind = pipeline.Number
			case "input":
				v, _ = pipeline.ParseJSON(row[i])
			}
			members = append(members, pipeline.Member{Name: name, Value: v})
		}
		b = append(pipeline.AppendObject(b, members), '\n')
	}
	return b
}

// The error records of a run are an input: the original rows, under their original numbers.
func TestErrorRecords(t *testing.T) {
	record := func(number, input string) string {
		return `{"row_number":` + number + `,"user_id":"not this","device_id":null,"kind":"unavailable","http_status":503,"attempts":5,"message":"m","occurred_at":"t","input":` + input + "}\n"
	}
	of := func(run, record string) string {
		return strings.TrimSuffix(record, "}\n") + `,"run_id":"` + run + "\"}\n"
	}
	for _, test := range []struct {
		name, data string
		opts       Options
		want       []got
		err        string
	}{
		{name: "none", data: ""},
		{name: "numbers and columns of the first run", data: record("3", `{"uid":"a","plan":"pro","n":"7","gone":null}`) +
			record("17", `{"UID":"b","plan":""}`),
			opts: Options{Mapping: Mapping{Map: map[string]string{"user_id": "uid"}, Properties: []string{"plan", "n"},
				Types: types{"n": pipeline.TypeInt}, Carry: []string{"plan"}}},
			want: []got{
				{Number: 3, ID: "a", Context: `{"user_properties":{"n":7,"plan":"pro"}}`, Carry: `["pro"]`,
					Input: `{"gone":null,"n":"7","plan":"pro","uid":"a"}`},
				{Number: 17, ID: "b", Context: `{"user_properties":{"plan":""}}`, Carry: `[""]`, Input: `{"UID":"b","plan":""}`}}},
		{name: "a row that had not decoded", data: record("2", "null") + record("5", `{"user_id":"a"}`),
			want: []got{{Number: 2, Err: "bad_row: line 1: the row did not decode, so its error record holds no input"},
				{Number: 5, ID: "a", Context: "{}", Input: `{"user_id":"a"}`}}},
		{name: "of a run", data: of("run-1", record("3", `{"user_id":"a"}`)) + of("run-1", record("7", `{"user_id":"b"}`)),
			want: []got{{Number: 3, ID: "a", Context: "{}", Input: `{"user_id":"a"}`},
				{Number: 7, ID: "b", Context: "{}", Input: `{"user_id":"b"}`}}},
		{name: "of two runs", data: of("run-1", record("3", `{"user_id":"a"}`)) + of("run-2", record("7", `{"user_id":"b"}`)),
			err: "line 2: the record is of run run-2, those before it are of run run-1"},
		{name: "not sorted", data: record("5", `{"user_id":"a"}`) + record("5", `{"user_id":"a"}`),
			err: "row number 5 comes after 5"},
		{name: "no number", data: record(`"x"`, `{"user_id":"a"}`), err: "line 1: row_number is not a row number"},
		{name: "number 0", data: record("0", `{"user_id":"a"}`), err: "line 1: row_number is not a row number"},
		{name: "input of another kind", data: record("1", `[1]`), err: "line 1: input is not a JSON object"},
		{name: "a damaged line", data: record("1", `{"user_id":"a"}`) + "{\n", err: "failed.errors.jsonl: line 2: not JSON"},
		{name: "a line that is no error record", data: record("1", `{"user_id":"a"}`) + strings.Repeat("\n", 3) +
			record("2", `{"user_id":"b"}`)[:14] + "}\n", err: "not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, "failed.errors.jsonl", []byte(test.data), test.opts)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), "failed.errors.jsonl") {
					t.Fatalf("%v, want the file and %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, rows); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An error record results in the same user as its CSV row, whatever --missing says.
func TestErrorRecordsGiveTheSameUser(t *testing.T) {
	data := []byte("user_id,country,user_properties.a\nu,,\n")
	for _, first := range []bool{false, true} {
		before, err := readRows(t, "u.csv", data, Options{Mapping: Mapping{MissingEmpty: first}})
		if err != nil {
			t.Fatal(err)
		}
		rows := [][]string{{"1", "u", "", "rejected", "400", "1", "m", "t", before[0].Input, "run-1"}}
		for _, again := range []bool{false, true} {
			after, err := readRows(t, "e.csv", csvBytes(t, ',', false, errorColumns, rows),
				Options{Mapping: Mapping{MissingEmpty: again}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("--missing empty %v, then %v: %s", first, again, diff)
			}
		}
	}
}

// The run of an input's error records is known before the first row, in each format, and for files after the first.
func TestFailedRun(t *testing.T) {
	rows := func(run string) [][]string {
		return [][]string{{"1", "u", "", "rejected", "400", "1", "m", "t", `{"user_id":"u"}`, run}}
	}
	write := func(t *testing.T, name string, data []byte) File {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return File{Path: path}
	}
	for _, test := range []struct {
		name, file string
		data       []byte
		want       string
	}{
		{"csv", "e.csv", csvBytes(t, ',', false, errorColumns, rows("run-1")), "run-1"},
		{"csv of an older version", "e.csv", csvBytes(t, ',', false, errorColumns[:9], [][]string{rows("")[0][:9]}), ""},
		{"no records", "e.csv", csvBytes(t, ',', false, errorColumns, nil), ""},
		{"users", "u.csv", []byte("user_id,run_id\nu,run-1\n"), ""},
		{"jsonl", "e.jsonl", []byte(`{"row_number":1,"user_id":"u","device_id":null,"kind":"rejected","http_status":400,"attempts":1,"message":"m",` +
			`"occurred_at":"t","input":{"user_id":"u"},"run_id":"run-2"}` + "\n"), "run-2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := FailedRun(write(t, test.file, test.data), Options{}); err != nil || got != test.want {
				t.Errorf("FailedRun(%s) = %q, %v; want %q", test.data, got, err, test.want)
			}
		})
	}
	second := rows("run-2")
	second[0][0] = "2"
	in, err := Open([]File{write(t, "1.csv", csvBytes(t, ',', false, errorColumns, rows("run-1"))),
		write(t, "2.csv", csvBytes(t, ',', false, errorColumns, second))}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var row pipeline.Row
	if err := in.Next(&row); err != nil || row.FailedWith != pipeline.KindRejected || in.FailedRun() != "run-1" {
		t.Errorf("first row: %v, failed with %q in run %q; want rejected in run-1", err, row.FailedWith, in.FailedRun())
	}
	if err := in.Next(&row); err == nil || !strings.Contains(err.Error(), "run run-2, the files before it of run run-1") {
		t.Errorf("row of another run's file: %v", err)
	}
}
