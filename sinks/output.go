package sinks

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// Info is what there is to say about an output. The counts and SHA256 are final after Close.
type Info struct {
	Path     string // as given
	Temp     string // the name that it has until it is published; "" for a stream
	Format   string // as [Format] names it
	Rows     int64  // without the header
	Bytes    int64
	SHA256   string // in hex; "" before Close
	Formulas int64  // cells of CSV and TSV that a spreadsheet would run: escaped only if the Spec says so

	// Halves counts cells of JSONL that held half of a surrogate pair, which is written as U+FFFD; FirstHalf is the row
	// number of the first.
	LoneSurrogates, FirstLoneSurrogate int64
}

// Output is one file of a run, or standard output. It is used from one goroutine.
type Output struct {
	info    Info
	table   *table
	block   block
	encoder encoder
	closer  io.Closer // of the compressed stream; may be nil
	buffer  *bufio.Writer
	meter   meter
	file    *durable.Temp // nil: a stream

	err    error // the first; every later call returns it
	closed bool
}

var _ pipeline.Sink = (*Output)(nil)

func newOutput(name, format string, t *table) *Output {
	return &Output{info: Info{Path: name, Format: format}, table: t, block: block{shared: make([]cell, len(t.columns))}}
}

func createOutput(path string, mode fs.FileMode, t *table, spec *Spec) (*Output, error) {
	format, err := Format(path)
	if err != nil {
		return nil, err
	}
	f, err := durable.CreateTemp(path, mode)
	if err != nil {
		return nil, err
	}
	o := newOutput(path, format, t)
	o.file, o.info.Temp = f, f.Name()
	if err := o.startEncoder(f, spec); err != nil {
		return nil, errors.Join(err, o.Discard())
	}
	return o, nil
}

func (o *Output) startEncoder(w io.Writer, spec *Spec) (err error) {
	o.meter = meter{w: w, hash: sha256.New()}
	o.buffer = bufio.NewWriterSize(&o.meter, 64<<10)
	o.encoder, o.closer, err = newEncoder(o.buffer, o.info.Format, o.table.columns, spec)
	return o.recordError(err)
}

// recordError keeps the first error and names the output in it.
func (o *Output) recordError(err error) error {
	if err != nil && o.err == nil {
		o.err = durable.WrapError("write", o.info.Path, err)
	}
	return o.err
}

// Write writes the rows that the outcome makes; none is fine.
func (o *Output) Write(out *pipeline.Outcome) error {
	if o.err == nil && o.closed {
		return fmt.Errorf("write %s: it is closed", o.info.Path)
	}
	if o.err != nil {
		return o.err
	}
	if err := o.table.fill(out, &o.block); err != nil {
		return o.recordError(err)
	}
	if len(o.block.rows) == 0 {
		return nil
	}
	o.info.Rows += int64(len(o.block.rows))
	if err := o.encoder.writeBlock(&o.block); err != nil {
		return o.recordError(err)
	}
	if e, ok := o.encoder.(*jsonlEncoder); ok && e.warnings > 0 && o.info.FirstLoneSurrogate == 0 {
		o.info.FirstLoneSurrogate = out.Row.Number
	}
	return nil
}

// Flush passes on what was written so far, so that a reader of a stream has it now. It does so for uncompressed text; the
// other formats pass on what they have when a block of it is complete.
func (o *Output) Flush() error {
	e, text := o.encoder.(interface{ flush() error })
	if o.err != nil || o.closed || !text || o.closer != nil {
		return o.err
	}
	if err := e.flush(); err != nil {
		return o.recordError(err)
	}
	return o.recordError(o.buffer.Flush())
}

// Close completes the output; a file still has its temporary name after it. A second Close returns what the
// first did.
func (o *Output) Close() error {
	if o.closed {
		return o.err
	}
	o.closed = true
	if o.err == nil {
		o.recordError(o.finishFile())
	}
	if o.file != nil {
		o.recordError(o.file.Close())
	}
	return o.err
}

func (o *Output) finishFile() error {
	if err := o.encoder.finish(); err != nil {
		return err
	}
	if o.closer != nil {
		if err := o.closer.Close(); err != nil {
			return err
		}
	}
	if err := o.buffer.Flush(); err != nil { // also what an encoder above did not pass on: it stays in the buffer
		return err
	}
	if o.file != nil {
		if err := o.file.Sync(); err != nil {
			return err
		}
	}
	o.info.SHA256 = hex.EncodeToString(o.meter.hash.Sum(nil))
	return nil
}

// Discard removes the file, unless it was renamed. It may be called at any time and more than once, so
// it can be deferred right after Create. Every later call but Info and Discard is an error.
func (o *Output) Discard() error {
	if o.file == nil {
		return nil
	}
	o.recordError(errors.New("it was discarded"))
	if !o.closed {
		o.closed = true
		o.file.Close() // whatever is lost was not wanted
	}
	return o.file.Remove()
}

// Info says what was written.
func (o *Output) Info() Info {
	info := o.info
	info.Bytes = o.meter.n
	switch e := o.encoder.(type) {
	case *csvEncoder:
		info.Formulas = e.warnings
	case *jsonlEncoder:
		info.LoneSurrogates = e.warnings
	}
	return info
}

// meter counts and hashes what goes through it.
type meter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.hash.Write(p[:n])
	m.n += int64(n)
	return n, err
}
