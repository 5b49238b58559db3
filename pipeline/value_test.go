package pipeline_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestParseJSONGivesTheCanonicalForm(t *testing.T) {
	tests := []struct{ text, want string }{
		{`null`, `null`},
		{` {"b" : 1, "a":[true,false,null, "x"] } `, `{"a":[true,false,null,"x"],"b":1}`},
		{`{"z":{"y":1,"x":{"b":{},"a":[]}}}`, `{"z":{"x":{"a":[],"b":{}},"y":1}}`},
		{`[12345678901234567890, 1.0, 1e5, -0, 0.1000]`, `[12345678901234567890,1.0,1e5,-0,0.1000]`},
		{`"\u00e9\ud83d\ude00\/\t\u0001<>&"`, `"é😀/\t\u0001<>&"`},
		{`{"B":1,"a":2,"é":3,"":4}`, `{"":4,"B":1,"a":2,"é":3}`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			v, err := pipeline.ParseJSON(tt.text)
			if got := string(v.AppendJSON(nil)); err != nil || got != tt.want {
				t.Errorf("ParseJSON(%s) = %s, %v; want %s", tt.text, got, err, tt.want)
			}
		})
	}
}

func TestParseJSONRefusesWhatItWouldHaveToGuess(t *testing.T) {
	tests := []struct{ text, want string }{
		{``, "unexpected EOF"},
		{`{`, "unexpected EOF"},
		{`{"a":1`, "unexpected EOF"},
		{`{"a":1} x`, "more text"},
		{`{"a":1}{}`, "more text"},
		{`{"a":1,"a":2}`, `"a" is duplicated`},
		{`{'a':1}`, "invalid character"},
		{`{"a":01}`, "not JSON"},
		{`NaN`, "invalid character"},
		{"\"\xff\"", "UTF-8"},
		{`"\ud83d"`, "surrogate"},
		{`"\ud83dx\ude00"`, "surrogate"},
		{`"\ude00\ud83d"`, "surrogate"},
		{`"\ud83d\u0041"`, "surrogate"},
		{strings.Repeat("[", 200) + strings.Repeat("]", 200), "nested deeper"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			v, err := pipeline.ParseJSON(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseJSON(%s) = %v, %v; want an error with %q", tt.text, v, err, tt.want)
			}
		})
	}
	if v, err := pipeline.ParseJSON(`"\\ud83d"`); err != nil || v.Text != `\ud83d` {
		t.Errorf(`an escaped backslash before ud83d: %q, %v; want \ud83d`, v.Text, err)
	}
}

func TestParseObjectKeepsTheOrderOfItsMembers(t *testing.T) {
	members, err := pipeline.ParseObject(nil, `{"b":{"d":1,"c":2},"a":3}`)
	if got, want := string(pipeline.AppendObject(nil, members)), `{"b":{"c":2,"d":1},"a":3}`; err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	before := members
	members, err = pipeline.ParseObject(members[:1:2], `{"y":1,"x":[]}`)
	if got, want := string(pipeline.AppendObject(nil, members)), `{"b":{"c":2,"d":1},"y":1,"x":[]}`; err != nil ||
		got != want || string(pipeline.AppendObject(nil, before)) != `{"b":{"c":2,"d":1},"a":3}` {
		t.Errorf("appended: %s, %v; want %s", got, err, want)
	}
	if members, err := pipeline.ParseObject(members, `{}`); len(members) != 3 || err != nil {
		t.Errorf("appended an empty object: %v, %v", members, err)
	}
	for _, text := range []string{`{"z":1,"z":2}`, `{"z":1`, `[{"z":1}]`} {
		t.Run(text, func(t *testing.T) {
			if got, err := pipeline.ParseObject(members, text); len(got) != 3 || err == nil {
				t.Errorf("appended %s: %v, %v; want an error and what was there", text, got, err)
			}
		})
	}
	for _, text := range []string{`[]`, `1`, `null`, `"x"`, ``} {
		t.Run(text, func(t *testing.T) {
			if members, err := pipeline.ParseObject(nil, text); err == nil {
				t.Errorf("ParseObject(%s) = %v; want an error", text, members)
			}
		})
	}
}

func TestValuesAsJSONAndText(t *testing.T) {
	tests := []struct {
		value      pipeline.Value
		json, text string
	}{
		{pipeline.Value{}, `null`, ``},
		{pipeline.StringValue("a\"b\\\n"), `"a\"b\\\n"`, "a\"b\\\n"},
		{pipeline.IntValue(math.MinInt64), `-9223372036854775808`, `-9223372036854775808`},
		{pipeline.Value{Kind: pipeline.Number, Text: "1.50"}, `1.50`, `1.50`},
		{pipeline.FloatValue(0.1), `0.1`, `0.1`},
		{pipeline.FloatValue(1e21), `1e+21`, `1e+21`},
		{pipeline.FloatValue(1e20), `100000000000000000000`, `100000000000000000000`},
		{pipeline.FloatValue(math.NaN()), `null`, `null`},
		{pipeline.FloatValue(math.Inf(-1)), `null`, `null`},
		{pipeline.BoolValue(true), `true`, `true`},
		{pipeline.BoolValue(false), `false`, `false`},
		{pipeline.Value{Kind: pipeline.Date, Text: "2026-01-02", Num: 20455}, `"2026-01-02"`, `2026-01-02`},
		{pipeline.Value{Kind: pipeline.List}, `[]`, `[]`},
	}
	for _, tt := range tests {
		t.Run(tt.json, func(t *testing.T) {
			if got := string(tt.value.AppendJSON(nil)); got != tt.json {
				t.Errorf("%+v as JSON = %s, want %s", tt.value, got, tt.json)
			}
			if got := string(tt.value.AppendText(nil)); got != tt.text {
				t.Errorf("%+v as text = %s, want %s", tt.value, got, tt.text)
			}
		})
	}
}

func TestFind(t *testing.T) {
	v, err := pipeline.ParseJSON(`{"b":2,"a":1,"c":{"d":4}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("c").Get("d"); got == nil || got.Text != "4" {
		t.Errorf("c.d = %v, want 4", got)
	}
	if got := v.Get("x"); got != nil {
		t.Errorf("x = %v, want nil", got)
	}
	if got := v.Get("a").Get("x"); got != nil {
		t.Errorf("a.x = %v, want nil", got)
	}
}

// FuzzParseJSON checks ParseJSON against encoding/json: what it accepts means the same there, and its canonical form
// means the same again and is stable.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.50,"\ud83d\ude00"],"b":{"c":null}}`, `"\ud83d"`, `{"a":1,"a":2}`, `[`,
		"\"\x7f\u2028\"", `-0`, `1e400`, `-`, `01`, `1.`, `1e+`, `1E-2`, `.5`, `tru`, `nulls`,
		`"\b\f\n\r\t\/\\\"\u00E9\uABCD\u12g4\x"`, "\"\n\"", `{"a" :1 , "b": [ ] }`, `{"a":1,}`, `[1,]`, `{,}`, `{1:2}`,
		`["a" "b"]`, `"\u12`, `"\`, "\ufeff1", "[1]\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := pipeline.ParseJSON(text)
		if err != nil {
			for _, stricter := range []string{"UTF-8", "surrogate", "is duplicated", "nested deeper"} {
				if strings.Contains(err.Error(), stricter) {
					return
				}
			}
			if json.Valid([]byte(text)) {
				t.Fatalf("ParseJSON refuses %q, which is JSON: %v", text, err)
			}
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("ParseJSON accepts %q, which is not JSON", text)
		}
		canonical := string(v.AppendJSON(nil))
		var want, got any
		if err := decode(text, &want); err != nil {
			t.Fatalf("ParseJSON accepts %q, encoding/json does not: %v", text, err)
		}
		if err := decode(canonical, &got); err != nil || !reflect.DeepEqual(want, got) {
			t.Fatalf("%q became %q, which means something else (%v):\n%s", text, canonical, err, cmp.Diff(want, got))
		}
		again, err := pipeline.ParseJSON(canonical)
		if got := string(again.AppendJSON(nil)); err != nil || got != canonical {
			t.Fatalf("%q is canonical, but became %q (%v)", canonical, got, err)
		}
	})
}

func decode(text string, v any) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	return dec.Decode(v)
}
