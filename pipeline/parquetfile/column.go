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

// MaxBatch is how many bytes the values take at most that [Column.Most] says, unless one alone takes more.
const MaxBatch = 4 << 20

// ErrOutsideFile is of a column whose place in a row group is no place in the file.
var ErrOutsideFile = errors.New("damaged Parquet: a column lies outside of the file")

// Column reads one column, row group by row group.
type Column struct {
	file  *File // nil: it is in none
	pages pageReader
	chunk file.ColumnChunkReader
	read  int // values of the chunk that were decoded
}

// NewColumn is a column that is in no file: its pages come from [Column.Begin]. It is for tests of what is made of values,
// which a footer would be in the way of.
func NewColumn(d *schema.Column, o Options, readAhead int) *Column {
	s := &shared{}
	s.init(o)
	return &Column{pages: pageReader{descr: d, shared: s, buffer: readAhead}}
}

// Open begins the column in a row group, of which md is this column's part. arrow's own way there reads all of it into
// memory. Whether it is encrypted, or in another file, is for the caller to look at.
//
// Nothing is read yet. The error is [ErrOutside], or of a codec that is refused.
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
	return c.Begin(io.NewSectionReader(c.file.r, start, min(length, size-start)), md.NumValues(), md.Compression())
}

// Begin begins with pages that stand in r and have so many values, which [Column.Open] does with those of a row group.
func (c *Column) Begin(r io.Reader, values int64, codec compress.Compression) error {
	if err := c.pages.opts.checkCodec(codec); err != nil {
		return err
	}
	c.pages.beginChunk(r, values, codec)
	c.chunk = file.NewColumnReader(c.pages.descr, &c.pages, memory.DefaultAllocator, &c.pages.buffers)
	c.read = 0
	return nil
}

// Release gives up the pages that the column holds, before its row group is at its end. Read it again after Open.
func (c *Column) Release() {
	c.pages.setHeld(0, 0)
	c.chunk, c.pages.page = nil, nil
}

// Begun reports whether the column is in a row group.
func (c *Column) Begun() bool { return c.chunk != nil }

// HasNext reports whether there are more values in the row group. Where there are none, Err says whether that is because
// of an error.
func (c *Column) HasNext() bool { return c.chunk.HasNext() }

// Err is what ended the row group early.
func (c *Column) Err() error { return c.chunk.Err() }

// BatchSize is how many values, nulls included, are to be decoded at a time by a caller that copies them: as many as the page
// has left, and no more than [MaxBatch] bytes of them. It is known once HasNext has looked at the page.
//
// A value of a dictionary is there once, however many rows have it; and its copies are not.
func (c *Column) BatchSize() int { return min(c.pages.seen-c.read, c.pages.batch) }

// Values is what was decoded: the field of the column's physical type holds the values that are not null. The bytes of
// texts stay as they are: the memory of a page is not used again. Columns can share one, one after the other.
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

// Read decodes up to n values, nulls included, into v. n is at most the length of defs, and of reps, into which the
// levels of each go: which are null, and where lists begin. reps may be nil for a column that is in no list, and levels
// that are always the same are not written.
//
// levels is how many values there were, nulls included, and values how many are in v. They are as the file has it: that
// levels are within their bounds, and that they say as many values as there are, is for the caller to check.
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

func readBatch[T any](batch func(int64, []T, []int16, []int16) (int64, int, error), into *[]T, n int, defs, reps []int16) (levels, values int, err error) {
	if cap(*into) < n {
		*into = make([]T, len(defs))
	}
	many, values, err := batch(int64(n), (*into)[:cap(*into)], defs, reps)
	*into = (*into)[:values]
	return int(many), values, err
}
