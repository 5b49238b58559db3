package sinks

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/klauspost/compress/zstd"
)

// pageWriter makes pages, in buffers that it reuses.
type pageWriter struct {
	zstd   *zstd.Encoder
	body   []byte // a page before compression
	out    []byte // a page after compression
	packed []int32
}

// pageWriters are the pageWriters of a file. There are no more than can run at once, because each takes a few megabytes.
type pageWriters chan *pageWriter

func newPageWriters(n int) (pageWriters, error) {
	ws := make(pageWriters, n)
	for range n {
		// On dictionary indices and short texts, the next level saves a few percent and takes twice the time.
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, err
		}
		ws <- &pageWriter{zstd: z}
	}
	return ws, nil
}

// The kinds of page, as the format numbers them (PageType in parquet.thrift).
const dataPage, dictionaryPage = 0, 2

// appendPage appends a page with its header, and returns its size without compression.
func (p *pageWriter) appendPage(dst, body []byte, kind, values int, encoding parquet.Encoding) ([]byte, int) {
	p.out = p.zstd.EncodeAll(body, p.out[:0])
	before := len(dst)
	dst = appendPageHeader(dst, kind, len(body), p.out, values, encoding)
	size := len(dst) - before + len(body)
	dst = append(dst, p.out...)
	p.out, p.body = resetBuffer(p.out), resetBuffer(p.body)
	return dst, size
}

// appendPageHeader appends a PageHeader of parquet.thrift in Thrift's compact protocol
// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md). A field is a byte and a value.
// The byte's high half is the difference from the previous field's number; its low half is the type: 5 is an i32, 12 a
// struct, 2 false. The checksum is that of the compressed page.
func appendPageHeader(dst []byte, kind, uncompressed int, compressed []byte, values int,
	encoding parquet.Encoding) []byte {
	i32 := func(delta byte, n int) {
		dst = append(dst, delta<<4|5)
		dst = binary.AppendVarint(dst, int64(n)) // in zigzag, as in Thrift
	}
	i32(1, kind)
	i32(1, uncompressed)
	i32(1, len(compressed))
	i32(1, int(int32(crc32.ChecksumIEEE(compressed))))
	if kind == dictionaryPage {
		dst = append(dst, 3<<4|12) // field 7, a DictionaryPageHeader
		i32(1, values)
		i32(1, int(encoding))
		dst = append(dst, 1<<4|2) // is_sorted: false
	} else {
		dst = append(dst, 1<<4|12) // field 5, a DataPageHeader
		i32(1, values)
		i32(1, int(encoding))
		i32(1, int(parquet.Encodings.RLE)) // of definition levels
		i32(1, int(parquet.Encodings.RLE)) // of repetition levels; there are none
	}
	return append(dst, 0, 0) // end both structs
}

// appendLevels appends the definition levels of runs in the hybrid encoding: 0 for null, 1 for a value.
func (p *pageWriter) appendLevels(dst []byte, runs []run) []byte {
	h := hybrid{dst: dst, packed: p.packed[:0], width: 1}
	for i := 0; i < len(runs); {
		level, n := int32(1), 0
		if runs[i].index == nullIndex {
			level = 0
		}
		for ; i < len(runs) && (runs[i].index != nullIndex) == (level == 1); i++ {
			n += int(runs[i].n)
		}
		h.appendRepeated(level, n)
	}
	p.packed = h.packed
	return h.finish()
}

// appendIndices appends the indices of the runs that are not null, in the hybrid encoding.
func (p *pageWriter) appendIndices(dst []byte, runs []run, width int) []byte {
	h := hybrid{dst: dst, packed: p.packed[:0], width: width}
	for _, r := range runs {
		if r.index != nullIndex {
			h.appendRepeated(r.index, int(r.n))
		}
	}
	p.packed = h.packed
	return h.finish()
}

// hybrid encodes numbers in Parquet's hybrid of runs and bit-packed groups of eight, whichever is shorter
// (https://parquet.apache.org/docs/file-format/data-pages/encodings/).
type hybrid struct {
	dst    []byte
	packed []int32 // numbers of groups that are not written yet
	width  int     // bits of a number
}

// appendRepeated appends a number n times.
func (h *hybrid) appendRepeated(value int32, n int) {
	for ; n > 0 && len(h.packed)%8 > 0; n-- {
		h.packed = append(h.packed, value)
	}
	runBits := 8 * (1 + (h.width+7)/8)
	if len(h.packed) > 0 {
		runBits += 16 // a run ends the groups, and new ones need a header
	}
	if n*h.width <= runBits {
		for ; n > 0; n-- {
			h.packed = append(h.packed, value)
		}
		return
	}
	h.flushGroups()
	h.dst = binary.AppendUvarint(h.dst, uint64(n)<<1)
	for w := h.width; w > 0; w -= 8 {
		h.dst = append(h.dst, byte(value))
		value >>= 8
	}
}

// flushGroups encodes the groups, and pads the last one with zeros.
func (h *hybrid) flushGroups() {
	if len(h.packed) > 0 {
		h.dst = appendPacked(h.dst, h.packed, h.width)
		h.packed = h.packed[:0]
	}
}

func (h *hybrid) finish() []byte {
	h.flushGroups()
	return h.dst
}

// appendPacked appends bit-packed numbers, lowest bits first.
func appendPacked(dst []byte, values []int32, width int) []byte {
	groups := (len(values) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	end := len(dst) + groups*width
	var acc uint64
	have := 0
	for _, v := range values {
		acc |= uint64(uint32(v)) << have
		if have += width; have >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(acc))
			acc >>= 32
			have -= 32
		}
	}
	for ; len(dst) < end; acc >>= 8 {
		dst = append(dst, byte(acc))
	}
	return dst
}

// appendBits appends the booleans that are not null in plain encoding: bits, lowest first.
func appendBits(dst []byte, runs []run) []byte {
	n := 0
	for _, r := range runs {
		if r.index == nullIndex {
			continue
		}
		for range r.n {
			if n%8 == 0 {
				dst = append(dst, 0)
			}
			dst[len(dst)-1] |= byte(r.index) << (n % 8)
			n++
		}
	}
	return dst
}
