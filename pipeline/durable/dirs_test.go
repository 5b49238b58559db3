package durable

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDirsBelow(t *testing.T) {
	for _, tt := range []struct{ base, dir, want string }{
		{"", "dt=1", "dt=1"},
		{".", "./dt=1/h=2/", "dt=1 dt=1/h=2"},
		{"out/", "out/dt=1//h=2", "out/dt=1 out/dt=1/h=2"},
		{"..", "../dt=1", "../dt=1"},
		{"/", "/dt=1/x", "/dt=1 /dt=1/x"},
		{"out", "out", ""},
		{"out", "other/dt=1", "error"},
		{"out", "../out/dt=1", "error"},
		{"/out", "out/dt=1", "error"},
	} {
		t.Run(tt.base+" "+tt.dir, func(t *testing.T) {
			dirs, err := DirsBelow(tt.base, tt.dir)
			got := strings.Join(dirs, " ")
			if err != nil {
				got = "error"
			}
			if got != filepath.FromSlash(tt.want) {
				t.Errorf("DirsBelow(%q, %q) = %q, %v; want %q", tt.base, tt.dir, dirs, err, tt.want)
			}
		})
	}
}

// TestDirs: directories are made once, what is in their way is left alone, and they go only if they are empty.
func TestDirs(t *testing.T) {
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	for _, name := range []string{"d", "elsewhere"} {
		if err := os.Mkdir(at(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{os.WriteFile(at("file"), nil, 0o600), os.WriteFile(at("d/x"), nil, 0o600),
		os.Symlink("elsewhere", at("link")), os.Symlink("nowhere", at("dangling"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	skipWithoutLinks(t, at("link"))
	for _, tt := range []struct {
		name    string
		made    bool
		err     string
		removed bool
	}{
		{"new", true, "", true},
		{"d", false, "", false},
		{"file", false, "there is a file of that name", false},
		{"link", false, "", false},
		{"dangling", false, "there is a file of that name", false},
		{"missing/new", false, "create the directory", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made, err := MakeDir(at(tt.name))
			if made != tt.made || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("MakeDir(%s) = %v, %v; want %v, %q", tt.name, made, err, tt.made, tt.err)
			}
			before, _ := os.ReadDir(base)
			removed, err := RemoveEmptyDir(at(tt.name))
			if removed != tt.removed || err != nil {
				t.Errorf("RemoveEmptyDir(%s) = %v, %v; want %v", tt.name, removed, err, tt.removed)
			}
			after, _ := os.ReadDir(base)
			if gone := len(before) - len(after); (gone == 1) != tt.removed {
				t.Errorf("RemoveEmptyDir(%s): %v, before %v", tt.name, after, before)
			}
			if tt.made && !slices.ContainsFunc(before, func(e os.DirEntry) bool { return e.Name() == tt.name }) {
				t.Errorf("MakeDir(%s) made none: %v", tt.name, before)
			}
		})
	}
}
