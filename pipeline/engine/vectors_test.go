package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// vectors are answers of the reference, recorded by testdata/record.js.
type vectors struct {
	Conditions []struct {
		Op     string   `json:"op"`
		Values []string `json:"values"`
	}
	Answers []struct {
		User    string
		Matched string // a 1 or 0 for each condition
	}
	Subjects []string
	Regexes  []struct {
		Pattern string
		Matched string // a 1 or 0 for each subject
	}
	Cases []struct {
		Flags json.RawMessage
		Keys  []string
		Users []struct {
			User string
			Want map[string]json.RawMessage
		}
	}
}

func readVectors(t *testing.T) *vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := &vectors{}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// parseUser makes a user of JSON text.
func parseUser(t testing.TB, text string) *pipeline.User {
	t.Helper()
	v, err := pipeline.ParseJSON(text)
	if err != nil {
		t.Fatalf("user %s: %v", text, err)
	}
	u := &pipeline.User{}
	for _, m := range v.Members {
		switch m.Name {
		case "user_id":
			u.UserID = m.Value.Text
		case "device_id":
			u.DeviceID = m.Value.Text
		default:
			u.Context = append(u.Context, m)
		}
	}
	return u
}

func mustParse(t testing.TB, configs string) *Engine {
	t.Helper()
	e, err := Parse([]byte(configs), Node)
	if err != nil {
		t.Fatalf("Parse(%s): %v", configs, err)
	}
	return e
}

// conditionFlag is a flag that is on where the condition on user_properties.p holds.
func conditionFlag(key, op string, values []string) string {
	if values == nil {
		values = []string{}
	}
	text, _ := json.Marshal(values) // strings
	return fmt.Sprintf(`{"key":%q,"variants":{"on":{"key":"on"}},"segments":[{"variant":"on","conditions":
		[[{"selector":["context","user","user_properties","p"],"op":%q,"values":%s}]]}]}`, key, op, text)
}

func TestVectorsOfOperators(t *testing.T) {
	v := readVectors(t)
	configs := "["
	for i, c := range v.Conditions {
		if i > 0 {
			configs += ","
		}
		configs += conditionFlag(fmt.Sprint(i), c.Op, c.Values)
	}
	e := mustParse(t, configs+"]")
	for _, a := range v.Answers {
		u := parseUser(t, a.User)
		matched := make([]byte, len(v.Conditions))
		for i := range matched {
			matched[i] = '0'
		}
		for _, variant := range e.Evaluate(u, nil) {
			matched[e.index[variant.FlagKey]] = '1'
		}
		for i, c := range v.Conditions {
			if matched[i] != a.Matched[i] {
				t.Errorf("user %s, %q %q: matched %c, the reference says %c", a.User, c.Op, c.Values, matched[i], a.Matched[i])
			}
		}
	}
}

func TestVectorsOfRegexes(t *testing.T) {
	v := readVectors(t)
	for _, r := range v.Regexes {
		re, err := compileRegex(r.Pattern)
		if err != nil {
			t.Errorf("pattern %q: %v", r.Pattern, err)
			continue
		}
		for i, s := range v.Subjects {
			if got, want := re.MatchString(codeUnits(s)), r.Matched[i] == '1'; got != want {
				t.Errorf("pattern %q (as %q) on %q: matched %v, the reference says %v", r.Pattern, re, s, got, want)
			}
		}
	}
}

func TestVectorsOfDeployments(t *testing.T) {
	for _, c := range readVectors(t).Cases {
		e := mustParse(t, string(c.Flags))
		for _, uw := range c.Users {
			got := map[string]any{}
			plan := e.Plan(c.Keys)
			plan = &Plan{engine: e, order: plan.order, asked: plan.order} // the reference reports dependencies too
			for _, v := range plan.Append(nil, parseUser(t, uw.User)) {
				got[v.FlagKey] = variantObject(t, v)
			}
			want := map[string]any{}
			for key, text := range uw.Want {
				var v map[string]any
				if err := json.Unmarshal(text, &v); err != nil {
					t.Fatal(err)
				}
				if m, ok := v["metadata"].(map[string]any); ok && len(m) == 0 {
					delete(v, "metadata")
				}
				want[key] = v
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("flags %s\nasked for %q\nuser %s\n(-reference +got):\n%s", c.Flags, c.Keys, uw.User, diff)
			}
		}
	}
}

// variantObject is the variant as the reference has it.
func variantObject(t *testing.T, v *Variant) map[string]any {
	t.Helper()
	o := map[string]any{"key": v.Key}
	for name, text := range map[string]string{"value": v.ValueJSON, "payload": v.Payload, "metadata": v.Metadata} {
		if text == "" {
			continue
		}
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("%s of %s: %v", name, v.FlagKey, err)
		}
		o[name] = value
	}
	return o
}
