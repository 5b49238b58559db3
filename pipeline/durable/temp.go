package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Temp is a file that does not have its final name yet. It is used from one goroutine. Write, Sync and
// Close return the errors of the system: pass them to [WrapError].
type Temp struct {
	f          *os.File
	temp, path string
	mode       fs.FileMode // once it is complete
}

// CreateTemp creates the temporary file of path, in the same directory, because a rename cannot cross file
// systems. It checks for problems with the last rename, and tries one.
//
// The file gets the mode, less the umask, when Close completes it. Before that, or if the process is killed, only
// its owner can read it.
func CreateTemp(path string, mode fs.FileMode) (*Temp, error) {
	path = filepath.Clean(path)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, WrapError("create", path, err)
	case info.IsDir():
		return nil, fmt.Errorf("create %s: it is a directory", path)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, pipeline.WithHint(fmt.Errorf("create %s: it is a symbolic link, which the rename would replace", path),
			"name the file that it points to")
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("create %s: it is not a regular file", path)
	default:
		if err := checkReplaceable(path, info); err != nil {
			return nil, WrapError("create", path, err)
		}
	}

	temp := tempName(path)
	if err := beforeOp("create", temp, nil); err != nil {
		return nil, WrapError("create", path, err)
	}
	// O_EXCL refuses anything that has the name, even a dangling symbolic link (POSIX, open), so nobody
	// who may write to the directory can redirect us.
	f, err := openFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, WrapError("create", path, err)
	}
	t := &Temp{f: f, temp: temp, path: path}
	if info, err = f.Stat(); err != nil {
		return nil, errors.Join(WrapError("create", path, err), f.Close(), t.Remove())
	}
	t.mode = info.Mode().Perm()
	_ = f.Chmod(t.mode & 0o600) // fails on a file system without modes
	if err := t.tryRename(); err != nil {
		return nil, errors.Join(WrapError("create", path, err), f.Close(), t.Remove())
	}
	return t, nil
}

// tryRename gives the file another temporary name.
func (t *Temp) tryRename() error {
	to := tempName(t.path)
	if err := beforeOp("rename", to, nil); err != nil {
		return err
	}
	if err := renameNoReplace(t.temp, to); err != nil {
		return err
	}
	t.temp = to
	return nil
}

// CheckWritable checks that path can be created and replaced. It leaves no file.
func CheckWritable(path string) error {
	t, err := CreateTemp(path, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(WrapError("create", path, t.Close()), t.Remove())
}

// Name returns the temporary name. No file has it after Rename.
func (t *Temp) Name() string { return t.temp }

// Write appends p.
func (t *Temp) Write(p []byte) (int, error) { return writeBytes(t.f, p) }

// Sync makes the content of the file survive a power loss.
func (t *Temp) Sync() error { return syncFile(t.f) }

// Close closes the file, which keeps its temporary name.
func (t *Temp) Close() error {
	_ = t.f.Chmod(t.mode)
	return closeFile(t.f)
}

// Rename gives the file its final name. If it replaces a file, it keeps that file's mode, owner and group.
func (t *Temp) Rename() error {
	if err := Inherit(t.temp, t.path); err != nil {
		return err
	}
	return Rename(t.temp, t.path)
}

// SyncDir makes the final name survive a power loss.
func (t *Temp) SyncDir() error { return SyncDir(t.path) }

// Remove removes the file with the temporary name. After Rename there is none, and Remove does nothing.
func (t *Temp) Remove() error { return Remove(t.temp) }
