package sources

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/parquet/metadata"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
)

// The columns of a Parquet file are decoded side by side: each lane has some of them. A unit is some consecutive rows of
// a row group. When all lanes have filled in the values of their columns, a decoder makes the rows:
//
//	feeder ──units──▶ lanes, all of them for each unit ──values──▶ decoders ──rows──▶ Next
//
// What goes wrong in a lane or a decoder ends the whole with errRedo, and the file is read on by readRecord, from the
// row group in which that was. So there is one place that decides what is an error, and what it says.

const (
	// laneRows and laneValues bound a unit by what the footer says; laneBytes by what is found. A unit beyond that is not
	// decoded ahead.
	laneRows   = 256
	laneValues = 1 << 13
	laneBytes  = 4 << 20
)

// errRedo means that the rows from the current unit on are to be read by readRecord.
var errRedo = errors.New("read these rows one by one")

// slab is the rows of a unit of a Parquet file, and the values of their columns.
type slab struct {
	group   int // from 0
	first   int // of the rows, in the row group
	rows    int
	columns []slabColumn // as parquetReader.leaves
	bytes   atomic.Int64
	lanes   atomic.Int64 // that are not done with it
	failed  atomic.Bool
}

// slabColumn is what a leafReader has of a batch, for the rows of a slab.
type slabColumn struct {
	defs   []int16
	reps   []int16
	values []pipeline.Value
}

// fork returns a reader of the same columns, for one of n other goroutines.
func (r *parquetReader) fork(n int) *parquetReader {
	f := &parquetReader{name: r.name, pq: r.pq.Fork(n), names: r.names, partitions: r.partitions}
	f.readSchema(r.pq.Metadata().Schema, r.names, r.partitions)
	f.selectColumns(r.wanted)
	return f
}

// split implements [splitReader]: a unit gets the numbers of its rows, at most most.
func (r *parquetReader) split(u *unit, most int) bool {
	for r.left == 0 {
		if r.group == r.end {
			return false
		}
		r.left = r.pq.Group(r.group).NumRows()
		r.group++
	}
	g := r.pq.Group(r.group - 1)
	if u.slab == nil {
		u.slab = &slab{columns: make([]slabColumn, len(r.leaves))}
	}
	s := u.slab
	s.group, s.first = r.group-1, int(g.NumRows()-r.left)
	s.rows = int(min(r.left, r.countUnitRows(), int64(most)))
	r.left -= int64(s.rows)
	s.bytes.Store(0)
	s.failed.Store(false)
	return true
}

// countUnitRows returns how many rows of the current row group are a unit.
func (r *parquetReader) countUnitRows() int64 {
	if r.unitGroup != r.group {
		g := r.pq.Group(r.group - 1)
		values := int64(1)
		for _, l := range r.leaves {
			values += max(0, r.countChunk(g, l, (*metadata.ColumnChunkMetaData).NumValues))
		}
		r.unitGroup = r.group
		r.unitRows = max(1, min(laneRows, int64(float64(laneValues)*float64(g.NumRows())/float64(values))))
	}
	return r.unitRows
}

// startLanes starts the lanes. send hands a unit to them, and the last one of them puts it into work. end waits until
// they have ended.
func (r *parquetReader) startLanes(ctx context.Context, work chan<- *unit, goroutines int) (send func(*unit),
	end func()) {
	lanes := make([]chan *unit, min(goroutines, len(r.leaves)))
	var group sync.WaitGroup
	for i, of := range r.divideLeaves(len(lanes)) {
		in := make(chan *unit, cap(work))
		lanes[i] = in
		lane := r.fork(len(lanes))
		group.Go(func() {
			defer lane.pq.Close()
			current := -1 // the row group
			lost := false // the place in it
			for u := range in {
				s := u.slab
				lost = lost || ctx.Err() != nil ||
					parquetfile.Guard(r.name, func() error { return lane.fillSlab(s, of, &current) }) != nil
				if lost {
					s.failed.Store(true)
				}
				if s.lanes.Add(-1) == 0 {
					work <- u
				}
			}
		})
	}
	send = func(u *unit) {
		u.slab.lanes.Store(int64(len(lanes)))
		for _, in := range lanes {
			in <- u
		}
	}
	return send, func() {
		for _, in := range lanes {
			close(in)
		}
		group.Wait()
	}
}

// divideLeaves divides the columns among n lanes, so that each has about the same number of bytes.
func (r *parquetReader) divideLeaves(n int) [][]int {
	bytes := make([]int64, len(r.leaves))
	order := make([]int, len(r.leaves))
	for i, l := range r.leaves {
		order[i] = i
		for g := range r.pq.NumGroups() {
			bytes[i] += r.countChunk(r.pq.Group(g), l, (*metadata.ColumnChunkMetaData).TotalUncompressedSize)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(min(max(bytes[b]-bytes[a], -1), 1)) })
	lanes, sums := make([][]int, n), make([]int64, n)
	for _, i := range order {
		least := slices.Index(sums, slices.Min(sums))
		lanes[least] = append(lanes[least], i)
		sums[least] += bytes[i] + 1
	}
	return lanes
}

// countChunk returns what count says of a column in a row group; 0 if its metadata are damaged, which is an error of the
// lane that reads it.
func (r *parquetReader) countChunk(g *metadata.RowGroupMetaData, l *leafReader,
	count func(*metadata.ColumnChunkMetaData) int64) (n int64) {
	_ = parquetfile.Guard(r.name, func() error {
		md, err := g.ColumnChunk(l.index)
		if err == nil {
			n = count(md)
		}
		return err
	})
	return n
}

// fillSlab decodes the values of these columns. current is the row group of the slab before.
func (r *parquetReader) fillSlab(s *slab, columns []int, current *int) error {
	g := r.pq.Group(s.group)
	for _, i := range columns {
		l := r.leaves[i]
		if s.group != *current {
			if err := r.openChunk(l, g); err != nil {
				return err
			}
		}
		if err := l.fillColumn(&r.scratch, s, &s.columns[i]); err != nil {
			return err
		}
	}
	*current = s.group
	if s.first+s.rows < int(g.NumRows()) {
		return nil
	}
	for _, i := range columns {
		l := r.leaves[i]
		if l.i < l.n || l.column.HasNext() || l.column.Err() != nil {
			return errRedo
		}
	}
	return nil
}

// fillColumn decodes the values of one column.
func (l *leafReader) fillColumn(v *parquetfile.Values, s *slab, c *slabColumn) error {
	c.defs, c.reps, c.values = c.defs[:0], c.reps[:0], c.values[:0]
	for rows := 0; ; {
		from, at := l.i, l.at
		for ; l.i < l.n; l.i++ {
			if l.reps[l.i] == 0 {
				if rows == s.rows {
					break
				}
				rows++
			}
			if l.defs[l.i] == l.max {
				l.at++
			}
		}
		bytes := int64(0)
		for i := at; i < l.at; i++ {
			bytes += 64 + int64(len(l.values[i].Text))
		}
		if s.bytes.Add(bytes) > laneBytes {
			return errRedo
		}
		c.defs = append(c.defs, l.defs[from:l.i]...)
		c.reps = append(c.reps, l.reps[from:l.i]...)
		c.values = append(c.values, l.values[at:l.at]...)
		if l.i < l.n || rows == s.rows && l.descr.MaxRepetitionLevel() == 0 {
			return nil
		}
		if more, err := l.hasMore(v); err != nil {
			return err
		} else if !more && rows < s.rows {
			return errRedo
		} else if !more {
			return nil
		}
	}
}

// slabReader makes records of the values of slabs.
type slabReader struct {
	*parquetReader
	left int
}

// newUnitReader implements [splitReader].
func (r *parquetReader) newUnitReader() unitReader { return &slabReader{parquetReader: r.fork(1)} }

// begin implements [unitReader].

func (r *slabReader) begin(u *unit) {
	if r.left = u.slab.rows; u.slab.failed.Load() {
		r.left = -1
		return
	}
	for i, l := range r.leaves {
		c := &u.slab.columns[i]
		l.defs, l.reps, l.values = c.defs, c.reps, c.values
		l.n, l.i, l.at, l.column = len(c.defs), 0, 0, nil
	}
}

func (r *slabReader) readRecord(rec *record) error {
	if r.left == 0 {
		if slices.ContainsFunc(r.leaves, func(l *leafReader) bool { return l.i < l.n }) {
			return errRedo
		}
		return io.EOF
	}
	if r.left < 0 || parquetfile.Guard(r.name, func() error { return r.appendRow(rec) }) != nil {
		return errRedo
	}
	r.left--
	return nil
}

// redo makes readRecord read the rows of u again, without the first n.
func (r *parquetReader) redo(u *unit, n int) error {
	r.group, r.left = u.slab.group, 0
	for range u.slab.first + n {
		var rec record
		if err := r.readRecord(&rec); err != nil {
			return err
		}
	}
	return nil
}
