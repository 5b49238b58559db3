//go:build unix

package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestCreateTempRefusesWhatARenameWouldSpoil(t *testing.T) {
	dir := t.TempDir()
	link, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.Symlink("nowhere", link), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir: "a directory", link: "a symbolic link", pipe: "not a regular file"} {
		if _, err := CreateTemp(path, 0o666); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if got := listFiles(t, dir); len(got) != 2 {
		t.Errorf("left %q", got)
	}
}

// TestSyncsAreReal: the kernel is asked, not just the hook. It has no way to sync a pipe, or a directory of /proc.
func TestSyncsAreReal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := syncFile(w); err == nil {
		t.Error("sync of a pipe: no error")
	}
	if err := (&Log{w}).Datasync(); err == nil {
		t.Error("datasync of a pipe: no error")
	}
	if err := (&Temp{f: w}).Sync(); err == nil {
		t.Error("sync of a temporary pipe: no error")
	}
	if err := closeFile(w); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := closeFile(w); err == nil {
		t.Error("a second close: no error")
	}
	if _, err := os.Stat("/proc/self"); err == nil {
		if err := syncDir("/proc/self"); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("sync of /proc/self: %v, want EINVAL", err)
		}
		if err := SyncDir("/proc/self/x"); err != nil {
			t.Errorf("a file system that cannot sync directories: %v, want no error", err)
		}
	}
}

func TestLogIsARegularFile(t *testing.T) {
	dir := t.TempDir()
	target, link, pipe := filepath.Join(dir, "target"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	err := errors.Join(os.WriteFile(target, nil, 0o600), os.Symlink(target, link), syscall.Mkfifo(pipe, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, pipe, dir} {
		if log, err := OpenLog(path, true); err == nil {
			log.Close()
			t.Errorf("%s was opened", path)
		}
	}
}

func TestExists(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{dir: true, link: true, filepath.Join(dir, "x"): false} {
		if got, err := Exists(path); got != want || err != nil {
			t.Errorf("Exists(%s) = %v, %v; want %v", path, got, err, want)
		}
	}
	if _, err := Exists(strings.Repeat("x", 5000)); err == nil {
		t.Error("Exists of a name that is too long has no error")
	}
}
