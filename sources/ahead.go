package sources

import (
	"cmp"
	"context"
	"io"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sync/semaphore"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// A file is decoded by several goroutines, which are ahead of the one that calls Next:
//
//	feeder ──units──▶ decoders, GOMAXPROCS ──rows, in the order of the file──▶ Next
//
// The feeder has the reader of the file. It cuts the file into units of whole records, which it does not decode. What
// makes a row of a record, the decoders have too: the same code, in copies that are not shared. A record that cannot be
// cut off by itself, such as one with an unclosed quote, is decoded by the feeder as if there were no decoders. So the
// rows, and their errors, are the same with any number of goroutines.
//
// With one processor there are no goroutines, and Next decodes each row.

const (
	// unitBytes is about how much of a text file is a unit. Its rows take about 20 times as much. Larger units, or more of
	// them, do not stay in the processor's cache until their rows are evaluated, which costs more than it saves.
	unitBytes = 16 << 10
	// A unit that the feeder has decoded has at most so many rows, and fewer if they take so much memory.
	unitRows      = 32
	unitRowsBytes = 512 << 10
	// maxKept bounds the memory that is kept for the rows of a later unit.
	maxKept = 2 << 20
)

// decoder makes rows of the records of one file. It is for one goroutine.
type decoder struct {
	reader  recordReader
	mapper  *mapper             // nil: the rows are only counted
	inspect func(*pipeline.Row) // see [Input.Inspect]; nil: it was not called
	rec     record
	row     pipeline.Row // the last one that inspect has seen
}

// rowInfo is what is known about a row besides the row itself.
type rowInfo struct {
	ragged bool
	damage Damage
	saw    []string // names in the options that no row had before
	begin  place    // of the row, if a part can begin there
}

// place is a place in a text file between two records where a reader can begin: nothing before it has to be known. The
// zero place is none.
type place struct{ offset, line int64 }

// placeReader is a reader of text that is not compressed.
type placeReader interface {
	// findPlace returns where the next record begins; none if what is before it has to be known. It does not depend on how
	// the file is cut into units which records are the first ones after the marks: a unit never goes beyond the next one.
	findPlace() place
	setMarks(offsets []int64)
}

// decodeRow decodes the next row. Its number is 0, unless the record has one.
func (d *decoder) decodeRow(row *pipeline.Row, info *rowInfo) error {
	if d.inspect == nil {
		return d.decodeWhole(row, info)
	}
	if err := d.decodeWhole(&d.row, info); err != nil {
		return err
	}
	d.inspect(&d.row)
	*row = pipeline.Row{Number: d.row.Number, Err: d.row.Err, FailedWith: d.row.FailedWith}
	return nil
}

func (d *decoder) decodeWhole(row *pipeline.Row, info *rowInfo) error {
	d.rec = record{cells: row.Input[:0]}
	var begin place
	if d.mapper == nil {
		if r, ok := d.reader.(placeReader); ok {
			begin = r.findPlace()
		}
	}
	if err := d.reader.readRecord(&d.rec); err != nil {
		return err
	}
	if d.mapper == nil { // the rows are only counted
		*row, *info = pipeline.Row{Input: d.rec.cells}, rowInfo{begin: begin}
		return nil
	}
	row.Number, row.FailedWith, row.Bytes = d.rec.number, d.rec.failedWith, 0
	row.Input = d.rec.cells
	d.mapper.fillRow(row, &d.rec)
	*info = rowInfo{ragged: d.rec.ragged, damage: d.mapper.findDamage(row, d.rec.cells), saw: d.mapper.saw}
	if (d.rec.err != nil || d.rec.bad != nil) && !IsBadRow(row.Input) {
		// Without the bad cells, the error record would be read again as another user. Its ids are in columns of their own.
		row.Input = nil
	}
	return nil
}

// splitReader is a reader whose records can be decoded by others.
type splitReader interface {
	reader
	// split takes the next records for u, most bytes or one record, without decoding them. It reports false if readRecord
	// must read the next one.
	split(u *unit, most int) bool
	// newUnitReader returns a reader of the records of units.
	newUnitReader() unitReader
}

type unitReader interface {
	recordReader
	// begin makes readRecord read the records of u, and then return io.EOF.
	begin(u *unit)
}

// unit is some consecutive records, and then their rows.
type unit struct {
	text []byte // of records that are not decoded yet
	line int64  // where text begins
	cut  bool   // the feeder has cut it off, and not decoded it
	from place  // where it begins then, if a part can begin there
	slab *slab  // of a Parquet file, in place of text

	rows []aheadRow // their memory is reused, that of the slices in them too
	n    int        // how many of rows there are
	err  error      // comes after them; nil if the file goes on
	size int64      // its share of the memory
	done chan struct{}
}

type aheadRow struct {
	row  pipeline.Row
	info rowInfo
}

// decode decodes rows up to an error, which it returns, or until isFull says so.
func (u *unit) decode(d *decoder, isFull func() bool) error {
	for isFull == nil || !isFull() {
		if u.n == len(u.rows) {
			u.rows = append(u.rows, aheadRow{})
		}
		r := &u.rows[u.n]
		if err := d.decodeRow(&r.row, &r.info); err != nil {
			return err
		}
		if d.inspect == nil {
			r.row.Bytes = r.row.CountBytes()
		}
		u.n++
	}
	return nil
}

// aheadOptions are for the tests.
type aheadOptions struct {
	goroutines int // that decode; 0 means GOMAXPROCS
	most       int // bytes of a unit; 0 means unitBytes
}

// ahead decodes a file ahead of its reader.
type ahead struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	free   chan *unit
	order  chan *unit // in the order of the file
	work   chan *unit // the same, unless the feeder has decoded them
	memory *semaphore.Weighted
	limit  int64
	most   int // bytes of a unit

	unit *unit // the current one, of which next returns the rows
	at   int
	kept int64 // bytes of the memory that was swapped into it
}

// startAhead starts decoding the file of d, which nobody may use until the goroutines have ended. It returns nil if
// they would be of no use.
func startAhead(d *decoder, o aheadOptions) *ahead {
	goroutines, most := cmp.Or(o.goroutines, runtime.GOMAXPROCS(0)), cmp.Or(o.most, unitBytes)
	r, ok := d.reader.(splitReader)
	if !ok || goroutines == 1 {
		return nil
	}
	columns, isParquet := d.reader.(*parquetReader)
	if isParquet && (len(columns.leaves) == 0 || len(columns.leaves) > maxLeaves) {
		return nil
	}
	units := 2 + 2*goroutines
	ctx, cancel := context.WithCancel(context.Background())
	a := &ahead{cancel: cancel, free: make(chan *unit, units), order: make(chan *unit, units),
		work: make(chan *unit, units), limit: int64(units * most), most: most}
	a.memory = semaphore.NewWeighted(a.limit)
	for range units {
		a.free <- &unit{done: make(chan struct{}, 1)}
	}
	decoders := make([]*decoder, goroutines)
	for i := range decoders { // all copies are made before the feeder changes what is copied
		decoders[i] = &decoder{reader: r.newUnitReader(), mapper: d.mapper.clone(), inspect: d.inspect}
	}
	send, end := func(u *unit) { a.work <- u }, func() {}
	if isParquet {
		send, end = columns.startLanes(ctx, a.work, goroutines)
	}
	a.group.Go(func() {
		a.feed(ctx, d, r, send)
		end()
		close(a.work)
	})
	for _, own := range decoders {
		a.group.Go(func() { a.decodeUnits(ctx, own) })
	}
	return a
}

// feed cuts the file into units.
func (a *ahead) feed(ctx context.Context, d *decoder, r splitReader, send func(*unit)) {
	defer close(a.order)
	for {
		var u *unit
		select {
		case u = <-a.free:
		case <-ctx.Done():
			return
		}
		u.text, u.n, u.err, u.from = u.text[:0], 0, nil, place{}
		if places, ok := r.(placeReader); ok && d.mapper == nil {
			u.from = places.findPlace()
		}
		split := r.split(u, a.most)
		u.cut = split
		if u.size = int64(len(u.text)); !split {
			memory := int64(0)
			u.err = u.decode(d, func() bool {
				if u.n > 0 {
					memory += countSlices(&u.rows[u.n-1].row)
				}
				return u.n == unitRows || memory > unitRowsBytes
			})
			u.size = memory / 16 // what its text would be counted as
		}
		u.size = min(u.size, a.limit) // one that is too large has the memory to itself
		if a.memory.Acquire(ctx, u.size) != nil {
			return
		}
		a.order <- u
		if split {
			send(u)
			continue
		}
		u.done <- struct{}{}
		if u.err != nil {
			return
		}
	}
}

func (a *ahead) decodeUnits(ctx context.Context, d *decoder) {
	r := d.reader.(unitReader)
	for u := range a.work {
		if ctx.Err() != nil {
			return
		}
		r.begin(u)
		if err := u.decode(d, nil); err != io.EOF {
			u.err = err
		}
		u.done <- struct{}{}
	}
}

// next returns the next row of the file. Like readRecord, it returns io.EOF after the last one.
func (a *ahead) next(row *pipeline.Row, info *rowInfo) error {
	for a.unit == nil || a.at == a.unit.n {
		if a.unit != nil {
			if a.unit.err != nil {
				return a.unit.err
			}
			a.recycle()
		}
		a.unit, a.at, a.kept = <-a.order, 0, 0
		<-a.unit.done
	}
	r := &a.unit.rows[a.at]
	a.at++
	a.kept += countSlices(row)
	old := pipeline.Row{Input: row.Input, Carry: row.Carry, User: pipeline.User{Context: row.User.Context}}
	*row, *info = r.row, r.info
	if a.unit.cut {
		info.begin = place{}
		if a.at == 1 {
			info.begin = a.unit.from
		}
	}
	r.row, r.info.saw = old, nil
	return nil
}

// recycle frees the current unit. It does not keep more memory than a unit of ordinary rows has.
func (a *ahead) recycle() {
	u := a.unit
	if a.kept > maxKept {
		u.rows = nil
	}
	if cap(u.text) > 4*unitBytes {
		u.text = nil
	}
	a.memory.Release(u.size)
	a.free <- u
}

// countSlices returns how many bytes the slices of a row take, without what is in their values.
func countSlices(row *pipeline.Row) int64 {
	return int64(cap(row.Input)+cap(row.User.Context))*int64(unsafe.Sizeof(pipeline.Member{})) +
		int64(cap(row.Carry))*int64(unsafe.Sizeof(pipeline.Value{}))
}

// stop ends the goroutines, and waits for them. No method may be called after it but stop.
func (a *ahead) stop() {
	a.cancel()
	a.group.Wait()
}
