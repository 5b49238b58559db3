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

// SyncDir makes what happened to names in the folder of path survive a power loss. A file system that cannot
// sync a folder (CIFS, some of FUSE) answers EINVAL or ENOTSUP: there is nothing else to do there.
func SyncDir(path string) error {
	err := op("syncdir", path, nil)
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return WrapError("publish", path, err)
}

func syncDir(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Remove removes the file; one that is not there is fine.
func Remove(path string) error {
	err := op("remove", path, nil)
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return WrapError("remove", path, err)
}

// Exists reports whether there is something under that name, were it a dangling link.
func Exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, WrapError("look at", path, err)
	}
	return true, nil
}

// WriteFile publishes data under that name as outputs are: whole or not at all, and there after a power loss.
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

// WriteTemp writes data, to the disk, under a temporary name beside path, for the caller to rename.
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

const mountedHint = "it is mounted by itself, as a container's -v FILE:FILE does: mount its folder instead"

// WrapError is err about that file: with the name that the user gave instead of the temporary one, and with
// what to do about it. A nil err stays nil.
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
	wrapped := fmt.Errorf("%s %s: %w", verb, name, cause)
	folder := filepath.Dir(name)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return pipeline.WithHint(wrapped, "free some space there, or write the output to another disk")
	case errors.Is(err, syscall.EFBIG):
		return pipeline.WithHint(wrapped, "raise the limit on file sizes (ulimit -f), or write the output to another disk")
	case errors.Is(err, fs.ErrNotExist) && isFolder(folder):
		return pipeline.WithHint(wrapped, "a hidden file of the run is gone from "+folder+": does something clean it?")
	case errors.Is(err, fs.ErrNotExist):
		return pipeline.WithHint(wrapped, "create the folder first: mkdir -p "+folder)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		if info, lerr := os.Lstat(name); lerr == nil && !mayRemove(name, info) {
			return pipeline.WithHint(wrapped, fmt.Sprintf("it belongs to user %d, and only that user can replace or remove it in %s (sticky bit)",
				ownerOf(info), folder))
		}
		return pipeline.WithHint(wrapped, "the folder must be writable, not just the file: "+folder)
	case errors.Is(err, syscall.EBUSY):
		return pipeline.WithHint(wrapped, mountedHint)
	case errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOTSUP):
		return pipeline.WithHint(wrapped, "files cannot be renamed there: write to a local disk, and copy them")
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return pipeline.WithHint(wrapped, "raise the limit on open files (ulimit -n)")
	}
	return wrapped
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// The operations on open files. Their errors are as the system gave them: the caller knows the name to say.

func write(f *os.File, p []byte) (int, error) {
	half := 0
	if err := op("write", f.Name(), func() { half, _ = f.Write(p[:len(p)/2]) }); err != nil {
		return half, err
	}
	return f.Write(p)
}

func syncFile(f *os.File) error {
	if err := op("sync", f.Name(), nil); err != nil {
		return err
	}
	return f.Sync()
}

// closeFile closes f in any case: an error of the hook, too, stands for a close that has happened (close(2): the
// descriptor is released even when it fails).
func closeFile(f *os.File) error {
	return errors.Join(op("close", f.Name(), nil), f.Close())
}
