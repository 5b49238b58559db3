package sinks

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	groupRows   = 128 << 10 // rows of a row group
	groupBytes  = 32 << 20  // about how much memory a row group may use; with huge payloads it has fewer rows
	stepRows    = 1 << 10   // rows added at once
	stepBytes   = 4 << 20   // text of the shared cells in them, counted once per row
	keptBuffer  = 4 << 20   // larger buffers are not reused
	parquetMark = "PAR1"
)

// parquetEncoder writes Parquet: its own pages (parquetcolumn.go, parquetpage.go) with arrow's metadata.
//
// arrow's file writer is made for columns that arrive one after the other. For rows it allocates 1 to 5 KB each, makes
// a zstd encoder for each page, and needs 700 to 900 ns per row. This encoder needs about a fifth, because what the
// rows of a user share is encoded as one run, and the rest are indices of dictionary entries.
//
// Columns depend on each other only in where a row group ends. So the columns are divided among goroutines, which add
// the same rows at their own pace. A row group ends after groupRows, or when its buffers take groupBytes. While that is
// far away nobody waits for the goroutines; near it, rows are added step by step, without them, as if there were none.
// So the file is the same.
//
// A page is compressed as soon as it is full, and a full row group is written at once, so memory is bounded by
// groupBytes, whatever the size of the output.
type parquetEncoder struct {
	w       *counter
	footer  *metadata.FileMetaDataBuilder
	columns []*parquetColumn
	shares  []*columnShare
	working sync.WaitGroup // tasks that shares have
	buffers *buffers
	data    *sync.Pool    // of *parquetData
	numbers *atomic.Int64 // of parquetData

	// The open row group.
	rows int
	held int // about how many bytes are in the buffers of its columns, at most

	ending *rowGroup // the one before it, until it is written
	groups int       // that are written

	groupRows, groupBytes int // the constants, except in tests
}

// rowGroup is what columns make of a row group.
type rowGroup struct {
	rows   int
	chunks []columnChunk // of each column
	left   atomic.Int32  // shares that are not done
	done   chan struct{} // closed when none is
}

// columnShare is the columns that one goroutine adds to.
type columnShare struct {
	columns []*parquetColumn
	queue   chan columnTask
	ended   chan struct{}
}

// columnTask is rows to add, and then the row group to end, if it is not nil.
type columnTask struct {
	data     *parquetData
	from, to int
	end      *rowGroup
}

// newParquet begins a Parquet file.
func newParquet(w io.Writer, buffers *buffers, columns []column, spec *Spec) (*parquetEncoder, error) {
	createdBy := "rollcall"
	if spec.Version != "" {
		createdBy += " version " + spec.Version // the form that readers parse
	}
	root, err := newParquetSchema(columns)
	if err != nil {
		return nil, err
	}
	meta := metadata.NewKeyValueMetadata()
	for _, key := range slices.Sorted(maps.Keys(spec.Meta)) { // sorted, so that the same options give the same bytes
		if err := meta.Append(key, spec.Meta[key]); err != nil {
			return nil, err
		}
	}
	props := parquet.NewWriterProperties(
		parquet.WithCreatedBy(createdBy), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDictionaryDefault(false),
	)
	e := &parquetEncoder{
		w:          &counter{w: w},
		footer:     metadata.NewFileMetadataBuilder(schema.NewSchema(root), props, meta),
		buffers:    buffers,
		groupRows:  groupRows,
		groupBytes: groupBytes,
	}
	cores := runtime.GOMAXPROCS(0)
	own := spec.shared
	if own == nil {
		own = &shared{}
	}
	e.data, e.numbers = &own.data, &own.numbers
	if own.pages == nil {
		if own.pages, err = newPageWriters(cores); err != nil {
			return nil, err
		}
	}
	rows := min(max(pageRowsOfAll/len(columns), minPageRows), maxPageRows)
	e.shares = make([]*columnShare, min(2*cores, len(columns)))
	for i := range e.shares {
		e.shares[i] = &columnShare{}
	}
	varying, fixed := 0, 0
	for i, c := range columns {
		pc := newParquetColumn(c, own.pages, buffers, rows)
		if pc.index = i; c.varies {
			pc.cell = varying
			varying++
		} else {
			pc.cell = fixed
			fixed++
		}
		e.columns = append(e.columns, pc)
		share := e.shares[i%len(e.shares)]
		share.columns = append(share.columns, pc)
	}
	_, err = io.WriteString(e.w, parquetMark)
	return e, err
}

func newParquetSchema(columns []column) (*schema.GroupNode, error) {
	var fields schema.FieldList
	for _, c := range columns {
		repetition := parquet.Repetitions.Optional
		if c.required {
			repetition = parquet.Repetitions.Required
		}
		var logical schema.LogicalType = schema.NoLogicalType{}
		var physical parquet.Type
		length := -1
		switch c.typ {
		case pipeline.TypeString, pipeline.TypeJSON:
			physical, logical = parquet.Types.ByteArray, schema.StringLogicalType{}
		case pipeline.TypeInt:
			physical = parquet.Types.Int64
		case pipeline.TypeFloat:
			physical = parquet.Types.Double
		case pipeline.TypeBool:
			physical = parquet.Types.Boolean
		case pipeline.TypeDate:
			physical, logical = parquet.Types.Int32, schema.DateLogicalType{}
		case pipeline.TypeTimestamp:
			unit := schema.TimeUnitMicros
			if c.millis {
				unit = schema.TimeUnitMillis
			}
			physical, logical = parquet.Types.Int64, schema.NewTimestampLogicalType(true, unit)
		case pipeline.TypeDecimal:
			if c.precision < 1 || c.precision > pipeline.MaxPrecision || c.scale < 0 || c.scale > c.precision {
				return nil, fmt.Errorf("column %q: decimal(%d,%d) is not a valid type", c.name, c.precision, c.scale)
			}
			logical = schema.NewDecimalLogicalType(int32(c.precision), int32(c.scale))
			switch width := decimalWidth(c.precision); width {
			case 4:
				physical = parquet.Types.Int32
			case 8:
				physical = parquet.Types.Int64
			default:
				physical, length = parquet.Types.FixedLenByteArray, width
			}
		}
		node, err := schema.NewPrimitiveNodeLogical(c.name, repetition, logical, physical, length, -1)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", c.name, err)
		}
		fields = append(fields, node)
	}
	return schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
}

// write adds the rows of d, which it takes, to the file.
func (e *parquetEncoder) write(d *parquetData) error {
	d.users.Store(1)
	defer e.release(d)
	for from := 0; from < d.rows; {
		if e.held+d.grows >= e.groupBytes {
			e.wait()
			e.held = 0
			for _, c := range e.columns {
				e.held += c.mostHeld()
			}
		}
		to, full := min(d.rows, from+e.groupRows-e.rows), false
		e.rows -= from
		if e.held+d.grows < e.groupBytes {
			e.send(columnTask{data: d, from: from, to: to})
			from = to
		}
		for from < to && !full { // the row group may be full before the last of these rows
			end, held := d.stepEnd(from, to), 0
			for _, c := range e.columns {
				c.appendRows(d, from, end)
				held += c.held
			}
			from, full = end, held >= e.groupBytes
		}
		e.rows += from
		e.held += d.grows
		if full || e.rows == e.groupRows {
			if err := e.endGroup(); err != nil {
				return err
			}
		}
	}
	if e.ending != nil && e.ending.left.Load() == 0 {
		return e.writeGroup()
	}
	return nil
}

// send gives every share the task.
func (e *parquetEncoder) send(t columnTask) {
	e.working.Add(len(e.shares))
	if t.data != nil {
		t.data.users.Add(int32(len(e.shares)))
	}
	for _, s := range e.shares {
		if s.queue == nil {
			s.queue, s.ended = make(chan columnTask, columnQueue), make(chan struct{})
			go e.work(s)
		}
		s.queue <- t
	}
}

// columnQueue is how many tasks may wait for a share of the columns.
const columnQueue = 4

// work adds rows to a share of the columns.
func (e *parquetEncoder) work(s *columnShare) {
	defer close(s.ended)
	for t := range s.queue {
		for _, c := range s.columns {
			if t.data != nil {
				c.appendRows(t.data, t.from, t.to)
			}
			if t.end != nil {
				t.end.chunks[c.index] = c.endChunk()
			}
		}
		if t.data != nil {
			e.release(t.data)
		}
		if t.end != nil && t.end.left.Add(-1) == 0 {
			close(t.end.done)
		}
		e.working.Done()
	}
}

// wait waits until the shares have nothing to do. Then the columns are the caller's until it sends something.
func (e *parquetEncoder) wait() { e.working.Wait() }

// endGroup ends the open row group, after the one before it is written.
func (e *parquetEncoder) endGroup() error {
	if err := e.writeGroup(); err != nil {
		return err
	}
	e.ending = &rowGroup{rows: e.rows, chunks: make([]columnChunk, len(e.columns)), done: make(chan struct{})}
	e.ending.left.Store(int32(len(e.shares)))
	e.send(columnTask{end: e.ending})
	e.rows, e.held = 0, 0
	return nil
}

// writeGroup writes the row group that has ended, if there is one.
func (e *parquetEncoder) writeGroup() error {
	g := e.ending
	if g == nil {
		return nil
	}
	<-g.done
	e.ending = nil
	meta := e.footer.AppendRowGroup()
	meta.SetNumRows(g.rows)
	var size int64
	for i := range g.chunks {
		chunk := &g.chunks[i]
		if err := chunk.write(e.w, meta.NextColumnChunk()); err != nil {
			return err
		}
		size += chunk.bytes
		e.buffers.put(chunk.dictionary)
		e.buffers.put(chunk.pages)
	}
	e.groups++
	return meta.Finish(size, int16(e.groups-1))
}

// stop ends the goroutines.
func (e *parquetEncoder) stop() {
	for _, s := range e.shares {
		if s.queue != nil {
			close(s.queue)
			<-s.ended
			s.queue = nil
		}
	}
}

func (e *parquetEncoder) finish() error {
	if e.rows > 0 {
		if err := e.endGroup(); err != nil {
			return err
		}
	}
	if err := e.writeGroup(); err != nil {
		return err
	}
	meta, err := e.footer.Finish()
	if err != nil {
		return err
	}
	before := e.w.n
	if _, err := meta.WriteTo(e.w, nil); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint32(nil, uint32(e.w.n-before))
	_, err = e.w.Write(append(end, parquetMark...))
	return err
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
