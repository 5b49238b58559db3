package engine_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

func TestFlagVersions(t *testing.T) {
	const list = `[{"key":"a","dependencies":["b"],"metadata":{"flagVersion":12}},
		{"key":"b","metadata":{"flagVersion":"v2"},"segments":[{"conditions":[[{"selector":["result","c","key"]}]]}]},
		{"key":"c","segments":[{"conditions":[[{"op":"regex match","values":["(?=x)"]}]]}]},{"key":"d","metadata":7},
		{"key":"e","metadata":{"flagVersion":[1]}},{"key":"f","metadata":{"flagVersion":"` +
		"1234567890123456789012345678901234567890123456789012345678901234567890" + `"}}]`
	for _, tt := range []struct {
		name  string
		flags []string
		want  string // keys with their versions
	}{
		{"all", nil, "a=12 b=v2 c= d= e= f="},
		{"dependencies, declared and read", []string{"a"}, "a=12 b=v2 c="},
		{"one that is not configured", []string{"d", "x"}, "d="},
		{"none that is asked for", []string{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := engine.FlagVersions([]byte(list), tt.flags)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, key := range slices.Sorted(maps.Keys(got)) {
				said = append(said, key+"="+got[key].Version)
				if len(got[key].SHA256) != 32 {
					t.Errorf("%s: checksum %q, want 32 digits", key, got[key].SHA256)
				}
			}
			if strings.Join(said, " ") != tt.want {
				t.Errorf("FlagVersions(%q): %q, want %q", tt.flags, said, tt.want)
			}
		})
	}
}

// TestFlagVersionsContent: the order of members and white space are no content.
func TestFlagVersionsContent(t *testing.T) {
	sum := func(list string) string {
		versions, err := engine.FlagVersions([]byte(list), nil)
		if err != nil {
			t.Fatal(err)
		}
		return versions["a"].SHA256
	}
	one := sum(`[{"key":"a","variants":{"on":{"key":"on"}}}]`)
	for _, tt := range []struct {
		name, list string
		same       bool
	}{
		{"order and white space", `[ {"variants": {"on": {"key": "on"}}, "key": "a"} ]`, true},
		{"a byte order mark", "\ufeff" + `[{"key":"a","variants":{"on":{"key":"on"}}}]`, true},
		{"another variant", `[{"key":"a","variants":{"off":{"key":"on"}}}]`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sum(tt.list); (got == one) != tt.same {
				t.Errorf("%s: checksum %s, the first is %s; want the same: %v", tt.list, got, one, tt.same)
			}
		})
	}
	for _, bad := range []string{"", "{}", "[1]", `[{"key":""}]`, "[{}]"} {
		t.Run("bad "+bad, func(t *testing.T) {
			if got, err := engine.FlagVersions([]byte(bad), nil); err == nil {
				t.Errorf("FlagVersions(%q) = %v, want an error", bad, got)
			}
		})
	}
}
