package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
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
	csvOptions
	header []string // unique: see nameColumns
	called []string // what the file calls the columns of header that have another name there; nil: none has
	fields []string
	spans  []span
	raw    int    // bytes of the record that was read last
	bad    string // of a record with a problem: its first line
	whole  int64  // lines before this one were swallowed by a quote that is not closed, and swallow none themselves
}

// csvOptions say how the cells of a file are to be read.
type csvOptions struct {
	comma        byte
	missingEmpty bool
	noHeader     bool // the first line is a row; the columns are c1, c2, ...
	trim         bool // white space around cells goes
	pad          bool // a row may lack cells at its end, or have empty ones more
}

// setCell makes v the value of a cell. It was null.
func (o *csvOptions) setCell(v *pipeline.Value, cell string) {
	if o.trim {
		cell = trimBlank(cell)
	}
	if cell != "" || o.missingEmpty {
		v.Kind, v.Text = pipeline.String, cell
	}
}

// span is a field of a record: where it is, and whether quotes in it are doubled.
type span struct {
	from, to int
	doubled  bool
}

func openCSV(l *lines, c io.Closer, o csvOptions) (*csvReader, error) {
	r := &csvReader{lines: l, Closer: c, csvOptions: o}
	return r, r.readHeader()
}

func (c *csvReader) readHeader() error {
	if err := c.checkStart(); err != nil {
		return err
	}
	if err := c.readSeparator(); err != nil {
		return err
	}
	var line int64
	for {
		line = c.line
		problem, blank, err := c.parseRecord()
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
	// Ours have commas, whatever the users had.
	if ours := strings.Split(c.fields[0], ","); len(c.fields) == 1 && isErrorHeader(ours) {
		c.comma, c.fields = ',', ours
	}
	if c.noHeader && !isErrorHeader(c.fields) {
		for i := range c.fields {
			c.header = append(c.header, "c"+strconv.Itoa(i+1))
		}
		c.pos -= c.raw // the line is a row; nothing was read since
		c.line = line
		return nil
	}
	for _, name := range c.fields {
		if strings.Contains(name, "\r") {
			return pipeline.WithHint(fmt.Errorf("%s: line %d: a carriage return in the header", c.file, line), hintCR)
		}
		if c.trim {
			name = trimBlank(name)
		}
		c.header = append(c.header, name)
	}
	c.called = makeNamesUnique(c.header)
	return nil
}

// readSeparator takes the line sep=; which Excel reads before the header.
func (c *csvReader) readSeparator() error {
	n, err := c.findLineEnd(0)
	if err == io.EOF || errors.Is(err, errTooLong) {
		return nil
	}
	if err != nil {
		return err
	}
	line := bytes.Trim(trimEOL(c.peek(n)), `"`)
	if separator, ok := bytes.CutPrefix(bytes.ToLower(line), []byte("sep=")); ok && len(separator) == 1 && checkDelimiter(rune(separator[0])) == nil {
		c.comma = separator[0]
		c.consume(n)
	}
	return nil
}

// makeNamesUnique gives a name to columns of a header that have none or share it, so that the cells of a row have different
// names. Such a column is not used unless an option says this name. It returns what the file calls the columns; nil if
// that is what they are called now.
func makeNamesUnique(header []string) (called []string) {
	first := make(map[string]int, len(header))
	rename := make([]bool, len(header))
	some := false
	for i, name := range header {
		other, twice := first[name]
		if !twice {
			first[name] = i
		}
		if rename[i] = twice || name == ""; rename[i] {
			rename[other], some = rename[other] || twice, true
		}
	}
	if !some {
		return nil
	}
	called = slices.Clone(header)
	for i, again := range rename {
		if !again {
			continue
		}
		name := strings.TrimPrefix(fmt.Sprintf("%s (column %d)", called[i], i+1), " ")
		for _, taken := first[name]; taken; _, taken = first[name] {
			name += "_"
		}
		first[name] = i
		header[i] = name
	}
	return called
}

func (c *csvReader) columns() []column {
	cols := make([]column, len(c.header))
	for i, name := range c.header {
		cols[i].name = name
		if c.called != nil && c.called[i] != name {
			cols[i].ambiguous, cols[i].called = true, c.called[i]
		}
	}
	return cols
}

// selectColumns does nothing: a line has to be read whole, and the error record wants all of it.
func (c *csvReader) selectColumns([]bool) []int { return nil }

func (c *csvReader) readRecord(rec *record) error {
	for {
		rec.line, rec.err = c.line, nil
		problem, blank, err := c.parseRecord()
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
			padded, ok := padCells(c.fields, len(c.header))
			if rec.ragged = ok; ok && c.pad {
				c.fields = padded
			} else {
				problem = describeRaggedRow(len(c.fields), len(c.header))
				rec.cells = newBadCellsRow(rec.cells, rec.line, c.header, c.fields)
			}
		} else if problem != "" {
			rec.cells = newBadTextRow(rec.cells, rec.line, c.bad)
		}
		if problem != "" {
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "line %d: %s", rec.line, problem)
			return nil
		}
		rec.cells = slices.Grow(rec.cells, len(c.fields))[:len(c.fields)] // it came empty
		for i, f := range c.fields {
			m := &rec.cells[i]
			*m = pipeline.Member{Name: c.header[i]}
			c.setCell(&m.Value, f)
		}
		return nil
	}
}

// parseRecord reads the next record into c.fields. A record that cannot be read is a problem, and is over with its
// first line: whatever a quote there swallowed is read again, so that one bad row does not take others along.
//
// That is linear: lines that were swallowed are read again once, because they swallow no others themselves.
func (c *csvReader) parseRecord() (problem string, blank bool, err error) {
	c.fields = c.fields[:0]
	n, err := c.findLineEnd(0)
	if errors.Is(err, errTooLong) {
		c.bad = string(c.peek(maxBadText))
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
	} else if n, problem, err = c.parseQuotedRecord(n); err != nil {
		return "", false, err
	}
	if problem != "" {
		c.whole = max(c.whole, c.line+int64(bytes.Count(c.peek(n-1), []byte{'\n'})))
		n = first
	}
	raw := c.peek(n)
	if err := c.checkUTF8(raw); err != nil {
		return "", false, err
	}
	if problem == "" && bytes.IndexByte(raw, 0) >= 0 {
		problem = "the row holds a NUL byte"
	}
	if problem != "" {
		c.bad = string(trimEOL(raw[:min(first, maxBadText)]))
	}
	c.raw = n
	if quotes {
		c.consume(n)
	} else { // one line
		c.pos += n
		c.line++
	}
	return problem, blank, nil
}

// parseQuotedRecord parses a record of which the first n bytes are the first line. It returns how many bytes it has read: the
// record's length, unless there is a problem. A quote counts where it begins a cell; elsewhere it is a character.
func (c *csvReader) parseQuotedRecord(n int) (int, string, error) {
	c.spans = c.spans[:0]
	raw := c.peek(n)
	for i := 0; ; i++ { // one field each time
		s := span{from: i}
		if i < n && raw[i] == '"' {
			s.from = i + 1
			for j := s.from; ; {
				q := bytes.IndexByte(raw[j:], '"')
				if q < 0 { // the field goes on in the next line
					if c.line < c.whole {
						return n, "a quote is opened and never closed", nil
					}
					m, err := c.findLineEnd(n)
					if err == io.EOF {
						return n, "a quote is opened and never closed", nil
					}
					if errors.Is(err, errTooLong) {
						return n, "a quote is opened and not closed within 1 MiB", nil
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
				return n, "a quote inside a quoted cell is not doubled", nil
			}
		} else {
			field := trimEOL(raw[i:])
			if k := bytes.IndexByte(field, c.comma); k >= 0 {
				field = field[:k]
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
