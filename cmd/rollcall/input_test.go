package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// wideUsers are users in rows of 400 bytes, so that no run has read all of them before the first one is answered.
func wideUsers(prefix string, n int) []byte {
	var b bytes.Buffer
	b.WriteString("user_id,note\n")
	for i := range n {
		fmt.Fprintf(&b, "%s-%04d,%s\n", prefix, i, strings.Repeat("x", 400))
	}
	return b.Bytes()
}

// TestInputChangesDuringRun changes the input when the first request arrives, which is after preflight. What is
// published is what preflight has read, or nothing is.
func TestInputChangesDuringRun(t *testing.T) {
	const rows = 800
	parquet, err := os.ReadFile("../../testdata/users.parquet")
	if err != nil {
		t.Fatal(err)
	}
	replace := func(t *testing.T, path string, data []byte) { // as a careful writer does
		if err := errors.Join(os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path)); err != nil {
			t.Error(err)
		}
	}
	writeAt := func(t *testing.T, path string, offset int64, data []byte) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt(data, offset)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
	tests := []struct {
		name    string
		files   map[string][]byte
		args    []string // beside the files, in the order of their names
		change  func(t *testing.T, folder string)
		changed string // the file that is named; "" if the run goes on with what it had
	}{
		{"the second file is replaced", map[string][]byte{"p1.csv": wideUsers("a", rows), "p2.csv": wideUsers("b", rows)},
			nil,
			func(t *testing.T, folder string) { replace(t, filepath.Join(folder, "p2.csv"), wideUsers("c", rows)) }, ""},
		{"the second file is removed", map[string][]byte{"p1.csv": wideUsers("a", rows), "p2.csv": wideUsers("b", rows)}, nil,
			func(t *testing.T, folder string) {
				if err := os.Remove(filepath.Join(folder, "p2.csv")); err != nil {
					t.Error(err)
				}
			}, ""},
		{"rewritten in place, of the same size", map[string][]byte{"p1.csv": wideUsers("a", rows)}, nil,
			func(t *testing.T, folder string) {
				writeAt(t, filepath.Join(folder, "p1.csv"), 0, wideUsers("c", rows))
			}, "p1.csv"},
		{"cut in the middle of a row", map[string][]byte{"p1.csv": wideUsers("a", rows)}, nil,
			func(t *testing.T, folder string) {
				if err := os.Truncate(filepath.Join(folder, "p1.csv"), 400*rows/4*3); err != nil {
					t.Error(err)
				}
			}, "p1.csv"},
		{"no longer UTF-8", map[string][]byte{"p1.csv": wideUsers("a", rows)}, nil,
			func(t *testing.T, folder string) {
				writeAt(t, filepath.Join(folder, "p1.csv"), 400*(rows-1), []byte{0xff})
			}, "p1.csv"},
		{"a row more", map[string][]byte{"p1.csv": wideUsers("a", rows)}, nil,
			func(t *testing.T, folder string) {
				writeAt(t, filepath.Join(folder, "p1.csv"), int64(len(wideUsers("a", rows))), []byte("a-more,x\n"))
			}, "p1.csv"},
		{"after the rows of --limit", map[string][]byte{"p1.csv": wideUsers("a", rows)}, []string{"--limit", "300"},
			func(t *testing.T, folder string) {
				writeAt(t, filepath.Join(folder, "p1.csv"), 400*(rows-1), []byte("z"))
			}, "p1.csv"},
		{"between the rows of --sample", map[string][]byte{"p1.csv": wideUsers("a", rows)}, []string{"--sample", "2"},
			func(t *testing.T, folder string) {
				writeAt(t, filepath.Join(folder, "p1.csv"), 400*(rows-1), []byte("z"))
			}, "p1.csv"},
		{"Parquet, columns that are not read included", map[string][]byte{"p1.parquet": parquet}, nil,
			func(t *testing.T, folder string) {
				writeAt(t, filepath.Join(folder, "p1.parquet"), int64(len(parquet)/2), []byte{^parquet[len(parquet)/2]})
			}, "p1.parquet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			var inputs []string
			for _, name := range []string{"p1.csv", "p2.csv", "p1.parquet"} {
				if data, ok := tt.files[name]; ok {
					inputs = append(inputs, filepath.Join(folder, name))
					if err := os.WriteFile(inputs[len(inputs)-1], data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			api := &faultyAPI{AtRequest: func(n int) {
				if n == 1 {
					tt.change(t, folder)
				}
			}}
			out := filepath.Join(folder, "out.csv")
			args := append(append([]string{"snapshot", "--server", api.start(t), "--out", out, "--rate", "0", "--concurrency",
				"4"}, inputs...), tt.args...)
			code, said := runWithKey(t, args...)
			if tt.changed != "" {
				if code != exitStopped || !strings.Contains(said, tt.changed+" changed while it was read") {
					t.Errorf("exit code %d, want %d, and that %s changed; it said:\n%s", code, exitStopped, tt.changed, said)
				}
				for _, path := range []string{out, out + ".manifest.json", journal.PathFor(out)} {
					if _, err := os.Lstat(path); err == nil {
						t.Errorf("%s is there; it said:\n%s", path, said)
					}
				}
				return
			}
			if code != exitOK {
				t.Fatalf("exit code %d, want %d; it said:\n%s", code, exitOK, said)
			}
			m, err := snapshot.ReadManifest(nil, out+".manifest.json")
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range m.Inputs {
				sum := sha256.Sum256(tt.files[filepath.Base(inputs[i])])
				if want := hex.EncodeToString(sum[:]); f.SHA256 != want {
					t.Errorf("the manifest has %s for %s, want %s", f.SHA256, f.Path, want)
				}
			}
			published, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			for _, user := range []string{"a-0000", "a-0799", "b-0000", "b-0799"} {
				if !bytes.Contains(published, []byte(","+user+",")) {
					t.Errorf("%s is missing", user)
				}
			}
			if bytes.Contains(published, []byte(",c-")) {
				t.Error("users of the new file were published")
			}
		})
	}
}

// runWithKey is the command in this process, with the key of a faultyAPI.
func runWithKey(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var errs bytes.Buffer
	code = run(args, &env{
		Stdin: bytes.NewReader(nil), Stdout: new(bytes.Buffer), Stderr: &errs, Soft: t.Context(), Hard: t.Context(),
		LookupEnv: func(name string) (string, bool) {
			switch name {
			case keyVariable:
				return networkKey, true
			case "GOGC", "GOMEMLIMIT": // this process has many runs at once
				return "", true
			}
			return "", false
		},
	})
	return code, errs.String()
}

// TestCopyOfStandardInput kills a run while it copies standard input, which leaves all users in a hidden file. The next
// run of the same output removes it, whatever its own input is; but not the one of a run that is alive.
func TestCopyOfStandardInput(t *testing.T) {
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(t.TempDir(), "rollcall") // the name makes the test binary the command: see TestMain
	if err := os.Symlink(self, command); err != nil {
		t.Fatal(err)
	}
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	start := func(input string, more ...string) (*exec.Cmd, io.WriteCloser) {
		cmd := exec.CommandContext(t.Context(), command, append([]string{"snapshot", input, "--server", "embedded",
			"--flag-configs", filepath.Join(testdata, "flags.json"), "--out", "a.csv"}, more...)...)
		cmd.Dir = folder
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		return cmd, stdin
	}
	// More than a pipe holds: once it is written, the process is reading, and its copy is there.
	users := wideUsers("u", 1000)
	copies := func() []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(folder, ".a.csv.rollcall.stdin-*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, next := range [][]string{{"-"}, {filepath.Join(testdata, "few.csv")},
		{filepath.Join(testdata, "few.csv"), "--fresh"}} {
		killed, stdin := start("-")
		if _, err := stdin.Write(users); err != nil {
			t.Fatal(err)
		}
		if err := killed.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = killed.Wait() // it was killed
		if len(copies()) != 1 {
			t.Fatalf("copies after SIGKILL: %q, want 1", copies())
		}
		alive, aliveIn := start("-")
		if _, err := aliveIn.Write(users); err != nil {
			t.Fatal(err)
		}
		left := copies()
		if len(left) != 1 {
			t.Fatalf("copies while the next run reads: %q, want its own", left)
		}

		cmd, stdin := start(next[0], append(next[1:], "--overwrite")...)
		if next[0] == "-" {
			if _, err := stdin.Write(users); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			t.Errorf("%q: %v", next, err)
		}
		if got := copies(); len(got) != 1 || got[0] != left[0] {
			t.Errorf("%q: left %q, want only what another run is using: %q", next, got, left)
		}
		if err := alive.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = alive.Wait() // it was killed
		if err := os.Remove(left[0]); err != nil {
			t.Fatal(err)
		}
	}
	// A dry run has no run to resume, and so no copy with a name.
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	dry, stdin := start("-", "--dry-run")
	if _, err := stdin.Write(users); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temp); len(left) > 0 || err != nil {
		t.Errorf("a dry run has named its copy of standard input: %v, %v", left, err)
	}
	if err := errors.Join(stdin.Close(), dry.Wait()); err != nil {
		t.Error(err)
	}
}
