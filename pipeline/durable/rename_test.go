//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// TestRenameNew: nothing that has the new name is replaced.
func TestRenameNew(t *testing.T) {
	renames := map[string]func(from, to string) error{"RenameNew": renameNew, "by looking": renameIfAbsent}
	for name, rename := range renames {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			if err := errors.Join(os.WriteFile(from, []byte("new"), 0o600), os.WriteFile(to, []byte("old"), 0o600)); err != nil {
				t.Fatal(err)
			}
			if err := rename(from, to); !errors.Is(err, fs.ErrExist) {
				t.Errorf("onto a file: got %v, want ErrExist", err)
			}
			if got, err := os.ReadFile(to); string(got) != "old" {
				t.Errorf("the file has %q, %v; want old", got, err)
			}
			if err := errors.Join(os.Remove(to), os.Symlink("nowhere", to)); err != nil {
				t.Fatal(err)
			}
			if err := rename(from, to); !errors.Is(err, fs.ErrExist) {
				t.Errorf("onto a dangling link: got %v, want ErrExist", err)
			}
			if err := errors.Join(os.Remove(to), rename(from, to)); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(to); string(got) != "new" {
				t.Errorf("the file has %q, %v; want new", got, err)
			}
			if err := rename(from, filepath.Join(dir, "other")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("from a name that is not there: got %v, want ErrNotExist", err)
			}
		})
	}
}

// TestInherit: a file that replaces another one gets its mode, and its owner and group where this process may set them.
func TestInherit(t *testing.T) {
	tests := []struct {
		name       string
		make       func(path string) error // the file that is replaced
		uid, gid   int                     // -1: as ours
		mode       fs.FileMode
		onlyByRoot bool
	}{
		{"nothing to replace", func(string) error { return nil }, -1, -1, 0o600, false},
		{"readable by all", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600),
				os.Chmod(path, 0o664))
		}, -1, -1, 0o664, false},
		{"private", func(path string) error { return os.WriteFile(path, nil, 0o400) }, -1, -1, 0o400, false},
		{"of others", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 4321, 5432), os.Chmod(path, 0o640))
		}, 4321, 5432, 0o640, true},
		{"of others, in a directory such as /tmp", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 4321, 5432), os.Chmod(path, 0o666),
				os.Chmod(filepath.Dir(path), 0o777|fs.ModeSticky))
		}, -1, -1, 0o600, true},
		{"setuid", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o755|fs.ModeSetuid))
		}, -1, -1, 0o755, false},
		{"a link", func(path string) error { return os.Symlink("/", path) }, -1, -1, 0o600, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.onlyByRoot && os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			dir := t.TempDir()
			temp, path := filepath.Join(dir, "temp"), filepath.Join(dir, "a.csv")
			if err := errors.Join(os.WriteFile(temp, nil, 0o600), tt.make(path)); err != nil {
				t.Fatal(err)
			}
			if err := Inherit(temp, path); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(temp)
			if err != nil {
				t.Fatal(err)
			}
			stat := info.Sys().(*syscall.Stat_t)
			if info.Mode() != tt.mode {
				t.Errorf("got mode %v, want %v", info.Mode(), tt.mode)
			}
			if tt.uid >= 0 && (int(stat.Uid) != tt.uid || int(stat.Gid) != tt.gid) || tt.uid < 0 &&
				int(stat.Uid) != os.Geteuid() {
				t.Errorf("it belongs to %d:%d, want %d:%d (-1: us)", stat.Uid, stat.Gid, tt.uid, tt.gid)
			}
		})
	}
}

// TestInheritWithoutRights: a different group gets no more permissions than others have. The user id is one that no
// machine uses, and in no group.
func TestInheritWithoutRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	makeTraversable(t, dir)
	path := filepath.Join(dir, "out.csv")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o674)); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "test")
	if err := os.WriteFile(binary, self, 0o755); err != nil { //nolint:gosec // another user runs it
		t.Fatal(err)
	}
	cmd := childCommand(t, binary, "publish", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4321, Gid: 5432}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), fs.FileMode(0o644); got != want || ownerOf(info) != 4321 {
		t.Errorf("got mode %04o and owner %d, want %04o and 4321", got, ownerOf(info), want)
	}
}

// makeTraversable lets other users enter the directory.
func makeTraversable(t *testing.T, dir string) {
	t.Helper()
	for p := dir; p != "/"; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			if !strings.HasPrefix(p, os.TempDir()+"/") {
				t.Skipf("%s is closed for other users", p)
			}
			if err := os.Chmod(p, info.Mode().Perm()|0o011); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestStickyDirectory: files of another user in a directory such as /tmp are found before anything is written, with a
// hint that fits: the directory is writable, but the file cannot be replaced.
func TestStickyDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make it")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a.csv")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(dir, 0o777|fs.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	makeTraversable(t, dir)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !mayRemove(path, info) {
		t.Error("mayRemove is false for root")
	}
	err = asUser(t, 4321, func() error {
		if mayRemove(path, info) {
			t.Error("mayRemove is true for somebody else")
		}
		_, err := CreateTemp(path, 0o666)
		return err
	})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(pipeline.Hint(err), "it belongs to user 0") {
		t.Errorf("CreateTemp: got %v with hint %q, want the owner", err, pipeline.Hint(err))
	}
	err = asUser(t, 4321, func() error {
		_, err := OpenLog(path, true)
		return err
	})
	if !errors.Is(err, ErrNotOurs) || !strings.Contains(pipeline.Hint(err), "only its owner can remove it") {
		t.Errorf("OpenLog: got %v with hint %q, want ErrNotOurs and who can remove it", err, pipeline.Hint(err))
	}
	if got := listFiles(t, dir); len(got) != 1 {
		t.Errorf("left %q", got)
	}
	stale := filepath.Join(dir, ".b.csv.rollcall-abcdefg234.tmp") // left by a killed run of root
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := asUser(t, 4321, func() error { return RemoveStale(filepath.Join(dir, "b.csv")) }); err != nil {
		t.Errorf("RemoveStale: got %v, want that the file of another user stays, and no error", err)
	}
	if _, err := os.Stat(stale); err != nil {
		t.Error(err)
	}
}

// asUser calls f with another effective user id, in all threads.
func asUser(t *testing.T, uid int, f func() error) error {
	t.Helper()
	if err := syscall.Setreuid(-1, uid); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setreuid(-1, 0); err != nil {
			panic(err)
		}
	}()
	return f()
}

// TestMountedFile: a file that is a mount point is refused early; otherwise only the last rename would fail.
func TestMountedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.csv")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if isMountPoint(path) {
		t.Errorf("%s is a mount point", path)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if _, err := os.Stat("/proc/self"); err == nil && !isMountPoint("/proc") {
		t.Error("/proc is not a mount point")
	}
	script := `mount --bind "$ROLLCALL_TEST_DIR/out.csv" "$ROLLCALL_TEST_DIR/out.csv" || exit 42; exec "$0"`
	cmd := childCommand(t, "unshare", "publish", dir)
	cmd.Args = []string{"unshare", "-m", "sh", "-c", script, os.Args[0]}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 ||
		strings.Contains(string(out), "unshare") {
		t.Skipf("no mounts here: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "create "+path+": device or resource busy") {
		t.Errorf("got %q, want that it is busy, before anything is written", out)
	}
	if got := listFiles(t, dir); len(got) != 1 {
		t.Errorf("left %q", got)
	}
}

// TestCheckWritable: it leaves no file, and finds the errors that CreateTemp finds.
func TestCheckWritable(t *testing.T) {
	dir := t.TempDir()
	if err := CheckWritable(filepath.Join(dir, "a.json")); err != nil {
		t.Error(err)
	}
	if err := CheckWritable(dir); err == nil {
		t.Error("a directory: no error")
	}
	if err := CheckWritable(filepath.Join(dir, strings.Repeat("x", 256))); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("a name that is too long: %v, want ENAMETOOLONG", err)
	}
	if got := listFiles(t, dir); len(got) != 0 {
		t.Errorf("left %q", got)
	}
}
