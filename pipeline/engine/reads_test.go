package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// flagReading is a flag that reads what the selectors say; the last one is its bucket's.
func flagReading(key, metadata, dependencies string, selectors ...string) string {
	conditions := []string{}
	for _, s := range selectors[:len(selectors)-1] {
		conditions = append(conditions, fmt.Sprintf(`[{"selector":["%s"],"op":"is","values":["x"]}]`,
			strings.ReplaceAll(s, "/", `","`)))
	}
	return fmt.Sprintf(`{"key":%q,"metadata":{%s},"dependencies":[%s],"variants":{"on":{}},"segments":[{"conditions":[%s],"variant":"on",
		"bucket":{"selector":["%s"],"salt":"s","allocations":[]}}]}`,
		key, metadata, dependencies, strings.Join(conditions, ","),
		strings.ReplaceAll(selectors[len(selectors)-1], "/", `","`))
}

func TestReads(t *testing.T) {
	e := parseConfigs(t, "["+strings.Join([]string{
		flagReading("plain", `"evaluationMode":"local"`, ``, "context/user/country", "context/user/user_properties/plan/deep",
			"context/user/user_properties", "context/user/device_id"),
		flagReading("cohort", ``, ``, "context/user/cohort_ids", "context/user/user_id"),
		flagReading("group-cohort", ``, ``, "context/groups/org/cohort_ids", "context/groups/org/group_name"),
		flagReading("group", ``, ``, "context/groups/org/group_properties/tier", "context/groups/org/group_properties",
			"context/groups/team"),
		flagReading("amplitude", ``, ``, "context/user/amplitude_id"),
		flagReading("sticky", ``, ``, "context/user/user_properties/[Experiment] sticky", "context/user/user_id"),
		flagReading("remote", `"evaluationMode":"remote"`, ``, "context/user/user_id"),
		flagReading("dependent", ``, `"remote","cohort"`, "result/remote/key", "context/user/city"),
		flagReading("nothing", ``, ``, "context/user/groups/org", "context", "user/country"),
	}, ",")+"]")
	for _, tt := range []struct {
		flags      []string
		reads      []string
		unknowable []engine.Unknowable
	}{
		{[]string{"plain", "gone"}, []string{"country", "device_id", "user_properties", "user_properties.plan"}, nil},
		{[]string{"cohort"}, []string{"cohort_ids", "user_id"}, []engine.Unknowable{{Flag: "cohort", Cohorts: true}}},
		{[]string{"group-cohort"}, []string{"group_cohort_ids.org", "groups.org"},
			[]engine.Unknowable{{Flag: "group-cohort", Cohorts: true}}},
		{[]string{"group"}, []string{"group_properties.org.tier", "groups.org", "groups.team"}, nil},
		{[]string{"amplitude"}, []string{"amplitude_id"}, []engine.Unknowable{{Flag: "amplitude", AmplitudeID: true}}},
		{[]string{"sticky"}, []string{"user_id", "user_properties.[Experiment] sticky"},
			[]engine.Unknowable{{Flag: "sticky", Sticky: true}}},
		{[]string{"remote"}, []string{"user_id"}, []engine.Unknowable{{Flag: "remote", Remote: true}}},
		{[]string{"dependent"}, []string{"city", "cohort_ids", "user_id"},
			[]engine.Unknowable{{Flag: "dependent", Cohorts: true, Remote: true}}},
		{[]string{"nothing"}, nil, nil},
		{[]string{}, nil, nil},
		{nil, []string{"amplitude_id", "city", "cohort_ids", "country", "device_id", "group_cohort_ids.org",
			"group_properties.org.tier", "groups.org", "groups.team",
			"user_id", "user_properties", "user_properties.[Experiment] sticky", "user_properties.plan"}, []engine.Unknowable{
			{Flag: "amplitude", AmplitudeID: true}, {Flag: "cohort", Cohorts: true},
			{Flag: "dependent", Cohorts: true, Remote: true},
			{Flag: "group-cohort", Cohorts: true}, {Flag: "remote", Remote: true}, {Flag: "sticky", Sticky: true}}},
	} {
		t.Run(strings.Join(tt.flags, ","), func(t *testing.T) {
			if diff := cmp.Diff(tt.reads, e.Reads(tt.flags)); diff != "" {
				t.Errorf("Reads(%q) (-want +got):\n%s", tt.flags, diff)
			}
			if diff := cmp.Diff(tt.unknowable, e.Unknowable(tt.flags)); diff != "" {
				t.Errorf("Unknowable(%q) (-want +got):\n%s", tt.flags, diff)
			}
		})
	}
}
