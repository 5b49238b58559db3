//go:build interop

package interop

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// DuckDB runs what `rollcall load --for duckdb` prints, for every format, twice: the same rows, with their types.
func TestLoad(t *testing.T) {
	directory := t.TempDir()
	formats := []string{"parquet", "csv", "csv.gz", "csv.zst", "tsv", "jsonl", "jsonl.gz"}
	args := []string{"snapshot", "../users.csv", "--quiet", "--evaluator", "local", "--flag-configs", "../flags.json",
		"--carry", "country,user_properties.seats,lifetime_value,note,name", "--include", "metadata", "--max-errors", "3"}
	for _, format := range formats {
		args = append(args, "--out", filepath.Join(directory, "it's."+format))
	}
	run(t, 0, args...)
	query(t, "CREATE SCHEMA loads")
	// JSON Lines cannot tell a payload that is null from none.
	const columns, sameNull = "SELECT * EXCLUDE (run_id) ", "REPLACE (coalesce(payload, 'null') AS payload) "
	all := "SELECT * " + sameNull + "FROM " + quote(filepath.Join(directory, "it's.parquet"))
	var want string
	for i, format := range formats {
		t.Run(format, func(t *testing.T) {
			table := "t" + strings.ReplaceAll(format, ".", "_")
			sql := run(t, 0, "load", filepath.Join(directory, "it's."+format), "--for", "duckdb", "--table", "loads."+table)
			query(t, sql)
			query(t, sql) // in place of the first ones
			types := query(t, "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY column_index) FROM duckdb_columns() "+
				"WHERE schema_name = 'loads' AND table_name = "+quote(table)).Rows[0][0]
			if i == 0 {
				want = *types
			} else if *types != want {
				t.Errorf("types of %s: %s; want those of Parquet: %s", format, *types, want)
			}
			loaded := columns + sameNull + "FROM loads." + table
			for _, difference := range []string{loaded + " EXCEPT ALL " + all, all + " EXCEPT ALL " + loaded} {
				if r := query(t, difference+" LIMIT 3"); len(r.Rows) > 0 {
					t.Errorf("%s: %d rows differ or more: %q", difference, len(r.Rows), texts(r))
				}
			}
			if n := query(t, "SELECT count(*) FROM loads."+table).Rows[0][0]; *n == "0" {
				t.Errorf("no rows in loads.%s", table)
			}
		})
	}
}

// DuckDB finds out by itself what --out-delimiter and --csv-bom make of a file, and runs the statements for it.
func TestDelimiters(t *testing.T) {
	query(t, "CREATE SCHEMA delimited")
	for i, d := range []string{";", "|", `\t`} {
		t.Run(d, func(t *testing.T) {
			directory := t.TempDir()
			csv, parquet := filepath.Join(directory, "a.csv"), filepath.Join(directory, "a.parquet")
			run(t, 0, "snapshot", "../users.csv", "--quiet", "--evaluator", "local", "--flag-configs", "../flags.json",
				"--carry", "country,note,name", "--max-errors", "3", "--out", csv, "--out", parquet,
				"--out-delimiter", d, "--csv-bom")
			table := "delimited.t" + string(rune('0'+i))
			query(t, run(t, 0, "load", csv, "--for", "duckdb", "--table", table))
			all := "SELECT row_number, user_id, flag_key, variant, payload, note, name FROM "
			for what, from := range map[string]string{"read_csv": reader(csv), "loaded": table} {
				got, want := query(t, all+from+" ORDER BY ALL"), query(t, all+quote(parquet)+" ORDER BY ALL")
				if diff := cmp.Diff(texts(want), texts(got)); diff != "" || len(want.Rows) == 0 {
					t.Errorf("%s with the delimiter %s (-Parquet +CSV):\n%s", what, d, diff)
				}
			}
		})
	}
}
