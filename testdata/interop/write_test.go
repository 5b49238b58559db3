//go:build interop

package interop

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// someFlags are flags of testdata/flags.json in an order of their own: one of them is switched off.
var someFlags = []string{"pricing-test", "checkout-redesign", "dark-mode", "recommendations", "onboarding-flow",
	"legacy-export", "partner-api", "new-player", "team-workspaces"}

// reader is the function of DuckDB that reads the file, with its default options: but that the ids of a CSV are
// declared, as the README does, because a CSV cannot say that 007 is a text.
func reader(file string) string {
	switch kind(file) {
	case "parquet":
		return fmt.Sprintf("read_parquet(%s)", quote(file))
	case "jsonl":
		return fmt.Sprintf("read_json(%s)", quote(file))
	}
	return fmt.Sprintf("read_csv(%s, types = {'user_id': 'VARCHAR', 'device_id': 'VARCHAR'})", quote(file))
}

// kind is the format of a file without its compression.
func kind(file string) string {
	base := strings.TrimSuffix(strings.TrimSuffix(file, ".gz"), ".zst")
	return strings.TrimPrefix(filepath.Ext(base), ".")
}

var formats = []string{"parquet", "csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "tsv.zst", "jsonl", "jsonl.gz",
	"jsonl.zst"}

// snapshot runs the command once for all formats, and returns the files and the manifest.
func takeSnapshot(t *testing.T, code int, inputs []string, args ...string) (files []string, m *snapshot.Manifest) {
	t.Helper()
	folder := t.TempDir()
	command := append([]string{"snapshot", "--quiet", "--flag-configs", flagConfigs}, inputs...)
	for _, f := range formats {
		file := filepath.Join(folder, "out."+f)
		files = append(files, file)
		command = append(command, "--out", file)
	}
	run(t, code, append(command, args...)...)
	m, err := snapshot.ReadManifest(nil, files[0]+".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	return files, m
}

// check has DuckDB read the files, and compares what it finds with what is wanted of a format.
func check(t *testing.T, files []string, want *table, byKind map[string]format) {
	t.Helper()
	for _, file := range files {
		want.compare(t, filepath.Base(file), query(t, "SELECT * FROM "+reader(file)), byKind[kind(file)])
	}
}

// byKind is what each format keeps: types has its columns, where they are not the same in all.
func byKind(common, parquet, csv, jsonl map[string]string) map[string]format {
	with := func(types map[string]string) map[string]string {
		all := maps.Clone(common)
		maps.Copy(all, types)
		return all
	}
	// -0 is an integer to read_json. An empty string in quotes is null to read_csv, unless allow_quoted_nulls is false.
	texts := format{types: with(csv), emptyIsNull: true}
	return map[string]format{
		"parquet": {types: with(parquet)}, "csv": texts, "tsv": texts,
		"jsonl": {types: with(jsonl), jsonIsValue: true, oneZero: true},
	}
}

var (
	longTypes = map[string]string{
		"row_number": "BIGINT", "user_id": "VARCHAR", "device_id": "VARCHAR", "flag_key": "VARCHAR", "outcome": "VARCHAR",
		"variant": "VARCHAR",
		"payload": "VARCHAR", "experiment_key": "VARCHAR", "evaluated_at": "TIMESTAMP WITH TIME ZONE",
	}
	// What carried columns are in each format. A list is JSON in a text. read_csv takes a decimal for a DOUBLE unless it
	// is declared, and in JSON lines decimals are texts, because as numbers they would be DOUBLEs. read_json has TIMESTAMP
	// for those of UTC, and none but HUGEINT for integers that may be negative.
	carryTypes = map[string]string{
		"an_int": "BIGINT", "a_float": "DOUBLE", "a_bool": "BOOLEAN", "a_date": "DATE", "a_time": "TIMESTAMP WITH TIME ZONE",
		"a_zoned_time": "TIMESTAMP WITH TIME ZONE", "a_decimal": "DECIMAL(38,10)", "a_text": "VARCHAR", "aList": "VARCHAR",
	}
	carryCSV   = map[string]string{"a_decimal": "DOUBLE"}
	carryJSONL = map[string]string{"an_int": "HUGEINT", "a_time": "TIMESTAMP", "a_zoned_time": "TIMESTAMP",
		"a_decimal": "VARCHAR", "aList": "VARCHAR[]"}
	jsonlTypes = map[string]string{"payload": "JSON", "evaluated_at": "TIMESTAMP"}
)

func merge(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range all {
		maps.Copy(merged, m)
	}
	return merged
}

var carried = []string{"an_int", "a_float", "a_bool", "a_date", "a_time", "a_zoned_time", "a_decimal", "a_text",
	"aList", `Ein Text, "quoted"`}

// carry is the option for them: a name with a comma or a quote is quoted, as in a CSV.
func carry() string {
	var names []string
	for _, c := range carried {
		names = append(names, `"`+strings.ReplaceAll(c, `"`, `""`)+`"`)
	}
	return "--carry=" + strings.Join(names, ",")
}

// nastyParquet is a file of the nasty users that DuckDB wrote, with all their types.
func nastyParquet(t *testing.T) (*users, string) {
	t.Helper()
	u := nastyUsers()
	file := filepath.Join(t.TempDir(), "users.parquet")
	query(t, fmt.Sprintf("COPY %s TO %s (FORMAT parquet)", u.load(t, "nasty"), quote(file)))
	// What DuckDB itself does not keep would look like a fault of rollcall.
	control := &table{rows: u.rows}
	for _, c := range u.columns {
		control.columns = append(control.columns, c.name)
	}
	control.compare(t, "DuckDB's own file of the users", query(t, "SELECT * FROM "+reader(file)), format{})
	return u, file
}

func TestLongLayout(t *testing.T) {
	u, file := nastyParquet(t)
	files, m := takeSnapshot(t, 3, []string{file}, "--evaluator", "local", "--flags", strings.Join(someFlags, ","),
		carry())
	want := u.expect(t, layout{flags: someFlags, carry: carried}, m)
	check(t, files, want, byKind(merge(longTypes, carryTypes), nil, carryCSV, merge(jsonlTypes, carryJSONL)))
}

func TestLongLayoutOfAllFlagsWithAllThatCanBeIncluded(t *testing.T) {
	u := testUsers(t)
	files, m := takeSnapshot(t, 3, []string{usersFile}, "--evaluator", "local", "--include",
		"metadata,evaluation_id,value")
	want := u.expect(t, layout{include: []string{"metadata", "evaluation_id", "value"}}, m)
	included := map[string]string{"metadata": "VARCHAR", "evaluation_id": "VARCHAR", "value": "VARCHAR"}
	// A column without any value, as evaluation_id is here, is JSON to read_json.
	inJSONL := map[string]string{"evaluation_id": "JSON",
		"metadata": `STRUCT("deployed" BOOLEAN, "evaluationMode" VARCHAR, "experimentKey" VARCHAR, "flagType" VARCHAR, "flagVersion" BIGINT, "segmentName" VARCHAR)`}
	check(t, files, want, byKind(merge(longTypes, included), nil, nil, merge(jsonlTypes, inJSONL)))
}

func TestWideLayout(t *testing.T) {
	u, file := nastyParquet(t)
	files, m := takeSnapshot(t, 3, []string{file}, "--evaluator", "local", "--flags", strings.Join(someFlags, ","),
		carry(), "--layout", "wide")
	common := merge(carryTypes, map[string]string{"row_number": "BIGINT", "user_id": "VARCHAR", "device_id": "VARCHAR",
		"evaluated_at": "TIMESTAMP WITH TIME ZONE"})
	for _, flag := range someFlags {
		common[flag] = "VARCHAR"
	}
	inJSONL := map[string]string{"evaluated_at": "TIMESTAMP", "legacy-export": "JSON"} // which nobody gets
	check(t, files, u.expect(t, layout{wide: true, flags: someFlags, carry: carried}, m),
		byKind(common, nil, carryCSV, merge(carryJSONL, inJSONL)))
}

func TestWideLayoutWithPayloadsAndSnakeNames(t *testing.T) {
	u, file := nastyParquet(t)
	files, m := takeSnapshot(t, 3, []string{file}, "--evaluator", "local", "--flags", strings.Join(someFlags, ","),
		carry(), "--layout", "wide",
		"--include", "payload", "--column-names", "snake")
	l := layout{wide: true, flags: someFlags, include: []string{"payload"}, carry: carried,
		names: map[string]string{"aList": "a_list", `Ein Text, "quoted"`: "ein_text_quoted"}}
	common := map[string]string{"row_number": "BIGINT", "user_id": "VARCHAR", "device_id": "VARCHAR",
		"evaluated_at": "TIMESTAMP WITH TIME ZONE", "a_list": "VARCHAR"}
	for _, flag := range someFlags {
		snake := strings.ReplaceAll(flag, "-", "_")
		l.names[flag], l.names[flag+".payload"] = snake, snake+"_payload"
		common[snake], common[snake+"_payload"] = "VARCHAR", "VARCHAR"
	}
	// Where all payloads of a flag are numbers they are one to DuckDB, and where they are of one shape a struct or a list.
	inCSV := map[string]string{"pricing_test_payload": "DOUBLE", "new_player_payload": "BOOLEAN"}
	inJSONL := map[string]string{"evaluated_at": "TIMESTAMP", "legacy_export": "JSON", "legacy_export_payload": "JSON",
		"dark_mode_payload":   "JSON",
		"partner_api_payload": "JSON", "new_player_payload": "BOOLEAN", "team_workspaces_payload": "JSON",
		"pricing_test_payload":      "DOUBLE",
		"checkout_redesign_payload": `STRUCT("layout" VARCHAR, "steps" BIGINT, "cta" STRUCT("text" VARCHAR, "color" VARCHAR), "wallets" VARCHAR[])`,
		"recommendations_payload":   "JSON[]", "a_list": "VARCHAR[]"}
	check(t, files, u.expect(t, l, m), byKind(common, nil, inCSV, inJSONL))
}

// The answers that go through HTTP are written down as those of this process are. The user with the longest id fails:
// it does not fit into a request.
func TestEmbeddedServer(t *testing.T) {
	u, file := nastyParquet(t)
	files, m := takeSnapshot(t, 3, []string{file}, "--server", "embedded", "--flags", strings.Join(someFlags, ","),
		carry())
	long := slices.IndexFunc(u.rows, func(row []value) bool {
		return len(cellText(row[0]))+
			len(cellText(row[1])) > 100_000
	})
	want := u.expect(t, layout{flags: someFlags, carry: carried, failed: []int{long + 1}}, m)
	check(t, files, want, byKind(merge(longTypes, carryTypes), nil, carryCSV, merge(jsonlTypes, carryJSONL)))
}

// A file of one user gives the sniffer of read_csv the least to go by, and the user may be full of other delimiters.
func TestFilesOfOneUser(t *testing.T) {
	u, input := nastyParquet(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "out.csv")
	run(t, 3, "snapshot", input, "--quiet", "--flag-configs", flagConfigs, "--evaluator", "local", "--flags",
		strings.Join(someFlags, ","),
		"--layout", "wide", "--include", "payload", "--out", file)
	m, err := snapshot.ReadManifest(nil, file+".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	want := u.expect(t, layout{wide: true, flags: someFlags, include: []string{"payload"}}, m)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	records := csv.NewReader(bytes.NewReader(text))
	if _, err := records.Read(); err != nil {
		t.Fatal(err)
	}
	header := text[:records.InputOffset()]
	for i := range want.rows {
		start := records.InputOffset()
		if _, err := records.Read(); err != nil {
			t.Fatal(err)
		}
		one := filepath.Join(folder, fmt.Sprintf("one%d.csv", i))
		write(t, one, string(header)+string(text[start:records.InputOffset()]))
		alone := &table{want.columns, want.rows[i : i+1]}
		alone.compare(t, fmt.Sprintf("the user of row %d alone", i+1), query(t, "SELECT * FROM "+reader(one)), format{})
	}
}

// What DuckDB makes of ids by default where all of them look like something else: of those of a CSV sometimes numbers,
// hence the declaration in the README; those of JSON lines stay texts, unless they look like UUIDs or dates. Parquet
// has its types.
func TestIDsThatAllLookAlike(t *testing.T) {
	for _, tt := range []struct{ id, csv, jsonl, jsonlType string }{
		{"007", "007", "007", "VARCHAR"},
		{"1e5", "100000", "1e5", "VARCHAR"},
		{"true", "true", "true", "VARCHAR"},
		{"5DF2208C-EDA6-4E16-B875-84332083FB0B", "5DF2208C-EDA6-4E16-B875-84332083FB0B",
			"5df2208c-eda6-4e16-b875-84332083fb0b", "UUID"},
		{"2024-02-29", "2024-02-29", "2024-02-29", "DATE"},
	} {
		folder := t.TempDir()
		input := filepath.Join(folder, "users.csv")
		write(t, input, "user_id\n"+strings.Repeat(tt.id+"\n", 3))
		args := []string{"snapshot", input, "--quiet", "--flag-configs", flagConfigs, "--evaluator", "local", "--flags",
			"dark-mode"}
		for _, f := range []string{"csv", "jsonl", "parquet"} {
			args = append(args, "--out", filepath.Join(folder, "out."+f))
		}
		run(t, 0, args...)
		for _, from := range []struct{ table, id, typ string }{
			{fmt.Sprintf("read_csv(%s)", quote(filepath.Join(folder, "out.csv"))), tt.csv, ""},
			{reader(filepath.Join(folder, "out.csv")), tt.id, "VARCHAR"},
			{reader(filepath.Join(folder, "out.jsonl")), tt.jsonl, tt.jsonlType},
			{reader(filepath.Join(folder, "out.parquet")), tt.id, "VARCHAR"},
		} {
			got := query(t, "SELECT DISTINCT user_id FROM "+from.table)
			if len(got.Rows) != 1 || *got.Rows[0][0] != from.id || from.typ != "" && got.Columns[0].Type != from.typ {
				t.Errorf("id %s: %s finds %q as %s, want %q as %s", tt.id, from.table, texts(got), got.Columns[0].Type, from.id,
					from.typ)
			}
		}
	}
}

// read_csv looks at 20,480 rows to find out what a CSV is like. Where there is no quote in them it takes quotes for
// nothing special from there on, and finds another text, or another number of columns, in a cell that has them
// (https://github.com/duckdb/duckdb/issues/21000); and where there are apostrophes instead, it takes those for the
// quotes. Quotes in the header are enough to tell it.
func TestQuotesAreFoundOut(t *testing.T) {
	var many []string
	for i := range 25_000 {
		many = append(many, fmt.Sprintf("user-%d", i))
	}
	for what, ids := range map[string][]string{
		"quotes that come late":         append(slices.Clone(many), `Jim "Jimbo" Jones`),
		"a comma that comes late":       append(slices.Clone(many), "Jones, Jim"),
		"apostrophes":                   {"'quoted'", "it's", "x"},
		"apostrophes, and quotes later": append(append([]string{"'a'", "'b'"}, many...), `Jim "Jimbo" Jones`),
	} {
		folder := t.TempDir()
		u := &users{columns: []userColumn{{"user_id", "VARCHAR"}}}
		for _, id := range ids {
			u.rows = append(u.rows, []value{id})
		}
		input := filepath.Join(folder, "users.csv")
		u.writeCSV(t, input, ',')
		for _, f := range []string{"csv", "tsv"} {
			file := filepath.Join(folder, "out."+f)
			run(t, 0, "snapshot", input, "--quiet", "--flag-configs", flagConfigs, "--evaluator", "local", "--flags",
				"dark-mode", "--overwrite", "--out", file)
			got, err := duck.query("SELECT user_id FROM " + reader(file) + " ORDER BY row_number")
			if err != nil {
				t.Errorf("%s, %s: %s", what, f, strings.SplitN(err.Error(), "\n", 2)[0])
				continue
			}
			for i, row := range texts(got) {
				if row[0] != ids[i] {
					t.Errorf("%s, %s: row %d is %s, want %s", what, f, i+1, row[0], ids[i])
				}
			}
		}
	}
}

// An empty text is not null. read_csv keeps it apart when it is told to, and the other formats do anyway.
func TestEmptyTexts(t *testing.T) {
	folder := t.TempDir()
	input := filepath.Join(folder, "users.csv")
	write(t, input, "user_id,nothing,something\nu1,,x\nu2,,\nu3,,y\n")
	for _, missing := range []string{"null", "empty"} {
		want := [][]string{{"u1", "null", "x"}, {"u2", "null", "null"}, {"u3", "null", "y"}}
		if missing == "empty" {
			want = [][]string{{"u1", "", "x"}, {"u2", "", ""}, {"u3", "", "y"}}
		}
		for _, f := range []string{"out.csv", "out.tsv", "out.jsonl", "out.parquet"} {
			file := filepath.Join(folder, f)
			run(t, 0, "snapshot", input, "--quiet", "--flag-configs", flagConfigs, "--evaluator", "local", "--flags",
				"dark-mode", "--overwrite",
				"--carry", "nothing,something", "--missing", missing, "--out", file)
			from := reader(file)
			if kind(file) != "jsonl" && kind(file) != "parquet" {
				from = strings.TrimSuffix(from, ")") + ", allow_quoted_nulls = false)"
			}
			if diff := cmp.Diff(want, texts(query(t, "SELECT user_id, nothing, something FROM "+from))); diff != "" {
				t.Errorf("--missing %s, %s (-want +got):\n%s", missing, f, diff)
			}
		}
	}
}

// The same users come from a CSV, a TSV and JSON lines, where --types says what a column holds.
func TestUsersFromTexts(t *testing.T) {
	typed := []string{"an_int", "a_float", "a_bool", "aList"}
	types := "--types=an_int:int,a_float:float,a_bool:bool,aList:json"
	u := nastyUsers()
	for name, in := range map[string]struct {
		users *users
		write func(file string)
	}{
		"users.csv":   {u.asTexts(true, typed...), func(file string) { u.writeCSV(t, file, ',') }},
		"users.tsv":   {u.asTexts(true, typed...), func(file string) { u.writeCSV(t, file, '\t') }},
		"users.jsonl": {u.asTexts(false, typed...), func(file string) { u.writeJSONL(t, file, false) }},
	} {
		file := filepath.Join(t.TempDir(), name)
		in.write(file)
		files, m := takeSnapshot(t, 3, []string{file}, "--evaluator", "local", "--flags", strings.Join(someFlags, ","),
			carry(), types)
		want := in.users.expect(t, layout{flags: someFlags, carry: carried}, m)
		texts := map[string]string{"a_date": "VARCHAR", "a_time": "VARCHAR", "a_zoned_time": "VARCHAR",
			"a_decimal": "VARCHAR"}
		for _, out := range files[:1] { // what the other formats make of such a table is known from the tests above
			want.compare(t, name+" to "+filepath.Base(out), query(t, "SELECT * FROM "+reader(out)),
				byKind(merge(longTypes, carryTypes, texts), nil, nil, nil)[kind(out)])
		}
	}
}

func TestErrorRecords(t *testing.T) {
	u, input := nastyParquet(t)
	want := &table{columns: []string{"row_number", "user_id", "device_id", "kind", "http_status", "attempts", "message",
		"occurred_at", "input", "run_id"}}
	for i, row := range u.rows {
		if row[0] != nil || row[1] != nil {
			continue
		}
		original := []byte{'{'}
		for j, v := range row {
			if j > 0 {
				original = append(original, ',')
			}
			original = append(appendJSON(original, u.columns[j].name), ':')
			original = appendJSON(original, v)
		}
		want.rows = append(want.rows, []value{int64(i + 1), nil, nil, "missing_id", nil, int64(0),
			"neither a user id nor a device id", moment{}, anyJSON(append(original, '}')), nil})
	}
	common := map[string]string{"row_number": "BIGINT", "user_id": "VARCHAR", "device_id": "VARCHAR", "kind": "VARCHAR",
		"attempts": "BIGINT",
		"message":  "VARCHAR", "occurred_at": "TIMESTAMP WITH TIME ZONE", "input": "VARCHAR", "run_id": "VARCHAR"}
	// all are null
	inJSONL := merge(common, map[string]string{"user_id": "JSON", "device_id": "JSON", "http_status": "JSON",
		"occurred_at": "TIMESTAMP"})
	// a struct of all columns
	delete(inJSONL, "input")
	for _, f := range formats {
		folder := t.TempDir()
		file := filepath.Join(folder, "failed."+f)
		out := filepath.Join(folder, "out.jsonl")
		run(t, 3, "snapshot", input, "--quiet", "--flag-configs", flagConfigs, "--evaluator", "local", carry(), "--out", out,
			"--errors", file)
		m, err := snapshot.ReadManifest(nil, out+".manifest.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range want.rows {
			row[7], row[9] = moment{m.StartedAt.Truncate(time.Millisecond), m.FinishedAt}, m.RunID
		}
		is := format{types: merge(common, map[string]string{"http_status": "BIGINT"})}
		switch kind(file) {
		case "jsonl":
			is = format{types: inJSONL}
		case "csv", "tsv":
			is = format{types: merge(common, map[string]string{"http_status": "VARCHAR"})} // without any value
		}
		want.compare(t, filepath.Base(file), query(t, "SELECT * FROM "+reader(file)), is)
	}
}

// Errors of the API have a status.
func TestErrorRecordsOfTheAPI(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Query().Get("user_id"), "1") {
			http.Error(w, "no, \"never\"\r\n", http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, "{}") //nolint:errcheck // the client would notice
	}))
	defer api.Close()
	t.Setenv("AMPLITUDE_DEPLOYMENT_KEY", "canary")
	for _, f := range []string{"parquet", "csv", "tsv.gz", "jsonl"} {
		folder := t.TempDir()
		input := filepath.Join(folder, "users.csv")
		write(t, input, "user_id\nuser-1\nuser-2\nuser-11\n")
		file := filepath.Join(folder, "failed."+f)
		run(t, 3, "snapshot", input, "--quiet", "--server", api.URL, "--rate", "0", "--out",
			filepath.Join(folder, "out.jsonl"), "--errors", file)
		got := query(t, "SELECT row_number, user_id, kind, http_status, attempts, typeof(http_status), typeof(attempts), "+
			"message <> '' FROM "+reader(file))
		want := [][]string{
			{"1", "user-1", "rejected", "400", "1", "BIGINT", "BIGINT", "true"},
			{"3", "user-11", "rejected", "400", "1", "BIGINT", "BIGINT", "true"},
		}
		if diff := cmp.Diff(want, texts(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f, diff)
		}
	}
}

// Nobody failed: the file is there, and has its columns.
func TestEmptyFiles(t *testing.T) {
	folder := t.TempDir()
	for _, f := range []string{"parquet", "csv", "tsv.zst", "csv.gz", "jsonl", "jsonl.gz"} {
		file := filepath.Join(folder, "failed."+f)
		run(t, 0, "snapshot", "../few.csv", "--quiet", "--flag-configs", flagConfigs, "--evaluator", "local", "--overwrite",
			"--out", filepath.Join(folder, "out.jsonl"), "--errors", file)
		got := query(t, "SELECT * FROM "+reader(file))
		wantColumns := 10
		if kind(file) == "jsonl" {
			wantColumns = 1 // an empty file names none; DuckDB makes one of its own
		}
		if len(got.Rows) != 0 || len(got.Columns) != wantColumns {
			t.Errorf("%s: %d rows, %d columns; want none, %d", f, len(got.Rows), len(got.Columns), wantColumns)
		}
	}
}

// What a Parquet file says of itself, according to DuckDB, and that it is true: a reader skips what the statistics
// rule out.
func TestParquetMetadata(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "out.parquet")
	inputs := []string{"snapshot"}
	users, err := os.ReadFile(usersFile)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 { // the same file twice would be refused
		copied := filepath.Join(folder, fmt.Sprintf("users-%d.csv", i))
		write(t, copied, string(users))
		inputs = append(inputs, copied)
	}
	run(t, 3, append(inputs, "--quiet", "--flag-configs", flagConfigs, "--evaluator", "local", "--flags",
		strings.Join(someFlags, ","),
		"--carry", "lifetime_value,user_properties.seats,user_properties.beta", "--types",
		"lifetime_value:float,user_properties.seats:int,user_properties.beta:bool",
		"--out", file)...)
	m, err := snapshot.ReadManifest(nil, file+".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	rows := 19_970 * len(someFlags)
	source := fmt.Sprintf("(%s)", quote(file))

	got := query(t, "SELECT created_by, num_rows, num_row_groups FROM parquet_file_metadata"+source)
	if is := row(got, 0); !strings.HasPrefix(is[0], "rollcall version ") || is[1] != fmt.Sprint(rows) || is[2] != "2" {
		t.Errorf("created_by, rows, row groups = %q, want rollcall, %d, 2", is, rows)
	}
	got = query(t, "SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata"+source+" ORDER BY 1")
	if diff := cmp.Diff([][]string{{"0", "131072"}, {"1", fmt.Sprint(rows - 131072)}}, texts(got)); diff != "" {
		t.Errorf("row groups (-want +got):\n%s", diff)
	}
	got = query(t, "SELECT decode(key), decode(value) FROM parquet_kv_metadata"+source+" ORDER BY 1")
	var options map[string]string
	if len(got.Rows) != 2 || *got.Rows[0][0] != "rollcall.options" ||
		json.Unmarshal([]byte(*got.Rows[0][1]), &options) != nil ||
		options["flags"] != strings.Join(someFlags, ",") || *got.Rows[1][0] != "rollcall.run_id" ||
		*got.Rows[1][1] != m.RunID {
		t.Errorf("key-value metadata = %q, want the options and the run id %s", texts(got), m.RunID)
	}

	got = query(t, "SELECT name, type, repetition_type, coalesce(converted_type, ''), logical_type LIKE "+
		"'%isAdjustedToUTC=1%MILLIS=MilliSeconds%' "+
		"FROM parquet_schema"+source+" WHERE num_children IS NULL")
	wantSchema := [][]string{
		{"row_number", "INT64", "REQUIRED", "", "null"},
		{"user_id", "BYTE_ARRAY", "OPTIONAL", "UTF8", "false"},
		{"device_id", "BYTE_ARRAY", "OPTIONAL", "UTF8", "false"},
		{"flag_key", "BYTE_ARRAY", "REQUIRED", "UTF8", "false"},
		{"outcome", "BYTE_ARRAY", "REQUIRED", "UTF8", "false"},
		{"variant", "BYTE_ARRAY", "OPTIONAL", "UTF8", "false"},
		{"payload", "BYTE_ARRAY", "OPTIONAL", "UTF8", "false"},
		{"experiment_key", "BYTE_ARRAY", "OPTIONAL", "UTF8", "false"},
		{"evaluated_at", "INT64", "REQUIRED", "TIMESTAMP_MILLIS", "true"},
		{"lifetime_value", "DOUBLE", "OPTIONAL", "", "null"},
		{"user_properties.seats", "INT64", "OPTIONAL", "", "null"},
		{"user_properties.beta", "BOOLEAN", "OPTIONAL", "", "null"},
	}
	if diff := cmp.Diff(wantSchema, texts(got)); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}

	// The statistics of each row group beside what its rows hold.
	got = query(t, "SELECT row_group_id, path_in_schema, compression, stats_null_count, stats_min_value, stats_max_value, "+
		"dictionary_page_offset IS NOT NULL FROM parquet_metadata"+source)
	for i := range got.Rows {
		is := row(got, i)
		group, column := is[0], is[1]
		first := map[string]int{"0": 0, "1": 131072}[group]
		truth := row(query(t, fmt.Sprintf("SELECT count(*) - count(x), min(x), max(x), min(x)::VARCHAR, max(x)::VARCHAR FROM "+
			"(SELECT %s AS x FROM read_parquet(%s) LIMIT 131072 OFFSET %d)", name(column), quote(file), first)), 0)
		if is[2] != "ZSTD" || is[3] != truth[0] || is[4] != truth[3] || is[5] != truth[4] {
			t.Errorf("row group %s, column %s: compression, nulls, min, max = %q, want ZSTD, %q", group, column, is[2:6],
				[]string{truth[0], truth[3], truth[4]})
		}
		if repeats := column != "user_properties.beta"; (is[6] == "true") != repeats {
			t.Errorf("row group %s, column %s: a dictionary: %s, want %t", group, column, is[6], repeats)
		}
	}
	// A filter, which the statistics help, finds what a scan of everything finds.
	for _, filter := range []string{"row_number = 17000", "user_id = '007'", "flag_key = 'dark-mode'", "flag_key > 'z'",
		"variant IS NULL", "lifetime_value < 1",
		"\"user_properties.seats\" = 41", "evaluated_at < '1970-01-01'",
		"row_number BETWEEN 14000 AND 15000 AND outcome = 'assigned'"} {
		counts := row(query(t, fmt.Sprintf("SELECT (SELECT count(*) FROM read_parquet(%s) WHERE %s), (SELECT count(*) "+
			"FILTER (%[2]s) FROM read_parquet(%[1]s))",
			quote(file), filter)), 0)
		if counts[0] != counts[1] {
			t.Errorf("WHERE %s finds %s rows, a scan %s", filter, counts[0], counts[1])
		}
	}
}

// row is a row of the result; null is "null".
func row(r *result, i int) []string {
	var cells []string
	for _, c := range r.Rows[i] {
		if c == nil {
			cells = append(cells, "null")
		} else {
			cells = append(cells, *c)
		}
	}
	return cells
}

// texts are all of them.
func texts(r *result) [][]string {
	var rows [][]string
	for i := range r.Rows {
		rows = append(rows, row(r, i))
	}
	return rows
}
