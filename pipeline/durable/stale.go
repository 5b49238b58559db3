package durable

import (
	"os"
	"path/filepath"
	"strings"
)

// RemoveStale removes the temporary files of path that killed processes have left. The caller makes sure that nobody
// writes path now.
func RemoveStale(path string) error {
	folder, name := filepath.Split(filepath.Clean(path))
	prefix, suffix := tempNames(name)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return Error("look at", filepath.Dir(path), err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), suffix) && e.Type().IsRegular() {
			if err := Remove(folder + e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// tempNames is what the temporary names of a file begin and end with.
func tempNames(name string) (prefix, suffix string) {
	return "." + name[:min(len(name), 200)] + ".rollcall-", ".tmp" // most file systems take 255 bytes
}
