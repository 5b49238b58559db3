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
	asked    string // before it was made a snake one
	typ      pipeline.Type
	millis   bool // a TypeTimestamp in milliseconds; others are in microseconds
	required bool // never null
	varies   bool // may differ among the rows of one outcome

	precision, scale int // of a TypeDecimal
}

func newCarriedColumn(c *pipeline.Column) column {
	return column{name: c.Name, typ: c.Type, precision: c.Precision, scale: c.Scale}
}

// cell is one value of a row. Which fields count follows from its column's type: text for strings, decimals and JSON;
// num for other numbers (a float's bits), booleans (0 or 1), dates (days; their text counts as well) and timestamps.
type cell struct {
	text string
	num  int64
	null bool
}

// newText is the cell of a text that is never null.
func newText(s string) cell {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD") // doc.go says why
	}
	return cell{text: s}
}

// newOptionalText is the cell of a text that is null when it is empty.
func newOptionalText(s string) cell {
	if s == "" {
		return cell{null: true}
	}
	return newText(s)
}

// block is the rows that one outcome makes. Most cells of them are the same in all: a user's id, row number,
// time and carried columns stand once, so that encoders can do their work on them once.
type block struct {
	shared []cell   // a cell for each column; those of columns that vary count for nothing
	rows   []*tuple // one for each row
}

// tuple is what varies in a row: a cell for each column that does, in their order.
//
// Few tuples differ in a run, thousands of rows have the same one. A tuple that is kept is the same in memory
// wherever its cells are the same, so an encoder, of which an output has one, leaves what it made of it beside it.
type tuple struct {
	cells []cell
	kept  bool // false: it may hold something else in the next block

	texts   [][]byte // of a text format: each segment's
	warnings   int64    // of the cells in texts
	group   int      // the row group of indices; 0 is none
	indices []int32  // of Parquet: each cell's in its column's dictionary
}

// newEmptyTuple is the tuple of a layout in which nothing varies, and an outcome makes one row.
func newEmptyTuple() *tuple { return &tuple{kept: true} }

// table is a layout: its columns, and what rows an outcome makes.
type table struct {
	columns []column

	// fill sets b.rows, and those of b.shared that are not set once and for all. b.shared has a cell for each column.
	fill func(o *pipeline.Outcome, b *block) error
}

// fillCarried fills the cells of the carried columns.
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

// newCarriedCell is the cell of a carried value. A value of another kind than its column's type, which a source
// promises not to yield, is an error: it would be a wrong value in Parquet.
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
			return cell{}, fmt.Errorf("the value is no decimal(%d,%d)", column.Precision, column.Scale)
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
