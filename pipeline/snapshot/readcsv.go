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
	comma   byte   // 0 until the header says which one it is
	bom     bool   // the file begins with a byte order mark
	unquote []byte // the texts of the row that had doubled quotes
}

// newCSV returns a table whose cells the delimiter separates. 0 is the one in the header.
func newCSV(t *textFile, comma byte) (*csvTable, error) {
	c := &csvTable{textFile: t, comma: comma}
	if err := c.readRecord(); err != nil {
		if err == io.EOF {
			err = t.errorf("no header: the file is empty")
		}
		return nil, err
	}
	for _, v := range c.row {
		c.cols = append(c.cols, column{name: string(v.Text)})
	}
	return c, nil
}

func (c *csvTable) next() ([]Value, error) {
	if err := c.readRecord(); err != nil {
		return nil, err
	}
	return c.row, nil
}

func (c *csvTable) readRecord() error {
	data, err := c.nextRecord()
	if err != nil {
		return err
	}
	cells := data
	if c.cols == nil {
		cells = c.detectDialect(data)
	}
	if err := c.parse(cells); err != nil {
		return c.errorf("%w", err)
	}
	c.begin = c.line + 1
	c.line += int64(bytes.Count(data, []byte{'\n'}))
	return nil
}

// detectDialect finds the byte order mark and the delimiter in the header, which it returns without the mark. The name
// of the first column is known, and the delimiter follows it.
func (c *csvTable) detectDialect(header []byte) []byte {
	header, c.bom = bytes.CutPrefix(header, []byte("\ufeff"))
	if c.comma != 0 {
		return header
	}
	c.comma = ','
	for _, first := range []string{`"` + longNames[colRow] + `"`, longNames[colRow]} {
		rest, ok := bytes.CutPrefix(header, []byte(first))
		if ok && bytes.IndexByte([]byte("\"\r\n"), rest[0]) < 0 {
			c.comma = rest[0]
			break
		}
	}
	return header
}

// parse cuts a record into cells. It ends with \n, and quotes in it are paired.
func (c *csvTable) parse(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("not valid UTF-8")
	}
	c.row, c.unquote = c.row[:0], c.unquote[:0]
	for i := 0; ; i++ {
		if c.cols != nil && len(c.row) == len(c.cols) || len(c.row) == maxColumns {
			return errors.New("more cells than columns")
		}
		var v Value
		if data[i] == '"' {
			v.Kind = pipeline.String
			v.Text, i = c.parseQuoted(data, i+1)
		} else {
			from := i
			for data[i] != c.comma && data[i] != '\n' && data[i] != '"' && data[i] != '\r' {
				i++
			}
			if i > from {
				v = Value{Kind: pipeline.String, Text: data[from:i:i]}
			}
		}
		c.row = append(c.row, v)
		switch {
		case data[i] == c.comma:
		case data[i] != '\n':
			return errors.New("a quote or a carriage return where a cell ends")
		case c.cols != nil && len(c.row) != len(c.cols):
			return errors.New("fewer cells than columns")
		default:
			return nil
		}
	}
}

// parseQuoted is the text of a quoted cell that begins at data[i:], and where the cell ends.
func (c *csvTable) parseQuoted(data []byte, i int) (text []byte, end int) {
	from := len(c.unquote)
	for {
		n := bytes.IndexByte(data[i:], '"')
		text, i = data[i:i+n:i+n], i+n+1
		if data[i] != '"' {
			break
		}
		c.unquote = append(append(c.unquote, text...), '"')
		i++
	}
	if len(c.unquote) == from {
		return text, i
	}
	c.unquote = append(c.unquote, text...)
	return c.unquote[from:len(c.unquote):len(c.unquote)], i
}
