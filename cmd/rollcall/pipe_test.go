package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realCommand is the command as a process of its own, in a directory of its own.
func realCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	command := filepath.Join(dir, "rollcall") // the name makes the test binary the command: see TestMain
	if err := os.Symlink(self, command); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), keyVariable+"=")
	return cmd
}

// sideFiles are the files that a user may name, as PIPE, each with what it holds and what must be printed.
var sideFiles = []struct {
	name, args, content, prints string
}{
	{"input", "snapshot PIPE --evaluator local --flag-configs FLAGS --flags dark-mode --out - --out-format csv " +
		"--errors e.jsonl", "user_id\nuser-A\n", `1,user-A,,dark-mode`},
	{"a row of the input", "explain --row 1 PIPE --flag-configs FLAGS --flags dark-mode", "user_id\nuser-A\n",
		"dark-mode"},
	{"a list of flags", "snapshot USERS --evaluator local --flag-configs FLAGS --flags-from PIPE --limit 1 --out - " +
		"--out-format csv --errors e.jsonl", "dark-mode\n", ",dark-mode,"},
	{"a list of flags to explain", "explain --user-id u --flag-configs FLAGS --flags-from PIPE", "dark-mode\n",
		"dark-mode"},
	{"options", "flags --flag-configs FLAGS --config PIPE", "format: csv\n", "dark-mode"},
	{"a key", "flags --server http://127.0.0.1:1 --key-file PIPE", "key-0123456789abcdef", ""},
	{"configurations of a local run", "snapshot USERS --evaluator local --flag-configs PIPE --flags dark-mode --limit " +
		"1 --out - --out-format csv --errors e.jsonl", "FLAGS", ",dark-mode,"},
	{"configurations of an embedded server", "snapshot USERS --server embedded --flag-configs PIPE --flags dark-mode " +
		"--limit 1 --out a.csv", "FLAGS", ""},
	{"configurations of a dry run", "snapshot USERS --server embedded --flag-configs PIPE --flags dark-mode --limit 1 " +
		"--out a.csv --dry-run", "FLAGS", "Nothing was sent."},
	{"configurations to explain", "explain --user-id u --flag-configs PIPE --flags dark-mode", "FLAGS", "dark-mode"},
	{"configurations to list", "flags --flag-configs PIPE", "FLAGS", "dark-mode"},
	{"configurations to serve", "serve --flag-configs PIPE --listen 127.0.0.1:0", "", ""},
	{"configurations of a filter", "pipe --flag-configs PIPE", "FLAGS", ""},
	{"configurations of a report", "report SNAPSHOT --flag-configs PIPE", "FLAGS", "dark-mode"},
	{"rules", "check PIPE SNAPSHOT", "checks:\n- users: {min: 1, max: 3}\n", "the check holds"},
}

// sideFileArgs are the arguments with the names of real files.
func sideFileArgs(t *testing.T, args, pipe, snapshot string) []string {
	t.Helper()
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(strings.NewReplacer("PIPE", pipe, "USERS", filepath.Join(testdata, "users.csv"),
		"FLAGS", filepath.Join(testdata, "flags.json"), "SNAPSHOT", snapshot).Replace(args))
}

// testSnapshot is a finished run of the flag dark-mode.
func testSnapshot(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "a.csv")
	cmd := realCommand(t, sideFileArgs(t, "snapshot USERS --evaluator local --flag-configs FLAGS --flags dark-mode "+
		"--limit 3 --out "+out, "", "")...)
	if text, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != exitSomeFailed {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// What is read once may be a pipe: <(command), or /dev/stdin.
func TestPipes(t *testing.T) {
	snapshot := testSnapshot(t)
	flags, err := os.ReadFile("../../testdata/flags.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range sideFiles {
		if test.content == "" || test.name == "a key" {
			continue // it does not end, or needs a server
		}
		for _, pipe := range []string{"/dev/fd/3", "/dev/stdin"} {
			t.Run(test.name+pipe, func(t *testing.T) {
				cmd := realCommand(t, sideFileArgs(t, test.args, pipe, snapshot)...)
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				if cmd.Stdin = r; pipe == "/dev/fd/3" {
					cmd.Stdin, cmd.ExtraFiles = nil, []*os.File{r}
				}
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				_, err = io.WriteString(w, strings.Replace(test.content, "FLAGS", string(flags), 1))
				if err = errors.Join(err, w.Close()); err != nil {
					t.Error(err)
				}
				if err := cmd.Wait(); err != nil || !strings.Contains(stdout.String(), test.prints) {
					t.Errorf("%v: %v, want success and %q; it said:\n%s%s", cmd.Args[1:], err, test.prints, &stdout, &stderr)
				}
			})
		}
	}
}
