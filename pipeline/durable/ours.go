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

// ErrNotOurs says that a hidden file (a journal, a lock, a copy of standard input) may have been put there by
// somebody else, and is not read, written or followed.
var ErrNotOurs = errors.New("it is not ours")

// CheckOurs refuses a file that somebody else may have made or changed. It must be a regular file with one name,
// belong to the user who runs this process, and be writable by nobody else. info is of the open file, or of
// [os.Lstat]. The error wraps [ErrNotOurs].
//
// A file system that has no owners or modes of its own (vfat, CIFS, NFS for root) shows all files alike: there a
// file is ours if it looks like one that this process creates beside it.
func CheckOurs(path string, info fs.FileInfo) error {
	return checkOurs(path, info, os.Geteuid(), freshStat)
}

func checkOurs(path string, info fs.FileInfo, user int, fresh func(string) (*syscall.Stat_t, error)) error {
	stat, known := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return notOurs(path, "it is a symbolic link")
	case !info.Mode().IsRegular():
		return notOurs(path, "it is not a regular file")
	case !known:
		return notOurs(path, "its owner is not known")
	case stat.Nlink > 1:
		return notOurs(path, fmt.Sprintf("it has %d names (hard links)", stat.Nlink))
	}
	foreign, shared := int(stat.Uid) != user, info.Mode().Perm()&0o022 != 0
	if !foreign && !shared {
		return nil
	}
	if own, err := fresh(path); err == nil && own.Uid == stat.Uid && (!shared || uint32(own.Mode)&0o022 != 0) {
		return nil
	}
	if foreign {
		return notOurs(path, fmt.Sprintf("it belongs to user %d, and this is user %d", stat.Uid, user))
	}
	return notOurs(path, fmt.Sprintf("others may write to it (mode %04o)", info.Mode().Perm()))
}

func notOurs(path, reason string) error {
	err := fmt.Errorf("%s: %w: %s", path, ErrNotOurs, reason)
	if info, lerr := os.Lstat(path); lerr == nil && !mayRemove(path, info) {
		return pipeline.WithHint(err, "only its owner can remove it from this folder; or write to another folder")
	}
	return pipeline.WithHint(err, "remove it if nobody needs it (rm "+path+"), or write to another folder")
}

// mayRemove reports whether the folder lets this process remove or replace the file: in one with the sticky bit,
// as /tmp, that is for the owner of the file, of the folder, and for root.
func mayRemove(path string, info fs.FileInfo) bool {
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || folder.Mode()&fs.ModeSticky == 0 || os.Geteuid() == 0 {
		return true
	}
	return ownerOf(info) == os.Geteuid() || ownerOf(folder) == os.Geteuid()
}

// ownerOf is the user that a file belongs to; -1 where that is not known.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// onOtherDevice reports whether the file is on another device than its folder.
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

// freshStat is what a private file looks like that this process creates in the folder of path.
func freshStat(path string) (*syscall.Stat_t, error) {
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

// OpenOurs opens a file to read that this process, or an earlier one of the same user, has made: see [CheckOurs].
// A file that is not there is an [fs.ErrNotExist]. It follows no link and waits for no pipe.
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

// openError words the error of opening a file that should be ours: that it is not is the better reason.
func openError(path string, err error) error {
	if info, lerr := os.Lstat(path); lerr == nil {
		if ours := CheckOurs(path, info); ours != nil {
			return fmt.Errorf("open %w", ours)
		}
	}
	return WrapError("open", path, err)
}
