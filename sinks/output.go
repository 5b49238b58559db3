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

// Info describes an output. The counts and SHA256 are final after Close.
type Info struct {
	Path     string // as given
	Temp     string // the name of the file until it is renamed; "" for a stream
	Format   string // as [Format] names it
	Rows     int64  // without the header
	Bytes    int64
	SHA256   string // in hex; "" before Close
	Formulas int64  // cells of CSV and TSV that a spreadsheet would run; escaped only if the Spec says so

	// LoneSurrogates counts the cells of JSONL that had a lone surrogate, which is written as U+FFFD.
	// FirstLoneSurrogate is the row number of the first.
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
	counter counter
	hash    hash.Hash
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
	o.hash = sha256.New()
	o.counter.w = io.MultiWriter(w, o.hash)
	o.buffer = bufio.NewWriterSize(&o.counter, 64<<10)
	o.encoder, o.closer, err = newEncoder(o.buffer, o.info.Format, o.table.columns, spec)
	return o.recordError(err)
}

// recordError keeps the first error, with the name of the output, and returns it.
func (o *Output) recordError(err error) error {
	if err != nil && o.err == nil {
		o.err = durable.WrapError("write", o.info.Path, err)
	}
	return o.err
}

// Write writes the rows of the outcome, if it has any.
func (o *Output) Write(out *pipeline.Outcome) error {
	if o.err == nil && o.closed {
		return fmt.Errorf("write %s: the output is closed", o.info.Path)
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

// Flush passes on what was written so far, so that the reader of a stream gets it now. It has an effect only on
// uncompressed text: the other formats write block by block.
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

// Close completes the output. A file still has its temporary name afterwards. A second Close returns the same error.
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
	if err := o.buffer.Flush(); err != nil { // this also reports earlier errors that an encoder ignored
		return err
	}
	if o.file != nil {
		if err := o.file.Sync(); err != nil {
			return err
		}
	}
	o.info.SHA256 = hex.EncodeToString(o.hash.Sum(nil))
	return nil
}

// Discard removes the file, unless it was renamed. It may be called at any time and more than once, so it can be
// deferred right after Create. Later calls other than Info and Discard return an error.
func (o *Output) Discard() error {
	if o.file == nil {
		return nil
	}
	o.recordError(errors.New("the output was discarded"))
	if !o.closed {
		o.closed = true
		o.file.Close() // an error does not matter: the file goes
	}
	return o.file.Remove()
}

// Info describes what was written so far.
func (o *Output) Info() Info {
	info := o.info
	info.Bytes = o.counter.n
	switch e := o.encoder.(type) {
	case *csvEncoder:
		info.Formulas = e.warnings
	case *jsonlEncoder:
		info.LoneSurrogates = e.warnings
	}
	return info
}

// counter counts the bytes that are written to w.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
