package sources

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// tableFormats are the formats that keep several versions of a table in one directory. A log in it lists the Parquet
// files of the current version. Without the log, deleted and replaced rows would be read too.
var tableFormats = []struct {
	name, marker string // the marker is a pattern in the directory
	export       string // a command that exports the current version
}{
	{"Delta Lake", "_delta_log", `duckdb -c "COPY (FROM delta_scan('%s')) TO 'users.parquet'"`},
	{"Hudi", ".hoodie", `in Spark: spark.read.format("hudi").load("%s").write.parquet("users")`},
	{"Iceberg", filepath.Join("metadata", "*.metadata.json"),
		`duckdb -c "COPY (FROM iceberg_scan('%s')) TO 'users.parquet'"`},
}

// tableChecker finds tables of these formats. It caches the result for each directory.
type tableChecker map[string]error

// checkPath returns an error if path is in such a table, or is one, also through a link. Text files are never part of
// one.
func (c tableChecker) checkPath(path string) error {
	if format, err := detectFormat(File{Path: path}, ""); err == nil && format != "parquet" {
		return nil
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	dir, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return c.checkDir(dir)
}

// checkDir checks a directory and all its parents, because the files of a table may be deep in it.
func (c tableChecker) checkDir(dir string) error {
	if err, seen := c[dir]; seen {
		return err
	}
	var err error
	for _, format := range tableFormats {
		if found := hasMatch(dir, format.marker); found {
			err = newTableError(dir, format.name, format.export)
			break
		}
	}
	if parent := filepath.Dir(dir); err == nil && parent != dir {
		err = c.checkDir(parent)
	}
	c[dir] = err
	return err
}

// hasMatch reports whether a name in dir matches the pattern, of which only the last element may have a *.
func hasMatch(dir, pattern string) bool {
	within, last := filepath.Split(pattern)
	suffix, isGlob := strings.CutPrefix(last, "*")
	if !isGlob {
		info, err := os.Stat(filepath.Join(dir, pattern))
		return err == nil && info.IsDir()
	}
	entries, err := os.ReadDir(filepath.Join(dir, within))
	if err != nil {
		return false
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			return true
		}
	}
	return false
}

// SameFileError is the error of an input that names one file twice.
type SameFileError struct{ A, B string }

func (e *SameFileError) Error() string {
	if e.A == e.B {
		return e.A + " is given twice: its users would be read twice"
	}
	return e.A + " and " + e.B + " are the same file: its users would be read twice"
}

// checkDistinct returns an error if a file is duplicated, also through a link or under another spelling.
func checkDistinct(files []File) error {
	type key struct {
		size, modified int64
		url            string
	}
	seen := map[key][]int{} // indices of files that may be the same
	infos := make([]os.FileInfo, len(files))
	for i, f := range files {
		k := key{url: f.Path}
		if f.Object == nil {
			info, err := os.Stat(f.Path)
			if err != nil {
				continue // "-", or an error of Open
			}
			infos[i] = info
			k = key{size: info.Size(), modified: info.ModTime().UnixNano()}
		}
		for _, j := range seen[k] {
			if f.Object != nil || os.SameFile(infos[i], infos[j]) {
				return pipeline.WithHint(&SameFileError{files[j].Path, f.Path}, "name it once")
			}
		}
		seen[k] = append(seen[k], i)
	}
	return nil
}
