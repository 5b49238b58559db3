package parquetfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// unpacker decompresses pages, one at a time.
type unpacker struct {
	packed bytes.Buffer
	gzip   gzip.Reader
	zstd   *zstd.Decoder
}

// codecLZ4Raw is LZ4_RAW, for which arrow has no name (parquet.thrift of the Parquet format, CompressionCodec).
const codecLZ4Raw compress.Compression = 7

// codecs are the codecs that can be read. LZO is not one: its decoders have no limit.
var codecs = []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip,
	compress.Codecs.Zstd,
	compress.Codecs.Brotli, compress.Codecs.Lz4, codecLZ4Raw}

// unpackPage decompresses the page in r, and appends it to dst. It must have exactly size bytes; memory is allocated
// only for bytes that exist. unpackPage may leave bytes in r that do not matter.
func (u *unpacker) unpackPage(dst []byte, codec compress.Compression, r *io.LimitedReader, size int64) ([]byte, error) {
	wrong := fmt.Errorf("damaged Parquet: a page does not have the %d bytes that its header says", size)
	packed := r.N
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
		// at most 22 times
		if n, err := snappy.DecodedLen(u.packed.Bytes()); err != nil || int64(n) != size || size > 32*packed {
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
		if size > 255*packed { // no byte of LZ4 can represent more
			return nil, wrong
		}
		if codec == compress.Codecs.Lz4 && bytes.HasPrefix(u.packed.Bytes(), lz4Frame) {
			from = lz4.NewReader(&u.packed)
			break
		}
		at := len(dst)
		dst = slices.Grow(dst, int(size))[:at+int(size)]
		if codec == compress.Codecs.Lz4 && unpackHadoopLZ4(dst[at:], u.packed.Bytes()) {
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
		if err := u.gzip.Reset(r); err != nil {
			return nil, fmt.Errorf("damaged Parquet: %w", err)
		}
		from = &u.gzip
	case compress.Codecs.Zstd:
		if size>>15 > packed { // no block of 128 KiB takes less than 4 bytes
			return nil, wrong
		}
		head := make([]byte, min(packed, zstdHead))
		if _, err := io.ReadFull(r, head); err != nil {
			return nil, err
		}
		narrowWindow(head, size)
		source := io.MultiReader(bytes.NewReader(head), r)
		var err error
		if u.zstd == nil {
			u.zstd, err = zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxWindow(maxPage))
		} else {
			err = u.zstd.Reset(source)
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
		from = c.NewReader(r)
	default:
		return nil, Refusal{Kind: Codec, Codec: codec}.Err() // unreachable: Begin checks the codec
	}
	dst, err := readUpTo(dst, from, size)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, wrong
		}
		if errors.Is(err, zstd.ErrWindowSizeExceeded) {
			return nil, pipeline.WithHint(fmt.Errorf("a page with a zstd window of more than %d MiB cannot be read",
				maxPage>>20), "write the file again with smaller pages")
		}
		return nil, fmt.Errorf("damaged Parquet: %w", err)
	}
	if n, err := io.ReadFull(from, make([]byte, 1)); n > 0 || err != io.EOF { // checksums are at the end
		return nil, wrong
	}
	return dst, nil
}

const (
	zstdFrame    = "\x28\xb5\x2f\xfd"
	zstdHead     = 6       // bytes of a frame up to its window
	leastWindow  = 1 << 20 // smaller windows have smaller blocks
	zstdMinLog   = 10
	zstdSingle   = 1 << 5 // the flag of a frame without a window: its content is the window
	zstdFlags    = 4      // the offset of the flags
	zstdWindowAt = 5
)

// narrowWindow reduces the window of a zstd frame (RFC 8878, 3.1.1.1) to the least for content of size bytes, because
// the decoder allocates all of it. High levels claim 128 MiB for a page of 1 MiB.
func narrowWindow(head []byte, size int64) {
	if len(head) < zstdHead || string(head[:zstdFlags]) != zstdFrame || head[zstdFlags]&zstdSingle != 0 {
		return
	}
	log := bits.Len64(uint64(max(size, leastWindow) - 1))
	if int(head[zstdWindowAt]>>3)+zstdMinLog >= log {
		head[zstdWindowAt] = byte(log-zstdMinLog) << 3
	}
}

// The codec LZ4 was never specified, so each writer has its own (Compression.md of the Parquet format): a frame,
// Hadoop's framing of blocks, or a block alone.
var lz4Frame = []byte{0x04, 0x22, 0x4d, 0x18}

// unpackHadoopLZ4 decompresses Hadoop's blocks into dst, which they must fill. Each block has its size, and then
// parts, each with its length before it. It reports whether packed has that form.
func unpackHadoopLZ4(dst, packed []byte) bool {
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

// Close frees the zstd decoder.
func (u *unpacker) Close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
}

// readUpTo appends n bytes of r. dst grows with what was read.
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
