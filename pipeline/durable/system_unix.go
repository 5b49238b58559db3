//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// What Unix and Windows do differently: see system_windows.go.

// busyHint is for an EBUSY.
const busyHint = "it is a mount point, as with a container's -v FILE:FILE: mount its directory instead"

// systemError returns err: the errors of Unix have their names.
func systemError(err error) error { return err }

// openFile opens a file that should be ours. O_NOFOLLOW does not follow a symbolic link; O_NONBLOCK does not wait for
// the writer of a named pipe.
func openFile(path string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, perm)
}

// seekEnd does nothing: O_APPEND appends.
func seekEnd(*os.File) error { return nil }

// removeOpen removes a file that this process has open.
func removeOpen(path string) error { return os.Remove(path) }

func replaceFile(from, to string) error { return os.Rename(from, to) }

// CreateUnnamed creates a private file that is gone when it is closed. It is in the system's directory for temporary
// files.
func CreateUnnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "rollcall-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenFileLimit returns how many files and connections this process may have open.
func OpenFileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt64
	}
	return uint64(limit.Cur)
}

// AccessTo returns the permissions of an open file, and whether it belongs to this user.
func AccessTo(f *os.File) (mode fs.FileMode, ours bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	return info.Mode().Perm(), ownerOf(info) == os.Geteuid(), nil
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// lockFile takes the exclusive lock of f, or returns ErrLocked. It never waits.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOTSUP):
			return pipeline.WithHint(fmt.Errorf("the file system has no locks: %w", err), "write to a local disk")
		}
		return err
	}
}

// checkReplaceable returns the error of a rename onto an existing file, as far as it can be known before.
func checkReplaceable(path string, info fs.FileInfo) error {
	switch {
	case isMountPoint(path):
		return syscall.EBUSY
	case !mayRemove(path, info):
		return syscall.EPERM
	}
	return nil
}

// checkOwner refuses a regular file that has another name, another owner, or that others may write to.
func checkOwner(path string, _ *os.File, info fs.FileInfo) error {
	return checkOurs(path, info, os.Geteuid(), statNewFile)
}

func checkOurs(path string, info fs.FileInfo, user int, fresh func(string) (*syscall.Stat_t, error)) error {
	stat, known := info.Sys().(*syscall.Stat_t)
	switch {
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

// keepAccess gives temp the mode, owner and group of the old file.
func keepAccess(temp, _ string, old fs.FileInfo) error {
	f, err := openFile(temp, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil // the umask denies access even to us: keep the mode that it gives
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
			mode &= mode<<3 | ^fs.FileMode(0o070) // another group: it gets what others have
		}
		if is.Uid != was.Uid {
			_ = f.Chown(int(was.Uid), -1) // only root may
		}
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, fs.ErrPermission) { // vfat and CIFS have no modes
		return fmt.Errorf("keep mode %04o: %w", mode, err)
	}
	return nil
}
