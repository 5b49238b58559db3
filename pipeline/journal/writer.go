package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// When a frame is written. A crash loses the records that were appended after the last frame.
const (
	FrameAge  = 1 * time.Second // the age of the first record at which a frame is written
	frameText = 1 << 20         // the number of uncompressed bytes at which a frame is written
)

// PathFor returns the path of the journal of a run whose first output is firstOut: a hidden file beside it.
func PathFor(firstOut string) string { return durable.Hidden(firstOut) + fileSuffix }

const fileSuffix = ".rollcall"

// Writer appends to a journal and holds its lock. Its methods are called from one goroutine.
//
// The first error of writing, a [WriteError], is returned again by every later call. It may come
// late, because a timer writes frames, too: call Flush before publishing anything.
type Writer struct {
	path string

	mu      sync.Mutex // the timer is another goroutine
	log     file
	limits  limits
	zstd    *zstd.Encoder
	chain   chain
	timer   *time.Timer
	text    []byte // the records of the next frame
	records uint32
	first   int64 // the row of the first one
	buf     []byte
	err     error // the first error of writing
	ended   bool  // committed or closed
}

// Create creates a journal. It returns [ErrExists] if there is one, [ErrLocked] if another run has it open, and the
// same errors as [Open] for a file that cannot be used.
func Create(path string, h Header) (*Writer, error) { return CreateIn(OnDisk(path), h) }

// CreateIn is like [Create], for a journal in any place.
func CreateIn(p Place, h Header) (*Writer, error) {
	log, err := openFile(p, true)
	if err != nil {
		return nil, err
	}
	w, err := createFile(p, log, h)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return w, nil
}

func createFile(p Place, log file, h Header) (*Writer, error) {
	path := p.String()
	switch _, err := newReader(p, log); {
	case err == nil:
		return nil, fmt.Errorf("create %s: %w", path, ErrExists)
	case !errors.Is(err, ErrNone):
		return nil, err
	}
	w, err := newWriter(p, log, chain{})
	if err != nil {
		return nil, err
	}
	size, err := log.Size()
	if err == nil && size > 0 {
		err = log.Truncate(0)
	}
	if err != nil {
		err = &WriteError{path, log.wrap("create journal", err)}
	} else if err = w.writeJSON(kindHeader, h); err == nil {
		if err = log.SyncName(); err == nil {
			return w, nil
		}
		err = &WriteError{path, err}
	}
	return nil, errors.Join(err, log.Remove()) // it has no records
}

func newWriter(p Place, log file, c chain) (*Writer, error) {
	// The fastest level is enough: a frame is small, and the hashes in it do not compress.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err // the options are wrong
	}
	return &Writer{path: p.String(), log: log, limits: p.limits(), zstd: encoder, chain: c}, nil
}

// Append appends a record. It is on the disk after the next Flush, or at most [FrameAge] later.
func (w *Writer) Append(r *Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.checkUsable(); err != nil {
		return err
	}
	text, err := appendRecord(w.text, r)
	if err != nil {
		return fmt.Errorf("write journal %s: %w", w.path, err)
	}
	w.text = text
	if w.records++; w.records == 1 {
		w.first = r.Row
		w.startTimer()
	}
	if w.records >= w.limits.records || len(w.text) >= frameText {
		return w.flushLocked()
	}
	return nil
}

func (w *Writer) startTimer() {
	if w.timer != nil {
		w.timer.Reset(w.limits.age)
		return
	}
	w.timer = time.AfterFunc(w.limits.age, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		// A late timer may flush newer records than those it was set for. Then they are written early.
		if w.checkUsable() == nil {
			w.flushLocked() // sets w.err
		}
	})
}

func (w *Writer) checkUsable() error {
	if w.err == nil && w.ended {
		return fmt.Errorf("write journal %s: it is complete", w.path)
	}
	if w.err == nil {
		w.fail(w.log.Held())
	}
	return w.err
}

// fail keeps the error of the journal's file, if it is one.
func (w *Writer) fail(err error) {
	if err != nil {
		w.err = &WriteError{w.path, w.log.wrap("write journal", err)}
	}
}

// Flush writes all appended records to the disk.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.checkUsable(); err != nil {
		return err
	}
	return w.flushLocked()
}

// flushLocked writes the appended records as a frame. The caller holds mu.
func (w *Writer) flushLocked() error {
	if w.records == 0 {
		return nil
	}
	w.timer.Stop()
	b := block{kind: kindRecords, records: w.records, first: w.first}
	err := w.writeFrame(b, w.text)
	w.text, w.records = w.text[:0], 0
	if cap(w.text) > 2*frameText {
		w.text = nil // do not keep the memory of a long answer for the rest of the run
		w.buf = nil
	}
	return err
}

// writeFrame appends one frame and syncs it. The caller has checked that there was no error before.
func (w *Writer) writeFrame(b block, text []byte) error {
	w.buf = resizeBuffer(w.buf, blockSize)
	w.buf = w.zstd.EncodeAll(text, w.buf)
	content := w.buf[blockSize:]
	b.version, b.seq, b.link = formatVersion, w.chain.seq, w.chain.link
	b.length, b.text, b.content = uint32(len(content)), uint32(len(text)), hashOf(content)
	b.appendTo(w.buf[:0])
	_, err := w.log.Write(w.buf)
	if err == nil {
		err = w.log.Datasync()
	}
	if err != nil {
		w.fail(err)
		return w.err
	}
	w.chain.advance(&b)
	return nil
}

func (w *Writer) writeJSON(kind string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write journal %s: %w", w.path, err)
	}
	if len(text) >= maxText {
		return fmt.Errorf("write journal %s: %d bytes are too many for a frame", w.path, len(text))
	}
	return w.writeFrame(block{kind: kind}, append(text, '\n'))
}

// resumedFrame is the content of a CONT frame.
type resumedFrame struct {
	At  time.Time `json:"resumed_at"`
	Key *Key      `json:"key,omitempty"` // if it differs from the key before
}

// CommittedFile is a complete output of the run, with its temporary and its final name. They are base names in one
// directory, which the run knows. Earlier versions wrote whole paths: readers must take the last element.
type CommittedFile struct {
	Temp   string `json:"temp"`
	Final  string `json:"final"`
	SHA256 string `json:"sha256"` // in hex
	Bytes  int64  `json:"bytes"`

	// Of a file of an output that is several, Final is the path below the directory of the output, with slashes; Output is
	// the number of that among the run's outputs, from 1. The reader checks that it leads nowhere else.
	Output int  `json:"output,omitempty"`
	Remove bool `json:"remove,omitempty"` // it is of the run that this one replaces, and goes
}

type commitFrame struct {
	Files []CommittedFile `json:"files"`
}

// Commit flushes, and ends the journal with the list of files to publish. From then on the run counts as finished:
// a run that opens the journal finds the list ([Reader.Committed]) and only has to finish the renames. The caller must
// have synced all Temp files.
func (w *Writer) Commit(files []CommittedFile) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.checkUsable(); err != nil {
		return err
	}
	if err := w.flushLocked(); err != nil {
		return err
	}
	if w.fail(w.log.Confirm()); w.err != nil {
		return w.err
	}
	if err := w.writeJSON(kindCommit, commitFrame{files}); err != nil {
		return err
	}
	w.ended = true
	return nil
}

// Close flushes, and keeps the journal for the run that resumes it. It returns the first error of writing, if there was
// one. A second Close does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.log == nil {
		return nil
	}
	err := w.err
	if err == nil {
		err = w.flushLocked()
	}
	return errors.Join(err, w.closeLog())
}

// Remove removes the journal after its outputs have been published, and closes it. The removal survives a power loss.
func (w *Writer) Remove() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.log == nil {
		return fmt.Errorf("remove journal %s: it is closed", w.path)
	}
	err := w.log.Remove() // while it is locked
	if err == nil {
		err = w.log.SyncName()
	}
	return errors.Join(err, w.closeLog())
}

// closeLog ends the Writer. The caller holds mu.
func (w *Writer) closeLog() error {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.ended = true
	log := w.log
	w.log = nil
	if err := log.Close(); err != nil {
		return &WriteError{w.path, log.wrap("close journal", err)}
	}
	return nil
}

// Discard removes the journal at path, even a damaged one, unless a run has it open. It is not an error if there is
// none. It implements --fresh.
func Discard(path string) error { return DiscardIn(OnDisk(path)) }

// DiscardIn is like [Discard], for a journal in any place.
func DiscardIn(p Place) error {
	log, err := openFile(p, false)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	return discard(log)
}

// ClearIn discards what is in the place, after what before does while no run can begin to use it.
func ClearIn(p Place, before func() error) error {
	log, err := openFile(p, true)
	if err != nil {
		return err
	}
	if err := before(); err != nil {
		return errors.Join(err, log.Close())
	}
	return discard(log)
}

func discard(log file) error {
	err := log.Remove()
	if err == nil {
		err = log.SyncName()
	}
	return errors.Join(err, log.wrap("close journal", log.Close()))
}
