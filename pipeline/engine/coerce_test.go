package engine

import (
	"strconv"
	"strings"
	"testing"
)

// What Node 20 says of String.prototype.toLowerCase.
func TestToLower(t *testing.T) {
	many := strings.Repeat("\u00ad", 32)
	for _, tt := range []struct{ s, want string }{
		{"", ""},
		{"Straße ẞ", "straße ß"},
		{"İstanbul", "i̇stanbul"},
		{"\u212aÅ𐐀Ꭰ", "kå𐐨ꭰ"},
		{"Σ", "σ"},
		{"ΑΣ", "ας"},
		{"ΑΣΑ", "ασα"},
		{"ΑΣ'Α", "ασ'α"},
		{"ΑΣΣ Σ", "ασς σ"},
		{"Α\u0301:\u00adΣ.", "α\u0301:\u00adς."},
		{"\u02b0Σ", "\u02b0σ"}, // cased, but ignorable first of all
		{"1\u0345Σ", "1\u0345σ"},
		{"ⒶΣ1", "ⓐς1"},
		{"ΑΣ" + many + "Α",
			"ασ" + many + "α"},
	} {
		t.Run(strconv.QuoteToASCII(tt.s), func(t *testing.T) {
			if got := toLower(tt.s); got != tt.want {
				t.Errorf("toLower(%+q) = %+q, want %+q", tt.s, got, tt.want)
			}
		})
	}
}
