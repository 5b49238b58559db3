package main

import (
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/sources"
)

// damagedIDs counts the rows whose ids a tool has damaged on the way here, by kind. It names rows, never ids.
type damagedIDs map[sources.Damage]*countedRows

// countedRows are how many rows something is the matter with, and which is the first.
type countedRows struct {
	n     int64
	first int64 // its number
}

func (c *countedRows) count(row *pipeline.Row) {
	if c.n == 0 {
		c.first = row.Number
	}
	c.n++
}

// countRow counts a row whose ids have that damage.
func (d damagedIDs) countRow(damage sources.Damage, row *pipeline.Row) {
	if damage == 0 {
		return
	}
	for _, kind := range sources.Damages {
		if damage&kind == 0 {
			continue
		}
		if d[kind] == nil {
			d[kind] = &countedRows{}
		}
		d[kind].count(row)
	}
}

// lines say of how many of all rows the ids are what.
func (d damagedIDs) lines(total int64) (lines []string) {
	for _, kind := range sources.Damages {
		if rows := d[kind]; rows != nil {
			lines = append(lines, fmt.Sprintf("%s of %s %s (row %d)", text.Thousands(rows.n), text.Thousands(total), kind,
				rows.first))
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
		hint = "they are used as they are; --trim takes the white space away (Amplitude's CSV export writes a tab before " +
			"each cell)"
	}
	var most int64
	for _, rows := range d {
		most = max(most, rows.n)
	}
	con.Warn("damaged ids: "+strings.Join(d.lines(total), "; "), hint, about{code: warnDamagedIDs, count: most})
}

// warnRagged says how many rows lack cells, and what that makes of them.
func (f *findings) warnRagged(con *console, padded bool) {
	if f.ragged.n == 0 {
		return
	}
	hint := hintRagged
	if padded {
		hint = "--ragged pad took them; a file that was cut off looks like that, too"
	}
	con.Warn(fmt.Sprintf("rows that lack cells at the end, or have empty ones too many: %s (row %d)",
		text.Thousands(f.ragged.n), f.ragged.first), hint, about{code: warnRaggedRows, count: f.ragged.n})
}

const hintRagged = "--ragged pad takes cells that are missing at the end for empty"

// suggest is the hint for an input of which no row can be used, if it is known how they could be: a column is called
// nearly as the id is (where there is a header, such an input is refused; JSONL has none), or all rows lack cells.
func (f *findings) suggest(total int64) string {
	if total > 0 && f.ragged.n > 0 && f.bad[pipeline.KindBadRow] == total {
		return hintRagged
	}
	if total == 0 || f.bad[pipeline.KindMissingID] < total {
		return ""
	}
	var names []string
	for _, c := range f.columns {
		names = append(names, c.Name)
	}
	return sources.SuggestID(names)
}
