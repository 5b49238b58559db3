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

// SyncDir makes created, renamed and removed names in the directory of path survive a power loss. A file system that
// cannot sync a directory (CIFS, some of FUSE) returns EINVAL or ENOTSUP; SyncDir then does nothing.
func SyncDir(path string) error {
	err := beforeOp("syncdir", path, nil)
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return WrapError("publish", path, err)
}

// Remove removes the file. It is not an error if there is no such file.
func Remove(path string) error { return removeName(path, os.Remove) }

func removeName(path string, remove func(string) error) error {
	err := beforeOp("remove", path, nil)
	if err == nil {
		err = remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return WrapError("remove", path, err)
}

// Exists reports whether something has that name, even a dangling link.
func Exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, WrapError("stat", path, err)
	}
	return true, nil
}

// WriteFile writes data to the named file like an output: the file appears whole or not at all, and survives a power
// loss.
func WriteFile(path string, data []byte) error {
	t, err := WriteTemp(path, data)
	if err != nil {
		return err
	}
	if err := t.Rename(); err != nil {
		return errors.Join(err, t.Remove())
	}
	return t.SyncDir()
}

// WriteTemp writes and syncs data under a temporary name beside path, for the caller to rename.
func WriteTemp(path string, data []byte) (*Temp, error) {
	t, err := CreateTemp(path, 0o666)
	if err != nil {
		return nil, err
	}
	_, err = t.Write(data)
	if err == nil {
		err = t.Sync()
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return nil, errors.Join(WrapError("write", path, err), t.Remove())
	}
	return t, nil
}

// WrapError returns an error "verb name: cause", where name is the name that the user gave instead of the temporary
// one, with a hint if there is something the user can do. A nil err stays nil.
func WrapError(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		cause = e.Err
	}
	cause = systemError(cause)
	wrapped := fmt.Errorf("%s %s: %w", verb, name, cause)
	dir := filepath.Dir(name)
	switch {
	case pipeline.Hint(cause) != "":
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return pipeline.WithHint(wrapped, "free some space there, or write the output to another disk")
	case errors.Is(cause, syscall.EFBIG):
		return pipeline.WithHint(wrapped, "raise the limit on file sizes (ulimit -f), or write the output to another disk")
	case errors.Is(cause, fs.ErrNotExist) && isDir(dir):
		return pipeline.WithHint(wrapped, "a hidden file of the run is gone from "+dir+": does something clean it?")
	case errors.Is(cause, fs.ErrNotExist):
		return pipeline.WithHint(wrapped, "create the directory first: mkdir -p "+dir)
	case errors.Is(cause, syscall.EBUSY):
		return pipeline.WithHint(wrapped, busyHint)
	case errors.Is(cause, fs.ErrPermission), errors.Is(cause, syscall.EROFS):
		if info, lerr := os.Lstat(name); lerr == nil && !mayRemove(name, info) {
			return pipeline.WithHint(wrapped, fmt.Sprintf("it belongs to user %d, and only that user can replace or remove "+
				"it in %s (sticky bit)",
				ownerOf(info), dir))
		}
		return pipeline.WithHint(wrapped, "the directory must be writable, not just the file: "+dir)
	case errors.Is(cause, syscall.EXDEV), errors.Is(cause, syscall.ENOSYS), errors.Is(cause, syscall.ENOTSUP):
		return pipeline.WithHint(wrapped, "files cannot be renamed there: write to a local disk, and copy them")
	case errors.Is(cause, syscall.EMFILE), errors.Is(cause, syscall.ENFILE):
		return pipeline.WithHint(wrapped, "raise the limit on open files (ulimit -n)")
	}
	return wrapped
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// The operations on open files. They return the errors of the system: the caller knows which name to report.

func writeBytes(f *os.File, p []byte) (int, error) {
	half := 0
	if err := beforeOp("write", f.Name(), func() { half, _ = f.Write(p[:len(p)/2]) }); err != nil {
		return half, err
	}
	return f.Write(p)
}

func syncFile(f *os.File) error {
	if err := beforeOp("sync", f.Name(), nil); err != nil {
		return err
	}
	return f.Sync()
}

// closeFile closes f even if a fault is injected: close(2) releases the descriptor even when it fails.
func closeFile(f *os.File) error {
	return errors.Join(beforeOp("close", f.Name(), nil), f.Close())
}
