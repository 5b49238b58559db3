package parquetfile

import (
	"errors"
	"io"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// MaxBatch is the most bytes that the values of a [Column.BatchSize] take, unless a single value takes more.
const MaxBatch = 4 << 20

// ErrOutsideFile is the error of a column whose position in a row group is not inside the file.
var ErrOutsideFile = errors.New("damaged Parquet: a column lies outside of the file")

// Column reads one column, row group by row group.
type Column struct {
	file  *File // nil if it is not in a file
	pages pageReader
	chunk file.ColumnChunkReader
	read  int // values of the chunk decoded so far
}

// NewColumn returns a column without a file: its pages come from [Column.Begin]. It lets tests of converted values do
// without a footer.
func NewColumn(d *schema.Column, o Options, readAhead int) *Column {
	s := &shared{}
	s.init(o)
	return &Column{pages: pageReader{descr: d, shared: s, buffer: readAhead}}
}

// Open begins the column in the row group that md describes. arrow's own reader would read all of it into memory. The
// caller must check whether the column is encrypted, or in another file.
//
// Open reads nothing yet. The error is [ErrOutsideFile], or that of a codec that is not accepted.
func (c *Column) Open(md *metadata.ColumnChunkMetaData) error {
	start, length := md.DataPageOffset(), md.TotalCompressedSize()
	if md.HasDictionaryPage() && md.DictionaryPageOffset() > 0 && md.DictionaryPageOffset() < start {
		start = md.DictionaryPageOffset()
	}
	if c.file.md.WriterVersion().LessThan(metadata.Parquet816FixedVersion) {
		length += 100 // parquet-mr before 1.2.9 leaves the dictionary's header out (PARQUET-816)
	}
	size := c.file.size
	if start < 4 || length < 0 || start > size || length > size {
		return ErrOutsideFile
	}
	return c.Begin(c.file.section(start, min(length, size-start)), md.NumValues(), md.Compression())
}

func (f *File) section(start, length int64) io.Reader {
	if s, ok := f.r.(interface {
		Section(offset, n int64) io.Reader
	}); ok {
		return s.Section(start, length)
	}
	return io.NewSectionReader(f.r, start, length)
}

// Begin begins with the pages in r, which have that many values. [Column.Open] calls it with the pages of a row group.
func (c *Column) Begin(r io.Reader, values int64, codec compress.Compression) error {
	if err := c.pages.opts.checkCodec(codec); err != nil {
		return err
	}
	c.pages.beginChunk(r, values, codec)
	c.chunk = file.NewColumnReader(c.pages.descr, &c.pages, memory.DefaultAllocator, &c.pages.buffers)
	c.read = 0
	return nil
}

// Release frees the pages of the column before its row group ends. Call Open before the next Read.
func (c *Column) Release() {
	c.pages.setHeld(0, 0)
	c.chunk, c.pages.page = nil, nil
}

// Begun reports whether the column is in a row group.
func (c *Column) Begun() bool { return c.chunk != nil }

// HasNext reports whether the row group has more values. If it has none, Err reports whether an error is the reason.
func (c *Column) HasNext() bool { return c.chunk.HasNext() }

// Err returns the error that ended the row group early.
func (c *Column) Err() error { return c.chunk.Err() }

// BatchSize returns how many values, nulls included, a caller that copies them should decode at a time: the rest of
// the page, but no more than [MaxBatch] bytes. It is valid after HasNext.
//
// A value of a dictionary is in memory once, however many rows have it, but each row has its own copy.
func (c *Column) BatchSize() int { return min(c.pages.seen-c.read, c.pages.batch) }

// Values holds decoded values: the field of the column's physical type has those that are not null. The bytes of texts
// stay valid, because the memory of a page is not reused. Several columns can use one Values, one after the other.
type Values struct {
	Bools   []bool
	Int32s  []int32
	Int64s  []int64
	Int96s  []parquet.Int96
	Floats  []float32
	Doubles []float64
	Bytes   []parquet.ByteArray
	Fixed   []parquet.FixedLenByteArray
}

// Read decodes up to n values, nulls included, into v. n is at most the length of defs, and of reps, which receive the
// levels of each value: whether it is null, and where lists begin. reps may be nil for a column that is not in a list.
// Levels that are always the same are not written.
//
// levels is the number of values, nulls included, and values is the number in v. Both are as in the file: the caller
// checks that the levels are within their bounds, and that they match the number of values.
func (c *Column) Read(v *Values, n int, defs, reps []int16) (levels, values int, err error) {
	switch chunk := c.chunk.(type) {
	case *file.BooleanColumnChunkReader:
		levels, values, err = readBatch(chunk.ReadBatch, &v.Bools, n, defs, reps)
	case *file.Int32ColumnChunkReader:
		levels, values, err = readBatch(chunk.ReadBatch, &v.Int32s, n, defs, reps)
	case *file.Int64ColumnChunkReader:
		levels, values, err = readBatch(chunk.ReadBatch, &v.Int64s, n, defs, reps)
	case *file.Int96ColumnChunkReader:
		levels, values, err = readBatch(chunk.ReadBatch, &v.Int96s, n, defs, reps)
	case *file.Float32ColumnChunkReader:
		levels, values, err = readBatch(chunk.ReadBatch, &v.Floats, n, defs, reps)
	case *file.Float64ColumnChunkReader:
		levels, values, err = readBatch(chunk.ReadBatch, &v.Doubles, n, defs, reps)
	case *file.ByteArrayColumnChunkReader:
		levels, values, err = readBatch(chunk.ReadBatch, &v.Bytes, n, defs, reps)
	case *file.FixedLenByteArrayColumnChunkReader:
		levels, values, err = readBatch(chunk.ReadBatch, &v.Fixed, n, defs, reps)
	}
	c.read += levels
	return levels, values, err
}

func readBatch[T any](batch func(int64, []T, []int16, []int16) (int64, int, error), into *[]T, n int, defs,
	reps []int16) (levels, values int, err error) {
	if cap(*into) < n {
		*into = make([]T, len(defs))
	}
	many, values, err := batch(int64(n), (*into)[:cap(*into)], defs, reps)
	*into = (*into)[:values]
	return int(many), values, err
}
