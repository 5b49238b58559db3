package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestSplitList(t *testing.T) {
	tests := []struct {
		name, text string
		cut        byte
		want       []string
		err        string
	}{
		{name: "nothing"},
		{name: "blanks alone", text: " \t\n"},
		{name: "one", text: "a", want: []string{"a"}},
		{name: "blanks around", text: "a, b ,\tc\u00a0", want: []string{"a", "b", "c"}},
		{name: "blanks inside stay", text: "a b,c", want: []string{"a b", "c"}},
		{name: "lines", text: "a\nb\r\n\n c\n", want: []string{"a", "b", "c"}},
		{name: "lines with commas", text: "a,\nb,\n", want: []string{"a", "b"}},
		{name: "byte order mark", text: "\ufeffa", want: []string{"a"}},
		{name: "quotes hold commas and blanks", text: `"a,b", " c "`, want: []string{"a,b", " c "}},
		{name: "a quote in quotes", text: `"say ""hi"""`, want: []string{`say "hi"`}},
		{name: "quoted nothing", text: `a,""`, want: []string{"a", ""}},
		{name: "not UTF-8", text: "\xff,b", want: []string{"\xff", "b"}},
		{name: "pairs", text: "user_id = uid, groups.org=a=b", cut: '=', want: []string{"user_id=uid", "groups.org=a=b"}},
		{name: "a quoted half", text: `user_id=" uid, x"`, cut: '=', want: []string{"user_id= uid, x"}},
		{name: "pairs with the separator last", text: "a:b : int, c:json", cut: ':', want: []string{"a:b:int", "c:json"}},
		{name: "empty item", text: "a,,b", err: `item 2 of "a,,b" is empty`},
		{name: "comma at the end", text: "a,", err: `item 2 of "a," is empty`},
		{name: "comma at the start", text: ",a", err: `item 1 of ",a" is empty`},
		{name: "a comma alone", text: ",", err: "is empty"},
		{name: "a quote that does not end", text: `a,"b`, err: "does not end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := splitList(tt.text, tt.cut)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("splitList(%q): %q, %v; want the error %q", tt.text, got, err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("splitList(%q): %v (-want +got):\n%s", tt.text, err, diff)
			}
		})
	}
}

func TestReadList(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		err, hint  string
	}{
		{name: "empty"},
		{name: "as editors write it", text: "\ufeffa\r\n\r\n# not yet: c\r\nb # since May\r\n", want: []string{"a", "b"}},
		{name: "line ends of old Macs", text: "a\rb\r", want: []string{"a", "b"}},
		{name: "commas and quotes", text: "\"a\",\n\"b\", c\n", want: []string{"a", "b", "c"}},
		{name: "a # inside a key", text: "a#b\n\t#c", want: []string{"a#b"}},
		{name: "UTF-16, little end first", text: "\xff\xfea\x00\n\x00", err: "UTF-16", hint: "iconv"},
		{name: "UTF-16, big end first", text: "\xfe\xff\x00a", err: "UTF-16", hint: "iconv"},
		{name: "UTF-16 without a mark", text: "a\x00b\x00", err: "UTF-16", hint: "iconv"},
		{name: "Latin-1", text: "a\nb\xe9\n", err: "line 2 is not UTF-8", hint: "UTF-8"},
		{name: "an open quote", text: "a\n\"b\n", err: "line 2: a quote"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readList(strings.NewReader(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(pipeline.Hint(err), tt.hint) {
					t.Fatalf("readList(%q): %q, %v, hint %q; want the error %q, and %q in the hint", tt.text, got, err,
						pipeline.Hint(err), tt.err, tt.hint)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("readList(%q): %v (-want +got):\n%s", tt.text, err, diff)
			}
		})
	}
}

func TestOddKey(t *testing.T) {
	for key, want := range map[string]string{
		"checkout-redesign": "", "a.b/c:d_e[1]": "", "a b": "blank", "a\u00a0b": "blank", "a\x01": "cannot be seen",
		"a\u200bb": "cannot be seen",
		"“a”":      "“", "a#b": "#", `a"`: `"`, "größe": "ö", "a\xff": "cannot be seen",
	} {
		t.Run(key, func(t *testing.T) {
			if got := oddKey(key); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("oddKey(%q) = %q, want %q in it", key, got, want)
			}
		})
	}
}
