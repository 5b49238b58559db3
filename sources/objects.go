package sources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// expandURL is ExpandPaths for one URL.
func expandURL(ctx context.Context, stores *blob.Stores, url string) ([]*blob.Object, error) {
	isGlob := strings.ContainsAny(url, `*?[`)
	if isGlob {
		objects, err := stores.Glob(ctx, url)
		if len(objects) > 0 || err != nil {
			return objects, err
		}
	}
	dir := strings.TrimSuffix(url, "/")
	if dir == url {
		o, err := stores.Open(ctx, url)
		switch {
		case err == nil:
			return []*blob.Object{o}, nil
		case !errors.Is(err, blob.ErrNotExist):
			return nil, err
		case isGlob:
			return nil, fmt.Errorf("no object matches %s", url)
		}
		if listed, lerr := stores.List(ctx, dir, false, func(string) bool { return true }); lerr != nil || len(listed) == 0 {
			return nil, err
		}
	}
	var odd error
	objects, err := stores.List(ctx, dir, false, func(below string) bool {
		elements := strings.Split(below, "/")
		for i, e := range elements {
			if strings.HasPrefix(e, "_") || strings.HasPrefix(e, ".") {
				return false
			}
			if _, _, ok := parsePartition(e); !ok && i < len(elements)-1 && odd == nil {
				odd = newNotPartitionError(dir, strings.Join(elements[:i+1], "/"))
			}
		}
		return hasFormat(below)
	})
	if err == nil {
		err = odd
	}
	objects = selectTableFiles(objects, (*blob.Object).URL)
	if err == nil && len(objects) == 0 {
		err = newEmptyDirectoryError(url)
	}
	return objects, err
}

// checkObjects is checkPath for objects.
func (c tableChecker) checkObjects(ctx context.Context, stores *blob.Stores, objects []*blob.Object) error {
	for _, o := range objects {
		if format, err := detectFormat(File{Path: o.URL()}, ""); err == nil && format != "parquet" {
			continue
		}
		scheme, rest, _ := strings.Cut(o.URL(), "://")
		for dir := path.Dir(rest); dir != "."; dir = path.Dir(dir) {
			url := scheme + "://" + dir
			err, seen := c[url]
			if !seen {
				err = checkTableURL(ctx, stores, url)
				c[url] = err
			}
			if err != nil {
				return err
			}
			if seen { // and so are its parents
				break
			}
		}
	}
	return nil
}

// checkTableURL returns an error if a directory of a store is a table. Who may not list it may still read its objects.
func checkTableURL(ctx context.Context, stores *blob.Stores, url string) error {
	for _, format := range tableFormats {
		dir, suffix := url+"/"+format.marker, ""
		if within, last := path.Split(format.marker); within != "" {
			dir, suffix = url+"/"+within, strings.TrimPrefix(last, "*")
		}
		found, err := stores.Any(ctx, dir, suffix)
		if errors.Is(err, blob.ErrDenied) {
			return nil
		}
		if err != nil {
			return err
		}
		if found {
			return newTableError(url, format.name, format.export)
		}
	}
	return nil
}

func newTableError(dir, format, export string) error {
	return pipeline.WithHint(fmt.Errorf("%s is a %s table: its files also hold deleted and replaced rows", dir, format),
		"export the current version and read that:\n"+fmt.Sprintf(export, dir))
}
