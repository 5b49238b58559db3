package snapshot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOptionsAreTyped: in the file, options have their types; what reads them has texts, and lists.
func TestOptionsAreTyped(t *testing.T) {
	m := Manifest{Format: ManifestFormat, RunID: "r", Options: RunOptions{
		"rate": 1e6, "limit": 5.0, "overwrite": true, "flags": []string{"a", "b, c"}, "carry": []string{}, "timeout": "15s",
	}}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"rate": 1e6, "limit": 5.0, "overwrite": true, "flags": []any{"a", "b, c"}, "carry": []any{},
		"timeout": "15s"}
	if diff := cmp.Diff(want, file["options"]); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	path := filepath.Join(t.TempDir(), "a.csv.manifest.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := ReadManifest(nil, path)
	if err != nil {
		t.Fatal(err)
	}
	for _, options := range []RunOptions{m.Options, read.Options} {
		texts := map[string]string{}
		for name := range options {
			texts[name] = options.Text(name)
		}
		want := map[string]string{"rate": "1000000", "limit": "5", "overwrite": "true", "flags": "a,b, c", "carry": "",
			"timeout": "15s"}
		if diff := cmp.Diff(want, texts); diff != "" || options.Text("other") != "" {
			t.Errorf("texts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"a", "b, c"}, options.List("flags")); diff != "" || options.List("carry") != nil {
			t.Errorf("lists: %q (-want +got):\n%s", options.List("carry"), diff)
		}
	}
	again, err := read.Marshal()
	if err != nil || !strings.Contains(string(again), `"b, c"`) || !strings.Contains(string(again), `"overwrite": true`) {
		t.Errorf("written again: %v\n%s", err, again)
	}
}

// TestOptionsOfOldManifests: they were all strings.
func TestOptionsOfOldManifests(t *testing.T) {
	var m Manifest
	if err := json.Unmarshal([]byte(`{"format": 1, "options": {"rate": "100", "overwrite": "false", "flags": "a,b", "carry": ""}, "users": {"read": 3}}`), &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(RunOptions{"rate": "100", "overwrite": "false", "flags": "a,b", "carry": ""},
		m.Options); diff != "" || m.Users.Read != 3 {
		t.Errorf("%d users (-want +got):\n%s", m.Users.Read, diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, m.Options.List("flags")); diff != "" || m.Options.List("carry") != nil {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}
