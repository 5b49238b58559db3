package sources

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// makeDirectory makes a directory of files.
func makeDirectory(t *testing.T, files map[string]string) string {
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
	errorHeader := strings.Join(errorColumns[:9], ",") + "\n"
	for _, test := range []struct {
		name  string
		files []string // name=content
		opts  Options
		rows  string
		err   string
	}{
		{name: "numbers run on", files: []string{"a.csv=user_id,x\na,1\nbad\n", "b.csv=user_id,x\n",
			"c.CSV=user_id,x\nb,1\n"}, rows: "1:a 2:!bad_row 3:b"},
		{name: "columns in another order", files: []string{"a.csv=user_id,x\na,1\n", "b.csv=x,user_id\n1,b\n"},
			rows: "1:a 2:b"},
		{name: "compressed or not", files: []string{"a.csv=user_id\na\n", "b.csv.gz=" +
			string(gzipBytes(t, []byte("user_id\nb\n")))}, rows: "1:a 2:b"},
		{name: "JSONL", files: []string{"a.jsonl={\"user_id\":\"a\"}\n", "b.jsonl=", "c.jsonl={\"device_id\":\"b\"}"},
			rows: "1:a 2:/b"},
		{name: "error records", files: []string{"a.csv=" + errorHeader + "4,,,,,,,,\"{\"\"user_id\"\":\"\"a\"\"}\"\n",
			"b.csv=" + errorHeader + "9,,,,,,,,\"{\"\"user_id\"\":\"\"b\"\"}\"\n"}, rows: "4:a 9:b"},
		{name: "error records, not in order", files: []string{"a.csv=" + errorHeader + "4,,,,,,,,\n", "b.csv=" + errorHeader +
			"2,,,,,,,,\n"}, rows: "4:!bad_row", err: "row number 2 comes after 4"},
		{name: "a column more", files: []string{"a.csv=user_id\na\n", "b.csv=user_id,x\nb,1\n"},
			err: `b.csv has the column "x"`},
		{name: "a column less", files: []string{"a.csv=user_id,x\na,1\n", "b.csv=user_id\nb\n"},
			err: `b.csv lacks the column "x"`},
		{name: "error records among users", files: []string{"a.jsonl={\"user_id\":\"a\"}", "b.jsonl=" +
			string(errorJSONL([]string{"user_id"}, [][]string{{"b"}}))}, rows: "1:a", err: "b.jsonl holds error records, but"},
		{name: "formats", files: []string{"a.csv=user_id\n", "b.tsv=user_id\n"}, err: "is tsv, but"},
		{name: "one format for all", files: []string{"a.csv=user_id\na\n", "b.txt=user_id\nb\n"},
			opts: Options{Format: "csv"}, rows: "1:a 2:b"},
		{name: "ndjson is JSONL", files: []string{"a.ndjson={\"user_id\":\"a\"}\n", "b.NDJSON.gz=" +
			string(gzipBytes(t, []byte("{\"user_id\":\"b\"}\n"))), "c.ndjson.zst=" +
			string(zstdBytes(t, []byte("{\"user_id\":\"c\"}\n"))),
			"d.jsonl={\"user_id\":\"d\"}"}, rows: "1:a 2:b 3:c 4:d"},
		{name: "ndjson by name", files: []string{"a.txt={\"user_id\":\"a\"}\n"}, opts: Options{Format: "ndjson"},
			rows: "1:a"},
		{name: "json", files: []string{"a.json=[]"}, err: "a .json file may hold anything"},
		{name: "a JSON array", files: []string{"a.jsonl=\n [{\"user_id\":\"a\"},\n{}]"},
			err: "this is a JSON array, not one object per line"},
		{name: "a JSON object of several lines", files: []string{"a.jsonl={\r\n \"user_id\":\"a\"\n}"},
			err: "this is a JSON object of several lines"},
		{name: "a web page as JSONL", files: []string{"a.jsonl=<html>"}, err: "this is a web page"},
		{name: "unknown extension", files: []string{"a.txt=user_id\n"}, err: "the extension is not that of a known format"},
		{name: "unknown format", files: []string{"a.csv=user_id\n"}, opts: Options{Format: "xlsx"},
			err: `unknown input format "xlsx"`},
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
			if g := joinIDs(rows); g != test.rows {
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

// An error of a row names its file if there are several, because the line number is that of a file.
func TestErrorsNameTheFile(t *testing.T) {
	decimals := func(n int32) []byte {
		return parquetBytes(t, withID(t, 1, parquetColumn{node: leafNode(t, "country", parquet.Repetitions.Required,
			schema.NewDecimalLogicalType(3, 0), parquet.Types.Int32, -1), values: []int32{n}}))
	}
	record := func(number, input string) string {
		return `{"row_number":` + number + `,"user_id":null,"device_id":null,"kind":"bad_row","http_status":null,"attempts":0,"message":"m","occurred_at":"t","input":` + input + "}\n"
	}
	for _, test := range []struct {
		format    string
		good, bad string
		want      string // of the last row
	}{
		{"csv", "user_id,x\na,1\n", "user_id,x\nb,1\nc\n", "bad_row: line 3: the row has 1 cells, but the header has 2"},
		{"csv", "user_id,x\na,1\n", "user_id,x\n,1\n", "missing_id: line 2: neither a user id nor a device id"},
		{"csv", "user_id,context\na,{}\n", "user_id,context\na,[]\n",
			"invalid_context: line 2: column context: not a JSON object"},
		{"tsv.gz", string(gzipBytes(t, []byte("user_id\tx\na\t1\n"))), string(gzipBytes(t, []byte("user_id\tx\nb\n"))),
			"bad_row: line 2: the row has 1 cells, but the header has 2"},
		{"jsonl", "{\"user_id\":\"a\"}\n", "{\"user_id\":\"b\"}\n\n{", "bad_row: line 3: not JSON: unexpected EOF"},
		{"jsonl", record("1", `{"user_id":"a"}`), record("7", "null"),
			"bad_row: line 1: the row did not decode, so its error record holds no input"},
		{"parquet", string(decimals(999)), string(decimals(1000)),
			"bad_row: column country: a decimal of more than the 3 digits of its column"},
	} {
		t.Run(test.format+": "+test.want, func(t *testing.T) {
			good, bad := writeFile(t, "good", []byte(test.good)), writeFile(t, "bad", []byte(test.bad))
			for _, files := range [][]File{{{Path: bad}}, {{Path: good}, {Path: bad}},
				{{Path: good}, {Path: bad, Name: "in/part-2"}}} {
				in, err := Open(files, Options{Format: test.format})
				if err != nil {
					t.Fatalf("%s: %v", test.want, err)
				}
				rows, err := readAll(in)
				mustClose(t, in)
				if err != nil || len(rows) < len(files) {
					t.Errorf("%s: %d rows, %v", test.want, len(rows), err)
					continue
				}
				kind, message, _ := strings.Cut(test.want, ": ")
				want := test.want
				if len(files) > 1 {
					want = kind + ": " + files[1].String() + ": " + message
				}
				if got := rows[len(rows)-1].Err; got != want {
					t.Errorf("%d files: %q, want %q", len(files), got, want)
				}
				for _, r := range rows[:len(rows)-1] {
					if r.Err != "" {
						t.Errorf("%d files: row %d: %q, want none", len(files), r.Number, r.Err)
					}
				}
			}
		})
	}
}

// The Parquet files of an input have one schema: the same columns with the same types.
func TestParquetSchemaDiffers(t *testing.T) {
	required := parquet.Repetitions.Required
	leaf := func(logical schema.LogicalType, typ parquet.Type, values any) parquetColumn {
		return parquetColumn{node: leafNode(t, "p", required, logical, typ, -1), values: values}
	}
	tags := func(logical schema.LogicalType) parquetColumn {
		return parquetColumn{node: newGroup(t, "p", required, schema.ListLogicalType{},
			newGroup(t, "list", parquet.Repetitions.Repeated, nil,
				leafNode(t, "element", required, logical, parquet.Types.ByteArray, -1))), values: []string{}, defs: []int16{0},
			reps: []int16{0}}
	}
	text := leaf(schema.StringLogicalType{}, parquet.Types.ByteArray, []string{"x"})
	int64s := leaf(nil, parquet.Types.Int64, []int64{1})
	nulls := parquetColumn{node: leafNode(t, "p", parquet.Repetitions.Optional, schema.NullLogicalType{},
		parquet.Types.Int32, -1), values: []int32{}, defs: []int16{0}}
	for _, test := range []struct {
		name  string
		files []parquetColumn
		want  string // the types of the last file, and of the first; "" if they match
	}{
		{"the same", []parquetColumn{text, text}, ""},
		{"integers of two sizes", []parquetColumn{int64s, leaf(nil, parquet.Types.Int32, []int32{1})}, ""},
		{"floats of two sizes", []parquetColumn{leaf(nil, parquet.Types.Float, []float32{1}),
			leaf(nil, parquet.Types.Double, []float64{1})}, ""},
		{"nothing but nulls", []parquetColumn{text, nulls, text}, ""},
		{"nothing but nulls at first", []parquetColumn{nulls, int64s, text}, `holds texts, but in first it holds integers`},
		{"integers and texts", []parquetColumn{text, int64s}, `holds integers, but in first it holds texts`},
		{"unsigned", []parquetColumn{int64s, leaf(schema.NewIntLogicalType(64, false), parquet.Types.Int64, []int64{1})},
			`holds unsigned 64-bit integers, but in first it holds integers`},
		{"decimals", []parquetColumn{leaf(schema.NewDecimalLogicalType(9, 2), parquet.Types.Int32, []int32{1}),
			leaf(schema.NewDecimalLogicalType(9, 3), parquet.Types.Int32, []int32{1})},
			`holds decimals with 3 places, but in first it holds decimals with 2 places`},
		{"lists", []parquetColumn{tags(schema.StringLogicalType{}), tags(schema.JSONLogicalType{})},
			`holds lists of JSON, but in first it holds lists of texts`},
		{"a list and a text", []parquetColumn{text, tags(nil)}, `holds lists of texts, but in first it holds texts`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var files []File
			for i, c := range test.files {
				path := writeFile(t, "part.parquet", parquetBytes(t, withID(t, 1, c)))
				files = append(files, File{Path: path, Name: []string{"first", "second", "third"}[i]})
			}
			var rows []got
			in, err := Open(files, Options{Format: "parquet"})
			if err == nil {
				rows, err = readAll(in)
				mustClose(t, in)
			}
			if test.want == "" && (err != nil || joinIDs(rows) != "1:u1 2:u1 3:u1"[:5*len(files)-1]) {
				t.Errorf("%s: %s, %v", test.name, joinIDs(rows), err)
			}
			if want := files[len(files)-1].Name + `: the column "p" ` + test.want; test.want != "" &&
				(err == nil || !strings.HasPrefix(err.Error(), want) || len(rows) > 0) {
				t.Errorf("%s: %d rows, %v; want %q before the first", test.name, len(rows), err, want)
			}
		})
	}
}

// Directories named key=value are columns of all files in them, unless the files have the column.
func TestPartitions(t *testing.T) {
	dir := t.TempDir()
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	users := parquetBytes(t, withID(t, 1))
	write("t/country=DE/user_properties.plan=a%2Fb%20c/2.parquet", users)
	write("t/country=DE/user_properties.plan=a%2Fb%20c/1.parquet", users)
	write("t/country=FR/user_properties.plan=__HIVE_DEFAULT_PARTITION__/1.parquet", users)
	write("t/country=/user_properties.plan=x=y/1.parquet", users)
	write("t/_SUCCESS", nil)
	write("t/_temporary/0/1.parquet", nil)
	write("t/.country=XX/1.parquet", nil)
	write("t/country=DE/user_properties.plan=a%2Fb%20c/.2.parquet.crc", nil)
	write("mixed/country=DE/1.parquet", users)
	write("mixed/2.parquet", users)
	write("own/country=DE/1.parquet", parquetBytes(t,
		withID(t, 1, textColumns(t, []string{"Country"}, [][]string{{"IT"}})...)))
	t.Chdir(dir)
	for _, test := range []struct {
		arg  string
		want []string
		err  string
	}{
		{"t", []string{`{"country":"","user_properties":{"plan":"x=y"}}`,
			`{"country":"DE","user_properties":{"plan":"a/b c"}}`,
			`{"country":"DE","user_properties":{"plan":"a/b c"}}`, `{"country":"FR"}`}, ""},
		{"t/country=DE", []string{`{"country":"DE","user_properties":{"plan":"a/b c"}}`,
			`{"country":"DE","user_properties":{"plan":"a/b c"}}`}, ""},
		{"t/country=*/*/1.parquet", []string{`{"country":"","user_properties":{"plan":"x=y"}}`,
			`{"country":"DE","user_properties":{"plan":"a/b c"}}`, `{"country":"FR"}`}, ""},
		{"mixed", nil, `country=DE/1.parquet has the column "country", which mixed/2.parquet lacks`},
		{"own", []string{`{"country":"IT"}`}, ""},
	} {
		t.Run(test.arg, func(t *testing.T) {
			paths, err := expandLocal(t, test.arg)
			if err != nil {
				t.Errorf("%s: %v", test.arg, err)
				return
			}
			var rows []got
			in, err := Open(filesAt(paths...), Options{})
			if err == nil {
				rows, err = readAll(in)
				mustClose(t, in)
			}
			var contexts []string
			for i, r := range rows {
				if contexts = append(contexts, r.Context); r.Number != int64(i+1) {
					t.Errorf("%s: row %d has the number %d", test.arg, i+1, r.Number)
				}
			}
			if diff := cmp.Diff(test.want, contexts); diff != "" || (err == nil) != (test.err == "") || err != nil &&
				!strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v, want %q; %s", test.arg, err, test.err, diff)
			}
		})
	}
}

func TestExpandPaths(t *testing.T) {
	dir := makeDirectory(t, map[string]string{"b.csv": "", "a.csv": "", "c[1].csv": "", "c1.csv": "",
		"parts/2.parquet": "", "parts/1.parquet": "", "parts/_SUCCESS": "", "par[t]s/9.parquet": "", "none/x": "",
		"deep/inner/1.parquet": "", "deep/0.parquet": ""})
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
		{[]string{"*.txt"}, nil, "no file matches *.txt"},
		{[]string{"d.csv"}, nil, "d.csv: no such file"},
		{[]string{"none"}, nil, "the directory none has no .parquet files"},
		{[]string{"part*"}, []string{"parts/1.parquet", "parts/2.parquet"}, ""},
		{[]string{"deep"}, nil, "the directory deep contains the directory inner, which is not a partition (key=value)"},
		{[]string{"deep/*"}, []string{"deep/0.parquet", "deep/inner/1.parquet"}, ""},
		{[]string{"[.csv"}, nil, "[.csv: syntax error in pattern"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			got, err := expandLocal(t, test.args...)
			if diff := cmp.Diff(test.want, got); test.err == "" && (err != nil || diff != "") {
				t.Errorf("%q: %v %s", test.args, err, diff)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%q: %v, want %q", test.args, err, test.err)
			}
		})
	}
}
