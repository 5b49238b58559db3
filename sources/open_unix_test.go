//go:build unix

package sources

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestOnlyRegularFiles(t *testing.T) {
	dir := makeDirectory(t, map[string]string{"a.csv/x.csv": "user_id\n", "spool": "user_id,x\na,1\n\xff\n"})
	fifo := filepath.Join(dir, "fifo.csv")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "a.csv"): "is a directory", fifo: "is not a regular file",
		filepath.Join(dir, "none.csv"): "no such file", "/dev/null": "is not a regular file",
	} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if _, err := Open(filesAt(path), Options{Format: "csv"}); err == nil || !strings.Contains(err.Error(), want) ||
				!strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v, want %q", path, err, want)
			}
		})
	}
	in, err := Open([]File{{Path: filepath.Join(dir, "spool"), Name: "standard input"}}, Options{Format: "csv"})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, in)
	if _, err := readAll(in); err == nil || !strings.HasPrefix(err.Error(), "standard input: line 3: ") {
		t.Errorf("%v, want the name of standard input", err)
	}
}
