package report

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

const (
	pageBuffer = 4 << 20   // read ahead of all columns together; 64 KiB of one at most
	maxPage    = 128 << 20 // bytes of a page, decompressed
	maxHeld    = 256 << 20 // bytes of the pages of all columns at a time
	maxHeader  = 16 << 20  // bytes of a page header, whose statistics may hold two values
	maxDelta   = 4 << 20   // values of a page in a delta encoding, for which arrow allocates
	maxWindow  = 32 << 20  // of zstd
)

// pageReader reads the pages of a column chunk for arrow's column reader. It is the narrow twin of the one in sources:
// it takes what rollcall writes, and little else.
//
// arrow's own page reader believes what a file says of itself: it allocates the size that a page header claims, and its
// decompressors go on for as long as the data do. This one makes room for no byte that has not come, and checks what
// arrow's value decoders take for granted. Each page has memory of its own, so that values may point into it.
type pageReader struct {
	descr  *schema.Column
	codec  compress.Compression
	unpack *unpacker
	held   *int64 // bytes of the pages of all columns
	buffer int    // bytes to read ahead

	r      *bufio.Reader
	values int64 // of the chunk, in pages that were not read yet

	page     file.Page
	dict     int // values of the dictionary
	dictHeld int64
	pageHeld int64
	err      error
}

func (p *pageReader) SetMaxPageHeaderSize(int) {}

func (p *pageReader) Page() file.Page { return p.page }

func (p *pageReader) Err() error { return p.err }

// Reset is not for this reader: begin takes a section of the file, not a codec by arrow's idea of it.
func (p *pageReader) Reset(parquet.BufferedReader, int64, compress.Compression, *file.CryptoContext) {
	p.err = errors.New("not supported")
}

// begin starts with a chunk.
func (p *pageReader) begin(r io.Reader, values int64, codec compress.Compression) {
	if p.r == nil {
		p.r = bufio.NewReaderSize(nil, p.buffer)
	}
	p.r.Reset(r)
	p.hold(0, 0)
	p.codec, p.values = codec, values
	p.page, p.dict, p.err = nil, 0, nil
}

// hold accounts for the bytes that the page and the dictionary take.
func (p *pageReader) hold(page, dict int64) {
	*p.held += page - p.pageHeld + dict - p.dictHeld
	p.pageHeld, p.dictHeld = page, dict
}

func (p *pageReader) Next() bool {
	p.page = nil
	for p.err == nil && p.page == nil && p.values > 0 {
		if _, err := p.r.Peek(1); err == io.EOF {
			return false // the row group notices that values are missing
		}
		if p.err = p.read(); errors.Is(p.err, io.EOF) {
			p.err = errors.New("damaged Parquet: a page ends early")
		}
	}
	return p.page != nil
}

// The fields of a page header (parquet.thrift of the Parquet format, PageHeader).
const (
	headerType   = 1
	headerSize   = 2 // decompressed
	headerPacked = 3
	headerData   = 5
	headerDict   = 7
	headerDataV2 = 8
)

// read reads a page. One of a kind that holds no values is skipped, and p.page stays nil.
func (p *pageReader) read() error {
	header, err := (&thriftReader{r: p.r, left: maxHeader, parts: maxFooterParts}).read(true, 0)
	if err != nil {
		return err
	}
	size, packed := header.ints[headerSize], header.ints[headerPacked]
	if size < 0 || packed < 0 {
		return errThrift
	}
	if size > maxPage || packed > maxPage {
		return fmt.Errorf("a page of %d bytes cannot be read: rollcall writes none", max(size, packed))
	}
	var s *thriftStruct
	levels := int64(0)
	compressed := true
	switch kind := header.ints[headerType]; kind {
	case 0:
		s = header.structs[headerData]
	case 2:
		s = header.structs[headerDict]
	case 3:
		if s = header.structs[headerDataV2]; s != nil {
			levels = s.ints[5] + s.ints[6]
			if flag, said := s.ints[7]; said {
				compressed = flag != 0
			}
		}
	default:
		_, err := p.r.Discard(int(packed))
		return err
	}
	if s == nil || s.ints[1] < 0 || s.ints[1] > math.MaxInt32 || levels < 0 || levels > min(size, packed) || s.ints[5] < 0 || s.ints[6] < 0 {
		return errThrift
	}
	if *p.held-p.pageHeld+size > maxHeld {
		return errors.New("the pages of a row group take more than 256 MiB: rollcall writes none such")
	}
	data := []byte{}
	if levels > 0 { // of a page of version 2: never compressed
		if data, err = readUpTo(data, p.r, levels); err != nil {
			return err
		}
	}
	codec := p.codec
	if !compressed {
		codec = compress.Codecs.Uncompressed
	}
	if data, err = p.unpack.page(data, codec, p.r, packed-levels, size-levels); err != nil {
		return err
	}
	return p.take(header.ints[headerType], s, data)
}

// take makes a page of its header and data.
func (p *pageReader) take(kind int64, s *thriftStruct, data []byte) error {
	n := int32(s.ints[1])
	buffer := memory.NewBufferBytes(data)
	encoding := func(field int64) parquet.Encoding { return parquet.Encoding(s.ints[field]) }
	if kind == 2 {
		if int(n) > len(data) {
			return errors.New("damaged Parquet: a dictionary of more values than bytes")
		}
		p.dict = int(n)
		if p.hold(p.pageHeld, int64(len(data))+24*int64(n)); *p.held > maxHeld { // arrow makes a slice for each value
			return errors.New("the dictionaries of a row group take more than 256 MiB: rollcall writes none such")
		}
		p.page = file.NewDictionaryPage(buffer, n, encoding(2))
		return nil
	}
	p.hold(int64(len(data)), p.dictHeld)
	p.values -= int64(n)
	if kind == 0 {
		p.page = file.NewDataPageV1(buffer, n, encoding(2), encoding(3), encoding(4), int32(len(data)))
	} else {
		p.page = file.NewDataPageV2(buffer, n, int32(s.ints[2]), int32(s.ints[3]), encoding(4), int32(s.ints[5]), int32(s.ints[6]), int32(len(data)), false)
	}
	if err := checkData(p.page, p.descr, p.dict); err != nil {
		p.page = nil
		return err
	}
	return nil
}

// unpacker decompresses pages, one at a time.
type unpacker struct {
	packed bytes.Buffer
	zstd   *zstd.Decoder
}

// page appends the page of which packed bytes follow in r, and which has size bytes when it is decompressed. It
// has to have just these, and room is made only for those that come.
func (u *unpacker) page(dst []byte, codec compress.Compression, r *bufio.Reader, packed, size int64) ([]byte, error) {
	wrong := fmt.Errorf("damaged Parquet: a page that has not the %d bytes which its header says", size)
	if packed == 0 && size == 0 && codec != compress.Codecs.Zstd { // a page of version 2 that holds only nulls
		return dst, nil
	}
	switch codec {
	case compress.Codecs.Uncompressed:
		if packed != size {
			return nil, wrong
		}
		return readUpTo(dst, r, size)
	case compress.Codecs.Snappy:
		u.packed.Reset()
		if _, err := io.CopyN(&u.packed, r, packed); err != nil {
			return nil, err
		}
		if n, err := snappy.DecodedLen(u.packed.Bytes()); err != nil || int64(n) != size || size > 32*packed { // at most 22 times
			return nil, wrong
		}
		data, err := snappy.Decode(nil, u.packed.Bytes())
		if err != nil {
			return nil, fmt.Errorf("damaged Parquet: %w", err)
		}
		return append(dst, data...), nil
	case compress.Codecs.Zstd:
	default:
		return nil, fmt.Errorf("the compression %s is none that rollcall writes", codec)
	}
	limited := &io.LimitedReader{R: r, N: packed}
	var err error
	if u.zstd == nil {
		u.zstd, err = zstd.NewReader(limited, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	} else {
		err = u.zstd.Reset(limited)
	}
	if err != nil {
		return nil, fmt.Errorf("damaged Parquet: %w", err)
	}
	dst, err = readUpTo(dst, u.zstd, size)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, wrong
		}
		return nil, fmt.Errorf("damaged Parquet: %w", err)
	}
	if n, err := io.ReadFull(u.zstd, make([]byte, 1)); n > 0 || err != io.EOF { // checksums are at the end
		return nil, wrong
	}
	_, err = r.Discard(int(limited.N))
	return dst, err
}

// Close ends what the unpacker has begun.
func (u *unpacker) Close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
}

// readUpTo appends n bytes of r. dst grows with what comes.
func readUpTo(dst []byte, r io.Reader, n int64) ([]byte, error) {
	for chunk := int64(1 << 20); n > 0; chunk *= 2 {
		chunk = min(chunk, n)
		at := len(dst)
		dst = slices.Grow(dst, int(chunk))[:at+int(chunk)]
		if _, err := io.ReadFull(r, dst[at:]); err != nil {
			return nil, err
		}
		n -= chunk
	}
	return dst, nil
}

// checkData makes sure of what arrow takes for granted in a page of values. Where the levels, or the indices of
// a column without levels, end early or point outside of the dictionary, arrow's ReadBatch makes no progress, tells
// no error, and turns forever.
func checkData(page file.Page, descr *schema.Column, dict int) error {
	damaged := errors.New("damaged Parquet: a page ends before its values do, or points outside of its dictionary")
	data, n := page.Data(), int(page.NumValues())
	maxDef := descr.MaxDefinitionLevel()
	switch page := page.(type) {
	case *file.DataPageV1:
		for _, level := range []struct {
			max int16
			enc parquet.Encoding
		}{{descr.MaxRepetitionLevel(), page.RepetitionLevelEncoding()}, {maxDef, page.DefinitionLevelEncoding()}} {
			if level.max == 0 {
				continue
			}
			if level.enc != parquet.Encodings.RLE {
				return fmt.Errorf("levels in the encoding %s, which no writer has used since 2014, cannot be read", level.enc)
			}
			if len(data) < 4 || uint64(len(data)-4) < uint64(binary.LittleEndian.Uint32(data)) {
				return damaged
			}
			size := 4 + int(binary.LittleEndian.Uint32(data))
			if !hybrid(data[4:size], bits.Len16(uint16(level.max)), n, 0) {
				return damaged
			}
			data = data[size:]
		}
	case *file.DataPageV2:
		reps, defs := int(page.RepetitionLevelByteLen()), int(page.DefinitionLevelByteLen())
		if reps < 0 || defs < 0 || reps+defs > len(data) {
			return damaged
		}
		if maxDef > 0 && !hybrid(data[reps:reps+defs], bits.Len16(uint16(maxDef)), n, 0) {
			return damaged
		}
		data = data[reps+defs:]
	}
	if len(data) == 0 {
		if maxDef == 0 && n > 0 {
			return damaged
		}
		return nil
	}
	switch parquet.Encoding(page.Encoding()) {
	case parquet.Encodings.PlainDict, parquet.Encodings.RLEDict:
		// The first byte is the width of the indices. arrow allocates for the largest that it can express.
		if width := int(data[0]); width > 32 || width > 20 && width > bits.Len(uint(dict)) {
			return damaged
		}
		if maxDef == 0 && !hybrid(data[1:], int(data[0]), n, uint64(dict)) {
			return damaged
		}
	case parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.DeltaLengthByteArray:
		if _, ok := deltaPacked(data, n); !ok {
			return damaged
		}
	case parquet.Encodings.DeltaByteArray: // each value may be as long as all before it together
		return errors.New("the encoding DELTA_BYTE_ARRAY is none that rollcall writes")
	}
	return nil
}

// deltaPacked returns what stands behind n values at most in the encoding DELTA_BINARY_PACKED (Encodings.md of the
// Parquet format); not ok is what does not hold as many values as it says. arrow allocates for as many as it says.
func deltaPacked(data []byte, n int) (rest []byte, ok bool) {
	varint := func() uint64 {
		v, k := binary.Uvarint(data)
		if k <= 0 {
			ok = false
			return 0
		}
		data = data[k:]
		return v
	}
	ok = true
	block, minis, total := varint(), varint(), varint()
	varint() // the first value
	if !ok || block == 0 || block > 1<<16 || minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0 || total > uint64(n) || total > maxDelta {
		return nil, false
	}
	each := int(block / minis)
	for left := int(total) - 1; left > 0; {
		varint() // the least of the differences
		if !ok || uint64(len(data)) < minis {
			return nil, false
		}
		widths := data[:minis]
		data = data[minis:]
		for _, width := range widths {
			if left <= 0 {
				break // no bytes for these
			}
			if width > 64 || len(data)*8 < min(left, each)*int(width) {
				return nil, false
			}
			data = data[min(len(data), each/8*int(width)):]
			left -= each
		}
	}
	return data, true
}

// hybrid reports whether data holds n values of the RLE and bit-packed hybrid (Encodings.md of the Parquet
// format), all of them below limit; 0 is no limit.
func hybrid(data []byte, width, n int, limit uint64) bool {
	for n > 0 {
		header, k := binary.Uvarint(data)
		count := header >> 1
		if k <= 0 || k > 5 || count == 0 || count > math.MaxInt32 {
			return false
		}
		data = data[k:]
		if header&1 == 0 { // one value, count times
			var value uint64
			size := (width + 7) / 8
			if len(data) < size {
				return false
			}
			for i := range size {
				value |= uint64(data[i]) << (8 * i)
			}
			if limit > 0 && value >= limit {
				return false
			}
			data = data[size:]
			n -= min(n, int(count))
			continue
		}
		if count > math.MaxInt32/8 {
			return false
		}
		used := min(n, int(count)*8) // groups of eight values, one after the other, from the lowest bit on
		if len(data)*8 < used*width {
			return false
		}
		if limit > 0 {
			for i := range used {
				var value uint64
				for at := i * width; at < (i+1)*width; {
					bit := at % 8
					take := min(8-bit, (i+1)*width-at)
					value |= uint64(data[at/8]>>bit&(1<<take-1)) << (at - i*width)
					at += take
				}
				if value >= limit {
					return false
				}
			}
		}
		n -= used
		data = data[min(len(data), int(count)*width):]
	}
	return true
}
