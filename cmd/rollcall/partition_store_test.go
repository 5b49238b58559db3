package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// keysOf are the keys in a bucket that have a prefix.
func keysOf(t *testing.T, m *pipelinetest.Memory, prefix string) (keys []string) {
	t.Helper()
	for a, err := range blob.List(t.Context(), m, prefix, false) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, a.Key)
	}
	return keys
}

// TestPartitionsInStores: outputs of several files are published in a store as on disk, and a run replaces those of
// another with other partitions.
func TestPartitionsInStores(t *testing.T) {
	flags, err := filepath.Abs("../../testdata/flags.json")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("users.csv", []byte("user_id,country\na,DE\nb,FR\nc,a/b\nd,\ne,DE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("lake", 0o700); err != nil {
		t.Fatal(err)
	}
	m := &pipelinetest.Memory{}
	snapshot := func(out string, args ...string) (int, string) {
		args = append([]string{"snapshot", "users.csv", "--evaluator", "local", "--flag-configs", flags, "--carry", "country",
			"--flags", "dark-mode,pricing-test", "--quiet", "--out", out + "/part.csv"}, args...)
		code, _, said := runWithStores(t, m, args...)
		return code, said
	}
	const store = "s3://bucket/lake"
	for _, args := range [][]string{
		{"--partition-by", "country,flag_key"},
		{"--partition-by", "flag_key", "--rows-per-file", "2", "--overwrite"},
		{"--rows-per-file", "3", "--overwrite"},
	} {
		for _, out := range []string{store, "lake"} {
			if code, said := snapshot(out, args...); code != 0 {
				t.Fatalf("%s %q: exit code %d, it said:\n%s", out, args, code, said)
			}
		}
		var want []string
		err := filepath.WalkDir("lake", func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				want = append(want, filepath.ToSlash(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got := keysOf(t, m, "lake/")
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%q: the store has\n%q, the directory\n%q", args, got, want)
		}
		if code, out, said := runWithStores(t, m, "verify", store+"/part.csv"); code != 0 {
			t.Errorf("%q: verify: exit code %d\n%s%s", args, code, out, said)
		}
		for p, err := range m.Pending(t.Context(), "") {
			t.Errorf("%q: an upload of %s is left, %v", args, p.Key, err)
		}
	}
	if code, said := snapshot(store, "--partition-by", "country"); code != exitFailed || !strings.Contains(said, "exists") {
		t.Errorf("without --overwrite: exit code %d, it said:\n%s", code, said)
	}
}
