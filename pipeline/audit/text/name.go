package text

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// List cleans names and joins them, the first most of them: "a, b and 3 more".
func List(names []string, most int) string {
	if len(names) > most {
		return fmt.Sprintf("%s and %s more", Clean(strings.Join(names[:most], ", ")), Thousands(int64(len(names)-most)))
	}
	return Clean(strings.Join(names, ", "))
}

// Shorten cleans a name, and cuts it after most characters, which would tear a table.
func Shorten(s string, most int) string {
	s = Clean(s)
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// Fill puts words into a sentence, each in place of its $name.
func Fill(sentence string, words map[string]string) string {
	return os.Expand(sentence, func(name string) string {
		if word, ok := words[name]; ok {
			return word
		}
		return "$" + name
	})
}

// Capitalize begins a sentence with s.
func Capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:n]) + s[n:]
}
