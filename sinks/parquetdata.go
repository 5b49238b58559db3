package sinks

import (
	"sort"
	"sync/atomic"
	"unsafe"
)

// parquetData is rows that are to be added to the columns of a Parquet file. Once it is made it is only read.
type parquetData struct {
	number int64 // no two of an output have the same
	blocks []dataBlock
	cells  []cell      // for each block, one for each column that does not vary
	tuples []dataTuple // that rows have
	index  []int32     // for each row, that of its tuple
	own    []cell      // of tuples that were not kept

	rows  int
	bytes int // about how much memory it takes
	grows int // the buffers of the columns grow at most by so many bytes, if pages are not counted that end in it

	users atomic.Int32 // who still read it
}

type dataBlock struct {
	end  int // the row after its last
	step int // rows that are added at once
}

type dataTuple struct {
	cells []cell
	size  int
	alone bool // as in tuple
}

// newData returns data without rows.
func (e *parquetEncoder) newData() *parquetData {
	d, ok := e.data.Get().(*parquetData)
	if !ok {
		d = &parquetData{}
	}
	d.number = e.numbers.Add(1)
	return d
}

// release lets go of data, which is used again when all have.
func (e *parquetEncoder) release(d *parquetData) {
	if d.users.Add(-1) > 0 || cap(d.cells)+cap(d.own) > keptCells {
		return
	}
	clear(d.cells) // which may have parts of large texts
	clear(d.own)
	clear(d.tuples)
	*d = parquetData{blocks: d.blocks[:0], cells: d.cells[:0], tuples: d.tuples[:0], index: d.index[:0], own: d.own[:0]}
	e.data.Put(d)
}

// keptCells is how many cells data may have that is used again.
const keptCells = 64 << 10

// stepEnd returns the end of the step that begins with a row: rows of one block, but not beyond limit.
func (d *parquetData) stepEnd(from, limit int) int {
	b := d.blocks[d.blockAt(from)]
	return min(b.end, limit, from+b.step)
}

// blockAt returns the index of the block that has a row.
func (d *parquetData) blockAt(row int) int {
	return sort.Search(len(d.blocks), func(i int) bool { return d.blocks[i].end > row })
}

// parquetRows is the [format] of Parquet.
type parquetRows struct {
	columns int
	fixed   []int // the columns that do not vary
}

func newParquetRows(columns []column) *parquetRows {
	f := &parquetRows{columns: len(columns)}
	for i, c := range columns {
		if !c.varies {
			f.fixed = append(f.fixed, i)
		}
	}
	return f
}

func (f *parquetRows) begin(*block) {}

// appendRows appends all rows of the block, because where steps end must not depend on the pieces.
func (f *parquetRows) appendRows(p *piece, b *block, _, _ int) int {
	d, texts := p.data, 1
	for _, i := range f.fixed {
		c := &b.shared[i]
		d.cells = append(d.cells, *c)
		texts += len(c.text)
	}
	size := len(b.rows) * (texts + 8*len(f.fixed))
	d.bytes += texts + len(f.fixed)*cellBytes + 4*len(b.rows)
	for _, t := range b.rows {
		if !t.kept || t.data != d.number {
			t.data, t.at = d.number, int32(len(d.tuples))
			d.appendTuple(t)
		}
		d.index = append(d.index, t.at)
		size += d.tuples[t.at].size
	}
	d.rows += len(b.rows)
	d.blocks = append(d.blocks, dataBlock{end: d.rows, step: min(stepRows, 1+stepBytes/texts)})
	d.grows += size + size>>10 + 4*f.columns*len(b.rows)
	return len(b.rows)
}

// cellBytes is the size of a cell.
const cellBytes = int(unsafe.Sizeof(cell{}))

func (d *parquetData) appendTuple(t *tuple) {
	dt := dataTuple{cells: t.cells, alone: t.alone}
	for i := range t.cells {
		dt.size += 8 + len(t.cells[i].text)
	}
	d.bytes += int(unsafe.Sizeof(dt))
	if !t.kept {
		before := len(d.own)
		d.own = append(d.own, t.cells...)
		dt.cells = d.own[before:]
		d.bytes += dt.size + cellBytes*len(t.cells)
	}
	d.tuples = append(d.tuples, dt)
}
