package snapshot

import (
	"io"
	"maps"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// errorColumns are the columns of the error records, as in sinks/errors.go. Older versions wrote no run_id.
var errorColumns = []string{
	"row_number", "user_id", "device_id", "kind", "http_status", "attempts", "message", "occurred_at", "input", "run_id",
}

const (
	colKind  = 3
	colRunID = 9
)

// errorRecords is the file of error records while it is verified.
type errorRecords struct {
	*located
	v     *verifier
	r     *Reader // for its number and errors; not for users
	t     table
	check *Check // nil: there is nothing to check
	kinds *Check
	done  bool
	row   int64 // the current one
	n     int64
	count map[pipeline.Kind]int64
}

func (v *verifier) newErrorRecords(l *located) *errorRecords {
	return &errorRecords{located: l, v: v, check: v.check("rows", l.Path), kinds: v.check("kinds", l.Path), count: map[pipeline.Kind]int64{}}
}

func (e *errorRecords) open() {
	if e.check == nil {
		return
	}
	t, err := openTable(e.Path)
	if err != nil {
		e.check.fail("%v", err)
		e.kinds.Status, e.kinds.Detail, e.done = StatusSkipped, "the file cannot be opened", true
		return
	}
	e.t, e.r = t, &Reader{path: e.Path, t: t}
	var names []string
	for _, c := range t.columns() {
		names = append(names, c.name)
	}
	if len(names) > 0 && !slices.Equal(names, errorColumns) && !slices.Equal(names, errorColumns[:colRunID]) {
		e.check.fail("its columns are not those of error records")
		e.stop("its columns are others")
		return
	}
	if p, ok := t.(*parquetTable); ok {
		checkParquetMeta(e.check, p, e.v.m.RunID)
	}
}

func (e *errorRecords) stop(why string) {
	e.done = true
	e.kinds.Status, e.kinds.Detail = StatusSkipped, why
	e.t.Close() //nolint:errcheck // only read
	e.t = nil
}

func (e *errorRecords) next() {
	if e.done {
		return
	}
	cells, err := e.t.next()
	if err == io.EOF {
		e.done, e.read = true, true
		return
	}
	var row int64
	if err == nil {
		row, err = e.r.number(cells)
	}
	if err != nil {
		e.check.fail("%v", err)
		e.stop("the file cannot be read to its end")
		return
	}
	e.n++
	if row < 1 {
		e.check.fail("row number %d is none", row)
	}
	if e.n > 1 && row <= e.row {
		e.check.fail("row %d comes after row %d", row, e.row)
	}
	e.row = row
	if len(cells) > colRunID && string(cells[colRunID].Text) != e.v.m.RunID {
		e.check.fail("row %d is of another run", row)
	}
	kind := pipeline.Kind(cells[colKind].Text)
	if !slices.Contains(pipeline.Kinds, kind) {
		e.kinds.fail("row %d: %s is no kind of failure", row, show(string(kind)))
		return
	}
	e.count[kind]++
}

func (e *errorRecords) finish() {
	if e.t == nil {
		return
	}
	defer e.t.Close() //nolint:errcheck // only read
	if e.n != e.File.Rows {
		e.check.fail("it has %d rows, the manifest says %d", e.n, e.File.Rows)
	}
	if e.n != e.v.m.Users.Failed {
		e.check.fail("it has %d rows, the manifest says that %d users failed", e.n, e.v.m.Users.Failed)
	}
	e.check.Detail = plural(e.n, "row") + ", sorted by row number"
	want := e.v.m.Users.FailedByKind
	for _, kind := range pipeline.Kinds {
		if e.count[kind] != want[kind] {
			e.kinds.fail("%d users with %s, the manifest says %d", e.count[kind], kind, want[kind])
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(want)) {
		if !slices.Contains(pipeline.Kinds, kind) {
			e.kinds.fail("the manifest has users with %s, which is no kind of failure", show(string(kind)))
		}
	}
	e.kinds.Detail = kindsText(e.count) + ", as in the manifest"
}
