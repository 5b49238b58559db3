package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Rename renames the file and replaces one that has the new name. The new name survives a power loss only after
// [SyncDir].
func Rename(from, to string) error {
	err := beforeOp("rename", to, nil)
	if err == nil {
		err = replaceFile(from, to)
	}
	return WrapError("publish", to, err)
}

// renameNew renames the file, and returns [fs.ErrExist] if something has the new name. Linux and Windows do this in one
// step. On other systems, and on file systems that cannot, a file that appears at the last moment is replaced.
func renameNew(from, to string) error {
	err := beforeOp("rename", to, nil)
	if err == nil {
		err = renameNoReplace(from, to)
	}
	return WrapError("publish", to, err)
}

// Publish gives a complete temporary file its final name and makes that survive a power loss. With replace, it replaces
// a file that has the name and keeps its mode, owner and group; without, such a file is an [fs.ErrExist].
func Publish(temp, path string, replace bool) error {
	var err error
	if !replace {
		err = renameNew(temp, path)
	} else if err = Inherit(temp, path); err == nil {
		err = Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return SyncDir(path)
}

// renameIfAbsent is renameNoReplace for systems and file systems without such an operation.
func renameIfAbsent(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return syscall.EEXIST
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

// Inherit gives the temporary file the mode, owner and group of the file that it is about to replace. If this process
// may not change the owner or group, they stay as they are; a different group then gets no more permissions than
// others have. If there is nothing to replace, Inherit does nothing.
func Inherit(temp, path string) error {
	old, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !isTrusted(path, old) {
		return nil
	}
	if err == nil {
		err = beforeOp("inherit", temp, nil)
	}
	if err == nil {
		err = keepAccess(temp, path, old)
	}
	return WrapError("publish", path, err)
}

// isTrusted reports whether the mode and owner of the file may be kept: it must be a regular file and, in a directory
// with the sticky bit such as /tmp, belong to us or to the owner of the directory. Otherwise anybody could put a file
// there to become the owner of our output.
func isTrusted(path string, old fs.FileInfo) bool {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil || !old.Mode().IsRegular() {
		return false
	}
	return dir.Mode()&fs.ModeSticky == 0 || ownerOf(old) == os.Geteuid() || ownerOf(old) == ownerOf(dir)
}
