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
		`{"q":2.0}`, `"1.2.3"`, `"1.2.3+b"`, `[{"q":1}]`}
	wanted := []string{"a", "b", "18", "2", "2.0", "(none)", "", "a", "1.2", "1.2.3", "a.*", "1.0E7", "x"}
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
	for range 1500 {
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
	plain, number := `{"user_properties":{"p":"a","tags":["a","b"],"text":"[\"a\"]"}}`, `{"user_properties":{"p":2.0}}`
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
		{"regex", `{"selector":["context","user","user_properties","p"],"op":"regex match","values":["b"]}`, plain, true},
		{"set is not", `{"selector":["context","user","user_properties","p"],"op":"set is not","values":["b"]}`, plain, true},
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
