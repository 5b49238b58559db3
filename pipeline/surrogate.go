package pipeline

import "strings"

// MendSurrogates is a JSON text in which each \u escape that is half of a surrogate pair is \ufffd, the replacement
// character. Halves are within JSON's grammar, but no text that there is, and many readers refuse the whole file
// for one. halves counts them; where there are none, the text is as it was.
func MendSurrogates(text string) (mended string, halves int) {
	var b strings.Builder
	from := 0
	for i := 0; ; {
		n := strings.IndexByte(text[i:], '\\')
		if n < 0 {
			break
		}
		i += n
		switch kind := surrogate(text[i:]); {
		case kind == 0:
			i += 2 // also past an escaped backslash
			if i > len(text) {
				i = len(text)
			}
		case kind == highSurrogate && surrogate(text[i+6:]) == lowSurrogate:
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

// surrogate is the half of a pair that text begins with, as a \u escape; 0: something else.
func surrogate(text string) rune {
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
