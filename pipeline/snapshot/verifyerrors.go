package snapshot

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// errorColumns are the columns of the error records, as in sinks/errors.go. Older versions wrote no run_id.
var errorColumns = []string{
	"row_number", "user_id", "device_id", "kind", "http_status", "attempts", "message", "occurred_at", "input", "run_id",
}

const (
	colKind  = 3
	colInput = 8
	colRunID = 9
)

// recordFile reads error records.
type recordFile struct{ *Reader } // for its table, its number and its errors; it has no users

func openErrorRecords(files *blob.Files, path string) (*recordFile, error) {
	t, err := openTable(files, path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range t.columns() {
		names = append(names, c.name)
	}
	if len(names) > 0 && !slices.Equal(names, errorColumns) && !slices.Equal(names, errorColumns[:colRunID]) {
		return nil, errors.Join(fmt.Errorf("%s: its columns are not those of error records", path), t.Close())
	}
	return &recordFile{&Reader{path: path, t: t}}, nil
}

// next is the cells of the next record, and its row number.
func (f *recordFile) next() (cells []Value, number int64, err error) {
	if cells, err = f.nextRecord(); err != nil {
		return nil, 0, err
	}
	number, err = f.rowNumber(cells)
	return cells, number, err
}

// errorRecords is the file of error records of the run while it is verified.
type errorRecords struct {
	*located
	v     *verifier
	file  *recordFile
	check *Check // nil: there is no file to check
	kinds *Check
	done  bool
	row   int64 // of the current record
	n     int64 // records
	count map[pipeline.Kind]int64
}

func (v *verifier) newErrorRecords(l *located) *errorRecords {
	return &errorRecords{located: l, v: v, check: v.newCheck("rows", l.Path), kinds: v.newCheck("kinds", l.Path),
		count: map[pipeline.Kind]int64{}}
}

func (e *errorRecords) open() {
	if e.check == nil {
		return
	}
	var err error
	if e.file, err = openErrorRecords(e.v.files, e.Path); err != nil {
		e.check.fail(Unreadable, "%v", err)
		e.skip("the file cannot be opened")
		return
	}
	if p, ok := e.file.t.(*parquetTable); ok {
		checkParquetMeta(e.check, p, e.v.m)
	}
	if t, ok := e.file.t.(*csvTable); ok {
		format, _, _ := formatOf(e.Path)
		checkDialect(e.check, t, format, &e.v.layout)
	}
}

// skip ends the reading, and says why the kinds were not checked.
func (e *errorRecords) skip(why string) {
	e.done = true
	e.kinds.Status, e.kinds.Detail = StatusSkipped, why
	if e.file != nil {
		e.file.Close() //nolint:errcheck // only read
		e.file = nil
	}
}

func (e *errorRecords) next() {
	if e.done {
		return
	}
	cells, row, err := e.file.next()
	if err == io.EOF {
		e.done, e.read = true, true
		return
	}
	if err != nil {
		e.check.fail(Unreadable, "%v", err)
		e.skip("the file cannot be read to the end")
		return
	}
	e.n++
	if row < 1 {
		e.check.fail(BadRowNumber, "row number %d is not valid", row)
	}
	if e.n > 1 && row <= e.row {
		e.check.fail(Disordered, "row %d comes after row %d", row, e.row)
	}
	e.row = row
	if len(cells) > colRunID && string(cells[colRunID].Text) != e.v.m.RunID {
		e.check.fail(OtherRun, "row %d is of another run", row)
	}
	kind := pipeline.Kind(cells[colKind].Text)
	if !slices.Contains(pipeline.Kinds, kind) {
		e.kinds.fail(UnknownKind, "row %d: %s is not a kind of failure", row, show(string(kind)))
		return
	}
	e.count[kind]++
}

func (e *errorRecords) finish() {
	if e.file == nil {
		return
	}
	defer e.file.Close() //nolint:errcheck // only read
	if e.n != e.File.Rows {
		e.check.fail(WrongRows, "it has %d rows, the manifest says %d", e.n, e.File.Rows)
	}
	if e.n != e.v.m.Users.Failed {
		e.check.fail(WrongRows, "it has %d rows, the manifest says that %d users failed", e.n, e.v.m.Users.Failed)
	}
	e.check.Detail = text.Count(e.n, "row") + ", sorted by row number"
	want := e.v.m.Users.FailedByKind
	for _, kind := range pipeline.Kinds {
		if e.count[kind] != want[kind] {
			e.kinds.fail(WrongFailures, "%d users with %s, the manifest says %d", e.count[kind], kind, want[kind])
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(want)) {
		if !slices.Contains(pipeline.Kinds, kind) {
			e.kinds.fail(UnknownKind, "the manifest has users with %s, which is not a kind of failure", show(string(kind)))
		}
	}
	e.kinds.Detail = kindsText(e.count) + ", as in the manifest"
}
