package engine

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// hostedString is coerceString of the hosted engine: a number is printed as Java prints what its JSON literal is.
func hostedString(v *pipeline.Value) (s string, ok bool) {
	switch v.Kind {
	case pipeline.Null:
		return "", false
	case pipeline.String, pipeline.Timestamp, pipeline.Date:
		return v.Text, true
	case pipeline.Bool:
		return strconv.FormatBool(v.Num != 0), true
	case pipeline.Float:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return "", false
		}
	case pipeline.Number:
		if plainInteger(v.Text) {
			return v.Text, true
		}
	}
	return string(appendHostedJSON(nil, v)), true
}

// appendHostedJSON prints v as Kotlin's serialization does. Numbers are printed as hostedString does.
func appendHostedJSON(dst []byte, v *pipeline.Value) []byte {
	switch v.Kind {
	case pipeline.String, pipeline.Timestamp, pipeline.Date:
		return appendJSONString(dst, v.Text)
	case pipeline.Number:
		return appendLiteral(dst, v.Text)
	case pipeline.Float:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return appendLiteral(dst, string(v.AppendJSON(nil))) // what a request would hold
		}
	case pipeline.List:
		dst = append(dst, '[')
		for i := range v.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendHostedJSON(dst, &v.Members[i].Value)
		}
		return append(dst, ']')
	case pipeline.Object:
		dst = append(dst, '{')
		for i := range v.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONString(dst, v.Members[i].Name)
			dst = append(dst, ':')
			dst = appendHostedJSON(dst, &v.Members[i].Value)
		}
		return append(dst, '}')
	}
	return v.AppendJSON(dst)
}

// appendLiteral prints a number from its literal: an integer that fits 64 bits as its digits, any other as a double.
func appendLiteral(dst []byte, literal string) []byte {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return strconv.AppendInt(dst, n, 10)
	}
	f, _ := strconv.ParseFloat(literal, 64) // out of range: an infinity, as in Java
	return appendDouble(dst, f)
}

// appendDouble prints f as Double.toString of Java 19 does: the shortest digits that give f again, but at least two.
func appendDouble(dst []byte, f float64) []byte {
	start := len(dst)
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case f == 0 || 1e-3 <= abs && abs < 1e7:
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		if !strings.Contains(string(dst[start:]), ".") {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	digits, exponent, _ := strings.Cut(text, "e")
	if !strings.Contains(digits, ".") {
		digits += ".0"
		if two := strconv.FormatFloat(f, 'e', 1, 64); two != digits+"e"+exponent {
			if again, _ := strconv.ParseFloat(two, 64); again == f { // 4.9E-324
				digits, exponent, _ = strings.Cut(two, "e")
			}
		}
	}
	n, _ := strconv.Atoi(exponent)
	dst = append(append(dst, digits...), 'E')
	return strconv.AppendInt(dst, int64(n), 10)
}

// parseDouble is Double.parseDouble of Java.
func parseDouble(s string) (f float64, ok bool) {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	body := s
	if body != "" && (body[0] == '+' || body[0] == '-') {
		body = body[1:]
	}
	switch {
	case body == "NaN":
		return math.NaN(), true
	case body == "Infinity":
		if s[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	case body == "" || body[0] != '.' && (body[0] < '0' || body[0] > '9'):
		return 0, false
	}
	if strings.ContainsRune("dDfF", rune(s[len(s)-1])) {
		s, body = s[:len(s)-1], body[:len(body)-1]
	}
	if !isHexFloat(body) && (body == "" || !isDecimal(body)) {
		return 0, false
	}
	f, _ = strconv.ParseFloat(s, 64) // out of range: an infinity or zero
	return f, true
}

// isHexFloat reports whether s is a hexadecimal number of Java, such as 0x1.8p3; its exponent is required.
func isHexFloat(s string) bool {
	if len(s) < 2 || s[0] != '0' || s[1]|0x20 != 'x' {
		return false
	}
	at := strings.IndexAny(s, "pP")
	if at < 0 {
		return false
	}
	whole, fraction, _ := strings.Cut(s[2:at], ".")
	exponent := s[at+1:]
	if exponent != "" && (exponent[0] == '+' || exponent[0] == '-') {
		exponent = exponent[1:]
	}
	const hex = "0123456789abcdefABCDEF"
	return whole+fraction != "" && strings.Trim(whole+fraction, hex) == "" &&
		exponent != "" && strings.Trim(exponent, "0123456789") == ""
}

// compareDoubles is Double.compare of Java: NaN is greater than everything, and -0 is less than 0.
func compareDoubles(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	i, j := int64(math.Float64bits(a)), int64(math.Float64bits(b))
	switch {
	case i < j:
		return -1
	case i > j:
		return 1
	}
	return 0
}

// hostedGroupName returns the name of a group: the first of a list of texts, or of what a request has as texts.
func hostedGroupName(v *pipeline.Value) *pipeline.Value {
	if v == nil || v.Kind != pipeline.List || len(v.Members) == 0 {
		return nil
	}
	for i := range v.Members {
		switch v.Members[i].Value.Kind {
		case pipeline.String, pipeline.Timestamp, pipeline.Date:
		default:
			return nil
		}
	}
	return &v.Members[0].Value
}

// maxLooseDepth bounds the lists in lists of a text.
const maxLooseDepth = 1000

// looseReader reads JSON as Kotlin's serialization 1.6 does with isLenient: words need no quotes.
type looseReader struct {
	s     string
	pos   int
	depth int
}

// parseLooseList appends the elements of a text that starts with a bracket. Words without quotes that are neither true
// nor false nor numbers are dropped, as null is.
func parseLooseList(dst []string, s string) ([]string, bool) {
	r := looseReader{s: s, pos: 1}
	if r.skipSpace() == ',' {
		return dst, false
	}
	list := dst
	for first := true; ; first = false {
		comma := r.skipSpace() == ','
		if comma {
			r.pos++
		}
		if !r.atValue() {
			if comma {
				return dst, false
			}
			break
		}
		if !first && !comma {
			return dst, false
		}
		v, ok := r.readValue()
		if !ok {
			return dst, false
		}
		if text, ok := hostedString(&v); ok {
			list = append(list, text)
		}
	}
	if r.nextToken() != ']' || r.skipSpace() != 0 || r.pos < len(s) {
		return dst, false
	}
	return list, true
}

// Classes of characters; structural characters are their own.
const (
	looseWord    byte = 'w' // part of a word
	looseInvalid byte = '!'
)

func looseClass(c byte) byte {
	switch c {
	case '{', '}', '[', ']', ',', ':', '"', '\\':
		return c
	}
	if c <= ' ' {
		return looseInvalid
	}
	return looseWord
}

// skipSpace moves to the next character that is not white space, and returns its class; 0 at the end.
func (r *looseReader) skipSpace() byte {
	if r.pos = skipSpace(r.s, r.pos); r.pos == len(r.s) {
		return 0
	}
	return looseClass(r.s[r.pos])
}

// nextToken is skipSpace, but also consumes the character.
func (r *looseReader) nextToken() byte {
	c := r.skipSpace()
	if c != 0 {
		r.pos++
	}
	return c
}

// atValue reports whether a value may begin at the next character.
func (r *looseReader) atValue() bool {
	switch r.skipSpace() {
	case 0, '}', ']', ':', ',':
		return false
	}
	return true
}

func (r *looseReader) readValue() (v pipeline.Value, ok bool) {
	if r.depth++; r.depth > maxLooseDepth {
		return v, false
	}
	defer func() { r.depth-- }()
	switch r.skipSpace() {
	case '"':
		s, ok := r.readString()
		return pipeline.StringValue(s), ok
	case looseWord:
		return wordValue(r.readWord()), true
	case '[':
		return r.readList()
	case '{':
		return r.readObject()
	}
	return v, false
}

// readList reads a list in a list. As in Kotlin, a value may follow its closing bracket, and then belongs to it.
func (r *looseReader) readList() (v pipeline.Value, ok bool) {
	v.Kind = pipeline.List
	last := r.nextToken()
	if r.skipSpace() == ',' {
		return v, false
	}
	for r.atValue() {
		element, ok := r.readValue()
		if !ok {
			return v, false
		}
		v.Members = append(v.Members, pipeline.Member{Value: element})
		if last = r.nextToken(); last != ',' && last != ']' {
			return v, false
		}
	}
	return v, last == ']' || last == '[' && r.nextToken() == ']'
}

func (r *looseReader) readObject() (v pipeline.Value, ok bool) {
	v.Kind = pipeline.Object
	last := r.nextToken()
	if r.skipSpace() == ',' {
		return v, false
	}
	at := map[string]int{}
	for last != '}' && r.atValue() {
		var name string
		switch r.skipSpace() {
		case '"':
			name, ok = r.readString()
		case looseWord:
			name, ok = r.readWord(), true
		default:
			ok = false
		}
		if !ok || r.nextToken() != ':' {
			return v, false
		}
		element, ok := r.readValue()
		if !ok {
			return v, false
		}
		if i, duplicated := at[name]; duplicated {
			v.Members[i].Value = element
		} else {
			at[name] = len(v.Members)
			v.Members = append(v.Members, pipeline.Member{Name: name, Value: element})
		}
		if last = r.nextToken(); last != ',' && last != '}' {
			return v, false
		}
	}
	return v, last == '}' || last == '{' && r.nextToken() == '}'
}

// readWord reads a word without quotes.
func (r *looseReader) readWord() string {
	start := r.pos
	for r.pos < len(r.s) && looseClass(r.s[r.pos]) == looseWord {
		r.pos++
	}
	return r.s[start:r.pos]
}

// wordValue is the value of a word without quotes.
func wordValue(word string) (v pipeline.Value) {
	switch b := canonBool(word); b {
	case "true", "false":
		return pipeline.BoolValue(b == "true")
	}
	if word[0] != '+' {
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			return pipeline.IntValue(n)
		}
	}
	if f, ok := parseDouble(word); ok {
		return pipeline.Value{Kind: pipeline.Number, Text: string(appendDouble(nil, f))}
	}
	return v
}

// readString reads a text in quotes. Any character may be in it as it is.
func (r *looseReader) readString() (string, bool) {
	r.pos++
	start := r.pos
	for r.pos < len(r.s) && r.s[r.pos] != '"' && r.s[r.pos] != '\\' {
		r.pos++
	}
	if r.pos < len(r.s) && r.s[r.pos] == '"' {
		r.pos++
		return r.s[start : r.pos-1], true
	}
	out := []byte(r.s[start:r.pos])
	for r.pos < len(r.s) {
		c := r.s[r.pos]
		r.pos++
		switch {
		case c == '"':
			return string(out), true
		case c != '\\':
			out = append(out, c)
			continue
		case r.pos == len(r.s):
			return "", false
		}
		c = r.s[r.pos]
		r.pos++
		if at := strings.IndexByte(`bfnrt"\/`, c); at >= 0 {
			out = append(out, "\b\f\n\r\t\"\\/"[at])
			continue
		}
		unit, ok := r.readHex(c)
		if !ok {
			return "", false
		}
		if utf16.IsSurrogate(unit) {
			high := unit
			unit = '\ufffd'
			if strings.HasPrefix(r.s[r.pos:], `\u`) {
				at := r.pos
				r.pos += 2
				low, ok := r.readHex('u')
				if unit = utf16.DecodeRune(high, low); !ok || unit == '\ufffd' {
					r.pos = at // it is read again, on its own
				}
			}
		}
		out = append(out, string(unit)...)
	}
	return "", false
}

// readHex reads the four digits of an escape after its letter, which must be a u.
func (r *looseReader) readHex(letter byte) (rune, bool) {
	if letter != 'u' || r.pos+4 > len(r.s) || strings.Trim(r.s[r.pos:r.pos+4], "0123456789abcdefABCDEF") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(r.s[r.pos:r.pos+4], 16, 16)
	r.pos += 4
	return rune(n), err == nil
}
