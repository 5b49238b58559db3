//go:build unix

package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestPrintSections(t *testing.T) {
	var b strings.Builder
	printSections(&b, section{"rate: on the wire", []figure{
		atLeast("--rate 100 at 60ms", "%.1f %%", 99.04, 99, "99.04/s"),
		atMost("peak of 10000 columns x 3 rows", "%.0f MB", 1237.2, 128, "unlimited 12345"),
		described("files", "12.3 MB", ""),
	}, []string{"A note."}})
	want := `#
#                                       wanted   reached beside
# rate: on the wire
#   --rate 100 at 60ms               >= 99.0 %    99.0 % 99.04/s          met
#   peak of 10000 columns x 3 rows   <= 128 MB   1237 MB unlimited 12345  MISSED
#   files                                        12.3 MB
#   A note.
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("the figures (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns, want 80 at most: %s", n, line)
		}
	}
}

func TestFigureIsHeld(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    figure
		want bool
	}{
		{"below the most", atMost("", "%.0f", 127, 128, ""), true},
		{"the most", atMost("", "%.0f", 128, 128, ""), true},
		{"above the most", atMost("", "%.0f", 128.2, 128, ""), false},
		{"above the least", atLeast("", "%.0f", 48, 47, ""), true},
		{"the least", atLeast("", "%.0f", 47, 47, ""), true},
		{"below the least", atLeast("", "%.0f", 46.9, 47, ""), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.f.held != tt.want {
				t.Errorf("%+v: held %t, want %t", tt.f, tt.f.held, tt.want)
			}
		})
	}
}
