package pipeline

import (
	"fmt"
	"strings"
)

// NullPartition is the value of a partition whose column is null. Hive, Spark and DuckDB read it as null.
const NullPartition = "__HIVE_DEFAULT_PARTITION__"

// AppendPartition appends the name of the directory that holds the rows with a value of a column, in Hive's form:
// country=DE. An empty text is null, as in Hive. What cannot be in a name is escaped as %2F, so the name is always
// one element of a path.
func AppendPartition(dst []byte, column, value string) []byte {
	dst = append(appendEscaped(dst, column), '=')
	if value == "" {
		return append(dst, NullPartition...)
	}
	if value == NullPartition { // a text that only looks like null
		return append(append(dst, "%5F"...), value[1:]...)
	}
	return appendEscaped(dst, value)
}

// ParsePartition returns the column and the value of a directory that [AppendPartition] has named. isNull says that
// the value is null, or an empty text.
func ParsePartition(name string) (column, value string, isNull bool, err error) {
	column, value, ok := strings.Cut(name, "=")
	if ok && value == NullPartition {
		value, isNull = "", true
	} else if ok {
		value, ok = unescapePartition(value)
	}
	if ok {
		column, ok = unescapePartition(column)
	}
	if !ok || string(AppendPartition(nil, column, value)) != name {
		return "", "", false, fmt.Errorf("%q is not a partition as rollcall names it", name)
	}
	return column, value, isNull, nil
}

// isEscapedInPartition are the characters that Hive and Spark escape, and those that Windows does not allow.
var isEscapedInPartition = func() (is [256]bool) {
	for c := range byte(' ') {
		is[c] = true
	}
	for _, c := range []byte("\"#%'*/:=?\\{}[]^<>|\x7f") {
		is[c] = true
	}
	return is
}()

// appendEscaped appends a text in which what cannot be in a name is escaped. Letters outside of ASCII stay: Hive and
// Spark would read their escaped bytes as one letter each.
func appendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		last := i == len(s)-1 && (c == '.' || c == ' ') // which Windows drops
		if last || isEscapedInPartition[c] {
			const digits = "0123456789ABCDEF"
			dst = append(dst, '%', digits[c>>4], digits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func unescapePartition(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			const digits = "0123456789ABCDEF"
			high, low := strings.IndexByte(digits, s[i+1]), strings.IndexByte(digits, s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
