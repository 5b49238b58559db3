package report

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	parquetBatch = 1024 // rows that are decoded at a time
	maxFooter    = 64 << 20
	// maxFooterParts bounds what arrow makes of a footer: a column in a row group takes 90 bytes there at least, and
	// several hundred in memory.
	maxFooterParts = 500_000
)

// parquetTable reads a Parquet file that rollcall has written: flat columns of few types. arrow panics on damaged
// files, and believes sizes that a file claims: guard recovers the panics, checkFooter looks at the footer before arrow
// does, and pageReader reads the pages.
type parquetTable struct {
	name      string
	file      *os.File
	size      int64
	pq        *file.Reader
	meta      map[string]string
	createdBy string
	cols      []column
	leafs     []*leafReader
	unwanted  []bool

	group int     // row groups begun
	left  int64   // rows of the current one that are not decoded yet
	row   int64   // the last that next returned, from 1
	cells []Value // of the batch, row by row
	n, i  int     // rows of the batch, and how many are used
	defs  []int16
	held  int64 // bytes of the pages of all columns

	unpack unpacker
	bools  []bool
	int32s []int32
	int64s []int64
	double []float64
	bytes  []parquet.ByteArray
}

// leafReader reads one column.
type leafReader struct {
	descr *schema.Column
	kind  pipeline.ValueKind
	scale int64 // what a number is multiplied with
	pages pageReader
	chunk file.ColumnChunkReader
}

// guard runs f and turns a panic of arrow into an error, which names the file.
func guard(name string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: damaged Parquet: %v", name, p)
		}
	}()
	if err := f(); err == io.EOF {
		return err
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func openParquet(path string) (table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t := &parquetTable{name: path, file: f}
	if err := guard(path, t.open); err != nil {
		f.Close() //nolint:errcheck // only read
		return nil, err
	}
	return t, nil
}

func (t *parquetTable) open() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	t.size = info.Size()
	if t.size < 12 {
		return errors.New("too short for Parquet")
	}
	tail := make([]byte, 8)
	if _, err := t.file.ReadAt(tail, t.size-8); err != nil {
		return err
	}
	if string(tail[4:]) != "PAR1" {
		return errors.New("not a Parquet file, or a truncated one: it does not end in PAR1")
	}
	footer := int64(binary.LittleEndian.Uint32(tail))
	if footer > t.size-12 || footer > maxFooter {
		return fmt.Errorf("damaged Parquet: a footer of %d bytes in a file of %d", footer, t.size)
	}
	if err := t.checkFooter(footer); err != nil {
		return err
	}
	if t.pq, err = file.NewParquetReader(section{io.NewSectionReader(t.file, 0, t.size)}); err != nil {
		return err
	}
	md := t.pq.MetaData()
	t.createdBy, t.meta = md.GetCreatedBy(), map[string]string{}
	for i, key := range md.KeyValueMetadata().Keys() {
		t.meta[key] = md.KeyValueMetadata().Values()[i]
	}
	var rows int64
	for _, g := range md.RowGroups {
		if g.NumRows < 0 {
			return errors.New("damaged Parquet: a row group of less than no rows")
		}
		if len(g.Columns) != md.Schema.NumColumns() {
			return errors.New("damaged Parquet: a row group has not the columns of the schema")
		}
		rows += g.NumRows
	}
	if rows != md.NumRows {
		return fmt.Errorf("damaged Parquet: %d rows in the footer, %d in its row groups", md.NumRows, rows)
	}
	return t.readSchema(md.Schema)
}

// checkFooter makes sure that the footer is as long as it says, in all its parts: arrow allocates for the length
// that a list claims.
func (t *parquetTable) checkFooter(size int64) error {
	footer := bufio.NewReaderSize(io.NewSectionReader(t.file, t.size-8-size, size), 64<<10)
	if _, err := (&thriftReader{r: footer, left: size, parts: maxFooterParts}).read(false, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return errThrift
		}
		return err
	}
	return nil
}

// section is a file for arrow, without Close, so that it is closed here alone.
type section struct{ *io.SectionReader }

func (t *parquetTable) readSchema(s *schema.Schema) error {
	n := s.NumColumns()
	if n == 0 || n > maxColumns {
		return fmt.Errorf("%d columns", n)
	}
	seen := map[string]bool{}
	for i := range n {
		d := s.Column(i)
		l := &leafReader{descr: d, scale: 1}
		c := column{name: d.Name(), typed: true, required: d.MaxDefinitionLevel() == 0, physical: d.PhysicalType().String()}
		if d.Path() != c.name || d.MaxDefinitionLevel() > 1 || d.MaxRepetitionLevel() > 0 {
			return fmt.Errorf("column %q is nested: rollcall writes none such", d.Path())
		}
		if seen[c.name] {
			return fmt.Errorf("two columns are called %q", c.name)
		}
		seen[c.name] = true
		switch d.PhysicalType() {
		case parquet.Types.ByteArray:
			l.kind = pipeline.String
		case parquet.Types.Double:
			c.typ, l.kind = pipeline.TypeFloat, pipeline.Float
		case parquet.Types.Boolean:
			c.typ, l.kind = pipeline.TypeBool, pipeline.Bool
		case parquet.Types.Int32, parquet.Types.Int64:
			c.typ, l.kind = pipeline.TypeInt, pipeline.Int
			switch logical := d.LogicalType().(type) {
			case schema.DateLogicalType:
				c.typ, l.kind = pipeline.TypeDate, pipeline.Date
			case *schema.TimestampLogicalType:
				c.typ, l.kind = pipeline.TypeTimestamp, pipeline.Timestamp
				switch logical.TimeUnit() {
				case schema.TimeUnitMillis:
					c.millis, l.scale = true, 1000
				case schema.TimeUnitMicros:
				default:
					return fmt.Errorf("column %q: a timestamp of another unit than milliseconds and microseconds", c.name)
				}
			}
		default:
			return fmt.Errorf("column %q has the type %s, which rollcall never writes", c.name, d.PhysicalType())
		}
		t.cols = append(t.cols, c)
		t.leafs = append(t.leafs, l)
	}
	t.unwanted = make([]bool, n)
	return nil
}

func (t *parquetTable) columns() []column { return t.cols }

func (t *parquetTable) want(columns []bool) {
	for i, w := range columns {
		t.unwanted[i] = !w
	}
}

func (t *parquetTable) where() string { return fmt.Sprintf("record %d", t.row) }

func (t *parquetTable) next() ([]Value, error) {
	if t.i == t.n {
		if err := guard(t.name, t.fill); err != nil {
			return nil, err
		}
	}
	width := len(t.cols)
	row := t.cells[t.i*width : (t.i+1)*width]
	t.i++
	t.row++
	return row, nil
}

// fill decodes the next batch.
func (t *parquetTable) fill() error {
	t.n, t.i = 0, 0
	for t.left == 0 {
		if t.group > 0 {
			if err := t.endGroup(); err != nil {
				return err
			}
		}
		if t.group == t.pq.NumRowGroups() {
			return io.EOF
		}
		if err := t.nextGroup(); err != nil {
			return err
		}
	}
	rows := max(1, min(parquetBatch, 1<<18/len(t.cols))) // a cell takes 80 bytes, so many columns take no more memory
	n := int(min(t.left, int64(rows)))
	if t.cells == nil {
		t.cells = make([]Value, rows*len(t.cols))
	}
	for i, l := range t.leafs {
		if t.unwanted[i] {
			continue
		}
		if err := t.decode(l, i, n); err != nil {
			return fmt.Errorf("column %s: %w", t.cols[i].name, err)
		}
	}
	t.n = n
	t.left -= int64(n)
	return nil
}

func (t *parquetTable) nextGroup() error {
	g := t.pq.RowGroup(t.group)
	t.group++
	t.left = g.NumRows()
	if t.left == 0 {
		return nil // writers leave out the pages
	}
	for i, l := range t.leafs {
		if t.unwanted[i] {
			continue
		}
		if err := t.openChunk(l, i, g); err != nil {
			return err
		}
	}
	return nil
}

// openChunk begins a column in a row group. arrow's own way there reads the whole chunk into memory.
func (t *parquetTable) openChunk(l *leafReader, index int, g *file.RowGroupReader) error {
	md, err := g.MetaData().ColumnChunk(index)
	if err != nil {
		return err
	}
	if md.CryptoMetadata() != nil {
		return fmt.Errorf("column %s is encrypted", l.descr.Name())
	}
	if md.FilePath() != "" {
		return fmt.Errorf("damaged Parquet: column %s is said to be in another file", l.descr.Name())
	}
	start, length := md.DataPageOffset(), md.TotalCompressedSize()
	if md.HasDictionaryPage() && md.DictionaryPageOffset() > 0 && md.DictionaryPageOffset() < start {
		start = md.DictionaryPageOffset()
	}
	if start < 4 || length < 0 || start > t.size || length > t.size {
		return fmt.Errorf("damaged Parquet: column %s lies outside of the file", l.descr.Name())
	}
	l.pages.descr, l.pages.unpack, l.pages.held = l.descr, &t.unpack, &t.held
	l.pages.buffer = min(64<<10, pageBuffer/len(t.cols))
	l.pages.begin(io.NewSectionReader(t.file, start, min(length, t.size-start)), md.NumValues(), md.Compression())
	l.chunk = file.NewColumnReader(l.descr, &l.pages, memory.DefaultAllocator, t.pq.BufferPool())
	return nil
}

// endGroup makes sure that the columns end with the rows.
func (t *parquetTable) endGroup() error {
	for i, l := range t.leafs {
		if t.unwanted[i] || l.chunk == nil {
			continue
		}
		if l.chunk.HasNext() {
			return fmt.Errorf("damaged Parquet: column %s has more values than its row group has rows", t.cols[i].name)
		}
		if err := l.chunk.Err(); err != nil {
			return fmt.Errorf("column %s: %w", t.cols[i].name, err)
		}
	}
	return nil
}

// decode decodes n values of the column that has this index into the cells.
func (t *parquetTable) decode(l *leafReader, index, n int) error {
	if t.defs == nil {
		t.defs = make([]int16, parquetBatch)
	}
	for done := 0; done < n; {
		if !l.chunk.HasNext() {
			if err := l.chunk.Err(); err != nil {
				return err
			}
			return errors.New("damaged Parquet: fewer values than the row group has rows")
		}
		want := int64(n - done)
		var got int64
		var k int
		var err error
		switch c := l.chunk.(type) {
		case *file.ByteArrayColumnChunkReader:
			got, k, err = c.ReadBatch(want, sized(&t.bytes), t.defs, nil)
			err = place(t, l, index, done, got, k, err, t.bytes, func(b parquet.ByteArray, v *Value) { v.Text = b })
		case *file.Int64ColumnChunkReader:
			got, k, err = c.ReadBatch(want, sized(&t.int64s), t.defs, nil)
			if l.scale > 1 {
				for _, v := range t.int64s[:k] {
					if v > math.MaxInt64/l.scale || v < math.MinInt64/l.scale {
						return errors.New("a timestamp that no clock has shown")
					}
				}
			}
			err = place(t, l, index, done, got, k, err, t.int64s, func(n int64, v *Value) { v.Num = n * l.scale })
		case *file.Int32ColumnChunkReader:
			got, k, err = c.ReadBatch(want, sized(&t.int32s), t.defs, nil)
			err = place(t, l, index, done, got, k, err, t.int32s, func(n int32, v *Value) { v.Num = int64(n) * l.scale })
		case *file.Float64ColumnChunkReader:
			got, k, err = c.ReadBatch(want, sized(&t.double), t.defs, nil)
			err = place(t, l, index, done, got, k, err, t.double, func(f float64, v *Value) { v.Num = int64(math.Float64bits(f)) })
		case *file.BooleanColumnChunkReader:
			got, k, err = c.ReadBatch(want, sized(&t.bools), t.defs, nil)
			err = place(t, l, index, done, got, k, err, t.bools, func(b bool, v *Value) {
				if v.Num = 0; b {
					v.Num = 1
				}
			})
		}
		if err != nil {
			return err
		}
		done += int(got)
	}
	return nil
}

// place puts what arrow has decoded into the cells of a column, from a row of the batch on.
func place[T any](t *parquetTable, l *leafReader, index, row int, n int64, k int, err error, values []T, set func(T, *Value)) error {
	if err != nil {
		return err
	}
	if n <= 0 {
		return errors.New("damaged Parquet: a page without values")
	}
	width := len(t.cols)
	at := 0
	optional := l.descr.MaxDefinitionLevel() > 0
	for i := range int(n) {
		v := &t.cells[(row+i)*width+index]
		if optional && t.defs[i] == 0 {
			v.Kind, v.Num, v.Text = pipeline.Null, 0, nil
			continue
		}
		if at == k {
			return errors.New("damaged Parquet: fewer values than belong there")
		}
		v.Kind = l.kind
		set(values[at], v)
		at++
	}
	if at != k {
		return errors.New("damaged Parquet: more values than belong there")
	}
	return nil
}

func sized[T any](s *[]T) []T {
	if *s == nil {
		*s = make([]T, parquetBatch)
	}
	return *s
}

// rewind begins again, with other columns.
func (t *parquetTable) rewind(columns []bool) {
	t.want(columns)
	t.group, t.left, t.row, t.n, t.i = 0, 0, 0, 0, 0
	clear(t.cells)
	for _, l := range t.leafs {
		if l.chunk != nil {
			l.pages.hold(0, 0)
			l.chunk, l.pages.page = nil, nil
		}
	}
}

func (t *parquetTable) Close() error {
	t.unpack.Close()
	return t.file.Close()
}
