package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// ErrNotOurs says that somebody else may have made a hidden file (a journal, a lock, a copy of standard input). Such a
// file is not read, written or followed.
var ErrNotOurs = errors.New("it is not ours")

// CheckOurs refuses a file that somebody else may have made or changed: it must be a regular file with one name,
// belong to the user who runs this process, and be writable by nobody else. info comes from the open file or from
// [os.Lstat]. The error wraps [ErrNotOurs].
//
// A file system without owners and modes (vfat, CIFS, NFS for root) shows the same ones for all files. There, a
// file is ours if it has the same owner and mode as a file that this process creates beside it.
//
// On Windows, CheckOurs does not look at who else may write to the file: by default that is who may write to its
// directory.
func CheckOurs(path string, info fs.FileInfo) error { return checkFile(path, nil, info) }

// checkFile is CheckOurs; f is the open file, or nil.
func checkFile(path string, f *os.File, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return newNotOursError(path, "it is a symbolic link")
	case !info.Mode().IsRegular():
		return newNotOursError(path, "it is not a regular file")
	}
	return checkOwner(path, f, info)
}

func newNotOursError(path, reason string) error {
	err := fmt.Errorf("%s: %w: %s", path, ErrNotOurs, reason)
	if info, lerr := os.Lstat(path); lerr == nil && !mayRemove(path, info) {
		return pipeline.WithHint(err, "only its owner can remove it from this directory; write to another directory")
	}
	return pipeline.WithHint(err, "remove it if nobody needs it (rm "+path+"), or write to another directory")
}

// mayRemove reports whether this process may remove or replace the file. In a directory with the sticky bit, such as
// /tmp, only the owner of the file, the owner of the directory and root may.
func mayRemove(path string, info fs.FileInfo) bool {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil || dir.Mode()&fs.ModeSticky == 0 || os.Geteuid() == 0 {
		return true
	}
	return ownerOf(info) == os.Geteuid() || ownerOf(dir) == os.Geteuid()
}

// OpenOurs opens a file for reading that a process of the same user has made: see [CheckOurs].
// If there is no such file, it returns [fs.ErrNotExist]. It follows no symbolic link and waits for no pipe.
func OpenOurs(path string) (*os.File, error) {
	f, err := openFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = checkFile(path, f, info)
	}
	if err != nil {
		f.Close() // only read
		return nil, fmt.Errorf("open %w", err)
	}
	return f, nil
}

// openError returns the error for a file that should be ours and could not be opened. If the file is not ours, that is
// the reason it gives.
func openError(path string, err error) error {
	if info, lerr := os.Lstat(path); lerr == nil {
		if ours := CheckOurs(path, info); ours != nil {
			return fmt.Errorf("open %w", ours)
		}
	}
	return WrapError("open", path, err)
}
