//go:build unix

package cohort

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPipesAreRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.csv")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), Options{Files: map[string]string{"vip": pipe}}); err == nil ||
		!strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a pipe: %v, want that it is not a regular file", err)
	}
}
