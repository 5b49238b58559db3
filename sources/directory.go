package sources

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// ExpandPaths turns the arguments of a command into the paths of files: a glob into what it matches, a folder
// into the Parquet files in it, each sorted by name. A file with that very name goes before a glob. "-" stays.
//
// A folder is what Spark, Hive, DuckDB and the like write as one table: names that begin with _ or . are theirs
// (_SUCCESS, _temporary, .part.crc) and are skipped, and folders in it called key=value are partitions, which are read
// too. Any other folder in it is refused, because nothing says whether it belongs to the table.
//
// A table of Delta Lake, Hudi or Iceberg is refused, however a path leads into it. A file that is there twice is a
// [*SameFileError].
func ExpandPaths(args []string) ([]string, error) {
	var paths []string
	tables := tableChecker{}
	for _, arg := range args {
		if arg == "-" {
			paths = append(paths, arg)
			continue
		}
		matches := []string{arg}
		if _, err := os.Stat(arg); err != nil {
			if !strings.ContainsAny(arg, `*?[`) {
				return nil, err // it names the path
			}
			if matches, err = filepath.Glob(arg); err != nil {
				return nil, fmt.Errorf("%s: %w", arg, err)
			}
			if len(matches) == 0 {
				return nil, fmt.Errorf("nothing matches %s", arg)
			}
			slices.Sort(matches)
		}
		for _, match := range matches {
			if err := tables.check(match); err != nil {
				return nil, err
			}
			if info, err := os.Stat(match); err != nil || !info.IsDir() {
				paths = append(paths, match) // Open tells what is wrong with it
				continue
			}
			before := len(paths)
			var err error
			if paths, err = appendDirectory(paths, match, 0); err != nil {
				return nil, err
			}
			if len(paths) == before {
				return nil, pipeline.WithHint(fmt.Errorf("the folder %s holds no .parquet files", match), "files of other formats are named one by one, or with a glob")
			}
			for _, path := range paths[before:] { // a partition, or where a link leads
				if err := tables.check(path); err != nil {
					return nil, err
				}
			}
		}
	}
	return paths, checkDistinct(paths)
}

// maxPartitions bounds how deep partitions nest: links may go in circles.
const maxPartitions = 20

// appendDirectory appends the Parquet files of a folder and its partitions, in the order of their names.
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
		info, err := os.Stat(path) // where a link leads
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			if strings.HasSuffix(strings.ToLower(e.Name()), ".parquet") {
				paths = append(paths, path)
			}
			continue
		}
		if _, _, ok := parsePartition(e.Name()); !ok || depth == maxPartitions {
			return nil, pipeline.WithHint(fmt.Errorf("the folder %s holds the folder %s, which is no partition (key=value)", dir, e.Name()),
				"name the files to read, for example with a glob")
		}
		if paths, err = appendDirectory(paths, path, depth+1); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// parsePartition is what the name of a folder says about all rows in it, as Hive began it: country=DE. A value that
// cannot stand in a path is escaped, and null has a name of its own.
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

// parsePartitions are the columns that a file has by the folders right above it, from the outermost in. That is what DuckDB
// and pyarrow take from a path, whether a folder or the file itself was named.
func parsePartitions(f File) []pipeline.Member {
	if f.Name != "" {
		return nil // the path is one of ours
	}
	var columns []pipeline.Member
	for dir := filepath.Dir(f.Path); ; dir = filepath.Dir(dir) {
		key, value, ok := parsePartition(filepath.Base(dir))
		if !ok {
			slices.Reverse(columns)
			return columns
		}
		if !slices.ContainsFunc(columns, func(m pipeline.Member) bool { return strings.EqualFold(m.Name, key) }) {
			columns = append(columns, pipeline.Member{Name: key, Value: value})
		}
	}
}
