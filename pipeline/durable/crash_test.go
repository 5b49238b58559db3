//go:build faultfs && unix

package durable

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCrashFaults runs every fault against every operation.
func TestCrashFaults(t *testing.T) {
	binary, err := os.Executable() // built with the tag faultfs
	if err != nil {
		t.Fatal(err)
	}
	operations := map[string][]string{ // the order is the promise: content before name, name before directory
		"publish": {"create", "rename", "write", "sync", "close", "rename", "syncdir"}, // the first rename is a trial
		"log":     {"create", "write", "datasync", "truncate", "sync", "remove", "close"},
	}
	for child, want := range operations {
		log := filepath.Join(t.TempDir(), "ops")
		if out, err := childCommand(t, binary, child, t.TempDir(), "ROLLCALL_OPS_LOG="+log).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", child, err, out)
		}
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) != 3 || fields[0] != strconv.Itoa(len(got)+1) {
				t.Fatalf("%s: line %q", child, line)
			}
			got = append(got, fields[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: operations (-want +got):\n%s", child, diff)
		}
	}
	for n := 1; n <= 9; n++ { // one more than in an empty directory: what is replaced leaves its mode
		for _, fault := range []string{"KILL_AT", "KILL_TORN", "FAIL_AT", "FAIL_FROM"} {
			dir := t.TempDir()
			path := filepath.Join(dir, "out.csv")
			if err := os.WriteFile(path, []byte("old content"), 0o600); err != nil {
				t.Fatal(err)
			}
			env := []string{"ROLLCALL_" + fault + "=" + strconv.Itoa(n), "ROLLCALL_FAIL_ERRNO=ENOSPC"}
			if fault == "KILL_TORN" {
				env = []string{"ROLLCALL_KILL_AT=" + strconv.Itoa(n), "ROLLCALL_KILL_TORN=1"}
			}
			cmd := childCommand(t, binary, "publish", dir, env...)
			out, err := cmd.CombinedOutput()
			want := "old content"
			if n >= 8 {
				want = "new content"
			}
			got, readErr := os.ReadFile(path)
			if readErr != nil || string(got) != want {
				t.Errorf("%s %d: final file has %q, %v; want %q", fault, n, got, readErr, want)
			}
			killed := cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled()
			left := slices.DeleteFunc(listFiles(t, dir), func(name string) bool { return name == "out.csv" })
			switch {
			case n == 9: // there are eight
				if err != nil {
					t.Errorf("%s %d: %v\n%s", fault, n, err, out)
				}
			case killed != strings.HasPrefix(fault, "KILL"):
				t.Errorf("%s %d: killed is %v", fault, n, killed)
			case !killed && (err == nil || !strings.Contains(string(out), "out.csv: no space left on device")):
				t.Errorf("%s %d: %v, %q; want the error, and about the final name", fault, n, err, out)
			case fault == "FAIL_AT" && len(left) > 0:
				t.Errorf("%s %d: left %q", fault, n, left)
			case fault == "KILL_TORN" && n == 3:
				if torn, err := os.ReadFile(filepath.Join(dir, left[0])); err != nil || string(torn) != "new c" {
					t.Errorf("torn write left %q, %v; want half of it", torn, err)
				}
			}
		}
	}
}

// TestCrashRenamesThatFail: a file system that cannot rename is found when the file is created; one that cannot sync a
// directory is good enough.
func TestCrashRenamesThatFail(t *testing.T) {
	binary, err := os.Executable() // built with the tag faultfs
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ kind, errno, want string }{
		{"rename", "EXDEV", "create OUT: invalid cross-device link"},
		{"rename", "ENOSYS", "create OUT: function not implemented"},
		{"rename", "EBUSY", "create OUT: device or resource busy"},
		{"syncdir", "EINVAL", ""},
		{"syncdir", "ENOTSUP", ""},
		{"syncdir", "EIO", "publish OUT: input/output error"},
	} {
		t.Run(tt.kind+"/"+tt.errno, func(t *testing.T) {
			dir := t.TempDir()
			cmd := childCommand(t, binary, "publish", dir, "ROLLCALL_FAIL_KIND="+tt.kind, "ROLLCALL_FAIL_ERRNO="+tt.errno)
			out, err := cmd.CombinedOutput()
			want := strings.ReplaceAll(tt.want, "OUT", filepath.Join(dir, "out.csv"))
			if (err == nil) != (want == "") || !strings.Contains(string(out), want) {
				t.Errorf("got %v, %q; want %q", err, out, want)
			}
			if got := listFiles(t, dir); len(got) > 0 && tt.kind == "rename" {
				t.Errorf("left %q", got)
			}
		})
	}
}
