package sources

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
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	pageBuffer = 64 << 10  // read ahead of each column
	maxPage    = 128 << 20 // bytes of a page, decompressed; DuckDB writes pages of up to 100 MB
	maxHeld    = 256 << 20 // bytes of the pages of all columns at a time
	maxHeader  = 16 << 20  // bytes of a page header, whose statistics may hold two values
	maxDelta   = 4 << 20   // values of a page in a delta encoding, for which arrow allocates
	maxBatch   = 4 << 20   // bytes of the values that are decoded at a time
)

// pageReader reads the pages of a column chunk for arrow's column reader.
//
// arrow's own page reader believes what a file says of itself: it allocates the size that a page header claims, and its
// decompressors go on for as long as the data do, so a file of a few kilobytes takes gigabytes. This one makes room
// for no byte that has not come, and checks what arrow's value decoders take for granted.
type pageReader struct {
	descr  *schema.Column
	codec  compress.Compression
	unpack *unpacker
	held   *int64 // bytes of the pages of all columns
	buffer int    // bytes to read ahead

	r      *bufio.Reader
	values int64 // of the chunk, in pages that were not read yet

	page      file.Page
	seq       int // pages read
	left      int // values of the page that were not handed out
	batch     int // how many of them may be decoded at a time
	dict      int // values of the dictionary
	dictBatch int
	dictHeld  int64
	pageHeld  int64
	err       error
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
	p.page, p.left, p.dict, p.dictBatch, p.err = nil, 0, 0, 0, nil
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
		return p.tooLarge(fmt.Sprintf("a page of %d bytes", max(size, packed)))
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
		return p.tooLarge("the pages of this row group take more than 256 MiB")
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

func (p *pageReader) tooLarge(what string) error {
	return pipeline.WithHint(errors.New(what+" cannot be read"), "write the file again with smaller pages (1 MiB is usual) and row groups")
}

// take makes a page of its header and data.
func (p *pageReader) take(kind int64, s *thriftStruct, data []byte) error {
	n := int32(s.ints[1])
	encoding := func(field int64) parquet.Encoding { return parquet.Encoding(s.ints[field]) }
	p.seq++
	if kind == 2 {
		if int(n) > len(data) {
			return errors.New("damaged Parquet: a dictionary of more values than bytes")
		}
		p.dict = int(n)
		p.dictBatch = parquetBatch
		if p.descr.PhysicalType() == parquet.Types.ByteArray {
			p.dictBatch = batchOf(longest(data))
		}
		if p.hold(p.pageHeld, int64(len(data))+24*int64(n)); *p.held > maxHeld { // arrow makes a slice for each value
			return p.tooLarge("the dictionaries of this row group take more than 256 MiB")
		}
		p.page = file.NewDictionaryPage(memory.NewBufferBytes(data), n, encoding(2))
		return nil
	}
	p.hold(int64(len(data)), p.dictHeld)
	p.values -= int64(n)
	p.left, p.batch = int(n), parquetBatch
	page := func(data []byte, enc parquet.Encoding) file.Page {
		buffer := memory.NewBufferBytes(data)
		if kind == 0 {
			return file.NewDataPageV1(buffer, n, enc, encoding(3), encoding(4), int32(len(data)))
		}
		return file.NewDataPageV2(buffer, n, int32(s.ints[2]), int32(s.ints[3]), enc, int32(s.ints[5]), int32(s.ints[6]), int32(len(data)), false)
	}
	enc := encoding(2)
	if kind == 3 {
		enc = encoding(4)
	}
	typ := p.descr.PhysicalType()
	if !slices.Contains(encodings[typ], enc) {
		return pipeline.WithHint(fmt.Errorf("the encoding %s of values of the type %s cannot be read", enc, typ), "write the file again in the usual encodings, plain or dictionary")
	}
	switch enc {
	case parquet.Encodings.PlainDict, parquet.Encodings.RLEDict:
		p.batch = max(1, p.dictBatch)
	case parquet.Encodings.DeltaByteArray:
		p.batch = batchOf(len(data)) // each value may be as long as all suffixes together
	}
	values, err := checkData(page(data, enc), p.descr, p.dict)
	if err != nil {
		return err
	}
	if enc == byteStreamSplit || enc == parquet.Encodings.DeltaByteArray && typ == parquet.Types.FixedLenByteArray {
		if data, err = plain(data[:values:values], data[values:], enc, width(p.descr), int(n)); err != nil {
			return err
		}
		enc = parquet.Encodings.Plain
		p.hold(int64(len(data)), p.dictHeld)
	}
	p.page = page(data, enc)
	return nil
}

// byteStreamSplit is BYTE_STREAM_SPLIT, which arrow has no name for (parquet.thrift of the Parquet format, Encoding).
const byteStreamSplit parquet.Encoding = 9

// encodings are those that each type of values has, as far as they can be read.
var encodings = map[parquet.Type][]parquet.Encoding{
	parquet.Types.Boolean: {parquet.Encodings.Plain, parquet.Encodings.RLE},
	parquet.Types.Int32: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict, parquet.Encodings.DeltaBinaryPacked,
		byteStreamSplit},
	parquet.Types.Int64: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict, parquet.Encodings.DeltaBinaryPacked,
		byteStreamSplit},
	parquet.Types.Int96:  {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict},
	parquet.Types.Float:  {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict, byteStreamSplit},
	parquet.Types.Double: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict, byteStreamSplit},
	parquet.Types.ByteArray: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict, parquet.Encodings.DeltaLengthByteArray,
		parquet.Encodings.DeltaByteArray},
	parquet.Types.FixedLenByteArray: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict, parquet.Encodings.DeltaByteArray,
		byteStreamSplit},
}

// width is how many bytes a value of a type takes; 0 is one whose values have no width.
func width(d *schema.Column) int {
	switch d.PhysicalType() {
	case parquet.Types.Int32, parquet.Types.Float:
		return 4
	case parquet.Types.Int64, parquet.Types.Double:
		return 8
	case parquet.Types.FixedLenByteArray:
		return d.TypeLength()
	}
	return 0
}

// plain is a page in the encoding PLAIN, the levels with at most n values behind them, which are in an encoding that
// arrow does not know (Encodings.md of the Parquet format).
func plain(levels, values []byte, enc parquet.Encoding, width, n int) ([]byte, error) {
	damaged := errors.New("damaged Parquet: a page of values that do not have their width")
	if enc == byteStreamSplit { // the first bytes of all values, and then the second ones
		if width < 1 || len(values)%width != 0 || len(values)/width > n {
			return nil, damaged
		}
		out := slices.Grow(levels, len(values))[:len(levels)+len(values)]
		count := len(values) / width
		for i := range count {
			for j := range width {
				out[len(levels)+i*width+j] = values[j*count+i]
			}
		}
		return out, nil
	}
	var prefixes, suffixes []int64
	rest, ok := deltaPacked(values, n, &prefixes)
	if ok {
		rest, ok = deltaPacked(rest, n, &suffixes)
	}
	if !ok || len(prefixes) != len(suffixes) || int64(len(prefixes))*int64(width) > maxPage {
		return nil, damaged
	}
	out := levels
	for i, prefix := range prefixes {
		suffix := suffixes[i]
		if prefix < 0 || suffix < 0 || prefix > int64(width) || prefix+suffix != int64(width) || suffix > int64(len(rest)) || i == 0 && prefix > 0 {
			return nil, damaged
		}
		before := len(out) - width
		out = append(out, out[max(0, before):max(0, before)+int(prefix)]...)
		out = append(out, rest[:suffix]...)
		rest = rest[suffix:]
	}
	return out, nil
}

// batchOf is how many values of that length are decoded at a time.
func batchOf(length int) int { return max(1, min(parquetBatch, maxBatch/max(1, length))) }

// longest is the length of the longest value of a dictionary of byte arrays.
func longest(data []byte) int {
	most := uint32(0)
	for len(data) >= 4 {
		n := binary.LittleEndian.Uint32(data)
		if data = data[4:]; uint64(n) > uint64(len(data)) {
			break // arrow will notice
		}
		most = max(most, n)
		data = data[n:]
	}
	return int(most)
}

// unpacker decompresses pages, one at a time.
type unpacker struct {
	packed bytes.Buffer
	gzip   gzip.Reader
	zstd   *zstd.Decoder
}

// codecLZ4Raw is LZ4_RAW, which arrow has no name for (parquet.thrift of the Parquet format, CompressionCodec).
const codecLZ4Raw compress.Compression = 7

// checkCodec refuses a compression that cannot be read, by name.
func checkCodec(codec compress.Compression) error {
	switch codec {
	case compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip, compress.Codecs.Brotli, compress.Codecs.Zstd,
		compress.Codecs.Lz4, codecLZ4Raw:
		return nil
	}
	return pipeline.WithHint(fmt.Errorf("the compression %s cannot be read", codec), "write the file again with zstd or snappy")
}

// page appends the page of which packed bytes follow in r, and which has size bytes when it is decompressed. It
// has to have just these, and room is made only for those that come.
func (u *unpacker) page(dst []byte, codec compress.Compression, r *bufio.Reader, packed, size int64) ([]byte, error) {
	wrong := fmt.Errorf("damaged Parquet: a page that has not the %d bytes which its header says", size)
	limited := &io.LimitedReader{R: r, N: packed}
	var from io.Reader
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
			if size == 0 && packed == 0 {
				return dst, nil
			}
			return nil, wrong
		}
		data, err := snappy.Decode(nil, u.packed.Bytes())
		if err != nil {
			return nil, fmt.Errorf("damaged Parquet: %w", err)
		}
		if len(dst) == 0 {
			return data, nil
		}
		return append(dst, data...), nil
	case codecLZ4Raw, compress.Codecs.Lz4:
		if packed == 0 && size == 0 {
			return dst, nil
		}
		u.packed.Reset()
		if _, err := io.CopyN(&u.packed, r, packed); err != nil {
			return nil, err
		}
		if size > 255*packed { // no byte of LZ4 stands for more
			return nil, wrong
		}
		if codec == compress.Codecs.Lz4 && bytes.HasPrefix(u.packed.Bytes(), lz4Frame) {
			from, limited.R, limited.N = lz4.NewReader(&u.packed), nil, 0
			break
		}
		at := len(dst)
		dst = slices.Grow(dst, int(size))[:at+int(size)]
		if codec == compress.Codecs.Lz4 && lz4Hadoop(dst[at:], u.packed.Bytes()) {
			return dst, nil
		}
		if n, err := lz4.UncompressBlock(u.packed.Bytes(), dst[at:]); err != nil || n != int(size) {
			return nil, wrong
		}
		return dst, nil
	case compress.Codecs.Gzip:
		if packed == 0 && size == 0 { // a page of version 2 that holds only nulls
			return dst, nil
		}
		if err := u.gzip.Reset(limited); err != nil {
			return nil, fmt.Errorf("damaged Parquet: %w", err)
		}
		from = &u.gzip
	case compress.Codecs.Zstd:
		var err error
		if u.zstd == nil {
			u.zstd, err = zstd.NewReader(limited, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		} else {
			err = u.zstd.Reset(limited)
		}
		if err != nil {
			return nil, fmt.Errorf("damaged Parquet: %w", err)
		}
		from = u.zstd
	case compress.Codecs.Brotli:
		if packed == 0 && size == 0 {
			return dst, nil
		}
		c, err := compress.GetCodec(codec)
		if err != nil {
			return nil, err
		}
		from = c.NewReader(limited)
	default:
		return nil, checkCodec(codec)
	}
	dst, err := readUpTo(dst, from, size)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, wrong
		}
		return nil, fmt.Errorf("damaged Parquet: %w", err)
	}
	if n, err := io.ReadFull(from, make([]byte, 1)); n > 0 || err != io.EOF { // checksums are at the end
		return nil, wrong
	}
	_, err = r.Discard(int(limited.N))
	return dst, err
}

// What the codec LZ4 means was never written down, so each writer has its own (Compression.md of the Parquet format): a
// frame, or what Hadoop puts around blocks, or a block alone.
var lz4Frame = []byte{0x04, 0x22, 0x4d, 0x18}

// lz4Hadoop decompresses Hadoop's blocks into dst, which they have to fill: each begins with its size, and then, as often as
// that takes, comes the length of a part and the part. It reports whether packed was that.
func lz4Hadoop(dst, packed []byte) bool {
	number := func() (int, bool) {
		if len(packed) < 4 {
			return 0, false
		}
		n := binary.BigEndian.Uint32(packed)
		packed = packed[4:]
		return int(n), int64(n) <= maxPage
	}
	for len(packed) > 0 {
		size, ok := number()
		if !ok || size > len(dst) {
			return false
		}
		for size > 0 {
			length, ok := number()
			if !ok || length > len(packed) || length == 0 {
				return false
			}
			n, err := lz4.UncompressBlock(packed[:length], dst[:size])
			if err != nil || n == 0 {
				return false
			}
			packed, dst, size = packed[length:], dst[n:], size-n
		}
	}
	return len(dst) == 0
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
// no error, and turns forever. It returns where in the page its values begin.
func checkData(page file.Page, descr *schema.Column, dict int) (int, error) {
	damaged := errors.New("damaged Parquet: a page ends before its values do, or points outside of its dictionary")
	data, n := page.Data(), int(page.NumValues())
	maxDef := descr.MaxDefinitionLevel()
	var levels []byte // the definition levels
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
				return 0, fmt.Errorf("levels in the encoding %s, which no writer has used since 2014, cannot be read", level.enc)
			}
			if len(data) < 4 || uint64(len(data)-4) < uint64(binary.LittleEndian.Uint32(data)) {
				return 0, damaged
			}
			size := 4 + int(binary.LittleEndian.Uint32(data))
			if !hybrid(data[4:size], bits.Len16(uint16(level.max)), n, nil) {
				return 0, damaged
			}
			levels, data = data[4:size], data[size:]
		}
	case *file.DataPageV2:
		reps, defs := int(page.RepetitionLevelByteLen()), int(page.DefinitionLevelByteLen())
		if reps < 0 || defs < 0 || reps+defs > len(data) {
			return 0, damaged
		}
		levels = data[reps : reps+defs]
		if maxDef > 0 && !hybrid(levels, bits.Len16(uint16(maxDef)), n, nil) {
			return 0, damaged
		}
		data = data[reps+defs:]
	}
	values := len(page.Data()) - len(data)
	if len(data) == 0 {
		if maxDef == 0 && n > 0 {
			return 0, damaged
		}
		return values, nil
	}
	switch parquet.Encoding(page.Encoding()) {
	case parquet.Encodings.PlainDict, parquet.Encodings.RLEDict:
		// The first byte is the width of the indices. arrow allocates for the largest index that it meets. Where one of
		// that width may be too large for that, which is usual for xitongsys/parquet-go alone, they are looked at.
		width, present := int(data[0]), n
		wide := width > 20 && width > bits.Len(uint(dict))
		if width > 32 {
			return 0, damaged
		}
		if wide && maxDef > 0 {
			present = 0
			hybrid(levels, bits.Len16(uint16(maxDef)), n, func(level uint64, times int) bool {
				if level == uint64(maxDef) {
					present += times
				}
				return true
			})
		}
		if (maxDef == 0 || wide) && !hybrid(data[1:], width, present, below(dict)) {
			return 0, damaged
		}
	case parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.DeltaLengthByteArray:
		if _, ok := deltaPacked(data, n, nil); !ok {
			return 0, damaged
		}
	case parquet.Encodings.DeltaByteArray: // the lengths of the prefixes, and those of the suffixes
		suffixes, ok := deltaPacked(data, n, nil)
		if ok {
			_, ok = deltaPacked(suffixes, n, nil)
		}
		if !ok {
			return 0, damaged
		}
	}
	return values, nil
}

// deltaPacked returns what stands behind n values at most in the encoding DELTA_BINARY_PACKED (Encodings.md of the
// Parquet format); not ok is what does not hold as many values as it says. arrow allocates for as many as it says. Where
// values is not nil, the values are appended to it.
func deltaPacked(data []byte, n int, values *[]int64) (rest []byte, ok bool) {
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
	zigzag := func() int64 {
		v := varint()
		return int64(v>>1) ^ -int64(v&1)
	}
	value := zigzag() // the first one
	if !ok || block == 0 || block > 1<<16 || minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0 || total > uint64(n) || total > maxDelta {
		return nil, false
	}
	each := int(block / minis)
	if values != nil && total > 0 {
		*values = append(*values, value)
	}
	for left := int(total) - 1; left > 0; {
		least := zigzag() // of the differences
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
			for i := range min(left, each) {
				if values == nil {
					break
				}
				value += least + int64(bitsAt(data, i, int(width)))
				*values = append(*values, value)
			}
			data = data[min(len(data), each/8*int(width)):]
			left -= each
		}
	}
	return data, true
}

// hybrid reports whether data holds n values of the RLE and bit-packed hybrid (Encodings.md of the Parquet
// format), and ok of each of them; nil is of any. ok is asked once for values that stand in a run.
func hybrid(data []byte, width, n int, ok func(value uint64, times int) bool) bool {
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
			used := min(n, int(count))
			if ok != nil && !ok(value, used) {
				return false
			}
			data = data[size:]
			n -= used
			continue
		}
		if count > math.MaxInt32/8 {
			return false
		}
		used := min(n, int(count)*8) // groups of eight values, one after the other, from the lowest bit on
		if len(data)*8 < used*width {
			return false
		}
		if ok != nil {
			for i := range used {
				if !ok(bitsAt(data, i, width), 1) {
					return false
				}
			}
		}
		n -= used
		data = data[min(len(data), int(count)*width):]
	}
	return true
}

// below is what hybrid asks of values that have a limit.
func below(limit int) func(uint64, int) bool {
	return func(value uint64, _ int) bool { return value < uint64(limit) }
}

// bitsAt is the i-th of numbers of that many bits each, the lowest bits first.
func bitsAt(data []byte, i, width int) (value uint64) {
	if at := i * width; width <= 56 && at/8+8 <= len(data) {
		return binary.LittleEndian.Uint64(data[at/8:]) >> (at % 8) & (1<<width - 1)
	}
	for at := i * width; at < (i+1)*width; {
		bit := at % 8
		take := min(8-bit, (i+1)*width-at)
		value |= uint64(data[at/8]>>bit&(1<<take-1)) << (at - i*width)
		at += take
	}
	return value
}
