package amplitude

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func parseAnswer(text string) ([]pipeline.Variant, error) {
	var p parser
	return p.parseVariants([]byte(text), text, 0)
}

func TestAnswer(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	big := `"` + strings.Repeat("x", 1<<20) + `"`
	for _, tt := range []struct {
		in   string
		want []pipeline.Variant
	}{
		{`{}`, []pipeline.Variant{}},
		{" \r\n\t{ } \n", []pipeline.Variant{}},
		{`{"f":{"key":"on"}}`, []pipeline.Variant{{FlagKey: "f", Key: "on"}}},
		{`{"f":{"value":"on"}}`, []pipeline.Variant{{FlagKey: "f", Key: "on", Value: "on"}}},
		{`{"f":{"key":null,"value":"on"}}`, []pipeline.Variant{{FlagKey: "f", Key: "on", Value: "on"}}},
		{`{"f":{"key":"","value":"on"}}`, []pipeline.Variant{{FlagKey: "f", Key: "", Value: "on"}}},
		{`{"f":{"key":"on","value":"v","expKey":"e","evaluationId":"i","payload":{"b": 1,"a":[ ]},"metadata":{"x":1},"new":{"key":[1e400]}}}`,
			[]pipeline.Variant{{FlagKey: "f", Key: "on", Value: "v", ExperimentKey: "e", EvaluationID: "i",
				Payload: `{"b": 1,"a":[ ]}`, Metadata: `{"x":1,"new":{"key":[1e400]}}`}}},
		{`{"f":{"new":[ 1 ],"key":"on","a \"b\"":"c"}}`,
			[]pipeline.Variant{{FlagKey: "f", Key: "on", Metadata: `{"new":[ 1 ],"a \"b\"":"c"}`}}},
		{`{"f":{"key":"on","x":2,"y":3,"y":4,"metadata":{ "x" : {"y":1} }}}`,
			[]pipeline.Variant{{FlagKey: "f", Key: "on", Metadata: `{ "x" : {"y":1} ,"y":3}`}}},
		{`{"f":{"key":"on","experiment_key":"e","evaluation_id":"i","metadata":null}}`,
			[]pipeline.Variant{{FlagKey: "f", Key: "on", ExperimentKey: "e", EvaluationID: "i"}}},
		{`{"f":{"key":"on","expKey":null,"payload":null}}`, []pipeline.Variant{{FlagKey: "f", Key: "on", Payload: "null"}}},
		{`{"f":{"key":"on","payload":12345678901234567890.10}}`,
			[]pipeline.Variant{{FlagKey: "f", Key: "on", Payload: "12345678901234567890.10"}}},
		{`{"f":{"key":"on","payload":"\u00e9\ud800"},"g":{"key":"off","payload":false}}`,
			[]pipeline.Variant{{FlagKey: "f", Key: "on", Payload: `"\u00e9\ud800"`},
				{FlagKey: "g", Key: "off", Payload: "false"}}},
		{`{"f":{"key":"on","payload":{"a":1,"a":2}}}`, []pipeline.Variant{{FlagKey: "f", Key: "on",
			Payload: `{"a":1,"a":2}`}}},
		{`{"f":{"key":"on","payload":` + deep + `}}`, []pipeline.Variant{{FlagKey: "f", Key: "on", Payload: deep}}},
		{`{"f":{"key":"on","payload":` + big + `}}`, []pipeline.Variant{{FlagKey: "f", Key: "on", Payload: big}}},
		{`{"\u0066":{"\u006bey":"\"\ud83d\ude00"}}`, []pipeline.Variant{{FlagKey: "f", Key: `"😀`}}},
		{`{"f":{"\ud800":1,"key":"on"}}`, []pipeline.Variant{{FlagKey: "f", Key: "on"}}},
	} {
		got, err := parseAnswer(tt.in)
		if err != nil {
			t.Errorf("%.200s: %v", tt.in, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%.200s (-want +got):\n%.500s", tt.in, diff)
		}
	}
}

func TestExperimentKey(t *testing.T) {
	for _, tt := range []struct{ name, variant, want string }{
		{"expKey", `"expKey":"e"`, "e"},
		{"in the metadata", `"metadata":{"a":1,"experimentKey":"m"}`, "m"},
		{"in both", `"metadata":{"experimentKey":"m"},"expKey":"e"`, "e"},
		{"null, and in the metadata", `"expKey":null,"metadata":{"experimentKey":"m"}`, "m"},
		{"experiment_key, and in the metadata", `"metadata":{"experimentKey":"m"},"experiment_key":"e"`, "e"},
		{"not there", `"metadata":{"a":1}`, ""},
		{"deeper in the metadata", `"metadata":{"a":{"experimentKey":"m"},"b":"experimentKey"}`, ""},
		{"null in the metadata", `"metadata":{"experimentKey":null}`, ""},
		{"a number in the metadata", `"metadata":{"experimentKey":1}`, ""},
		{"half of a surrogate pair", `"metadata":{"experimentKey":"\ud800"}`, ""},
		{"escaped", `"metadata":{"\u0065xperimentKey":"m\u0021"}`, "m!"},
		{"duplicated", `"metadata":{"experimentKey":"m","experimentKey":"n"}`, "n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseAnswer(`{"f":{"key":"on",` + tt.variant + `}}`)
			if err != nil || len(got) != 1 || got[0].ExperimentKey != tt.want {
				t.Errorf("%s: %+v, %v; want the experiment key %q", tt.variant, got, err, tt.want)
			}
		})
	}
}

func TestAnswerThatCannotBeUsed(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, "empty"},
		{"  \n", "empty"},
		{`<html>SECRET</html>`, "not a JSON object"},
		{`null`, "not a JSON object"},
		{`[]`, "not a JSON object"},
		{`"SECRET"`, "not a JSON object"},
		{`{"f":{"key":"on"}`, "not complete"},
		{`{"f":{"key":"o`, "not complete"},
		{`{"f":{"key":tr`, "not complete"},
		{`{`, "not complete"},
		{`{}{}`, "more text after the end"},
		{`{} SECRET`, "more text after the end"},
		{`{} {`, "more text after the end"},
		{`{"f":{"key":"on"},}`, "not JSON"},
		{`{"f" {"key":"on"}}`, "not JSON"},
		{`{1:2}`, "not JSON"},
		{`{'f':{}}`, "not JSON"},
		{`{"f":{"x":01,"key":"on"}}`, "not JSON"},
		{`{"f":"on"}`, "a flag's variant is not a JSON object"},
		{`{"f":null}`, "a flag's variant is not a JSON object"},
		{`{"f":[}`, "not JSON"},
		{`{"f":{}}`, "a variant has neither key nor value"},
		{`{"f":{"key":null}}`, "a variant has neither key nor value"},
		{`{"f":{"key":1}}`, `a variant's "key" is not a string`},
		{`{"f":{"key":"on","value":true}}`, `a variant's "value" is not a string`},
		{`{"f":{"key":"on","expKey":{}}}`, `a variant's "expKey" is not a string`},
		{`{"f":{"key":"\udc00"}}`, `a variant's "key" is not valid text`},
		{`{"\ud800":{"key":"on"}}`, "a flag's name is not valid text"},
		{`{"f":{"key":"on","key":"off"}}`, `a variant's "key" is duplicated`},
		{`{"f":{"key":"on","metadata":1}}`, "a variant's metadata is not a JSON object"},
		{`{"f":{"key":"on"},"f":{"key":"off"}}`, "a flag is duplicated"},
		{`{"f":{"key":"on"},"\u0066":{"key":"off"}}`, "a flag is duplicated"},
		{"{\"f\":{\"key\":\"\xff\"}}", "not valid UTF-8"},
		{"{\"f\":{\"key\":\"on\",\"x\":\"\xed\xa0\x80\"}}", "not valid UTF-8"},
		{"{\"f\":{\"key\":\"o\nn\"}}", "not JSON"},
		{`{"f":{"key":"on","payload":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}`, "not JSON"},
		{"\ufeff{}", "not a JSON object"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			got, err := parseAnswer(tt.in)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%.100q: got %v, error %v; want %s", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestAnswerWithManyFlags(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `,"f%d":{"key":"on"}`, i)
	}
	text := "{" + b.String()[1:] + "}"
	got, err := parseAnswer(text)
	if err != nil || len(got) != 1000 || got[999].FlagKey != "f999" {
		t.Errorf("%d variants, %v", len(got), err)
	}
	for _, again := range []string{"f0", "f31", "f32", "f999"} {
		t.Run(again, func(t *testing.T) {
			if _, err := parseAnswer(text[:len(text)-1] + `,"` + again + `":{"key":"on"}}`); err == nil {
				t.Errorf("%s twice, and no error", again)
			}
		})
	}
	// A parser that has read an answer, or a part of one, reads the next: it remembers no flag, and makes no new table.
	var p parser
	body, half := []byte(text), text[:len(text)/2]
	if _, err := p.parseVariants([]byte(half), half, 1000); err == nil {
		t.Errorf("half of an answer, and no error")
	}
	allocated := testing.AllocsPerRun(5, func() {
		if _, err := p.parseVariants(body, text, 1000); err != nil {
			t.Errorf("an answer after another one: %v", err)
		}
	})
	if allocated > 2 {
		t.Errorf("an answer allocates %v times, want only its variants", allocated)
	}
}

func TestFlagsMustBeAnArray(t *testing.T) {
	for in, ok := range map[string]bool{
		`[]`: true, ` [{"key":"f"}] `: true, `{}`: false, `[`: false, `[] []`: false, ``: false, `null`: false,
		"[\"\xff\"]": false, `[1,]`: false,
	} {
		t.Run(in, func(t *testing.T) {
			var p parser
			if err := p.parseArray([]byte(in)); (err == nil) != ok {
				t.Errorf("%q: %v, want ok %v", in, err, ok)
			}
		})
	}
}

// FuzzAnswer compares with encoding/json: what it accepts as the answer, the parser does, and the other way round.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{answer5, `{}`, `null`, `[]`, `{"f":{"key":"on"}} x`, `{"f":{"key":"\ud800"}}`,
		`{"f":{"value":"a","payload":[1,{"a":"\\"}]}}`, `{"f":{"key":"a","key":"b"}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseAnswer(text)
		if err != nil {
			if !json.Valid([]byte(text)) || !utf8.ValidString(text) {
				return
			}
			// Valid JSON may be refused for what it says; then it says one of these.
			for _, why := range []string{"not a JSON", "is duplicated", "is not a string", "not valid text", "neither key",
				"metadata is not"} {
				if strings.Contains(err.Error(), why) {
					return
				}
			}
			t.Fatalf("%q is valid, but: %v", text, err)
		}
		var want map[string]map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &want); err != nil || want == nil {
			t.Fatalf("%q was accepted, but encoding/json says %v", text, err)
		}
		if len(want) != len(got) {
			t.Fatalf("%q: %d flags, want %d", text, len(got), len(want))
		}
		for _, v := range got {
			m, ok := want[v.FlagKey]
			if !ok {
				t.Fatalf("%q: flag %q is not in it", text, v.FlagKey)
			}
			key := m["key"]
			if key == nil || string(key) == "null" {
				key = m["value"]
			}
			var s string
			if err := json.Unmarshal(key, &s); err != nil || s != v.Key {
				t.Fatalf("%q: key %q, want %s", text, v.Key, key)
			}
			if string(m["payload"]) != v.Payload {
				t.Fatalf("%q: payload %q, want %s", text, v.Payload, m["payload"])
			}
		}
	})
}
