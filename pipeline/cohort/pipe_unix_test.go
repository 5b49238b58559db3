//go:build unix

package cohort

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

func TestPipesAreRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.csv")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), Options{Files: map[string]string{"vip": pipe}}); !errors.Is(err, errNotRegular) {
		t.Errorf("a pipe: %v, want that it is not a regular file", err)
	}
}
