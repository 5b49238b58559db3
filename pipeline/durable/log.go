package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrLocked says that another [Log] has the file open, most likely in another process.
var ErrLocked = errors.New("it is in use by another process")

// Log is a private file that grows. It is locked while it is open, and used from one goroutine. Write,
// Datasync, Truncate, ReadAt and Close return the errors of the system: pass them to [WrapError].
type Log struct{ f *os.File }

// OpenLog opens the file for reading and appending, and locks it. If there is no such file, it returns
// [fs.ErrNotExist], or with create, creates the file with mode 0600; the caller must then call [SyncDir]. OpenLog
// refuses a file that somebody else may have made: see [CheckOurs].
func OpenLog(path string, create bool) (*Log, error) {
	flags := os.O_RDWR | os.O_APPEND
	if create {
		flags |= os.O_CREATE
		if err := beforeOp("create", path, nil); err != nil {
			return nil, WrapError("create", path, err)
		}
	}
	for {
		f, err := openFile(path, flags, 0o600)
		if err != nil {
			return nil, openError(path, err)
		}
		info, err := f.Stat()
		if err == nil {
			err = checkFile(path, f, info)
		}
		if err != nil {
			f.Close() // nothing was written
			return nil, fmt.Errorf("open %w", err)
		}
		err = lockFile(f)
		if err == nil {
			var current bool
			if current, err = isCurrent(f, path); err == nil && current {
				return &Log{f}, nil
			}
		}
		f.Close() // nothing was written
		if err != nil {
			return nil, WrapError("open", path, err)
		}
		// The owner of the lock has removed the file in the meantime. Open the file that has the name now.
	}
}

// isCurrent reports whether the file at path is still f.
func isCurrent(f *os.File, path string) (bool, error) {
	have, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(have, named), nil
}

// Size returns the size of the file in bytes.
func (l *Log) Size() (int64, error) {
	info, err := l.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// ReadAt implements [io.ReaderAt].
func (l *Log) ReadAt(p []byte, offset int64) (int, error) { return l.f.ReadAt(p, offset) }

// Write appends p.
func (l *Log) Write(p []byte) (int, error) {
	if err := seekEnd(l.f); err != nil {
		return 0, err
	}
	return writeBytes(l.f, p)
}

// Datasync makes the content and the length of the file survive a power loss, but not its times.
func (l *Log) Datasync() error {
	if err := beforeOp("datasync", l.f.Name(), nil); err != nil {
		return err
	}
	return datasync(l.f)
}

// Truncate cuts the file and syncs it: the bytes that were cut must never follow those that are appended next.
func (l *Log) Truncate(size int64) error {
	if err := beforeOp("truncate", l.f.Name(), nil); err != nil {
		return err
	}
	if err := l.f.Truncate(size); err != nil {
		return err
	}
	return syncFile(l.f)
}

// Remove removes the file, which stays open and locked. If that fails, Remove empties the file, so that the rest is not
// treated as a journal.
func (l *Log) Remove() error {
	err := removeName(l.f.Name(), removeOpen)
	if err != nil {
		_ = l.Truncate(0) // the error above is the one to report
	}
	return err
}

// Close releases the file and the lock.
func (l *Log) Close() error { return closeFile(l.f) }
