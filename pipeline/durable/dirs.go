package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// DirsBelow returns the directories below base down to dir, the outermost first.
func DirsBelow(base, dir string) (dirs []string, err error) {
	base = filepath.Clean(base)
	for dir = filepath.Clean(dir); dir != base; dir = filepath.Dir(dir) {
		if filepath.Dir(dir) == dir || filepath.Base(dir) == ".." {
			return nil, fmt.Errorf("internal error: %s is not in %s", dir, base)
		}
		dirs = append([]string{dir}, dirs...)
	}
	return dirs, nil
}

// MakeDir makes a directory, unless it is there, and makes its name survive a power loss.
func MakeDir(dir string) (made bool, err error) {
	if err = beforeOp("mkdir", dir, nil); err == nil {
		err = os.Mkdir(dir, 0o777) // less the umask
	}
	if errors.Is(err, fs.ErrExist) {
		if info, serr := os.Stat(dir); serr != nil || !info.IsDir() {
			return false, fmt.Errorf("create the directory %s: there is a file of that name", dir)
		}
		return false, SyncDir(dir) // a process that was killed may not have come so far
	}
	if err != nil {
		return false, WrapError("create the directory", dir, err)
	}
	return true, SyncDir(dir)
}

// RemoveEmptyDir removes a directory if it is empty. It is not an error if it is not, or if there is none.
func RemoveEmptyDir(dir string) (removed bool, err error) {
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || !isEmpty(dir) { // a link to a directory stays
		return false, nil
	}
	if err = beforeOp("rmdir", dir, nil); err == nil {
		err = os.Remove(dir)
	}
	switch {
	case err == nil:
		return true, SyncDir(dir)
	case errors.Is(err, fs.ErrNotExist), !isEmpty(dir): // somebody else was faster
		return false, nil
	}
	return false, WrapError("remove the directory", dir, err)
}

// isEmpty reports whether dir is a directory without entries that can be read.
func isEmpty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	names, err := f.Readdirnames(1)
	return len(names) == 0 && err == io.EOF
}
