package sinks

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// tempFile is a file that has not got its name yet.
type tempFile struct {
	*os.File
	temp, path string
}

// createTemp creates the temporary file of path, in the same folder, because a rename can't leave the file
// system. It finds out early what would keep the rename from working.
func createTemp(path string, mode fs.FileMode) (*tempFile, error) {
	path = filepath.Clean(path)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fileError("create", path, err)
	case info.IsDir():
		return nil, fmt.Errorf("create %s: it is a folder", path)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, pipeline.WithHint(fmt.Errorf("create %s: it is a symbolic link, which the rename would replace", path),
			"name the file that it points to")
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("create %s: it is not a regular file", path)
	}

	folder, name := filepath.Split(path)
	name = name[:min(len(name), 200)] // most file systems take 255 bytes
	temp := folder + "." + name + ".rollcall-" + strings.ToLower(rand.Text()[:10]) + ".tmp"
	// O_EXCL refuses whatever is there, a symbolic link included, dangling or not (POSIX, open), so nobody
	// who may write to the folder can lead us elsewhere.
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, fileError("create", path, err)
	}
	return &tempFile{f, temp, path}, nil
}

// rename gives the file its name.
func (t *tempFile) rename() error { return fileError("publish", t.path, os.Rename(t.temp, t.path)) }

// syncFolder makes the name survive a power loss.
func (t *tempFile) syncFolder() error {
	folder, err := os.Open(filepath.Dir(t.path))
	if err == nil {
		err = errors.Join(folder.Sync(), folder.Close())
	}
	return fileError("publish", t.path, err)
}

func (t *tempFile) remove() error {
	if err := os.Remove(t.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove temporary file: %w", err)
	}
	return nil
}

// Exists reports whether there is something under that name, were it a dangling link.
func Exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fileError("look at", path, err)
	}
	return true, nil
}

// fileError is err about that output: with the name that the user gave instead of the temporary one, and with
// what to do about it. A nil err stays nil.
func fileError(verb, name string, err error) error {
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
	case errors.Is(err, fs.ErrNotExist):
		return pipeline.WithHint(wrapped, "create the folder first: mkdir -p "+folder)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return pipeline.WithHint(wrapped, "the folder must be writable, not just the file: "+folder)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return pipeline.WithHint(wrapped, "raise the limit on open files (ulimit -n)")
	}
	return wrapped
}

// WriteFile publishes data under that name as outputs are: whole or not at all, and there after a power loss.
func WriteFile(path string, data []byte) error {
	f, err := createTemp(path, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = f.rename()
	}
	if err != nil {
		return errors.Join(fileError("write", path, err), f.remove())
	}
	return f.syncFolder()
}
