package pipeline

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestPartitionNames(t *testing.T) {
	tests := []struct {
		name, column, value, want string
	}{
		{"plain", "country", "DE", "country=DE"},
		{"space and letters outside of ASCII", "city", "São Paulo", "city=São Paulo"},
		{"null", "country", "", "country=__HIVE_DEFAULT_PARTITION__"},
		{"a text that looks like null", "country", NullPartition, "country=%5F_HIVE_DEFAULT_PARTITION__"},
		{"parent directory", "x", "..", "x=.%2E"},
		{"path", "x", "../../etc/passwd", "x=..%2F..%2Fetc%2Fpasswd"},
		{"column with a slash", "a/b", "c", "a%2Fb=c"},
		{"equals sign", "a=b", "c=d", "a%3Db=c%3Dd"},
		{"percent", "x", "100%", "x=100%25"},
		{"percent and digits", "x", "%2F", "x=%252F"},
		{"NUL and control characters", "x", "a\x00b\nc\x7f", "x=a%00b%0Ac%7F"},
		{"timestamp", "x", "2026-01-02T03:04:05Z", "x=2026-01-02T03%3A04%3A05Z"},
		{"trailing space", "x", "a ", "x=a%20"},
		{"backslash and drive", "x", `C:\temp`, "x=C%3A%5Ctemp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(AppendPartition(nil, tt.column, tt.value))
			if got != tt.want {
				t.Errorf("AppendPartition(%q, %q) = %q, want %q", tt.column, tt.value, got, tt.want)
			}
			column, value, isNull, err := ParsePartition(got)
			if column != tt.column || value != tt.value || isNull != (tt.value == "") || err != nil {
				t.Errorf("ParsePartition(%q) = %q, %q, %v, %v; want %q, %q, %v", got, column, value, isNull, err, tt.column,
					tt.value, tt.value == "")
			}
		})
	}
}

func TestParsePartitionRefuses(t *testing.T) {
	for _, name := range []string{"", "country", "country=", "country=a/b", "country=%2", "country=%zz", "country=%2f",
		"country=%41", "country=a\x00", "..", "country=a "} {
		if column, value, _, err := ParsePartition(name); err == nil {
			t.Errorf("ParsePartition(%q) = %q, %q; want an error", name, column, value)
		}
	}
}

func FuzzPartition(f *testing.F) {
	f.Add("country", "DE")
	f.Add("a/b", "..")
	f.Add("%", NullPartition)
	f.Fuzz(func(t *testing.T, column, value string) {
		name := string(AppendPartition(nil, column, value))
		if strings.ContainsAny(name, "/\\\x00") || !filepath.IsLocal(name) || filepath.Base(name) != name {
			t.Fatalf("AppendPartition(%q, %q) = %q, which is not one element of a path", column, value, name)
		}
		c, v, isNull, err := ParsePartition(name)
		if c != column || v != value || isNull != (value == "") || err != nil {
			t.Fatalf("ParsePartition(%q) = %q, %q, %v, %v; want %q, %q", name, c, v, isNull, err, column, value)
		}
	})
}
