package sinks

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Spec says what an output contains. The zero value is the long layout without additions. Error records have one
// layout: they use only RunID, Meta, Version and EscapeFormulas.
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
// that name: the caller renames [Info].Temp to it after Close, and checks first whether it may replace the file.
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
// its Discard does nothing.
func NewStream(w io.Writer, format string, spec Spec) (*Output, error) {
	f, err := Format("." + strings.TrimPrefix(format, "."))
	if err != nil || strings.ContainsAny(format, `/\`) {
		return nil, unknownFormatError(format)
	}
	table, err := spec.newAssignmentsTable()
	if err != nil {
		return nil, err
	}
	o := newOutput("standard output", f, table)
	return o, o.startEncoder(w, &spec)
}

// encoder writes the rows of a table in one format.
type encoder interface {
	writeBlock(b *block) error

	// finish writes the rest of the file. It does not close the underlying writer.
	finish() error
}

// newEncoder holds the one switch over the formats. The closer is nil, or ends the compressed stream.
func newEncoder(w io.Writer, format string, columns []column, spec *Spec) (encoder, io.Closer, error) {
	base, compression, _ := strings.Cut(format, ".")
	var closer io.Closer
	switch compression {
	case "gz":
		z := gzip.NewWriter(w)
		w, closer = z, z
	case "zst":
		// Without concurrency the bytes are the same, and a discarded output leaves no goroutine running.
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		w, closer = z, z
	}
	switch base {
	case "csv":
		return newCSV(w, columns, ',', spec.EscapeFormulas), closer, nil
	case "tsv":
		return newCSV(w, columns, '\t', spec.EscapeFormulas), closer, nil
	case "jsonl":
		return newJSONL(w, columns), closer, nil
	case "parquet":
		e, err := newParquet(w, columns, spec)
		return e, closer, err
	}
	return nil, nil, unknownFormatError(format)
}
