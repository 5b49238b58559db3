package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
)

const (
	parquetBatch = 1024    // rows that are decoded at a time
	pageBuffer   = 4 << 20 // read ahead of all columns together; 64 KiB of one at most
)

// parquetOptions accept what rollcall writes, and little else.
var parquetOptions = parquetfile.Options{
	Codecs: []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd},
	Encodings: []parquet.Encoding{parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict,
		parquet.Encodings.RLE,
		parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.DeltaLengthByteArray},
	TightIndices: true,
	Refuse: func(r parquetfile.Refusal) error {
		switch r.Kind {
		case parquetfile.LargePage:
			return fmt.Errorf("a page of %d bytes cannot be read: rollcall never writes one", r.Size)
		case parquetfile.LargePages:
			return errors.New("the pages of a row group take more than 256 MiB, which rollcall never writes")
		case parquetfile.LargeDictionaries:
			return errors.New("the dictionaries of a row group take more than 256 MiB, which rollcall never writes")
		case parquetfile.Codec:
			return fmt.Errorf("rollcall never writes the compression %s", r.Codec)
		default:
			return fmt.Errorf("rollcall never writes the encoding %s", r.Encoding)
		}
	},
}

// parquetTable reads a Parquet file that rollcall has written: flat columns of few types. arrow panics on damaged
// files and trusts the sizes in a file, so parquetfile is between the two.
type parquetTable struct {
	name      string
	file      blob.File
	pq        *parquetfile.File
	meta      map[string]string
	createdBy string
	cols      []column
	leafs     []*leafReader
	unwanted  []bool

	group  int     // row groups begun
	end    int     // the row group before which it ends
	left   int64   // rows of the current one that are not decoded yet
	row    int64   // the number of the last row that next returned, from 1
	batch  int     // rows of a batch at most
	ahead  int     // bytes that are read ahead
	cells  []Value // of the batch, row by row
	n, i   int     // rows of the batch, and how many are used
	defs   []int16
	values parquetfile.Values
}

// leafReader reads one column.
type leafReader struct {
	descr  *schema.Column
	kind   pipeline.ValueKind
	scale  int64 // numbers are multiplied by it
	column *parquetfile.Column

	decimal *schema.DecimalLogicalType // nil: it is not a decimal
	limit   *big.Int                   // the first number that has too many digits
	text    []byte                     // the decimals of the batch
}

func openParquet(files *blob.Files, path string) (table, error) {
	return openParquetWith(files, path, parquetBatch, pageBuffer)
}

// openParquetWith is openParquet that decodes so many rows at a time, and reads so many bytes ahead of all columns.
func openParquetWith(files *blob.Files, path string, batch, ahead int) (table, error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	t := &parquetTable{name: path, file: f, batch: batch, ahead: ahead}
	if err := parquetfile.Guard(path, t.readFooter); err != nil {
		f.Close() //nolint:errcheck // only read
		return nil, err
	}
	return t, nil
}

func (t *parquetTable) readFooter() (err error) {
	if t.pq, err = parquetfile.Open(t.file, parquetOptions); err != nil {
		return err
	}
	t.end = t.pq.NumGroups()
	md := t.pq.Metadata()
	t.createdBy, t.meta = md.GetCreatedBy(), map[string]string{}
	for i, key := range md.KeyValueMetadata().Keys() {
		t.meta[key] = md.KeyValueMetadata().Values()[i]
	}
	return t.readSchema(md.Schema)
}

func (t *parquetTable) readSchema(s *schema.Schema) error {
	n := s.NumColumns()
	if n == 0 || n > maxColumns {
		return fmt.Errorf("%d columns", n)
	}
	for i := range n {
		d := s.Column(i)
		l := &leafReader{descr: d, scale: 1, column: t.pq.Column(d, min(64<<10, t.ahead/n))}
		c := column{name: d.Name(), typed: true, required: d.MaxDefinitionLevel() == 0, physical: d.PhysicalType().String()}
		if d.Path() != c.name || d.MaxDefinitionLevel() > 1 || d.MaxRepetitionLevel() > 0 {
			return fmt.Errorf("column %q is nested, which rollcall never writes", d.Path())
		}
		decimal, isDecimal := d.LogicalType().(*schema.DecimalLogicalType)
		switch typ := d.PhysicalType(); {
		case isDecimal && typ != parquet.Types.ByteArray && decimal.Precision() <= pipeline.MaxPrecision &&
			0 <= decimal.Scale() && decimal.Scale() <= decimal.Precision():
			c.typ, l.kind, l.decimal = pipeline.TypeDecimal, pipeline.String, decimal
			l.limit = new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimal.Precision())), nil)
		case isDecimal:
			return fmt.Errorf("column %q has the type %s, stored as %s, which rollcall never writes", c.name, decimal, typ)
		case typ == parquet.Types.ByteArray:
			l.kind = pipeline.String
		case typ == parquet.Types.Double:
			c.typ, l.kind = pipeline.TypeFloat, pipeline.Float
		case typ == parquet.Types.Boolean:
			c.typ, l.kind = pipeline.TypeBool, pipeline.Bool
		case typ == parquet.Types.Int32 || typ == parquet.Types.Int64:
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
					return fmt.Errorf("column %q is a timestamp in another unit than milliseconds or microseconds", c.name)
				}
			}
		default:
			return fmt.Errorf("column %q has the type %s, which rollcall never writes", c.name, typ)
		}
		t.cols = append(t.cols, c)
		t.leafs = append(t.leafs, l)
	}
	t.unwanted = make([]bool, n)
	return nil
}

func (t *parquetTable) columns() []column { return t.cols }

func (t *parquetTable) selectColumns(columns []bool) {
	for i, w := range columns {
		t.unwanted[i] = !w
	}
}

func (t *parquetTable) position() string { return fmt.Sprintf("record %d", t.row) }

func (t *parquetTable) next() ([]Value, error) {
	if t.i == t.n {
		if err := parquetfile.Guard(t.name, t.decodeBatch); err != nil {
			return nil, err
		}
		if t.n == 0 {
			return nil, io.EOF
		}
	}
	width := len(t.cols)
	row := t.cells[t.i*width : (t.i+1)*width]
	t.i++
	t.row++
	return row, nil
}

// decodeBatch decodes the next batch, which has no rows at the end of the file.
func (t *parquetTable) decodeBatch() error {
	t.n, t.i = 0, 0
	for t.left == 0 {
		if t.group > 0 {
			if err := t.endGroup(); err != nil {
				return err
			}
		}
		if t.group == t.end {
			return nil
		}
		if err := t.nextGroup(); err != nil {
			return err
		}
	}
	rows := max(1, min(t.batch, 1<<18/len(t.cols))) // a cell takes 80 bytes, so many columns take no more memory
	n := int(min(t.left, int64(rows)))
	if t.cells == nil {
		t.cells = make([]Value, rows*len(t.cols))
	}
	for i, l := range t.leafs {
		if t.unwanted[i] {
			continue
		}
		if err := t.decodeColumn(l, i, n); err != nil {
			return t.inColumn(i, err)
		}
	}
	t.n = n
	t.left -= int64(n)
	return nil
}

func (t *parquetTable) nextGroup() error {
	g := t.pq.Group(t.group)
	t.group++
	t.left = g.NumRows()
	if t.left == 0 {
		return nil // there are no pages
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

// openChunk begins a column in a row group.
func (t *parquetTable) openChunk(l *leafReader, index int, g *metadata.RowGroupMetaData) error {
	md, err := g.ColumnChunk(index)
	if err != nil {
		return err
	}
	if md.CryptoMetadata() != nil {
		return fmt.Errorf("column %s is encrypted", l.descr.Name())
	}
	if md.FilePath() != "" {
		return fmt.Errorf("damaged Parquet: column %s refers to another file", l.descr.Name())
	}
	if err := l.column.Open(md); err == parquetfile.ErrOutsideFile {
		return fmt.Errorf("damaged Parquet: column %s is outside of the file", l.descr.Name())
	} else if err != nil {
		return fmt.Errorf("column %s: %w", l.descr.Name(), err)
	}
	return nil
}

// endGroup makes sure that the columns end with the rows.
func (t *parquetTable) endGroup() error {
	for i, l := range t.leafs {
		if t.unwanted[i] || !l.column.Begun() {
			continue
		}
		if l.column.HasNext() {
			return fmt.Errorf("damaged Parquet: column %s has more values than its row group has rows", t.cols[i].name)
		}
		if err := l.column.Err(); err != nil {
			return t.inColumn(i, err)
		}
	}
	return nil
}

// inColumn adds the column to an error; of a page whose checksum is wrong, also the number of the row group, from 1.
func (t *parquetTable) inColumn(i int, err error) error {
	if errors.Is(err, parquetfile.ErrChecksum) {
		return fmt.Errorf("column %s, row group %d: %w", t.cols[i].name, t.group, err)
	}
	return fmt.Errorf("column %s: %w", t.cols[i].name, err)
}

// decodeColumn decodes n values of the column that has this index into the cells.
func (t *parquetTable) decodeColumn(l *leafReader, index, n int) error {
	if t.defs == nil {
		t.defs = make([]int16, parquetBatch)
	}
	l.text = l.text[:0]
	var invalid error
	setDecimal := func(n *big.Int, v *Value) {
		if n.CmpAbs(l.limit) >= 0 {
			invalid = fmt.Errorf("a decimal has more than the %d digits of its column", l.decimal.Precision())
		}
		from := len(l.text)
		l.text = pipeline.AppendDecimal(l.text, n, int(l.decimal.Scale()))
		v.Text = l.text[from:len(l.text):len(l.text)]
	}
	setInt := func(n int64, v *Value) {
		if l.decimal != nil {
			setDecimal(big.NewInt(n), v)
			return
		}
		if v.Num = n * l.scale; l.scale > 1 && v.Num/l.scale != n {
			invalid = errors.New("a timestamp is out of range")
		}
	}
	for done := 0; done < n; {
		if !l.column.HasNext() {
			if err := l.column.Err(); err != nil {
				return err
			}
			return errors.New("damaged Parquet: the column has fewer values than its row group has rows")
		}
		got, _, err := l.column.Read(&t.values, n-done, t.defs, nil)
		if err != nil {
			return err
		}
		switch l.descr.PhysicalType() {
		case parquet.Types.ByteArray:
			err = placeValues(t, l, index, done, got, t.values.Bytes, func(b parquet.ByteArray, v *Value) { v.Text = b })
		case parquet.Types.FixedLenByteArray:
			err = placeValues(t, l, index, done, got, t.values.Fixed,
				func(b parquet.FixedLenByteArray, v *Value) { setDecimal(pipeline.TwosComplement(b), v) })
		case parquet.Types.Int64:
			err = placeValues(t, l, index, done, got, t.values.Int64s, setInt)
		case parquet.Types.Int32:
			err = placeValues(t, l, index, done, got, t.values.Int32s, func(n int32, v *Value) { setInt(int64(n), v) })
		case parquet.Types.Double:
			err = placeValues(t, l, index, done, got, t.values.Doubles,
				func(f float64, v *Value) { v.Num = int64(math.Float64bits(f)) })
		case parquet.Types.Boolean:
			err = placeValues(t, l, index, done, got, t.values.Bools, func(b bool, v *Value) {
				if v.Num = 0; b {
					v.Num = 1
				}
			})
		}
		if err = cmp.Or(err, invalid); err != nil {
			return err
		}
		done += got
	}
	return nil
}

// placeValues puts the values that arrow has decoded into the cells of a column, from a row of the batch on.
func placeValues[T any](t *parquetTable, l *leafReader, index, row, n int, values []T, set func(T, *Value)) error {
	if n <= 0 {
		return errors.New("damaged Parquet: a page has no values")
	}
	width := len(t.cols)
	at := 0
	optional := l.descr.MaxDefinitionLevel() > 0
	for i := range n {
		v := &t.cells[(row+i)*width+index]
		if optional && t.defs[i] == 0 {
			v.Kind, v.Num, v.Text = pipeline.Null, 0, nil
			continue
		}
		if at == len(values) {
			return errors.New("damaged Parquet: a page has fewer values than rows")
		}
		v.Kind = l.kind
		set(values[at], v)
		at++
	}
	if at != len(values) {
		return errors.New("damaged Parquet: a page has more values than rows")
	}
	return nil
}

// rewind starts again with other columns, and with one row group alone.
func (t *parquetTable) rewind(columns []bool, group int) {
	t.selectColumns(columns)
	t.group, t.end, t.left, t.row, t.n, t.i = group, group+1, 0, 0, 0, 0
	clear(t.cells)
	for _, l := range t.leafs {
		l.column.Release()
	}
}

func (t *parquetTable) Close() error {
	t.pq.Close()
	return t.file.Close()
}
