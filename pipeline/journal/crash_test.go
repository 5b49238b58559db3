//go:build faultfs

package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// TestCrashAtEveryOperation kills or fails the run at its 1st, 2nd, … file operation until a run completes, and
// reruns it: all records that were on the disk are there, only users of one frame are asked about twice, and the
// output is that of an uninterrupted run.
func TestCrashAtEveryOperation(t *testing.T) {
	binary, err := os.Executable() // built with the tag faultfs
	if err != nil {
		t.Fatal(err)
	}
	journal := func(t *testing.T) string { return filepath.Join(t.TempDir(), ".x.rollcall") }
	unbroken := journal(t)
	ops := unbroken + ".ops"
	if out, err := child(binary, "run", unbroken, "ROLLCALL_OPS_LOG="+ops).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wantOut := readFile(t, unbroken+".out")
	var kinds []string
	for line := range strings.Lines(string(readFile(t, ops))) {
		kinds = append(kinds, strings.Fields(line)[1])
	}
	// The order is guaranteed: every frame is on the disk before the next, the outputs before the commit, the
	// commit before the first rename, and the names before the journal is removed.
	frame := []string{"write", "datasync"}
	wantKinds := slices.Concat([]string{"create"}, frame, []string{"syncdir"}, frame, frame, frame,
		[]string{"create", "rename", "write", "sync", "close"}, frame, frame,
		[]string{"rename", "syncdir", "remove", "syncdir", "close"})
	if diff := cmp.Diff(wantKinds, kinds); diff != "" {
		t.Fatalf("operations (-want +got):\n%s", diff)
	}

	faults := [][]string{{"ROLLCALL_KILL_AT="}, {"ROLLCALL_KILL_TORN=1", "ROLLCALL_KILL_AT="}, {"ROLLCALL_FAIL_AT="},
		{"ROLLCALL_KILL_TORN=1", "ROLLCALL_FAIL_ERRNO=ENOSPC", "ROLLCALL_FAIL_FROM="}}
	for _, env := range faults {
		for n := 1; ; n++ {
			path := journal(t)
			fault := slices.Clone(env)
			fault[len(fault)-1] += strconv.Itoa(n)
			name := strings.Join(fault, " ")
			cmd := child(binary, "run", path, fault...)
			out, err := cmd.CombinedOutput()
			if n > len(kinds) {
				if err != nil {
					t.Fatalf("%s: %v\n%s", name, err, out)
				}
				break
			}
			if err == nil {
				t.Fatalf("%s: the run did not notice", name)
			}
			if code := cmd.ProcessState.ExitCode(); strings.Contains(name, "KILL_AT") && code != -1 {
				t.Fatalf("%s: exit %d, want a kill\n%s", name, code, out)
			}
			if ok, err := durable.Exists(path); strings.Contains(name, "FAIL_AT") && n <= 4 && (ok || err != nil) {
				t.Fatalf("%s: a journal that was not created is there: %v", name, err)
			}
			r, got, err := replayAll(path)
			if err != nil && !errors.Is(err, ErrNone) {
				t.Fatalf("%s: replay: %v", name, err)
			}
			if kept := readLines(path + ".kept"); err == nil && len(got) < len(kept)*crashFrame {
				t.Fatalf("%s: %d records are left, and the run relied on %d", name, len(got), len(kept)*crashFrame)
			}
			if r != nil {
				r.Close()
			}
			if out, err := child(binary, "run", path).CombinedOutput(); err != nil {
				t.Fatalf("%s: rerun: %v\n%s", name, err, out)
			}
			if got := readFile(t, path+".out"); !bytes.Equal(got, wantOut) {
				t.Fatalf("%s: the output is\n%s\nwant\n%s", name, got, wantOut)
			}
			asked := readLines(path + ".asked")
			if len(asked) > crashRecords+crashFrame {
				t.Fatalf("%s: asked about %q: more than a frame twice", name, asked)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%s: the journal is still there: %v", name, err)
			}
		}
	}
}

// readLines returns the lines of a file, which have no spaces; nil if there is no such file.
func readLines(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}
