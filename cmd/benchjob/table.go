package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// row is a line of a table: the figures of all rounds.
type row struct {
	name     string
	decimals int
	values   []float64
}

// goal is a line below a table. It refers to medians unless its text says otherwise.
type goal struct {
	text string
	held bool
}

// printTable prints the median, the least and the most of each row, the goals, and notes, in 80 columns. Each line
// begins with #, so benchstat ignores it.
func printTable(w io.Writer, title string, rows []row, goals []goal, notes ...string) {
	fmt.Fprintf(w, "#\n# %s\n", title)
	fmt.Fprintf(w, "# %-45s %9s %9s %9s\n", "", "median", "least", "most")
	for _, r := range rows {
		figure := func(f float64) string { return strconv.FormatFloat(f, 'f', r.decimals, 64) }
		fmt.Fprintf(w, "# %-45s %9s %9s %9s\n", r.name, figure(median(r.values)), figure(slices.Min(r.values)),
			figure(slices.Max(r.values)))
	}
	for _, g := range goals {
		result := "met"
		if !g.held {
			result = "MISSED"
		}
		fmt.Fprintf(w, "# %-*s %s\n", 70-utf8.RuneCountInString("# "), "goal: "+g.text, result)
	}
	for _, note := range notes {
		fmt.Fprintln(w, "#", note)
	}
}

// ratios returns a[i] / b[i] for each round.
func ratios(a, b []float64) []float64 {
	quotients := make([]float64, len(a))
	for i := range a {
		quotients[i] = a[i] / b[i]
	}
	return quotients
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// benchLine prints figures, which are values and units in turn, in the format of go test -bench for benchstat.
func benchLine(w io.Writer, name string, figures ...any) {
	fmt.Fprintf(w, "Benchmark%s 1", name)
	for _, f := range figures {
		if value, ok := f.(float64); ok {
			f = strconv.FormatFloat(value, 'f', 3, 64)
		}
		fmt.Fprintf(w, " %v", f)
	}
	fmt.Fprintln(w)
}
