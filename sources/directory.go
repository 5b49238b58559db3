package sources

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// ExpandPaths turns the arguments of a command into files. A glob becomes the files that it matches, and a directory the
// files of the table in it, each sorted by name. A file whose name looks like a glob is that file. "-" is kept. URLs of
// the stores become their objects; ctx ends their reads. stores may be nil.
//
// A directory is what Spark, Hive, DuckDB and others write as one table. Names in it that begin with _ or . are their
// own (_SUCCESS, _temporary, .part.crc), and are skipped. Directories in it named key=value are partitions, and are
// read too. Any other directory in it is an error, because it may not belong to the table. The files are the Parquet
// files, or else CSV, TSV and JSONL files if there are partitions.
//
// A path in a table of Delta Lake, Hudi or Iceberg is an error. A duplicate file is a [*SameFileError].
func ExpandPaths(ctx context.Context, stores *blob.Stores, args []string) ([]File, error) {
	var files []File
	tables := tableChecker{}
	for _, arg := range args {
		if arg == "-" {
			files = append(files, File{Path: arg})
			continue
		}
		if stores.Knows(arg) {
			objects, err := expandURL(ctx, stores, arg)
			if err == nil {
				err = tables.checkObjects(ctx, stores, objects)
			}
			if err != nil {
				return nil, err
			}
			for _, o := range objects {
				files = append(files, File{Path: o.URL(), Object: o})
			}
			continue
		}
		paths, err := expandPath(arg, tables)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			files = append(files, File{Path: path})
		}
	}
	return files, checkDistinct(files)
}

// expandPath is ExpandPaths for one local path.
func expandPath(arg string, tables tableChecker) (paths []string, err error) {
	matches := []string{arg}
	if _, err := os.Stat(arg); err != nil {
		if !strings.ContainsAny(arg, `*?[`) {
			return nil, err // it names the path
		}
		if matches, err = filepath.Glob(arg); err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		if len(matches) == 0 {
			return nil, fmt.Errorf("no file matches %s", arg)
		}
		slices.Sort(matches)
	}
	for _, match := range matches {
		if err := tables.checkPath(match); err != nil {
			return nil, err
		}
		if info, err := os.Stat(match); err != nil || !info.IsDir() {
			paths = append(paths, match) // if it cannot be read, Open returns the error
			continue
		}
		before := len(paths)
		found, err := appendDirectory(nil, match, 0)
		if err != nil {
			return nil, err
		}
		paths = append(paths, selectTableFiles(found, func(path string) string { return path })...)
		if len(paths) == before {
			return nil, newEmptyDirectoryError(match)
		}
		for _, path := range paths[before:] { // it may be in a partition, or behind a link
			if err := tables.checkPath(path); err != nil {
				return nil, err
			}
		}
	}
	return paths, nil
}

func newEmptyDirectoryError(dir string) error {
	return pipeline.WithHint(fmt.Errorf("the directory %s has no .parquet files", dir),
		"name files of other formats one by one, or with a glob; directories named key=value are read as a table")
}

func newNotPartitionError(dir, name string) error {
	return pipeline.WithHint(fmt.Errorf("the directory %s contains the directory %s, which is not a partition (key=value)",
		dir, name), "name the files to read, for example with a glob")
}

// maxPartitions bounds how deep partitions nest, because links may form a cycle.
const maxPartitions = 20

// appendDirectory appends the files of a directory and its partitions that have a format, in the order of their names.
func appendDirectory(paths []string, dir string, depth int) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), "_") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(path) // follows links
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			if hasFormat(path) {
				paths = append(paths, path)
			}
			continue
		}
		if _, _, ok := parsePartition(e.Name()); !ok || depth == maxPartitions {
			return nil, newNotPartitionError(dir, e.Name())
		}
		if paths, err = appendDirectory(paths, path, depth+1); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// parsePartition returns the column that the name of a directory means for all rows in it, in Hive's form: country=DE.
// A value that cannot be in a path is escaped, and null has a special name.
func parsePartition(name string) (key string, value pipeline.Value, ok bool) {
	key, text, ok := strings.Cut(name, "=")
	if !ok {
		return "", value, false
	}
	if k, err := url.PathUnescape(key); err == nil {
		key = k
	}
	if t, err := url.PathUnescape(text); err == nil {
		text = t
	}
	if text != "__HIVE_DEFAULT_PARTITION__" {
		value = pipeline.StringValue(text)
	}
	return key, value, key != ""
}

// parsePartitions returns the columns that the names of the directories directly above a file mean, outermost first.
// As in DuckDB and pyarrow, it does not matter whether the directory or the file was named.
func parsePartitions(f File) (columns []pipeline.Member, err error) {
	for dir := filepath.Dir(f.String()); ; dir = filepath.Dir(dir) {
		key, value, ok := parsePartition(filepath.Base(dir))
		if !ok {
			slices.Reverse(columns)
			return columns, nil
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value.Text) {
			return nil, fmt.Errorf("%s: the name of the partition %q is not valid UTF-8", f, filepath.Base(dir))
		}
		if !slices.ContainsFunc(columns, func(m pipeline.Member) bool { return strings.EqualFold(m.Name, key) }) {
			columns = append(columns, pipeline.Member{Name: key, Value: value})
		}
	}
}

// isPartitioned reports whether a file is in a partition.
func isPartitioned(path string) bool {
	_, _, ok := parsePartition(filepath.Base(filepath.Dir(path)))
	return ok
}

// withoutColumns returns the columns that are not partitions.
func withoutColumns(cols []column, partitions []pipeline.Member) []column {
	return slices.DeleteFunc(slices.Clone(cols), func(c column) bool {
		return slices.ContainsFunc(partitions, func(p pipeline.Member) bool { return p.Name == c.name })
	})
}

// selectTableFiles returns which files of a directory are the table: the Parquet files, or if there are none, those of
// the other formats, provided that some are in partitions. Without partitions nothing says that text files belong
// together.
func selectTableFiles[F any](files []F, path func(F) string) []F {
	isParquet := func(f F) bool { return strings.HasSuffix(strings.ToLower(path(f)), ".parquet") }
	switch {
	case slices.ContainsFunc(files, isParquet):
		return slices.DeleteFunc(files, func(f F) bool { return !isParquet(f) })
	case slices.ContainsFunc(files, func(f F) bool { return isPartitioned(path(f)) }):
		return files
	}
	return nil
}

// hasFormat reports whether the extension of a file is that of a format.
func hasFormat(path string) bool {
	_, err := detectFormat(File{Path: path}, "")
	return err == nil
}
