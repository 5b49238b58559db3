package sinks

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/metadata"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	// The pages of all columns share pageRowsOfAll rows, within the limits of one page, so that their runs stay small.
	pageRowsOfAll            = 256 << 10
	minPageRows, maxPageRows = 1 << 10, 16 << 10
	pageBytes                = 1 << 20 // plain values of a page
	dictionaryBytes          = 1 << 20 // a larger dictionary is not worth it, and readers do not expect one
	statisticBytes           = 4 << 10 // a longer minimum or maximum is left out
)

// parquetColumn collects the pages of one column of a row group.
//
// In each row group a column starts with a dictionary. If the first page shows that values hardly repeat, the
// dictionary is dropped. If it gets too large, it ends. In both cases values are plain until the row group ends.
type parquetColumn struct {
	column
	index   int // among the columns
	cell    int // its index among the cells of a tuple, or of a block's
	pages   pageWriters
	buffers *buffers
	maxRows int // of a page

	// width is the number of bytes of a plain value: 4 or 8, or more for a text of that length. It is 0 for a boolean,
	// which is a bit, and -1 for a text with its length before it.
	width int

	// The index in the dictionary of each tuple of the data of that number; unknownIndex if it is not known.
	number  int64
	indices []int32

	held int // bytes in its buffers: pages, values and dictionary

	// The current page.
	runs   []run
	rows   int
	values []byte // if plain

	// The column in the current row group.
	plain      bool // the dictionary is not used any more
	dictionary dictionary
	chunk      []byte // the complete pages
	dictPages  int
	plainPages int
	total      int // rows in the complete pages
	nulls      int64
	bytes      int64 // uncompressed
	statistics statistics
}

// run is n equal values in a row.
type run struct {
	index int32 // of the dictionary entry; nullIndex; a boolean's value; or 0 if values are plain
	n     int32
}

const (
	nullIndex    = -1
	unknownIndex = -2
)

func newParquetColumn(c column, pages pageWriters, buffers *buffers, maxRows int) *parquetColumn {
	pc := &parquetColumn{column: c, pages: pages, buffers: buffers, maxRows: maxRows}
	switch c.typ {
	case pipeline.TypeString, pipeline.TypeJSON:
		pc.width = -1
	case pipeline.TypeBool:
		pc.width = 0
	case pipeline.TypeDate:
		pc.width = 4
	case pipeline.TypeDecimal:
		pc.width = decimalWidth(c.precision)
	default:
		pc.width = 8
	}
	pc.dictionary.width = pc.width
	pc.dictionary.seed = maphash.MakeSeed()
	pc.statistics.typ, pc.statistics.width = c.typ, pc.width
	pc.plain = pc.width == 0
	return pc
}

// appendRun appends an index n times.
func (c *parquetColumn) appendRun(index int32, n int) {
	c.rows += n
	if last := len(c.runs) - 1; last >= 0 && c.runs[last].index == index {
		c.runs[last].n += int32(n)
		return
	}
	c.runs = append(c.runs, run{index, int32(n)})
}

// flushFullPage ends the page if it is full.
func (c *parquetColumn) flushFullPage() {
	if c.rows >= c.maxRows {
		c.flushPage()
	}
}

// appendRows appends rows of d. A page that is full ends with a step, or with a tuple that is alone.
func (c *parquetColumn) appendRows(d *parquetData, from, to int) {
	if c.varies && c.number != d.number {
		c.number, c.indices = d.number, c.indices[:0]
		for range d.tuples {
			c.indices = append(c.indices, unknownIndex)
		}
	}
	fixed := len(d.cells) / len(d.blocks)
	for b := d.blockAt(from); from < to; b++ {
		block := &d.blocks[b]
		for from < to && from < block.end {
			end := min(block.end, to, from+block.step)
			if c.varies {
				c.appendTuples(d, d.index[from:end])
			} else {
				c.appendCell(&d.cells[b*fixed+c.cell], end-from)
			}
			c.flushFullPage()
			from = end
		}
	}
}

// appendTuples appends the cells of tuples of d.
func (c *parquetColumn) appendTuples(d *parquetData, tuples []int32) {
	for _, at := range tuples {
		if i := c.indices[at]; i != unknownIndex && !c.plain {
			c.appendRun(i, 1)
			continue
		}
		t := &d.tuples[at]
		c.indices[at] = c.appendCell(&t.cells[c.cell], 1)
		if t.alone {
			c.flushFullPage()
		}
	}
}

// mostHeld returns how many bytes the buffers may take if the page ended now.
func (c *parquetColumn) mostHeld() int {
	n := c.held + 4*c.rows + 256
	if !c.plain && c.dictPages == 0 { // the dictionary may be dropped
		for _, r := range c.runs {
			if r.index >= 0 {
				n += int(r.n) * len(c.dictionary.entry(r.index))
			}
		}
	}
	return n
}

// appendCell appends a cell n times, and returns its index in the dictionary, nullIndex or unknownIndex.
func (c *parquetColumn) appendCell(v *cell, n int) int32 {
	if v.null && !c.required {
		c.appendRun(nullIndex, n)
		return nullIndex
	}
	if c.typ == pipeline.TypeDecimal {
		n := parseUnscaled(v.text, c.width)
		v = &n
	}
	if !c.plain {
		index, added := c.dictionary.findOrInsert(v)
		if index >= 0 {
			if added {
				c.statistics.update(v)
				c.held += c.dictionary.entrySize(v)
			}
			c.appendRun(index, n)
			return index
		}
		c.flushPage() // the dictionary is full: this page is its last
		c.plain = true
	}
	c.statistics.update(v)
	if c.width == 0 {
		c.appendRun(int32(v.num&1), n)
		return unknownIndex
	}
	for range n {
		before := len(c.values)
		c.values = appendPlain(c.values, v, c.width)
		c.held += len(c.values) - before
		c.appendRun(0, 1)
		if len(c.values) >= pageBytes {
			c.flushPage()
		}
	}
	return unknownIndex
}

// appendPlain appends a value in Parquet's plain encoding.
func appendPlain(dst []byte, v *cell, width int) []byte {
	switch width {
	case 8:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.num))
	case 4:
		return binary.LittleEndian.AppendUint32(dst, uint32(v.num))
	case -1:
	default:
		return append(dst, v.text...)
	}
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(v.text))), v.text...)
}

// flushPage ends the page, unless it is empty.
func (c *parquetColumn) flushPage() {
	if c.rows == 0 {
		return
	}
	nulls := 0
	for _, r := range c.runs {
		if r.index == nullIndex {
			nulls += int(r.n)
		}
	}
	if !c.plain && c.dictPages == 0 && c.dictionary.n > (c.rows-nulls+1)/2 {
		// Values hardly repeat: drop the dictionary.
		for _, r := range c.runs {
			if r.index >= 0 {
				entry := c.dictionary.entry(r.index)
				for range r.n {
					c.values = append(c.values, entry...)
				}
			}
		}
		c.held += len(c.values) - len(c.dictionary.entries)
		c.dictionary = dictionary{width: c.width, seed: c.dictionary.seed} // frees its memory
		c.plain = true
	}
	pages := <-c.pages
	defer func() { c.pages <- pages }()
	body := pages.body[:0]
	if !c.required {
		body = append(body, 0, 0, 0, 0)
		body = pages.appendLevels(body, c.runs)
		binary.LittleEndian.PutUint32(body, uint32(len(body)-4))
	}
	encoding := parquet.Encodings.Plain
	switch {
	case c.width == 0:
		body = appendBits(body, c.runs)
		c.plainPages++
	case c.plain, c.dictionary.n == 0: // nulls need no dictionary
		body = append(body, c.values...)
		c.plainPages++
	default:
		encoding = parquet.Encodings.RLEDict
		width := max(1, bits.Len(uint(c.dictionary.n-1)))
		body = append(body, byte(width))
		body = pages.appendIndices(body, c.runs, width)
		c.dictPages++
	}
	pages.body = body
	before := len(c.chunk)
	var size int
	c.chunk, size = pages.appendPage(c.chunk, body, dataPage, c.rows, encoding)
	c.bytes += int64(size)
	c.held += len(c.chunk) - before - len(c.values)
	c.total += c.rows
	c.nulls += int64(nulls)
	c.runs, c.rows, c.values = c.runs[:0], 0, resetBuffer(c.values)
}

// columnChunk is a column of a row group, in the form that the file has.
type columnChunk struct {
	dictionary            []byte // its page; empty if there is none
	pages                 []byte
	dictPages, plainPages int
	rows                  int
	bytes                 int64 // uncompressed
	statistics            metadata.EncodedStatistics
}

// endChunk returns the column of the row group, and begins that of the next.
func (c *parquetColumn) endChunk() columnChunk {
	c.flushPage()
	chunk := columnChunk{pages: c.chunk, dictPages: c.dictPages, plainPages: c.plainPages, rows: c.total, bytes: c.bytes,
		statistics: c.statistics.encode(c.nulls)}
	if c.dictPages > 0 {
		pages := <-c.pages
		page, size := pages.appendPage(c.buffers.get(), c.dictionary.entries, dictionaryPage, c.dictionary.n,
			parquet.Encodings.Plain)
		c.pages <- pages
		chunk.dictionary = page
		chunk.bytes += int64(size)
	}
	c.dictionary.reset()
	c.statistics.reset()
	c.chunk = c.buffers.get()
	c.number, c.held = 0, 0
	c.plain, c.dictPages, c.plainPages, c.total, c.nulls, c.bytes = c.width == 0, 0, 0, 0, 0, 0
	return chunk
}

// write writes the chunk and its metadata.
func (c *columnChunk) write(w *counter, meta *metadata.ColumnChunkMetaDataBuilder) error {
	start := w.n
	info := metadata.ChunkMetaInfo{NumValues: int64(c.rows), IndexPageOffset: -1, DataPageOffset: start}
	counts := metadata.EncodingStats{}
	if c.plainPages > 0 {
		counts.DataEncodingStats = map[parquet.Encoding]int32{parquet.Encodings.Plain: int32(c.plainPages)}
	}
	if c.dictPages > 0 {
		info.DictPageOffset = start
		info.DataPageOffset += int64(len(c.dictionary))
		counts.DictEncodingStats = map[parquet.Encoding]int32{parquet.Encodings.Plain: 1}
		counts.DataEncodingStats = map[parquet.Encoding]int32{parquet.Encodings.RLEDict: int32(c.dictPages)}
		if c.plainPages > 0 {
			counts = metadata.EncodingStats{} // arrow would write the two in the random order of a map
		}
	}
	for _, page := range [][]byte{c.dictionary, c.pages} {
		if _, err := w.Write(page); err != nil {
			return err
		}
	}
	info.CompressedSize, info.UncompressedSize = w.n-start, c.bytes
	meta.SetStats(c.statistics)
	return meta.Finish(info, c.dictPages > 0, c.dictPages > 0 && c.plainPages > 0, counts, nil)
}

// resetBuffer returns the buffer emptied for its next use, or nil if it grew too large to keep.
func resetBuffer(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}

// dictionary numbers the different values of a column in the order in which they appear. An open hash table finds them.
// The hash function has no influence on the file.
type dictionary struct {
	width   int // as in parquetColumn
	seed    maphash.Seed
	n       int
	entries []byte   // in plain encoding: the dictionary page
	starts  []uint32 // offsets of texts in entries
	hashes  []uint32
	slots   []int32 // index + 1, or 0 if free; their number is a power of two, and at most half are in use
}

// findOrInsert returns the index of a value, and whether it added it; -1 if there is no room for the value.
func (d *dictionary) findOrInsert(v *cell) (index int32, added bool) {
	var hash uint32
	if d.width < 0 || d.width > 8 {
		hash = uint32(maphash.String(d.seed, v.text))
	} else {
		hash = uint32(uint64(v.num) * 0x9e3779b97f4a7c15 >> 32)
	}
	mask := uint32(len(d.slots) - 1)
	i := hash & mask
	for ; len(d.slots) > 0 && d.slots[i] != 0; i = (i + 1) & mask {
		if at := d.slots[i] - 1; d.hashes[at] == hash && d.entryEquals(at, v) {
			return at, false
		}
	}
	if len(d.entries)+d.entrySize(v) > dictionaryBytes {
		return -1, false
	}
	if 2*d.n >= len(d.slots) {
		d.growSlots()
		mask = uint32(len(d.slots) - 1)
		for i = hash & mask; d.slots[i] != 0; i = (i + 1) & mask {
		}
	}
	if d.width < 0 {
		d.starts = append(d.starts, uint32(len(d.entries)))
	}
	d.entries = appendPlain(d.entries, v, d.width)
	d.hashes = append(d.hashes, hash)
	d.n++
	d.slots[i] = int32(d.n)
	return int32(d.n - 1), true
}

// entrySize returns the size of a value in entries.
func (d *dictionary) entrySize(v *cell) int {
	if d.width < 0 {
		return 4 + len(v.text)
	}
	return d.width
}

func (d *dictionary) entryEquals(index int32, v *cell) bool {
	entry := d.entry(index)
	switch d.width {
	case 8:
		return binary.LittleEndian.Uint64(entry) == uint64(v.num)
	case 4:
		return binary.LittleEndian.Uint32(entry) == uint32(v.num)
	case -1:
		return string(entry[4:]) == v.text
	}
	return string(entry) == v.text
}

// entry returns a value in plain encoding.
func (d *dictionary) entry(index int32) []byte {
	if d.width > 0 {
		return d.entries[int(index)*d.width:][:d.width]
	}
	start := d.starts[index]
	return d.entries[start:][:4+binary.LittleEndian.Uint32(d.entries[start:])]
}

func (d *dictionary) growSlots() {
	d.slots = make([]int32, max(256, 2*len(d.slots)))
	mask := uint32(len(d.slots) - 1)
	for n, hash := range d.hashes {
		i := hash & mask
		for d.slots[i] != 0 {
			i = (i + 1) & mask
		}
		d.slots[i] = int32(n + 1)
	}
}

func (d *dictionary) reset() {
	clear(d.slots)
	d.n, d.entries, d.starts, d.hashes = 0, d.entries[:0], d.starts[:0], d.hashes[:0]
}

// statistics are the minimum and the maximum of a column in a row group.
type statistics struct {
	typ               pipeline.Type
	width             int // as in parquetColumn
	set               bool
	low, high         int64
	lowText, highText []byte
}

func (s *statistics) update(v *cell) {
	switch {
	case s.width < 0:
		if !s.set || v.text < string(s.lowText) {
			s.lowText = append(s.lowText[:0], v.text...)
		}
		if !s.set || v.text > string(s.highText) {
			s.highText = append(s.highText[:0], v.text...)
		}
	case s.width > 8:
		if !s.set || lessSigned(v.text, s.lowText) {
			s.lowText = append(s.lowText[:0], v.text...)
		}
		if !s.set || !lessSigned(v.text, s.highText) {
			s.highText = append(s.highText[:0], v.text...)
		}
	case s.typ == pipeline.TypeFloat:
		f := math.Float64frombits(uint64(v.num))
		if math.IsNaN(f) { // the format excludes it from statistics
			return
		}
		if !s.set || f < math.Float64frombits(uint64(s.low)) {
			s.low = v.num
		}
		if !s.set || f > math.Float64frombits(uint64(s.high)) {
			s.high = v.num
		}
	default:
		if !s.set || v.num < s.low {
			s.low = v.num
		}
		if !s.set || v.num > s.high {
			s.high = v.num
		}
	}
	s.set = true
}

func (s *statistics) reset() {
	s.set, s.lowText, s.highText = false, resetBuffer(s.lowText), resetBuffer(s.highText)
}

// encode returns the statistics as they are in the file.
func (s *statistics) encode(nulls int64) metadata.EncodedStatistics {
	var e metadata.EncodedStatistics
	e.SetNullCount(nulls)
	if !s.set {
		return e
	}
	e.Signed = s.width >= 0 && s.width <= 8 // then the deprecated min and max fields are correct too
	switch {
	case s.width < 0:
		if len(s.lowText) <= statisticBytes && len(s.highText) <= statisticBytes {
			e.SetMin(append([]byte{}, s.lowText...)).SetMax(append([]byte{}, s.highText...)) // not nil, which means unset
		}
	case s.width > 8:
		e.SetMin(append([]byte{}, s.lowText...)).SetMax(append([]byte{}, s.highText...))
	case s.width == 0:
		e.SetMin([]byte{byte(s.low)}).SetMax([]byte{byte(s.high)})
	case s.typ == pipeline.TypeFloat:
		// The format demands this because -0 and +0 are equal: a minimum of zero is -0, a maximum of zero +0.
		if math.Float64frombits(uint64(s.low)) == 0 {
			s.low = math.MinInt64
		}
		if math.Float64frombits(uint64(s.high)) == 0 {
			s.high = 0
		}
		fallthrough
	default:
		e.SetMin(appendPlain(nil, &cell{num: s.low}, s.width)).SetMax(appendPlain(nil, &cell{num: s.high}, s.width))
	}
	return e
}
