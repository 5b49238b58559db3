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

// Spec says what an output holds beyond what every output does. The zero value is of use: the long layout. Error
// records have one layout; of all this RunID, Meta, Version and EscapeFormulas are for them.
type Spec struct {
	Wide       bool              // a row for each user with a column for each of Flags
	Flags      []string          // the flags asked for; Wide needs them
	Include    []string          // what is added: metadata, evaluation_id, value (long); payload (wide)
	Carry      []pipeline.Column // the carried columns
	SnakeNames bool              // the columns get names that BigQuery takes

	RunID          string            // of the run, for its error records
	Meta           map[string]string // the run's id, options, …: key-value metadata of Parquet
	Version        string            // rollcall's, for Parquet's created_by
	EscapeFormulas bool              // CSV and TSV: a ' before a text that a spreadsheet would run
}

// formats are the formats, by the endings of their names.
var formats = []string{
	"csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "tsv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet",
}

// Format is the format of a file by its name's ending: "csv", "jsonl.gz", "parquet", … Upper case is taken too.
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
		"the formats are .csv, .tsv and .jsonl, each also with .gz or .zst after it, and .parquet")
}

// TrimFormat is the name without the ending that [Format] knows it by; the whole name if there is none.
func TrimFormat(name string) string {
	f, err := Format(name)
	if err != nil {
		return name
	}
	return name[:len(name)-len(f)-1]
}

// Create begins a file of assignments. Its format is the name's ending. What stands under that name stays
// as it is: the caller renames what [Info] calls Temp when the output is closed, and asks before whether it may.
func Create(path string, spec Spec) (*Output, error) {
	table, err := spec.newAssignmentsTable()
	if err != nil {
		return nil, err
	}
	return createOutput(path, 0o666, table, &spec) // as any new file, less the umask
}

// CreateErrors begins a file of error records, which only its owner may read: they hold the input's rows.
func CreateErrors(path string, spec Spec) (*Output, error) {
	return createOutput(path, 0o600, newErrorTable(spec.RunID), &spec)
}

// NewStream writes assignments to w, which it does not close, in a format as [Format] names it. Discard does
// nothing: what is written is written.
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

	// finish writes what is left. It does not close the writer under it.
	finish() error
}

// newEncoder is the one switch over formats. The closer, if there is one, ends the compressed stream.
func newEncoder(w io.Writer, format string, columns []column, spec *Spec) (encoder, io.Closer, error) {
	base, compression, _ := strings.Cut(format, ".")
	var closer io.Closer
	switch compression {
	case "gz":
		z := gzip.NewWriter(w)
		w, closer = z, z
	case "zst":
		// One at a time: the bytes are the same, and an output that is discarded leaves no goroutine behind.
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
