package sinks

import (
	"io"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// jsonlEncoder writes an object a line, its keys in the order of the columns, null where a cell is null.
type jsonlEncoder struct {
	w       io.Writer
	columns []column
	keys    [][]byte // what stands before each value: `{"row_number":`, `,"user_id":`, …
	buf     []byte
	clock   clock
}

func newJSONL(w io.Writer, columns []column) *jsonlEncoder {
	e := &jsonlEncoder{w: w, columns: columns}
	for i, c := range columns {
		key := []byte{','}
		if i == 0 {
			key[0] = '{'
		}
		e.keys = append(e.keys, append(pipeline.AppendJSONString(key, c.name), ':'))
	}
	return e
}

func (e *jsonlEncoder) writeRow(row []cell) error {
	buf := e.buf
	for i := range row {
		buf = append(buf, e.keys[i]...)
		c := &row[i]
		if c.null {
			buf = append(buf, "null"...)
			continue
		}
		switch col := &e.columns[i]; col.typ {
		case pipeline.TypeString:
			buf = pipeline.AppendJSONString(buf, c.text)
		case pipeline.TypeJSON:
			buf = appendOneLine(buf, c.text)
		case pipeline.TypeInt:
			buf = strconv.AppendInt(buf, c.num, 10)
		case pipeline.TypeFloat:
			buf = pipeline.Value{Kind: pipeline.Float, Num: c.num}.AppendJSON(buf)
		case pipeline.TypeBool:
			buf = strconv.AppendBool(buf, c.num != 0)
		case pipeline.TypeDate, pipeline.TypeTimestamp:
			if col.millis {
				buf = append(e.clock.append(append(buf, '"'), c.num), '"')
			} else {
				buf = pipeline.AppendJSONString(buf, c.text)
			}
		}
	}
	e.buf = append(buf, '}', '\n')
	return flushAt(e.w, &e.buf, textBuffer)
}

func (e *jsonlEncoder) finish() error { return flushAt(e.w, &e.buf, 0) }

// appendOneLine appends a JSON text as it is, unless it spans lines: then without the white space between its
// tokens. (In valid JSON a line break is always between tokens.)
func appendOneLine(dst []byte, text string) []byte {
	if !strings.ContainsAny(text, "\r\n") {
		return append(dst, text...)
	}
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && inString && i+1 < len(text):
			dst = append(dst, c, text[i+1])
			i++
		case !inString && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
		default:
			if c == '"' {
				inString = !inString
			}
			dst = append(dst, c)
		}
	}
	return dst
}
