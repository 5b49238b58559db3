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

// ErrNotOurs says that somebody else may have made a hidden file (a journal, a lock, a copy of standard input). Such a
// file is not read, written or followed.
var ErrNotOurs = errors.New("it is not ours")

// CheckOurs refuses a file that somebody else may have made or changed: it must be a regular file with one name,
// belong to the user who runs this process, and be writable by nobody else. info comes from the open file or from
// [os.Lstat]. The error wraps [ErrNotOurs].
//
// A file system without owners and modes (vfat, CIFS, NFS for root) shows the same ones for all files. There, a
// file is ours if it has the same owner and mode as a file that this process creates beside it.
func CheckOurs(path string, info fs.FileInfo) error {
	return checkOurs(path, info, os.Geteuid(), statNewFile)
}

func checkOurs(path string, info fs.FileInfo, user int, fresh func(string) (*syscall.Stat_t, error)) error {
	stat, known := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return newNotOursError(path, "it is a symbolic link")
	case !info.Mode().IsRegular():
		return newNotOursError(path, "it is not a regular file")
	case !known:
		return newNotOursError(path, "its owner is unknown")
	case stat.Nlink > 1:
		return newNotOursError(path, fmt.Sprintf("it has %d names (hard links)", stat.Nlink))
	}
	foreign, shared := int(stat.Uid) != user, info.Mode().Perm()&0o022 != 0
	if !foreign && !shared {
		return nil
	}
	if own, err := fresh(path); err == nil && own.Uid == stat.Uid && (!shared || uint32(own.Mode)&0o022 != 0) {
		return nil
	}
	if foreign {
		return newNotOursError(path, fmt.Sprintf("it belongs to user %d, but rollcall runs as user %d", stat.Uid, user))
	}
	return newNotOursError(path, fmt.Sprintf("others may write to it (mode %04o)", info.Mode().Perm()))
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

// ownerOf returns the user id of the owner of a file; -1 if it is unknown.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// onOtherDevice reports whether the file and its directory are on different devices.
func onOtherDevice(path string) bool {
	var devices [2]uint64
	for i, name := range []string{path, filepath.Dir(path)} {
		info, err := os.Lstat(name)
		if i == 1 {
			info, err = os.Stat(name)
		}
		if err != nil {
			return false
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return false
		}
		devices[i] = uint64(stat.Dev)
	}
	return devices[0] != devices[1]
}

// statNewFile creates a private file in the directory of path, removes it, and returns what stat(2) said about it.
func statNewFile(path string) (*syscall.Stat_t, error) {
	probe := tempName(path)
	f, err := os.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close(), os.Remove(probe)); err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return stat, nil
}

// OpenOurs opens a file for reading that a process of the same user has made: see [CheckOurs].
// If there is no such file, it returns [fs.ErrNotExist]. It follows no symbolic link and waits for no pipe.
func OpenOurs(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = CheckOurs(path, info)
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
