package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCohorts(t *testing.T) {
	eng, err := Parse([]byte(`[
		{"key":"b","variants":{"on":{}},"dependencies":["a"],"segments":[{"variant":"on","conditions":[
			[{"selector":["context","user","cohort_ids"],"op":"set contains any","values":["y","x"]}],
			[{"selector":["context","groups","org","cohort_ids"],"op":"set does not contain any","values":["x","(none)"]}],
			[{"selector":["context","user","country"],"op":"is","values":["z"]}]]}]},
		{"key":"a","variants":{"on":{}},"segments":[{"variant":"on","conditions":[
			[{"selector":["context","user","cohort_ids"],"op":"set contains any","values":["x"]}]]}]},
		{"key":"c","variants":{"on":{}},"segments":[{"variant":"on"}]}]`), Hosted)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		flags []string
		want  []CohortUse
	}{
		"all": {nil, []CohortUse{{"a", "x", ""}, {"b", "x", ""}, {"b", "x", "org"}, {"b", "y", ""}}},
		"a dependency's": {[]string{"b"}, []CohortUse{{"a", "x", ""}, {"b", "x", ""}, {"b", "x", "org"},
			{"b", "y", ""}}},
		"one flag": {[]string{"a"}, []CohortUse{{"a", "x", ""}}},
		"none":     {[]string{"c"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, eng.Cohorts(test.flags)); diff != "" {
				t.Errorf("Cohorts(%v): -want +got\n%s", test.flags, diff)
			}
		})
	}
	if diff := cmp.Diff([]string{"a", "b"}, eng.Dependents(func(flag string) bool { return flag == "a" })); diff != "" {
		t.Errorf("Dependents of a: -want +got\n%s", diff)
	}
}
