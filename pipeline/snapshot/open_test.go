//go:build unix

package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// A named pipe in the place of an output would wait for whoever writes it.
func TestOutputsAreRegularFiles(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "a.csv.manifest.json")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Mkdir(filepath.Join(dir, "d"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, filepath.Join(dir, "d"), "/dev/null"} {
		if f, err := (*blob.Files)(nil).Open(path); err == nil || !strings.Contains(err.Error(), path+" is not a regular file") {
			t.Errorf("%s: %v, %v; want that it is not a regular file", path, f, err)
		}
	}
	if _, err := ReadManifest(nil, pipe); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a manifest that is a pipe: %v", err)
	}
}
