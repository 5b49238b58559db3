package sinks

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

// Spec says what an output contains. The zero value is the long layout without additions. Error records have one
// layout: they use only RunID, Meta, Version, Files, and what is said of CSV.
type Spec struct {
	Wide       bool              // one row for each user, with a column for each of Flags
	Flags      []string          // the requested flags; Wide needs them
	Include    []string          // added columns: metadata, evaluation_id, value (long); payload (wide)
	Carry      []pipeline.Column // the carried columns
	SnakeNames bool              // convert column names to names that BigQuery accepts

	RunID          string            // the run's id, for its error records
	Meta           map[string]string // key-value metadata of Parquet: the run's id, options, …
	Version        string            // rollcall's version, for Parquet's created_by
	EscapeFormulas bool              // CSV and TSV: put a ' before a text that a spreadsheet would run
	Delimiter      byte              // of CSV; 0 is a comma
	BOM            bool              // CSV and TSV: begin with a byte order mark

	Files *staging.Files // where files are created; nil: on disk

	shared *shared // what files that are written one after the other use again; nil: the file has its own
}

// ParseDelimiter returns the delimiter that text names: one ASCII character, or \t for a tab. Quotes, letters and digits
// are none, and neither is what numbers and times contain, because those are not quoted.
func ParseDelimiter(text string) (byte, error) {
	if text == `\t` {
		text = "\t"
	}
	if len(text) != 1 || text[0] == 0 || text[0] >= utf8.RuneSelf || strings.ContainsAny(text, "\r\n\"'`\\+-.:") ||
		text[0] >= '0' && text[0] <= '9' || text[0]|0x20 >= 'a' && text[0]|0x20 <= 'z' {
		return 0, pipeline.WithHint(fmt.Errorf("%q is not a valid delimiter of CSV", text),
			`one ASCII character such as ; or |, or \t for a tab; no quote, letter or digit, and none of + - . : \`)
	}
	return text[0], nil
}

// formats are the names of the formats, which are the extensions of their files.
var formats = []string{
	"csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "tsv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet",
}

// Format returns the format that a file's extension names: "csv", "jsonl.gz", "parquet", … Case does not matter.
func Format(name string) (string, error) {
	lower := strings.ToLower(filepath.Base(name))
	for _, f := range formats {
		if strings.HasSuffix(lower, "."+f) {
			return f, nil
		}
	}
	return "", unknownFormatError(name)
}

func unknownFormatError(name string) error {
	return pipeline.WithHint(fmt.Errorf("unknown output format: %q", name),
		"the formats are .csv, .tsv, .jsonl (each also with .gz or .zst appended) and .parquet")
}

// TrimFormat returns the name without the extension that [Format] recognizes. It returns other names unchanged.
func TrimFormat(name string) string {
	f, err := Format(name)
	if err != nil {
		return name
	}
	return name[:len(name)-len(f)-1]
}

// Create begins a file of assignments, in the format of the name's extension. It does not touch an existing file of
// that name: the caller publishes [Info].Temp after Close.
func Create(path string, spec Spec) (*Output, error) {
	table, err := spec.newAssignmentsTable()
	if err != nil {
		return nil, err
	}
	return createOutput(path, 0o666, table, &spec) // as any new file, less the umask
}

// CreateErrors begins a file of error records. Only its owner may read it, because it contains rows of the input.
func CreateErrors(path string, spec Spec) (*Output, error) {
	return createOutput(path, 0o600, newErrorTable(spec.RunID), &spec)
}

// NewStream returns an output that writes assignments to w, in a format as [Format] names it. It does not close w, and
// its Discard only ends what it began.
func NewStream(w io.Writer, format string, spec Spec) (*Output, error) {
	f, err := Format("." + strings.TrimPrefix(format, "."))
	if err != nil || strings.ContainsAny(format, `/\`) {
		return nil, unknownFormatError(format)
	}
	table, err := spec.newAssignmentsTable()
	if err != nil {
		return nil, err
	}
	return newOutput(w, Info{Path: "standard output", Format: f}, table, &spec)
}

// compressor is a gzip.Writer or a zstd.Encoder.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// setFormat holds the one switch over the formats.
func (o *Output) setFormat(spec *Spec) (err error) {
	base, compression, _ := strings.Cut(o.info.Format, ".")
	var compressor compressor
	if spec.shared != nil {
		compressor = spec.shared.compressor
	}
	switch {
	case compressor != nil:
		compressor.Reset(o.tail)
	case compression == "gz":
		compressor = gzip.NewWriter(o.tail)
	case compression == "zst":
		// Without concurrency the bytes are the same, and a discarded output leaves no goroutine running.
		if compressor, err = zstd.NewWriter(o.tail, zstd.WithEncoderConcurrency(1)); err != nil {
			return err
		}
	}
	if spec.shared != nil {
		spec.shared.compressor = compressor
	}
	if compressor != nil {
		o.compressor, o.compressing = compressor, &stage{work: func(it item) {
			_, _ = compressor.Write(it.data) // an error is the tail's, or comes again from Close
			o.buffers.put(it.data)
		}}
	}
	columns := o.table.columns
	switch base {
	case "csv":
		comma := cmp.Or(spec.Delimiter, ',')
		o.newFormat = func() format { return newCSV(columns, comma, spec.EscapeFormulas) }
	case "tsv":
		o.newFormat = func() format { return newCSV(columns, '\t', spec.EscapeFormulas) }
	case "jsonl":
		o.newFormat = func() format { return newJSONL(columns) }
	case "parquet":
		o.newFormat = func() format { return newParquetRows(columns) }
		o.parquet, err = newParquet(o.tail, o.buffers, columns, spec)
		return err
	}
	return nil
}
