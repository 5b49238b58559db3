package blob

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
)

// Below returns the paths of the files in a directory and in those below it for which descend returns true, relative to
// it, with slashes, sorted. On disk it follows no links. In a store, a directory without files does not exist. stores
// may be nil.
func Below(ctx context.Context, stores *Stores, dir string, descend func(below string) bool) ([]string, error) {
	var found []string
	if stores.Knows(dir) {
		_, err := stores.List(ctx, dir, false, func(below string) bool {
			for at := path.Dir(below); at != "."; at = path.Dir(at) {
				if !descend(at) {
					return false
				}
			}
			found = append(found, below)
			return false
		})
		slices.Sort(found)
		return found, err
	}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		below := filepath.ToSlash(rel)
		switch {
		case err != nil || below == ".":
			return err
		case e.IsDir() && !descend(below):
			return filepath.SkipDir
		case !e.IsDir():
			found = append(found, below)
		}
		return ctx.Err()
	})
	slices.Sort(found)
	return found, err
}

// Below is [Below] for the directory of a name. A directory that does not exist has no files.
func (f *Files) Below(dir string, descend func(below string) bool) ([]string, error) {
	ctx, stores := context.Background(), (*Stores)(nil)
	if f != nil {
		ctx, stores = f.ctx, f.stores
	}
	found, err := Below(ctx, stores, dir, descend)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if f.InStore(dir) {
		err = f.note(err)
	}
	return found, err
}
