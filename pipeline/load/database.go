package load

import (
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// database is what one database calls things.
type database struct {
	name    string
	formats []string // of outputs that it reads, as sinks.Format names them, the best first
	stores  []string // the schemes of the URLs that it reads
	from    string   // an example of --from, for databases that do not read files of this machine; "" for those that do

	quote     byte // around names
	backslash bool // is special in texts
	upper     bool // names without quotes are upper case
	types     [pipeline.TypeDecimal + 1]string

	statements string // a template; see statementData
}

// types lists the names of the types in the order of [pipeline.Type].
func types(text, integer, float, boolean, date, timestamp, json, decimal string) [pipeline.TypeDecimal + 1]string {
	return [...]string{text, integer, float, boolean, date, timestamp, json, decimal}
}

var textFormats = []string{"csv", "tsv"}

// withCompressed returns the formats, and each with the extensions of compressed files.
func withCompressed(formats []string, extensions ...string) []string {
	all := slices.Clone(formats)
	for _, f := range formats {
		for _, e := range extensions {
			all = append(all, f+e)
		}
	}
	return all
}

// databases are the databases, in the order of the help.
//
// JSON is a text where the type for JSON would change it or would take the text as a JSON string (Snowflake and BigQuery
// load a Parquet text into VARIANT and JSON as a string).
var databases = []database{
	{
		name: "duckdb", quote: '"', stores: []string{"s3", "gs", "az"},
		formats: append([]string{"parquet"}, withCompressed([]string{"csv", "tsv", "jsonl"}, ".gz", ".zst")...),
		types:   types("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ", "JSON", "DECIMAL"),
		statements: createTable + comments + `BEGIN TRANSACTION;
` + deleteRun + `INSERT INTO {{.Table}} BY NAME SELECT {{.RunID}} AS {{.RunIDColumn}}, * FROM {{if eq .Format "parquet" -}}
read_parquet({{.File}}{{.Hive}})
{{- else if eq .Format "jsonl" -}}
read_json({{.File}}, format = 'newline_delimited', columns = { {{- .Struct -}} }{{.Hive}})
{{- else -}}
read_csv({{.File}}, header = true, delim = {{.Delimiter}}, quote = '"', escape = '"', nullstr = '',
  allow_quoted_nulls = false, auto_detect = false, columns = { {{- .Struct -}} }{{.Hive}})
{{- end}};
COMMIT;
`,
	},
	{ // https://cloud.google.com/bigquery/docs/reference/standard-sql/load-statements
		name: "bigquery", quote: '`', backslash: true, stores: []string{"gs"}, from: "gs://BUCKET/DIRECTORY/",
		formats: append([]string{"parquet"}, withCompressed([]string{"csv", "tsv"}, ".gz")...),
		types:   types("STRING", "INT64", "FLOAT64", "BOOL", "DATE", "TIMESTAMP", "STRING", "BIGNUMERIC"),
		statements: createTable + `LOAD DATA OVERWRITE TEMP TABLE rollcall_stage (
{{.Definitions false}}
)
FROM FILES (uris = [{{.File}}], {{if eq .Format "parquet"}}format = 'PARQUET'
{{- else}}format = 'CSV', skip_leading_rows = 1, field_delimiter = {{.Delimiter}}, quote = '"',
  allow_quoted_newlines = true{{end}});
BEGIN TRANSACTION;
` + deleteRun + insertStage + `COMMIT TRANSACTION;
`,
	},
	{ // https://docs.snowflake.com/en/sql-reference/sql/copy-into-table
		name: "snowflake", quote: '"', backslash: true, upper: true, stores: []string{"s3"},
		formats: append([]string{"parquet"}, withCompressed(textFormats, ".gz", ".zst")...),
		types:   types("VARCHAR", "NUMBER(38,0)", "FLOAT", "BOOLEAN", "DATE", "TIMESTAMP_TZ", "VARCHAR", "NUMBER"),
		statements: createTable + `CREATE OR REPLACE TEMPORARY TABLE rollcall_stage (
{{.Definitions false}}
);
{{if .Local}}PUT {{.File}} @~/rollcall/{{.RunIDPath}}/ AUTO_COMPRESS = FALSE OVERWRITE = TRUE;
{{end}}COPY INTO rollcall_stage FROM {{if .Local}}@~/rollcall/{{.RunIDPath}}/{{else}}{{.File}}{{end}}
  FILE_FORMAT = ({{if eq .Format "parquet"}}TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)
  MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE{{else}}TYPE = CSV SKIP_HEADER = 1 FIELD_DELIMITER = {{.Delimiter}}
  FIELD_OPTIONALLY_ENCLOSED_BY = '"' EMPTY_FIELD_AS_NULL = TRUE NULL_IF = ()){{end}}
  ON_ERROR = ABORT_STATEMENT;
BEGIN TRANSACTION;
` + deleteRun + insertStage + `COMMIT;
{{if .Local}}REMOVE @~/rollcall/{{.RunIDPath}}/;
{{end}}`,
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
		name: "redshift", quote: '"', stores: []string{"s3"}, from: "s3://BUCKET/DIRECTORY/",
		formats: append([]string{"parquet"}, withCompressed(textFormats, ".gz", ".zst")...),
		types: types("VARCHAR(65535)", "BIGINT", "DOUBLE PRECISION", "BOOLEAN", "DATE", "TIMESTAMP", "VARCHAR(65535)",
			"DECIMAL"),
		statements: createTable + comments + `BEGIN;
CREATE TEMP TABLE rollcall_stage (
{{.Definitions false}}
);
COPY rollcall_stage FROM {{.File}} IAM_ROLE default {{if eq .Format "parquet"}}FORMAT AS PARQUET
{{- else}}FORMAT AS CSV DELIMITER {{.Delimiter}} IGNOREHEADER 1 TIMEFORMAT 'auto' EMPTYASNULL
{{- if .Gzip}} GZIP{{else if .Zstd}} ZSTD{{end}}{{end}};
` + deleteRun + insertStage + `COMMIT;
DROP TABLE rollcall_stage;
`,
	},
	{ // https://docs.aws.amazon.com/athena/latest/ug/create-table.html
		name: "athena", quote: '`', backslash: true, stores: []string{"s3"}, from: "s3://BUCKET/DIRECTORY/",
		formats: []string{"parquet"},
		types:   types("string", "bigint", "double", "boolean", "date", "timestamp", "string", "decimal"),
		statements: `-- The directory {{.Directory}} must hold this file alone: Athena reads every file in it.
CREATE EXTERNAL TABLE IF NOT EXISTS {{.Table}} (
{{.Commented}}
)
PARTITIONED BY ({{.RunIDColumn}} string)
STORED AS PARQUET
LOCATION {{.Directory}};
ALTER TABLE {{.Table}} DROP IF EXISTS PARTITION ({{.RunIDColumn}} = {{.RunID}});
ALTER TABLE {{.Table}} ADD PARTITION ({{.RunIDColumn}} = {{.RunID}}) LOCATION {{.Directory}};
`,
	},
	{ // https://www.postgresql.org/docs/current/sql-copy.html and app-psql.html; \copy is one line
		name: "postgres", quote: '"', formats: textFormats,
		types: types("text", "bigint", "double precision", "boolean", "date", "timestamptz", "json", "numeric"),
		statements: `-- for psql, which reads the file
\set ON_ERROR_STOP on
` + createTable + comments + `BEGIN;
CREATE TEMP TABLE rollcall_stage (
{{.Definitions false}}
) ON COMMIT DROP;
\copy rollcall_stage FROM {{.File}} WITH (FORMAT csv, HEADER true, DELIMITER {{.Delimiter}}, NULL '', ENCODING 'UTF8')
` + deleteRun + insertStage + `COMMIT;
`,
	},
	{ // https://clickhouse.com/docs/sql-reference/table-functions/file
		name: "clickhouse", quote: '`', backslash: true, stores: []string{"s3", "gs"},
		formats: append([]string{"parquet"}, withCompressed([]string{"csv", "tsv"}, ".gz", ".zst")...),
		types:   types("String", "Int64", "Float64", "Bool", "Date32", "DateTime64(6, 'UTC')", "String", "Decimal"),
		statements: `CREATE TABLE IF NOT EXISTS {{.Table}} (
{{.Nullable}}
) ENGINE = MergeTree PARTITION BY {{.RunIDColumn}} ORDER BY {{.First}};
-- There is no transaction: readers miss the run for a moment if it is loaded again.
ALTER TABLE {{.Table}} DROP PARTITION {{.RunID}};
INSERT INTO {{.Table}} ({{.RunIDColumn}}, {{.Names}})
SELECT {{.RunID}}, {{.Names}} FROM {{.Function}}({{.File}}, {{if eq .Format "parquet"}}'Parquet'{{else}}'CSVWithNames'{{end}},
  {{.NullableText}})
{{- if ne .Format "parquet"}}
SETTINGS format_csv_delimiter = {{.Delimiter}}, date_time_input_format = 'best_effort'
{{- end}};
`,
	},
}

// Statements that several databases have.
const (
	createTable = `CREATE TABLE IF NOT EXISTS {{.Table}} (
{{.Definitions true}}
);
`
	comments = `COMMENT ON TABLE {{.Table}} IS {{.TableComment}};
{{range .Columns}}COMMENT ON COLUMN {{$.Table}}.{{.Name}} IS {{.Comment}};
{{end}}`
	deleteRun = `DELETE FROM {{.Table}} WHERE {{.RunIDColumn}} = {{.RunID}};
`
	insertStage = `INSERT INTO {{.Table}} ({{.RunIDColumn}}, {{.Names}})
  SELECT {{.RunID}}, {{.Names}} FROM rollcall_stage;
`
)

// Databases returns the names of the databases.
func Databases() (names []string) {
	for i := range databases {
		names = append(names, databases[i].name)
	}
	return names
}

// quoteName returns a name in quotes.
func (d *database) quoteName(name string) string {
	if d.upper && isLowerWord(name) {
		name = strings.ToUpper(name) // what everybody who writes it without quotes means
	}
	q := string(d.quote)
	if d.quote == '`' && d.backslash {
		name = strings.ReplaceAll(name, `\`, `\\`)
	}
	return q + strings.ReplaceAll(name, q, q+q) + q
}

// quoteText returns a text in single quotes.
func (d *database) quoteText(s string) string {
	if d.backslash {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\t", `\t`).Replace(s) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// isLowerWord reports whether a name is lower-case letters, digits and underscores.
func isLowerWord(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_')
	})
}
