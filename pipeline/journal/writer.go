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

// When a frame is written. What was appended since the last one is what a crash loses.
const (
	FrameAge  = 1 * time.Second // when its first record is so old
	frameText = 1 << 20         // at so many bytes, uncompressed
)

// PathFor is where the journal of a run stands whose first output is that: beside it, hidden.
func PathFor(firstOut string) string { return durable.Hidden(firstOut) + ".rollcall" }

// Writer appends to a journal, and holds its lock. Its methods are called from one goroutine.
//
// The first error of writing ends it: every later call returns that error again, a [WriteError]. It may come
// late, because frames are also written by a timer: the Flush before anything is published sees it.
type Writer struct {
	path string

	mu      sync.Mutex // the timer is another goroutine
	log     *durable.Log
	zstd    *zstd.Encoder
	chain   chain
	timer   *time.Timer
	text    []byte // the records of the frame to come
	records uint32
	first   int64 // its first row
	buf     []byte
	err     error // the first
	ended   bool  // committed or closed
}

// Create begins a journal. It returns [ErrExists] where one is, what [Open] does where something is that can't be
// used, and [ErrLocked] while another run has it.
func Create(path string, h Header) (*Writer, error) {
	log, err := openLog(path, true)
	if err != nil {
		return nil, err
	}
	w, err := create(path, log, h)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return w, nil
}

func create(path string, log *durable.Log, h Header) (*Writer, error) {
	switch _, err := newReader(path, log); {
	case err == nil:
		return nil, fmt.Errorf("create %s: %w", path, ErrExists)
	case !errors.Is(err, ErrNone):
		return nil, err
	}
	w, err := newWriter(path, log, chain{})
	if err != nil {
		return nil, err
	}
	size, err := log.Size()
	if err == nil && size > 0 {
		err = log.Truncate(0)
	}
	if err != nil {
		err = &WriteError{path, durable.WrapError("create journal", path, err)}
	} else if err = w.writeJSON(kindHeader, h); err == nil {
		if err = durable.SyncDir(path); err == nil {
			return w, nil
		}
		err = &WriteError{path, err}
	}
	return nil, errors.Join(err, log.Remove()) // there is nothing in it
}

func newWriter(path string, log *durable.Log, c chain) (*Writer, error) {
	// Single segments and the fastest level: a frame is small, and the hashes in it do not compress anyway.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err // the options are wrong
	}
	return &Writer{path: path, log: log, zstd: encoder, chain: c}, nil
}

// Append adds a record; it is on the disk after the next Flush, or at most [FrameAge] later.
func (w *Writer) Append(r *Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
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
	if w.records >= FrameRecords || len(w.text) >= frameText {
		return w.flush()
	}
	return nil
}

func (w *Writer) startTimer() {
	if w.timer != nil {
		w.timer.Reset(FrameAge)
		return
	}
	w.timer = time.AfterFunc(FrameAge, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		// It may have been late, and the records others than those it was set for: they are written early.
		if w.usable() == nil {
			w.flush() // keeps its error
		}
	})
}

func (w *Writer) usable() error {
	if w.err == nil && w.ended {
		return fmt.Errorf("write journal %s: it is complete", w.path)
	}
	return w.err
}

// Flush puts everything appended so far onto the disk.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	return w.flush()
}

// flush writes the frame; the caller holds mu.
func (w *Writer) flush() error {
	if w.records == 0 {
		return nil
	}
	w.timer.Stop()
	b := block{kind: kindRecords, records: w.records, first: w.first}
	err := w.write(b, w.text)
	w.text, w.records = w.text[:0], 0
	if cap(w.text) > 2*frameText {
		w.text = nil // one long answer must not cost its memory for the rest of the run
		w.buf = nil
	}
	return err
}

// write appends one frame and waits until it is on the disk. The caller has made sure that there was no error yet.
func (w *Writer) write(b block, text []byte) error {
	w.buf = resize(w.buf, blockSize)
	w.buf = w.zstd.EncodeAll(text, w.buf)
	content := w.buf[blockSize:]
	b.version, b.seq, b.link = formatVersion, w.chain.seq, w.chain.link
	b.length, b.text, b.content = uint32(len(content)), uint32(len(text)), hashOf(content)
	b.append(w.buf[:0])
	_, err := w.log.Write(w.buf)
	if err == nil {
		err = w.log.Datasync()
	}
	if err != nil {
		w.err = &WriteError{w.path, durable.WrapError("write journal", w.path, err)}
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
		return fmt.Errorf("write journal %s: %d bytes are more than a frame takes", w.path, len(text))
	}
	return w.write(block{kind: kind}, append(text, '\n'))
}

// resumed is the content of a frame that says where a run went on.
type resumed struct {
	At  time.Time `json:"resumed_at"`
	Key *Key      `json:"key,omitempty"` // where it is another than before
}

// CommittedFile is a complete output of the run under the name that it still has, and the one that it gets: base names of
// one folder, which the run knows. Versions before had whole paths; whoever reads a Commit takes the last element.
type CommittedFile struct {
	Temp   string `json:"temp"`
	Final  string `json:"final"`
	SHA256 string `json:"sha256"` // in hex
	Bytes  int64  `json:"bytes"`
}

type commit struct {
	Files []CommittedFile `json:"files"`
}

// Commit flushes, and ends the journal with the list of what is to be published. From here on the run is
// finished, whatever happens: whoever opens the journal finds the list ([Reader.Committed]) and has only to
// finish the renames. All Temp files must be on the disk before.
func (w *Writer) Commit(files []CommittedFile) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.writeJSON(kindCommit, commit{files}); err != nil {
		return err
	}
	w.ended = true
	return nil
}

// Close flushes, and leaves the journal for the run that resumes it. It returns the error that ended the writer, if
// one did. A second Close does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.log == nil {
		return nil
	}
	err := w.err
	if err == nil {
		err = w.flush()
	}
	return errors.Join(err, w.release())
}

// Remove removes the journal, whose outputs are published, and closes it. When Remove returns, it is gone for good.
func (w *Writer) Remove() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.log == nil {
		return fmt.Errorf("remove journal %s: it is closed", w.path)
	}
	err := w.log.Remove() // while it is locked
	if err == nil {
		err = durable.SyncDir(w.path)
	}
	return errors.Join(err, w.release())
}

// release ends the writer; the caller holds mu.
func (w *Writer) release() error {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.ended = true
	log := w.log
	w.log = nil
	if err := log.Close(); err != nil {
		return &WriteError{w.path, durable.WrapError("close journal", w.path, err)}
	}
	return nil
}

// Discard removes the journal at path, whatever it holds, unless a run has it open; none is fine. It is what
// --fresh does.
func Discard(path string) error {
	log, err := openLog(path, false)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	err = log.Remove()
	if err == nil {
		err = durable.SyncDir(path)
	}
	return errors.Join(err, durable.WrapError("close journal", path, log.Close()))
}
