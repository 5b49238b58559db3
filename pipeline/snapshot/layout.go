package snapshot

import (
	"slices"
	"strings"
)

// Layout is what the outputs of a run look like. The format of each is in its name.
type Layout struct {
	Wide bool `json:"wide"` // a row for each user; else one for each user and flag
	// that were asked for, in their order; nil: none were named, so each user has what they got
	Flags          []string  `json:"flags"`
	Include        []string  `json:"include"`         // columns that were added to those of the layout
	Carry          []Carried `json:"carry"`           // columns that were copied from the input, the last ones
	SnakeNames     bool      `json:"snake_names"`     // names of columns are in lower case, with _
	EscapeFormulas bool      `json:"escape_formulas"` // CSV and TSV: a ' before a text that a spreadsheet would run

	Delimiter string `json:"csv_delimiter,omitempty"` // between the cells of CSV; "" is a comma
	BOM       bool   `json:"csv_bom,omitempty"`       // CSV and TSV begin with a byte order mark

	// Columns are the columns of the outputs, in their order. nil: the run was made by a version of rollcall that did not
	// list them.
	Columns []Column `json:"columns,omitempty"`

	unordered bool // Flags are not in the order asked for, which a manifest of format 1 does not have
}

// Column is a column of the outputs.
type Column struct {
	Name      string `json:"name"`
	Type      string `json:"type"`                // string, int, float, bool, date, timestamp (in UTC), json or decimal
	Required  bool   `json:"required,omitempty"`  // never null
	Precision int    `json:"precision,omitempty"` // of a decimal: digits at most
	Scale     int    `json:"scale,omitempty"`     // of these, digits after the point
}

// Carried is a column that was copied from the input.
type Carried struct {
	Column string `json:"column"` // its name in the outputs
	Input  string `json:"input"`  // its name in the input
}

// Everybody reports whether each answered user has a row, also one who got no variant.
func (l *Layout) Everybody() bool { return l.Wide || l.Flags != nil }

// hasCache reports whether the outputs have the columns of --include cache.
func (l *Layout) hasCache() bool { return slices.Contains(l.Include, "cache") }

// includedNames are the columns that --include added to the long layout, but for those of cache.
func (l *Layout) includedNames() []string {
	return slices.DeleteFunc(slices.Clone(l.Include), func(name string) bool { return name == "cache" })
}

// InputNames are the names that carried columns have in the input; their own where those are not known.
func (l *Layout) InputNames(columns []CarriedColumn) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		if names[i] = c.Name; len(l.Carry) == len(columns) {
			names[i] = l.Carry[i].Input
		}
	}
	return names
}

// layoutOf is the layout that the options of a manifest of format 1 describe.
func layoutOf(m *Manifest) Layout {
	l := Layout{
		Wide: m.Options.Text("layout") == "wide", Flags: m.Options.List("flags"), Include: m.Options.List("include"),
		SnakeNames: m.Options.Text("column-names") == "snake", EscapeFormulas: m.Options.Text("csv-formulas") == "escape",
		unordered: m.Options.Text("flags-from") != "",
	}
	if l.unordered {
		l.Flags = []string{}
		for _, f := range m.Flags {
			l.Flags = append(l.Flags, f.Flag)
		}
	}
	for _, name := range m.Options.List("carry") {
		l.Carry = append(l.Carry, Carried{name, name})
	}
	return l
}

// formulas is what a cell begins with that a spreadsheet would run (sinks/csv.go).
const formulas = "=+-@\t\r"

// unescapeFormula is a text without the ' before a formula.
func unescapeFormula[T string | []byte](s T) T {
	if len(s) > 1 && s[0] == '\'' && strings.IndexByte(formulas, s[1]) >= 0 {
		return s[1:]
	}
	return s
}
