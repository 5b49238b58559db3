package sinks

import (
	"fmt"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// nameColumns sets the names that the columns have in the file. The columns from index carry on are the carried ones.
// Duplicate names are an error, because most readers find a column by its name.
//
// Names that differ only in case are different, unless they become snake names: DuckDB appends _1 to one of them,
// pandas, Spark and Excel accept both, and for BigQuery, which accepts neither, there are snake names.
func nameColumns(columns []column, carry int, snake bool) error {
	indexes := make(map[string]int)
	for i := range columns {
		c := &columns[i]
		asked := c.name
		if c.name = newText(c.name).text; snake {
			c.name = toSnakeName(c.name)
		}
		first, taken := indexes[c.name]
		var err error
		switch {
		case c.name == "" && snake:
			err = fmt.Errorf("column %q: its name has no ASCII letter or digit to make a snake-case name of", asked)
		case taken && !snake && i >= carry:
			err = fmt.Errorf("carry column %q: the output already has a column of that name", asked)
		case taken && !snake:
			err = fmt.Errorf("flag %q: the output already has a column of that name", asked)
		case taken:
			err = fmt.Errorf("columns %q and %q: both would have the name %s", columns[first].asked, asked, c.name)
		}
		if err != nil {
			hint := "use the long layout, in which flags are values"
			if i >= carry {
				hint = "leave it out of --carry, or rename it in the input"
			}
			return pipeline.WithHint(err, hint)
		}
		c.asked = asked
		indexes[c.name] = i
	}
	return nil
}

// maxSnakeName is the length of the longest name that BigQuery accepts.
const maxSnakeName = 300

// toSnakeName converts a name to lower snake case: ASCII letters, digits and single underscores, with none at the ends
// except before a digit at the start. It returns "" if no character can be used.
//
// BigQuery accepts such names. The prefixes that it reserves (_TABLE_, _FILE_, _PARTITION, _ROW_TIMESTAMP, __ROOT__,
// _COLIDENTIFIER, _CHANGE_…) begin with an underscore and a letter, so no snake name has one
// (https://cloud.google.com/bigquery/docs/schemas#column_names).
func toSnakeName(name string) string {
	var b []byte
	gap := false // an underscore belongs before the next letter or digit
	for i := 0; i < len(name); i++ {
		c := name[i]
		upper := 'A' <= c && c <= 'Z'
		switch {
		case upper:
			// A word begins after a lower-case letter or digit, and with the last capital before a lower-case letter:
			// HTTPServer.
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
