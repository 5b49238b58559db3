package sources

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Damage is what other tools have probably done to the ids of a row. The ids are sent unchanged all the same.
type Damage uint8

// The kinds of damage; a row may have several.
const (
	DamageBlank    Damage = 1 << iota // surrounding white space: Amplitude's CSV export writes a tab before each cell
	DamageNothing                     // a word for a missing value: null, NaN, None
	DamageDecimal                     // 12345.0: an integer that was converted to a float
	DamageExponent                    // 1.23457E+15: written by a spreadsheet
	DamageHeader                      // the name of the column: a header in the middle of the file
	DamageRounded                     // a float of 2^53 or more, which is not exact
)

// Damages are all kinds of damage, in the order in which they are reported.
var Damages = []Damage{DamageBlank, DamageNothing, DamageDecimal, DamageExponent, DamageHeader, DamageRounded}

// String completes the sentence "the ids …".
func (d Damage) String() string {
	switch d {
	case DamageBlank:
		return "begin or end with white space"
	case DamageNothing:
		return "are a word for a missing value, such as null or NaN"
	case DamageDecimal:
		return "are integers that end in .0"
	case DamageExponent:
		return "are numbers with an exponent, as spreadsheets write them"
	case DamageHeader:
		return "are the name of their column, like a header"
	case DamageRounded:
		return "are floats of 2^53 or more, which are rounded"
	}
	return "are damaged"
}

// DamagedIDs reports the probable damage of the ids of the row that Next returned last.
func (in *Input) DamagedIDs() Damage { return in.info.damage }

// findDamage reports the probable damage of the ids of a row, which was made of these cells.
func (m *mapper) findDamage(row *pipeline.Row, cells []pipeline.Member) Damage {
	if row.Err != nil {
		return 0
	}
	d := detectDamage(row.User.UserID) | detectDamage(row.User.DeviceID)
	for i := range m.slots {
		s := &m.slots[i]
		if s.target.kind != toUserID && s.target.kind != toDeviceID {
			continue
		}
		switch cell := &cells[s.cell]; cell.Value.Kind {
		case pipeline.String:
			if cell.Value.Text == cell.Name {
				d |= DamageHeader
			}
		case pipeline.Float:
			if f := math.Abs(cell.Value.Float()); f >= 1<<53 {
				d = d&^(DamageExponent|DamageDecimal) | DamageRounded
			}
		}
	}
	return d
}

// maxNumber is longer than any number that a tool writes. Longer ids are not numbers.
const maxNumber = 40

// detectDamage returns the damage that an id shows by itself. It looks at the ends first, because nearly all ids are
// fine.
func detectDamage(id string) (d Damage) {
	if id == "" {
		return 0
	}
	first, last := id[0], id[len(id)-1]
	if isBlankEnd(first) && countLeadingBlank(id) > 0 || isBlankEnd(last) && len(trimBlank(id)) < len(id) {
		return DamageBlank | detectDamage(trimBlank(id))
	}
	switch {
	case len(id) > maxNumber:
	case first == '-' && len(id) > 1 || '0' <= first && first <= '9':
		if last < '0' || last > '9' {
			return 0
		}
		d = detectNumberDamage(strings.TrimPrefix(id, "-"))
	case missingWords[strings.ToLower(id)]:
		d = DamageNothing
	}
	return d
}

// missingWords are the words that tools write for a missing value: SQL, Python, pandas, JavaScript, Go, R, Excel,
// MySQL.
var missingWords = map[string]bool{
	"null": true, "nan": true, "undefined": true, "none": true, "nil": true, "na": true, "n/a": true, "#n/a": true,
	"<na>":   true,
	"<null>": true, "(null)": true, `\n`: true, "nat": true, "[object object]": true,
}

// detectNumberDamage reports whether a number without its sign, which ends in a digit, is like 12345.0 or 1.23457E+15.
// 1e5 and 12345e67 are not damage: no tool writes them so, but they may be hashes.
func detectNumberDamage(id string) Damage {
	whole := countDigits(id)
	rest := id[whole:]
	fraction := 0
	if strings.HasPrefix(rest, ".") {
		fraction = countDigits(rest[1:])
		if fraction == 0 {
			return 0
		}
		if rest = rest[1:]; fraction == len(rest) {
			if strings.Trim(rest, "0") == "" {
				return DamageDecimal
			}
			return 0
		}
		rest = rest[fraction:]
	}
	exponent := strings.TrimPrefix(rest, "E")
	if exponent == rest {
		exponent = strings.TrimPrefix(rest, "e")
	}
	if whole != 1 || exponent == rest {
		return 0
	}
	unsigned := strings.TrimPrefix(exponent, "+")
	if countDigits(unsigned) < len(unsigned) || fraction == 0 && unsigned == exponent {
		return 0
	}
	return DamageExponent
}

// countDigits returns how many digits s begins with.
func countDigits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

// isBlankEnd reports whether a byte may be the first or last of a blank.
func isBlankEnd(b byte) bool { return b <= ' ' || b >= utf8.RuneSelf }

// isBlank reports whether r is white space, or has no width.
func isBlank(r rune) bool { return unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' }

// countLeadingBlank returns how many bytes of white space s begins with.
func countLeadingBlank(s string) int { return len(s) - len(strings.TrimLeftFunc(s, isBlank)) }

// trimBlank removes the white space around s.
func trimBlank(s string) string {
	if s == "" || !isBlankEnd(s[0]) && !isBlankEnd(s[len(s)-1]) {
		return s
	}
	return strings.TrimFunc(s, isBlank)
}

// trimCells removes the white space around texts.
func trimCells(cells []pipeline.Member) {
	for i := range cells {
		if v := &cells[i].Value; v.Kind == pipeline.String {
			v.Text = trimBlank(v.Text)
		}
	}
}
