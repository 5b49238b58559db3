package sinks

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// column is a column of an output, fixed before the first row.
type column struct {
	name     string // in the file
	asked    string // before it became a snake name
	typ      pipeline.Type
	millis   bool // a TypeTimestamp in milliseconds; others are in microseconds
	required bool // never null
	varies   bool // may differ among the rows of one outcome

	precision, scale int // of a TypeDecimal
}

func newCarriedColumn(c *pipeline.Column) column {
	return column{name: c.Name, typ: c.Type, precision: c.Precision, scale: c.Scale}
}

// cell is one value of a row. The column's type says which fields are used: text for strings, decimals and JSON; num
// for other numbers (a float's bits), booleans (0 or 1) and timestamps; both for dates (num is days since 1970).
type cell struct {
	text string
	num  int64
	null bool
}

// newText returns the cell of a text, which is never null. See the package comment on invalid UTF-8.
func newText(s string) cell {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return cell{text: s}
}

// newOptionalText returns the cell of a text that is null if empty.
func newOptionalText(s string) cell {
	if s == "" {
		return cell{null: true}
	}
	return newText(s)
}

// block is the rows of one outcome. Cells that are the same in all rows (a user's id, row number, time and carried
// columns) are in it once, so that encoders encode them once.
type block struct {
	shared []cell   // a cell for each column; those of columns that vary are not used
	rows   []*tuple // one for each row

	tuples *tupleCache // in which rows are, if something varies
	only   tuple       // the row, if nothing varies

	// Of a table without some columns.
	whole     *block            // with them
	projected map[*tuple]*tuple // kept rows of whole
	spare     []*tuple          // for rows that are not kept
}

func newBlock(columns int) block {
	return block{shared: make([]cell, columns), only: tuple{kept: true}}
}

// tuple is the varying part of a row: a cell for each column that varies, in order.
//
// A run has few different tuples; thousands of rows have the same one. Rows with equal cells share a kept tuple, so the
// encoder that made it caches in it what it encoded for these cells.
type tuple struct {
	cells []cell
	kept  bool // false: the next block may reuse it for other cells
	alone bool // it has an evaluation id, which no other tuple has

	texts    [][]byte // text formats: the text of each segment that varies
	warnings int64    // text formats: lines.warnings of the cells in texts
	data     int64    // Parquet: the number of the parquetData that it was last added to
	at       int32    // and its index there
}

// table is a layout: its columns, and how an outcome becomes rows.
type table struct {
	columns []column

	// fill sets b.rows and b.shared, which has a cell for each column. It is safe for concurrent use with other blocks.
	fill func(o *pipeline.Outcome, b *block) error
}

// fillCarried sets the cells of the carried columns.
func fillCarried(dst []cell, columns []pipeline.Column, row *pipeline.Row) error {
	if len(row.Carry) != len(columns) {
		return fmt.Errorf("row %d: %d carried values for %d columns", row.Number, len(row.Carry), len(columns))
	}
	for i := range columns {
		c, err := newCarriedCell(&columns[i], &row.Carry[i])
		if err != nil {
			return fmt.Errorf("row %d: column %q: %w", row.Number, columns[i].Name, err)
		}
		dst[i] = c
	}
	return nil
}

// newCarriedCell returns the cell of a carried value. It is an error if the value does not have the column's type,
// because it would be a wrong value in Parquet; sources do not return such values.
func newCarriedCell(column *pipeline.Column, v *pipeline.Value) (cell, error) {
	if v.Kind == pipeline.Null {
		return cell{null: true}, nil
	}
	ok := false
	switch column.Type {
	case pipeline.TypeString:
		ok = v.Kind == pipeline.String || v.Kind == pipeline.Number
	case pipeline.TypeInt:
		ok = v.Kind == pipeline.Int
	case pipeline.TypeFloat:
		ok = v.Kind == pipeline.Float
	case pipeline.TypeBool:
		ok = v.Kind == pipeline.Bool
	case pipeline.TypeDate:
		ok = v.Kind == pipeline.Date
	case pipeline.TypeTimestamp:
		ok = v.Kind == pipeline.Timestamp
	case pipeline.TypeDecimal:
		if v.Kind == pipeline.String && !pipeline.ValidDecimal(v.Text, column.Precision, column.Scale) {
			return cell{}, fmt.Errorf("the value is not a valid decimal(%d,%d)", column.Precision, column.Scale)
		}
		ok = v.Kind == pipeline.String
	case pipeline.TypeJSON:
		return newText(string(v.AppendJSON(nil))), nil
	}
	if !ok {
		return cell{}, fmt.Errorf("the value is not of the column's type, %s", column.Type)
	}
	c := newText(v.Text)
	c.num = v.Num
	return c, nil
}
