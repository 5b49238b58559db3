package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCleanLeavesWhatIsInUse cleans the directory of a run that is under way: its journal, the lock of its second
// output, its copy of standard input and its unfinished outputs all stay, and the run publishes.
func TestCleanLeavesWhatIsInUse(t *testing.T) {
	folder := t.TempDir()
	hidden := func() []string {
		found, err := filepath.Glob(filepath.Join(folder, ".*"))
		if err != nil {
			t.Error(err)
		}
		return found
	}
	api := &faultyAPI{AtRequest: func(n int) {
		if n != 1 {
			return
		}
		before := hidden()
		var out, said bytes.Buffer
		code := run([]string{"clean", folder, filepath.Join(folder, "a.csv")}, &env{
			Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said, Soft: t.Context(), Hard: t.Context(),
			LookupEnv: func(string) (string, bool) { return "", false },
		})
		if code != exitOK || !strings.Contains(out.String(), "nothing to remove") ||
			!strings.Contains(said.String(), "a run is using") {
			t.Errorf("clean: exit code %d, want %d and nothing to remove; it said:\n%s%s", code, exitOK, out.String(),
				said.String())
		}
		if after := hidden(); len(before) < 7 || strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("left %q, want all of %q", after, before)
		}
	}}
	var said bytes.Buffer
	code := run([]string{"snapshot", "-", "--server", api.start(t), "--out", filepath.Join(folder, "a.csv"), "--out",
		filepath.Join(folder, "b.jsonl")}, &env{
		Stdin: strings.NewReader("user_id\nu-1\nu-2\n"), Stdout: new(bytes.Buffer), Stderr: &said, Soft: t.Context(),
		Hard:      t.Context(),
		LookupEnv: func(name string) (string, bool) { return networkKey, name == keyVariable },
	})
	if _, err := os.Stat(filepath.Join(folder, "a.csv.manifest.json")); code != exitOK || err != nil {
		t.Errorf("exit code %d, %v, want %d and a manifest; it said:\n%s", code, err, exitOK, said.String())
	}
	if left := hidden(); len(left) > 0 {
		t.Errorf("the run left %q", left)
	}
}

func TestParseAge(t *testing.T) {
	for text, want := range map[string]string{"0": "0s", "7d": "168h0m0s", "12h": "12h0m0s", "90m": "1h30m0s", "": "",
		"d": "", "-1d": "", "-1h": "", "1.5d": "", "7": ""} {
		t.Run(text, func(t *testing.T) {
			age, err := parseAge(text)
			if got := age.String(); (err != nil) != (want == "") || err == nil && got != want {
				t.Errorf("parseAge(%q) = %s, %v; want %q", text, got, err, want)
			}
			if err != nil && exitCode(err) != exitUsage {
				t.Errorf("parseAge(%q): exit code %d, want %d", text, exitCode(err), exitUsage)
			}
		})
	}
}
