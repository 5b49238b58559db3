package snapshot

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// table reads a file of any columns, row by row. It knows nothing of assignments.
//
// next returns the cells of the next row, which are valid until the next call, and io.EOF after the last row. Its
// errors name the file. A column that was not selected has null cells, if that saves work.
type table interface {
	columns() []column
	selectColumns(columns []bool)
	next() ([]Value, error)
	position() string // of the last row in the file: "line 12"
	Close() error
}

// column is a column of a file.
type column struct {
	name     string
	typ      pipeline.Type // as far as the format can tell
	typed    bool          // typ is that of the file
	millis   bool          // Parquet: a timestamp in milliseconds
	required bool          // Parquet: never null
	physical string        // Parquet
}

// Value is a cell of an output. What is known of its type depends on the format: CSV has only texts, JSONL the types of
// JSON, Parquet all.
type Value struct {
	// Kind is Null, String (Text), Number (Text, as written), Int, Float, Bool, Timestamp (microseconds) or Date (days),
	// all in Num, or List or Object (Text is their JSON). A decimal is a String: the exact text of pipeline.AppendDecimal.
	Kind pipeline.ValueKind
	Num  int64
	Text []byte // valid until the next row

	json []byte // JSONL: the value as the file has it
}

// AppendText appends the value as a carried column of a CSV output has it.
func (v *Value) AppendText(dst []byte) []byte {
	switch v.Kind {
	case pipeline.Null:
		return dst
	case pipeline.Float:
		switch f := math.Float64frombits(uint64(v.Num)); {
		case math.IsNaN(f):
			return append(dst, "NaN"...)
		case math.IsInf(f, 1):
			return append(dst, "Infinity"...)
		case math.IsInf(f, -1):
			return append(dst, "-Infinity"...)
		}
		return pipeline.Value{Kind: pipeline.Float, Num: v.Num}.AppendJSON(dst)
	case pipeline.Int, pipeline.Bool:
		return pipeline.Value{Kind: v.Kind, Num: v.Num}.AppendJSON(dst)
	case pipeline.Timestamp:
		return time.UnixMicro(v.Num).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	case pipeline.Date:
		return time.Unix(v.Num*86400, 0).UTC().AppendFormat(dst, time.DateOnly)
	}
	return append(dst, v.Text...)
}

const (
	// maxRecord bounds a record of a text format. An answer about one user is at most 8 MiB, and escaping makes it
	// at most six times as long.
	maxRecord = 64 << 20
	// maxColumns bounds the columns of a file.
	maxColumns = 100_000
)

// formatOf is the format of a file, according to its extension, and its compression.
func formatOf(path string) (base, compression string, ok bool) {
	lower := strings.ToLower(filepath.Base(path))
	for _, c := range []string{"gz", "zst"} {
		if rest, found := strings.CutSuffix(lower, "."+c); found {
			lower, compression = rest, c
		}
	}
	base = strings.TrimPrefix(filepath.Ext(lower), ".")
	switch base {
	case "csv", "tsv", "jsonl":
		return base, compression, true
	case "parquet":
		return base, "", compression == ""
	}
	return "", "", false
}

// openTable opens a file of the format that its extension says. Its columns have different names.
func openTable(files *blob.Files, path string) (t table, err error) {
	base, compression, ok := formatOf(path)
	switch {
	case !ok:
		return nil, pipeline.WithHint(fmt.Errorf("%s: not the name of an output", path),
			"its extension is .csv .tsv .jsonl (also .gz .zst) or .parquet")
	case base == "parquet":
		t, err = openParquet(files, path)
	default:
		t, err = openTextTable(files, path, base, compression)
	}
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range t.columns() {
		if seen[c.name] {
			return nil, errors.Join(fmt.Errorf("%s: column %q is duplicated", path, c.name), t.Close())
		}
		seen[c.name] = true
	}
	return t, nil
}

func openTextTable(files *blob.Files, path, base, compression string) (t table, err error) {
	f, err := openText(files, path, compression, splitRecords(base != "jsonl"))
	if err != nil {
		return nil, err
	}
	switch base {
	case "jsonl":
		t, err = newJSONL(f)
	case "csv":
		t, err = newCSV(f, 0)
	default:
		t, err = newCSV(f, '\t')
	}
	if err != nil {
		f.Close() //nolint:errcheck // only read
		return nil, err
	}
	return t, nil
}
