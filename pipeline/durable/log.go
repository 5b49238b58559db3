package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// ErrLocked says that another open [Log], most likely another process's, has the file.
var ErrLocked = errors.New("it is in use by another process")

// Log is a private file that grows, locked while it is open. It is used from one goroutine. The errors of Write,
// Datasync, Truncate, ReadAt and Close are the system's: word them with [WrapError].
type Log struct{ f *os.File }

// OpenLog opens the file to read and to append, and locks it. Without create a file that is not there is an
// [fs.ErrNotExist]; with it, it is created with mode 0600, and the caller sees to [SyncDir]. A file that somebody
// else may have put there is refused: see [CheckOurs].
func OpenLog(path string, create bool) (*Log, error) {
	// O_NOFOLLOW: a link would lead us elsewhere; O_NONBLOCK: a named pipe would keep us waiting.
	flags := os.O_RDWR | os.O_APPEND | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	if create {
		flags |= os.O_CREATE
		if err := op("create", path, nil); err != nil {
			return nil, WrapError("create", path, err)
		}
	}
	for {
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			return nil, openError(path, err)
		}
		info, err := f.Stat()
		if err == nil {
			err = CheckOurs(path, info)
		}
		if err != nil {
			f.Close() // nothing was written
			return nil, fmt.Errorf("open %w", err)
		}
		err = lock(f)
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
		// Whoever held the lock has removed the file meanwhile: look again at what has the name now.
	}
}

// lock takes the exclusive lock of f, or says that somebody else has it. It never waits.
func lock(f *os.File) error {
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

// isCurrent reports whether f still has the name under which it was opened.
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

// Size is how long the file is.
func (l *Log) Size() (int64, error) {
	info, err := l.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// ReadAt is that of [io.ReaderAt].
func (l *Log) ReadAt(p []byte, offset int64) (int, error) { return l.f.ReadAt(p, offset) }

// Write appends p.
func (l *Log) Write(p []byte) (int, error) { return write(l.f, p) }

// Datasync makes what was written survive a power loss: the content and the length, not the times.
func (l *Log) Datasync() error {
	if err := op("datasync", l.f.Name(), nil); err != nil {
		return err
	}
	return datasync(l.f)
}

// Truncate cuts the file, and makes that last before it returns: what is appended next must not be followed by
// what was cut.
func (l *Log) Truncate(size int64) error {
	if err := op("truncate", l.f.Name(), nil); err != nil {
		return err
	}
	if err := l.f.Truncate(size); err != nil {
		return err
	}
	return syncFile(l.f)
}

// Remove removes the file from its folder, still locked. Where that fails the file is emptied, so that nobody takes
// what is left for a journal.
func (l *Log) Remove() error {
	err := Remove(l.f.Name())
	if err != nil {
		_ = l.Truncate(0) // the error above says what is left
	}
	return err
}

// Close releases the file and the lock.
func (l *Log) Close() error { return closeFile(l.f) }
