package durable

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// longestName is the longest name that a hidden name has in full: most file systems allow 255 bytes,
// and the longest hidden name, for a copy of standard input, adds 27.
const longestName = 220

// Hidden returns the prefix of the names of all hidden files of path: ".NAME" in the same directory. A name that is too
// long is cut, and gets a hash of the whole name, so that two names never share hidden files.
func Hidden(path string) string {
	dir, name := filepath.Split(path)
	if len(name) > longestName {
		sum := sha256.Sum256([]byte(name))
		tag := "-" + hex.EncodeToString(sum[:8])
		name = strings.ToValidUTF8(name[:longestName-len(tag)], "") + tag // some file systems require whole characters
	}
	return dir + "." + name
}

// A temporary name is the hidden name, tempMark, a random token of tempToken bytes, and tempEnd.
const (
	tempMark  = ".rollcall-"
	tempEnd   = ".tmp"
	tempToken = 10
)

// tempName returns a new temporary name for path.
func tempName(path string) string {
	return Hidden(path) + tempMark + strings.ToLower(rand.Text()[:tempToken]) + tempEnd
}

// IsTemp reports whether name, which is a base name, is a temporary name of path.
func IsTemp(name, path string) bool {
	token, begins := strings.CutPrefix(name, filepath.Base(Hidden(path))+tempMark)
	token, ends := strings.CutSuffix(token, tempEnd)
	return begins && ends && len(token) == tempToken && !strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '2' || r > '7') // base32, as rand.Text has it
	})
}

// RemoveStale removes the temporary files of path that killed processes have left. The caller makes sure that nobody
// is writing path. A file of another user that cannot be removed stays; it does no harm.
func RemoveStale(path string) error {
	path = filepath.Clean(path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return WrapError("read directory", filepath.Dir(path), err)
	}
	dir, _ := filepath.Split(path)
	for _, e := range entries {
		if !IsTemp(e.Name(), path) || !e.Type().IsRegular() && e.Type() != fs.ModeSymlink {
			continue
		}
		err := Remove(dir + e.Name())
		if errors.Is(err, fs.ErrPermission) {
			if info, lerr := os.Lstat(dir + e.Name()); lerr == nil && !mayRemove(dir+e.Name(), info) {
				continue
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
