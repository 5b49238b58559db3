package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Temp is a file that has not got its name yet. It is used from one goroutine. The errors of Write, Sync and
// Close are the system's: word them with [WrapError].
type Temp struct {
	f          *os.File
	temp, path string
	mode       fs.FileMode // once it is complete
}

// CreateTemp creates the temporary file of path, in the same folder, because a rename can't leave the file
// system. It finds out early what would keep the last rename from working, and tries one.
//
// The file has the mode, less the umask, once Close has completed it. Before, and if the process is killed, only
// its owner can read it.
func CreateTemp(path string, mode fs.FileMode) (*Temp, error) {
	path = filepath.Clean(path)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, WrapError("create", path, err)
	case info.IsDir():
		return nil, fmt.Errorf("create %s: it is a folder", path)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, pipeline.WithHint(fmt.Errorf("create %s: it is a symbolic link, which the rename would replace", path),
			"name the file that it points to")
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("create %s: it is not a regular file", path)
	case isMountPoint(path):
		return nil, WrapError("create", path, syscall.EBUSY)
	case !mayRemove(path, info):
		return nil, WrapError("create", path, syscall.EPERM)
	}

	temp := tempName(path)
	if err := op("create", temp, nil); err != nil {
		return nil, WrapError("create", path, err)
	}
	// O_EXCL refuses whatever is there, a symbolic link included, dangling or not (POSIX, open), so nobody
	// who may write to the folder can lead us elsewhere.
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, WrapError("create", path, err)
	}
	t := &Temp{f: f, temp: temp, path: path}
	if info, err = f.Stat(); err != nil {
		return nil, errors.Join(WrapError("create", path, err), f.Close(), t.Remove())
	}
	t.mode = info.Mode().Perm()
	_ = f.Chmod(t.mode & 0o600) // a file system without modes cannot keep anybody off
	if err := t.tryRename(); err != nil {
		return nil, errors.Join(WrapError("create", path, err), f.Close(), t.Remove())
	}
	return t, nil
}

// tryRename gives the file another temporary name.
func (t *Temp) tryRename() error {
	to := tempName(t.path)
	if err := op("rename", to, nil); err != nil {
		return err
	}
	if err := renameNoReplace(t.temp, to); err != nil {
		return err
	}
	t.temp = to
	return nil
}

// CheckWritable finds out whether path can be written and renamed there, and leaves nothing.
func CheckWritable(path string) error {
	t, err := CreateTemp(path, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(WrapError("create", path, t.Close()), t.Remove())
}

// Name is the temporary name. It is no longer there after Rename.
func (t *Temp) Name() string { return t.temp }

// Write appends p.
func (t *Temp) Write(p []byte) (int, error) { return write(t.f, p) }

// Sync makes what was written survive a power loss.
func (t *Temp) Sync() error { return syncFile(t.f) }

// Close releases the file; it is still there under its temporary name.
func (t *Temp) Close() error {
	_ = t.f.Chmod(t.mode)
	return closeFile(t.f)
}

// Rename gives the file its name, replacing what has it; mode, owner and group are those of what is replaced.
func (t *Temp) Rename() error {
	if err := Inherit(t.temp, t.path); err != nil {
		return err
	}
	return Rename(t.temp, t.path)
}

// SyncDir makes the name survive a power loss.
func (t *Temp) SyncDir() error { return SyncDir(t.path) }

// Remove removes the file under its temporary name. Once renamed it has none, and stays.
func (t *Temp) Remove() error { return Remove(t.temp) }
