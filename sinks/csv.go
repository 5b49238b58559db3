package sinks

import (
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// textBuffer is how many bytes a text encoder collects before it writes them.
const textBuffer = 64 << 10

// csvEncoder writes RFC 4180 with \n, or the same with tabs. encoding/csv can't: it has one form for null and
// for the empty string.
type csvEncoder struct {
	w        io.Writer
	columns  []column
	comma    byte
	special  string // the bytes that need quotes
	escape   bool   // formulas get a ' in front
	formulas int64  // how many there were
	buf      []byte
	clock    clock
}

func newCSV(w io.Writer, columns []column, comma byte, escape bool) *csvEncoder {
	e := &csvEncoder{w: w, columns: columns, comma: comma, special: string(comma) + "\"\r\n", escape: escape}
	for i, c := range columns {
		if i > 0 {
			e.buf = append(e.buf, comma)
		}
		e.text(c.name)
	}
	e.buf = append(e.buf, '\n')
	return e
}

func (e *csvEncoder) writeRow(row []cell) error {
	for i := range row {
		if i > 0 {
			e.buf = append(e.buf, e.comma)
		}
		c := &row[i]
		if c.null {
			continue
		}
		switch col := &e.columns[i]; col.typ {
		case pipeline.TypeString:
			e.text(c.text)
		case pipeline.TypeJSON:
			e.quoted(c.text) // no formula: JSON begins with a bracket, a quote, a letter, or is a number
		case pipeline.TypeInt:
			e.buf = strconv.AppendInt(e.buf, c.num, 10)
		case pipeline.TypeFloat:
			e.float(c.num)
		case pipeline.TypeBool:
			e.buf = strconv.AppendBool(e.buf, c.num != 0)
		case pipeline.TypeDate, pipeline.TypeTimestamp:
			if col.millis {
				e.buf = e.clock.append(e.buf, c.num)
			} else {
				e.buf = append(e.buf, c.text...)
			}
		}
	}
	e.buf = append(e.buf, '\n')
	return flushAt(e.w, &e.buf, textBuffer)
}

func (e *csvEncoder) finish() error { return flushAt(e.w, &e.buf, 0) }

// text appends a text cell. One that a spreadsheet would run as a formula is counted, and with --csv-formulas
// escape it gets a ' in front (https://owasp.org/www-community/attacks/CSV_Injection).
func (e *csvEncoder) text(s string) {
	if s != "" {
		switch s[0] {
		case '=', '+', '-', '@', '\t', '\r':
			e.formulas++
			if e.escape {
				s = "'" + s
			}
		}
	}
	e.quoted(s)
}

// quoted appends a cell, in quotes where it needs them. Beyond what RFC 4180 demands these are: an empty
// string, which is not null; spaces at the ends, which some readers trim; and \. alone, which PostgreSQL's
// COPY takes for the end of the data.
func (e *csvEncoder) quoted(s string) {
	if s != "" && s[0] != ' ' && s[len(s)-1] != ' ' && s != `\.` && !strings.ContainsAny(s, e.special) {
		e.buf = append(e.buf, s...)
		return
	}
	e.buf = append(e.buf, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		e.buf = append(e.buf, s[:i]...)
		e.buf = append(e.buf, '"', '"')
		s = s[i+1:]
	}
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '"')
}

func (e *csvEncoder) float(bits int64) {
	switch f := math.Float64frombits(uint64(bits)); {
	case math.IsNaN(f):
		e.buf = append(e.buf, "NaN"...)
	case math.IsInf(f, 1):
		e.buf = append(e.buf, "Infinity"...)
	case math.IsInf(f, -1):
		e.buf = append(e.buf, "-Infinity"...)
	default:
		e.buf = pipeline.FloatValue(f).AppendJSON(e.buf)
	}
}

// flushAt writes buf once it holds limit bytes or more.
func flushAt(w io.Writer, buf *[]byte, limit int) error {
	if len(*buf) < limit || len(*buf) == 0 {
		return nil
	}
	_, err := w.Write(*buf)
	*buf = (*buf)[:0]
	return err
}

// clock formats times and remembers the last: all flags of a user have the same.
type clock struct {
	millis int64
	text   []byte
}

// append appends RFC 3339 in UTC, always with milliseconds, so that texts sort as their times do.
func (c *clock) append(dst []byte, millis int64) []byte {
	if len(c.text) == 0 || c.millis != millis {
		c.millis = millis
		c.text = time.UnixMilli(millis).UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05.000Z07:00")
	}
	return append(dst, c.text...)
}
