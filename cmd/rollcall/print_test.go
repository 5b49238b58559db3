package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A reader that leaves, as head does, changes no verdict: a check that does not hold ends with its code all the same. A
// command without a verdict ends as other tools do. None of them has anything to say about it.
func TestReaderLeaves(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(dir, "rollcall")
	if err := os.Symlink(self, command); err != nil {
		t.Fatal(err)
	}
	flags, err := filepath.Abs("../../testdata/flags.json")
	if err != nil {
		t.Fatal(err)
	}
	draft, err := os.ReadFile(flags)
	if err != nil {
		t.Fatal(err)
	}
	users := "device_id\n"
	for i := range 60 {
		users += "device-" + strconv.Itoa(i) + "\n"
	}
	for name, text := range map[string]string{
		"users.csv": users, "holds.yaml": "checks:\n  - users: {min: 60}\n", "fails.yaml": "checks:\n  - users: {min: 61}\n",
		"draft.json": strings.ReplaceAll(string(draft), "tW3kPz1q", "another-salt"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	run := func(t *testing.T, stdout *os.File, args ...string) (code int, stderr string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), command, args...)
		cmd.Dir = dir
		cmd.Stdout = stdout
		var b bytes.Buffer
		cmd.Stderr = &b
		if err := cmd.Run(); err != nil {
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok {
				t.Fatal(err)
			}
			code = exit.ExitCode()
		}
		return code, b.String()
	}
	const local = "snapshot users.csv --evaluator local --flags dark-mode --quiet --flag-configs "
	for out, configs := range map[string]string{"a.csv": flags, "b.csv": flags, "c.csv": flags,
		"changed.csv": "draft.json"} {
		t.Run(out, func(t *testing.T) {
			if code, said := run(t, nil, strings.Fields(local+configs+" --out "+out)...); code != 0 {
				t.Fatalf("snapshot %s: exit code %d\n%s", out, code, said)
			}
		})
	}
	edited, err := os.ReadFile(filepath.Join(dir, "c.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.csv"), append(edited, edited...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args string
		code int
		says string // on standard error; "" is nothing
	}{
		{"a check that holds", "check holds.yaml a.csv", 0, ""},
		{"a check that does not", "check fails.yaml a.csv", exitNotHeld, "rollcall: fails.yaml: 1 of 1 checks fail"},
		{"a first rules file", "check --init a.csv", 141, ""},
		{"no change", "diff a.csv b.csv", 0, ""},
		{"too many changes", "diff a.csv changed.csv --max-changed 0", exitNotHeld, "rollcall: "},
		{"files as they were", "verify a.csv", 0, ""},
		{"a file that was edited", "verify c.csv", exitNotHeld, "rollcall: the outputs are not"},
		{"a report, which has a verdict", "report a.csv", 0, ""},
		{"an explanation", "explain --user-id user-A --flag-configs " + flags, 141, ""},
		{"flags", "flags --flag-configs " + flags, 141, ""},
		{"a dry run", local + flags + " --out d.csv --dry-run", 141, ""},
		{"a version", "version", 141, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			defer w.Close() //nolint:errcheck // nothing is written to it here
			code, stderr := run(t, w, strings.Fields(tt.args)...)
			if code != tt.code || tt.says == "" && stderr != "" || !strings.HasPrefix(stderr, tt.says) {
				t.Errorf("rollcall %s with a reader that left: exit code %d, want %d; it said %q, want %q", tt.args, code, tt.code,
					stderr, tt.says)
			}
		})
	}
}
