package sinks

import (
	"io"
	"time"
)

// textBuffer is how many bytes a text encoder collects before it writes them. With 64 KiB a row of JSONL takes a tenth
// more CPU time; more than 512 KiB saves nothing.
const textBuffer = 512 << 10

// lines writes the rows of the text formats, one line each, with the cells in the order of the columns. It formats what
// rows share once per block, and what varies once per kept tuple, so writing a row is mostly two or three copies.
type lines struct {
	w        io.Writer
	segments []segment
	end      string // of a line

	// formatCell appends the cell of a column, and the separator or key before it.
	formatCell func(dst []byte, column int, c *cell) []byte

	// noted counts cells, written or about to be, that there is something to say about: in CSV those that a spreadsheet
	// would run, in JSONL those with half of a surrogate pair. cell counts them.
	warnings int64
	buf      []byte
	clock    clock
}

// segment is a run of columns that all vary, or all do not.
type segment struct {
	varies   bool
	from, to int    // the columns
	first    int    // if it varies: the index in a tuple's cells of column from
	last     bool   // it ends the line
	shared   []byte // if it does not vary: its text in this block
}

func newLines(w io.Writer, columns []column, end string) *lines {
	l := &lines{w: w, end: end}
	cells := 0
	for i, c := range columns {
		last := len(l.segments) - 1
		if last < 0 || l.segments[last].varies != c.varies {
			l.segments = append(l.segments, segment{varies: c.varies, from: i, first: cells})
			last++
		}
		l.segments[last].to = i + 1
		if c.varies {
			cells++
		}
	}
	l.segments[len(l.segments)-1].last = true
	return l
}

func (l *lines) writeBlock(b *block) error {
	before := l.warnings
	for i := range l.segments {
		if s := &l.segments[i]; !s.varies {
			s.shared = l.appendSegment(s.shared[:0], s, b.shared[s.from:s.to])
		}
	}
	l.warnings = before + (l.warnings-before)*int64(len(b.rows))
	buf := l.buf
	for _, t := range b.rows {
		if t.texts == nil || !t.kept {
			l.formatTuple(t)
		}
		l.warnings += t.warnings
		texts := t.texts
		for i := range l.segments {
			if s := &l.segments[i]; s.varies {
				buf = append(buf, texts[0]...)
				texts = texts[1:]
			} else {
				buf = append(buf, s.shared...)
			}
		}
		if len(buf) >= textBuffer {
			l.buf = buf
			if err := l.flush(); err != nil {
				return err
			}
			buf = l.buf
		}
	}
	l.buf = buf
	return nil
}

func (l *lines) appendSegment(dst []byte, s *segment, cells []cell) []byte {
	for i := range cells {
		dst = l.formatCell(dst, s.from+i, &cells[i])
	}
	if s.last {
		dst = append(dst, l.end...)
	}
	return dst
}

func (l *lines) formatTuple(t *tuple) {
	before, n := l.warnings, 0
	for i := range l.segments {
		s := &l.segments[i]
		if !s.varies {
			continue
		}
		if n == len(t.texts) {
			t.texts = append(t.texts, nil)
		}
		t.texts[n] = l.appendSegment(t.texts[n][:0], s, t.cells[s.first:s.first+s.to-s.from])
		n++
	}
	t.warnings, l.warnings = l.warnings-before, before
}

// flush writes the collected lines.
func (l *lines) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	_, err := l.w.Write(l.buf)
	if l.buf = l.buf[:0]; cap(l.buf) > 4*textBuffer {
		l.buf = nil // one huge line
	}
	return err
}

// clock formats times, and keeps the text of the last second.
type clock struct {
	second int64
	text   []byte // the second as text, with a point appended
}

// appendTime appends milliseconds or microseconds since 1970 as RFC 3339 in UTC, always with all digits. So texts sort
// as their times do, and all have one form, which readers that infer types need: DuckDB's read_json reads a column in
// which only some have a fraction as texts.
func (c *clock) appendTime(dst []byte, n int64, millis bool) []byte {
	unit := int64(1_000_000)
	if millis {
		unit = 1000
	}
	second, rest := n/unit, n%unit
	if rest < 0 {
		second, rest = second-1, rest+unit
	}
	if len(c.text) == 0 || c.second != second {
		c.second = second
		c.text = time.Unix(second, 0).UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05.")
	}
	dst = append(dst, c.text...)
	for unit > 1 {
		unit /= 10
		dst = append(dst, '0'+byte(rest/unit%10))
	}
	return append(dst, 'Z')
}
