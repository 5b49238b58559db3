package sinks

import (
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// jsonlEncoder writes one object per line, with its keys in the order of the columns.
type jsonlEncoder struct {
	*lines
	columns []column
	keys    [][]byte // the text before each value: `{"row_number":`, `,"user_id":`, …
}

func newJSONL(columns []column) *jsonlEncoder {
	e := &jsonlEncoder{lines: newLines(columns, "}\n"), columns: columns}
	e.formatCell = e.appendCell
	for i, c := range columns {
		key := []byte{','}
		if i == 0 {
			key[0] = '{'
		}
		e.keys = append(e.keys, append(pipeline.AppendJSONString(key, c.name), ':'))
	}
	return e
}

// appendCell appends a cell and the key before it.
func (e *jsonlEncoder) appendCell(dst []byte, column int, c *cell) []byte {
	dst = append(dst, e.keys[column]...)
	if c.null {
		return append(dst, "null"...)
	}
	switch col := &e.columns[column]; col.typ {
	case pipeline.TypeString, pipeline.TypeDate, pipeline.TypeDecimal: // most readers read a JSON number as a double
		return pipeline.AppendJSONString(dst, c.text)
	case pipeline.TypeJSON:
		text, halves := pipeline.MendSurrogates(c.text)
		if halves > 0 {
			e.warnings++
		}
		return appendOneLine(dst, text)
	case pipeline.TypeInt:
		return strconv.AppendInt(dst, c.num, 10)
	case pipeline.TypeFloat:
		return pipeline.Value{Kind: pipeline.Float, Num: c.num}.AppendJSON(dst)
	case pipeline.TypeBool:
		return strconv.AppendBool(dst, c.num != 0)
	default: // timestamps
		return append(e.clock.appendTime(append(dst, '"'), c.num, col.millis), '"')
	}
}

// appendOneLine appends a JSON text unchanged, or, if it has several lines, without the white space between its tokens.
// (In valid JSON a line break is always between tokens.)
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
