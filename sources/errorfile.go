package sources

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// hintOneRun is the hint for error records of several runs.
const hintOneRun = "retry the failed users of each run separately"

// errorColumns are the columns of error records. Those of older versions lack run_id, the last one.
var errorColumns = []string{
	"row_number", "user_id", "device_id", "kind", "http_status", "attempts", "message", "occurred_at", "input", "run_id",
}

// hasErrorColumns reports whether a file with these columns holds error records. The order does not matter, because
// tools that rewrite JSON sort the names.
func hasErrorColumns(cols []column) bool {
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = c.name
	}
	return isErrorHeader(names)
}

// isErrorHeader is hasErrorColumns for the names of the columns.
func isErrorHeader(names []string) bool {
	n := len(errorColumns)
	lacks := func(name string) bool { return !slices.Contains(names, name) }
	return len(names) == n && !slices.ContainsFunc(errorColumns, lacks) ||
		len(names) == n-1 && !slices.ContainsFunc(errorColumns[:n-1], lacks)
}

// FailedRun returns the run id in the first record of a file of error records; "" for a file of users, for records
// without run ids, and for a file without records.
func FailedRun(f File, opts Options) (string, error) {
	if err := checkRegular(f); err != nil { // a named pipe can be read only once, so not here
		return "", err
	}
	r, _, records, err := openFile(f, &opts)
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // only read
	e, ok := r.(*errorFile)
	if !records || !ok {
		return "", nil
	}
	var rec record
	if err := e.readRecord(&rec); err != nil && err != io.EOF {
		return "", err
	}
	return e.runID, nil
}

// errorFile reads the original rows out of error records.
//
// Null cells stay absent and empty strings stay empty: the --missing of the failed run applies, not the current one, so
// that the user is the same.
type errorFile struct {
	reader
	name  string
	cells csvOptions // for rows that did not decode, but may now
	outer record     // the error record
	runID string     // the run in the records so far; "" if they name none
}

func newErrorFile(name string, r reader, cells csvOptions) *errorFile {
	if cols := r.columns(); cols != nil {
		wanted := make([]bool, len(cols))
		for i, c := range cols {
			wanted[i] = slices.Contains([]string{"row_number", "kind", "input", "run_id"}, c.name)
		}
		r.selectColumns(wanted)
	}
	return &errorFile{reader: r, name: name, cells: cells}
}

func (e *errorFile) columns() []column { return nil }

func (e *errorFile) selectColumns([]bool) []int { return nil }

func (e *errorFile) readRecord(rec *record) error {
	e.outer = record{cells: e.outer.cells[:0]}
	if err := e.reader.readRecord(&e.outer); err != nil {
		return err
	}
	rec.line, rec.err = e.outer.line, nil
	damaged := func(why string) error {
		why = strings.TrimPrefix(why, linePrefix(rec.line)) // the reader may have added it
		return pipeline.WithHint(fmt.Errorf("%s: %s%s", e.name, linePrefix(rec.line), why),
			"this is not an error record that rollcall wrote; without its row number it cannot be evaluated again")
	}
	if e.outer.err != nil {
		return damaged(e.outer.err.Message)
	}
	if e.outer.bad != nil {
		return damaged(e.outer.bad.Message)
	}
	var number, kind, input, runID pipeline.Value
	for _, c := range e.outer.cells {
		switch c.Name {
		case "row_number":
			number = c.Value
		case "kind":
			kind = c.Value
		case "input":
			input = c.Value
		case "run_id":
			runID = c.Value
		}
	}
	digits, err := toText(&number)
	if err != nil {
		return damaged("row_number: " + err.Error())
	}
	if rec.number, err = strconv.ParseInt(digits, 10, 64); err != nil || rec.number < 1 {
		return damaged("row_number is not a row number")
	}
	if at := slices.Index(pipeline.Kinds, pipeline.Kind(kind.Text)); at >= 0 {
		rec.failedWith = pipeline.Kinds[at]
	}
	switch id := runID.Text; {
	case e.runID == "":
		e.runID = strings.Clone(id)
	case id != e.runID:
		return pipeline.WithHint(fmt.Errorf("%s: %sthe record is of run %s, those before it are of run %s", e.name,
			linePrefix(rec.line), id, e.runID),
			hintOneRun)
	}
	switch {
	case input.Kind == pipeline.Null || input.Kind == pipeline.String && input.Text == "":
		rec.err = pipeline.Errorf(pipeline.KindBadRow, "%sthe row did not decode, so its error record holds no input",
			linePrefix(rec.line))
		return nil
	case input.Kind == pipeline.String:
		rec.size = len(input.Text)
		if rec.cells, err = pipeline.ParseObject(rec.cells, input.Text); err != nil {
			return damaged("input: " + err.Error())
		}
		if IsBadRow(rec.cells) {
			input := slices.Clone(rec.cells)
			rec.cells = rec.cells[:0]
			restoreBadRow(rec, input, e.cells)
		}
	case input.Kind == pipeline.Object && IsBadRow(input.Members):
		rec.size = e.outer.size
		restoreBadRow(rec, input.Members, e.cells)
	case input.Kind == pipeline.Object:
		rec.size = e.outer.size
		rec.cells = append(rec.cells, input.Members...)
	default:
		return damaged("input is not a JSON object")
	}
	if e.cells.trim {
		trimCells(rec.cells)
	}
	return nil
}
