package sources

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// maxRecord is the number of bytes that one record may take. A request may take 8,000, so there is room for columns
// that are not sent. A run holds hundreds of records at a time.
const maxRecord = 1 << 20

// errTooLong means that a line, or a record of several lines, is longer than maxRecord.
var errTooLong = errors.New("longer than 1 MiB")

// encodingError is the error of a text file that is not UTF-8. It ends the input.
type encodingError struct {
	File string
	Line int64
	What string // what the file seems to be instead
}

// Error names the file and the line.
func (e *encodingError) Error() string {
	return fmt.Sprintf("%s: line %d: %s", e.File, e.Line, e.What)
}

func newEncodingError(file string, line int64, what, hint string) error {
	return pipeline.WithHint(&encodingError{file, line, what}, hint)
}

// lines reads a text file line by line. It holds at most one record in memory.
type lines struct {
	file string
	r    io.Reader
	buf  []byte
	pos  int   // the first byte in buf that is not consumed
	line int64 // the number of the line at pos, from 1
	err  error // the last error of r, io.EOF included

	base  int64 // where buf begins in the text
	until int64 // a record that begins here, or later, is not wanted; noEnd: all are

	marks []int64 // places for which the next record is looked for, in order: see findPlace
}

// noEnd is an offset after every other.
const noEnd = math.MaxInt64

func newLines(file string, r io.Reader) *lines {
	return &lines{file: file, r: r, line: 1, buf: make([]byte, 0, 64<<10), until: noEnd}
}

// offset returns where the next record begins in the text.
func (l *lines) offset() int64 { return l.base + int64(l.pos) }

// isPastEnd reports whether the next record is not wanted.
func (l *lines) isPastEnd() bool { return l.offset() >= l.until }

// jump goes on with r, which begins at that offset of the text, in that line.
func (l *lines) jump(r io.Reader, offset, line int64) {
	l.r, l.buf, l.pos, l.base, l.line, l.err = r, l.buf[:0], 0, offset, line, nil
}

// findLineEnd returns the number of unconsumed bytes up to and including the first newline at or after from, or to the
// end of the file. It returns io.EOF if there is nothing after from, or errTooLong.
func (l *lines) findLineEnd(from int) (int, error) {
	start := from
	for {
		if i := bytes.IndexByte(l.buf[l.pos+from:], '\n'); i >= 0 {
			if from += i + 1; from > maxRecord {
				return from, errTooLong
			}
			return from, nil
		}
		from = len(l.buf) - l.pos
		switch {
		case from > maxRecord:
			return from, errTooLong
		case l.err != nil && l.err != io.EOF:
			return from, fmt.Errorf("%s: line %d: %w", l.file, l.line, l.err)
		case l.err != nil && from == start:
			return from, io.EOF
		case l.err != nil:
			return from, nil
		}
		l.fillBuffer()
	}
}

// fillBuffer reads more bytes into buf.
func (l *lines) fillBuffer() {
	if l.pos > 0 {
		l.base += int64(l.pos)
		l.buf = l.buf[:copy(l.buf, l.buf[l.pos:])]
		l.pos = 0
	}
	if len(l.buf) == cap(l.buf) {
		grown := make([]byte, len(l.buf), 2*cap(l.buf))
		copy(grown, l.buf)
		l.buf = grown
	}
	for range 100 {
		n, err := l.r.Read(l.buf[len(l.buf):cap(l.buf)])
		l.buf = l.buf[:len(l.buf)+n]
		l.err = err
		if n > 0 || err != nil {
			return
		}
	}
	l.err = io.ErrNoProgress
}

// buffered returns the bytes that are in memory, at least want of them if the file has as many.
func (l *lines) buffered(want int) []byte {
	for len(l.buf)-l.pos < want && l.err == nil {
		l.fillBuffer()
	}
	return l.buf[l.pos:]
}

// take moves the next n bytes, which are whole lines, to u.
func (l *lines) take(u *unit, n int) {
	u.text, u.line = append(u.text, l.peek(n)...), l.line
	l.consume(n)
}

// begin makes u the whole file.
func (l *lines) begin(u *unit) {
	l.buf, l.pos, l.line, l.err, l.until = u.text, 0, u.line, io.EOF, noEnd
}

// limit returns most, or fewer bytes if the part ends before, or a mark comes before.
func (l *lines) limit(most int) int {
	end := l.until
	if len(l.marks) > 0 {
		end = min(end, l.marks[0])
	}
	return int(max(0, min(int64(most), end-l.offset())))
}

func (l *lines) setMarks(offsets []int64) { l.marks = offsets }

// passMarks returns where the next record begins, and forgets the marks before it.
func (l *lines) passMarks() place {
	for len(l.marks) > 0 && l.offset() >= l.marks[0] {
		l.marks = l.marks[1:]
	}
	return place{l.offset(), l.line}
}

// skipBlank consumes the lines for which isBlank is true.
func (l *lines) skipBlank(isBlank func(line []byte) bool) {
	for {
		n, err := l.findLineEnd(0)
		if err != nil || !isBlank(l.peek(n)) {
			return
		}
		l.consume(n)
	}
}

// peek returns the next n unconsumed bytes, which are valid until the next call of another method.
func (l *lines) peek(n int) []byte { return l.buf[l.pos : l.pos+n] }

// consume consumes n bytes.
func (l *lines) consume(n int) {
	l.line += int64(bytes.Count(l.peek(n), []byte{'\n'}))
	l.pos += n
}

// skipLine consumes the rest of the line, however long it is.
func (l *lines) skipLine() error {
	for {
		n, err := l.findLineEnd(0)
		if err != nil && !errors.Is(err, errTooLong) {
			if err == io.EOF {
				return nil
			}
			return err
		}
		if i := bytes.IndexByte(l.peek(n), '\n'); i >= 0 {
			l.consume(i + 1)
			return nil
		}
		l.consume(n)
		if err == nil {
			return nil // the last line
		}
	}
}

// checkStart skips a byte order mark, and returns an error if the first bytes are not UTF-8 text.
func (l *lines) checkStart() error {
	n, err := l.findLineEnd(0)
	if err != nil && err != io.EOF && !errors.Is(err, errTooLong) {
		return err
	}
	first := l.peek(min(n, 4096))
	utf16 := "convert it to UTF-8, for example with: iconv -f UTF-16 -t UTF-8"
	if len(first) > 1 { // without a byte order mark, iconv needs the byte order
		if first[0] == 0 && first[1] != 0 {
			utf16 = strings.Replace(utf16, "UTF-16", "UTF-16BE", 1)
		} else if first[0] != 0 && first[1] == 0 {
			utf16 = strings.Replace(utf16, "UTF-16", "UTF-16LE", 1)
		}
	}
	if bytes.HasPrefix(first, []byte{0xef, 0xbb, 0xbf}) {
		l.pos += 3
		first, n = first[3:], n-3
	}
	if bytes.HasPrefix(first, []byte("PK\x03\x04")) {
		if isWorkbook(l.buffered(4096)) {
			return newEncodingError(l.file, 1, "this is an Excel workbook (.xlsx), not text", hintWorkbook)
		}
		return newEncodingError(l.file, 1, "this is a zip archive, not text", "unzip it first")
	}
	for _, other := range otherFormats {
		if bytes.HasPrefix(first, []byte(other.magic)) {
			return newEncodingError(l.file, 1, "this is "+other.what, cmp.Or(other.hint, utf16))
		}
	}
	if bytes.IndexByte(first, 0) >= 0 {
		return newEncodingError(l.file, 1, "NUL bytes: this is UTF-16, or not text", utf16)
	}
	if cr := bytes.IndexByte(first, '\r'); cr >= 0 && cr+1 < len(first) && first[cr+1] != '\n' &&
		bytes.IndexByte(l.peek(n), '\n') < 0 {
		return pipeline.WithHint(fmt.Errorf("%s: line 1: the lines end in a carriage return alone", l.file), hintCR)
	}
	text, err := l.peekFirstText()
	if err != nil {
		return err
	}
	if isHTML(text) {
		return pipeline.WithHint(fmt.Errorf("%s: line 1: this is a web page (HTML or XML), not users", l.file),
			"a download without a login results in such a page; look at it in a browser")
	}
	return nil
}

// peekFirstText returns the first line that is not blank, without white space around it.
func (l *lines) peekFirstText() ([]byte, error) {
	for n := 0; ; {
		m, err := l.findLineEnd(n)
		if err != nil && err != io.EOF && !errors.Is(err, errTooLong) {
			return nil, err
		}
		if text := bytes.Trim(l.peek(m), " \t\r\n"); len(text) > 0 || err != nil {
			return text, nil
		}
		n = m
	}
}

const hintCR = `convert the line ends: tr '\r' '\n' < users.csv > users-lf.csv`

// hintWorkbook says how to get a sheet of a workbook out of it.
const hintWorkbook = `save the sheet as "CSV UTF-8" in the spreadsheet program; or, with DuckDB: ` +
	`duckdb -c "COPY (FROM read_xlsx('users.xlsx', all_varchar = true)) TO 'users.csv'"`

// isWorkbook reports whether a zip archive that begins so has the parts of a workbook.
func isWorkbook(archive []byte) bool {
	return bytes.Contains(archive, []byte("[Content_Types].xml")) || bytes.Contains(archive, []byte("xl/"))
}

// otherFormats are the formats that a file is recognized as by its first bytes, and that are not UTF-8 text.
var otherFormats = []struct{ magic, what, hint string }{
	{"\xff\xfe", "UTF-16, not UTF-8", ""},
	{"\xfe\xff", "UTF-16, not UTF-8", ""},
	{"\x1f\x8b", "gzip, not text", "name the format: --input-format csv.gz, for example"},
	{"\x28\xb5\x2f\xfd", "zstd, not text", "name the format: --input-format csv.zst, for example"},
	{"PAR1", "Parquet, not text", "name the format: --input-format parquet"},
	{"\xd0\xcf\x11\xe0", "an Excel workbook (.xls), not text", hintWorkbook},
	{"BZh91AY&SY", "bzip2, not text", "unpack it first: bunzip2"},
	{"\xfd7zXZ\x00", "xz, not text", "unpack it first: unxz"},
	{"7z\xbc\xaf", "a 7z archive, not text", "unpack it first"},
	{"SQLite format 3\x00", "an SQLite database, not text", "export the table as CSV"},
	{"Obj\x01", "Avro, not text", "write it as Parquet or JSONL"},
	{"ARROW1\x00", "Arrow, not text", "write it as Parquet"},
	{"%PDF-", "a PDF, not text", "export the users as CSV"},
}

// isHTML reports whether text begins like HTML or XML.
func isHTML(text []byte) bool {
	text = bytes.ToLower(text[:min(len(text), 16)])
	for _, begin := range []string{"<!doctype", "<html", "<?xml", "<head", "<script"} {
		if bytes.HasPrefix(text, []byte(begin)) {
			return true
		}
	}
	return false
}

// checkUTF8 checks that the bytes, which start at the current line, are UTF-8.
func (l *lines) checkUTF8(b []byte) error {
	if utf8.Valid(b) {
		return nil
	}
	line := l.line
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		b = b[size:]
	}
	return newEncodingError(l.file, line, "not valid UTF-8",
		"if it is from Excel or Windows: iconv -f WINDOWS-1252 -t UTF-8")
}
