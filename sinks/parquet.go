package sinks

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	groupRows       = 128 << 10 // rows of a row group
	groupBytes      = 32 << 20  // about what a row group may hold in memory; one of huge payloads is cut short
	batchRows       = 4 << 10   // rows handed to arrow at once
	batchBytes      = 4 << 20   // text that a batch may keep alive
	dictionaryBytes = 1 << 20   // a larger dictionary is not worth it, and not what readers expect

	// zstdLevel is zstd's fastest, because arrow makes a new encoder for each page, or rather GOMAXPROCS of
	// them: 256 KiB each at this level, 1.3 MiB at the next, and 8 or 16 MiB of history for one of them.
	// The files come out as small.
	zstdLevel = 1
)

// parquetEncoder collects rows in columns and hands them, a batch at a time, to arrow's column writers. (Its
// record writer, pqarrow, costs twice the CPU.) arrow compresses page by page and keeps a row group in memory
// until it is whole, so memory is bounded by groupBytes, not by the output.
type parquetEncoder struct {
	writer  *file.Writer
	group   file.BufferedRowGroupWriter // nil: none is open
	columns []columnBuffer
	batch   int // rows in columns
	bytes   int // of text in columns
	rows    int // in the open row group

	cols       []column
	groupBytes int64 // the constant, but for tests
}

// newParquet writes the Parquet file's head to w; close of the file belongs to the caller.
func newParquet(w io.Writer, columns []column, spec *Spec) (e *parquetEncoder, err error) {
	defer recovered(&err)
	createdBy := "rollcall"
	if spec.Version != "" {
		createdBy += " version " + spec.Version // the form that readers parse: application version number
	}
	props := []parquet.WriterProperty{
		parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(zstdLevel),
		parquet.WithDictionaryDefault(false),
	}
	e = &parquetEncoder{groupBytes: groupBytes, cols: columns}
	var fields schema.FieldList
	for _, c := range columns {
		repetition := parquet.Repetitions.Optional
		if c.required {
			repetition = parquet.Repetitions.Required
		}
		var logical schema.LogicalType = schema.NoLogicalType{}
		var physical parquet.Type
		var buffer columnBuffer
		switch c.typ {
		case pipeline.TypeString, pipeline.TypeJSON:
			physical, logical = parquet.Types.ByteArray, schema.StringLogicalType{}
			texts := newBuffer(c, func(c *cell) parquet.ByteArray { return byteArray(c.text) })
			if buffer = texts; c.varies {
				buffer = &dictionary{plain: texts, index: map[string]int32{}}
				props = append(props, parquet.WithDictionaryFor(c.name, true))
			}
		case pipeline.TypeInt:
			physical = parquet.Types.Int64
			buffer = newBuffer(c, func(c *cell) int64 { return c.num })
		case pipeline.TypeFloat:
			physical = parquet.Types.Double
			buffer = newBuffer(c, func(c *cell) float64 { return math.Float64frombits(uint64(c.num)) })
		case pipeline.TypeBool:
			physical = parquet.Types.Boolean
			buffer = newBuffer(c, func(c *cell) bool { return c.num != 0 })
		case pipeline.TypeDate:
			physical, logical = parquet.Types.Int32, schema.DateLogicalType{}
			buffer = newBuffer(c, func(c *cell) int32 { return int32(c.num) })
		case pipeline.TypeTimestamp:
			unit := schema.TimeUnitMicros
			if c.millis {
				unit = schema.TimeUnitMillis
			}
			physical, logical = parquet.Types.Int64, schema.NewTimestampLogicalType(true, unit)
			buffer = newBuffer(c, func(c *cell) int64 { return c.num })
		}
		node, err := schema.NewPrimitiveNodeLogical(c.name, repetition, logical, physical, -1, -1)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", c.name, err)
		}
		fields = append(fields, node)
		e.columns = append(e.columns, buffer)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		return nil, err
	}
	meta := metadata.NewKeyValueMetadata()
	for _, key := range slices.Sorted(maps.Keys(spec.Meta)) { // sorted: the same options give the same bytes
		if err := meta.Append(key, spec.Meta[key]); err != nil {
			return nil, err
		}
	}
	// Without the io.Closer that w may be: arrow would close it.
	e.writer = file.NewParquetWriter(struct{ io.Writer }{w}, root,
		file.WithWriterProps(parquet.NewWriterProperties(props...)), file.WithWriteMetadata(meta))
	return e, nil
}

func (e *parquetEncoder) write(b *block) error {
	for _, t := range b.rows {
		n := 0
		for i, c := range e.cols {
			if c.varies {
				b.shared[i] = t.cells[n]
				n++
			}
		}
		if err := e.writeRow(b.shared); err != nil {
			return err
		}
	}
	return nil
}

func (e *parquetEncoder) writeRow(row []cell) error {
	for i := range row {
		e.columns[i].add(&row[i])
		e.bytes += len(row[i].text)
	}
	e.batch++
	e.rows++
	if e.batch == batchRows || e.bytes >= batchBytes || e.rows == groupRows {
		return e.flush(e.rows == groupRows)
	}
	return nil
}

// flush hands the batch to arrow, and completes the row group if it is the last of it or memory runs out.
func (e *parquetEncoder) flush(last bool) (err error) {
	defer recovered(&err)
	if e.group == nil {
		e.group = e.writer.AppendBufferedRowGroup()
	}
	// What is written is counted in one of the two or in both, so this is at most twice what is in memory.
	last = last || e.group.TotalCompressedBytes()+e.group.TotalBytesWritten() >= e.groupBytes
	for i, c := range e.columns {
		w, err := e.group.Column(i)
		if err != nil {
			return err
		}
		if err := c.flush(w, last); err != nil {
			return err
		}
	}
	e.batch, e.bytes = 0, 0
	if !last {
		return nil
	}
	group := e.group
	e.group, e.rows = nil, 0
	return group.Close() // the next AppendBufferedRowGroup would do it too, but swallows the error
}

func (e *parquetEncoder) finish() (err error) {
	defer recovered(&err)
	if e.rows > 0 {
		if err := e.flush(true); err != nil {
			return err
		}
	}
	return e.writer.Close()
}

// recovered turns a panic of arrow, which has those for errors of the writer under it, into an error.
func recovered(err *error) {
	switch r := recover().(type) {
	case nil:
	case error:
		*err = fmt.Errorf("parquet writer: %w", r)
	default:
		*err = fmt.Errorf("parquet writer: %v", r)
	}
}

// columnBuffer collects the cells of one column.
type columnBuffer interface {
	add(c *cell)

	// flush hands what was added to arrow. It may keep some of it back until the last flush of a row group.
	flush(w file.ColumnChunkWriter, last bool) error
}

// buffer is the columnBuffer of a physical type.
type buffer[T any] struct {
	value    func(*cell) T
	values   []T     // those that are not null
	levels   []int16 // 0: null, 1: not; nil where the column is required
	required bool
}

func newBuffer[T any](c column, value func(*cell) T) *buffer[T] {
	b := &buffer[T]{value: value, required: c.required, values: make([]T, 0, batchRows)}
	if !c.required {
		b.levels = make([]int16, 0, batchRows)
	}
	return b
}

func (b *buffer[T]) add(c *cell) {
	if !b.required {
		if c.null {
			b.levels = append(b.levels, 0)
			return
		}
		b.levels = append(b.levels, 1)
	}
	b.values = append(b.values, b.value(c))
}

func (b *buffer[T]) flush(w file.ColumnChunkWriter, _ bool) error {
	_, err := w.(interface {
		WriteBatch(values []T, defLevels, repLevels []int16) (int64, error)
	}).WriteBatch(b.values, b.levels, nil)
	clear(b.values) // lets go of the texts
	b.values, b.levels = b.values[:0], b.levels[:0]
	return err
}

// byteArray is the text without a copy: arrow reads it, when the batch is flushed, and keeps it as a minimum
// or maximum, but never writes to it. The empty text must not be nil, which arrow's statistics take for unset.
func byteArray(s string) parquet.ByteArray {
	if s == "" {
		return parquet.ByteArray{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// dictionary is the columnBuffer of texts of which few differ. arrow builds dictionaries too, but allocates
// for every value; this one looks it up in a map. It holds the indices of a row group until that ends. Once
// there are too many different texts, the rest of the row group is plain.
type dictionary struct {
	index   map[string]int32
	values  []parquet.ByteArray // the different texts, as they came
	size    int                 // of the values
	indices []int32             // one for each row, 0 where it is null
	levels  []int16             // as in buffer, but always there
	nulls   int

	plain *buffer[parquet.ByteArray]
	full  bool // all goes to plain
}

func (d *dictionary) add(c *cell) {
	if d.full {
		d.plain.add(c)
		return
	}
	if c.null {
		d.indices, d.levels = append(d.indices, 0), append(d.levels, 0)
		d.nulls++
		return
	}
	i, ok := d.index[c.text]
	if !ok {
		text := strings.Clone(c.text) // so that it does not keep a whole answer alive
		i = int32(len(d.values))
		d.index[text] = i
		d.values = append(d.values, byteArray(text))
		d.size += len(text) + 4
	}
	d.indices, d.levels = append(d.indices, i), append(d.levels, 1)
}

func (d *dictionary) flush(w file.ColumnChunkWriter, last bool) error {
	switch {
	case d.full:
		d.full = !last
		return d.plain.flush(w, last)
	case !last && d.size < dictionaryBytes:
		return nil
	}
	if err := d.write(w); err != nil {
		return err
	}
	clear(d.index)
	clear(d.values)
	d.values, d.indices, d.levels, d.size, d.nulls = d.values[:0], d.indices[:0], d.levels[:0], 0, 0
	if !last {
		w.FallbackToPlain()
		d.full = true
	}
	return nil
}

// write hands the dictionary and the indices to arrow, the way its own pqarrow does it for dictionary arrays.
func (d *dictionary) write(w file.ColumnChunkWriter) error {
	builder := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	for _, v := range d.values {
		builder.Append(v)
	}
	encoder := w.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error })
	if err := encoder.PutDictionary(builder.NewArray()); err != nil {
		return err
	}
	valid := make([]byte, bitutil.BytesForBits(int64(len(d.levels))))
	for i, level := range d.levels {
		valid[i/8] |= byte(level) << (i % 8)
	}
	indices := array.NewData(arrow.PrimitiveTypes.Int32, len(d.indices), []*memory.Buffer{
		memory.NewBufferBytes(valid), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(d.indices)),
	}, nil, d.nulls, 0)
	var levels []int16
	if !d.plain.required {
		levels = d.levels
	}
	if err := w.WriteDictIndices(array.NewInt32Data(indices), levels, nil); err != nil {
		return err
	}
	if s, ok := w.PageStatistics().(*metadata.ByteArrayStatistics); ok { // WriteDictIndices leaves them alone
		s.Update(d.values, int64(d.nulls))
	}
	return nil
}
