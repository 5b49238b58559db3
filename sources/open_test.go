package sources

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// folder makes a folder of files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSeveralFiles(t *testing.T) {
	errorHeader := strings.Join(errorColumns, ",") + "\n"
	for _, test := range []struct {
		name  string
		files []string // name=content
		opts  Options
		rows  string
		err   string
	}{
		{name: "numbers run on", files: []string{"a.csv=user_id,x\na,1\nbad\n", "b.csv=user_id,x\n", "c.CSV=user_id,x\nb,1\n"}, rows: "1:a 2:!bad_row 3:b"},
		{name: "columns in another order", files: []string{"a.csv=user_id,x\na,1\n", "b.csv=x,user_id\n1,b\n"}, rows: "1:a 2:b"},
		{name: "compressed or not", files: []string{"a.csv=user_id\na\n", "b.csv.gz=" + string(gz(t, []byte("user_id\nb\n")))}, rows: "1:a 2:b"},
		{name: "JSONL", files: []string{"a.jsonl={\"user_id\":\"a\"}\n", "b.jsonl=", "c.jsonl={\"device_id\":\"b\"}"}, rows: "1:a 2:/b"},
		{name: "error records", files: []string{"a.csv=" + errorHeader + "4,,,,,,,,\"{\"\"user_id\"\":\"\"a\"\"}\"\n", "b.csv=" + errorHeader + "9,,,,,,,,\"{\"\"user_id\"\":\"\"b\"\"}\"\n"}, rows: "4:a 9:b"},
		{name: "error records, not in order", files: []string{"a.csv=" + errorHeader + "4,,,,,,,,\n", "b.csv=" + errorHeader + "2,,,,,,,,\n"}, rows: "4:!bad_row", err: "row number 2 comes after 4"},
		{name: "a column more", files: []string{"a.csv=user_id\na\n", "b.csv=user_id,x\nb,1\n"}, rows: "1:a", err: `b.csv has the column "x"`},
		{name: "a column less", files: []string{"a.csv=user_id,x\na,1\n", "b.csv=user_id\nb\n"}, rows: "1:a", err: `b.csv lacks the column "x"`},
		{name: "error records among users", files: []string{"a.jsonl={\"user_id\":\"a\"}", "b.jsonl=" + string(errorJSONL([]string{"user_id"}, [][]string{{"b"}}))}, rows: "1:a", err: "b.jsonl holds error records, but"},
		{name: "formats", files: []string{"a.csv=user_id\n", "b.tsv=user_id\n"}, err: "is tsv, but"},
		{name: "one format for all", files: []string{"a.csv=user_id\na\n", "b.txt=user_id\nb\n"}, opts: Options{Format: "csv"}, rows: "1:a 2:b"},
		{name: "unknown ending", files: []string{"a.txt=user_id\n"}, err: "the name does not tell the format"},
		{name: "unknown format", files: []string{"a.csv=user_id\n"}, opts: Options{Format: "xlsx"}, err: `unknown input format "xlsx"`},
		{name: "no files", err: "no input"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var files []File
			dir := t.TempDir()
			for _, f := range test.files {
				name, data, _ := strings.Cut(f, "=")
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
				files = append(files, File{Path: path})
			}
			var rows []got
			in, err := Open(files, test.opts)
			if err == nil {
				rows, err = readAll(in)
				mustClose(t, in)
			}
			if g := ids(rows); g != test.rows {
				t.Errorf("rows %q, want %q", g, test.rows)
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if strings.Contains(test.err, "format") && !strings.Contains(pipeline.Hint(err), "parquet") {
				t.Errorf("hint %q does not list the formats", pipeline.Hint(err))
			}
		})
	}
}

// The carried columns of all files have the type that the first one has.
func TestCarriedTypeDiffers(t *testing.T) {
	header := []string{"user_properties.n"}
	a := writeFile(t, "a.parquet", parquetBytes(t, withID(t, 1, textColumns(t, header, [][]string{{"x"}})...)))
	c := writeFile(t, "c.parquet", parquetBytes(t, withID(t, 1, parquetColumn{node: leafNode(t, header[0], parquet.Repetitions.Required, nil, parquet.Types.Int64, -1), values: []int64{1}})))
	in, err := Open(filesAt(a, c), Options{Mapping: Mapping{Carry: header}})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, in)
	rows, err := readAll(in)
	if len(rows) != 1 || err == nil || !strings.Contains(err.Error(), "c.parquet: the column user_properties.n is int, but in") {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestOnlyRegularFiles(t *testing.T) {
	dir := folder(t, map[string]string{"a.csv/x.csv": "user_id\n", "spool": "user_id,x\na,1\n\xff\n"})
	fifo := filepath.Join(dir, "fifo.csv")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "a.csv"): "is a folder", fifo: "is not a regular file", filepath.Join(dir, "none.csv"): "no such file", "/dev/null": "is not a regular file",
	} {
		if _, err := Open(filesAt(path), Options{Format: "csv"}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	in, err := Open([]File{{Path: filepath.Join(dir, "spool"), Name: "standard input"}}, Options{Format: "csv"})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, in)
	if _, err := readAll(in); err == nil || !strings.HasPrefix(err.Error(), "standard input: line 3: ") {
		t.Errorf("%v, want the name of standard input", err)
	}
}

func TestExpandPaths(t *testing.T) {
	dir := folder(t, map[string]string{"b.csv": "", "a.csv": "", "c[1].csv": "", "c1.csv": "", "parts/2.parquet": "", "parts/1.parquet": "", "parts/_SUCCESS": "", "par[t]s/9.parquet": "", "none/x": ""})
	t.Chdir(dir)
	for _, test := range []struct {
		args []string
		want []string
		err  string
	}{
		{[]string{"b.csv", "a.csv"}, []string{"b.csv", "a.csv"}, ""},
		{[]string{"?.csv"}, []string{"a.csv", "b.csv"}, ""},
		{[]string{"c[1].csv"}, []string{"c[1].csv"}, ""},
		{[]string{"c[1-2].csv"}, []string{"c1.csv"}, ""},
		{[]string{"parts"}, []string{"parts/1.parquet", "parts/2.parquet"}, ""},
		{[]string{"par[t]s"}, []string{"par[t]s/9.parquet"}, ""},
		{[]string{"-", "parts/*.parquet"}, []string{"-", "parts/1.parquet", "parts/2.parquet"}, ""},
		{[]string{"*.txt"}, nil, "nothing matches *.txt"},
		{[]string{"d.csv"}, nil, "d.csv: no such file"},
		{[]string{"none"}, nil, "the folder none holds no .parquet files"},
		{[]string{"[.csv"}, nil, "[.csv: syntax error in pattern"},
	} {
		got, err := ExpandPaths(test.args)
		if diff := cmp.Diff(test.want, got); test.err == "" && (err != nil || diff != "") {
			t.Errorf("%q: %v %s", test.args, err, diff)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%q: %v, want %q", test.args, err, test.err)
		}
	}
}
