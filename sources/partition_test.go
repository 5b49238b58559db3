package sources

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// readFiles reads files as one input.
func readFiles(t *testing.T, files []File, o Options) (rows []got, err error) {
	t.Helper()
	in, err := Open(files, o)
	if err != nil {
		return nil, err
	}
	defer mustClose(t, in)
	return readAll(in)
}

func contextsOf(rows []got) (contexts []string) {
	for _, r := range rows {
		contexts = append(contexts, r.ID+" "+r.Context+r.Err)
	}
	return contexts
}

// encodeUsers is a user in each format. The names of its columns are fields or properties.
func encodeUsers(t *testing.T, extension string, header []string, row []string) []byte {
	t.Helper()
	switch extension {
	case "parquet":
		return parquetBytes(t, textColumns(t, header, [][]string{row}))
	case "jsonl", "jsonl.zst", "ndjson":
		var object []pipeline.Member
		for i, name := range header {
			object = append(object, pipeline.Member{Name: name, Value: pipeline.StringValue(row[i])})
		}
		return compressFor(t, extension, append(pipeline.AppendObject(nil, object), '\n'))
	}
	comma := ","
	if strings.HasPrefix(extension, "tsv") {
		comma = "\t"
	}
	return compressFor(t, extension, []byte(strings.Join(header, comma)+"\n"+strings.Join(row, comma)+"\n"))
}

func compressFor(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	switch {
	case strings.HasSuffix(name, ".gz"):
		return gzipBytes(t, data)
	case strings.HasSuffix(name, ".zst"):
		return zstdBytes(t, data)
	}
	return data
}

// TestPartitionsOfFormats: the directories mean the same in every format, here and in a store.
func TestPartitionsOfFormats(t *testing.T) {
	paths := []string{"country=/user_properties.plan=x=y/1", "country=DE/user_properties.plan=a%2Fb%20c/1",
		"country=DE/user_properties.plan=a%2Fb%20c/2", "country=FR/user_properties.plan=__HIVE_DEFAULT_PARTITION__/1",
		"country=a%0Ab%22%00/user_properties.plan=100%/1", "country=…/user_properties.plan='%27%2E%2E%2F/1"}
	want := []string{`1 {"country":"","user_properties":{"plan":"x=y"}}`, `1 {"country":"DE","user_properties":{"plan":"a/b c"}}`,
		`1 {"country":"DE","user_properties":{"plan":"a/b c"}}`, `1 {"country":"FR"}`,
		`1 {"country":"a\nb\"\u0000","user_properties":{"plan":"100%"}}`,
		`1 {"country":"…","user_properties":{"plan":"''../"}}`}
	for _, extension := range []string{"parquet", "csv", "tsv", "jsonl", "ndjson", "csv.gz", "jsonl.zst"} {
		t.Run(extension, func(t *testing.T) {
			data := encodeUsers(t, extension, []string{"user_id"}, []string{"1"})
			own := encodeUsers(t, extension, []string{"user_id", "Country"}, []string{"1", "IT"})
			files := map[string]string{"t/_SUCCESS": "", "t/_temporary/0/1." + extension: "broken",
				"t/country=DE/.1.crc": "", "own/country=DE/1." + extension: string(own)}
			m := &pipelinetest.Memory{}
			for _, path := range paths {
				files["t/"+path+"."+extension] = string(data)
			}
			for name, data := range files {
				if _, err := m.Put(t.Context(), name, []byte(data), blob.Condition{}); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(makeDirectory(t, files))
			stores := blob.NewStores(map[string]blob.Store{"mem": {
				Open: func(context.Context, string) (blob.Bucket, error) { return m, nil }}})
			for _, root := range []string{"", "mem://bucket/"} {
				for _, arg := range []string{"t", "t/country=*/*/*." + extension} {
					files, err := ExpandPaths(t.Context(), stores, []string{root + arg})
					if err != nil {
						t.Errorf("%s: %v", root+arg, err)
						continue
					}
					rows, err := readFiles(t, files, Options{})
					if diff := cmp.Diff(want, contextsOf(rows)); diff != "" || err != nil {
						t.Errorf("%s: %v %s", root+arg, err, diff)
					}
				}
				files, err := ExpandPaths(t.Context(), stores, []string{root + "own"})
				if err != nil {
					t.Fatal(err)
				}
				rows, err := readFiles(t, files, Options{Mapping: Mapping{Map: map[string]string{"country": "Country"}}})
				if got := contextsOf(rows); err != nil || !cmp.Equal(got, []string{`1 {"country":"IT"}`}) {
					t.Errorf("a column of the file: %q, %v; want that of the file", got, err)
				}
			}
		})
	}
}

// TestPartitionsMapped: partitions can be mapped, carried, typed and sent as properties, as other columns can.
func TestPartitionsMapped(t *testing.T) {
	for _, extension := range []string{"csv", "jsonl", "parquet"} {
		t.Run(extension, func(t *testing.T) {
			data := encodeUsers(t, extension, []string{"uid"}, []string{"1"})
			t.Chdir(makeDirectory(t, map[string]string{"dt=2026-11-27/seats=7/1." + extension: string(data)}))
			rows, err := readFiles(t, filesAt("dt=2026-11-27/seats=7/1."+extension), Options{Mapping: Mapping{
				Map:        map[string]string{"user_id": "uid", "version": "dt"},
				Properties: []string{"seats"}, Carry: []string{"dt", "seats"}}})
			if err != nil || len(rows) != 1 || rows[0].ID != "1" ||
				rows[0].Context != `{"user_properties":{"seats":"7"},"version":"2026-11-27"}` ||
				rows[0].Carry != `["2026-11-27","7"]` {
				t.Errorf("%+v, %v", rows, err)
			}
			all, err := readFiles(t, filesAt("dt=2026-11-27/seats=7/1."+extension), Options{Mapping: Mapping{
				Map: map[string]string{"user_id": "uid"}, AllProperties: true}})
			if err != nil || len(all) != 1 || all[0].Context != `{"user_properties":{"dt":"2026-11-27","seats":"7"}}` {
				t.Errorf("all properties: %+v, %v", all, err)
			}
		})
	}
	t.Run("types", func(t *testing.T) {
		t.Chdir(makeDirectory(t, map[string]string{"seats=7/1.csv": "user_id\n1\n"}))
		rows, err := readFiles(t, filesAt("seats=7/1.csv"), Options{Mapping: Mapping{Properties: []string{"seats"},
			Types: types{"seats": pipeline.TypeInt}}})
		if err != nil || len(rows) != 1 || rows[0].Context != `{"user_properties":{"seats":7}}` {
			t.Errorf("%+v, %v", rows, err)
		}
	})
}

// TestPartitionsOfDirectories: what of a directory is read, and what is refused.
func TestPartitionsOfDirectories(t *testing.T) {
	t.Chdir(makeDirectory(t, map[string]string{
		"flat/1.csv": "user_id\na\n", "flat/2.csv": "user_id\nb\n",
		"both/country=DE/1.parquet": "", "both/country=DE/1.csv": "user_id\na\n", "both/notes.txt": "",
		"two/country=DE/1.csv": "user_id\na\n", "two/country=FR/1.jsonl": `{"user_id":"b"}`,
		"mixed/country=DE/1.csv": "user_id\na\n", "mixed/2.csv": "user_id\nb\n",
		"lines/country=DE/1.jsonl": `{"user_id":"a"}` + "\n" + `{"user_id":"b","country":"FR"}` + "\n" +
			`{"user_id":"c","country":null}` + "\n", "lines/2.jsonl": `{"user_id":"d"}`,
		"inner/country=DE/x/1.csv": "user_id\na\n",
		"bad/country=%FF/1.csv":    "user_id\na\n", "bad2/a%80=b/1.jsonl": `{"user_id":"a"}`,
		"nokey/=DE/1.csv":      "user_id\na\n",
		"keys/dt=1/dt=2/1.csv": "user_id,version\na,3\n",
	}))
	for _, test := range []struct {
		arg  string
		want []string
		err  string
	}{
		{"flat", nil, "the directory flat has no .parquet files"},
		{"flat/*.csv", []string{"a {}", "b {}"}, ""},
		{"flat/1.csv", []string{"a {}"}, ""},
		{"both", nil, "too short for Parquet"},
		{"two", nil, "is jsonl, but two/country=DE/1.csv is csv"},
		{"mixed", nil, `country=DE/1.csv has the column "country", which mixed/2.csv lacks`},
		{"lines", []string{"d {}", `a {"country":"DE"}`, `b {"country":"FR"}`, "c {}"}, ""},
		{"inner", nil, "contains the directory country=DE/x, which is not a partition"},
		{"bad", nil, `the name of the partition "country=%FF" is not valid UTF-8`},
		{"bad2", nil, `the name of the partition "a%80=b" is not valid UTF-8`},
		{"nokey", nil, "contains the directory =DE, which is not a partition"},
		{"keys", []string{`a {"version":"3"}`}, ""},
	} {
		t.Run(test.arg, func(t *testing.T) {
			files, err := ExpandPaths(t.Context(), nil, []string{test.arg})
			var rows []got
			if err == nil {
				rows, err = readFiles(t, files, Options{})
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(
				strings.ReplaceAll(err.Error(), "the directory inner/country=DE contains the directory x",
					"the directory inner contains the directory country=DE/x"), test.err) {
				t.Errorf("%s: %v, want %q", test.arg, err, test.err)
			}
			if diff := cmp.Diff(test.want, contextsOf(rows)); diff != "" && test.err == "" {
				t.Errorf("%s: %s", test.arg, diff)
			}
		})
	}
}

// TestPartitionsOfManyRows: rows that are decoded ahead, in other goroutines, have the columns too.
func TestPartitionsOfManyRows(t *testing.T) {
	const n = 50_000
	var text, jsonl bytes.Buffer
	text.WriteString("user_id,version\n")
	for i := range n {
		fmt.Fprintf(&text, "u%d,%d\n", i, i)
		fmt.Fprintf(&jsonl, `{"user_id":"u%d","version":"%d"}`+"\n", i, i)
	}
	t.Chdir(makeDirectory(t, map[string]string{"country=DE/1.csv": text.String(), "country=DE/1.jsonl": jsonl.String()}))
	for _, path := range []string{"country=DE/1.csv", "country=DE/1.jsonl"} {
		rows, err := readFiles(t, filesAt(path), Options{})
		if err != nil || len(rows) != n {
			t.Errorf("%s: %d rows, %v", path, len(rows), err)
		}
		for i, r := range rows {
			if want := fmt.Sprintf(`{"country":"DE","version":"%d"}`, i); r.Context != want {
				t.Fatalf("%s: row %d is %s, want %s", path, i+1, r.Context, want)
			}
		}
	}
}

// TestPartitionsOfFailedRows: the error record of a row has its partitions, and error records have none of their own.
func TestPartitionsOfFailedRows(t *testing.T) {
	header := []string{"user_id", "country"}
	records := map[string][]byte{"jsonl": errorJSONL(header, [][]string{{"a", "FR"}}),
		"csv": errorCSV(t, errorRows(header, [][]string{{"a", "FR"}}))}
	for extension, data := range records {
		for _, key := range []string{"country", "kind", "dt"} {
			path := filepath.Join(t.TempDir(), key+"=DE", "errors."+extension)
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			rows, err := readFiles(t, filesAt(path), Options{})
			if err != nil || len(rows) != 1 || rows[0].Context != `{"country":"FR"}` || rows[0].Number != 1 {
				t.Errorf("error records below %s=DE as %s: %+v, %v", key, extension, rows, err)
			}
		}
	}

	t.Chdir(makeDirectory(t, map[string]string{"country=DE/1.csv": "user_id,version,city\na,1\n,,\n"}))
	rows, err := readFiles(t, filesAt("country=DE/1.csv"), Options{})
	if err != nil || len(rows) != 2 || !strings.HasPrefix(rows[0].Err, "bad_row") {
		t.Fatalf("%+v, %v", rows, err)
	}
	if want := `{"user_id":null,"version":null,"city":null,"country":"DE"}`; rows[1].Input != want {
		t.Errorf("the input of a row is %s, want %s", rows[1].Input, want)
	}
	var rec record
	input, err := pipeline.ParseObject(nil, rows[0].Input)
	if err != nil {
		t.Fatal(err)
	}
	restoreBadRow(&rec, input, csvOptions{pad: true})
	if got := string(pipeline.AppendObject(nil, rec.cells)); rec.err != nil ||
		got != `{"user_id":"a","version":"1","city":null,"country":"DE"}` {
		t.Errorf("the bad row is restored as %s, %v", got, rec.err)
	}
}

func errorCSV(t *testing.T, records [][]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := errors.Join(w.Write(errorColumns), w.WriteAll(records)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
