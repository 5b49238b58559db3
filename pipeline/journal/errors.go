package journal

import (
	"errors"
	"fmt"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

var (
	// ErrNone says that there is no journal: no file, or only the beginning of one, from a run that died while
	// creating it. Nothing is lost; [Create] creates one.
	ErrNone = errors.New("there is no journal")

	// ErrLocked says that a run has the journal open, in this or in another process.
	ErrLocked = durable.ErrLocked

	// ErrExists says that [Create] found a journal.
	ErrExists = errors.New("there is already a journal")
)

// DamagedError says that a journal cannot be trusted: something in it is wrong that cannot be an incomplete write at
// its end.
type DamagedError struct {
	Path   string
	Offset int64 // of the first wrong frame
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the journal %s is damaged at byte %d: %s", e.Path, e.Offset, e.Reason)
}

// VersionError says that the journal has the format of another version of rollcall.
type VersionError struct {
	Path    string
	Version uint32 // of the journal's format
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the journal %s has format %d; this version of rollcall knows format %d", e.Path, e.Version,
		formatVersion)
}

// WriteError says that the journal could not be written. The run must end, and can be resumed. It wraps the
// error of the system.
type WriteError struct {
	Path string
	Err  error
}

func (e *WriteError) Error() string { return e.Err.Error() }

func (e *WriteError) Unwrap() error { return e.Err }

const freshHint = "rerun with --fresh to discard the unfinished run and ask about all users again"

func newDamagedError(path string, offset int64, reason string) error {
	return pipeline.WithHint(&DamagedError{path, offset, reason}, freshHint)
}

// openFile opens the file of a journal, and says what the user can do where another run has it.
func openFile(p Place, create bool) (file, error) {
	f, err := p.open(create)
	if !errors.Is(err, ErrLocked) {
		return f, err
	}
	return nil, pipeline.WithHint(fmt.Errorf("another run is writing these outputs: %w", err),
		"wait until it has ended, or name another --out")
}
