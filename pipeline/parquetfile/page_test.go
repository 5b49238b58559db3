package parquetfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/pierrec/lz4/v4"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// packPage compresses n zeros.
func packPage(tb testing.TB, codec compress.Compression, n int) []byte {
	tb.Helper()
	c, err := compress.GetCodec(codec)
	if err != nil {
		tb.Fatal(err)
	}
	return c.Encode(make([]byte, c.CompressBound(int64(n))), make([]byte, n))
}

// testPage returns a page as it is in a file: a header, and then the packed data.
func testPage(kind, size int64, values int64, levels int64, packed []byte) []byte {
	zigzag := func(dst []byte, n int64) []byte { return binary.AppendVarint(append(dst, 0x15), n) }
	b := zigzag(zigzag(zigzag(nil, kind), size), int64(len(packed)))
	b = append(b, byte(map[int64]int{0: 2, 2: 4, 3: 5}[kind]<<4|thriftNested))
	b = zigzag(b, values)
	switch kind {
	case 0:
		b = zigzag(zigzag(zigzag(b, 0), 3), 3) // plain; levels in the hybrid
	case 2:
		b = zigzag(b, 0)
	case 3:
		b = zigzag(zigzag(zigzag(zigzag(zigzag(b, 0), values), 0), levels), 0)
	}
	return append(append(b, 0, 0), packed...)
}

// withCRC returns the page with a checksum, which is field 4 of its header. The number of the next field is relative
// to it.
func withCRC(page []byte, packed int, crc uint32) []byte {
	header := page[:len(page)-packed]
	at := bytes.LastIndexAny(header, "\x2c\x4c\x5c") // the field 5, 7 or 8, a struct
	out := binary.AppendVarint(append(bytes.Clone(header[:at]), 0x15), int64(int32(crc)))
	return append(append(out, header[at]-0x10), page[at+1:]...)
}

// A checksum is that of the page as it is stored, for all kinds of pages and all compressions.
func TestChecksums(t *testing.T) {
	for _, codec := range codecs {
		if codec == codecLZ4Raw {
			continue // arrow cannot write it
		}
		for _, kind := range []int64{0, 2, 3} {
			for _, test := range []struct {
				name   string
				damage int // the offset of a changed byte, from the end
				wrong  uint32
				want   string
			}{
				{"as it was written", -1, 0, ""},
				{"another checksum", -1, 1, ErrChecksum.Error()},
				{"another byte at the end", 1, 0, ErrChecksum.Error()},
				{"another byte at the beginning", 0, 0, ErrChecksum.Error()},
			} {
				t.Run(fmt.Sprintf("%s/page type %d/%s", codec, kind, test.name), func(t *testing.T) {
					packed := make([]byte, 400)
					if codec == compress.Codecs.Lz4 {
						packed = lz4Block(t, 400)
					} else if codec != compress.Codecs.Uncompressed {
						packed = packPage(t, codec, 400)
					}
					data := withCRC(testPage(kind, 400, 100, 0, packed), len(packed), crc32.ChecksumIEEE(packed)+test.wrong)
					switch test.damage {
					case 0:
						data[len(data)-len(packed)] ^= 0xff
					case 1:
						data[len(data)-1] ^= 0xff
					}
					p := testPages(t, codec, 0, data)
					defer p.unpack.Close()
					more := p.Next()
					if test.want == "" && (!more || p.Err() != nil) || test.want != "" &&
						(more || p.Err() == nil || p.Err().Error() != test.want) {
						t.Errorf("%v, %v; want %q", more, p.Err(), test.want)
					}
				})
			}
		}
	}
}

// lz4Block returns n zeros as a block of LZ4.
func lz4Block(t *testing.T, n int) []byte {
	t.Helper()
	dst := make([]byte, lz4.CompressBlockBound(n))
	size, err := lz4.CompressBlock(make([]byte, n), dst, nil)
	if err != nil || size == 0 {
		t.Fatal(size, err)
	}
	return dst[:size]
}

// testColumn returns a column of that type and these levels. Values of a fixed length have 12 bytes.
func testColumn(tb testing.TB, typ parquet.Type, def, rep int16) *schema.Column {
	tb.Helper()
	n, err := schema.NewPrimitiveNode("x", parquet.Repetitions.Required, typ, -1, 12)
	if err != nil {
		tb.Fatal(err)
	}
	return schema.NewColumn(n, def, rep)
}

func testPages(tb testing.TB, codec compress.Compression, held int64, data []byte) *pageReader {
	tb.Helper()
	p := &NewColumn(testColumn(tb, parquet.Types.ByteArray, 0, 0), Options{}, 64<<10).pages
	p.held = held
	p.beginChunk(bytes.NewReader(data), 1<<30, codec)
	return p
}

// measureAllocation returns how many bytes f allocates.
func measureAllocation(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// The size that a page header or compressed data claims costs no memory.
func TestPageBombs(t *testing.T) {
	const big = 16 << 20
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy,
		compress.Codecs.Gzip, compress.Codecs.Zstd, compress.Codecs.Brotli} {
		t.Run(codec.String(), func(t *testing.T) {
			small, large := packPage(t, codec, 100), []byte(nil)
			if codec == compress.Codecs.Uncompressed {
				small, large = make([]byte, 100), make([]byte, 200)
			} else {
				large = packPage(t, codec, big)
			}
			for _, kind := range []int64{0, 2, 3} {
				for _, test := range []struct {
					name   string
					size   int64
					packed []byte
					want   string
				}{
					{"more than it says", 100, large, "a page does not have the 100 bytes"},
					{"says nothing and has a lot", 0, large, "a page does not have the 0 bytes"},
					{"less than it says", maxPage, small, "a page does not have the 134217728 bytes"},
					{"over the bound", maxPage + 1, small, "a page of 134217729 bytes cannot be read"},
					{"over what an int32 holds", 1 << 40, small, "cannot be read"},
					{"less than nothing", -1, small, "an invalid header or footer"},
					{"nothing where there should be something", 100, nil, "damaged Parquet"},
				} {
					name := fmt.Sprintf("%s, page type %d, %s", codec, kind, test.name)
					p := testPages(t, codec, 0, testPage(kind, test.size, 1, 0, test.packed))
					var more bool
					n := measureAllocation(func() { more = p.Next() })
					if more || p.Err() == nil || !strings.Contains(p.Err().Error(), test.want) {
						t.Errorf("%s: %v, %v; want an error with %q", name, more, p.Err(), test.want)
					}
					if limit := uint64(12<<20 + len(test.packed)*3); n > limit { // a zstd decoder has buffers of 8 MB
						t.Errorf("%s: %d bytes were allocated, want %d at most", name, n, limit)
					}
					p.unpack.Close()
				}
				// What is as it says is read; what the other columns hold counts.
				if kind == 0 && codec != compress.Codecs.Uncompressed {
					p := testPages(t, codec, 0, testPage(kind, 100, 1, 0, small))
					if !p.Next() || len(p.Page().Data()) != 100 {
						t.Errorf("%s: an honest page: %v", codec, p.Err())
					}
					p.unpack.Close()
				}
				p := testPages(t, codec, maxHeld-99, testPage(kind, 100, 1, 0, small))
				if p.Next() || p.Err() == nil || !strings.Contains(p.Err().Error(), "more than 256 MiB") ||
					pipeline.Hint(p.Err()) == "" {
					t.Errorf("%s, page type %d, when the others hold all: %v", codec, kind, p.Err())
				}
				p.unpack.Close()
			}
		})
	}
	for name, data := range map[string][]byte{
		"levels beyond the page":  testPage(3, 100, 1, 101, make([]byte, 100)),
		"levels of less than 0":   testPage(3, 100, 1, -1, make([]byte, 100)),
		"values of less than 0":   testPage(0, 100, -1, 0, make([]byte, 100)),
		"a dictionary of nothing": testPage(2, 10, 11, 0, make([]byte, 10)),
		"no header":               {0x15, 0x00, 0x15},
		"a header without end":    bytes.Repeat([]byte{0x15, 0x00}, 100),
		"a header in a header":    bytes.Repeat([]byte{0x1c}, 1000),
		"a header of another day": {0x18, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPages(t, compress.Codecs.Uncompressed, 0, data)
			if p.Next() || p.Err() == nil {
				t.Errorf("%s: %v, want an error", name, p.Err())
			}
		})
	}
}
