package sources

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// twinTypes are the --types of testdata/users.csv with which it results in the same users as its typed twins.
var twinTypes = types{
	"user_properties.seats": pipeline.TypeInt, "user_properties.small": pipeline.TypeInt,
	"user_properties.medium":     pipeline.TypeInt,
	"user_properties.unsigned32": pipeline.TypeInt, "user_properties.unsigned": pipeline.TypeJSON,
	"user_properties.score": pipeline.TypeFloat,
	"user_properties.ratio": pipeline.TypeFloat, "user_properties.pro": pipeline.TypeBool,
	"user_properties.json": pipeline.TypeJSON,
	"user_properties.tags": pipeline.TypeJSON, "user_properties.deep": pipeline.TypeJSON,
	"user_properties.address": pipeline.TypeJSON,
	"user_properties.prefs":   pipeline.TypeJSON, "user_properties.visits": pipeline.TypeJSON,
}

// twinUsers returns the users of testdata/users.csv, and its header and cells.
func twinUsers(tb testing.TB) (users []got, header []string, cells [][]string) {
	tb.Helper()
	data, err := os.ReadFile("testdata/users.csv")
	if err != nil {
		tb.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	users, err = readRows(tb, "users.csv", data, Options{Mapping: Mapping{Types: twinTypes}})
	if err != nil || len(users) != len(records)-1 || len(users) < 30 {
		tb.Fatalf("%d users, %v", len(users), err)
	}
	failed := 0
	for _, u := range users {
		if strings.HasPrefix(u.Err, "bad_row") {
			tb.Fatal(u.Err)
		}
		if u.Err != "" {
			failed++
		}
	}
	if failed == 0 || failed > 3 {
		tb.Fatalf("%d users have no id, want a few", failed)
	}
	return users, records[0], records[1:]
}

// checkSameUsers compares users, without their lines.
func checkSameUsers(tb testing.TB, name string, want, users []got) {
	tb.Helper()
	plain := func(rows []got) []got {
		rows = slices.Clone(rows)
		for i := range rows {
			rows[i].Input, rows[i].Carry = "", ""
			if _, message, ok := strings.Cut(rows[i].Err, ": line "); ok { // Parquet has no lines
				_, message, _ = strings.Cut(message, ": ")
				kind, _, _ := strings.Cut(rows[i].Err, ":")
				rows[i].Err = kind + ": " + message
			}
		}
		return rows
	}
	if diff := cmp.Diff(plain(want), plain(users)); diff != "" {
		tb.Errorf("%s: not the users of its CSV twin (-want +got):\n%s", name, diff)
	}
}

// twinParquet returns the users as a Parquet file by arrow, with the texts in that encoding.
func twinParquet(tb testing.TB, header []string, cells [][]string, enc parquet.Encoding,
	opts ...parquet.WriterProperty) []byte {
	tb.Helper()
	var cols []parquetColumn
	parsed := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	for i, name := range header {
		var c parquetColumn
		node := func(logical schema.LogicalType, typ parquet.Type) {
			c.node = leafNode(tb, name, parquet.Repetitions.Optional, logical, typ, -1)
		}
		var texts []string
		for _, row := range cells {
			def := int16(0)
			if row[i] != "" {
				def = 1
				texts = append(texts, row[i])
			}
			c.defs = append(c.defs, def)
		}
		switch _, short, _ := strings.Cut(name, "."); {
		case short == "seen": // as Spark writes it
			node(nil, parquet.Types.Int96)
			var vs []parquet.Int96
			for _, s := range texts {
				at, err := time.Parse(time.RFC3339, s)
				parsed(err)
				var v parquet.Int96 // nanoseconds of the day, and the Julian day: 1970 began on day 2440588
				binary.LittleEndian.PutUint64(v[:8], uint64(at.UnixNano()%int64(24*time.Hour)))
				binary.LittleEndian.PutUint32(v[8:], uint32(at.Unix()/86400+2440588))
				vs = append(vs, v)
			}
			c.values = vs
		case short == "unsigned":
			node(schema.NewIntLogicalType(64, false), parquet.Types.Int64)
			var vs []int64
			for _, s := range texts {
				n, err := strconv.ParseUint(s, 10, 64)
				parsed(err)
				vs = append(vs, int64(n))
			}
			c.values = vs
		case twinTypes[name] == pipeline.TypeInt:
			node(nil, parquet.Types.Int64)
			var vs []int64
			for _, s := range texts {
				n, err := strconv.ParseInt(s, 10, 64)
				parsed(err)
				vs = append(vs, n)
			}
			c.values = vs
		case twinTypes[name] == pipeline.TypeFloat:
			node(nil, parquet.Types.Double)
			var vs []float64
			for _, s := range texts {
				f, err := strconv.ParseFloat(s, 64)
				parsed(err)
				vs = append(vs, f)
			}
			c.values = vs
		case twinTypes[name] == pipeline.TypeBool:
			node(nil, parquet.Types.Boolean)
			var vs []bool
			for _, s := range texts {
				vs = append(vs, s == "true")
			}
			c.values = vs
		case twinTypes[name] == pipeline.TypeJSON:
			node(schema.JSONLogicalType{}, parquet.Types.ByteArray)
			c.values = texts
		default:
			node(schema.StringLogicalType{}, parquet.Types.ByteArray)
			c.values = texts
		}
		if delta := enc == parquet.Encodings.DeltaByteArray || enc == parquet.Encodings.DeltaLengthByteArray; delta {
			switch c.node.(*schema.PrimitiveNode).PhysicalType() {
			case parquet.Types.Int64:
				opts = append(opts, parquet.WithEncodingFor(name, parquet.Encodings.DeltaBinaryPacked))
			case parquet.Types.ByteArray:
				opts = append(opts, parquet.WithEncodingFor(name, enc))
			}
		}
		cols = append(cols, c)
	}
	return parquetBytes(tb, cols, opts...)
}

// The users are the same in every format as in the plain CSV file.
func TestTwins(t *testing.T) {
	users, header, cells := twinUsers(t)
	fixtures, err := filepath.Glob("testdata/duckdb-v*.parquet")
	if err != nil || len(fixtures) != 12 {
		t.Fatalf("%d fixtures, %v", len(fixtures), err)
	}
	for _, path := range fixtures {
		in, err := Open(filesAt(path), Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := readAll(in)
		if err != nil {
			t.Error(err)
			continue
		}
		checkSameUsers(t, path, users, rows)
		mustClose(t, in)
	}
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy,
		compress.Codecs.Gzip, compress.Codecs.Zstd, compress.Codecs.Brotli} {
		t.Run(fmt.Sprint(codec), func(t *testing.T) {
			for _, version := range []parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2} {
				for _, enc := range []parquet.Encoding{parquet.Encodings.PlainDict, parquet.Encodings.Plain,
					parquet.Encodings.DeltaLengthByteArray, parquet.Encodings.DeltaByteArray} {
					if codec != compress.Codecs.Snappy && enc != parquet.Encodings.PlainDict {
						continue // the compression does not depend on these
					}
					opts := []parquet.WriterProperty{parquet.WithDictionaryDefault(enc == parquet.Encodings.PlainDict),
						parquet.WithCompression(codec),
						parquet.WithDataPageVersion(version), parquet.WithDataPageSize(500)}
					what := fmt.Sprintf("arrow, %s, page version %d, %s", codec, version, enc)
					rows, err := readRows(t, "u.parquet", twinParquet(t, header, cells, enc, opts...), Options{})
					if err != nil {
						t.Errorf("%s: %v", what, err)
						continue
					}
					checkSameUsers(t, what, users, rows)
				}
			}
		})
	}
	// JSONL, where the objects are nested and the values have their types.
	var lines []byte
	for _, u := range users {
		line := u.Input // of a row that failed: it has no id
		if u.Err == "" {
			line = fmt.Sprintf(`{"user_id":%q,"device_id":%q,%s`, u.ID, u.Dev, u.Context[1:])
		}
		lines = append(append(lines, line...), '\n')
	}
	rows, err := readRows(t, "u.jsonl", lines, Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkSameUsers(t, "JSONL", users, rows)
}

// Error records result in the same users under the same numbers, in every format of the records and of the users.
func TestErrorRecordTwins(t *testing.T) {
	users, _, _ := twinUsers(t)
	for _, from := range []string{"testdata/users.csv", "testdata/duckdb-v2-zstd.parquet"} {
		t.Run(filepath.Base(from), func(t *testing.T) {
			in, err := Open(filesAt(from), Options{Mapping: Mapping{Types: twinTypes,
				Carry: []string{"country", "user_properties.born"}}})
			if err != nil {
				t.Fatal(err)
			}
			rows, err := readAll(in)
			if err != nil {
				t.Fatal(err)
			}
			mustClose(t, in)
			var failed []got // every third one
			var records [][]string
			for i := 2; i < len(rows); i += 3 {
				failed = append(failed, rows[i])
				status := "503"
				if i%2 == 0 {
					status = ""
				}
				records = append(records, []string{fmt.Sprint(i + 1), rows[i].ID, rows[i].Dev, "unavailable", status, "5",
					"no, not now", "2026-01-01T00:00:00.5Z", rows[i].Input, "run-1"})
			}
			for name, data := range map[string][]byte{
				"errors.csv":   csvBytes(t, ',', false, errorColumns, records),
				"errors.tsv":   csvBytes(t, '\t', false, errorColumns, records),
				"errors.jsonl": errorLines(t, records), "errors.parquet": errorParquet(t, records),
				"errors.csv.gz": gzipBytes(t, csvBytes(t, ',', true, errorColumns, records)),
			} {
				again, err := readRows(t, name, data, Options{Mapping: Mapping{Types: twinTypes,
					Carry: []string{"country", "user_properties.born"}}})
				if err != nil {
					t.Errorf("%s of %s: %v", name, from, err)
					continue
				}
				for i := range again {
					if i < len(failed) && again[i].Carry != failed[i].Carry {
						t.Errorf("%s of %s, row %d: carries %s, want %s", name, from, again[i].Number, again[i].Carry, failed[i].Carry)
					}
				}
				checkSameUsers(t, name+" of "+from, failed, again)
			}
		})
	}
	if len(users) == 0 {
		t.Fatal("no users")
	}
	// Their columns identify them, whatever the options for the users' file are, and wherever they are.
	input := [][]string{{"7", "a", "", "rejected", "400", "1", "m", "t", `{"user_id":"a"}`, "run-1"}}
	dir := filepath.Join(t.TempDir(), "country=DE")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "errors.parquet")
	if err := os.WriteFile(path, errorParquet(t, input), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := Open(filesAt(path), Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readAll(in)
	if err != nil || len(rows) != 1 || rows[0].Number != 7 || rows[0].Context != "{}" {
		t.Errorf("error records in a partition: %+v, %v", rows, err)
	}
	mustClose(t, in)
	quoted := strings.ReplaceAll(`"`+strings.Join(errorColumns, `","`)+`"`, ",", "\x00") + "\n" +
		strings.ReplaceAll(`7,a,,rejected,400,1,m,t,"{""user_id"":""a""}",run-1`+"\n", ",", "\x00")
	for _, d := range []byte(",;|\t\x01") {
		for name, data := range map[string][]byte{
			"in quotes":        []byte(strings.ReplaceAll(quoted, "\x00", string(d))),
			"in quotes, a BOM": []byte("\ufeff" + strings.ReplaceAll(quoted, "\x00", string(d))),
			"plain":            csvBytes(t, rune(d), false, errorColumns, input),
		} {
			for _, users := range []rune{0, ';', '^'} {
				rows, err = readRows(t, "errors.csv", data, Options{Delimiter: users})
				if err != nil || joinIDs(rows) != "7:a" {
					t.Errorf("error records with the delimiter %q, names %s, --delimiter %q: %+v, %v; want row 7", d, name, users,
						rows, err)
				}
			}
		}
	}
}

// errorLines returns error records as the command writes them in JSONL.
func errorLines(tb testing.TB, records [][]string) (b []byte) {
	tb.Helper()
	for _, r := range records {
		var members []pipeline.Member
		for i, name := range errorColumns {
			v := pipeline.StringValue(r[i])
			switch {
			case r[i] == "":
				v = pipeline.Value{}
			case name == "row_number" || name == "http_status" || name == "attempts":
				v.Kind = pipeline.Number
			case name == "input":
				var err error
				if v, err = pipeline.ParseJSON(r[i]); err != nil {
					tb.Fatal(err)
				}
			}
			members = append(members, pipeline.Member{Name: name, Value: v})
		}
		b = append(pipeline.AppendObject(b, members), '\n')
	}
	return b
}

// errorParquet returns error records as Parquet, with their types.
func errorParquet(tb testing.TB, records [][]string) []byte {
	tb.Helper()
	var cols []parquetColumn
	for i, name := range errorColumns {
		c := parquetColumn{}
		var texts []string
		for _, r := range records {
			def := int16(0)
			if r[i] != "" {
				def = 1
				texts = append(texts, r[i])
			}
			c.defs = append(c.defs, def)
		}
		logical, typ := schema.LogicalType(schema.StringLogicalType{}), parquet.Types.ByteArray
		c.values = texts
		switch name {
		case "row_number", "http_status", "attempts":
			logical, typ = nil, parquet.Types.Int64
			var vs []int64
			for _, s := range texts {
				n, err := strconv.ParseInt(s, 10, 64)
				if err != nil {
					tb.Fatal(err)
				}
				vs = append(vs, n)
			}
			c.values = vs
		case "occurred_at":
			logical, typ = schema.NewTimestampLogicalType(true, schema.TimeUnitMillis), parquet.Types.Int64
			c.values = make([]int64, len(texts))
		case "input":
			logical = schema.JSONLogicalType{}
		}
		c.node = leafNode(tb, name, parquet.Repetitions.Optional, logical, typ, -1)
		cols = append(cols, c)
	}
	return parquetBytes(tb, cols)
}
