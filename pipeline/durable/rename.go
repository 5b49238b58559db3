package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Rename gives the file its new name, which may be taken by an older file: that one goes. Only [SyncDir]
// makes it last.
func Rename(from, to string) error {
	err := op("rename", to, nil)
	if err == nil {
		err = os.Rename(from, to)
	}
	return WrapError("publish", to, err)
}

// renameNew gives the file its new name if nothing has it; else it is an [fs.ErrExist]. Linux does this in one step.
// Elsewhere, and on file systems that cannot, something that appears in the last moment is replaced.
func renameNew(from, to string) error {
	err := op("rename", to, nil)
	if err == nil {
		err = renameNoReplace(from, to)
	}
	return WrapError("publish", to, err)
}

// Publish gives a complete temporary file its name, for good. What has the name is replaced only if the caller says so,
// and leaves its mode, owner and group; else it is an [fs.ErrExist].
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

// renameLooking is what renameNoReplace does where the system has no such operation.
func renameLooking(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return syscall.EEXIST
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

// Inherit gives the temporary file the mode, the owner and the group of the file that it is about to replace. Where
// this process may not give files away, they stay its own, and a group that cannot be kept may do no more than others may.
// Where there is nothing to replace, it does nothing.
func Inherit(temp, path string) error {
	old, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !trusted(path, old) {
		return nil
	}
	if err == nil {
		err = op("inherit", temp, nil)
	}
	if err == nil {
		err = inherit(temp, old)
	}
	return WrapError("publish", path, err)
}

// trusted reports whether the file is one whose mode and owner are worth keeping: a regular one, and in a folder
// with the sticky bit, as /tmp, one of ours or of the folder's owner. Anybody could have put another one there, for
// us to give him what we write.
func trusted(path string, old fs.FileInfo) bool {
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || !old.Mode().IsRegular() {
		return false
	}
	return folder.Mode()&fs.ModeSticky == 0 || ownerOf(old) == os.Geteuid() || ownerOf(old) == ownerOf(folder)
}

func inherit(temp string, old fs.FileInfo) error {
	f, err := os.OpenFile(temp, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil // an umask that keeps even us off: the file stays as it asks
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing is written
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, known := info.Sys().(*syscall.Stat_t)
	was, wasKnown := old.Sys().(*syscall.Stat_t)
	mode := old.Mode().Perm()
	if known && wasKnown {
		if is.Gid != was.Gid && f.Chown(-1, int(was.Gid)) != nil {
			mode &= mode<<3 | ^fs.FileMode(0o070) // another group: it may do what others may
		}
		if is.Uid != was.Uid {
			_ = f.Chown(int(was.Uid), -1) // root may; for others the file stays theirs
		}
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, fs.ErrPermission) { // vfat and CIFS have no modes
		return fmt.Errorf("keep mode %04o: %w", mode, err)
	}
	return nil
}
