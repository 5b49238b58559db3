package engine_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// Every answer that was recorded from Amplitude's Kotlin engine: one condition for one user.
func TestHostedConditions(t *testing.T) {
	data, err := os.ReadFile("testdata/hosted-conditions.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Users []json.RawMessage
		Cases []struct {
			Op     string
			Values []string
			On     []int
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	users := make([]*pipeline.User, len(vectors.Users))
	for i, properties := range vectors.Users {
		users[i] = parseUserJSON(t, "u", `{"user_properties":`+string(properties)+`}`)
	}
	agreed := 0
	for _, c := range vectors.Cases {
		condition, err := json.Marshal(map[string]any{
			"selector": []string{"context", "user", "user_properties", "p"}, "op": c.Op, "values": c.Values})
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.Parse([]byte(`[{"key":"f","variants":{"on":{}},"segments":[{"variant":"on","conditions":[[`+
			string(condition)+`]]}]}]`), engine.Hosted)
		if err != nil {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		plan := e.Plan(nil)
		for i, u := range users {
			got, want := len(plan.Append(nil, u)) > 0, slices.Contains(c.On, i)
			if got != want {
				t.Errorf("%s %q for %s: %v, want %v", c.Op, c.Values, vectors.Users[i], got, want)
				continue
			}
			agreed++
		}
	}
	if want := 44_896; agreed != want {
		t.Errorf("%d of %d answers agree", agreed, want)
	}
}
