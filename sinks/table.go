package sinks

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// column is a column of an output, fixed before the first row.
type column struct {
	name     string
	typ      pipeline.Type
	millis   bool // a TypeTimestamp in milliseconds, without a text; others are in microseconds
	required bool // never null
	repeats  bool // few distinct values: Parquet gets a dictionary
}

// cell is one value of a row. Which fields count follows from its column's type: text for strings and JSON;
// num for numbers (a float's bits), booleans (0 or 1), dates (days) and timestamps, and of the latter two text
// as well where the column is not millis.
type cell struct {
	text string
	num  int64
	null bool
}

// text is the cell of a text that is never null.
func text(s string) cell {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD") // doc.go says why
	}
	return cell{text: s}
}

// optional is the cell of a text that is null when it is empty.
func optional(s string) cell {
	if s == "" {
		return cell{null: true}
	}
	return text(s)
}

// table is a layout: its columns, and what rows an outcome makes.
type table struct {
	columns []column

	// rows fills row, which has a cell for each column, and calls emit, once for each row that o makes.
	rows func(o *pipeline.Outcome, row []cell, emit func() error) error
}

// assignments is the long layout: a row for each flag of each answered user.
func assignments(carry []pipeline.Column) (*table, error) {
	columns := []column{
		{name: "row_number", typ: pipeline.TypeInt, required: true},
		{name: "user_id"},
		{name: "device_id"},
		{name: "flag_key", required: true, repeats: true},
		{name: "outcome", required: true, repeats: true},
		{name: "variant", repeats: true},
		{name: "payload", typ: pipeline.TypeJSON, repeats: true},
		{name: "experiment_key", repeats: true},
		{name: "evaluated_at", typ: pipeline.TypeTimestamp, millis: true, required: true},
	}
	const (
		rowNumber, userID, deviceID, flagKey, outcome = 0, 1, 2, 3, 4
		variant, payload, experimentKey, evaluatedAt  = 5, 6, 7, 8
	)
	fixed := len(columns)
	for _, c := range carry {
		if slices.ContainsFunc(columns, func(have column) bool { return have.name == c.Name }) {
			err := fmt.Errorf("carry column %q: the output has a column of that name already", c.Name)
			return nil, pipeline.WithHint(err, "leave it out of --carry, or rename it in the input")
		}
		columns = append(columns, column{name: text(c.Name).text, typ: c.Type})
	}

	return &table{columns, func(o *pipeline.Outcome, row []cell, emit func() error) error {
		if o.Err != nil || len(o.Assignments) == 0 {
			return nil
		}
		if len(o.Row.Carry) != len(carry) {
			return fmt.Errorf("row %d: %d carried values for %d columns", o.Row.Number, len(o.Row.Carry), len(carry))
		}
		row[rowNumber].num = o.Row.Number
		row[userID] = optional(o.Row.User.UserID)
		row[deviceID] = optional(o.Row.User.DeviceID)
		row[evaluatedAt].num = o.At.UnixMilli()
		for i := range carry {
			c, err := carried(carry[i].Type, &o.Row.Carry[i])
			if err != nil {
				return fmt.Errorf("row %d: column %q: %w", o.Row.Number, carry[i].Name, err)
			}
			row[fixed+i] = c
		}
		for i := range o.Assignments {
			a := &o.Assignments[i]
			row[flagKey] = text(a.FlagKey)
			row[outcome].text = "assigned"
			if !a.Assigned {
				row[outcome].text = "not_assigned"
			}
			row[variant] = optional(a.Key)
			row[payload] = optional(a.Payload)
			row[experimentKey] = optional(a.ExperimentKey)
			if err := emit(); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// carried is the cell of a carried value. A value of another kind than its column's type, which a source
// promises not to yield, is an error: it would be a wrong value in Parquet.
func carried(typ pipeline.Type, v *pipeline.Value) (cell, error) {
	if v.Kind == pipeline.Null {
		return cell{null: true}, nil
	}
	ok := false
	switch typ {
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
	case pipeline.TypeJSON:
		return text(string(v.AppendJSON(nil))), nil
	}
	if !ok {
		return cell{}, fmt.Errorf("the value is not of the column's type, %s", typ)
	}
	c := text(v.Text)
	c.num = v.Num
	return c, nil
}
