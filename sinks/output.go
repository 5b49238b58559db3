package sinks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

// Info describes an output. The counts and SHA256 are final after Close.
type Info struct {
	Path     string // as given
	Temp     string // the name of the file until it is published, see [staging.File]; "" for a stream
	Below    string // of a file of a [Partitioned]: its path below the output's directory, with slashes
	Format   string // as [Format] names it
	Rows     int64  // without the header
	Bytes    int64
	SHA256   string // in hex; "" before Close
	Formulas int64  // cells of CSV and TSV that a spreadsheet would run; escaped only if the Spec says so

	// LoneSurrogates counts the cells of JSONL that had a lone surrogate, which is written as U+FFFD.
	// FirstLoneSurrogate is the row number of the first.
	LoneSurrogates, FirstLoneSurrogate int64
}

// Output is one file of a run, or standard output. Its methods are used from one goroutine, but for Encode.
type Output struct {
	info  Info
	table *table
	file  staging.File // nil: a stream

	newFormat func() format
	encoders  sync.Pool // of *encoder, for Encode
	own       encoder   // of Write
	open      *piece    // what Write has encoded and not passed on
	passed    piece     // the counts of what was passed on
	buffers   *buffers

	// Where pieces go: one of the first two, if it is not nil, and the tail.
	parquet     *parquetEncoder
	compressing *stage
	compressor  io.Closer // in compressing
	tail        *tail

	err    error // the first; every later call returns it
	closed bool
}

var _ pipeline.Encoder = (*Output)(nil)

func createOutput(path string, mode fs.FileMode, t *table, spec *Spec) (*Output, error) {
	format, err := Format(path)
	if err != nil {
		return nil, err
	}
	f, err := spec.Files.Create(path, mode)
	if err != nil {
		return nil, err
	}
	o, err := newOutput(f, Info{Path: path, Temp: f.Name(), Format: format}, t, spec)
	o.file = f
	if err != nil {
		return nil, errors.Join(err, o.Discard())
	}
	return o, nil
}

// newOutput returns an output that writes to w.
func newOutput(w io.Writer, info Info, t *table, spec *Spec) (*Output, error) {
	o := &Output{info: info, table: t, buffers: &buffers{}}
	if spec.shared != nil {
		o.buffers = &spec.shared.buffers
	}
	o.tail = newTail(w, o.buffers)
	if err := o.setFormat(spec); err != nil {
		return o, o.recordError(err)
	}
	if o.open = o.newPiece(); spec.shared != nil && spec.shared.encoder != nil {
		o.own = *spec.shared.encoder
	} else {
		o.own = o.newEncoder()
	}
	if e, ok := o.own.format.(*csvEncoder); ok {
		if spec.BOM {
			o.open.text = append(o.open.text, "\ufeff"...)
		}
		e.writeHeader(o.open)
	}
	return o, nil
}

func (o *Output) newEncoder() encoder {
	return encoder{table: o.table, block: newBlock(len(o.table.columns)), format: o.newFormat()}
}

// recordError keeps the first error, with the name of the output, and returns it.
func (o *Output) recordError(err error) error {
	if err != nil && o.err == nil {
		o.err = staging.WrapError("write", o.info.Path, err)
	}
	return o.err
}

// Write writes the rows of the outcome, if it has any.
func (o *Output) Write(out *pipeline.Outcome) error {
	if err := o.check(); err != nil {
		return err
	}
	return o.writeRows(out, 0)
}

// check returns an error if the output cannot be written to.
func (o *Output) check() error {
	if o.err == nil && o.closed {
		return fmt.Errorf("write %s: the output is closed", o.info.Path)
	}
	return o.err
}

// Flush passes on what was written so far, so that the reader of a stream gets it now. It has an effect only on
// uncompressed text: the other formats write block by block.
func (o *Output) Flush() error {
	if o.err != nil || o.closed || o.parquet != nil || o.compressing != nil {
		return o.err
	}
	if err := o.commitOpen(); err != nil {
		return err
	}
	return o.recordError(o.tail.flush())
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
	o.stop()
	if o.file != nil {
		o.recordError(o.file.Close())
	}
	return o.err
}

func (o *Output) finishFile() error {
	if err := o.commitOpen(); err != nil {
		return err
	}
	switch {
	case o.parquet != nil:
		if err := o.parquet.finish(); err != nil {
			return err
		}
	case o.compressing != nil:
		o.compressing.close()
		if err := o.compressor.Close(); err != nil {
			return err
		}
	}
	if err := o.tail.close(); err != nil {
		return err
	}
	if o.file != nil {
		if err := o.file.Sync(); err != nil {
			return err
		}
	}
	o.info.SHA256 = o.tail.sum()
	return nil
}

// stop ends the goroutines, whose work is of no use any more unless the file is finished.
func (o *Output) stop() {
	o.tail.aborted.Store(true)
	if o.parquet != nil {
		o.parquet.stop()
	}
	if o.compressing != nil {
		o.compressing.close()
	}
	_ = o.tail.close() // the error that counts is known
}

// Discard removes the file, unless it was published. It may be called at any time and more than once, so it can be
// deferred right after Create. Later calls other than Info and Discard return an error. A stream it only ends.
func (o *Output) Discard() error {
	if o.file != nil || !o.closed {
		o.recordError(errors.New("the output was discarded"))
	}
	closed := o.closed
	if o.closed = true; !closed {
		o.stop()
	}
	if o.file == nil {
		return nil
	}
	if !closed {
		o.file.Close() // an error does not matter: the file goes
	}
	return o.file.Remove()
}

// Files describes the file, if the output is one and not a stream.
func (o *Output) Files() []Info {
	if o.file == nil {
		return nil
	}
	return []Info{o.Info()}
}

// Info describes what was written so far.
func (o *Output) Info() Info {
	var written piece
	written.count(&o.passed)
	if o.open != nil {
		written.count(o.open)
	}
	info := o.info
	info.Bytes, info.Rows = o.tail.bytes.Load(), written.rows
	switch o.own.format.(type) {
	case *csvEncoder:
		info.Formulas = written.warnings
	case *jsonlEncoder:
		info.LoneSurrogates, info.FirstLoneSurrogate = written.warnings, written.firstWarning
	}
	return info
}
