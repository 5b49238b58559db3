package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// csvReader reads CSV (RFC 4180) and TSV.
//
// It reads what encoding/csv reads, as the tests check. It is not encoding/csv, because that changes \r\n inside quotes
// to \n, so that an id would not be the same bytes; drops blank lines, which are rows in a file of one column; reads
// the rest of the file into memory, as one field, if a quote is not closed; and does not check the encoding.
type csvReader struct {
	*lines
	io.Closer
	csvOptions
	header []string // unique: see makeNamesUnique
	called []string // the names in the file, if makeNamesUnique changed any; else nil

	partitions []pipeline.Member // columns with one value in all rows, after those of the header

	fields []string
	spans  []span
	raw    int    // bytes of the last record
	bad    string // the first line of a record with a problem
	whole  int64  // lines before this one are read on their own, because a quote before them is not closed
}

// csvOptions say how to read the cells of a file.
type csvOptions struct {
	comma        byte
	missingEmpty bool
	noHeader     bool // the first line is a row; the columns are c1, c2, …
	trim         bool // remove white space around cells
	pad          bool // accept rows that lack cells at the end, or have extra empty ones
}

// setCell sets v, which is null, to the value of a cell.
func (o *csvOptions) setCell(v *pipeline.Value, cell string) {
	if o.trim {
		cell = trimBlank(cell)
	}
	if cell != "" || o.missingEmpty {
		v.Kind, v.Text = pipeline.String, cell
	}
}

// span is the position of a field in a record, and whether it has doubled quotes.
type span struct {
	from, to int
	doubled  bool
}

func openCSV(l *lines, c io.Closer, o csvOptions, partitions []pipeline.Member) (*csvReader, error) {
	r := &csvReader{lines: l, Closer: c, csvOptions: o}
	if err := r.readHeader(); err != nil {
		return r, err
	}
	if !isErrorHeader(r.header) { // or else the columns of the users are inside the records
		r.partitions = slices.DeleteFunc(slices.Clone(partitions), func(p pipeline.Member) bool {
			return slices.ContainsFunc(r.header, func(name string) bool { return strings.EqualFold(name, p.Name) })
		})
	}
	return r, nil
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
		c.detectErrorRecords()
		problem, blank, err := c.parseRecord()
		if err == io.EOF {
			return pipeline.WithHint(fmt.Errorf("%s: the file is empty", c.file),
				"the first line must name the columns, and each line after it is a user")
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
	if c.noHeader && !isErrorHeader(c.fields) {
		for i := range c.fields {
			c.header = append(c.header, "c"+strconv.Itoa(i+1))
		}
		c.pos -= c.raw // read the line again, as a row
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

// detectErrorRecords sets the delimiter if the next line is the header of error records: they have that of the outputs
// of their run, whatever --delimiter says of the users. The names of their columns are letters and underscores.
func (c *csvReader) detectErrorRecords() {
	n, err := c.findLineEnd(0)
	if err != nil && err != io.EOF {
		return // whoever reads the line returns it
	}
	names := strings.ReplaceAll(string(trimEOL(c.peek(min(n, 1024)))), `"`, "")
	i := strings.IndexFunc(names, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
	if i > 0 && names[i] < utf8.RuneSelf && isErrorHeader(strings.Split(names, names[i:i+1])) {
		c.comma = names[i]
	}
}

// readSeparator reads the line sep=; which Excel allows before the header.
func (c *csvReader) readSeparator() error {
	n, err := c.findLineEnd(0)
	if err == io.EOF || errors.Is(err, errTooLong) {
		return nil
	}
	if err != nil {
		return err
	}
	line := bytes.Trim(trimEOL(c.peek(n)), `"`)
	if separator, ok := bytes.CutPrefix(bytes.ToLower(line), []byte("sep=")); ok && len(separator) == 1 &&
		checkDelimiter(rune(separator[0])) == nil {
		c.comma = separator[0]
		c.consume(n)
	}
	return nil
}

// makeNamesUnique renames the columns of a header that have no name, or the same one, so that the cells of a row have
// different names. Such a column is used only if an option has the new name. It returns the original names; nil if
// there was nothing to rename.
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
	for _, p := range c.partitions {
		cols = append(cols, column{name: p.Name})
	}
	return cols
}

// selectColumns does nothing: a line must be read as a whole, and an error record holds all of it.
func (c *csvReader) selectColumns([]bool) []int { return nil }

func (c *csvReader) readRecord(rec *record) error {
	for {
		if c.isPastEnd() {
			return io.EOF
		}
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
				rec.cells = newBadCellsRow(rec.cells, rec.line, c.header, c.fields, c.partitions)
			}
		} else if problem != "" {
			rec.cells = newBadTextRow(rec.cells, rec.line, c.bad)
		}
		if problem != "" {
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "line %d: %s", rec.line, problem)
			return nil
		}
		rec.cells = slices.Grow(rec.cells, len(c.fields))[:len(c.fields)] // it was empty
		for i, f := range c.fields {
			m := &rec.cells[i]
			*m = pipeline.Member{Name: c.header[i]}
			c.setCell(&m.Value, f)
		}
		rec.cells = append(rec.cells, c.partitions...)
		return nil
	}
}

// parseRecord reads the next record into c.fields. A record with a problem ends after its first line, even if a quote
// in it included more lines: these are read again, so that one bad row does not spoil others.
//
// That takes linear time, because lines are read again only once: then a quote in them includes no further lines.
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

// parseQuotedRecord parses a record whose first line has n bytes. It returns how many bytes it read, which is the
// length of the record unless there is a problem. A quote is special only at the start of a cell.
func (c *csvReader) parseQuotedRecord(n int) (int, string, error) {
	c.spans = c.spans[:0]
	raw := c.peek(n)
	for i := 0; ; i++ { // one field each time
		s := span{from: i}
		if i < n && raw[i] == '"' {
			s.from = i + 1
			for j := s.from; ; {
				q := bytes.IndexByte(raw[j:], '"')
				if q < 0 { // the field continues on the next line
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

// findPlace implements [placeReader].
func (c *csvReader) findPlace() place {
	if len(c.header) > 1 { // else they are rows
		c.skipBlank(func(line []byte) bool { return len(trimEOL(line)) == 0 })
	}
	if c.line < c.whole {
		return place{}
	}
	return c.passMarks()
}

// split implements [splitReader].
func (c *csvReader) split(u *unit, most int) bool {
	if c.line < c.whole {
		return false
	}
	if _, err := c.findLineEnd(0); err != nil {
		return false
	}
	most = c.limit(most)
	buf := c.buffered(most)
	n := 0
	for n < most {
		rest := buf[n:max(min(len(buf), most), n)]
		quote := bytes.IndexByte(rest, '"')
		if quote >= 0 {
			rest = rest[:quote]
		}
		n += bytes.LastIndexByte(rest, '\n') + 1
		if quote < 0 && n > 0 {
			break
		}
		record := c.findRecordEnd(buf[n:])
		if record == 0 || record > maxRecord {
			break
		}
		n += record
	}
	if n == 0 {
		return false
	}
	c.take(u, n)
	return true
}

// findRecordEnd returns the length of the record that text begins with. It returns 0 if text does not hold all of it,
// or if parseRecord would find a problem with its quotes.
func (c *csvReader) findRecordEnd(text []byte) int {
	end := 0 // of the line
	for i := 0; ; {
		if i >= end {
			n := bytes.IndexByte(text[i:], '\n')
			if n < 0 {
				return 0
			}
			end = i + n + 1
		}
		quote := bytes.IndexByte(text[i:end], '"')
		if quote < 0 {
			return end
		}
		if i += quote; i > 0 && text[i-1] != c.comma {
			i++ // it is a character
			continue
		}
		for i++; ; i += 2 { // after the quote that opens the cell, and after each doubled one
			quote := bytes.IndexByte(text[i:], '"')
			if i += quote; quote < 0 || i+1 == len(text) {
				return 0
			}
			if text[i+1] != '"' {
				break
			}
		}
		switch rest := text[i+1:]; {
		case rest[0] == c.comma:
			i += 2
		case rest[0] == '\n':
			return i + 2
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 3
		default:
			return 0
		}
	}
}

// newUnitReader implements [splitReader].
func (c *csvReader) newUnitReader() unitReader {
	return &csvReader{lines: &lines{file: c.file}, csvOptions: c.csvOptions, header: c.header,
		partitions: c.partitions}
}

// trimEOL removes the line end, \n or \r\n. Like encoding/csv, it also removes a \r at the end of the file.
func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}
