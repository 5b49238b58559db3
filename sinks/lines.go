package sinks

import (
	"io"
	"time"
)

// textBuffer is how many bytes a text encoder collects before it writes them. With 64 KiB a row of JSONL takes a tenth
// more CPU in all, with more than 512 no less.
const textBuffer = 512 << 10

// lines writes the rows of the text formats: one line each, its cells in the order of the columns. What rows share
// is formatted once a block, and what varies once for each tuple that is kept, so a row is mostly two or three
// copies.
type lines struct {
	w        io.Writer
	segments []segment
	end      string // of a line

	// cell appends the cell of a column, with what stands before it.
	appendCellFunc func(dst []byte, column int, c *cell) []byte

	// noted counts cells, written or about to be, that there is something to say about: in CSV those that a spreadsheet
	// would run, in JSONL those with half of a surrogate pair. cell counts them.
	warnings int64
	buf   []byte
	clock clock
}

// segment is a run of columns that are alike in whether they vary.
type segment struct {
	varies   bool
	from, to int    // columns
	first    int    // varies: the cell of the tuple that is column from's
	last     bool   // of a line
	shared   []byte // the text of this block, if it does not vary
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
		dst = l.appendCellFunc(dst, s.from+i, &cells[i])
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

// flush writes what there is.
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

// clock formats times, and remembers the second of the last one.
type clock struct {
	second int64
	text   []byte // of the second, with the point after it
}

// appendTime appends RFC 3339 in UTC, of milliseconds or microseconds since 1970, always with all of them: so texts sort as
// their times do, and readers that go by the form of a text know one form. Of a column in which some have a fraction and
// some have not DuckDB's read_json makes texts.
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
