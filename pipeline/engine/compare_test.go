package engine_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// Random flags and users: a comparison finds exactly the flags for which the engines, each on its own, answer
// otherwise.
func TestCompareFindsAll(t *testing.T) {
	values := []string{`"a"`, `"18"`, `"17.5"`, `"unknown"`, `""`, `18`, `2.0`, `1e7`, `0.00001`, `12.5`, `true`, `null`,
		`["a"]`, `["a","b"]`, `["a","a"]`, `["a",""]`, `[1,2.0]`, `[]`, `"[\"a\"]"`, `"[a]"`, `"[\"\",\"a\"]"`, `"[broken"`,
		`{"q":2.0}`, `"1.2.3"`, `"1.2.3+b"`, `"1.2.2147483648"`, `"-0"`, `"5d"`, `"NaN"`, `"0x10"`, `" 18 "`, `"1.2.3-a_b"`, `[{"q":1}]`}
	wanted := []string{"a", "b", "18", "2", "2.0", "(none)", "", "a", "1.2", "1.2.3", "1.2.5", "1.2.9999999999", "a.*", "-0", "0", "NaN", "17", "1.0E7", "x"}
	ops := []string{"is", "is not", "contains", "does not contain", "less", "greater or equal", "version less",
		"version greater or equal", "set is", "set is not", "set contains", "set does not contain", "set contains any",
		"set does not contain any", "regex match", "regex does not match"}
	selectors := [][]string{{"context", "user", "user_properties", "p"}, {"context", "user", "user_properties", "q"},
		{"context", "user", "user_properties", "p", "q"}, {"context", "user", "user_properties", "p", "0"},
		{"context", "user", "user_properties", "p", "length"}, {"context", "user", "country"}, {"context", "user"},
		{"context", "groups", "org", "group_name"}, {"context", "groups", "org", "group_properties", "p"},
		{"context", "groups", "org"}}
	rng := rand.New(rand.NewPCG(11, 1))
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	compared, found := 0, 0
	for range 250 {
		type object = map[string]any
		var flags []object
		for i := range 4 {
			selector := func() []string {
				if i > 0 && rng.IntN(3) == 0 {
					parts := []string{"key", "value", "payload", "metadata"}
					return []string{"result", fmt.Sprint("f", rng.IntN(i)), pick(parts)}
				}
				return selectors[rng.IntN(len(selectors))]
			}
			var segments []object
			for range 1 + rng.IntN(2) {
				condition := func() object {
					var list []string
					for range 1 + rng.IntN(3) {
						list = append(list, pick(wanted))
					}
					return object{"selector": selector(), "op": pick(ops), "values": list}
				}
				segment := object{"variant": pick([]string{"on", "off"}),
					"conditions": [][]object{{condition(), condition()}, {condition()}}}
				if rng.IntN(3) == 0 {
					segment["bucket"] = object{"selector": selector(), "salt": "s", "allocations": []object{{
						"range": []int{0, 100}, "distributions": []object{{"variant": "on", "range": []int{0, 21474836}}}}}}
				}
				segments = append(segments, segment)
			}
			flags = append(flags, object{"key": fmt.Sprint("f", i), "segments": segments,
				"variants": object{"on": object{"key": "on", "value": "on", "payload": 2.5}, "off": object{"key": "off"}}})
		}
		text, err := json.Marshal(flags)
		if err != nil {
			t.Fatal(err)
		}
		var plans [2]*engine.Plan
		for _, s := range []engine.Semantics{engine.Hosted, engine.Node} {
			e, err := engine.Parse(text, s)
			if err != nil {
				t.Fatal(err)
			}
			plans[s] = e.Plan(nil)
		}
		var comparisons [2]*engine.Comparison
		for s := range plans {
			if comparisons[s], err = plans[s].Compare(); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			var members []string
			for _, name := range []string{"p", "q"} {
				if rng.IntN(4) > 0 {
					members = append(members, `"`+name+`":`+pick(values))
				}
			}
			context := `{"country":` + pick(values) + `,"user_properties":{` + strings.Join(members, ",") + `}`
			if rng.IntN(2) == 0 {
				context += `,"groups":{"org":` + pick(values) + `},"group_properties":{"org":{"a":{"p":` + pick(values) + `}}}`
			}
			u := parseUserJSON(t, "u", context+"}")
			answers := [2]map[string]string{}
			for s, plan := range plans {
				answers[s] = map[string]string{}
				for _, v := range plan.Append(nil, u) {
					if v.Answered() {
						answers[s][v.FlagKey] = v.Key
					}
				}
			}
			var want []int
			for i := range flags {
				if key := fmt.Sprint("f", i); answers[0][key] != answers[1][key] {
					want = append(want, i)
				}
			}
			for s, c := range comparisons {
				variants, got := c.Append(nil, nil, u)
				if !slices.Equal(got, want) {
					t.Fatalf("%v, user %s, flags %s: they differ on %v, want %v", engine.Semantics(s), context+"}", text, got, want)
				}
				if a := variantKeys(variants); !slices.Equal(a, variantKeys(plans[s].Append(nil, u))) {
					t.Fatalf("%v, user %s, flags %s: %v", engine.Semantics(s), context+"}", text, a)
				}
			}
			for s, c := range comparisons {
				var got []int
				for i, x := range c.Explain(u) {
					if x.Other == nil {
						continue
					}
					got = append(got, i)
					if (x.Other.Rule == 0) != (x.Other.Flag != "") || x.Other.Reason == "" || x.Other.Reason == "the values differ" {
						t.Errorf("%v, user %s, flag %v: explained by %+v", engine.Semantics(s), context+"}", flags[i], x.Other)
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%v, user %s, flags %s: explained for %v, want %v", engine.Semantics(s), context+"}", text, got, want)
				}
			}
			compared++
			found += len(want)
		}
	}
	if found < compared/20 {
		t.Errorf("of %d users, only %d flags differ: the generator is too tame", compared, found)
	}
}

// What costs a second evaluation, and what does not.
func TestCompareEvaluatesTwice(t *testing.T) {
	plain, number := `{"user_properties":{"p":"a","tags":["a","b"],"text":"[\"a\"]","n":"-17.5","v":"1.2.3"}}`, `{"user_properties":{"p":2.0}}`
	for _, tt := range []struct {
		name, condition, user string
		want                  bool
	}{
		{"is", `{"selector":["context","user","user_properties","p"],"op":"is","values":["a"]}`, plain, false},
		{"is, a number", `{"selector":["context","user","user_properties","p"],"op":"is","values":["a"]}`, number, true},
		{"list", `{"selector":["context","user","user_properties","tags"],"op":"set contains any","values":["a"]}`, plain, false},
		{"text", `{"selector":["context","user","user_properties","text"],"op":"set contains","values":["a"]}`, plain, false},
		{"twice", `{"selector":["context","user","user_properties","text"],"op":"set contains","values":["a","a"]}`, plain, true},
		{"greater", `{"selector":["context","user","user_properties","p"],"op":"greater","values":["1"]}`, plain, true},
		{"greater, a number", `{"selector":["context","user","user_properties","n"],"op":"greater","values":["1"]}`, plain, false},
		{"greater than no number", `{"selector":["context","user","user_properties","n"],"op":"greater","values":["1d"]}`, plain, true},
		{"version", `{"selector":["context","user","user_properties","v"],"op":"version less","values":["1.2"]}`, plain, false},
		{"version, a build", `{"selector":["context","user","user_properties","v"],"op":"version less","values":["1.2.3+b"]}`, plain, true},
		{"regex", `{"selector":["context","user","user_properties","p"],"op":"regex match","values":["b"]}`, plain, true},
		{"set is not", `{"selector":["context","user","user_properties","tags"],"op":"set is not","values":["b"]}`, plain, false},
		{"set is not, none", `{"selector":["context","user","user_properties","no"],"op":"set is not","values":["b"]}`, plain, true},
		{"set is", `{"selector":["context","user","user_properties","p"],"op":"set is","values":["b"]}`, plain, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := engine.Parse([]byte(`[{"key":"f","variants":{"on":{}},"segments":[{"variant":"on","conditions":[[`+tt.condition+
				`]]}]}]`), engine.Hosted)
			if err != nil {
				t.Fatal(err)
			}
			c, err := e.Plan(nil).Compare()
			if err != nil {
				t.Fatal(err)
			}
			if got := c.EvaluatesTwice(parseUserJSON(t, "u", tt.user)); got != tt.want {
				t.Errorf("%s for %s: evaluated twice: %v, want %v", tt.condition, tt.user, got, tt.want)
			}
		})
	}
}

// Each of the nine rules, and the words in which a person is told.
func TestExplainOther(t *testing.T) {
	for _, tt := range []struct {
		name, value, op, values string
		hosted                  bool // whether the condition holds; for node it is the opposite
		rule                    int
		reason                  string
	}{
		{"missing list", `{}`, "set is not", `["beta"]`, true, 1, `"set is not" holds for a missing value`},
		{"missing text", `{}`, "regex does not match", `["beta"]`, true, 1, `"regex does not match" holds for a missing`},
		{"part of a value", `{"p":"anna@example.com"}`, "regex match", `["@example"]`, false, 2, "has to match the whole value"},
		{"unknown age", `{"p":"unknown"}`, "greater", `["18"]`, true, 3, `"unknown" is not a number, and is compared as text`},
		{"empty age", `{"p":""}`, "less", `["18"]`, true, 0, ""},
		{"hexadecimal", `{"p":"0x10"}`, "greater", `["15"]`, false, 3, `"0x10" is not a number`},
		{"suffix", `{"p":"19d"}`, "greater", `["18"]`, true, 3, `"19d" is a number; node: it is not`},
		{"no number wanted", `{"p":"5"}`, "less", `["a"]`, true, 3, "none of the values of the condition is a number"},
		{"NaN", `{"p":"NaN"}`, "greater", `["5"]`, true, 3, `"NaN" is a number; node: it is not`},
		{"float", `{"p":2.0}`, "is", `["2"]`, false, 4, `the value is the text "2.0"; node: "2"`},
		{"float in a list", `{"p":[2.0]}`, "is", `["2"]`, false, 4, `the list is the texts ["2.0"]; node: ["2"]`},
		{"build", `{"p":"1.2.3+b"}`, "version less", `["1.2.2"]`, false, 0, ""},
		{"build of ten", `{"p":"1.10.3+b"}`, "version greater", `["1.9.0"]`, true, 5, "a version, whose build is ignored"},
		{"underscore", `{"p":"1.10.3-a_b"}`, "version greater", `["1.9.0"]`, false, 5, "is not a version"},
		{"empty text", `{"p":["a",""]}`, "set is", `["a"]`, false, 6, "the empty text stays in the list"},
		{"bracket", `{"p":"[1, x]"}`, "is", `["1"]`, true, 7, `is the list ["1"]; node: it is a text`},
		{"twice", `{"p":["a"]}`, "set contains", `["a","a"]`, true, 8, "count once"},
		{"into a list", `{"p":{"x":1}}`, "is", `["1"]`, false, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range []engine.Semantics{engine.Hosted, engine.Node} {
				e, err := engine.Parse([]byte(`[{"key":"f","variants":{"on":{}},"segments":[{"variant":"on","conditions":[[{"selector":`+
					`["context","user","user_properties","p"],"op":"`+tt.op+`","values":`+tt.values+`}]]}]}]`), s)
				if err != nil {
					t.Fatal(err)
				}
				c, err := e.Plan(nil).Compare()
				if err != nil {
					t.Fatal(err)
				}
				x := c.Explain(parseUserJSON(t, "u", `{"user_properties":`+tt.value+`}`))[0]
				if tt.rule == 0 {
					if x.Other != nil {
						t.Errorf("%v: %s %s %s: they differ: %+v", s, tt.value, tt.op, tt.values, x.Other)
					}
					continue
				}
				if holds := x.Variant != nil; x.Other == nil || holds != (tt.hosted == (s == engine.Hosted)) {
					t.Fatalf("%v: %s %s %s: holds: %v, other %+v", s, tt.value, tt.op, tt.values, holds, x.Other)
				}
				if x.Other.Rule != tt.rule || !strings.Contains(x.Other.Reason, tt.reason) || (x.Other.Variant != nil) ==
					(x.Variant != nil) || x.Other.Segment != 1 || x.Other.Condition == nil {
					t.Errorf("%v: %s %s %s: %+v, want rule %d: %q", s, tt.value, tt.op, tt.values, x.Other, tt.rule, tt.reason)
				}
			}
		})
	}
}
