package check

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Table is the report for a person at a terminal of so many columns.
func (r *Report) Table(width int) string {
	var b strings.Builder
	for i := range r.Checks {
		res := &r.Checks[i]
		mark := map[Status]string{Held: "ok    ", NotHeld: "FAIL  ", Undecided: "ERROR "}[res.Status]
		hang(&b, mark, res.Name, width)
		const indent = "        "
		if res.Status == Held {
			hang(&b, indent, res.Found, width)
			continue
		}
		hang(&b, indent+"rule      ", r.Rules+":"+strconv.Itoa(res.Line), width)
		if res.Expected != "" {
			hang(&b, indent+"expected  ", res.Expected, width)
		}
		hang(&b, indent+"found     ", res.Found, width)
		for _, detail := range res.Details {
			hang(&b, indent+"          ", detail, width)
		}
		heading := "example   "
		for _, text := range r.rows(res) {
			hang(&b, indent+heading, text, width)
			heading = strings.Repeat(" ", len(heading))
		}
	}
	b.WriteByte('\n')
	hang(&b, "", r.Rules+": "+r.Verdict()+" for "+r.usersText()+".", width)
	if text := r.differingText(); text != "" {
		hang(&b, "", "warning: "+text+".", width)
	}
	return b.String()
}

// rows are the examples as texts: those of which nothing but the row is said together.
func (r *Report) rows(res *Result) []string {
	var texts []string
	var numbers []string
	last := ""
	flush := func() {
		if len(numbers) > 0 {
			where := ""
			if len(r.Snapshots) > 1 {
				where = last + " "
			}
			texts = append(texts, where+map[bool]string{true: "row ", false: "rows "}[len(numbers) == 1]+strings.Join(numbers, ", "))
		}
		numbers = nil
	}
	for _, row := range res.Examples {
		number := strconv.FormatInt(row.Row, 10)
		if row.Snapshot != last || row.Note != "" || row.UserID != "" || row.DeviceID != "" {
			flush()
		}
		last = row.Snapshot
		numbers = append(numbers, number)
		if row.Note == "" && row.UserID == "" && row.DeviceID == "" {
			continue
		}
		flush()
		text := &texts[len(texts)-1]
		for _, id := range []struct{ name, value string }{{"user_id", row.UserID}, {"device_id", row.DeviceID}} {
			if id.value != "" {
				*text += ", " + id.name + " " + id.value
			}
		}
		if row.Note != "" {
			*text += ": " + row.Note
		}
	}
	flush()
	return texts
}

// clean is a text without what would move a terminal's cursor or end a line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return utf8.RuneError
		}
		return r
	}, text)
}

// hang writes text behind begin, in lines that are indented as begin is wide.
func hang(b *strings.Builder, begin, text string, width int) {
	text = clean(text)
	b.WriteString(begin)
	column, empty := len(begin), true
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if !empty && column+1+n > width {
			fmt.Fprintf(b, "\n%*s", len(begin), "")
			column, empty = len(begin), true
		}
		if !empty {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column, empty = column+n, false
	}
	b.WriteByte('\n')
}
