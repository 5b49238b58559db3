//go:build interop

package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const dbt = "../recipes/dbt/"

// properties is a file of properties of dbt, as far as the recipe has them. Other keys are errors.
type properties struct {
	Version int
	Sources []struct {
		Name, Schema, Description string
		Config                    struct {
			LoadedAtField string `yaml:"loaded_at_field"`
			Freshness     struct {
				WarnAfter  period `yaml:"warn_after"`
				ErrorAfter period `yaml:"error_after"`
			}
		}
		Tables []relation
	}
	Models []relation
}

type period struct {
	Count  int
	Period string
}

type relation struct {
	Name, Description string
	Columns           []struct {
		Name, Description string
		DataTests         []any `yaml:"data_tests"`
	}
}

// TestDBT runs the queries of the dbt recipe as dbt would, in DuckDB, on a table that two runs were loaded into: the
// model, the tests, which must find what is wrong, and the freshness.
func TestDBT(t *testing.T) {
	decoder := yaml.NewDecoder(bytes.NewReader(readFile(t, dbt+"models/rollcall/_rollcall.yml")))
	decoder.KnownFields(true)
	var p properties
	if err := decoder.Decode(&p); err != nil {
		t.Fatal(err)
	}
	source := p.Sources[0]
	table := source.Schema + "." + source.Tables[0].Name
	render := func(file string) string {
		sql := strings.ReplaceAll(string(readFile(t, dbt+file)), "{{ source('"+source.Name+"', '"+source.Tables[0].Name+"') }}", table)
		if strings.Contains(sql, "{{") || strings.Contains(sql, "{%") {
			t.Fatalf("%s has a template that this test does not render:\n%s", file, sql)
		}
		return sql
	}

	folder := t.TempDir()
	query(t, "DROP SCHEMA IF EXISTS "+source.Schema+" CASCADE") // of an earlier pass, as of -count=20
	query(t, "CREATE SCHEMA "+source.Schema)
	for i, night := range []string{"first", "second"} {
		configs := filepath.Join(folder, night+".json")
		write(t, configs, strings.ReplaceAll(string(readFile(t, "../flags.json")), "tW3kPz1q", "salt-"+strconv.Itoa(i)))
		out := filepath.Join(folder, night+".parquet")
		run(t, 0, "snapshot", "../users.csv", "--quiet", "--evaluator", "local", "--flag-configs", configs, "--flags", "dark-mode", "--max-errors", "3", "--out", out)
		query(t, run(t, 0, "load", out, "--for", "duckdb", "--table", table))
	}
	model := p.Models[0].Name
	query(t, "CREATE OR REPLACE VIEW "+model+" AS "+render("models/rollcall/"+model+".sql"))
	second := quote(filepath.Join(folder, "second.parquet"))
	for _, difference := range []string{
		"SELECT row_number, flag_key, variant FROM " + model + " EXCEPT ALL SELECT row_number, flag_key, variant FROM " + second,
		"SELECT row_number, flag_key, variant FROM " + second + " EXCEPT ALL SELECT row_number, flag_key, variant FROM " + model,
	} {
		if r := query(t, difference+" LIMIT 3"); len(r.Rows) > 0 {
			t.Errorf("%s: the model is not the latest run: %q", difference, texts(r))
		}
	}

	// failures are the tests that find something, by name.
	failures := func() (found []string) {
		tests, names := map[string]string{"one row": render("tests/rollcall_one_row_per_user_and_flag.sql")}, []string{"one row"}
		add := func(from string, r relation) {
			for _, column := range r.Columns {
				for _, one := range column.DataTests {
					name, where := "", ""
					switch one := one.(type) {
					case string: // not_null
						name, where = one, column.Name+" IS NULL"
					case map[string]any: // accepted_values, with values
						for name = range one {
							var values []string
							for _, v := range one[name].(map[string]any)["arguments"].(map[string]any)["values"].([]any) {
								values = append(values, quote(v.(string)))
							}
							where = column.Name + " NOT IN (" + strings.Join(values, ", ") + ")"
						}
					}
					if !regexp.MustCompile(`^(not_null|accepted_values)$`).MatchString(name) {
						t.Fatalf("column %s has a test %q that this test does not know", column.Name, name)
					}
					name = column.Name + " " + name
					tests[name], names = "SELECT 1 FROM "+from+" WHERE "+where, append(names, name)
				}
			}
		}
		add(table, source.Tables[0])
		add(model, p.Models[0])
		for _, name := range names {
			if len(query(t, tests[name]+" LIMIT 1").Rows) > 0 {
				found = append(found, name)
			}
		}
		return found
	}
	if found := failures(); found != nil {
		t.Errorf("the tests %q fail on what rollcall has loaded", found)
	}
	query(t, "INSERT INTO "+table+" SELECT * FROM "+table+" LIMIT 1")
	query(t, "UPDATE "+table+" SET outcome = 'maybe' WHERE row_number = 7")
	if found, want := strings.Join(failures(), ", "), "one row, outcome accepted_values"; found != want {
		t.Errorf("the tests that find a doubled row and an unknown outcome: %s; want %s", found, want)
	}

	age := func() string {
		f := source.Config.Freshness
		return *query(t, "SELECT CASE WHEN age > INTERVAL '"+f.ErrorAfter.text()+"' THEN 'error' WHEN age > INTERVAL '"+f.WarnAfter.text()+"' THEN 'warn' ELSE 'pass' END "+
			"FROM (SELECT current_timestamp - max("+source.Config.LoadedAtField+") AS age FROM "+table+")").Rows[0][0]
	}
	got := []string{age()}
	for range 2 {
		query(t, "UPDATE "+table+" SET evaluated_at = evaluated_at - INTERVAL '27 hours'")
		got = append(got, age())
	}
	if want := "pass warn error"; strings.Join(got, " ") != want {
		t.Errorf("freshness now, after 27 hours, and after 54: %q, want %s", got, want)
	}
}

func (p period) text() string { return strconv.Itoa(p.Count) + " " + p.Period }

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
