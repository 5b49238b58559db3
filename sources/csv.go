package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// csvReader reads CSV (RFC 4180) and TSV.
//
// It reads what encoding/csv reads, and the tests hold it to that. It is not encoding/csv, because that one
// turns \r\n inside quotes into \n, so that an id would not arrive byte for byte; drops blank lines, which are rows
// in a file of one column; takes all the rest of the file, in memory, for one field where a quote is not
// closed; and does not look at the encoding.
type csvReader struct {
	*lines
	io.Closer
	comma        byte
	missingEmpty bool
	header       []string
	fields       []string
	spans        []span
}

// span is a field of a record: where it is, and whether quotes in it are doubled.
type span struct {
	from, to int
	doubled  bool
}

func openCSV(l *lines, c io.Closer, comma byte, missingEmpty bool) (*csvReader, error) {
	r := &csvReader{lines: l, Closer: c, comma: comma, missingEmpty: missingEmpty}
	return r, r.readHeader()
}

func (c *csvReader) readHeader() error {
	if err := c.begin(); err != nil {
		return err
	}
	var line int64
	for {
		line = c.line
		problem, blank, err := c.parse()
		if err == io.EOF {
			return pipeline.WithHint(fmt.Errorf("%s: the file is empty", c.file), "its first line must name the columns; without rows below there are no users")
		}
		if err != nil {
			return err
		}
		if problem != "" {
			return fmt.Errorf("%s: line %d: the header cannot be read: %s", c.file, line, problem)
		}
		if !blank {
			break
		}
	}
	if len(c.fields) == 1 && c.fields[0] == strings.Join(errorColumns, ",") { // ours have commas, whatever the users had
		c.comma, c.fields = ',', slices.Clone(errorColumns)
	}
	c.header = append(c.header, c.fields...)
	at := map[string]int{}
	for i, name := range c.header {
		switch other, twice := at[name]; {
		case name == "":
			return pipeline.WithHint(fmt.Errorf("%s: line %d: column %d of the header has no name", c.file, line, i+1),
				"name every column, or leave it out (pandas: to_csv(index=False))")
		case twice:
			return pipeline.WithHint(fmt.Errorf("%s: line %d: columns %d and %d of the header have the same name", c.file, line, other+1, i+1),
				"give each column its own name")
		case strings.Contains(name, "\r"):
			return pipeline.WithHint(fmt.Errorf("%s: line %d: a carriage return in the header", c.file, line),
				`the lines may end in \r alone; convert them to \n`)
		}
		at[name] = i
	}
	return nil
}

func (c *csvReader) columns() []column {
	cols := make([]column, len(c.header))
	for i, name := range c.header {
		cols[i].name = name
	}
	return cols
}

// project does nothing: a line has to be read whole, and the error record wants all of it.
func (c *csvReader) project([]bool) []int { return nil }

func (c *csvReader) next(rec *record) error {
	for {
		rec.line, rec.err = c.line, nil
		problem, blank, err := c.parse()
		if err != nil {
			return err
		}
		if problem == "" && blank {
			if len(c.header) > 1 {
				continue
			}
			c.fields = append(c.fields[:0], "")
		}
		if problem == "" && len(c.fields) != len(c.header) {
			problem = fmt.Sprintf("the row has %d cells and the header %d", len(c.fields), len(c.header))
		}
		if problem != "" {
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "line %d: %s", rec.line, problem)
			return nil
		}
		rec.cells = slices.Grow(rec.cells, len(c.fields))[:len(c.fields)] // it came empty
		for i, f := range c.fields {
			m := &rec.cells[i]
			*m = pipeline.Member{Name: c.header[i]}
			if f != "" || c.missingEmpty {
				m.Value.Kind, m.Value.Text = pipeline.String, f
			}
		}
		return nil
	}
}

// parse reads the next record into c.fields. A record that cannot be read is a problem, and is over with its
// first line: whatever a quote there swallowed is read again, so that one bad row does not take others along.
//
// That is linear: lines that a quote swallowed hold none but doubled quotes, which open nothing themselves.
func (c *csvReader) parse() (problem string, blank bool, err error) {
	c.fields = c.fields[:0]
	n, err := c.end(0)
	if errors.Is(err, errTooLong) {
		return "the line is " + errTooLong.Error(), false, c.skipLine()
	}
	if err != nil {
		return "", false, err
	}
	first := n
	quotes := bytes.IndexByte(c.peek(n), '"') >= 0
	if !quotes {
		line := trimEOL(c.peek(n))
		if blank = len(line) == 0; !blank {
			text := string(line)
			for {
				i := strings.IndexByte(text, c.comma)
				if i < 0 {
					break
				}
				c.fields = append(c.fields, text[:i])
				text = text[i+1:]
			}
			c.fields = append(c.fields, text)
		}
	} else if n, problem, err = c.quoted(n); err != nil {
		return "", false, err
	}
	if problem != "" {
		n = first
	}
	raw := c.peek(n)
	if err := c.checkUTF8(raw); err != nil {
		return "", false, err
	}
	if problem == "" && bytes.IndexByte(raw, 0) >= 0 {
		problem = "the row holds a NUL byte"
	}
	if quotes {
		c.advance(n)
	} else { // one line
		c.pos += n
		c.line++
	}
	return problem, blank, nil
}

// quoted parses a record of which the first n bytes are the first line. It returns the record's length.
func (c *csvReader) quoted(n int) (int, string, error) {
	c.spans = c.spans[:0]
	raw := c.peek(n)
	for i := 0; ; i++ { // one field each time
		s := span{from: i}
		if i < n && raw[i] == '"' {
			s.from = i + 1
			for j := s.from; ; {
				q := bytes.IndexByte(raw[j:], '"')
				if q < 0 { // the field goes on in the next line
					m, err := c.end(n)
					if err == io.EOF {
						return 0, "a quote is opened and never closed", nil
					}
					if errors.Is(err, errTooLong) {
						return 0, "a quote is opened and not closed within 1 MiB", nil
					}
					if err != nil {
						return 0, "", err
					}
					j, n, raw = n, m, c.peek(m)
					continue
				}
				j += q
				if j+1 < n && raw[j+1] == '"' {
					s.doubled = true
					j += 2
					continue
				}
				s.to = j
				break
			}
			i = s.to + 1
			if i < n && raw[i] != c.comma && len(trimEOL(raw[i:])) > 0 {
				return 0, "a quote inside a quoted cell is not doubled", nil
			}
		} else {
			field := trimEOL(raw[i:])
			if k := bytes.IndexByte(field, c.comma); k >= 0 {
				field = field[:k]
			}
			if bytes.IndexByte(field, '"') >= 0 {
				return 0, "a quote in a cell that is not quoted", nil
			}
			s.to = i + len(field)
			i = s.to
		}
		c.spans = append(c.spans, s)
		if i >= n || raw[i] != c.comma {
			break
		}
	}
	text := string(raw)
	for _, s := range c.spans {
		f := text[s.from:s.to]
		if s.doubled {
			f = strings.ReplaceAll(f, `""`, `"`)
		}
		c.fields = append(c.fields, f)
	}
	return n, "", nil
}

// trimEOL is the line without its end, \n or \r\n. Like encoding/csv, it takes a \r at the end of the file for one.
func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}
