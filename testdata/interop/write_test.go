//go:build interop

package interop

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/report"
)

// someFlags are flags of testdata/flags.json in an order of their own: one of them is switched off.
var someFlags = []string{"pricing-test", "checkout-redesign", "dark-mode", "recommendations", "onboarding-flow", "legacy-export", "partner-api", "new-player", "team-workspaces"}

// reader is the function of DuckDB that reads the file, with its default options: but that the ids of a CSV are declared,
// as the README does, because a CSV cannot say that 007 is a text.
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

var formats = []string{"parquet", "csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "tsv.zst", "jsonl", "jsonl.gz", "jsonl.zst"}

// snapshot runs the command once for all formats, and returns the files and the manifest.
func snapshot(t *testing.T, code int, inputs []string, args ...string) (files []string, m *report.Manifest) {
	t.Helper()
	folder := t.TempDir()
	command := append([]string{"snapshot", "--quiet", "--flag-configs", flagConfigs}, inputs...)
	for _, f := range formats {
		file := filepath.Join(folder, "out."+f)
		files = append(files, file)
		command = append(command, "--out", file)
	}
	run(t, code, append(command, args...)...)
	m, err := report.ReadManifest(files[0] + ".manifest.json")
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
	text := format{types: with(csv), emptyIsNull: true}
	return map[string]format{
		"parquet": {types: with(parquet)}, "csv": text, "tsv": text, "jsonl": {types: with(jsonl), jsonIsValue: true, oneZero: true},
	}
}

var (
	longTypes = map[string]string{
		"row_number": "BIGINT", "user_id": "VARCHAR", "device_id": "VARCHAR", "flag_key": "VARCHAR", "outcome": "VARCHAR", "variant": "VARCHAR",
		"payload": "VARCHAR", "experiment_key": "VARCHAR", "evaluated_at": "TIMESTAMP WITH TIME ZONE",
	}
	// What carried columns are in each format. A list is JSON in a text. read_csv takes a decimal for a DOUBLE. read_json has
	// no type for timestamps of which some have a fraction of a second, and none but HUGEINT for integers that may be negative.
	carryTypes = map[string]string{
		"an_int": "BIGINT", "a_float": "DOUBLE", "a_bool": "BOOLEAN", "a_date": "DATE", "a_time": "TIMESTAMP WITH TIME ZONE",
		"a_zoned_time": "TIMESTAMP WITH TIME ZONE", "a_decimal": "VARCHAR", "a_text": "VARCHAR", "aList": "VARCHAR",
	}
	carryCSV   = map[string]string{"a_decimal": "DOUBLE"}
	carryJSONL = map[string]string{"an_int": "HUGEINT", "a_time": "VARCHAR", "a_zoned_time": "VARCHAR", "aList": "VARCHAR[]"}
	jsonlTypes = map[string]string{"payload": "JSON", "evaluated_at": "TIMESTAMP"}
)

func merge(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range all {
		maps.Copy(merged, m)
	}
	return merged
}

var carried = []string{"an_int", "a_float", "a_bool", "a_date", "a_time", "a_zoned_time", "a_decimal", "a_text", "aList", `Ein Text, "quoted"`}

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
	files, m := snapshot(t, 3, []string{file}, "--evaluator", "local", "--flags", strings.Join(someFlags, ","), carry())
	want := u.expect(t, layout{flags: someFlags, carry: carried}, m)
	check(t, files, want, byKind(merge(longTypes, carryTypes), nil, carryCSV, merge(jsonlTypes, carryJSONL)))
}

func TestLongLayoutOfAllFlagsWithAllThatCanBeIncluded(t *testing.T) {
	u := testUsers(t)
	files, m := snapshot(t, 3, []string{usersFile}, "--evaluator", "local", "--include", "metadata,evaluation_id,value")
	want := u.expect(t, layout{include: []string{"metadata", "evaluation_id", "value"}}, m)
	included := map[string]string{"metadata": "VARCHAR", "evaluation_id": "VARCHAR", "value": "VARCHAR"}
	// A column without any value, as evaluation_id is here, is JSON to read_json.
	inJSONL := map[string]string{"evaluation_id": "JSON",
		"metadata": `STRUCT("deployed" BOOLEAN, "evaluationMode" VARCHAR, "experimentKey" VARCHAR, "flagType" VARCHAR, "flagVersion" BIGINT, "segmentName" VARCHAR)`}
	check(t, files, want, byKind(merge(longTypes, included), nil, nil, merge(jsonlTypes, inJSONL)))
}

func TestWideLayout(t *testing.T) {
	u, file := nastyParquet(t)
	files, m := snapshot(t, 3, []string{file}, "--evaluator", "local", "--flags", strings.Join(someFlags, ","), carry(), "--layout", "wide")
	common := merge(carryTypes, map[string]string{"row_number": "BIGINT", "user_id": "VARCHAR", "device_id": "VARCHAR", "evaluated_at": "TIMESTAMP WITH TIME ZONE"})
	for _, flag := range someFlags {
		common[flag] = "VARCHAR"
	}
	inJSONL := map[string]string{"evaluated_at": "TIMESTAMP", "legacy-export": "JSON"} // which nobody gets
	check(t, files, u.expect(t, layout{wide: true, flags: someFlags, carry: carried}, m), byKind(common, nil, carryCSV, merge(carryJSONL, inJSONL)))
}

func TestWideLayoutWithPayloadsAndSnakeNames(t *testing.T) {
	u, file := nastyParquet(t)
	files, m := snapshot(t, 3, []string{file}, "--evaluator", "local", "--flags", strings.Join(someFlags, ","), carry(), "--layout", "wide",
		"--include", "payload", "--column-names", "snake")
	l := layout{wide: true, flags: someFlags, include: []string{"payload"}, carry: carried,
		names: map[string]string{"aList": "a_list", `Ein Text, "quoted"`: "ein_text_quoted"}}
	common := map[string]string{"row_number": "BIGINT", "user_id": "VARCHAR", "device_id": "VARCHAR", "evaluated_at": "TIMESTAMP WITH TIME ZONE", "a_list": "VARCHAR"}
	for _, flag := range someFlags {
		snake := strings.ReplaceAll(flag, "-", "_")
		l.names[flag], l.names[flag+".payload"] = snake, snake+"_payload"
		common[snake], common[snake+"_payload"] = "VARCHAR", "VARCHAR"
	}
	// Where all payloads of a flag are numbers they are one to DuckDB, and where they are of one shape a struct or a list.
	inCSV := map[string]string{"pricing_test_payload": "DOUBLE", "new_player_payload": "BOOLEAN"}
	inJSONL := map[string]string{"evaluated_at": "TIMESTAMP", "legacy_export": "JSON", "legacy_export_payload": "JSON", "dark_mode_payload": "JSON",
		"partner_api_payload": "JSON", "new_player_payload": "BOOLEAN", "team_workspaces_payload": "JSON", "pricing_test_payload": "DOUBLE",
		"checkout_redesign_payload": `STRUCT("layout" VARCHAR, "steps" BIGINT, "cta" STRUCT("text" VARCHAR, "color" VARCHAR), "wallets" VARCHAR[])`,
		"recommendations_payload":   "JSON[]", "a_list": "VARCHAR[]"}
	check(t, files, u.expect(t, l, m), byKind(common, nil, inCSV, inJSONL))
}

// The answers that go through HTTP are written down as those of this process are. The user with the longest id fails: it
// does not fit into a request.
func TestEmbeddedServer(t *testing.T) {
	u, file := nastyParquet(t)
	files, m := snapshot(t, 3, []string{file}, "--server", "embedded", "--flags", strings.Join(someFlags, ","), carry())
	long := slices.IndexFunc(u.rows, func(row []value) bool { return len(cellText(row[0]))+len(cellText(row[1])) > 100_000 })
	want := u.expect(t, layout{flags: someFlags, carry: carried, failed: []int{long + 1}}, m)
	check(t, files, want, byKind(merge(longTypes, carryTypes), nil, carryCSV, merge(jsonlTypes, carryJSONL)))
}
