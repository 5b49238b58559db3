package parquetfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

const (
	maxPage   = 128 << 20 // bytes of a page, decompressed; DuckDB writes pages of up to 100 MB
	maxHeld   = 256 << 20 // bytes of the current pages of all columns
	maxHeader = 16 << 20  // bytes of a page header, whose statistics may hold two values
	maxDelta  = 4 << 20   // values of a page in a delta encoding, for which arrow allocates
)

// pageReader reads the pages of a column chunk for arrow's column reader.
//
// It replaces arrow's page reader, which trusts the file: see the package comment. It allocates only for bytes that it
// has read, and checks what arrow's decoders take for granted. Each page has its own memory, so that values may point
// into it.
type pageReader struct {
	*shared
	descr  *schema.Column
	codec  compress.Compression
	buffer int // bytes to read ahead

	r      *bufio.Reader
	values int64 // values of the chunk in pages that were not read yet

	page      file.Page
	seen      int // values in the pages read so far
	batch     int // values of the page that may be decoded at a time
	dict      int // values in the dictionary
	dictBatch int
	dictHeld  int64
	pageHeld  int64
	err       error
}

func (p *pageReader) SetMaxPageHeaderSize(int) {}

func (p *pageReader) Page() file.Page { return p.page }

func (p *pageReader) Err() error { return p.err }

// Reset is not supported: beginChunk takes a section of the file and this package's codecs.
func (p *pageReader) Reset(parquet.BufferedReader, int64, compress.Compression, *file.CryptoContext) {
	p.err = errors.New("not supported")
}

// beginChunk begins a chunk.
func (p *pageReader) beginChunk(r io.Reader, values int64, codec compress.Compression) {
	if p.r == nil {
		p.r = bufio.NewReaderSize(nil, p.buffer)
	}
	p.r.Reset(r)
	p.setHeld(0, 0)
	p.codec, p.values = codec, values
	p.page, p.seen, p.batch, p.dict, p.dictBatch, p.err = nil, 0, 0, 0, 0, nil
}

// setHeld sets the bytes that the page and the dictionary hold.
func (p *pageReader) setHeld(page, dict int64) {
	if p.sticky {
		page, dict = max(page, p.pageHeld), max(dict, p.dictHeld)
	}
	p.held += page - p.pageHeld + dict - p.dictHeld
	p.pageHeld, p.dictHeld = page, dict
}

func (p *pageReader) Next() bool {
	p.page = nil
	for p.err == nil && p.page == nil && p.values > 0 {
		if _, err := p.r.Peek(1); err == io.EOF {
			return false // the row group notices that values are missing
		}
		if p.err = p.readPage(); errors.Is(p.err, io.EOF) {
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
	headerCRC    = 4 // of the stored page; optional
	headerData   = 5
	headerDict   = 7
	headerDataV2 = 8
)

// ErrChecksum is the error of a page that was damaged after it was written.
var ErrChecksum = errors.New("damaged Parquet: the checksum of a page is wrong")

// readPage reads a page. If its kind holds no values, it skips the page, and p.page stays nil.
func (p *pageReader) readPage() error {
	header, err := (&thriftReader{r: p.r, left: maxHeader, parts: maxFooterParts}).readStruct(true, 0, nil)
	if err != nil {
		return err
	}
	size, packed := header.ints[headerSize], header.ints[headerPacked]
	if size < 0 || packed < 0 {
		return errThrift
	}
	if size > maxPage || packed > maxPage {
		return p.opts.refuse(Refusal{Kind: LargePage, Size: max(size, packed)})
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
	if s == nil || s.ints[1] < 0 || s.ints[1] > math.MaxInt32 || levels < 0 || levels > min(size, packed) ||
		s.ints[5] < 0 || s.ints[6] < 0 {
		return errThrift
	}
	if p.held-p.pageHeld+size > p.limit {
		return p.opts.refuse(Refusal{Kind: LargePages})
	}
	var stored io.Reader = p.r
	sum := crc32.NewIEEE()
	crc, checked := header.ints[headerCRC]
	if checked {
		stored = io.TeeReader(p.r, sum)
	}
	data := []byte{}
	if levels > 0 { // of a page of version 2, where they are never compressed
		if data, err = readUpTo(data, stored, levels); err != nil {
			return err
		}
	}
	codec := p.codec
	if !compressed {
		codec = compress.Codecs.Uncompressed
	}
	rest := &io.LimitedReader{R: stored, N: packed - levels}
	data, err = p.unpack.unpackPage(data, codec, rest, size-levels)
	if err == nil || checked { // a wrong checksum is a better error than that of the decompression
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return err
		}
	}
	if err == nil && rest.N > 0 {
		return io.EOF
	}
	if checked && rest.N == 0 && sum.Sum32() != uint32(crc) {
		return ErrChecksum
	}
	if err != nil {
		return err
	}
	return p.decodePage(header.ints[headerType], s, data)
}

// decodePage makes p.page of a header and data.
func (p *pageReader) decodePage(kind int64, s *thriftStruct, data []byte) error {
	n := int32(s.ints[1])
	encoding := func(field int64) parquet.Encoding { return parquet.Encoding(s.ints[field]) }
	if kind == 2 {
		if int(n) > len(data) {
			return errors.New("damaged Parquet: a dictionary of more values than bytes")
		}
		p.dict = int(n)
		p.dictBatch = math.MaxInt
		if p.descr.PhysicalType() == parquet.Types.ByteArray {
			p.dictBatch = computeBatch(findLongest(data))
		}
		if p.setHeld(p.pageHeld, int64(len(data))+24*int64(n)); p.held > p.limit { // arrow makes a slice for each value
			return p.opts.refuse(Refusal{Kind: LargeDictionaries})
		}
		p.page = file.NewDictionaryPage(memory.NewBufferBytes(data), n, encoding(2))
		return nil
	}
	p.setHeld(int64(len(data)), p.dictHeld)
	p.values -= int64(n)
	p.seen += int(n)
	p.batch = math.MaxInt
	page := func(data []byte, enc parquet.Encoding) file.Page {
		buffer := memory.NewBufferBytes(data)
		if kind == 0 {
			return file.NewDataPageV1(buffer, n, enc, encoding(3), encoding(4), int32(len(data)))
		}
		return file.NewDataPageV2(buffer, n, int32(s.ints[2]), int32(s.ints[3]), enc, int32(s.ints[5]), int32(s.ints[6]),
			int32(len(data)), false)
	}
	enc := encoding(2)
	if kind == 3 {
		enc = encoding(4)
	}
	typ := p.descr.PhysicalType()
	if err := p.opts.checkEncoding(typ, enc); err != nil {
		return err
	}
	switch enc {
	case parquet.Encodings.PlainDict, parquet.Encodings.RLEDict:
		p.batch = max(1, p.dictBatch)
	case parquet.Encodings.DeltaByteArray:
		p.batch = computeBatch(len(data)) // each value may be as long as all suffixes together
	}
	values, err := checkPage(page(data, enc), p.descr, p.dict, p.opts.TightIndices)
	if err != nil {
		return err
	}
	if enc == byteStreamSplit || enc == parquet.Encodings.DeltaByteArray && typ == parquet.Types.FixedLenByteArray {
		if data, err = convertToPlain(data[:values:values], data[values:], enc, valueWidth(p.descr), int(n)); err != nil {
			return err
		}
		enc = parquet.Encodings.Plain
		p.setHeld(int64(len(data)), p.dictHeld)
	}
	p.page = page(data, enc)
	return nil
}

// computeBatch returns how many values of that length are decoded at a time.
func computeBatch(length int) int { return max(1, MaxBatch/max(1, length)) }

// findLongest returns the length of the longest value of a dictionary of byte arrays.
func findLongest(data []byte) int {
	most := uint32(0)
	for len(data) >= 4 {
		n := binary.LittleEndian.Uint32(data)
		if data = data[4:]; uint64(n) > uint64(len(data)) {
			break // arrow returns an error
		}
		most = max(most, n)
		data = data[n:]
	}
	return int(most)
}
