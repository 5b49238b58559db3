package sources

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// A path into a table whose log lists its current files is an error. A log elsewhere, or a file that only has such a
// name, is not.
func TestTables(t *testing.T) {
	dir := makeDirectory(t, map[string]string{
		"delta/_delta_log/00000000000000000000.json": "{}", "delta/1.parquet": "", "delta/day=1/2.parquet": "",
		"delta/notes.csv":                "",
		"hudi/.hoodie/hoodie.properties": "", "hudi/2026/11/27/1.parquet": "",
		"iceberg/metadata/v1.metadata.json": "{}", "iceberg/data/day=1/1.parquet": "",
		"gz/metadata/00001-x.gz.metadata.json": "", "gz/data/1.parquet": "",
		"lake/kind=a/1.parquet": "", "lake/kind=b/_delta_log/0.json": "", "lake/kind=b/1.parquet": "",
		"plain/metadata/readme.json": "", "plain/1.parquet": "", "plain2/1.parquet": "", "plain2/_delta_log": "",
	})
	t.Chdir(dir)
	for link, to := range map[string]string{"link": "delta", "file.parquet": "hudi/2026/11/27/1.parquet",
		"plain/z.parquet": "../delta/1.parquet"} {
		t.Run(link, func(t *testing.T) {
			if err := os.Symlink(to, link); err != nil {
				t.Fatal(err)
			}
		})
	}
	here, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, arg string
		table     string // the table's directory; "" means no error
		format    string
		hint      string
	}{
		{"a Delta table", "delta", "delta", "Delta Lake", "delta_scan('" + here + "/delta')"},
		{"its files", "delta/*.parquet", "delta", "Delta Lake", "delta_scan"},
		{"one of them", "delta/1.parquet", "delta", "Delta Lake", "delta_scan"},
		{"a partition", "delta/day=1", "delta", "Delta Lake", "delta_scan"},
		{"its log", "delta/_delta_log", "delta", "Delta Lake", "delta_scan"},
		{"a link to it", "link", "delta", "Delta Lake", "delta_scan"},
		{"text beside it", "delta/notes.csv", "", "", ""},
		{"a Hudi table", "hudi", "hudi", "Hudi", `load("` + here + `/hudi")`},
		{"deep in it", "hudi/2026/*/27/*.parquet", "hudi", "Hudi", "spark"},
		{"a link to a file in it", "file.parquet", "hudi", "Hudi", "spark"},
		{"an Iceberg table", "iceberg", "iceberg", "Iceberg", "iceberg_scan('" + here + "/iceberg')"},
		{"its data", "iceberg/data", "iceberg", "Iceberg", "iceberg_scan"},
		{"its metadata, compressed", "gz/data/1.parquet", "gz", "Iceberg", "iceberg_scan"},
		{"a partition that is a table", "lake", "lake/kind=b", "Delta Lake", "delta_scan"},
		{"a glob over tables", "*/*.parquet", "delta", "Delta Lake", "delta_scan"},
		{"a link in a directory", "plain/?.parquet", "delta", "Delta Lake", "delta_scan"},
		{"other metadata", "plain/1.parquet", "", "", ""},
		{"a file of that name", "plain2", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			paths, err := expandLocal(t, test.arg)
			if test.table == "" {
				if err != nil || len(paths) != 1 {
					t.Errorf("%s: %v, %v; want a file", test.arg, paths, err)
				}
				return
			}
			want := filepath.Join(here, test.table) + " is a " + test.format + " table"
			if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(pipeline.Hint(err), test.hint) {
				t.Errorf("%s: %v, %v (hint %q); want %q and a hint with %q", test.arg, paths, err, pipeline.Hint(err), want,
					test.hint)
			}
		})
	}
}

// A duplicate file would double its users.
func TestSameFileTwice(t *testing.T) {
	t.Chdir(makeDirectory(t, map[string]string{"p1.csv": "user_id\na\n", "p2.csv": "user_id\nb\n",
		"copy.csv": "user_id\na\n", "d/1.parquet": "x"}))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink("p1.csv", "link.csv"), os.Link("p2.csv", "hard.csv"),
		os.Symlink("d", "e")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		a, b string // "" means no error
	}{
		{"a glob and a name", []string{"p*.csv", "p1.csv"}, "p1.csv", "p1.csv"},
		{"another spelling", []string{"p1.csv", "./p2.csv", "../" + filepath.Base(here) + "/p1.csv"}, "p1.csv", "../" +
			filepath.Base(here) + "/p1.csv"},
		{"the whole path", []string{"p1.csv", here + "/p1.csv"}, "p1.csv", here + "/p1.csv"},
		{"a link", []string{"p1.csv", "link.csv"}, "p1.csv", "link.csv"},
		{"a hard link", []string{"hard.csv", "p?.csv"}, "hard.csv", "p2.csv"},
		{"a directory and a link to it", []string{"d", "e"}, "d/1.parquet", "e/1.parquet"},
		{"a directory and a file in it", []string{"d", "d/1.parquet"}, "d/1.parquet", "d/1.parquet"},
		{"two files of the same content", []string{"p1.csv", "copy.csv"}, "", ""},
		{"two files", []string{"p?.csv"}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			paths, err := expandLocal(t, test.args...)
			same, ok := errors.AsType[*SameFileError](err)
			if test.a == "" {
				if err != nil {
					t.Errorf("%q: %v, %v; want the files", test.args, paths, err)
				}
				return
			}
			if !ok || same.A != test.a || same.B != test.b {
				t.Errorf("%q: %v, %v; want that %s and %s are the same", test.args, paths, err, test.a, test.b)
			}
		})
	}
}
