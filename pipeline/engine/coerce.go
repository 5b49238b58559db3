package engine

import (
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// coerceString converts as the reference does: strings as they are, numbers and booleans as JavaScript prints them,
// objects and arrays as JSON. ok is false for a value that is missing: null, or a float that JSON cannot carry.
func coerceString(v *pipeline.Value) (s string, ok bool) {
	switch v.Kind {
	case pipeline.Null:
		return "", false
	case pipeline.String, pipeline.Timestamp, pipeline.Date:
		return v.Text, true
	case pipeline.Bool:
		return strconv.FormatBool(v.Num != 0), true
	case pipeline.Int:
		if n := v.Num; -maxSafe <= n && n <= maxSafe {
			return strconv.FormatInt(n, 10), true
		}
	case pipeline.Number:
		if plainInteger(v.Text) {
			return v.Text, true
		}
	case pipeline.Float:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return "", false
		}
	case pipeline.List, pipeline.Object:
		return string(appendJSON(nil, v)), true
	}
	return string(appendNumber(nil, floatOf(v))), true
}

const maxSafe = 1<<53 - 1 // integers up to here are exact in JavaScript

// plainInteger reports whether the JSON number is an integer written as JavaScript would print it.
func plainInteger(s string) bool {
	if digits := strings.TrimPrefix(s, "-"); len(digits) == 0 || len(digits) > 15 || digits[0] == '0' && len(s) > 1 {
		return false
	}
	return !strings.ContainsAny(s, ".eE")
}

// floatOf returns the float64 of a Number, Int or Float.
func floatOf(v *pipeline.Value) float64 {
	switch v.Kind {
	case pipeline.Int:
		return float64(v.Num)
	case pipeline.Float:
		return v.Float()
	}
	f, _ := strconv.ParseFloat(v.Text, 64) // out of range: an infinity, as in JavaScript
	return f
}

// appendNumber prints f as Number::toString of ECMAScript does.
func appendNumber(dst []byte, f float64) []byte {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case f == 0:
		return append(dst, '0') // -0 too
	case abs < 1e-6 || abs >= 1e21:
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		if n := len(dst); dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') { // e-07 is e-7 in JavaScript
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
		return dst
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// appendJSON prints v as JSON.stringify does.
func appendJSON(dst []byte, v *pipeline.Value) []byte {
	switch v.Kind {
	case pipeline.String, pipeline.Timestamp, pipeline.Date:
		return appendJSONString(dst, v.Text)
	case pipeline.Bool:
		return strconv.AppendBool(dst, v.Num != 0)
	case pipeline.Number, pipeline.Int, pipeline.Float:
		if f := floatOf(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return appendNumber(dst, f)
		}
	case pipeline.List:
		dst = append(dst, '[')
		for i := range v.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, &v.Members[i].Value)
		}
		return append(dst, ']')
	case pipeline.Object:
		dst = append(dst, '{')
		for i, m := range propertyOrder(v.Members) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONString(dst, m.Name)
			dst = append(dst, ':')
			dst = appendJSON(dst, &m.Value)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

// propertyOrder is the order in which JavaScript enumerates: array indices ascending, then the others in the
// given order.
func propertyOrder(members []pipeline.Member) []pipeline.Member {
	if !slices.ContainsFunc(members, func(m pipeline.Member) bool { _, ok := arrayIndex(m.Name); return ok }) {
		return members
	}
	members = slices.Clone(members)
	slices.SortStableFunc(members, func(a, b pipeline.Member) int {
		i, aOK := arrayIndex(a.Name)
		j, bOK := arrayIndex(b.Name)
		switch {
		case aOK && bOK:
			return int(i - j)
		case aOK:
			return -1
		case bOK:
			return 1
		}
		return 0
	})
	return members
}

// arrayIndex returns the array index that s names, if it is one as ECMAScript defines it.
func arrayIndex(s string) (int64, bool) {
	if s == "" || len(s) > 10 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return int64(n), err == nil && n < math.MaxUint32
}

// appendJSONString quotes s as JSON.stringify does: like [pipeline.AppendJSONString], with two more escapes.
func appendJSONString(dst []byte, s string) []byte {
	i := strings.IndexAny(s, "\b\f")
	if i < 0 {
		return pipeline.AppendJSONString(dst, s)
	}
	// Rare: quote what is before and after, and put the escape between.
	dst = pipeline.AppendJSONString(dst, s[:i])
	dst = append(dst[:len(dst)-1], '\\', map[byte]byte{'\b': 'b', '\f': 'f'}[s[i]])
	return append(dst, appendJSONString(nil, s[i+1:])[1:]...)
}

// parseList appends to dst the elements of a string that is a JSON array, coerced and without empty ones, as the
// reference does.
func parseList(dst []string, s string) ([]string, bool) {
	v, err := parseOrdered(strings.NewReader(s))
	if err != nil || v.Kind != pipeline.List {
		return dst, false
	}
	return appendTexts(dst, &v, coerceString, false), true
}

// appendTexts appends the elements of a list, coerced.
func appendTexts(dst []string, list *pipeline.Value, text func(*pipeline.Value) (string, bool),
	keepEmpty bool) []string {
	for i := range list.Members {
		if s, ok := text(&list.Members[i].Value); ok && (s != "" || keepEmpty) {
			dst = append(dst, s)
		}
	}
	return dst
}

// isPlainList reports whether both engines make the same texts of the list's elements.
func isPlainList(list *pipeline.Value) bool {
	for i := range list.Members {
		if v := &list.Members[i].Value; v.Kind == pipeline.String && v.Text == "" || !printsAlike(v) {
			return false
		}
	}
	return true
}

// printsAlike reports whether both engines make the same text of a value. It is false for some of which they do.
func printsAlike(v *pipeline.Value) bool {
	switch v.Kind {
	case pipeline.Int:
		return -maxSafe <= v.Num && v.Num <= maxSafe
	case pipeline.Number, pipeline.Float:
		if v.Kind == pipeline.Number && plainInteger(v.Text) {
			return true
		}
		f := floatOf(v)
		if f == math.Trunc(f) { // a float's literal is an integer's; a literal may be 2.0
			return v.Kind == pipeline.Float && math.Abs(f) <= maxSafe
		}
		return math.Abs(f) >= 1e-3 && math.Abs(f) < 1e7
	case pipeline.List, pipeline.Object:
		return false
	}
	return true
}

// parseOrdered reads one JSON value as JSON.parse does: members keep their order, and the last value of a duplicated
// name counts.
func parseOrdered(r io.Reader) (pipeline.Value, error) {
	dec := jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	v, err := decodeOrdered(dec)
	if err != nil {
		return v, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return v, io.ErrUnexpectedEOF
	}
	return v, nil
}

func decodeOrdered(dec *jsontext.Decoder) (v pipeline.Value, err error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return v, err
	}
	switch tok.Kind() {
	case '"':
		return pipeline.StringValue(tok.String()), nil
	case '0':
		return pipeline.Value{Kind: pipeline.Number, Text: tok.String()}, nil
	case 't', 'f':
		return pipeline.BoolValue(tok.Bool()), nil
	case '[':
		v.Kind = pipeline.List
		for dec.PeekKind() != ']' {
			element, err := decodeOrdered(dec)
			if err != nil {
				return v, err
			}
			v.Members = append(v.Members, pipeline.Member{Value: element})
		}
		_, err = dec.ReadToken()
	case '{':
		v.Kind = pipeline.Object
		at := map[string]int{}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return v, err
			}
			key := name.String()
			value, err := decodeOrdered(dec)
			if err != nil {
				return v, err
			}
			if i, duplicated := at[key]; duplicated {
				v.Members[i].Value = value
				continue
			}
			at[key] = len(v.Members)
			v.Members = append(v.Members, pipeline.Member{Name: key, Value: value})
		}
		_, err = dec.ReadToken()
	}
	return v, err
}

// setMember assigns to a property of an object that keeps its members in order.
func setMember(members []pipeline.Member, name string, v pipeline.Value) []pipeline.Member {
	for i := range members {
		if members[i].Name == name {
			members[i].Value = v
			return members
		}
	}
	return append(members, pipeline.Member{Name: name, Value: v})
}

// parseNumber is Number(s) of ECMAScript: NaN if s is not a number, 0 if it is empty or white space.
func parseNumber(s string) float64 {
	s = strings.TrimFunc(s, isSpace)
	if s == "" {
		return 0
	}
	if len(s) > 2 && s[0] == '0' {
		base := 0
		switch s[1] {
		case 'x', 'X':
			base = 16
		case 'o', 'O':
			base = 8
		case 'b', 'B':
			base = 2
		}
		if base != 0 {
			if s[2] == '-' || s[2] == '+' || strings.Contains(s, "_") {
				return math.NaN()
			}
			n, ok := new(big.Int).SetString(s[2:], base)
			if !ok {
				return math.NaN()
			}
			f, _ := new(big.Float).SetInt(n).Float64()
			return f
		}
	}
	if !isDecimal(s) {
		return math.NaN()
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range: an infinity
	return f
}

// nodeNumber is parseNumber; ok is false for NaN. -0 is 0, as it is for the operators.
func nodeNumber(s string) (n float64, ok bool) {
	n = parseNumber(s)
	return n + 0, !math.IsNaN(n)
}

// isPlainDecimal reports whether s, which is a number, has only digits, a point and a sign.
func isPlainDecimal(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '.' && c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// isDecimal reports whether s is a StrDecimalLiteral of ECMAScript.
func isDecimal(s string) bool {
	if s[0] == '+' || s[0] == '-' {
		s = s[1:]
	}
	if s == "Infinity" {
		return true
	}
	digits := 0
	cut := func() {
		for s != "" && '0' <= s[0] && s[0] <= '9' {
			s = s[1:]
			digits++
		}
	}
	cut()
	if s != "" && s[0] == '.' {
		s = s[1:]
		cut()
	}
	if digits == 0 {
		return false
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		digits = 0
		cut()
		if digits == 0 {
			return false
		}
	}
	return s == ""
}

// isSpace reports whether ECMAScript counts r as white space or a line end.
func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff:
		return true
	}
	return 0x2000 <= r && r <= 0x200a
}

// toLower is String.prototype.toLowerCase: the full mappings, the final sigma included.
func toLower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	// its rule for the final sigma is not quite Unicode's
	lower := cases.Lower(language.Und, cases.HandleFinalSigma(false))
	const sigma = "Σ"
	if !strings.Contains(s, sigma) {
		return lower.String(s)
	}
	var b strings.Builder
	start := 0
	for i, r := range s {
		if r != 'Σ' {
			continue
		}
		b.WriteString(lower.String(s[start:i]))
		start = i + len(sigma)
		// Final_Sigma (Unicode 3.13): a cased letter before it and none after it, ignoring what Case_Ignorable lists.
		before, _ := utf8.DecodeLastRuneInString(strings.TrimRightFunc(s[:i], isCaseIgnorable))
		after, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s[start:], isCaseIgnorable))
		if isCased(before) && !isCased(after) {
			b.WriteRune('ς')
		} else {
			b.WriteRune('σ')
		}
	}
	b.WriteString(lower.String(s[start:]))
	return b.String()
}

func isCased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Uppercase, unicode.Other_Lowercase)
}

// isCaseIgnorable is Case_Ignorable: marks, modifiers, formats, and punctuation that may be in a word.
func isCaseIgnorable(r rune) bool {
	return strings.ContainsRune("'.:·\u0387՟״‧︓﹕：‘’․﹒＇．", r) ||
		unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// containsLower reports whether toLower(s) contains needle, which is in lower case already.
func containsLower(s, needle string) bool {
	if !isASCII(s) {
		return strings.Contains(toLower(s), needle)
	}
	if needle == "" {
		return true
	}
	for i := 0; i+len(needle) <= len(s); i++ {
		j := 0
		for j < len(needle) && lowerByte(s[i+j]) == needle[j] {
			j++
		}
		if j == len(needle) {
			return true
		}
	}
	return false
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// canonBool returns "true" or "false" for a string that is one of them in any case, and s otherwise. The operator "is"
// treats two strings as equal if the results are.
func canonBool(s string) string {
	switch {
	case len(s) == 4 && equalLower(s, "true"):
		return "true"
	case len(s) == 5 && equalLower(s, "false"):
		return "false"
	}
	return s
}

func equalLower(s, lower string) bool {
	for i := range len(lower) {
		if lowerByte(s[i]) != lower[i] {
			return false
		}
	}
	return true
}

// compareStrings is JavaScript's order of strings, by UTF-16 code units: not that of UTF-8 where one side has a
// character beyond U+FFFF and the other one between U+E000 and U+FFFF.
func compareStrings(a, b string) int {
	for a != "" && b != "" {
		if a[0] == b[0] && a[0] < utf8.RuneSelf {
			a, b = a[1:], b[1:]
			continue
		}
		r, n := utf8.DecodeRuneInString(a)
		s, m := utf8.DecodeRuneInString(b)
		if r == s {
			a, b = a[n:], b[m:]
			continue
		}
		return int(firstUnit(r)) - int(firstUnit(s)) + compareTied(r, s)
	}
	return len(a) - len(b)
}

// firstUnit is the first UTF-16 code unit of r.
func firstUnit(r rune) rune {
	if r < 0x10000 {
		return r
	}
	return 0xd800 + (r-0x10000)>>10
}

// compareTied orders characters that share their first code unit; for others it returns 0.
func compareTied(r, s rune) int {
	if firstUnit(r) == firstUnit(s) {
		return int(r - s)
	}
	return 0
}
