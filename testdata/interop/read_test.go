//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// assignments runs the command over the input and returns its output, the same for the same users: without times. What
// is carried is in it as a text, so that two inputs are the same if all their carried values are.
func assignments(t *testing.T, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "x.csv")
	command := []string{"snapshot", "--quiet", "--evaluator", "local", "--flag-configs", flagConfigs, "--out", out}
	cmd := append(command, args...)
	run(t, 3, cmd...)
	m, err := snapshot.ReadManifest(nil, out+".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return evaluatedAt.ReplaceAllStringFunc(string(text), func(s string) string {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil || at.Before(m.StartedAt.Truncate(time.Millisecond)) || at.After(m.FinishedAt) {
			return s
		}
		return "(evaluated_at)"
	})
}

var evaluatedAt = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ`)

// sameAs compares two outputs line by line.
func sameAs(t *testing.T, what, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	if len(w) != len(g) {
		t.Errorf("%s: %d lines, from the CSV %d", what, len(g), len(w))
	}
	shown := 0
	for i := range min(len(w), len(g)) {
		if w[i] == g[i] {
			continue
		}
		if shown++; shown > 3 {
			t.Errorf("%s: and more", what)
			return
		}
		t.Errorf("%s: line %d:\n  from the CSV %s\n           got %s", what, i+1, shorten(w[i]), shorten(g[i]))
	}
}

func carryColumns(u *users) string {
	var names []string
	for _, c := range u.columns {
		if c.name != "user_id" && c.name != "device_id" {
			names = append(names, `"`+strings.ReplaceAll(c.name, `"`, `""`)+`"`)
		}
	}
	return "--carry=" + strings.Join(names, ",")
}

// many are the nasty users several times, so that dictionaries, pages and row groups of some size come about. No text
// of them is empty: in a CSV, that would be null.
func many(times int) *users {
	u := nastyUsers()
	u.rows[5][u.column("a_text")] = strings.Repeat("long, \"text\"\n", 100)
	var rows [][]value
	for i := range times {
		for _, row := range u.rows {
			row = slices.Clone(row)
			for j, v := range row {
				if s, ok := v.(string); ok {
					switch name := u.columns[j].name; {
					case len(s) > 10_000:
						row[j] = s[:1000]
					case s == "":
						row[j] = nil
					case name == "user_id" && i%2 == 1:
						row[j] = fmt.Sprint(s, i)
					}
				}
			}
			rows = append(rows, row)
		}
	}
	u.rows = rows
	return u
}

// Every compression, version and encoding that DuckDB writes gives what the CSV of the same users gives.
func TestParquetOfDuckDB(t *testing.T) {
	u := many(24)
	folder := t.TempDir()
	twin := filepath.Join(folder, "users.csv")
	u.writeCSV(t, twin, ',')
	want := assignments(t, twin, carryColumns(u))
	table := u.load(t, "nasty_many")
	encodings := map[string]bool{}
	n := 0
	for _, compression := range []string{"uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4", "lz4_raw"} {
		for _, version := range []string{"V1", "V2"} {
			for _, more := range []string{"", ", DICTIONARY_SIZE_LIMIT 1", ", ROW_GROUP_SIZE 2048, DICTIONARY_SIZE_LIMIT 100"} {
				if more != "" && compression != "zstd" && compression != "snappy" && compression != "uncompressed" {
					continue // the pages are the same, and so is how they are compressed
				}
				n++
				file := filepath.Join(folder, fmt.Sprintf("users%d.parquet", n))
				what := fmt.Sprintf("COMPRESSION %s, PARQUET_VERSION %s%s", compression, version, more)
				query(t, fmt.Sprintf("COPY %s TO %s (FORMAT parquet, %s)", table, quote(file), what))
				for _, e := range texts(query(t, fmt.Sprintf("SELECT DISTINCT unnest(string_split(encodings, ', ')) FROM "+
					"parquet_metadata(%s)", quote(file)))) {
					encodings[e[0]] = true
				}
				sameAs(t, what, want, assignments(t, file, carryColumns(u)))
			}
		}
	}
	for _, e := range []string{"PLAIN", "RLE_DICTIONARY", "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY",
		"BYTE_STREAM_SPLIT"} {
		if !encodings[e] {
			t.Errorf("DuckDB wrote no %s, only %v: the test does not see what it should", e, encodings)
		}
	}
}

// typed are values of all types of DuckDB, and the text that each is in a CSV of rollcall's; one without a text is
// null.
var typed = []struct {
	name, typ string
	values    [][2]string
}{
	{"a_tinyint", "TINYINT", [][2]string{{"-128", "-128"}, {"127", "127"}, {"NULL", ""}}},
	{"a_smallint", "SMALLINT", [][2]string{{"-32768", "-32768"}, {"NULL", ""}, {"7", "7"}}},
	{"an_integer", "INTEGER", [][2]string{{"-2147483648", "-2147483648"}, {"2147483647", "2147483647"}, {"NULL", ""}}},
	{"a_bigint", "BIGINT", [][2]string{{"-9223372036854775808", "-9223372036854775808"},
		{"9223372036854775807", "9223372036854775807"}, {"9007199254740993", "9007199254740993"}}},
	{"a_utinyint", "UTINYINT", [][2]string{{"255", "255"}, {"0", "0"}, {"NULL", ""}}},
	{"a_usmallint", "USMALLINT", [][2]string{{"65535", "65535"}, {"0", "0"}, {"NULL", ""}}},
	{"a_uinteger", "UINTEGER", [][2]string{{"4294967295", "4294967295"}, {"2147483648", "2147483648"}, {"NULL", ""}}},
	{"a_ubigint", "UBIGINT", [][2]string{{"18446744073709551615", "18446744073709551615"},
		{"9223372036854775808", "9223372036854775808"}, {"1", "1"}}},
	// DuckDB writes a HUGEINT as a DOUBLE: beyond 2^53 it is no longer exact, before it comes to the file.
	{"a_hugeint", "HUGEINT", [][2]string{{"9007199254740992", "9007199254740992"}, {"-5", "-5"}, {"NULL", ""}}},
	{"a_float", "FLOAT", [][2]string{{"0.1", "0.1"}, {"-1.5", "-1.5"}, {"1e-30", "1e-30"}}},
	{"a_double", "DOUBLE", [][2]string{{"0.1", "0.1"}, {"1e300", "1e+300"}, {"'nan'", "NaN"}, {"'-inf'", "-Infinity"}}},
	{"a_decimal_4", "DECIMAL(4,1)", [][2]string{{"-99.9", "-99.9"}, {"0.1", "0.1"}, {"NULL", ""}}},
	{"a_decimal_9", "DECIMAL(9,9)", [][2]string{{"0.000000001", "0.000000001"}, {"-0.5", "-0.500000000"}, {"NULL", ""}}},
	{"a_decimal_18", "DECIMAL(18,0)", [][2]string{{"999999999999999999", "999999999999999999"}, {"-1", "-1"}, {"0", "0"}}},
	{"a_decimal_38", "DECIMAL(38,2)", [][2]string{{"123456789012345678901234567890123456.78",
		"123456789012345678901234567890123456.78"}, {"-0.01", "-0.01"}, {"NULL", ""}}},
	{"a_boolean", "BOOLEAN", [][2]string{{"true", "true"}, {"false", "false"}, {"NULL", ""}}},
	{"a_date", "DATE", [][2]string{{"'1969-12-31'", "1969-12-31"}, {"'0001-01-01'", "0001-01-01"},
		{"'9999-12-31'", "9999-12-31"}}},
	{"a_time", "TIME", [][2]string{{"'23:59:59.999999'", "23:59:59.999999"}, {"'00:00:00'", "00:00:00"}, {"NULL", ""}}},
	{"a_timestamp", "TIMESTAMP", [][2]string{{"'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999Z"},
		{"'2024-02-29 12:00:00'", "2024-02-29T12:00:00.000000Z"}, {"NULL", ""}}},
	{"a_timestamp_s", "TIMESTAMP_S", [][2]string{{"'1900-01-01 00:00:01'", "1900-01-01T00:00:01.000000Z"}, {"NULL", ""},
		{"'2024-02-29 12:00:00'", "2024-02-29T12:00:00.000000Z"}}},
	{"a_timestamp_ms", "TIMESTAMP_MS", [][2]string{{"'1900-01-01 00:00:01.001'", "1900-01-01T00:00:01.001000Z"},
		{"NULL", ""}, {"'2024-02-29 12:00:00'", "2024-02-29T12:00:00.000000Z"}}},
	// An output has microseconds in all formats, and the API is sent the nanoseconds.
	{"a_timestamp_ns", "TIMESTAMP_NS", [][2]string{{"'1969-12-31 23:59:59.999999999'", "1969-12-31T23:59:59.999999Z"},
		{"NULL", ""}, {"'2024-02-29 12:00:00'", "2024-02-29T12:00:00.000000Z"}}},
	{"a_timestamptz", "TIMESTAMPTZ", [][2]string{{"'2024-02-29 12:00:00+05:30'", "2024-02-29T06:30:00.000000Z"},
		{"NULL", ""}, {"'1960-01-01 00:00:00.5-08'", "1960-01-01T08:00:00.500000Z"}}},
	{"a_uuid", "UUID", [][2]string{{"'5DF2208C-EDA6-4E16-B875-84332083FB0B'", "5df2208c-eda6-4e16-b875-84332083fb0b"},
		{"NULL", ""}, {"'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"}}},
	{"an_enum", "ENUM('low', 'Höhe, \"quoted\"')", [][2]string{{"'low'", "low"},
		{"'Höhe, \"quoted\"'", "Höhe, \"quoted\""}, {"NULL", ""}}},
	{"a_bit", "BIT", [][2]string{{"'0101'", "0101"}, {"'1'", "1"}, {"NULL", ""}}},
	{"a_blob", "BLOB", [][2]string{{"'text'", "text"}, {"NULL", ""}, {`'\xC3\xA9'`, "é"}}},
	{"a_json", "JSON", [][2]string{{`'{"b": 1.50, "a": [null, "x"]}'`, `{"a":[null,"x"],"b":1.50}`}, {"NULL", ""},
		{"'12345678901234567890'", "12345678901234567890"}}},
	{"a_list", "BIGINT[]", [][2]string{{"[9007199254740993, NULL, -1]", "[9007199254740993,null,-1]"}, {"[]", "[]"},
		{"NULL", ""}}},
	{"an_array", "VARCHAR[2]", [][2]string{{`['a', 'b "c"']`, `["a","b \"c\""]`}, {"['', NULL]", `["",null]`}}},
	{"lists_of_lists", "DATE[][]", [][2]string{{"[['2024-02-29'::DATE], [], NULL]", `[["2024-02-29"],[],null]`},
		{"NULL", ""}, {"[]", "[]"}}},
	{"a_struct", "STRUCT(z INTEGER, a VARCHAR, n STRUCT(d DECIMAL(6,2), t VARCHAR[]))", [][2]string{
		{"{'z': 1, 'a': 'x', 'n': {'d': 1.5, 't': ['p', 'q']}}", `{"a":"x","n":{"d":"1.50","t":["p","q"]},"z":1}`},
		{"NULL", ""},
		{"{'z': NULL, 'a': '', 'n': {'d': NULL, 't': []}}", `{"a":"","n":{"t":[]}}`}}},
	{"a_map", "MAP(VARCHAR, INTEGER)", [][2]string{{"MAP {'b': 2, 'a': NULL}", `{"a":null,"b":2}`}, {"MAP {}", "{}"},
		{"NULL", ""}}},
	{"a_map_of_numbers", "MAP(INTEGER, DOUBLE[])", [][2]string{{"MAP {7: [0.5], -1: []}", `{"-1":[],"7":[0.5]}`},
		{"MAP {}", "{}"}, {"NULL", ""}}},
	{"structs_in_a_list", "STRUCT(k VARCHAR, v BOOLEAN)[]",
		[][2]string{{"[{'k': 'a', 'v': true}, NULL, {'k': NULL, 'v': false}]", `[{"k":"a","v":true},null,{"v":false}]`},
			{"[]", "[]"}, {"NULL", ""}}},
}

// Values of every type come out as the text that they mean, and as the same properties as those of a CSV.
func TestTypesOfDuckDB(t *testing.T) {
	folder := t.TempDir()
	const rows = 300 // row i has value i of each, modulo
	names, header := []string{}, []string{"user_id"}
	var literals []string
	for _, c := range typed {
		names = append(names, c.name)
		header = append(header, c.name)
		var list []string
		for _, v := range c.values {
			list = append(list, fmt.Sprintf("CAST(%s AS %s)", v[0], c.typ))
		}
		literals = append(literals, fmt.Sprintf("(SELECT list(v) FROM (SELECT unnest([%s]) AS v))[i %% %d + 1] AS %s",
			strings.Join(list, ", "), len(list), name(c.name)))
	}
	query(t, fmt.Sprintf("CREATE OR REPLACE TABLE typed AS SELECT CASE WHEN i %% 100 < 99 THEN 'user-' || i END AS "+
		"user_id, %s FROM range(%d) AS r(i)",
		strings.Join(literals, ", "), rows))
	want := &users{}
	for _, name := range header {
		want.columns = append(want.columns, userColumn{name, "VARCHAR"})
	}
	for i := range rows {
		row := []value{nil}
		if i%100 < 99 {
			row[0] = fmt.Sprintf("user-%d", i)
		}
		for _, c := range typed {
			row = append(row, c.values[i%len(c.values)][1])
		}
		want.rows = append(want.rows, row)
	}
	twin := filepath.Join(folder, "typed.csv")
	want.writeCSV(t, twin, ',')
	carry := []string{"--carry", strings.Join(names, ","), "--properties", strings.Join(names, ",")}
	csv := assignments(t, append([]string{twin}, carry...)...)
	for _, how := range []string{"", ", PARQUET_VERSION V2",
		", PARQUET_VERSION V2, DICTIONARY_SIZE_LIMIT 1, COMPRESSION zstd", ", DICTIONARY_SIZE_LIMIT 1"} {
		file := filepath.Join(folder, "typed.parquet")
		query(t, fmt.Sprintf("COPY typed TO %s (FORMAT parquet%s)", quote(file), how))
		sameAs(t, "FORMAT parquet"+how, csv, assignments(t, append([]string{file}, carry...)...))
	}
}

// What has no place in a user is refused by its name; where it is not asked for it does no harm.
func TestTypesThatAreRefused(t *testing.T) {
	query(t, "SET force_mbedtls_unsafe = true; PRAGMA add_parquet_key('key', '0123456789abcdef')")
	for _, tt := range []struct {
		sql, options string
		args         []string
		code         int
		says         []string
	}{
		{"INTERVAL 3 DAY AS how_long", "", nil, 0, nil},
		{"INTERVAL 3 DAY AS how_long", "", []string{"--carry", "how_long"}, 1,
			[]string{"column how_long", "an interval column"}},
		{"'\\xFF\\x00'::BLOB AS bytes", "", nil, 0, nil},
		{"'\\xFF\\x00'::BLOB AS bytes", "", []string{"--carry", "bytes", "--min-users", "0"}, 3, nil}, // a bad row
		{"'infinity'::TIMESTAMP AS at", "", []string{"--carry", "at", "--min-users", "0"}, 3, nil},    // RFC 3339 has none
		{"DATE '10000-01-01' AS at", "", []string{"--carry", "at", "--min-users", "0"}, 3, nil},       // nor five digits
		{"1 AS seats", ", ENCRYPTION_CONFIG {footer_key: 'key'}", nil, 1, []string{"is encrypted", "decrypt it first"}},
	} {
		folder := t.TempDir()
		file := filepath.Join(folder, "in.parquet")
		query(t, fmt.Sprintf("COPY (SELECT 'u' AS user_id, %s) TO %s (FORMAT parquet%s)", tt.sql, quote(file), tt.options))
		said := run(t, tt.code, append([]string{"snapshot", file, "--quiet", "--evaluator", "local", "--flag-configs",
			flagConfigs,
			"--out", filepath.Join(folder, "x.csv")}, tt.args...)...)
		for _, words := range tt.says {
			if !strings.Contains(said, words) {
				t.Errorf("%s %s: it says %q, and not %q", tt.sql, tt.args, said, words)
			}
		}
	}
}

// What these files should do is what an interval does: no harm, and be refused by its name when it is asked for. Arrow
// does not know their types, and refuses the whole file.
func TestTypesThatArrowDoesNotKnow(t *testing.T) {
	for _, sql := range []string{"{'a': 1}::VARIANT AS v", "'POINT(1 2)'::GEOMETRY AS v"} {
		folder := t.TempDir()
		file := filepath.Join(folder, "in.parquet")
		query(t, fmt.Sprintf("COPY (SELECT 'u' AS user_id, %s) TO %s (FORMAT parquet%s)", sql, quote(file),
			map[bool]string{true: ", GEOPARQUET_VERSION 'NONE'"}[strings.Contains(sql, "GEOMETRY")]))
		run(t, 0, "snapshot", file, "--quiet", "--evaluator", "local", "--flag-configs", flagConfigs, "--out",
			filepath.Join(folder, "x.csv"))
	}
}

// DuckDB (1.5.6 and before) writes an ARRAY that is null as one with elements that are not there, which Parquet has no
// meaning for: https://github.com/duckdb/duckdb/issues/24731. It is refused by its name, as pyarrow refuses it.
func TestNullArraysOfDuckDB(t *testing.T) {
	file := filepath.Join(t.TempDir(), "arrays.parquet")
	query(t, fmt.Sprintf("COPY (SELECT 'u' || i AS user_id, CASE WHEN i %% 2 = 0 THEN ['a', 'b'] END::VARCHAR[2] AS "+
		"pair FROM range(4) AS r(i)) TO %s (FORMAT parquet)",
		quote(file)))
	out := filepath.Join(t.TempDir(), "x.csv")
	said := run(t, 1, "snapshot", file, "--evaluator", "local", "--flag-configs", flagConfigs, "--out", out, "--carry",
		"pair")
	if !strings.Contains(said, "column pair: damaged Parquet") {
		t.Errorf("it says %q, and not which column it is", said)
	}
}

// Structs, maps and JSON are the same users as columns with a name of dots.
func TestNestedUsersOfDuckDB(t *testing.T) {
	folder := t.TempDir()
	u := testUsers(t)
	want := assignments(t, usersFile)
	table := u.load(t, "test_users")
	id := "user_id, device_id, country, city, language, platform, os, version, "
	p := func(s string) string { return `"user_properties.` + s + `"` }
	properties := []string{"plan", "signup_date", "seats", "beta", "tags"}
	typedProperties := fmt.Sprintf("plan := %s, signup_date := %s::DATE, seats := %s::BIGINT, beta := %s::BOOLEAN, "+
		"tags := %s::JSON::VARCHAR[]",
		p("plan"), p("signup_date"), p("seats"), p("beta"), p("tags"))
	for what, columns := range map[string]string{
		"a struct of properties and one of groups": id + "struct_pack(" + typedProperties +
			") AS user_properties, struct_pack(org := \"groups.org\") AS groups",
		"a struct in which groups are lists": id + "struct_pack(" + typedProperties +
			") AS user_properties, struct_pack(org := CASE WHEN \"groups.org\" IS NOT NULL THEN [\"groups.org\"] END) AS groups",
		"maps": id + fmt.Sprintf("MAP {'plan': %s, 'signup_date': %s, 'seats': %s, 'beta': %s, 'tags': %s} AS "+
			"user_properties, MAP {'org': \"groups.org\"} AS groups",
			p("plan"), p("signup_date"), p("seats"), p("beta"), p("tags")),
		"JSON": id + "to_json(struct_pack(" + typedProperties +
			")) AS user_properties, to_json(struct_pack(org := \"groups.org\")) AS groups",
		"a context as JSON": "user_id, device_id, to_json(struct_pack(country := country, city := city, language := " +
			"language, platform := platform, os := os, version := version, " +
			"user_properties := struct_pack(" + typedProperties +
			"), groups := struct_pack(org := CASE WHEN \"groups.org\" IS NOT NULL THEN [\"groups.org\"] END))) AS context",
		"columns with types": id + fmt.Sprintf("%s AS %[1]s, %s::DATE AS %[2]s, %s::BIGINT AS %[3]s, %s::BOOLEAN AS "+
			"%[4]s, %s::JSON::VARCHAR[] AS %[5]s, \"groups.org\"",
			p("plan"), p("signup_date"), p("seats"), p("beta"), p("tags")),
	} {
		file := filepath.Join(folder, "nested.parquet")
		query(t, fmt.Sprintf("COPY (SELECT %s FROM %s) TO %s (FORMAT parquet)", columns, table, quote(file)))
		sameAs(t, what, want, assignments(t, file))
	}
	// A field of a struct, by its path.
	file := filepath.Join(folder, "path.parquet")
	var paths []string
	for _, name := range properties {
		paths = append(paths, "user_properties."+name+"=account.details."+name)
	}
	query(t, fmt.Sprintf("COPY (SELECT %sstruct_pack(details := struct_pack(%s)) AS account, \"groups.org\" AS org "+
		"FROM %s) TO %s (FORMAT parquet)",
		id, typedProperties, table, quote(file)))
	sameAs(t, "fields of a struct", want, assignments(t, file, "--map", strings.Join(paths, ","), "--map",
		"groups.org=org"))
}

// A folder of parts, one of Hive partitions, and a glob are one input.
func TestFoldersOfDuckDB(t *testing.T) {
	folder := t.TempDir()
	u := testUsers(t)
	table := u.load(t, "test_users")
	want := assignments(t, usersFile)
	for part, rows := range []string{"LIMIT 700", "LIMIT 700 OFFSET 700", "LIMIT 700 OFFSET 1400"} {
		dir := filepath.Join(folder, "parts")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		query(t, fmt.Sprintf("COPY (FROM %s %s) TO %s (FORMAT parquet)", table, rows,
			quote(filepath.Join(dir, fmt.Sprintf("part-%d.parquet", part)))))
	}
	sameAs(t, "a folder", want, assignments(t, filepath.Join(folder, "parts")))
	sameAs(t, "a glob", want, assignments(t, filepath.Join(folder, "parts", "*.parquet")))

	hive := filepath.Join(folder, "hive")
	query(t, fmt.Sprintf("COPY (FROM %s) TO %s (FORMAT parquet, PARTITION_BY (platform))", table, quote(hive)))
	csv := filepath.Join(folder, "sorted.csv") // the users in the order of the partitions
	query(t, fmt.Sprintf("COPY (FROM read_parquet(%s, hive_partitioning = true)) TO %s (FORMAT csv, HEADER)",
		quote(filepath.Join(hive, "*", "*.parquet")), quote(csv)))
	sameAs(t, "Hive partitions", assignments(t, csv), assignments(t, hive))

	texts := filepath.Join(folder, "texts")
	query(t, fmt.Sprintf("COPY (FROM %s) TO %s (FORMAT csv, HEADER, PARTITION_BY (platform))", table, quote(texts)))
	sameAs(t, "Hive partitions of CSV", assignments(t, csv), assignments(t, texts))
}

// Texts of DuckDB, in each way in which it can write them that RFC 4180 covers.
func TestTextsOfDuckDB(t *testing.T) {
	u := many(1)
	folder := t.TempDir()
	twin := filepath.Join(folder, "users.csv")
	u.writeCSV(t, twin, ',')
	texts := &users{rows: u.asTexts(true).rows}
	for _, c := range u.columns {
		texts.columns = append(texts.columns, userColumn{c.name, "VARCHAR"})
	}
	want := assignments(t, twin, carryColumns(u))
	table := texts.load(t, "nasty_texts")
	for _, how := range []struct {
		file, options string
		args          []string
	}{
		{"a.csv", "FORMAT csv, HEADER", nil},
		{"b.csv", "FORMAT csv, HEADER, FORCE_QUOTE *", nil},
		{"c.csv", "FORMAT csv, HEADER, DELIMITER ';'", []string{"--delimiter", ";"}},
		{"d.csv", "FORMAT csv, HEADER, DELIMITER '|', FORCE_QUOTE *", []string{"--delimiter", "|"}},
		{"e.tsv", "FORMAT csv, HEADER, DELIMITER '\t'", nil},
		{"f.csv.gz", "FORMAT csv, HEADER, COMPRESSION gzip", nil},
		{"g.csv.zst", "FORMAT csv, HEADER, COMPRESSION zstd", nil},
		{"h.jsonl", "FORMAT json", nil},
		{"i.jsonl.gz", "FORMAT json, COMPRESSION gzip", nil},
		{"j.jsonl.zst", "FORMAT json, COMPRESSION zstd", nil},
	} {
		file := filepath.Join(folder, how.file)
		query(t, fmt.Sprintf("COPY %s TO %s (%s)", table, quote(file), how.options))
		sameAs(t, how.options, want, assignments(t, append([]string{file, carryColumns(u)}, how.args...)...))
	}
}
