package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// What Unix and Windows do differently: see system_unix.go.
//
// On Windows, an open file can be renamed and removed only if everybody who has it open allows that
// (FILE_SHARE_DELETE). [os.OpenFile] does not, so the files that are ours are opened here.

// busyHint is for an EBUSY.
const busyHint = "a program has it open: close it there (a spreadsheet, an editor), or write to another file"

// errnos has the errors of Windows by the names that Unix has for them, which the rest of this module knows.
var errnos = map[syscall.Errno]syscall.Errno{
	windows.ERROR_DISK_FULL:           syscall.ENOSPC,
	windows.ERROR_HANDLE_DISK_FULL:    syscall.ENOSPC,
	windows.ERROR_DISK_QUOTA_EXCEEDED: syscall.EDQUOT,
	windows.ERROR_FILE_TOO_LARGE:      syscall.EFBIG,
	windows.ERROR_IO_DEVICE:           syscall.EIO,
	windows.ERROR_CRC:                 syscall.EIO,
	windows.ERROR_WRITE_FAULT:         syscall.EIO,
	windows.ERROR_TOO_MANY_OPEN_FILES: syscall.EMFILE,
	windows.ERROR_NO_SYSTEM_RESOURCES: syscall.ENFILE,
	windows.ERROR_WRITE_PROTECT:       syscall.EROFS,
	windows.ERROR_NOT_SAME_DEVICE:     syscall.EXDEV,
	windows.ERROR_SHARING_VIOLATION:   syscall.EBUSY,
	windows.ERROR_LOCK_VIOLATION:      syscall.EBUSY,
	windows.ERROR_USER_MAPPED_FILE:    syscall.EBUSY,
}

// namedError is an error of Windows that is also one of Unix.
type namedError struct {
	syscall.Errno
	unix syscall.Errno
}

func (e *namedError) Is(target error) bool { return target == e.unix }
func (e *namedError) Unwrap() error        { return e.Errno }

func systemError(err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		if unix, ok := errnos[errno]; ok {
			return &namedError{errno, unix}
		}
	}
	return err
}

// openFile opens a file that should be ours. It does not follow a symbolic link or another reparse point. Others may
// read, write, rename and remove the file while it is open. A new file with a mode of 0600 is private, as on Unix; any
// other inherits who may do what from its directory.
func openFile(path string, flag int, perm fs.FileMode) (*os.File, error) {
	access := uint32(windows.GENERIC_READ)
	switch {
	case flag&os.O_RDWR != 0:
		access |= windows.GENERIC_WRITE
	case flag&os.O_WRONLY != 0:
		access = windows.GENERIC_WRITE
	}
	disposition := uint32(windows.OPEN_EXISTING)
	var attributes *windows.SecurityAttributes
	if flag&os.O_CREATE != 0 {
		disposition = windows.OPEN_ALWAYS
		if flag&os.O_EXCL != 0 {
			disposition = windows.CREATE_NEW
		}
		if perm&0o077 == 0 {
			var err error
			if attributes, err = newPrivate(); err != nil {
				return nil, &fs.PathError{Op: "open", Path: path, Err: err}
			}
		}
	}
	return createFile(path, access, disposition, 0, attributes)
}

// createFile calls CreateFile for a file that anybody else may use, too.
func createFile(path string, access, disposition, flags uint32, attributes *windows.SecurityAttributes) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err == nil {
		var h windows.Handle
		h, err = windows.CreateFile(name, access,
			windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, attributes, disposition,
			windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_OPEN_REPARSE_POINT|flags, 0)
		if err == nil {
			return os.NewFile(uintptr(h), path), nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: err}
}

// CreateUnnamed creates a private file that is gone when it is closed. It is in the user's directory for temporary
// files.
func CreateUnnamed() (*os.File, error) {
	private, err := newPrivate()
	if err != nil {
		return nil, err
	}
	return createFile(tempName(filepath.Join(os.TempDir(), "input")),
		windows.GENERIC_READ|windows.GENERIC_WRITE|windows.DELETE, windows.CREATE_NEW, windows.FILE_FLAG_DELETE_ON_CLOSE,
		private)
}

// OpenFileLimit returns how many files and connections this process may have open: Windows has no such limit.
func OpenFileLimit() uint64 { return math.MaxInt64 }

// newPrivate lets this user do everything with a file, and nobody else but the system and its administrators, whatever
// the directory says.
func newPrivate() (*windows.SecurityAttributes, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, err
	}
	descriptor, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;" + user.User.Sid.String() +
		")(A;;FA;;;SY)(A;;FA;;;BA)")
	if err != nil {
		return nil, err
	}
	attributes := &windows.SecurityAttributes{SecurityDescriptor: descriptor}
	attributes.Length = uint32(unsafe.Sizeof(*attributes))
	return attributes, nil
}

// seekEnd makes the next write append. A file opened for appending could not be truncated.
func seekEnd(f *os.File) error {
	_, err := f.Seek(0, io.SeekEnd)
	return err
}

// removeOpen removes a file that this process has open. Its name must be free at once, but some versions and file
// systems keep it until the last handle is closed. So the file gets a temporary name first.
func removeOpen(path string) error {
	temp := tempName(path)
	if err := moveFile(path, temp, 0); err != nil {
		return err
	}
	return os.Remove(temp)
}

// moveFile renames a file. It never copies it to another disk.
//
// Windows does not promise that a rename is on the disk when the call returns; MOVEFILE_WRITE_THROUGH comes nearest.
func moveFile(from, to string, flags uint32) error {
	fromName, err := windows.UTF16PtrFromString(from)
	if err == nil {
		var toName *uint16
		if toName, err = windows.UTF16PtrFromString(to); err == nil {
			err = windows.MoveFileEx(fromName, toName, flags|windows.MOVEFILE_WRITE_THROUGH)
		}
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// replaceFile renames a file and replaces another. "Access is denied" then says that a program has the other one open:
// what else there is, CreateTemp has found.
func replaceFile(from, to string) error {
	err := moveFile(from, to, windows.MOVEFILE_REPLACE_EXISTING)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		if _, serr := os.Lstat(to); serr == nil {
			return &namedError{windows.ERROR_ACCESS_DENIED, syscall.EBUSY}
		}
	}
	return err
}

func renameNoReplace(from, to string) error { return moveFile(from, to, 0) }

// syncDir does nothing: Windows has no such operation. NTFS and ReFS log renames in their order, so after a power loss
// a name has its old content or the new one, whole: the content was flushed before. Whether the last renames before the
// power loss are lost, Windows does not say.
func syncDir(string) error { return nil }

// isMountPoint need not find out: [os.Lstat] says that what a volume is mounted on is no directory.
func isMountPoint(string) bool { return false }

// lockFile takes the exclusive lock of f, or returns ErrLocked. It never waits. The locks of Windows keep others from
// reading and writing, so it is one byte far after the end of the file that is locked.
//
// After a process was killed, Windows releases its locks when it gets to it: soon, but maybe not at once.
func lockFile(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0,
		1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
	switch {
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION):
		return ErrLocked
	case errors.Is(err, windows.ERROR_INVALID_FUNCTION), errors.Is(err, windows.ERROR_NOT_SUPPORTED):
		return pipeline.WithHint(fmt.Errorf("the file system has no locks: %w", err), "write to a local disk")
	}
	return err
}

// checkReplaceable returns the error of a rename onto an existing file, as far as it can be known before: a program may
// have it open, and a read-only file cannot be replaced.
func checkReplaceable(path string, info fs.FileInfo) error {
	if info.Mode()&0o200 == 0 {
		return pipeline.WithHint(fmt.Errorf("it is read-only: %w", fs.ErrPermission), "attrib -r "+path)
	}
	f, err := createFile(path, windows.DELETE, windows.OPEN_EXISTING, 0, nil)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkOwner refuses a regular file that has another name, or another owner than this user. Files that an elevated
// administrator creates belong to the administrators, and some file systems have no owners, so a file with the owner of
// a new file is ours, too.
//
// Who may write to the file is not checked: where a directory does not say otherwise, that is who may write to the
// directory, and replace all our files there anyway.
func checkOwner(path string, f *os.File, info fs.FileInfo) error {
	if f == nil {
		var err error
		f, err = createFile(path, windows.READ_CONTROL|windows.FILE_READ_ATTRIBUTES, windows.OPEN_EXISTING, 0, nil)
		if err != nil {
			return newNotOursError(path, "its owner is unknown: "+err.Error())
		}
		defer f.Close() //nolint:errcheck // nothing is written
		if is, err := f.Stat(); err != nil || !os.SameFile(is, info) {
			return newNotOursError(path, "it was just replaced")
		}
	}
	owner, links, err := inspectFile(f)
	switch {
	case err != nil:
		return newNotOursError(path, "its owner is unknown: "+err.Error())
	case links > 1:
		return newNotOursError(path, fmt.Sprintf("it has %d names (hard links)", links))
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return newNotOursError(path, "this user is unknown: "+err.Error())
	}
	if owner.Equals(user.User.Sid) {
		return nil
	}
	if fresh, err := ownerOfNewFile(path); err == nil && owner.Equals(fresh) {
		return nil
	}
	return newNotOursError(path, fmt.Sprintf("it belongs to user %s, but rollcall runs as user %s", owner, user.User.Sid))
}

// inspectFile returns the owner of an open file and how many names it has.
func inspectFile(f *os.File) (owner *windows.SID, links uint32, err error) {
	var data windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &data); err != nil {
		return nil, 0, err
	}
	descriptor, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return nil, 0, err
	}
	owner, _, err = descriptor.Owner()
	return owner, data.NumberOfLinks, err
}

// ownerOfNewFile creates a file in the directory of path, removes it, and returns its owner.
func ownerOfNewFile(path string) (*windows.SID, error) {
	probe := tempName(path)
	f, err := openFile(probe, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	owner, _, err := inspectFile(f)
	return owner, errors.Join(err, f.Close(), os.Remove(probe))
}

// ownerOf returns -1: owners have no numbers.
func ownerOf(fs.FileInfo) int { return -1 }

// keepAccess gives temp the access control list of the old file at path. A file system without such lists is good
// enough. The owner is who runs this process.
func keepAccess(temp, path string, _ fs.FileInfo) error {
	const list = windows.DACL_SECURITY_INFORMATION
	descriptor, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, list)
	if err == nil {
		var control windows.SECURITY_DESCRIPTOR_CONTROL
		if control, _, err = descriptor.Control(); err != nil {
			return err
		}
		inherit := windows.SECURITY_INFORMATION(windows.UNPROTECTED_DACL_SECURITY_INFORMATION)
		if control&windows.SE_DACL_PROTECTED != 0 { // nothing is inherited from the directory
			inherit = windows.PROTECTED_DACL_SECURITY_INFORMATION
		}
		var entries *windows.ACL
		if entries, _, err = descriptor.DACL(); err == nil {
			err = windows.SetNamedSecurityInfo(temp, windows.SE_FILE_OBJECT, list|inherit, nil, nil, entries, nil)
		}
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) ||
		errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) { // the file has no list
		return nil
	}
	return err
}

// AccessTo returns the permissions of an open file in the manner of Unix, and whether it belongs to this user: 0044 if
// others may read it, 0022 if they may change it. Others are all but this user, the system, and its administrators, who
// may read everything.
func AccessTo(f *os.File) (mode fs.FileMode, ours bool, err error) {
	descriptor, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return 0, false, fmt.Errorf("who may use %s: %w", f.Name(), err)
	}
	owner, _, err := descriptor.Owner()
	if err != nil {
		return 0, false, fmt.Errorf("who may use %s: %w", f.Name(), err)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return 0, false, fmt.Errorf("who runs this: %w", err)
	}
	mode, err = modeOf(descriptor, user.User.Sid)
	if err != nil {
		return 0, false, fmt.Errorf("who may use %s: %w", f.Name(), err)
	}
	return mode, owner.Equals(user.User.Sid) || owner.IsWellKnown(windows.WinBuiltinAdministratorsSid), nil
}

// modeOf returns the permissions in an access control list. An entry that denies something is passed over: the list
// then allows no more than this says.
func modeOf(descriptor *windows.SECURITY_DESCRIPTOR, user *windows.SID) (fs.FileMode, error) {
	entries, _, err := descriptor.DACL()
	if errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) || err == nil && entries == nil {
		return 0o666, nil // without a list, everybody may do everything
	}
	if err != nil {
		return 0, err
	}
	mode := fs.FileMode(0o600)
	for i := range uint32(entries.AceCount) {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(entries, i, &entry); err != nil {
			return 0, err
		}
		who := (*windows.SID)(unsafe.Pointer(&entry.SidStart))
		if entry.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE ||
			entry.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || who.Equals(user) ||
			who.IsWellKnown(windows.WinLocalSystemSid) || who.IsWellKnown(windows.WinBuiltinAdministratorsSid) ||
			who.IsWellKnown(windows.WinCreatorOwnerRightsSid) {
			continue
		}
		if entry.Mask&(windows.FILE_READ_DATA|windows.GENERIC_READ|windows.GENERIC_ALL) != 0 {
			mode |= 0o044
		}
		if entry.Mask&(windows.FILE_WRITE_DATA|windows.FILE_APPEND_DATA|windows.WRITE_DAC|windows.WRITE_OWNER|
			windows.GENERIC_WRITE|windows.GENERIC_ALL) != 0 {
			mode |= 0o022
		}
	}
	return mode, nil
}
