package engine

import (
	"strings"
	"testing"
)

// What Node 20 says of new RegExp(pattern), where Go might say something else.
func TestRegexSyntax(t *testing.T) {
	for _, pattern := range []string{
		"(){01}", "a{02,03}", "{a}", "{,2}", "x{1", "a{ 1}", "]", "}", "[]", "[^]", `\k`, `[\k]`, `\c`, `[\c_]`, "[a-\\d]",
		`\8`, `\u{61}`, "a{0}?", `\P`, "[[:alpha:]]",
		"(?<n>a)(?<m>b)", "(?<$_1>)", "(?<é>)", "(?<𐐀>)", `(?<\u0061>)`, `(?<\u{61}b>)`, `(?<a\u200d>)`, `(?<\ud801\udc00>)`,
	} {
		t.Run(pattern, func(t *testing.T) {
			if _, err := compileRegex(pattern); err != nil {
				t.Errorf("%q is refused: %v", pattern, err)
			}
		})
	}
	for _, tt := range []struct{ pattern, want string }{
		{"(", "missing closing )"},
		{"a{2,1}", "out of order"},
		{"[b-a]", "out of order"},
		{"a**", "nested repetition"},
		{"^*", "nothing to repeat"},
		{`\`, "a backslash at the end"},
		{"(?i:a)", "invalid group"},
		{"(?P<n>a)", "invalid group"},
		{"(?<n>a)|(?<n>b)", "a group's name"},
		{`(?<a>)(?<\u0061>)`, "a group's name"},
		{"(?<1>)", "a group's name"},
		{"(?<a b>)", "a group's name"},
		{"(?<>)", "a group's name"},
		{"(?<a", "a group's name"},
		{"(?<😀>)", "a group's name"},
		{`(?<\ud801>)`, "a group's name"},
		{`(?<\x61>)`, "a group's name"},
		{`(?<\u{110000}>)`, "a group's name"},
		{`(?<n>)[\k]`, `\k is not valid`},
	} {
		t.Run(tt.pattern, func(t *testing.T) {
			if _, err := compileRegex(tt.pattern); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: error %v, want one that says %q", tt.pattern, err, tt.want)
			}
		})
	}
	// JavaScript takes these: parity leaves them alone by what the errors end in.
	for _, pattern := range []string{"(?=a)", "(?!a)", "(?<=a)", "(?<!a)", `(a)\1`, `(?<n>a)\k<n>`, "a{1001}",
		"(a{100}){100}", "a{99999999999}", strings.Repeat("(a", 1001) + strings.Repeat(")*", 1001)} {
		if _, err := compileRegex(pattern); err == nil || !strings.HasSuffix(err.Error(), "not supported") {
			t.Errorf("%.20q: error %v, want one that says that it is not supported", pattern, err)
		}
	}
}
