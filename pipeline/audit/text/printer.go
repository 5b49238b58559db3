package text

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Printer is text of a width. Its zero value prints nothing of use: set Width first.
type Printer struct {
	Width int  // in columns
	Whole bool // Wrap never cuts a word, such as a path that somebody copies
	b     strings.Builder
}

// String is all that was printed.
func (p *Printer) String() string { return p.b.String() }

// Line prints one line, however long it is, without the spaces at its end. It cleans nothing.
func (p *Printer) Line(format string, args ...any) {
	p.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	p.b.WriteByte('\n')
}

// Wrap cleans s and prints it after head, broken between words so that it fits the width, its further lines indented by
// indent columns. A word that is longer than a line is cut, if Whole is not set.
func (p *Printer) Wrap(head string, indent int, s string) {
	next := strings.Repeat(" ", indent)
	line, width, empty := head, utf8.RuneCountInString(head), true
	for word := range strings.FieldsSeq(Clean(s)) {
		n := utf8.RuneCountInString(word)
		for ; !p.Whole && indent+n > p.Width && p.Width > indent; n = utf8.RuneCountInString(word) {
			if !empty || width >= p.Width {
				p.Line("%s", line)
				line, width = next, indent
			}
			cut := []rune(word)[:p.Width-width]
			p.Line("%s", line+string(cut))
			line, width, empty = next, indent, true
			word = word[len(string(cut)):]
		}
		if !empty && width+1+n > p.Width {
			p.Line("%s", line)
			line, width, empty = next, indent, true
		}
		if !empty {
			line, width = line+" ", width+1
		}
		line, width, empty = line+word, width+n, false
	}
	p.Line("%s", line)
}

// Hang is [Printer.Wrap] with further lines below the end of head.
func (p *Printer) Hang(head, s string) { p.Wrap(head, utf8.RuneCountInString(head), s) }

// Table prints rows of cells as [Align] does, indented by two columns.
func (p *Printer) Table(left int, rows [][]string) {
	for _, line := range Align(left, rows) {
		p.Line("  %s", line)
	}
}

// Align makes a line of each row of cells, which the caller has cleaned, with two columns between cells: the first left
// cells are aligned to the left, the others to the right.
func Align(left int, rows [][]string) []string {
	widths := columnWidths(rows)
	lines := make([]string, len(rows))
	for i, row := range rows {
		cells := make([]string, len(row))
		for j, cell := range row {
			gap := strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell))
			if cells[j] = cell + gap; j >= left {
				cells[j] = gap + cell
			}
		}
		lines[i] = strings.TrimRight(strings.Join(cells, "  "), " ")
	}
	return lines
}

// Fits reports whether [Printer.Table] of these rows is not wider than the printer.
func (p *Printer) Fits(rows [][]string) bool {
	total := 0
	for _, width := range columnWidths(rows) {
		total += 2 + width
	}
	return total <= p.Width
}

func columnWidths(rows [][]string) []int {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}
