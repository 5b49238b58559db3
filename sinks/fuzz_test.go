package sinks

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

var fuzzSeeds = []string{
	"", "a", " ", `"`, `""`, ",", "\t", "\n", "\r\n", "\r", `\.`, "=1", "nul\x00", "\xff\xfe", "é🎉", "\u2028", `a"b,c` +
		"\n", "\x1f\x7f", `\`,
}

// FuzzCSV: two readers return any two adjacent texts unchanged, and null is not the empty string.
func FuzzCSV(f *testing.F) {
	for i, seed := range fuzzSeeds {
		f.Add(seed, fuzzSeeds[len(fuzzSeeds)-1-i], i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, a, b string, tabs bool) {
		comma := byte(',')
		if tabs {
			comma = '\t'
		}
		e, p := newCSV([]column{{name: a}, {name: b}, {name: "n"}}, comma, false), &piece{}
		e.writeHeader(p)
		row := []cell{{text: a}, newOptionalText(b), {null: true}}
		appendRow(e, p, row...)
		appendRow(e, p, row...)
		buf := bytes.NewBuffer(p.text)
		b2 := pipelinetest.Cell{Text: strings.ToValidUTF8(b, "\uFFFD"), Null: b == ""}
		want := [][]pipelinetest.Cell{
			{{Text: a}, {Text: b}, {Text: "n"}}, {{Text: a}, b2, {Null: true}}, {{Text: a}, b2, {Null: true}},
		}
		got, err := parseCSV(buf.String(), comma)
		if err != nil {
			t.Fatalf("%q: %v", buf.String(), err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", buf.String(), diff)
		}
		r := csv.NewReader(buf)
		r.Comma = rune(comma)
		records, err := r.ReadAll()
		if err != nil || len(records) != 3 {
			t.Fatalf("encoding/csv: %d records, %v", len(records), err)
		}
		if crlf := strings.ReplaceAll(a, "\r\n", "\n"); records[1][0] != crlf || records[0][0] != crlf {
			t.Errorf("encoding/csv reads %q, want %q", records[1][0], crlf)
		}
	})
}

// FuzzJSONL: every line is one valid JSON object with its texts unchanged, for all names, texts and values.
func FuzzJSONL(f *testing.F) {
	for i, seed := range fuzzSeeds {
		f.Add(seed, fuzzSeeds[len(fuzzSeeds)-1-i], `{"a":`+"\n"+`[1, "b c"]}`)
	}
	f.Fuzz(func(t *testing.T, name, value, payload string) {
		payload = strings.ToValidUTF8(payload, "")
		if !json.Valid([]byte(payload)) {
			payload = "null" // an answer's payload is JSON
		}
		name = "x" + newText(name).text
		e, p := newJSONL([]column{{name: name}, {name: "payload", typ: pipeline.TypeJSON}}), &piece{}
		row := []cell{newText(value), newText(payload)}
		appendRow(e, p, row...)
		appendRow(e, p, row...)
		lines := slices.Collect(strings.Lines(string(p.text)))
		if len(lines) != 2 || lines[0] != lines[1] || !utf8.ValidString(lines[0]) {
			t.Fatalf("%q is not two equal lines of UTF-8", p.text)
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
			t.Fatalf("%q: %v", lines[0], err)
		}
		var s string
		if err := json.Unmarshal(got[name], &s); err != nil || s != strings.ToValidUTF8(value, "\uFFFD") {
			t.Errorf("%q reads as %q (%v), want %q", lines[0], s, err, value)
		}
		var wantJSON, gotJSON bytes.Buffer
		if err := errors.Join(json.Compact(&wantJSON, []byte(payload)), json.Compact(&gotJSON, got["payload"])); err != nil {
			t.Fatal(err)
		}
		if wantJSON.String() != gotJSON.String() {
			t.Errorf("payload %q reads as %q", payload, got["payload"])
		}
	})
}
