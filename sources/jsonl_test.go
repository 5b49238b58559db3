package sources

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestJSONLFaults(t *testing.T) {
	for _, test := range []struct {
		name, data, rows, message string
	}{
		{"empty file", "", "", ""},
		{"blank lines do not count", "\n{\"user_id\":\"a\"}\n \t\r\n\r\n{\"user_id\":\"b\"}", "1:a 2:b", ""},
		{"byte order mark and crlf", "\ufeff{\"user_id\":\"a\"}\r\n{\"user_id\":\"b\"}\r\n", "1:a 2:b", ""},
		{"no JSON", "{\"user_id\":\"a\"}\n{\"user_id\":\n{\"user_id\":\"c\"}\n", "1:a 2:!bad_row 3:c", "line 2: not JSON"},
		{"no object", "\"a\"\n[1]\nnull\n{\"user_id\":\"a\"}\n", "1:!bad_row 2:!bad_row 3:!bad_row 4:a", "not a JSON object"},
		{"two objects on a line", `{"user_id":"a"}{"user_id":"b"}`, "1:!bad_row", "line 1"},
		{"a duplicate name", `{"user_id":"a","user_id":"b"}`, "1:!bad_row", "duplicated"},
		{"half a surrogate pair", `{"user_id":"\ud800"}`, "1:!bad_row", "surrogate"},
		{"escapes", `{"user_id":"\u00e9\n\u0000"}`, "1:é\n\x00", ""},
		{"nested too deep", `{"user_id":"a","x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}", "1:!bad_row",
			"deeper"},
		{"a list of as many as there is room for", `{"user_id":"a","x":[` + strings.Repeat("0,", maxRecord/2-20) +
			"0]}\n{\"user_id\":\"b\"}", "1:a 2:b", ""},
		{"a context of many", `{"user_id":"a","context":"{\"x\":[` + strings.Repeat("0,", maxRecord/2-30) +
			"0]}\"}\n{\"user_id\":\"b\"}", "1:a 2:b", ""},
		{"a line over 1 MiB", "{\"user_id\":\"" + strings.Repeat("x", maxRecord) + "\"}\n{\"user_id\":\"b\"}\n",
			"1:!bad_row 2:b", "line 1: the line is longer than 1 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, "u.jsonl", []byte(test.data), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if g := joinIDs(rows); g != test.rows {
				t.Errorf("got %q, want %q", g, test.rows)
			}
			for _, r := range rows {
				if r.Err != "" && !strings.Contains(r.Err, test.message) {
					t.Errorf("message %q, want %q", r.Err, test.message)
					break
				}
			}
		})
	}
	rows, err := readRows(t, "u.jsonl", []byte(strings.Repeat("{\"user_id\":\"a\"}\n", 150)+"{\"user_id\":\"\xe9\"}\n"),
		Options{})
	if _, ok := errors.AsType[*encodingError](err); !ok || !strings.Contains(err.Error(), "u.jsonl: line 151") ||
		len(rows) != 150 {
		t.Errorf("Latin-1: %d rows, %v", len(rows), err)
	}
}

// A column that first appears in a late row is mapped too, and one that never appears is reported.
func TestJSONLColumnsOfLateRows(t *testing.T) {
	data := strings.Repeat("{\"user_id\":\"a\",\"x\":1}\n", 200) + `{"user_id":"b","late":"l","City":"c"}` + "\n"
	in, err := Open(filesAt(writeFile(t, "u.jsonl", []byte(data))),
		Options{Mapping: Mapping{Properties: []string{"Late", "never"}, Carry: []string{"x", "gone"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, in)
	rows, err := readAll(in)
	if err != nil || len(rows) != 201 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	last := rows[200]
	if last.Context != `{"city":"c","user_properties":{"late":"l"}}` || last.Carry != "[null,null]" ||
		rows[0].Carry != "[1,null]" {
		t.Errorf("first %+v\nlast %+v", rows[0], last)
	}
	if got := strings.Join(in.MissingColumns(), " "); got != "gone never" {
		t.Errorf("unseen %q, want gone and never", got)
	}
	if in.HasLocation() {
		t.Error("a location from a column that the first rows have not")
	}
}

func FuzzJSONL(f *testing.F) {
	f.Add([]byte(`{"user_id":"a","user_properties":{"plan":"pro"},"groups":{"org":"acme"},"group_properties.org.x":1}`))
	f.Add([]byte("{\"context\":{\"user_id\":1,\"groups\":{\"t\":[]}},\"groups.t\":[\"a\",2]}\n\n[]\n{"))
	f.Add([]byte(`{"row_number":7,"user_id":"a","device_id":null,"kind":"unavailable","http_status":503,"attempts":5,"message":"m","occurred_at":"t","input":{"user_id":"a"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := Open(filesAt(writeFile(t, "u.jsonl", data)),
			Options{Mapping: Mapping{AllProperties: true, Carry: []string{"x", "input"},
				Types: map[string]pipeline.Type{"x": pipeline.TypeInt}}})
		if err == nil {
			checkRows(t, in)
		}
	})
}

func BenchmarkJSONL(b *testing.B) {
	const n = 100_000
	header, users := typicalUsers(n)
	data := jsonlBytes(header, users)
	benchmarkInput(b, writeFile(b, "users.jsonl", data), n, int64(len(data)))
}
