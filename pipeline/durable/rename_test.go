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

// TestRenameNew: what has the name stays, whatever it is.
func TestRenameNew(t *testing.T) {
	renames := map[string]func(from, to string) error{"RenameNew": renameNew, "by looking": renameLooking}
	for name, rename := range renames {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			from, to := filepath.Join(folder, "from"), filepath.Join(folder, "to")
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
			if err := rename(from, filepath.Join(folder, "other")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("from a name that is not there: got %v, want ErrNotExist", err)
			}
		})
	}
}

// TestInherit: what replaces a file has its mode, and its owner and group where this process may give them.
func TestInherit(t *testing.T) {
	tests := []struct {
		name       string
		make       func(path string) error // the file that is replaced
		uid, gid   int                     // -1: as ours
		mode       fs.FileMode
		onlyByRoot bool
	}{
		{"nothing to replace", func(string) error { return nil }, -1, -1, 0o600, false},
		{"readable by all", func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o664)) }, -1, -1, 0o664, false},
		{"private", func(path string) error { return os.WriteFile(path, nil, 0o400) }, -1, -1, 0o400, false},
		{"of others", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 4321, 5432), os.Chmod(path, 0o640))
		}, 4321, 5432, 0o640, true},
		{"of others, in a folder as /tmp", func(path string) error {
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
			folder := t.TempDir()
			temp, path := filepath.Join(folder, "temp"), filepath.Join(folder, "a.csv")
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
			if tt.uid >= 0 && (int(stat.Uid) != tt.uid || int(stat.Gid) != tt.gid) || tt.uid < 0 && int(stat.Uid) != os.Geteuid() {
				t.Errorf("it belongs to %d:%d, want %d:%d (-1: us)", stat.Uid, stat.Gid, tt.uid, tt.gid)
			}
		})
	}
}

// TestInheritWithoutRights: a group that cannot be kept may do no more than others may. The user is one that no
// machine has, and in no group.
func TestInheritWithoutRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	openFolders(t, folder)
	path := filepath.Join(folder, "out.csv")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o674)); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "test")
	if err := os.WriteFile(binary, self, 0o755); err != nil { //nolint:gosec // another user runs it
		t.Fatal(err)
	}
	cmd := command(t, binary, "publish", folder)
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

// openFolders lets other users enter the folder.
func openFolders(t *testing.T, folder string) {
	t.Helper()
	for p := folder; p != "/"; p = filepath.Dir(p) {
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

// TestStickyFolder: what another user has left in a folder as /tmp is found before anything is written, with a hint
// that helps: the folder is writable, the file cannot be replaced.
func TestStickyFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make it")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "a.csv")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(folder, 0o777|fs.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	openFolders(t, folder)
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
	if got := names(t, folder); len(got) != 1 {
		t.Errorf("left %q", got)
	}
	stale := filepath.Join(folder, ".b.csv.rollcall-abcdefg234.tmp") // of a run of root's that was killed
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := asUser(t, 4321, func() error { return RemoveStale(filepath.Join(folder, "b.csv")) }); err != nil {
		t.Errorf("RemoveStale: got %v, want that the file of another user stays, and no error", err)
	}
	if _, err := os.Stat(stale); err != nil {
		t.Error(err)
	}
}

// asUser calls f as another effective user, of all threads.
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

// TestMountedFile: a file that is mounted by itself cannot be replaced, which only the last rename would tell.
func TestMountedFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "out.csv")
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
	script := `mount --bind "$ROLLCALL_TEST_FOLDER/out.csv" "$ROLLCALL_TEST_FOLDER/out.csv" || exit 42; exec "$0"`
	cmd := command(t, "unshare", "publish", folder)
	cmd.Args = []string{"unshare", "-m", "sh", "-c", script, os.Args[0]}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || strings.Contains(string(out), "unshare") {
		t.Skipf("no mounts here: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "create "+path+": device or resource busy") {
		t.Errorf("got %q, want that it is busy, before anything is written", out)
	}
	if got := names(t, folder); len(got) != 1 {
		t.Errorf("left %q", got)
	}
}

// TestTry leaves nothing, and finds what CreateTemp finds.
func TestTry(t *testing.T) {
	folder := t.TempDir()
	if err := CheckWritable(filepath.Join(folder, "a.json")); err != nil {
		t.Error(err)
	}
	if err := CheckWritable(folder); err == nil {
		t.Error("a folder: no error")
	}
	if err := CheckWritable(filepath.Join(folder, strings.Repeat("x", 256))); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("a name that is too long: %v, want ENAMETOOLONG", err)
	}
	if got := names(t, folder); len(got) != 0 {
		t.Errorf("left %q", got)
	}
}
