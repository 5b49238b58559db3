package durable

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestHiddenNames: a name that fits is kept whole; of one that is cut, no other name has the same hidden names.
func TestHiddenNames(t *testing.T) {
	long := strings.Repeat("n", 240)
	tests := []struct {
		name, path string
		cut        bool
	}{
		{"short", "out/a.csv", false},
		{"without a directory", "a.csv", false},
		{"the longest that is kept", "out/" + strings.Repeat("n", longestName), false},
		{"one more", "out/" + strings.Repeat("n", longestName+1), true},
		{"same beginning, one end", "out/" + long + "-a.csv", true},
		{"same beginning, another end", "out/" + long + "-b.csv", true},
		{"characters of three bytes", "out/" + strings.Repeat("選", 81) + ".csv", true},
		{"same characters, another end", "out/" + strings.Repeat("選", 81) + ".tsv", true},
	}
	seen := map[string]string{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Hidden(tt.path)
			dir, name := filepath.Split(tt.path)
			if whole := dir + "." + name; !tt.cut && got != whole || tt.cut && got == whole {
				t.Errorf("Hidden(%q) = %q, want it cut: %v", tt.path, got, tt.cut)
			}
			if other, twice := seen[got]; twice {
				t.Errorf("Hidden(%q) is that of %q", tt.path, other)
			}
			seen[got] = tt.path
			if longest := filepath.Base(got) + ".rollcall.stdin-4294967295"; len(longest) > 255 || !utf8.ValidString(longest) {
				t.Errorf("Hidden(%q) = %q makes a name of %d bytes, valid UTF-8: %v", tt.path, got, len(longest),
					utf8.ValidString(longest))
			}
			if temp := filepath.Base(tempName(tt.path)); len(temp) > 255 || !IsTemp(temp, tt.path) {
				t.Errorf("the temporary name %q of %q has %d bytes, IsTemp: %v", temp, tt.path, len(temp), IsTemp(temp, tt.path))
			}
		})
	}
}

func TestIsTemp(t *testing.T) {
	for name, want := range map[string]bool{
		".a.csv.rollcall-abcdefg234.tmp":                     true,
		".a.csv.rollcall-abcdefg23.tmp":                      false,
		".a.csv.rollcall-abcdefg2345.tmp":                    false,
		".a.csv.rollcall-ABCDEFG234.tmp":                     false,
		".a.csv.rollcall-../../../x.tmp":                     false,
		".a.csv.rollcall-abcd/fg234.tmp":                     false,
		".a.csv.rollcall-b.csv.rollcall-abcdefg234.tmp":      false, // of the output a.csv.rollcall-b.csv
		".b.csv.rollcall-abcdefg234.tmp":                     false,
		"a.csv.rollcall-abcdefg234.tmp":                      false,
		".a.csv.rollcall":                                    false,
		".a.csv.rollcall.stdin-123":                          false,
		"../.a.csv.rollcall-abcdefg234.tmp":                  false,
		".a.csv.rollcall-abcdefg234.tmp.tmp":                 false,
		".a.csv.rollcall-abcdefg234.tmp\x00":                 false,
		"/etc/cron.d/.a.csv.rollcall-abcdefg234.tmp":         false,
		".a.csv.rollcall-" + strings.Repeat("é", 5) + ".tmp": false,
	} {
		t.Run(name, func(t *testing.T) {
			if got := IsTemp(name, "out/a.csv"); got != want {
				t.Errorf("IsTemp(%q, out/a.csv) = %v, want %v", name, got, want)
			}
		})
	}
}

// TestRemoveStale: the temporary files of this output go, and nothing else does.
func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("n", 240)
	path, other := filepath.Join(dir, long+"-a.csv"), filepath.Join(dir, long+"-b.csv")
	for _, p := range []string{path, other, filepath.Join(dir, "a.csv"), filepath.Join(dir, "a.csv.rollcall-b.csv")} {
		temp, err := CreateTemp(p, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := temp.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".a.csv.rollcall-abcdefg234.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := listFiles(t, dir)
	for _, p := range []string{path, filepath.Join(dir, "a.csv")} {
		if err := RemoveStale(p); err != nil {
			t.Fatal(err)
		}
	}
	after := listFiles(t, dir)
	gone := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(after, name) })
	if len(gone) != 2 || !IsTemp(gone[0], path) && !IsTemp(gone[1], path) {
		t.Errorf("removed %q, want the temporary files of %s and of a.csv", gone, path)
	}
	if _, err := os.Lstat(filepath.Join(dir, ".a.csv.rollcall-abcdefg234.tmp")); err != nil {
		t.Errorf("the directory: %v", err)
	}
}
