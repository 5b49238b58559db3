package durable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBelow(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "part.csv")
	for _, below := range []string{"a=1/b=2/part-00000.csv", "a=1/b=3/part-00000.csv", "part-00000.csv"} {
		if err := MakeBelow(out, below); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, below), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveEmptyBelow(out, "a=1/b=2/part-00000.csv"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a=1/b=2")); err != nil {
		t.Errorf("a directory with a file was removed: %v", err)
	}
	if err := Remove(filepath.Join(dir, "a=1/b=2/part-00000.csv")); err != nil {
		t.Fatal(err)
	}
	if err := RemoveEmptyBelow(out, "a=1/b=2/part-00000.csv"); err != nil {
		t.Error(err)
	}
	if got := listFiles(t, filepath.Join(dir, "a=1")); len(got) != 1 || got[0] != "b=3" {
		t.Errorf("left %q, want b=3", got)
	}
}

func TestBelowRefuses(t *testing.T) {
	dir := t.TempDir()
	out, elsewhere := filepath.Join(dir, "part.csv"), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, "a=link")); err != nil {
		t.Fatal(err)
	}
	skipWithoutLinks(t, filepath.Join(dir, "a=link"))
	if err := os.WriteFile(filepath.Join(dir, "a=file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for below, want := range map[string]string{
		"a=link/x.csv":     "it is a symbolic link",
		"a=link/b=1/x.csv": "it is a symbolic link",
		"a=file/x.csv":     "not a directory",
		"../x.csv":         "not below",
		"/etc/x.csv":       "not below",
		"a=1/../../x.csv":  "not below",
	} {
		for name, f := range map[string]func(string, string) error{"CheckBelow": CheckBelow, "MakeBelow": MakeBelow} {
			if err := f(out, below); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s(%q): %v, want %q", name, below, err, want)
			}
		}
	}
	if got := listFiles(t, elsewhere); len(got) > 0 {
		t.Errorf("made %q", got)
	}
}
