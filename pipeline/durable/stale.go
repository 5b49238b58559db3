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

// longestName is how long a name may be for its hidden names to hold all of it: most file systems take 255 bytes,
// and the longest, of a copy of standard input, add 27.
const longestName = 220

// Hidden is what the names of all hidden files of path begin with: ".NAME" in the same folder. A name that is too
// long for that is cut, and ends with a hash of the whole: two names never share their hidden files.
func Hidden(path string) string {
	folder, name := filepath.Split(path)
	if len(name) > longestName {
		sum := sha256.Sum256([]byte(name))
		tag := "-" + hex.EncodeToString(sum[:8])
		name = strings.ToValidUTF8(name[:longestName-len(tag)], "") + tag // a file system may want whole characters
	}
	return folder + "." + name
}

// A temporary name is the hidden one with this around a random token of so many bytes.
const (
	tempMark  = ".rollcall-"
	tempEnd   = ".tmp"
	tempToken = 10
)

// tempName is a new temporary name for path.
func tempName(path string) string {
	return Hidden(path) + tempMark + strings.ToLower(rand.Text()[:tempToken]) + tempEnd
}

// IsTemp reports whether name, without a folder, is a temporary name of path.
func IsTemp(name, path string) bool {
	token, begins := strings.CutPrefix(name, filepath.Base(Hidden(path))+tempMark)
	token, ends := strings.CutSuffix(token, tempEnd)
	return begins && ends && len(token) == tempToken && !strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '2' || r > '7') // base32, as rand.Text has it
	})
}

// RemoveStale removes the temporary files of path that killed processes have left. The caller makes sure that nobody
// writes path now. One that is of another user, and cannot be removed, stays: it is in nobody's way.
func RemoveStale(path string) error {
	path = filepath.Clean(path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return WrapError("look at", filepath.Dir(path), err)
	}
	folder, _ := filepath.Split(path)
	for _, e := range entries {
		if !IsTemp(e.Name(), path) || !e.Type().IsRegular() && e.Type() != fs.ModeSymlink {
			continue
		}
		err := Remove(folder + e.Name())
		if errors.Is(err, fs.ErrPermission) {
			if info, lerr := os.Lstat(folder + e.Name()); lerr == nil && !mayRemove(folder+e.Name(), info) {
				continue
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
