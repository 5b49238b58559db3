package engine

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// recorded is what Java 17 says (testdata/Record.java).
type recorded struct {
	Numbers []struct {
		Text string
		Bits *string // of the double; nil: no number
	}
	Printed []struct{ Bits, Text string }
	Regexes []struct {
		Pattern string
		Matches []string // of the subjects; nil: not valid
	}
	Subjects []string
}

func readRecorded(t *testing.T) (r recorded) {
	t.Helper()
	data, err := os.ReadFile("testdata/java.json")
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parseBits(t *testing.T, hex string) float64 {
	t.Helper()
	bits, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return math.Float64frombits(bits)
}

func TestParseDouble(t *testing.T) {
	for _, tt := range readRecorded(t).Numbers {
		t.Run(strconv.QuoteToASCII(tt.Text), func(t *testing.T) {
			f, ok := parseDouble(tt.Text)
			if ok != (tt.Bits != nil) {
				t.Fatalf("parseDouble(%q) = %v, %v; Java: %v", tt.Text, f, ok, tt.Bits != nil)
			}
			if !ok {
				return
			}
			if want := parseBits(t, *tt.Bits); math.Float64bits(f) != math.Float64bits(want) && !(f != f && want != want) {
				t.Errorf("parseDouble(%q) = %v, want %v", tt.Text, f, want)
			}
		})
	}
}

// Double.toString. Java 17 does not always print the shortest digits; Java 19 does, and so do we.
func TestAppendDouble(t *testing.T) {
	for _, tt := range readRecorded(t).Printed {
		t.Run(tt.Text, func(t *testing.T) {
			f := parseBits(t, tt.Bits)
			got := string(appendDouble(nil, f))
			if again, err := strconv.ParseFloat(got, 64); err != nil || again != f {
				t.Errorf("%x is printed as %s, which is %v", tt.Bits, got, again)
			}
			if got != tt.Text && len(got) >= len(tt.Text) {
				t.Errorf("%x is printed as %s, want %s", tt.Bits, got, tt.Text)
			}
		})
	}
	for text, want := range map[string]string{"4.9e-324": "4.9E-324", "1e-323": "9.9E-324", "2e-323": "2.0E-323", "1e23": "1.0E23",
		"2e-44": "2.0E-44", "8.41e21": "8.41E21"} { // what Java 19 says
		f, err := strconv.ParseFloat(text, 64)
		if got := string(appendDouble(nil, f)); err != nil || got != want {
			t.Errorf("%s is printed as %s, want %s (%v)", text, got, want, err)
		}
	}
}

// A literal becomes text by what it is, as the API reads it.
func TestAppendLiteral(t *testing.T) {
	for literal, want := range map[string]string{"0": "0", "-0": "0", "18": "18", "9223372036854775807": "9223372036854775807",
		"-9223372036854775808": "-9223372036854775808", "9223372036854775808": "9.223372036854776E18", "2.0": "2.0",
		"2.50": "2.5", "1e7": "1.0E7", "1e2": "100.0", "0.00001": "1.0E-5", "1e+21": "1.0E21", "-0.0": "-0.0", "1e400": "Infinity"} {
		if got := string(appendLiteral(nil, literal)); got != want {
			t.Errorf("%s is the text %s, want %s", literal, got, want)
		}
	}
}

// Every expression either matches what Java matches, or is refused.
func TestJavaRegex(t *testing.T) {
	r := readRecorded(t)
	refused := []string{`\8`} // it can never match
	for _, tt := range r.Regexes {
		t.Run(strconv.QuoteToASCII(tt.Pattern), func(t *testing.T) {
			re, err := compileJavaRegex(tt.Pattern)
			switch {
			case tt.Matches == nil:
				if err == nil {
					t.Fatalf("%q is valid; Java: it is not", tt.Pattern)
				}
				return
			case err != nil:
				if !strings.HasSuffix(err.Error(), "not supported") || !slices.Contains(refused, tt.Pattern) {
					t.Errorf("%q is refused: %v", tt.Pattern, err)
				}
				return
			}
			for _, s := range r.Subjects {
				if got, want := re.MatchString(s), slices.Contains(tt.Matches, s); got != want {
					t.Errorf("%q matches %q: %v, want %v", tt.Pattern, s, got, want)
				}
			}
		})
	}
	for pattern, want := range map[string]string{
		"(?=a)": "lookahead", "(?!a)": "lookahead", "(?<=a)b": "lookbehind", "(?<!a)b": "lookbehind", `(a)\1`: "backreference",
		`(?<n>a)\k<n>`: "backreference", "(?>a)": "atomic", "a*+": "possessive", "a{2}+": "possessive", "a?+": "possessive",
		"[a-z&&[^b]]": "intersection", "[a[b]]": "class in another", "[]a]": "begins with ]", `a\Z`: `\Z`, `\Ga`: `\G`, `\X`: `\X`,
		`\N{LATIN SMALL LETTER A}`: `\N`, "(?m)^a$": "flag m", "(?x) a": "flag x", "(?u)a": "flag u", "(?U)a": "flag U", "(?d).": "flag d",
		`a$\n?`: "a $ that", `(a$)*`: "a $ that", `(?i)\p{Lu}`: "flag i", `\p{IsLatin}`: "the property", `\b{g}`: `\b`,
		"a{1001}": "more than 1,000", `\uD83D`: "half of a surrogate", `[\Qa\E]`: `\Q`,
	} {
		if _, err := compileJavaRegex(pattern); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasSuffix(err.Error(), "not supported") {
			t.Errorf("%q: error %v, want one that says that %s is not supported", pattern, err, want)
		}
	}
}

// Texts that begin with a bracket, as Kotlin's serialization reads them when it is lenient.
func TestParseLooseList(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string // nil: no list
	}{
		{`[]`, []string{}},
		{` []`, nil},
		{`[ ] `, []string{}},
		{`["a","b"]`, []string{"a", "b"}},
		{`["a","",null]`, []string{"a", ""}},
		{`[a, b]`, []string{}},
		{`[1, x]`, []string{"1"}},
		{`[1, 2.0, 1e7, 01, +1, 1f, 0x1p3]`, []string{"1", "2.0", "1.0E7", "1", "1.0", "1.0", "8.0"}},
		{`[NaN, Infinity, -Infinity]`, []string{"NaN", "Infinity", "-Infinity"}},
		{`[true, FALSE, tRue, "TRUE"]`, []string{"true", "false", "true", "TRUE"}},
		{`["null", null, NULL]`, []string{"null"}},
		{`[a b]`, nil},
		{`[a:b]`, nil},
		{`["a" "b"]`, nil},
		{`["a",]`, nil},
		{`[,"a"]`, nil},
		{`["a"]x`, nil},
		{`["a" ]x`, nil},
		{`[broken`, nil},
		{`["a`, nil},
		{`["a"`, nil},
		{`[a`, nil},
		{`[a\]`, nil},
		{"[\"a\nb\"]", []string{"a\nb"}},
		{"[a\x01]", nil},
		{`["\u0041\n\"\/\ud83d\ude00"]`, []string{"A\n\"/\U0001f600"}},
		{`["\x"]`, nil},
		{`["\u00g0"]`, nil},
		{`["\ud83dx"]`, []string{"\ufffdx"}},
		{`[["x",1.0],[y]]`, []string{`["x",1.0]`, `[null]`}},
		{`[{"a":1e7,b:[c],"a":2}]`, []string{`{"a":2,"b":[null]}`}},
		{`[{"a":1,}]`, nil},
		{`[{"a"}]`, nil},
		{`[{}]`, []string{`{}`}},
		{`[[],{}]`, []string{`[]`, `{}`}},
		{`[[1]2]]`, []string{"[1,2]"}}, // a fault of the reader, which hosted evaluation has
		{`[é]`, []string{}},
		{strings.Repeat("[", 900) + strings.Repeat("]", 900), []string{strings.Repeat("[", 899) + strings.Repeat("]", 899)}},
		{strings.Repeat("[", 1e6), nil},
	} {
		t.Run(strconv.QuoteToASCII(tt.text[:min(len(tt.text), 40)]), func(t *testing.T) {
			got, ok := parseLooseList(nil, tt.text)
			if ok != (tt.want != nil) || ok && !slices.Equal(got, tt.want) {
				t.Errorf("%.60q is the list %q (%v), want %q", tt.text, got, ok, tt.want)
			}
		})
	}
}

// FuzzHosted: nothing that a user can have ends the process, and what is a list of JSON is one for the lenient reader.
func FuzzHosted(f *testing.F) {
	for _, s := range append(slices.Clone(listSeeds), "[a]", "[1,x]", "[[1]2]]", "1.2.3-a.b+c", "0x1p3", "1e5d") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parseDouble(s)
		parseSemanticVersion(s)
		_, _ = compileJavaRegex(s)
		if s == "" || s[0] != '[' {
			return
		}
		_, ok := parseLooseList(nil, s)
		if _, strict := parseList(nil, s); strict && !ok && len(s) < maxLooseDepth {
			t.Errorf("%q is a list, but not for the lenient reader", s)
		}
		if fast, ok := parseStrings(nil, s, true); ok {
			if slow, ok := parseLooseList(nil, s); !ok || !slices.Equal(fast, slow) {
				t.Errorf("%q: %q, and read slowly %q (%v)", s, fast, slow, ok)
			}
		}
	})
}

func TestParseSemanticVersion(t *testing.T) {
	for _, tt := range []struct {
		text string
		ok   bool
		want version
	}{
		{"1.2", true, version{1, 2, 0, ""}},
		{"01.02.03", true, version{1, 2, 3, ""}},
		{"1.2.3-beta.1", true, version{1, 2, 3, "-beta.1"}},
		{"1.2.3+build.5", true, version{1, 2, 3, ""}},
		{"1.2.3-rc+b", true, version{1, 2, 3, "-rc"}},
		{"1.2.3--", true, version{1, 2, 3, "--"}},
		{"1.2.3-0", true, version{1, 2, 3, "-0"}},
		{"1.2.3-01a", true, version{1, 2, 3, "-01a"}},
		{"2147483647.2147483647.2147483647", true, version{math.MaxInt32, math.MaxInt32, math.MaxInt32, ""}},
		{"1.2.2147483648", true, version{1, 2, 0, ""}},
		{"1.2.99999999999999999999-a", true, version{1, 2, 0, "-a"}},
		{"1", false, version{}}, {"1.", false, version{}}, {"1.2.", false, version{}}, {"v1.2", false, version{}},
		{"1.2.3.4", false, version{}}, {"1.2+b", false, version{}}, {"1.2-b", false, version{}}, {"1.2.3-", false, version{}},
		{"1.2.3-a_b", false, version{}}, {"1.2.3-a..b", false, version{}}, {"1.2.3-a.", false, version{}}, {"1.2.3-01", false, version{}},
		{"1.2.3+", false, version{}}, {"1.2.3+a+b", false, version{}}, {"1.2.3+a_b", false, version{}},
		{"2147483648.0", false, version{}}, {"1.2147483648", false, version{}}, {"1.2147483648.1", false, version{}}, {"1.2\n", false, version{}},
	} {
		t.Run(tt.text, func(t *testing.T) {
			got, ok := parseSemanticVersion(tt.text)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("%q is %+v (%v), want %+v (%v)", tt.text, got, ok, tt.want, tt.ok)
			}
		})
	}
}
