package sinks

import (
	"fmt"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// nameColumns gives the columns the names that they have in the file; those from carry on are the carried ones.
// Two of the same name are an error, because most readers know a column by its name.
//
// Names that differ only in case are two names, unless they are made snake ones: DuckDB tells them apart by adding
// _1 to one, pandas, Spark and Excel need no help, and BigQuery, which takes neither, is what snake names are for.
func nameColumns(columns []column, carry int, snake bool) error {
	from := make(map[string]int)
	for i := range columns {
		c := &columns[i]
		asked := c.name
		if c.name = newText(c.name).text; snake {
			c.name = toSnakeName(c.name)
		}
		first, taken := from[c.name]
		switch {
		case c.name == "" && snake:
			return pipeline.WithHint(fmt.Errorf("column %q: no letter or digit of its name is left", asked), hintForRename(i, carry))
		case taken && !snake && i >= carry:
			err := fmt.Errorf("carry column %q: the output has a column of that name already", asked)
			return pipeline.WithHint(err, hintForRename(i, carry))
		case taken && !snake:
			err := fmt.Errorf("flag %q: the output has a column of that name already", asked)
			return pipeline.WithHint(err, hintForRename(i, carry))
		case taken:
			err := fmt.Errorf("columns %q and %q: both would have the name %s", columns[first].asked, asked, c.name)
			return pipeline.WithHint(err, hintForRename(i, carry))
		}
		c.asked = asked
		from[c.name] = i
	}
	return nil
}

func hintForRename(i, carry int) string {
	if i >= carry {
		return "leave it out of --carry, or rename it in the input"
	}
	return "take the long layout, in which flags are values"
}

// maxSnakeName is how long a name BigQuery takes.
const maxSnakeName = 300

// toSnakeName is the name in lower snake case: ASCII letters, digits and single underscores, none at the ends, except
// that one is put before a digit at the start. It is "" if nothing is left.
//
// BigQuery takes such names. The prefixes that it keeps for itself (_TABLE_, _FILE_, _PARTITION, _ROW_TIMESTAMP,
// __ROOT__, _COLIDENTIFIER, _CHANGE_…) begin with an underscore and a letter, so none of these has one
// (https://cloud.google.com/bigquery/docs/schemas#column_names).
func toSnakeName(name string) string {
	var b []byte
	gap := false // an underscore belongs before the next letter or digit
	for i := 0; i < len(name); i++ {
		c := name[i]
		upper := 'A' <= c && c <= 'Z'
		switch {
		case upper:
			// A word begins after a small letter or digit, and with the last capital before a small letter: HTTPServer.
			if i > 0 && (isLowerOrDigit(name[i-1]) || i+1 < len(name) && 'a' <= name[i+1] && name[i+1] <= 'z') {
				gap = true
			}
			c += 'a' - 'A'
		case isLowerOrDigit(c):
		default:
			gap = true
			continue
		}
		if gap && len(b) > 0 || len(b) == 0 && '0' <= c && c <= '9' {
			b = append(b, '_')
		}
		gap = false
		b = append(b, c)
	}
	return string(b[:min(len(b), maxSnakeName)])
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
