package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// TestNamesOfErrors: an error of Windows is the one of Unix that the rest of the module knows, keeps its text, and has
// that hint.
func TestNamesOfErrors(t *testing.T) {
	for errno, want := range errnos {
		t.Run(want.Error(), func(t *testing.T) {
			err := WrapError("write", "out.csv", &fs.PathError{Op: "write", Path: ".out.csv.tmp", Err: errno})
			if !errors.Is(err, want) || !errors.Is(err, errno) || err.Error() != "write out.csv: "+errno.Error() {
				t.Errorf("%v: got %v, want the same and %v", errno, err, want)
			}
			if asUnix := WrapError("write", "out.csv", want); pipeline.Hint(err) != pipeline.Hint(asUnix) {
				t.Errorf("%v: got hint %q, want %q", errno, pipeline.Hint(err), pipeline.Hint(asUnix))
			}
		})
	}
}

// TestReplaceWhatIsOpen: a program that has the output open is found before the run begins, and again at its end. It
// depends on the version of Windows whether one harms that shares the right to replace the file.
func TestReplaceWhatIsOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.csv")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	temp, err := WriteTemp(path, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path) // which does not share the right to replace it
	if err != nil {
		t.Fatal(err)
	}
	for name, replace := range map[string]func() error{
		"CreateTemp": func() error { _, err := CreateTemp(path, 0o666); return err },
		"Rename":     temp.Rename,
	} {
		if err := replace(); !errors.Is(err, syscall.EBUSY) || pipeline.Hint(err) != busyHint ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v with hint %q, want EBUSY with hint %q", name, err, pipeline.Hint(err), busyHint)
		}
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if err := temp.Rename(); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
	if got, err := os.ReadFile(path); string(got) != "new" || err != nil {
		t.Errorf("the file has %q, %v; want new", got, err)
	}
	if got := listFiles(t, dir); len(got) != 1 {
		t.Errorf("left %q", got)
	}
}

func TestReplaceReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	if err := os.WriteFile(path, []byte("old"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateTemp(path, 0o666); !errors.Is(err, fs.ErrPermission) ||
		!strings.Contains(pipeline.Hint(err), "attrib -r") {
		t.Errorf("got %v with hint %q, want what to do", err, pipeline.Hint(err))
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRenameNew: nothing that has the new name is replaced.
func TestRenameNew(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := errors.Join(os.WriteFile(from, []byte("new"), 0o600), os.WriteFile(to, []byte("old"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := renameNew(from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a file: got %v, want ErrExist", err)
	}
	if got, err := os.ReadFile(to); string(got) != "old" {
		t.Errorf("the file has %q, %v; want old", got, err)
	}
	if err := errors.Join(os.Remove(to), renameNew(from, to)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); string(got) != "new" {
		t.Errorf("the file has %q, %v; want new", got, err)
	}
	if err := renameNew(from, filepath.Join(dir, "other")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("from a name that is not there: got %v, want ErrNotExist", err)
	}
}

// TestLogCanBeReadWhileLocked: the lock is beyond the content, which clean and the next run look at.
func TestLogCanBeReadWhileLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := OpenLog(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	f, err := OpenOurs(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); string(got) != "content" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestPrivateFiles: of a log, nobody else may read anything.
func TestPrivateFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := OpenLog(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if mode, ours, err := AccessTo(log.f); mode != 0o600 || !ours || err != nil {
		t.Errorf("got %04o, ours: %v, %v; want 0600 and true", mode, ours, err)
	}
}

// TestAccessTo reads the lists that Windows gives files, and that icacls makes.
func TestAccessTo(t *testing.T) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	me := "(A;;FA;;;" + user.User.Sid.String() + ")(A;;FA;;;SY)(A;;FA;;;BA)"
	for _, tt := range []struct {
		name, list string
		want       fs.FileMode
	}{
		{"private", "D:P" + me, 0o600},
		{"read by all", "D:P" + me + "(A;;FR;;;WD)", 0o644},
		{"read by users", "D:P" + me + "(A;;0x1200a9;;;BU)", 0o644},
		{"changed by who is logged in", "D:P" + me + "(A;;0x1301bf;;;AU)", 0o666},
		{"only for files below", "D:P" + me + "(A;OICIIO;FA;;;WD)", 0o600},
		{"denied", "D:P(D;;FA;;;WD)" + me, 0o600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			descriptor, err := windows.SecurityDescriptorFromString(tt.list)
			if err != nil {
				t.Fatal(err)
			}
			if mode, err := modeOf(descriptor, user.User.Sid); mode != tt.want || err != nil {
				t.Errorf("%s: got %04o, %v; want %04o", tt.list, mode, err, tt.want)
			}
		})
	}
}

// TestPlantedFiles: what somebody else may have put under the name of a journal.
func TestPlantedFiles(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{"our own", func(path string) error { return os.WriteFile(path, nil, 0o600) }, ""},
		{"a hard link", func(path string) error {
			return errors.Join(os.WriteFile(path+".other", nil, 0o600), os.Link(path+".other", path))
		}, "it has 2 names"},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".a.csv.rollcall")
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			log, err := OpenLog(path, true)
			if err == nil {
				err = log.Close()
			}
			for name, err := range map[string]error{"OpenLog": err, "CheckOurs": CheckOurs(path, info)} {
				if (err == nil) != (tt.want == "") || err != nil && (!errors.Is(err, ErrNotOurs) ||
					!strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%s: got %v, want %q", name, err, tt.want)
				}
			}
		})
	}
}

func TestCreateUnnamed(t *testing.T) {
	f, err := CreateUnnamed()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(f.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v, want that it is gone", err)
	}
}
