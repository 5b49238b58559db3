package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// directoriesBelow returns the directories between that of path and the file below it, outermost first. below must be
// local, as [filepath.IsLocal] says it.
func directoriesBelow(path, below string) ([]string, error) {
	if !filepath.IsLocal(below) {
		return nil, fmt.Errorf("create %s: internal error: it is not below %s", below, filepath.Dir(path))
	}
	dir, _ := filepath.Split(filepath.Clean(below))
	var dirs []string
	at := filepath.Dir(path)
	for name := range strings.SplitSeq(strings.TrimSuffix(dir, string(filepath.Separator)), string(filepath.Separator)) {
		if name != "" {
			at = filepath.Join(at, name)
			dirs = append(dirs, at)
		}
	}
	return dirs, nil
}

// CheckBelow refuses a file below the directory of path if something in the way there is not a directory: a link would
// lead elsewhere.
func CheckBelow(path, below string) error {
	dirs, err := directoriesBelow(path, below)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return WrapError("create", dir, err)
		case info.Mode()&fs.ModeSymlink != 0:
			return pipeline.WithHint(fmt.Errorf("create %s: it is a symbolic link, which is not followed", dir),
				"remove it, or write to another directory")
		case !info.IsDir():
			return fmt.Errorf("create %s: something that is not a directory has the name", dir)
		case isMountPoint(dir):
			return pipeline.WithHint(fmt.Errorf("create %s: it is on another file system than %s", dir, filepath.Dir(path)),
				"files are completed there and then renamed, which works in one file system only")
		}
	}
	return nil
}

// MakeBelow makes the directories of a file below the directory of path, and makes them survive a power loss.
func MakeBelow(path, below string) error {
	if err := CheckBelow(path, below); err != nil {
		return err
	}
	dirs, err := directoriesBelow(path, below)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if _, err := os.Lstat(dir); err == nil {
			continue
		}
		err := beforeOp("mkdir", dir, nil)
		if err == nil {
			err = os.Mkdir(dir, 0o777)
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return WrapError("create", dir, err)
		}
		if err := SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// RemoveEmptyBelow removes the directories of a file below the directory of path, as far as they are empty.
func RemoveEmptyBelow(path, below string) error {
	dirs, err := directoriesBelow(path, below)
	if err != nil {
		return err
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if entries, err := os.ReadDir(dirs[i]); err != nil || len(entries) > 0 {
			continue
		}
		err := beforeOp("rmdir", dirs[i], nil)
		if err == nil {
			err = os.Remove(dirs[i])
		}
		if err != nil {
			return nil // somebody uses it
		}
		if err := SyncDir(dirs[i]); err != nil {
			return err
		}
	}
	return nil
}
