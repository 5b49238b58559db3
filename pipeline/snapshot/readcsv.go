package snapshot

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// csvTable reads CSV and TSV as rollcall writes it: RFC 4180 with \n. An empty cell is null; one that is "" is empty.
type csvTable struct {
	*textFile
	comma   byte
	cols    []column
	row     []Value
	unquote []byte // the texts of the row that had doubled quotes
	last    int64  // the line where the last record begins
}

func newCSV(t *textFile, comma byte) (*csvTable, error) {
	c := &csvTable{textFile: t, comma: comma}
	if err := c.readRecord(); err != nil {
		if err == io.EOF {
			err = t.errorf("no header: the file is empty")
		}
		return nil, err
	}
	seen := map[string]bool{}
	for _, v := range c.row {
		name := string(v.Text)
		if seen[name] {
			return nil, t.errorf("column %q is duplicated", name)
		}
		seen[name] = true
		c.cols = append(c.cols, column{name: name})
	}
	return c, nil
}

func (c *csvTable) columns() []column { return c.cols }

func (c *csvTable) selectColumns([]bool) {} // it would save nothing: each record is cut into cells anyway

func (c *csvTable) position() string { return (&textFile{line: c.last}).position() }

func (c *csvTable) next() ([]Value, error) {
	if err := c.readRecord(); err != nil {
		return nil, err
	}
	return c.row, nil
}

var errShort = errors.New("short") // the record goes on after the buffer

func (c *csvTable) readRecord() error {
	for {
		n, lines, err := c.parse(c.buf[c.start:c.end])
		if err == nil {
			c.start += n
			c.last = c.line + 1
			c.line += lines
			return nil
		}
		if err != errShort {
			return c.errorf("%w", err)
		}
		if c.eof {
			if c.start == c.end {
				return io.EOF
			}
			return c.errorf("the file ends in the middle of a record")
		}
		if err := c.readMore(); err != nil {
			return err
		}
	}
}

// parse cuts the first record of data into cells, and returns its length and its lines.
func (c *csvTable) parse(data []byte) (n int, lines int64, err error) {
	row := c.row[:0]
	c.unquote = c.unquote[:0]
	lines = 1
	for i := 0; ; {
		if i == len(data) {
			return 0, 0, errShort
		}
		if c.cols != nil && len(row) == len(c.cols) || len(row) == maxColumns {
			return 0, 0, errors.New("more cells than columns")
		}
		var v Value
		if data[i] == '"' {
			i++
			text := data[i:]
			end := bytes.IndexByte(text, '"')
			if end < 0 || i+end+1 == len(data) {
				return 0, 0, errShort
			}
			if data[i+end+1] != '"' {
				text = text[:end]
				i += end + 1
			} else {
				from := len(c.unquote)
				for {
					c.unquote = append(c.unquote, data[i:i+end]...)
					i += end + 1
					if i == len(data) {
						return 0, 0, errShort
					}
					if data[i] != '"' {
						break
					}
					c.unquote = append(c.unquote, '"')
					i++
					if end = bytes.IndexByte(data[i:], '"'); end < 0 {
						return 0, 0, errShort
					}
				}
				text = c.unquote[from:len(c.unquote):len(c.unquote)]
			}
			lines += int64(bytes.Count(text, newline))
			v = Value{Kind: pipeline.String, Text: text}
			if i == len(data) {
				return 0, 0, errShort
			}
		} else {
			from := i
			for i < len(data) && data[i] != c.comma && data[i] != '\n' && data[i] != '"' && data[i] != '\r' {
				i++
			}
			if i == len(data) {
				return 0, 0, errShort
			}
			if i > from {
				v = Value{Kind: pipeline.String, Text: data[from:i:i]}
			}
		}
		row = append(row, v)
		c.row = row
		switch data[i] {
		case c.comma:
			i++
			continue
		case '\n':
		default:
			return 0, 0, errors.New("a quote or a carriage return where a cell ends")
		}
		if c.cols != nil && len(row) != len(c.cols) {
			return 0, 0, errors.New("fewer cells than columns")
		}
		if !utf8.Valid(data[:i]) {
			return 0, 0, errors.New("not valid UTF-8")
		}
		return i + 1, lines, nil
	}
}

var newline = []byte{'\n'}
