package sources

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
)

const (
	parquetBatch = 512      // values decoded at a time per column
	pageBuffer   = 64 << 10 // bytes read ahead per column
)

// parquetReader reads the wanted columns of a Parquet file, row group by row group. Package parquetfile is between the
// file and arrow, because arrow panics on damaged files and trusts the sizes in them.
type parquetReader struct {
	name   string
	file   io.ReaderAt
	close  io.Closer // of file; does nothing if the file stays open
	pq     *parquetfile.File
	cols   []column
	nodes  []*parquetNode // of cols
	read   []*parquetNode // the wanted ones
	leaves []*leafReader  // of read

	names      []string // see openParquet
	partitions []pipeline.Member
	wanted     []bool

	group   int   // the number of the current row group, from 1
	end     int   // the number of the last one that is wanted
	left    int64 // rows left in it
	scratch parquetfile.Values

	unitGroup int   // the row group of which
	unitRows  int64 // so many rows are a unit
}

// leafReader reads one column, a batch at a time.
type leafReader struct {
	index    int // among the leaves of the schema
	descr    *schema.Column
	max      int16 // the definition level of a value
	maxBatch int   // values of a batch
	convert  converter
	column   *parquetfile.Column
	defs     []int16
	reps     []int16
	values   []pipeline.Value
	parsed   pipeline.Value // the last result of convert.parse
	n, i, at int            // the number of levels in the batch, of used levels, and of used values
}

// openParquet opens a file. Those of the names that are columns inside structs become columns too. The partitions
// become columns with one value in all rows.
func openParquet(name string, f io.ReaderAt, closer io.Closer, names []string,
	partitions []pipeline.Member) (*parquetReader, error) {
	r := &parquetReader{name: name, file: f, close: closer, names: names, partitions: partitions}
	err := parquetfile.Guard(name, func() error { return r.readFooter(names, partitions) })
	return r, err
}

func (r *parquetReader) readFooter(names []string, partitions []pipeline.Member) error {
	encrypted := pipeline.WithHint(errors.New("this Parquet file is encrypted"), "decrypt it first")
	pq, err := parquetfile.Open(r.file, parquetfile.Options{})
	if magic := (*parquetfile.MagicError)(nil); errors.As(err, &magic) {
		if magic.Encrypted() {
			return encrypted
		}
		return pipeline.WithHint(err, "if it is text, set its format with --input-format")
	}
	if err != nil {
		return err
	}
	r.end = pq.NumGroups()
	if r.pq = pq; pq.Metadata().IsSetEncryptionAlgorithm() {
		return encrypted
	}
	r.readSchema(pq.Metadata().Schema, names, partitions)
	return nil
}

func (r *parquetReader) readSchema(s *schema.Schema, names []string, partitions []pipeline.Member) {
	add := func(n *parquetNode) {
		r.cols = append(r.cols, n.toColumn())
		r.nodes = append(r.nodes, n)
	}
	b := newNodeBuilder(s, r.pq.BrokenTypes())
	header := make([]string, s.Root().NumFields())
	for i := range header {
		if name := s.Root().Field(i).Name(); utf8.ValidString(name) {
			header[i] = name
		}
	}
	called := makeNamesUnique(header)
	for i, name := range header {
		n := b.buildNode(s.Root().Field(i), 0, 0, 0)
		n.name = name
		add(n)
		if called != nil && called[i] != name {
			r.cols[i].ambiguous, r.cols[i].called = true, called[i]
		}
	}
	if hasErrorColumns(r.cols) {
		return // the columns of the users are inside the records
	}
	has := func(name string) bool {
		return slices.ContainsFunc(r.cols, func(c column) bool { return strings.EqualFold(c.name, name) })
	}
	for _, name := range names {
		if !strings.Contains(name, ".") || has(name) {
			continue
		}
		if n := b.findPath(name); n != nil && !has(n.name) {
			add(n)
		}
	}
	for _, p := range partitions {
		if has(p.Name) {
			continue // the file's own column has a type
		}
		add(&parquetNode{kind: constantNode, name: p.Name, value: p.Value, typ: pipeline.TypeString})
	}
}

func (r *parquetReader) columns() []column { return r.cols }

// maxLeaves bounds the columns that are read at a time, including nested ones, because each has buffers.
const maxLeaves = 10_000

func (r *parquetReader) selectColumns(wanted []bool) []int {
	r.wanted = wanted
	at := make([]int, len(wanted))
	for i, w := range wanted {
		at[i] = len(r.read)
		if w {
			r.read = append(r.read, r.nodes[i])
			r.leaves = append(r.leaves, r.nodes[i].leaves...)
		}
	}
	for _, l := range r.leaves { // with many columns, each gets less memory
		l.maxBatch = max(8, min(parquetBatch, 64*parquetBatch/len(r.leaves)))
		l.column = r.pq.Column(l.descr, max(4<<10, min(pageBuffer, 64*pageBuffer/len(r.leaves))))
	}
	return at
}

func (r *parquetReader) readRecord(rec *record) error {
	if len(r.leaves) > maxLeaves {
		return pipeline.WithHint(fmt.Errorf("%s: %d columns are wanted, but at most %d can be read", r.name, len(r.leaves),
			maxLeaves), "name the columns that you need")
	}
	for r.left == 0 {
		if r.group == r.end {
			return io.EOF
		}
		if err := parquetfile.Guard(r.name, r.openGroup); err != nil {
			return err
		}
	}
	if err := parquetfile.Guard(r.name, func() error { return r.appendRow(rec) }); err != nil {
		return err
	}
	if r.left--; r.left == 0 {
		return parquetfile.Guard(r.name, r.checkGroupEnd)
	}
	return nil
}

func (r *parquetReader) openGroup() error {
	g := r.pq.Group(r.group)
	r.group++
	r.left = g.NumRows()
	if r.left == 0 {
		return nil // writers leave out its pages
	}
	for _, l := range r.leaves {
		if err := r.openChunk(l, g); err != nil {
			return err
		}
	}
	return nil
}

// openChunk begins a column in a row group.
func (r *parquetReader) openChunk(l *leafReader, g *metadata.RowGroupMetaData) error {
	md, err := g.ColumnChunk(l.index)
	if err != nil {
		return err
	}
	if md.CryptoMetadata() != nil {
		return pipeline.WithHint(fmt.Errorf("the column %s is encrypted", l.descr.Path()), "decrypt it first")
	}
	switch err := l.column.Open(md); {
	case err == parquetfile.ErrOutsideFile:
		return fmt.Errorf("damaged Parquet: the column %s lies outside of the file", l.descr.Path())
	case err != nil:
		return fmt.Errorf("column %s: %w", l.descr.Path(), err)
	}
	l.n, l.i, l.at = 0, 0, 0
	return nil
}

// appendRow appends the cells of one row.
func (r *parquetReader) appendRow(rec *record) error {
	size := 0
	nested := allowance{size: maxRecord}
	for _, node := range r.read {
		var v *pipeline.Value
		var err error
		switch {
		case node.flat:
			if l := node.leaf; l.i < l.n {
				v = l.takeValue()
			} else {
				v, err = l.readValue(&r.scratch)
			}
			if v != nil {
				if size += len(v.Text); len(v.Members) > 0 {
					size += nested.measure(v)
				}
			}
		case node.kind == constantNode:
			v = &node.value
		default:
			before := nested.size
			var assembled pipeline.Value
			assembled, err = node.readRow(&r.scratch, &nested)
			v = &assembled
			size += before - nested.size
		}
		if err != nil {
			return r.newColumnError(node.name, err)
		}
		if v.Kind == unreadable {
			if rec.bad == nil {
				rec.bad = pipeline.Errorf(pipeline.KindBadRow, "column %s: %s", node.name, v.Text)
			}
			v = &null
			if nested.isSpent() { // the row is too long as well, but this error names the column
				nested, size = allowance{}, 0
			}
		}
		if size > maxRecord { // continue, because the other columns must advance too
			clear(rec.cells)
			rec.cells, rec.bad = rec.cells[:0], nil
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "the row is %s", errTooLong)
			continue
		}
		rec.cells = slices.Grow(rec.cells, 1)[:len(rec.cells)+1]
		setMember(&rec.cells[len(rec.cells)-1], node.name, v)
	}
	return nil
}

// null is an absent value. It must not be changed.
var null pipeline.Value

// checkGroupEnd checks that the columns have no more values than the row group has rows.
func (r *parquetReader) checkGroupEnd() error {
	for _, l := range r.leaves {
		if l.i < l.n || l.column.HasNext() {
			return fmt.Errorf("damaged Parquet: the column %s has more values than its row group has rows", l.descr.Path())
		}
		if err := l.column.Err(); err != nil {
			return r.newColumnError(l.descr.Path(), err)
		}
	}
	return nil
}

// newColumnError adds the column to err, and, if it tells which part of the file is damaged, the row group, from 1.
func (r *parquetReader) newColumnError(name string, err error) error {
	if errors.Is(err, parquetfile.ErrChecksum) {
		return pipeline.WithHint(fmt.Errorf("column %s, row group %d: %w", name, r.group, err),
			"the file was damaged after it was written: copy it again from its origin")
	}
	return fmt.Errorf("column %s: %w", name, err)
}

func (r *parquetReader) Close() error {
	r.pq.Close()
	return r.close.Close()
}

// readValue returns the value of the next row. The column must not be nested in a list.
func (l *leafReader) readValue(s *parquetfile.Values) (*pipeline.Value, error) {
	if _, _, err := l.peekLevels(s); err != nil {
		return nil, err
	}
	return l.takeValue(), nil
}

// peekLevels returns the levels of the next value.
func (l *leafReader) peekLevels(s *parquetfile.Values) (def, rep int16, err error) {
	if l.i == l.n {
		more, err := l.hasMore(s)
		if err != nil {
			return 0, 0, err
		}
		if !more {
			return 0, 0, errors.New("damaged Parquet: fewer values than the row group has rows")
		}
	}
	return l.defs[l.i], l.reps[l.i], nil
}

// takeValue returns the value at the current level. It is valid until the next batch, and must not be changed.
func (l *leafReader) takeValue() *pipeline.Value {
	i := l.i
	l.i++
	if l.defs[i] != l.max {
		return &null
	}
	l.at++
	v := &l.values[l.at-1]
	if l.convert.parse != nil && v.Kind == pipeline.String {
		l.parsed = l.convert.parse(v.Text)
		return &l.parsed
	}
	return v
}

// hasMore decodes the next batch if the current one is used up, and reports whether the chunk has more levels.
func (l *leafReader) hasMore(s *parquetfile.Values) (bool, error) {
	if l.i < l.n {
		return true, nil
	}
	if !l.column.HasNext() {
		return false, l.column.Err()
	}
	if err := l.decodeBatch(s); err != nil {
		return false, err
	}
	return l.n > 0, nil
}

// decodeBatch decodes the next batch.
func (l *leafReader) decodeBatch(s *parquetfile.Values) error {
	if l.defs == nil {
		l.defs, l.reps = make([]int16, l.maxBatch), make([]int16, l.maxBatch)
	}
	l.values = l.values[:0]
	l.i, l.at = 0, 0
	n, k, err := l.column.Read(s, min(l.column.BatchSize(), l.maxBatch), l.defs, l.reps)
	if err != nil {
		return err
	}
	switch l.descr.PhysicalType() {
	case parquet.Types.Boolean:
		for _, v := range s.Bools {
			l.values = append(l.values, pipeline.BoolValue(v))
		}
	case parquet.Types.Int32:
		for _, v := range s.Int32s {
			l.values = append(l.values, l.convert.int(int64(v)))
		}
	case parquet.Types.Int64:
		for _, v := range s.Int64s {
			l.values = append(l.values, l.convert.int(v))
		}
	case parquet.Types.Int96:
		for _, v := range s.Int96s {
			l.values = append(l.values, newInt96Timestamp(v))
		}
	case parquet.Types.Float:
		for _, v := range s.Floats {
			l.values = append(l.values, float32Value(v))
		}
	case parquet.Types.Double:
		for _, v := range s.Doubles {
			l.values = append(l.values, pipeline.FloatValue(v))
		}
	case parquet.Types.ByteArray:
		l.values = appendByteValues(l.values, s.Bytes, l.convert.bytes)
	case parquet.Types.FixedLenByteArray:
		l.values = appendByteValues(l.values, s.Fixed, l.convert.bytes)
	}
	l.n = n
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
		return fmt.Errorf("damaged Parquet: %d values instead of %d", k, present)
	}
	return nil
}
