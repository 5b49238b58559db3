package engine_test

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
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

// conditionHolds reports whether the only condition of a flag holds for the user.
func conditionHolds(t *testing.T, selector []string, op, value string, u *pipeline.User) bool {
	t.Helper()
	condition, err := json.Marshal(map[string]any{"selector": selector, "op": op, "values": []string{value}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Parse([]byte(`[{"key":"f","variants":{"on":{}},"segments":[{"variant":"on","conditions":[[`+
		string(condition)+`]]}]}]`), engine.Hosted)
	if err != nil {
		t.Fatalf("%s: %v", condition, err)
	}
	return len(e.Evaluate(u, nil)) > 0
}

// Answers of java.util.regex (OpenJDK 17) where a translation may go wrong.
func TestHostedRegexes(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{`{0}`, "", true},
		{`{2}a`, "a", true},
		{`a{2}{3}`, "aa", true}, // the second repeats nothing
		{`a{2}{3}`, "aaaaaa", false},
		{`[\n-\v]`, "\v", true}, // the end of a range is one character
		{`[\n-\v]`, "\r", false},
		{`[\v-\r]`, "\f", true},
		{`[\v]`, "\u2028", true}, // alone, it is vertical space
	} {
		t.Run(tt.pattern+" "+strconv.Quote(tt.text), func(t *testing.T) {
			u := &pipeline.User{Context: []pipeline.Member{{Name: "p", Value: pipeline.StringValue(tt.text)}}}
			if got := conditionHolds(t, []string{"context", "user", "p"}, "regex match", tt.pattern, u); got != tt.want {
				t.Errorf("%q matches %q: %v, want %v", tt.text, tt.pattern, got, tt.want)
			}
		})
	}
}

// A list of texts is a group, dates included: the API would get them as JSON strings.
func TestHostedGroups(t *testing.T) {
	text, number := pipeline.StringValue("acme"), pipeline.IntValue(5)
	date := pipeline.Value{Kind: pipeline.Date, Text: "2024-01-15"}
	timestamp := pipeline.Value{Kind: pipeline.Timestamp, Text: "2024-01-15T10:00:00Z"}
	for _, tt := range []struct {
		name  string
		names []pipeline.Value
		want  string // the name of the group; "(none)" if it is none
	}{
		{"a text", []pipeline.Value{text}, "acme"},
		{"an empty text", []pipeline.Value{pipeline.StringValue("")}, ""},
		{"a date", []pipeline.Value{date, text}, "2024-01-15"},
		{"a timestamp", []pipeline.Value{text, timestamp}, "acme"},
		{"a number", []pipeline.Value{number}, "(none)"},
		{"a number behind a text", []pipeline.Value{text, number}, "(none)"},
		{"nothing", nil, "(none)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			names := pipeline.Value{Kind: pipeline.List}
			for _, name := range tt.names {
				names.Members = append(names.Members, pipeline.Member{Value: name})
			}
			u := &pipeline.User{Context: []pipeline.Member{{Name: "groups", Value: pipeline.Value{Kind: pipeline.Object,
				Members: []pipeline.Member{{Name: "org", Value: names}}}}}}
			if !conditionHolds(t, []string{"context", "groups", "org", "group_name"}, "is", tt.want, u) {
				t.Errorf("the group of %s is not %q", names.AppendJSON(nil), tt.want)
			}
		})
	}
}
