package sinks

import "time"

// lines encodes the rows of the text formats, one line each, with the cells in the order of the columns. It formats what
// rows share once per block, and what varies once per kept tuple, so a row is mostly two or three copies.
type lines struct {
	segments []segment
	end      string // of a line

	// formatCell appends the cell of a column, and the separator or key before it.
	formatCell func(dst []byte, column int, c *cell) []byte

	// warnings counts the cells that formatCell has formatted and there is something to say about: in CSV those that a
	// spreadsheet would run, in JSONL those with half of a surrogate pair.
	warnings int64
	shared   int64 // of these, the ones that every row of the block has
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

func newLines(columns []column, end string) *lines {
	l := &lines{end: end}
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

func (l *lines) begin(b *block) {
	l.warnings = 0
	for i := range l.segments {
		if s := &l.segments[i]; !s.varies {
			s.shared = l.appendSegment(s.shared[:0], s, b.shared[s.from:s.to])
		}
	}
	l.shared = l.warnings
}

func (l *lines) appendRows(p *piece, b *block, from, limit int) int {
	buf := p.text
	for ; from < len(b.rows) && len(buf) < limit; from++ {
		t := b.rows[from]
		if t.texts == nil || !t.kept {
			l.formatTuple(t)
		}
		p.warnings += l.shared + t.warnings
		texts := t.texts
		for i := range l.segments {
			if s := &l.segments[i]; s.varies {
				buf = append(buf, texts[0]...)
				texts = texts[1:]
			} else {
				buf = append(buf, s.shared...)
			}
		}
	}
	p.text = buf
	return from
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
	l.warnings = 0
	n := 0
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
	t.warnings = l.warnings
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
