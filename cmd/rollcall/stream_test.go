package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/journal"
)

// leavingReader is a pipe whose reader closes it after n lines.
type leavingReader struct {
	lines int
	got   bytes.Buffer
}

func (r *leavingReader) Write(p []byte) (int, error) {
	for i, c := range p {
		if r.lines == 0 {
			return i, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE} // as os.Stdout does
		}
		if r.got.WriteByte(c); c == '\n' {
			r.lines--
		}
	}
	return len(p), nil
}

// TestStreamIsCut: a run whose standard output is closed is no success, be its reader `head` or one that has crashed.
// It asks about no more users than the reader has seen and those in flight, and the same command goes on from there.
func TestStreamIsCut(t *testing.T) {
	const users = 1000
	for _, tt := range []struct {
		name  string
		lines int // that the reader reads
		more  []string
	}{
		{"head -1, the header", 1, nil},
		{"head", 10, nil},
		{"in the middle", 500, nil},
		{"before the last line", users, nil},
		{"with an output beside it", 10, []string{"--out", "b.jsonl"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			input := filepath.Join(folder, "users.csv")
			if err := os.WriteFile(input, []byte("user_id\n"+strings.Join(names("u", users), "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			api := &faultyAPI{}
			args := []string{"snapshot", input, "--server", api.start(t), "--out", "-", "--out-format", "csv", "--flags", "f",
				"--rate", "0",
				"--concurrency", "4", "--errors", filepath.Join(folder, "e.jsonl"), "--progress", "none"}
			for _, arg := range tt.more {
				if strings.HasSuffix(arg, ".jsonl") {
					arg = filepath.Join(folder, arg)
				}
				args = append(args, arg)
			}
			kept := journal.PathFor(filepath.Join(folder, "e.jsonl"))
			if len(tt.more) > 0 {
				kept = journal.PathFor(filepath.Join(folder, "b.jsonl"))
			}
			run := func(stdout io.Writer) (int, string) {
				var said bytes.Buffer
				code := run(args, &env{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: &said, Soft: t.Context(),
					Hard:      t.Context(),
					LookupEnv: func(name string) (string, bool) { return networkKey, name == keyVariable }})
				return code, said.String()
			}
			reader := &leavingReader{lines: tt.lines}
			code, said := run(reader)
			if code != 141 || strings.Contains(said, "pipe") {
				t.Errorf("exit code %d, want 141; it said:\n%s", code, said)
			}
			if n, most := api.requests(), tt.lines+minWindow; n > most {
				t.Errorf("%d requests after %d lines, want at most %d", n, tt.lines, most)
			}
			for _, name := range []string{"e.jsonl", "b.jsonl"} {
				if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
					t.Errorf("%s was published", name)
				}
			}
			if _, err := os.Stat(kept); err != nil {
				t.Errorf("the journal: %v", err)
			}
			var whole bytes.Buffer
			if code, said := run(&whole); code != exitOK || !strings.Contains(said, "resuming") {
				t.Errorf("the second run: exit code %d, want %d; it said:\n%s", code, exitOK, said)
			}
			if n := strings.Count(whole.String(), "\n"); n != users+1 ||
				!strings.HasPrefix(whole.String(), reader.got.String()) {
				t.Errorf("the second run wrote %d lines, want %d that begin with the first run's", n, users+1)
			}
			if n, most := api.requests(), users+minWindow; n > most {
				t.Errorf("%d requests in both runs, want at most %d", n, most)
			}
			if _, err := os.Stat(kept); err == nil {
				t.Errorf("the journal is still there")
			}
		})
	}
}
