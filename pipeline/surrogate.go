package pipeline

import "strings"

// MendSurrogates replaces each \u escape in a JSON text that is only half of a surrogate pair by \ufffd, the
// replacement character. JSON's grammar allows such halves, but they encode no character, and many readers refuse the
// whole file for one. halves counts them; if there are none, mended is text itself.
func MendSurrogates(text string) (mended string, halves int) {
	var b strings.Builder
	from := 0
	for i := 0; ; {
		n := strings.IndexByte(text[i:], '\\')
		if n < 0 {
			break
		}
		i += n
		switch kind := surrogateHalf(text[i:]); {
		case kind == 0:
			i += 2 // also past an escaped backslash
			if i > len(text) {
				i = len(text)
			}
		case kind == highSurrogate && surrogateHalf(text[i+6:]) == lowSurrogate:
			i += 12
		default:
			b.WriteString(text[from:i])
			b.WriteString(`\ufffd`)
			i += 6
			from = i
			halves++
		}
	}
	if halves == 0 {
		return text, 0
	}
	b.WriteString(text[from:])
	return b.String(), halves
}

const (
	highSurrogate = 'h'
	lowSurrogate  = 'l'
)

// surrogateHalf returns which half of a pair the text begins with, as a \u escape; 0 if neither.
func surrogateHalf(text string) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' || text[2] != 'd' && text[2] != 'D' {
		return 0
	}
	switch c := text[3]; {
	case c >= '8' && c <= '9' || c >= 'a' && c <= 'b' || c >= 'A' && c <= 'B':
		return highSurrogate
	case c >= 'c' && c <= 'f' || c >= 'C' && c <= 'F':
		return lowSurrogate
	}
	return 0
}
