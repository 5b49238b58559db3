package load

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
	"unicode"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Options say what the statements are for.
type Options struct {
	Database string // one of Databases
	Table    string // may be qualified: schema.assignments; "" is assignments

	// From is where the database finds the file, if that is not where it is now: a URL of the file, or of its
	// directory, which ends with a slash then.
	From string
}

// runIDColumn is the name of the column that the table has before those of the output.
const runIDColumn = "run_id"

// Statements writes the statements that load one of the outputs of a run: the one that the database reads best.
func Statements(w io.Writer, m *snapshot.Manifest, outputs []snapshot.Located, o Options) error {
	i := slices.IndexFunc(databases, func(d database) bool { return d.name == o.Database })
	if i < 0 {
		return pipeline.WithHint(fmt.Errorf("database %q is not known: it is one of %s", o.Database,
			strings.Join(Databases(), " ")), pipeline.Suggest(o.Database, Databases()))
	}
	d := &databases[i]
	data, err := d.newData(m, outputs, o)
	if err != nil {
		return err
	}
	t, err := template.New(d.name).Parse(d.statements)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	return t.Execute(w, data)
}

// statementData is what the templates know. Everything but Format and RunIDPath is quoted for the database.
type statementData struct {
	d            *database
	columns      []snapshot.Column
	Columns      []columnData
	Table        string
	TableComment string
	RunID        string
	RunIDPath    string // without quotes: a run's id is letters, digits and hyphens
	RunIDColumn  string
	File         string
	Directory    string // of File
	Format       string // "parquet", "csv", "tsv" or "jsonl"
	Gzip, Zstd   bool
	Function     string // of ClickHouse, which reads the file
	Local        bool   // the file is on this machine
	Delimiter    string
	First        string // the column to order by

	partitioned *snapshot.Partitioned // the output is several files; nil: it is one
}

// columnData is a column of the output.
type columnData struct{ Name, Type, Comment string }

func (d *database) newData(m *snapshot.Manifest, outputs []snapshot.Located, o Options) (*statementData, error) {
	if len(m.Layout.Columns) == 0 {
		return nil, pipeline.WithHint(fmt.Errorf("the manifest does not list the columns of its outputs"),
			"an older rollcall wrote it: make the snapshot again")
	}
	out, format, err := d.chooseOutput(outputs)
	if err != nil {
		return nil, err
	}
	s := &statementData{d: d, columns: m.Layout.Columns, RunIDPath: m.RunID, Local: o.From == ""}
	if s.Table, err = d.quoteTable(o.Table); err != nil {
		return nil, err
	}
	if s.partitioned = out.File.Partitioned; s.partitioned != nil && d.name != "duckdb" {
		return nil, pipeline.WithHint(fmt.Errorf("%s is several files, which statements for %s do not load", out.File.Path, d.name),
			"load them as a partitioned table of Hive, or make the snapshot without --partition-by and --rows-per-file")
	}
	location := o.From
	scheme, _, isURL := strings.Cut(out.Path, "://")
	switch {
	case location == "" && isURL && !slices.Contains(d.stores, scheme):
		return nil, pipeline.WithHint(fmt.Errorf("%s does not read %s", d.name, out.Path),
			"copy the file to where it does, and say so with --from")
	case location == "" && isURL:
		location, s.Local = out.Path, false
	case location == "" && d.from != "":
		return nil, pipeline.WithHint(fmt.Errorf("%s does not read files of this machine", d.name),
			"--from says where the file is: --from "+d.from)
	case location == "":
		if out.Path == "" {
			return nil, pipeline.WithHint(fmt.Errorf("%s is not where the manifest says", out.File.Path), "--from says where it is")
		}
		if location, err = filepath.Abs(out.Path); err != nil {
			return nil, err
		}
		if d.name == "snowflake" {
			location = "file://" + location
		}
	case strings.HasSuffix(location, "/"):
		location += filepath.Base(out.File.Path)
	}
	if !isPlainWord(strings.ReplaceAll(m.RunID, "-", "")) {
		return nil, fmt.Errorf("the manifest's run_id %q is not a valid id", m.RunID)
	}
	if d := m.Layout.Delimiter; len(d) > 1 || strings.ContainsAny(d, "\"'\\\r\n\x00") || !isASCII(d) {
		return nil, fmt.Errorf("the manifest's csv_delimiter %q is not a valid delimiter", d)
	}
	outside := []string{location}
	for i := range s.columns {
		outside = append(outside, s.columns[i].Name)
	}
	for _, t := range outside {
		if text.Clean(t) != t {
			return nil, fmt.Errorf("%q has characters that cannot be seen, which are not put into statements", t)
		}
	}
	if p := s.partitioned; p != nil { // the names of the files differ in their numbers
		dir, name := location[:strings.LastIndexByte(location, '/')+1], location[strings.LastIndexByte(location, '/')+1:]
		location = dir + strings.Repeat("*/", len(p.By)) + name[:len(name)-len(format)-1] + "-*" + name[len(name)-len(format)-1:]
	}
	base, compression, _ := strings.Cut(format, ".")
	s.Function = "file"
	if scheme, _, ok := strings.Cut(location, "://"); ok {
		s.Function = cmp.Or(map[string]string{"s3": "s3", "gs": "gcs"}[scheme], "url")
	}
	s.Format, s.Gzip, s.Zstd = base, compression == "gz", compression == "zst"
	s.Delimiter = d.quoteText(map[string]string{"tsv": "\t", "csv": cmp.Or(m.Layout.Delimiter, ",")}[base])
	s.File, s.Directory = d.quoteText(location), d.quoteText(location[:strings.LastIndexByte(location, '/')+1])
	s.RunID, s.RunIDColumn = d.quoteText(m.RunID), d.quoteName(runIDColumn)
	s.TableComment = d.quoteText("which variants users get, made by rollcall")
	for i := range s.columns {
		c := &s.columns[i]
		if err := d.checkName(c.Name); err != nil {
			return nil, err
		}
		name := d.quoteName(c.Name)
		if slices.ContainsFunc(s.Columns, func(other columnData) bool { return other.Name == name }) || name == s.RunIDColumn {
			return nil, pipeline.WithHint(fmt.Errorf("column %q: the table already has a column %s", c.Name, name),
				"rename it in the input, or leave it out of --carry")
		}
		typ, err := d.describeType(c)
		if err != nil {
			return nil, err
		}
		s.Columns = append(s.Columns, columnData{name, typ, d.quoteText(describeColumn(c, &m.Layout))})
	}
	s.First = s.Columns[0].Name
	return s, nil
}

// chooseOutput returns the output that the database reads best, and its format.
func (d *database) chooseOutput(outputs []snapshot.Located) (*snapshot.Located, string, error) {
	var best *snapshot.Located
	var formats []string
	at := len(d.formats)
	for i := range outputs {
		format := formatOf(outputs[i].File.Path)
		formats = append(formats, format)
		if n := slices.Index(d.formats, format); n >= 0 && n < at {
			best, at = &outputs[i], n
		}
	}
	if best == nil {
		return nil, "", pipeline.WithHint(fmt.Errorf("%s does not read %s", d.name, strings.Join(formats, ", ")),
			"make the snapshot with an output that it reads, too: "+strings.Join(d.formats, " "))
	}
	return best, d.formats[at], nil
}

// formatOf returns the format that a name ends with: the extension, and that of the compression.
func formatOf(path string) string {
	name := strings.ToLower(filepath.Base(path))
	for _, compression := range []string{"", ".gz", ".zst"} {
		if base, ok := strings.CutSuffix(name, compression); ok {
			switch ext := filepath.Ext(base); ext {
			case ".csv", ".tsv", ".jsonl", ".parquet":
				return ext[1:] + compression
			}
		}
	}
	return name
}

// tableName is a table, or schema.table, or project.dataset.table.
var tableName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[\pL_][\pL\pN_$-]*(\.[\pL_][\pL\pN_$-]*){0,2}$`)
})

func (d *database) quoteTable(name string) (string, error) {
	if name == "" {
		name = "assignments"
	}
	if !tableName().MatchString(name) {
		return "", pipeline.WithHint(fmt.Errorf("%q is not a valid name of a table", name),
			"letters, digits and _, as in schema.assignments")
	}
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = d.quoteName(parts[i])
	}
	return strings.Join(parts, "."), nil
}

// checkName refuses names that the database does not take.
func (d *database) checkName(name string) error {
	if d.name == "bigquery" && !isPlainWord(name) {
		return pipeline.WithHint(fmt.Errorf("column %q: BigQuery does not take the name", name),
			"make the snapshot with --column-names snake")
	}
	return nil
}

// isPlainWord reports whether a name is ASCII letters, digits and underscores.
func isPlainWord(name string) bool {
	return name != "" && isLowerWord(strings.ToLower(name)) && isASCII(name)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// describeType returns the type that a column has in the database.
func (d *database) describeType(c *snapshot.Column) (string, error) {
	for t := range pipeline.TypeDecimal + 1 {
		if t.String() != c.Type {
			continue
		}
		if t == pipeline.TypeDecimal {
			return fmt.Sprintf("%s(%d,%d)", d.types[t], c.Precision, c.Scale), nil
		}
		return d.types[t], nil
	}
	return "", fmt.Errorf("column %q: the type %q is not known", c.Name, c.Type)
}

// comments on the columns that rollcall names.
var columnComments = map[string]string{
	"row_number":     "the row of the user in the input, from 1",
	"flag_key":       "the flag",
	"outcome":        "assigned or not_assigned",
	"variant":        "the variant that the user gets",
	"payload":        "of the variant, JSON",
	"experiment_key": "the experiment that assigned the variant",
	"evaluated_at":   "when the answer came",
	"metadata":       "of the answer, JSON",
	"evaluation_id":  "of the answer",
	"value":          "of the variant",
	"cache":          "what the answer says of caches: hit or miss",
	"age_seconds":    "how long a cache had the answer",
	"user_id":        "as it was asked about",
	"device_id":      "as it was asked about",
}

func describeColumn(c *snapshot.Column, l *snapshot.Layout) string {
	for _, carried := range l.Carry {
		if carried.Column == c.Name {
			return "column " + carried.Input + " of the input"
		}
	}
	if comment, ok := columnComments[c.Name]; ok {
		return comment
	}
	if c.Type == pipeline.TypeJSON.String() {
		return "the payload of a flag's variant, JSON"
	}
	return "the variant of the flag"
}

// Definitions returns the columns of a table with their types.
func (s *statementData) Definitions(withRunID bool) string {
	var lines []string
	if withRunID {
		lines = append(lines, "  "+s.RunIDColumn+" "+s.d.types[pipeline.TypeString]+" NOT NULL")
	}
	for i, c := range s.Columns {
		line := "  " + c.Name + " " + c.Type
		if s.columns[i].Required {
			line += " NOT NULL"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ",\n")
}

// Commented returns the columns of the output with their types and comments, as Athena takes them.
func (s *statementData) Commented() string {
	return s.join(",\n", func(_ *snapshot.Column, c columnData) string {
		return "  " + c.Name + " " + c.Type + " COMMENT " + c.Comment
	})
}

// Nullable returns the columns of ClickHouse's table.
func (s *statementData) Nullable() string {
	return "  " + s.RunIDColumn + " String,\n" + s.join(",\n", func(of *snapshot.Column, c columnData) string {
		return "  " + c.Name + " " + nullable(of, c.Type) + " COMMENT " + c.Comment
	})
}

// NullableText returns the structure of a file for ClickHouse, as a text.
func (s *statementData) NullableText() string {
	return s.d.quoteText(s.join(", ", func(of *snapshot.Column, c columnData) string { return c.Name + " " + nullable(of, c.Type) }))
}

func nullable(c *snapshot.Column, typ string) string {
	if c.Required {
		return typ
	}
	return "Nullable(" + typ + ")"
}

// Struct returns the columns of a file for DuckDB.
func (s *statementData) Struct() string {
	var columns []string
	for i, c := range s.Columns {
		if of := s.columns[i].Name; s.partitioned == nil || !slices.Contains(s.partitioned.By, of) {
			columns = append(columns, s.d.quoteText(of)+": "+s.d.quoteText(c.Type))
		}
	}
	return strings.Join(columns, ", ")
}

// Hive returns, for DuckDB, the columns that only directories have.
func (s *statementData) Hive() string {
	if s.partitioned == nil || len(s.partitioned.By) == 0 {
		return ""
	}
	var columns []string
	for i, c := range s.Columns {
		if of := s.columns[i].Name; slices.Contains(s.partitioned.By, of) {
			columns = append(columns, c.Name+": "+c.Type)
		}
	}
	return ", hive_partitioning = true, hive_types = {" + strings.Join(columns, ", ") + "}"
}

// Names returns the names of the columns.
func (s *statementData) Names() string {
	return s.join(", ", func(_ *snapshot.Column, c columnData) string { return c.Name })
}

func (s *statementData) join(separator string, describe func(*snapshot.Column, columnData) string) string {
	parts := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		parts[i] = describe(&s.columns[i], c)
	}
	return strings.Join(parts, separator)
}
