package sources

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// A LineDecoder makes the same users of lines as Open of a file of them.
func TestLineDecoderAsJSONL(t *testing.T) {
	header, users := typicalUsers(200)
	lines := strings.Split(strings.TrimSpace(string(jsonlBytes(header, users))), "\n")
	lines = append(lines, `{"user_id":"a","user_properties":{"plan":"pro"},"groups":{"org":"acme"},"group_properties.org.x":1}`,
		`{"context":{"user_id":1,"groups":{"t":[]}},"groups.t":["a",2],"x":"7"}`, `{"x":"seven","user_id":"b"}`, `[]`, `{`,
		`{"country":"DE"}`, `{"user_id":"a","user_id":"b"}`, `{"user_id":"u","context":[1]}`, `  {"user_id":" u "}	`)
	m := Mapping{AllProperties: true, Carry: []string{"x", "note"}, Types: map[string]pipeline.Type{"x": pipeline.TypeInt}}
	want, err := readRows(t, "u.jsonl", []byte(strings.Join(lines, "\n")), Options{Mapping: m})
	if err != nil || len(want) != len(lines) {
		t.Fatalf("%d rows of %d lines, %v", len(want), len(lines), err)
	}
	d, err := NewLineDecoder(m)
	if err != nil {
		t.Fatal(err)
	}
	var row pipeline.Row
	for i, line := range lines {
		d.Decode([]byte(line+"\n"), &row)
		got, want := renderRow(&row), want[i]
		_, message, _ := strings.Cut(want.Err, ": line ")
		if _, message, found := strings.Cut(message, ": "); found {
			want.Err = string(row.Err.Kind) + ": " + message // without the line's number
		}
		got.Number, got.Input, want.Number, want.Input = 0, "", 0, ""
		if got != want {
			t.Errorf("%s\n got %+v\nwant %+v", line, got, want)
		}
	}
}

func TestLineDecoderErrors(t *testing.T) {
	if _, err := NewLineDecoder(Mapping{Map: map[string]string{"user_properties.": "x"}}); err == nil {
		t.Error("NewLineDecoder of a field that no user has: no error")
	}
	d, err := NewLineDecoder(Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, line, want string }{
		{"empty", "", "the line is empty"},
		{"blank", " \t\r\n", "the line is empty"},
		{"not UTF-8", "{\"user_id\":\"\xff\"}", "not valid UTF-8"},
		{"too long", `{"user_id":"` + string(bytes.Repeat([]byte("x"), MaxLine)) + `"}`, "longer than 1 MiB"},
		{"two objects", `{"user_id":"a"}{"user_id":"b"}`, "not JSON"},
		{"no id", `{}`, "neither a user id nor a device id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var row pipeline.Row
			d.Decode([]byte(tt.line), &row)
			if row.Err == nil || !strings.Contains(row.Err.Message, tt.want) {
				t.Errorf("Decode(%.60q): %v, want an error with %q", tt.line, row.Err, tt.want)
			}
		})
	}
}
