package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// TestMain is also the program that the tests of locks and faults run: this binary with ROLLCALL_TEST_CHILD set.
func TestMain(m *testing.M) {
	dir := os.Getenv("ROLLCALL_TEST_DIR")
	switch os.Getenv("ROLLCALL_TEST_CHILD") {
	case "":
		os.Exit(m.Run())
	case "lock": // until it is killed
		if _, err := OpenLog(filepath.Join(dir, "log"), true); err != nil {
			panic(err)
		}
		os.Stdout.WriteString("locked\n")
		io.Copy(io.Discard, os.Stdin)
	case "publish":
		if err := WriteFile(filepath.Join(dir, "out.csv"), []byte("new content")); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
	case "log":
		if err := useLog(filepath.Join(dir, "log")); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
	}
}

// isUnix tells where files have modes.
const isUnix = runtime.GOOS != "windows"

func useLog(path string) error {
	log, err := OpenLog(path, true)
	if err != nil {
		return err
	}
	defer log.Close()
	if _, err := log.Write([]byte("0123456789")); err != nil {
		return err
	}
	if err := log.Datasync(); err != nil {
		return err
	}
	if err := log.Truncate(4); err != nil {
		return err
	}
	return log.Remove()
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "manifest.json")
	for _, want := range []string{"one", "another"} {
		if err := WriteFile(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != want || err != nil {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
	}
	if got := listFiles(t, dir); !slices.Equal(got, []string{"manifest.json"}) {
		t.Errorf("left %q", got)
	}
	missing := filepath.Join(dir, "no", "x")
	if err := WriteFile(missing, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) ||
		pipeline.Hint(err) == "" {
		t.Errorf("into a missing directory: %v", err)
	}
}

// TestTemp: nothing under the final name before Rename; and Remove takes the temporary name alone.
func TestTemp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, strings.Repeat("n", 251)+".csv") // the temporary name must fit where the final one does
	temp, err := CreateTemp(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(temp.Name()); err != nil || isUnix && info.Mode().Perm() != 0o600 {
		t.Errorf("temporary file: %v, %v; want mode 0600", info, err)
	}
	if _, err := temp.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(temp.Sync(), temp.Close()); err != nil {
		t.Fatal(err)
	}
	if ok, err := Exists(path); ok || err != nil {
		t.Errorf("before rename: Exists = %v, %v", ok, err)
	}
	if err := errors.Join(temp.Rename(), temp.SyncDir(), temp.Remove()); err != nil {
		t.Fatal(err)
	}
	if got := listFiles(t, dir); !slices.Equal(got, []string{filepath.Base(path)}) {
		t.Errorf("the directory has %q", got)
	}
}

func TestErrors(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.EROFS,
		syscall.EMFILE, syscall.ENFILE,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			err := WrapError("write", "out/users.csv", &fs.PathError{Op: "write", Path: "out/.users.csv.rollcall-x.tmp",
				Err: errno})
			if got, want := err.Error(), "write out/users.csv: "+errno.Error(); got != want {
				t.Errorf("%v: %q, want %q", errno, got, want)
			}
			if !errors.Is(err, errno) || pipeline.Hint(err) == "" {
				t.Errorf("%v: wrapped as %v with hint %q", errno, err, pipeline.Hint(err))
			}
		})
	}
	if err := WrapError("write", "x", syscall.EIO); pipeline.Hint(err) != "" {
		t.Errorf("EIO has the hint %q", pipeline.Hint(err))
	}
	if err := WrapError("write", "x", nil); err != nil {
		t.Errorf("nil became %v", err)
	}
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if _, err := OpenLog(path, false); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open what is not there: %v", err)
	}
	log, err := OpenLog(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || isUnix && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	for _, create := range []bool{true, false} {
		if _, err := OpenLog(path, create); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
			t.Errorf("open again: %v, want ErrLocked", err)
		}
	}
	if _, err := log.Write([]byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.Datasync(), log.Truncate(4)); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := log.ReadAt(got, 2); err != nil || string(got) != "23abc" {
		t.Errorf("read %q, %v; want 23abc", got, err)
	}
	if size, err := log.Size(); size != 7 || err != nil {
		t.Errorf("size %d, %v; want 7", size, err)
	}
	if err := log.Remove(); err != nil {
		t.Fatal(err)
	}
	other, err := OpenLog(path, true)
	if err != nil {
		t.Fatalf("open after remove: %v", err)
	}
	if ok, err := isCurrent(log.f, path); ok || err != nil {
		t.Errorf("the removed file is current: %v, %v", ok, err)
	}
	if ok, err := isCurrent(other.f, path); !ok || err != nil {
		t.Errorf("the new file is not current: %v, %v", ok, err)
	}
	if err := errors.Join(other.Close(), log.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := OpenLog(path, false)
	if err != nil {
		t.Fatalf("open after close: %v", err)
	}
	again.Close()
}

// TestLockIsOfTheFileThatHasTheName: who opens a file just before its owner removes it must not end up with the lock
// of a file that nobody else can see.
func TestLockIsOfTheFileThatHasTheName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 300 {
				log, err := OpenLog(path, true)
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if current, err := isCurrent(log.f, path); !current || err != nil {
					t.Errorf("locked, and not the file of that name: %v", err)
				}
				if err := errors.Join(log.Remove(), log.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// TestLockGoesWithTheProcess, even one that is killed.
func TestLockGoesWithTheProcess(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	child := childCommand(t, os.Args[0], "lock", dir)
	stdin, err := child.StdinPipe() // ends with this process, and the child with it
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, len("locked\n"))); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(path, false); !errors.Is(err, ErrLocked) {
		t.Errorf("while the other process lives: %v, want ErrLocked", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	log, err := OpenLog(path, false)
	if err != nil {
		t.Fatalf("after it was killed: %v", err)
	}
	log.Close()
}

func childCommand(t *testing.T, binary, child, dir string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), append(env, "ROLLCALL_TEST_CHILD="+child, "ROLLCALL_TEST_DIR="+dir)...)
	return cmd
}

func listFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// skipWithoutLinks ends a test where a symbolic link that was just made is none, as with Wine.
func skipWithoutLinks(t *testing.T, link string) {
	t.Helper()
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Skip("there are no symbolic links here")
	}
}
