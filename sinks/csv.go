package sinks

import (
	"math"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// csvEncoder writes RFC 4180 with \n, or the same with tabs. It is not encoding/csv, because that writes null and the
// empty string the same way.
type csvEncoder struct {
	*lines
	columns []column
	comma   byte
	special [256]bool // bytes that need quotes
	escape  bool      // put a ' before formulas
}

func newCSV(columns []column, comma byte, escape bool) *csvEncoder {
	e := &csvEncoder{
		lines: newLines(columns, "\n"), columns: columns, comma: comma, escape: escape,
	}
	for _, c := range []byte{comma, '"', '\r', '\n'} {
		e.special[c] = true
	}
	e.formatCell = e.appendCell
	return e
}

// writeHeader adds the line of the columns' names.
func (e *csvEncoder) writeHeader(p *piece) {
	e.warnings = 0
	for i, c := range e.columns {
		if i > 0 {
			p.text = append(p.text, e.comma)
		}
		p.text = e.appendName(p.text, c.name)
	}
	p.text = append(p.text, '\n')
	p.warnings += e.warnings
}

// appendName appends a column's name, always in quotes, which RFC 4180 allows. They show readers that guess the dialect
// which character quotes. DuckDB's read_csv looks at 20,480 rows. If it finds no quotes there, it treats them as
// ordinary characters from there on, so that "Jim ""Jimbo"" Jones" keeps its quotes and "Jones, Jim" is two cells; and
// if cells have apostrophes at both ends, it treats those as quotes (https://github.com/duckdb/duckdb/issues/21000).
func (e *csvEncoder) appendName(dst []byte, name string) []byte {
	return e.appendQuoted(dst, e.escapeFormula(name))
}

// appendCell appends a cell and the comma before it.
func (e *csvEncoder) appendCell(dst []byte, column int, c *cell) []byte {
	if column > 0 {
		dst = append(dst, e.comma)
	}
	if c.null {
		return dst
	}
	switch col := &e.columns[column]; col.typ {
	case pipeline.TypeString:
		return e.appendField(dst, e.escapeFormula(c.text))
	case pipeline.TypeJSON:
		return e.appendField(dst, c.text) // never a formula: JSON is a number, or begins with a bracket, quote or letter
	case pipeline.TypeInt:
		return strconv.AppendInt(dst, c.num, 10)
	case pipeline.TypeFloat:
		return appendFloat(dst, c.num)
	case pipeline.TypeBool:
		return strconv.AppendBool(dst, c.num != 0)
	case pipeline.TypeDate, pipeline.TypeDecimal:
		return append(dst, c.text...)
	default: // timestamps
		return e.clock.appendTime(dst, c.num, col.millis)
	}
}

// escapeFormula counts a text that a spreadsheet would run as a formula, and puts a ' before it if that was asked for
// (https://owasp.org/www-community/attacks/CSV_Injection).
func (e *csvEncoder) escapeFormula(s string) string {
	if s != "" {
		switch s[0] {
		case '=', '+', '-', '@', '\t', '\r':
			e.warnings++
			if e.escape {
				return "'" + s
			}
		}
	}
	return s
}

// appendField appends a text, in quotes if it needs them. Besides what RFC 4180 demands, it quotes an empty string,
// which is not null; spaces at the ends, which some readers trim; and \. alone, which ends the data for PostgreSQL's
// COPY.
func (e *csvEncoder) appendField(dst []byte, s string) []byte {
	if s != "" && s[0] != ' ' && s[len(s)-1] != ' ' && s != `\.` && !e.hasSpecial(s) {
		return append(dst, s...)
	}
	return e.appendQuoted(dst, s)
}

func (e *csvEncoder) appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		dst = append(dst, s[:i]...)
		dst = append(dst, '"', '"')
		s = s[i+1:]
	}
	dst = append(dst, s...)
	return append(dst, '"')
}

func (e *csvEncoder) hasSpecial(s string) bool {
	for i := range len(s) {
		if e.special[s[i]] {
			return true
		}
	}
	return false
}

func appendFloat(dst []byte, bits int64) []byte {
	switch f := math.Float64frombits(uint64(bits)); {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	default:
		return pipeline.FloatValue(f).AppendJSON(dst)
	}
}
