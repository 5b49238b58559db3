//go:build unix

package main

import (
	"fmt"
	"io"
	"strings"
)

// figure is a line of the closing table: what is wanted of a figure, what was reached, and the peer's figure or what
// else it compares with.
type figure struct {
	name, wanted, reached, peer string
	held                        bool
}

// atMost is a figure that is wanted not to exceed limit. format is that of both numbers, such as "%.0f MB".
func atMost(name, format string, reached, limit float64, peer string) figure {
	return figure{name, "<= " + fmt.Sprintf(format, limit), fmt.Sprintf(format, reached), peer, reached <= limit}
}

// atLeast is a figure that is wanted to reach limit.
func atLeast(name, format string, reached, limit float64, peer string) figure {
	return figure{name, ">= " + fmt.Sprintf(format, limit), fmt.Sprintf(format, reached), peer, reached >= limit}
}

// described is a figure of which nothing is wanted.
func described(name, reached, peer string) figure { return figure{name, "", reached, peer, true} }

// section is the figures of a part.
type section struct {
	title   string
	figures []figure
	notes   []string
}

// report prints a section, and keeps it for the closing table.
func (b *bench) report(s section) {
	printSections(b.out, s)
	b.sections = append(b.sections, s)
}

// keep keeps a section for the closing table: the part prints a table of its own.
func (b *bench) keep(title string, figures ...figure) {
	b.sections = append(b.sections, section{title: title, figures: figures})
}

// printSections prints figures in 80 columns. Each line begins with #, so benchstat ignores it.
func printSections(w io.Writer, sections ...section) {
	const format = "# %-33s %10s %9s %-16s %s"
	line := func(columns ...any) { fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(format, columns...), " ")) }
	fmt.Fprintln(w, "#")
	line("", "wanted", "reached", "beside", "")
	for _, s := range sections {
		fmt.Fprintf(w, "# %s\n", s.title)
		for _, f := range s.figures {
			result := ""
			switch {
			case f.wanted == "":
			case f.held:
				result = "met"
			default:
				result = "MISSED"
			}
			line("  "+f.name, f.wanted, f.reached, f.peer, result)
		}
		for _, note := range s.notes {
			fmt.Fprintf(w, "#   %s\n", note)
		}
	}
}
