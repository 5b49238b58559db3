package text

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, tt := range []struct{ name, in, clean, lines, markdown, code string }{
		{"plain", "Käse – 7 %", "Käse – 7 %", "Käse – 7 %", "Käse – 7 %", "`Käse – 7 %`"},
		{"a terminal's escape", "\x1b[2Jx", `\x1b[2Jx`, `\x1b[2Jx`, `\\x1b\[2Jx`, "`\\x1b[2Jx`"},
		{"a line", "a\nb", `a\nb`, "a\nb", `a\\nb`, "`a\\nb`"},
		{"a carriage return", "a\rb", `a\rb`, `a\rb`, `a\\rb`, "`a\\rb`"},
		{"right to left", "a\u202eb", `a\u202eb`, `a\u202eb`, `a\\u202eb`, "`a\\u202eb`"},
		{"not seen", "a\u200bb\ufeff", `a\u200bb\ufeff`, `a\u200bb\ufeff`, `a\\u200bb\\ufeff`, "`a\\u200bb\\ufeff`"},
		{"C1", "a\u009b31m", `a\u009b31m`, `a\u009b31m`, `a\\u009b31m`, "`a\\u009b31m`"},
		{"not UTF-8", "a\xff\x05", `a\xff\x05`, `a\xff\x05`, `a\\xff\\x05`, "`a\\xff\\x05`"},
		{"the replacement character itself", "a\uFFFDb", "a\uFFFDb", "a\uFFFDb", "a\uFFFDb", "`a\uFFFDb`"},
		{"markup", "*a*|`b`<i>&", "*a*|`b`<i>&", "*a*|`b`<i>&", "\\*a\\*\\|\\`b\\`&lt;i&gt;&amp;", "`*a*¦'b'<i>&`"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, got := range []struct{ what, got, want string }{
				{"Clean", Clean(tt.in), tt.clean}, {"CleanLines", CleanLines(tt.in), tt.lines},
				{"Markdown", Markdown(tt.in), tt.markdown}, {"Code", Code(tt.in), tt.code},
			} {
				if got.got != got.want {
					t.Errorf("%s(%q) = %q, want %q", got.what, tt.in, got.got, got.want)
				}
			}
		})
	}
}

// Whatever comes in, nothing comes out that a terminal acts on.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "a", "\x1b[31m", "\u202e", "\xff\xfe", "a\nb", "\u2028", "\uFFFD"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for what, got := range map[string]string{"Clean": Clean(s),
			"CleanLines": strings.ReplaceAll(CleanLines(s), "\n", "")} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got,
				func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) {
				t.Errorf("%s(%q) = %q", what, s, got)
			}
		}
		if clean := Clean(s); Clean(clean) != clean {
			t.Errorf("Clean(%q) = %q, and again %q", s, clean, Clean(clean))
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct{ name, got, want string }{
		{"none", Thousands(0), "0"}, {"hundreds", Thousands(999), "999"}, {"thousands", Thousands(1000), "1,000"},
		{"millions", Thousands(1234567), "1,234,567"}, {"a negative thousand", Thousands(-1000), "-1,000"},
		{"negative", Thousands(-123456), "-123,456"}, {"less", Thousands(-1234567), "-1,234,567"},
		{"one", Count(1, "user"), "1 user"}, {"many", Count(1200, "user"), "1,200 users"},
		{"no user", Count(0, "user"), "0 users"},
		{"one is", CountIs(1, "user", "is", "are"), "1 user is"}, {"two are", CountIs(2, "user", "is", "are"), "2 users are"},
		{"a share", Percent(0.1234), "12.3 %"}, {"nobody", Percent(0), "0.0 %"}, {"all", Percent(1), "100.0 %"},
		{"almost nobody", Percent(0.0004), "0.04 %"}, {"one in ten million", Percent(1e-9), "< 0.0001 %"},
		{"almost all", Percent(0.9996), "99.96 %"},
		{"all but one in a billion", Percent(1 - 1e-9), "> 99.9999 %"}, {"no digits", PercentDigits(0.5, 0), "50 %"},
		{"almost all without digits", PercentDigits(0.999, 0), "99.9 %"},
		{"p", PValue(0.042), "p = 0.04"}, {"a small p", PValue(0.00123), "p = 0.0012"},
		{"a tiny p", PValue(1e-7), "p = 1e-07"},
		{"the least p", PValue(0), "p < 1e-99"}, {"the largest p", PValue(0.999), "p = 1"},
		{"one retry", Plural(1, "retry", "retries"), "1 retry"}, {"two retries", Plural(2, "retry", "retries"), "2 retries"},
		{"unbroken", Unbroken("12.5 % of it, w = 0.010, corrected p = 4e-07"),
			"12.5\u00a0% of it, w\u00a0=\u00a00.010, corrected p\u00a0=\u00a04e\u221207"},
		{"a list with an escape", List([]string{"a\x1b", "b"}, 2), `a\x1b, b`},
		{"a list", List([]string{"a", "b", "c"}, 3), "a, b, c"},
		{"a long list", List([]string{"a", "b", "c"}, 2), "a, b and 1 more"},
		{"a short name", Shorten("abc", 3), "abc"}, {"a long name", Shorten("abcd", 3), "ab…"},
		{"a name with an escape", Shorten("\x1b", 3), `\x…`},
		{"a sentence", Capitalize("état"), "État"}, {"no sentence", Capitalize(""), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

func TestPrinter(t *testing.T) {
	p := Printer{Width: 20}
	p.Line("%s  ", "a line")
	p.Wrap("head ", 2, "words that are wrapped, and oneVeryLongWordThatIsCutSomewhere\x1b")
	p.Hang("- ", "words below each other")
	rows := [][]string{{"NAME", "USERS"}, {"a", "1,000"}, {"bcdef", "7"}}
	p.Table(1, rows)
	want := `a line
head words that are
  wrapped, and
  oneVeryLongWordTha
  tIsCutSomewhere\x1
  b
- words below each
  other
  NAME   USERS
  a      1,000
  bcdef      7
`
	if got := p.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if !p.Fits(rows) || (&Printer{Width: 13}).Fits(rows) {
		t.Errorf("a table of 14 columns: fits 20 is %v, fits 13 is %v", p.Fits(rows), (&Printer{Width: 13}).Fits(rows))
	}
}

func TestPrinterWhole(t *testing.T) {
	p := Printer{Width: 20, Whole: true}
	p.Hang("  ", "curl https://example.com/somewhere/far end")
	if got, want := p.String(), "  curl\n  https://example.com/somewhere/far\n  end\n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
