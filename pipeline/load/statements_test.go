package load

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

var update = flag.Bool("update", false, "write the golden files anew")

// newManifest returns a manifest of outputs with these names, and where they are.
func newManifest(names ...string) (*snapshot.Manifest, []snapshot.Located) {
	m := &snapshot.Manifest{RunID: "20260102T030405Z-abcd2345", Layout: snapshot.Layout{
		Columns: []snapshot.Column{
			{Name: "row_number", Type: "int", Required: true}, {Name: "user_id", Type: "string"},
			{Name: "checkout", Type: "string"}, {Name: "checkout_payload", Type: "json"},
			{Name: "evaluated_at", Type: "timestamp", Required: true}, {Name: "plan", Type: "string"},
			{Name: "price", Type: "decimal", Precision: 12, Scale: 2}, {Name: "order", Type: "int"},
			{Name: "score", Type: "float"}, {Name: "beta", Type: "bool"}, {Name: "born", Type: "date"},
		},
		Carry: []snapshot.Carried{{Column: "plan", Input: "it's a plan"}},
	}}
	var outputs []snapshot.Located
	for _, name := range names {
		f := snapshot.File{Path: name}
		m.Outputs = append(m.Outputs, f)
		outputs = append(outputs, snapshot.Located{File: f, Path: "/data/" + name})
	}
	return m, outputs
}

// TestStatements compares the statements for each database, of the output that it reads best and of a CSV file, with
// the golden files.
func TestStatements(t *testing.T) {
	for i := range databases {
		d := &databases[i]
		t.Run(d.name, func(t *testing.T) {
			var got bytes.Buffer
			for _, names := range [][]string{{"a.jsonl", "a.csv", "a.parquet", "a.csv.zst"}, {"it's.tsv"}, {"a.csv.gz"}} {
				m, outputs := newManifest(names...)
				from := strings.ReplaceAll(d.from, "DIRECTORY", "exp")
				got.WriteString("-- " + strings.Join(names, " ") + "\n")
				if err := Statements(&got, m, outputs, Options{Database: d.name, Table: "exp.assignments", From: from}); err != nil {
					got.WriteString("-- " + err.Error() + "\n-- " + pipeline.Hint(err) + "\n")
				}
			}
			golden := filepath.Join("testdata", d.name+".sql")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("statements for %s:\n%s\nwant:\n%s", d.name, got.String(), want)
			}
		})
	}
}

func TestStatementErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		output string
		change func(*snapshot.Manifest)
		o      Options
		err    string
	}{
		{name: "unknown database", o: Options{Database: "duckbd"}, err: `database "duckbd" is not known`},
		{name: "old manifest", change: func(m *snapshot.Manifest) { m.Layout.Columns = nil }, o: Options{Database: "duckdb"},
			err: "the manifest does not list the columns of its outputs"},
		{name: "format", output: "a.jsonl.gz", o: Options{Database: "postgres"}, err: "postgres does not read jsonl.gz"},
		{name: "no URL", o: Options{Database: "redshift"}, err: "redshift does not read files of this machine"},
		{name: "table", o: Options{Database: "duckdb", Table: "a; drop table b"},
			err: `"a; drop table b" is not a valid name of a table`},
		{name: "run id", change: func(m *snapshot.Manifest) { m.RunID = "x'; --" }, o: Options{Database: "duckdb"},
			err: `the manifest's run_id "x'; --" is not a valid id`},
		{name: "control character", change: func(m *snapshot.Manifest) { m.Layout.Columns[5].Name = "pl\nan" },
			o: Options{Database: "duckdb"}, err: `"pl\nan" has characters that cannot be seen`},
		{name: "direction of text", o: Options{Database: "duckdb", From: "/a/\u202eb.parquet"},
			err: `"/a/\u202eb.parquet" has characters that cannot be seen`},
		{name: "run_id twice", change: func(m *snapshot.Manifest) { m.Layout.Columns[5].Name = "run_id" },
			o: Options{Database: "duckdb"}, err: `column "run_id": the table already has a column "run_id"`},
		{name: "two names that are one", change: func(m *snapshot.Manifest) { m.Layout.Columns[5].Name = "ORDER" },
			o: Options{Database: "snowflake"}, err: `column "order": the table already has a column "ORDER"`},
		{name: "name for BigQuery", change: func(m *snapshot.Manifest) { m.Layout.Columns[5].Name = "my plan" },
			o: Options{Database: "bigquery", From: "gs://b/"}, err: `column "my plan": BigQuery does not take the name`},
		{name: "delimiter", output: "a.csv", change: func(m *snapshot.Manifest) { m.Layout.Delimiter = ";'" },
			o: Options{Database: "postgres"}, err: `the manifest's csv_delimiter ";'" is not a valid delimiter`},
		{name: "quote as delimiter", output: "a.csv", change: func(m *snapshot.Manifest) { m.Layout.Delimiter = "'" },
			o: Options{Database: "postgres"}, err: `the manifest's csv_delimiter "'" is not a valid delimiter`},
		{name: "unknown type", change: func(m *snapshot.Manifest) { m.Layout.Columns[5].Type = "map" },
			o: Options{Database: "duckdb"}, err: `column "plan": the type "map" is not known`},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := test.output
			if name == "" {
				name = "a.parquet"
			}
			m, outputs := newManifest(name)
			if test.change != nil {
				test.change(m)
			}
			var got bytes.Buffer
			err := Statements(&got, m, outputs, test.o)
			if err == nil || !strings.Contains(err.Error(), test.err) || got.Len() > 0 {
				t.Errorf("%+v: error %v, output %q; want the error %q and no output", test.o, err, got.String(), test.err)
			}
		})
	}
}

// TestQuotes checks that no name and no text ends the quotes that it is in.
func TestQuotes(t *testing.T) {
	for _, test := range []struct{ database, name, text, want string }{
		{"duckdb", `a"b`, `it's \ x`, `"a""b" 'it''s \ x'`},
		{"postgres", `a"b`, `it's \ x`, `"a""b" 'it''s \ x'`},
		{"snowflake", `a"b`, `it's \ x`, `"a""b" 'it\'s \\ x'`},
		{"snowflake", "plan", "", `"PLAN" ''`},
		{"clickhouse", "a`b\\", `it's \ x`, "`a``b\\\\` 'it\\'s \\\\ x'"},
	} {
		t.Run(test.database+" "+test.name, func(t *testing.T) {
			for i := range databases {
				if d := &databases[i]; d.name == test.database {
					if got := d.quoteName(test.name) + " " + d.quoteText(test.text); got != test.want {
						t.Errorf("%s: name %q, text %q: got %s, want %s", d.name, test.name, test.text, got, test.want)
					}
				}
			}
		})
	}
}

// TestDelimiter checks that a CSV is loaded with the delimiter that the manifest names, and a TSV with a tab.
func TestDelimiter(t *testing.T) {
	for _, test := range []struct{ database, output, delimiter, want string }{
		{"postgres", "a.csv", ";", "DELIMITER ';'"},
		{"duckdb", "a.csv.gz", "|", "delim = '|'"},
		{"duckdb", "a.csv", "", "delim = ','"},
		{"postgres", "a.tsv", ";", "DELIMITER '\t'"},
		{"snowflake", "a.csv", "\t", `FIELD_DELIMITER = '\t'`},
		{"clickhouse", "a.csv", ";", "format_csv_delimiter = ';'"},
	} {
		t.Run(test.database+" "+test.output, func(t *testing.T) {
			m, outputs := newManifest(test.output)
			m.Layout.Delimiter = test.delimiter
			var got bytes.Buffer
			err := Statements(&got, m, outputs, Options{Database: test.database})
			if err != nil || !strings.Contains(got.String(), test.want) {
				t.Errorf("%s of %s with csv_delimiter %q: %v, %s; want %s", test.database, test.output, test.delimiter, err,
					got.String(), test.want)
			}
		})
	}
}
