package main

import (
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sources"
)

// damagedIDs counts the rows whose ids a tool has damaged on the way here, by kind. It names rows, never ids.
type damagedIDs map[sources.Damage]*damagedRows

type damagedRows struct {
	n     int64
	first int64 // the number of the first of them
}

// countRow looks at the row that src has read last.
func (d damagedIDs) countRow(src *sources.Input, row *pipeline.Row) {
	damage := src.DamagedIDs(row)
	if damage == 0 {
		return
	}
	for _, kind := range sources.Damages {
		if damage&kind == 0 {
			continue
		}
		if d[kind] == nil {
			d[kind] = &damagedRows{first: row.Number}
		}
		d[kind].n++
	}
}

// lines say of how many of all rows the ids are what.
func (d damagedIDs) lines(total int64) (lines []string) {
	for _, kind := range sources.Damages {
		if rows := d[kind]; rows != nil {
			lines = append(lines, fmt.Sprintf("%s of %s %s (row %d)", thousands(rows.n), thousands(total), kind, rows.first))
		}
	}
	return lines
}

// warn says it once, of all kinds.
func (d damagedIDs) warn(con *console, total int64) {
	if len(d) == 0 {
		return
	}
	hint := "they are used as they are; see how the file came about"
	if d[sources.DamageBlank] != nil {
		hint = "they are used as they are; --trim takes the white space away (Amplitude's CSV export writes a tab before each cell)"
	}
	con.Warn("damaged ids: "+strings.Join(d.lines(total), "; "), hint)
}

// suggestID is the hint for an input in which no row has an id, if a column is called nearly so. Where there is a header
// such an input is refused; JSONL has none.
func (f *findings) suggestID(total int64) string {
	if total == 0 || f.bad[pipeline.KindMissingID] < total {
		return ""
	}
	var names []string
	for _, c := range f.columns {
		names = append(names, c.Name)
	}
	return sources.SuggestID(names)
}
