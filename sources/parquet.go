package sources

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	parquetBatch = 512 // values of a column that are decoded at a time
	maxFooter    = 64 << 20
	// maxFooterParts bounds what arrow makes of a footer: a column in a row group takes 90 bytes there at least, and
	// several hundred in memory.
	maxFooterParts = 500_000
)

// parquetReader reads the wanted columns of a Parquet file, row group by row group.
//
// arrow panics on damaged files, and believes sizes that a file claims: the panics are recovered in guard, checkFooter
// looks at the footer before arrow does, and pageReader reads the pages.
type parquetReader struct {
	name  string
	file  *os.File
	size  int64
	pq    *file.Reader
	cols  []column
	nodes []*parquetNode // of cols
	read  []*parquetNode // the wanted ones
	leafs []*leafReader  // of read

	group   int   // row groups begun
	left    int64 // rows left in the current one
	scratch parquetScratch
	unpack  unpacker
	held    int64 // bytes of the pages of all columns
}

// parquetScratch holds what arrow decodes, until it is converted.
type parquetScratch struct {
	bools  []bool
	int32s []int32
	int64s []int64
	int96s []parquet.Int96
	floats []float32
	double []float64
	bytes  []parquet.ByteArray
	fixed  []parquet.FixedLenByteArray
}

// leafReader reads one column, of which it holds a batch.
type leafReader struct {
	index    int // among the leaves of the schema
	descr    *schema.Column
	max      int16 // the definition level of a value
	most     int   // values of a batch
	convert  converter
	chunk    file.ColumnChunkReader
	pages    pageReader
	defs     []int16
	reps     []int16
	values   []pipeline.Value
	n, i, at int // levels in the batch, and how many levels and values of it are used
}

// guard runs f and turns a panic of arrow into an error, which names the file.
func guard(name string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: damaged Parquet: %v", name, p)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// openParquet opens a file. Of the names, those that a column below structs has become columns too. The partitions are
// columns that have one value in all rows.
func openParquet(name string, f *os.File, names []string, partitions []pipeline.Member) (*parquetReader, error) {
	r := &parquetReader{name: name, file: f}
	err := guard(name, func() error { return r.open(names, partitions) })
	return r, err
}

func (r *parquetReader) open(names []string, partitions []pipeline.Member) error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.size = info.Size()
	tail := make([]byte, 8)
	if r.size < 12 {
		return errors.New("too short for Parquet")
	}
	if _, err := r.file.ReadAt(tail, r.size-8); err != nil {
		return err
	}
	encrypted := pipeline.WithHint(errors.New("this Parquet file is encrypted"), "decrypt it first")
	switch footer := int64(binary.LittleEndian.Uint32(tail)); {
	case string(tail[4:]) == "PARE":
		return encrypted
	case string(tail[4:]) != "PAR1":
		return pipeline.WithHint(errors.New("not a Parquet file, or a truncated one: it does not end in PAR1"), "if it is text, say so with --input-format")
	case footer > r.size-12 || footer > maxFooter:
		return fmt.Errorf("damaged Parquet: a footer of %d bytes in a file of %d", footer, r.size)
	}
	if err := r.checkFooter(int64(binary.LittleEndian.Uint32(tail))); err != nil {
		return err
	}
	if r.pq, err = file.NewParquetReader(section{io.NewSectionReader(r.file, 0, r.size)}); err != nil {
		return err
	}
	md := r.pq.MetaData()
	if md.IsSetEncryptionAlgorithm() {
		return encrypted
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
	return r.readSchema(md.Schema, names, partitions)
}

// checkFooter makes sure that the footer is as long as it says, in all its parts: arrow allocates for the length
// that a list claims.
func (r *parquetReader) checkFooter(size int64) error {
	footer := bufio.NewReaderSize(io.NewSectionReader(r.file, r.size-8-size, size), pageBuffer)
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

func (r *parquetReader) readSchema(s *schema.Schema, names []string, partitions []pipeline.Member) error {
	at := map[string]bool{}
	add := func(n *parquetNode) error {
		if n.name == "" || !utf8.ValidString(n.name) {
			return errors.New("a column without a name, or with one that is not valid UTF-8")
		}
		if at[n.name] {
			return fmt.Errorf("two columns are called %q", n.name)
		}
		at[n.name] = true
		r.cols = append(r.cols, column{name: n.name, typ: n.typ, shape: n.shape(), nested: n.kind > constantNode, unreadable: n.unreadable})
		r.nodes = append(r.nodes, n)
		return nil
	}
	b := newNodeBuilder(s)
	for i := range s.Root().NumFields() {
		if err := add(b.build(s.Root().Field(i), 0, 0, 0)); err != nil {
			return err
		}
	}
	if isErrorFile(r.cols) {
		return nil // the columns that count are in the rows that it holds
	}
	has := func(name string) bool {
		return slices.ContainsFunc(r.cols, func(c column) bool { return strings.EqualFold(c.name, name) })
	}
	for _, name := range names {
		if !strings.Contains(name, ".") || has(name) {
			continue
		}
		if n := b.find(name); n != nil {
			if err := add(n); err != nil {
				return err
			}
		}
	}
	for _, p := range partitions {
		if has(p.Name) {
			continue // the file says it itself, and in its own type
		}
		if err := add(&parquetNode{kind: constantNode, name: p.Name, value: p.Value, typ: pipeline.TypeString}); err != nil {
			return err
		}
	}
	return nil
}

func (r *parquetReader) columns() []column { return r.cols }

// maxLeafs bounds the columns that are read at a time, those in nested ones counted: each has buffers.
const maxLeafs = maxValues

func (r *parquetReader) project(wanted []bool) []int {
	at := make([]int, len(wanted))
	for i, w := range wanted {
		at[i] = len(r.read)
		if w {
			r.read = append(r.read, r.nodes[i])
			r.leafs = append(r.leafs, r.nodes[i].leaves...)
		}
	}
	for _, l := range r.leafs { // many columns share what few would have
		l.most = max(8, min(parquetBatch, 64*parquetBatch/len(r.leafs)))
		l.pages.buffer = max(4<<10, min(pageBuffer, 64*pageBuffer/len(r.leafs)))
	}
	return at
}

func (r *parquetReader) next(rec *record) error {
	if len(r.leafs) > maxLeafs {
		return pipeline.WithHint(fmt.Errorf("%s: %d columns are wanted, and %d can be read at most", r.name, len(r.leafs), maxLeafs), "name the columns that you need")
	}
	for r.left == 0 {
		if r.group == r.pq.NumRowGroups() {
			return io.EOF
		}
		if err := guard(r.name, r.nextGroup); err != nil {
			return err
		}
	}
	if err := guard(r.name, func() error { return r.row(rec) }); err != nil {
		return err
	}
	if r.left--; r.left == 0 {
		return guard(r.name, r.endGroup)
	}
	return nil
}

func (r *parquetReader) nextGroup() error {
	g := r.pq.RowGroup(r.group)
	r.group++
	r.left = g.NumRows()
	if r.left == 0 {
		return nil // writers leave out the pages
	}
	for _, l := range r.leafs {
		if err := r.openChunk(l, g); err != nil {
			return err
		}
	}
	return nil
}

// openChunk begins a column in a row group. arrow's own way there reads the whole chunk into memory.
func (r *parquetReader) openChunk(l *leafReader, g *file.RowGroupReader) error {
	md, err := g.MetaData().ColumnChunk(l.index)
	if err != nil {
		return err
	}
	if md.CryptoMetadata() != nil {
		return pipeline.WithHint(fmt.Errorf("the column %s is encrypted", l.descr.Path()), "decrypt it first")
	}
	start, length := md.DataPageOffset(), md.TotalCompressedSize()
	if md.HasDictionaryPage() && md.DictionaryPageOffset() > 0 && md.DictionaryPageOffset() < start {
		start = md.DictionaryPageOffset()
	}
	if r.pq.WriterVersion().LessThan(metadata.Parquet816FixedVersion) {
		length += 100 // parquet-mr before 1.2.9 leaves the dictionary's header out (PARQUET-816)
	}
	if start < 4 || length < 0 || start > r.size || length > r.size {
		return fmt.Errorf("damaged Parquet: the column %s lies outside of the file", l.descr.Path())
	}
	if err := checkCodec(md.Compression()); err != nil {
		return fmt.Errorf("column %s: %w", l.descr.Path(), err)
	}
	l.pages.descr, l.pages.unpack, l.pages.held = l.descr, &r.unpack, &r.held
	l.pages.begin(io.NewSectionReader(r.file, start, min(length, r.size-start)), md.NumValues(), md.Compression())
	l.chunk = file.NewColumnReader(l.descr, &l.pages, memory.DefaultAllocator, r.pq.BufferPool())
	l.n, l.i, l.at = 0, 0, 0
	return nil
}

// row appends the cells of one row.
func (r *parquetReader) row(rec *record) error {
	size := 0
	nested := allowance{values: maxValues, size: maxRecord}
	for _, node := range r.read {
		var v *pipeline.Value
		var err error
		switch {
		case node.flat:
			if l := node.leaf; l.i < l.n {
				v = l.take()
			} else {
				v, err = l.next(&r.scratch)
			}
			if v != nil {
				size += len(v.Text)
			}
		case node.kind == constantNode:
			v = &node.value
		default:
			before := nested.size
			var assembled pipeline.Value
			assembled, err = node.next(&r.scratch, &nested)
			v = &assembled
			size += before - nested.size
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", node.name, err)
		}
		if v.Kind == unreadable {
			if rec.bad == nil {
				rec.bad = pipeline.Errorf(pipeline.KindBadRow, "column %s: %s", node.name, v.Text)
			}
			v = &null
			if nested.spent() { // and so does the row, but that says which column it is
				nested, size = allowance{}, 0
			}
		}
		if size > maxRecord { // the other columns have to move on, too
			clear(rec.cells)
			rec.cells, rec.bad = rec.cells[:0], nil
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "the row is %s", errTooLong)
			continue
		}
		rec.cells = slices.Grow(rec.cells, 1)[:len(rec.cells)+1]
		set(&rec.cells[len(rec.cells)-1], node.name, v)
	}
	return nil
}

// null is a value that is absent. It is not to be changed.
var null pipeline.Value

// endGroup makes sure that the columns end with the rows.
func (r *parquetReader) endGroup() error {
	for _, l := range r.leafs {
		if l.i < l.n || l.chunk.HasNext() {
			return fmt.Errorf("damaged Parquet: the column %s has more values than its row group has rows", l.descr.Path())
		}
		if err := l.chunk.Err(); err != nil {
			return fmt.Errorf("column %s: %w", l.descr.Path(), err)
		}
	}
	return nil
}

func (r *parquetReader) Close() error {
	r.unpack.Close()
	return r.file.Close()
}

// next is the value of the next row of a column that is not nested in a list.
func (l *leafReader) next(s *parquetScratch) (*pipeline.Value, error) {
	if _, _, err := l.peek(s); err != nil {
		return nil, err
	}
	return l.take(), nil
}

// peek is the levels at which the next value is.
func (l *leafReader) peek(s *parquetScratch) (def, rep int16, err error) {
	if l.i == l.n {
		more, err := l.more(s)
		if err != nil {
			return 0, 0, err
		}
		if !more {
			return 0, 0, errors.New("damaged Parquet: fewer values than the row group has rows")
		}
	}
	return l.defs[l.i], l.reps[l.i], nil
}

// take is the value at the current level. It is good until the next batch, and not to be changed.
func (l *leafReader) take() *pipeline.Value {
	i := l.i
	l.i++
	if l.defs[i] != l.max {
		return &null
	}
	l.at++
	return &l.values[l.at-1]
}

// more makes sure that the batch holds a level that is not used; there is none at the end of the chunk.
func (l *leafReader) more(s *parquetScratch) (bool, error) {
	if l.i < l.n {
		return true, nil
	}
	if !l.chunk.HasNext() {
		return false, l.chunk.Err()
	}
	if err := l.fill(s); err != nil {
		return false, err
	}
	return l.n > 0, nil
}

// fill decodes the next batch.
func (l *leafReader) fill(s *parquetScratch) error {
	if l.defs == nil {
		l.defs, l.reps = make([]int16, l.most), make([]int16, l.most)
	}
	l.values = l.values[:0]
	l.i, l.at = 0, 0
	page := l.pages.seq
	want := int64(min(l.pages.left, l.pages.batch, l.most)) // a batch does not go beyond its page, whose values may be longer
	var n int64
	var k int
	var err error
	switch c := l.chunk.(type) {
	case *file.BooleanColumnChunkReader:
		n, k, err = c.ReadBatch(want, sized(&s.bools), l.defs, l.reps)
		for _, v := range s.bools[:k] {
			l.values = append(l.values, pipeline.BoolValue(v))
		}
	case *file.Int32ColumnChunkReader:
		n, k, err = c.ReadBatch(want, sized(&s.int32s), l.defs, l.reps)
		for _, v := range s.int32s[:k] {
			l.values = append(l.values, l.convert.int(int64(v)))
		}
	case *file.Int64ColumnChunkReader:
		n, k, err = c.ReadBatch(want, sized(&s.int64s), l.defs, l.reps)
		for _, v := range s.int64s[:k] {
			l.values = append(l.values, l.convert.int(v))
		}
	case *file.Int96ColumnChunkReader:
		n, k, err = c.ReadBatch(want, sized(&s.int96s), l.defs, l.reps)
		for _, v := range s.int96s[:k] {
			l.values = append(l.values, int96(v))
		}
	case *file.Float32ColumnChunkReader:
		n, k, err = c.ReadBatch(want, sized(&s.floats), l.defs, l.reps)
		for _, v := range s.floats[:k] {
			l.values = append(l.values, float32Value(v))
		}
	case *file.Float64ColumnChunkReader:
		n, k, err = c.ReadBatch(want, sized(&s.double), l.defs, l.reps)
		for _, v := range s.double[:k] {
			l.values = append(l.values, pipeline.FloatValue(v))
		}
	case *file.ByteArrayColumnChunkReader:
		n, k, err = c.ReadBatch(want, sized(&s.bytes), l.defs, l.reps)
		l.values = appendBytes(l.values, s.bytes[:k], l.convert.bytes)
	case *file.FixedLenByteArrayColumnChunkReader:
		n, k, err = c.ReadBatch(want, sized(&s.fixed), l.defs, l.reps)
		l.values = appendBytes(l.values, s.fixed[:k], l.convert.bytes)
	}
	if err != nil {
		return err
	}
	l.n = int(n)
	if l.pages.seq == page { // at the end of a page, arrow has read the next one
		l.pages.left -= l.n
	}
	present := l.n
	if max := l.descr.MaxDefinitionLevel(); max > 0 {
		present = 0
		for _, def := range l.defs[:n] {
			if def == max {
				present++
			} else if def > max || def < 0 {
				return errLevels
			}
		}
	}
	if max := l.descr.MaxRepetitionLevel(); max > 0 {
		for _, rep := range l.reps[:n] {
			if rep > max || rep < 0 {
				return errLevels
			}
		}
	}
	if present != k {
		return fmt.Errorf("damaged Parquet: %d values where %d belong", k, present)
	}
	return nil
}

func sized[T any](s *[]T) []T {
	if *s == nil {
		*s = make([]T, parquetBatch)
	}
	return *s
}
