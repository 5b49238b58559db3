package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// Place is where a journal is: [OnDisk], or [InBucket].
type Place interface {
	// String is the path or the URL, for messages.
	String() string
	// open opens the journal's file and locks it. If there is none, the error is ErrNone, unless create makes one. It
	// wraps ErrLocked if another run has it.
	open(create bool) (file, error)
	// limits are when a frame is written.
	limits() limits
}

// file is what a journal needs of its file, which grows and is locked while it is open. It is used from one goroutine at a
// time.
type file interface {
	io.ReaderAt
	io.Writer // appends
	Size() (int64, error)
	// Datasync makes what was written last.
	Datasync() error
	// Truncate cuts the file, and makes that last.
	Truncate(size int64) error
	// SyncName makes it last that the file was created or removed.
	SyncName() error
	// Remove removes the file, which stays locked.
	Remove() error
	// Held returns why the lock is lost, if it is. It asks nobody.
	Held() error
	// Confirm makes sure that the lock is not lost.
	Confirm() error
	Close() error
	// wrap returns an error "verb journal: cause", with a hint.
	wrap(verb string, err error) error
}

// limits are when a frame is written: at the age of its first record, or when it has that many.
type limits struct {
	age     time.Duration
	records uint32
}

// OnDisk is the place of a journal that is a file.
type OnDisk string

// String implements [Place].
func (p OnDisk) String() string { return string(p) }

func (p OnDisk) limits() limits { return limits{FrameAge, FrameRecords} }

func (p OnDisk) open(create bool) (file, error) {
	log, err := durable.OpenLog(string(p), create)
	if !create && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("open %s: %w", p, ErrNone)
	}
	if err != nil {
		return nil, err
	}
	return diskFile{log, string(p)}, nil
}

// diskFile is a file whose lock the kernel keeps.
type diskFile struct {
	*durable.Log
	path string
}

func (f diskFile) SyncName() error { return durable.SyncDir(f.path) }

func (f diskFile) Held() error { return nil }

func (f diskFile) Confirm() error { return nil }

func (f diskFile) wrap(verb string, err error) error { return durable.WrapError(verb, f.path, err) }

// Lock keeps other runs off an output whose run has its journal elsewhere: beside its first output, or in another
// directory.
type Lock struct{ file file }

// LockIn locks the place where the journal of an output would be. It returns [ErrExists] if there is one, of a run that
// has not finished, and [ErrLocked] if another run has it.
func LockIn(p Place) (*Lock, error) {
	f, err := p.open(true)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err == nil && size > 0 {
		err = fmt.Errorf("lock %s: %w", p, ErrExists)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

// Confirm makes sure that the lock is not lost.
func (l *Lock) Confirm() error { return l.file.wrap("confirm", l.file.Confirm()) }

// Close gives the lock back.
func (l *Lock) Close() error { return errors.Join(l.file.Remove(), l.file.Close()) }
