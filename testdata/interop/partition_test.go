//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// DuckDB reads partitions with hive_partitioning: the rows of the same run in one file, with the values that only the
// directories have, however odd they are.
func TestPartitions(t *testing.T) {
	directory := t.TempDir()
	countries := []string{"Germany", "São Paulo", "a/b", "../..", "100%", "%2F", "x=y", `"quoted"`, "O'Neill", "new\nline", "a b ",
		"", "007", "2026-01-02", "true", "*?[x]", "C:\\", "#1", "ends.", "__HIVE_DEFAULT_PARTITION__x", "tab\t"}
	var input strings.Builder
	input.WriteString("user_id,country\n")
	for i := range 300 {
		fmt.Fprintf(&input, "user-%d,\"%s\"\n", i, strings.ReplaceAll(countries[i%len(countries)], `"`, `""`))
	}
	users := filepath.Join(directory, "users.csv")
	if err := os.WriteFile(users, []byte(input.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"snapshot", users, "--quiet", "--evaluator", "local", "--flag-configs", flagConfigs, "--carry", "country",
		"--flags", strings.Join(someFlags, ",")}
	plain := filepath.Join(directory, "plain.parquet")
	run(t, 0, append(args, "--out", plain)...)
	const columns = "SELECT row_number, user_id, device_id, flag_key, outcome, variant, " +
		"coalesce(CAST(payload AS VARCHAR), 'null') AS payload, experiment_key, country FROM "
	for _, by := range []string{"country,flag_key", "variant,country", "outcome"} {
		for _, format := range []string{"parquet", "csv.gz", "jsonl"} {
			t.Run(by+"/"+format, func(t *testing.T) {
				root := t.TempDir()
				run(t, 0, append(args, "--partition-by", by, "--rows-per-file", "100", "--out", filepath.Join(root, "part."+format))...)
				function, more := "read_parquet", ""
				switch kind("x." + format) {
				case "csv":
					// DuckDB guesses the dialect from the first file, which may be a single row.
					function, more = "read_csv", `, all_varchar = true, delim = ',', quote = '"', escape = '"'`
				case "jsonl":
					function, more = "read_json", ", columns = {row_number: 'BIGINT', user_id: 'VARCHAR', device_id: 'VARCHAR', "+
						"flag_key: 'VARCHAR', outcome: 'VARCHAR', variant: 'VARCHAR', payload: 'JSON', experiment_key: 'VARCHAR', "+
						"evaluated_at: 'VARCHAR', country: 'VARCHAR'}"
					for _, c := range strings.Split(by, ",") {
						more = strings.Replace(more, ", "+c+": 'VARCHAR'", "", 1)
					}
				}
				var types []string
				for _, c := range strings.Split(by, ",") {
					types = append(types, name(c)+": VARCHAR")
				}
				glob := filepath.Join(root, strings.Repeat("*/", len(types))+"part-*."+format)
				parts := columns + fmt.Sprintf("%s(%s, hive_partitioning = true, hive_types = {%s}%s)", function, quote(glob),
					strings.Join(types, ", "), more)
				whole := columns + fmt.Sprintf("read_parquet(%s)", quote(plain))
				if kind("x."+format) == "csv" {
					parts = strings.Replace(parts, "row_number,", "CAST(row_number AS BIGINT) AS row_number,", 1)
				}
				if n := query(t, fmt.Sprintf("SELECT count(*) FROM (%s)", parts)).Rows[0][0]; *n != fmt.Sprint(300*len(someFlags)) {
					t.Errorf("%s rows, want %d", *n, 300*len(someFlags))
				}
				query(t, run(t, 0, "load", root, "--for", "duckdb", "--table", "main.parted"))
				loaded := columns + "main.parted"
				for _, difference := range []string{loaded + " EXCEPT ALL " + whole, whole + " EXCEPT ALL " + loaded, parts + " EXCEPT ALL " + whole, whole + " EXCEPT ALL " + parts} {
					if r := query(t, difference+" LIMIT 3"); len(r.Rows) > 0 {
						t.Errorf("%d rows differ or more: %q\n%s", len(r.Rows), texts(r), difference)
					}
				}
				query(t, "DROP TABLE main.parted")
			})
		}
	}
}
