package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Lines is text of a certain width: what a report and a diff are printed to.
type Lines struct {
	Width int // in columns
	b     strings.Builder
}

// Line prints one line, however long it is, without the spaces at its end.
func (l *Lines) Line(format string, args ...any) {
	l.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	l.b.WriteByte('\n')
}

// String is all that was printed.
func (l *Lines) String() string { return l.b.String() }

// Wrap prints text behind head, its further lines indented.
func (l *Lines) Wrap(head string, indent int, text string) {
	line, width, empty := head, utf8.RuneCountInString(head), true
	for word := range strings.FieldsSeq(Printable(text)) {
		n := utf8.RuneCountInString(word)
		for ; indent+n > l.Width; n = utf8.RuneCountInString(word) { // longer than a line
			if !empty {
				l.Line("%s", line)
				line, width = strings.Repeat(" ", indent), indent
			}
			cut := []rune(word)[:l.Width-width]
			l.Line("%s", line+string(cut))
			line, width, empty = strings.Repeat(" ", indent), indent, true
			word = word[len(string(cut)):]
		}
		if !empty && width+1+n > l.Width {
			l.Line("%s", line)
			line, width, empty = strings.Repeat(" ", indent), indent, true
		}
		if !empty {
			line, width = line+" ", width+1
		}
		line, width, empty = line+word, width+n, false
	}
	l.Line("%s", line)
}
