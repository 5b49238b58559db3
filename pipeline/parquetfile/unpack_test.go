package parquetfile

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Files have LZ4 in four forms.
func TestLZ4Framings(t *testing.T) {
	data := []byte(strings.Repeat("a page of a column, and the like of it again. ", 500))
	block := func(data []byte) []byte {
		out := make([]byte, lz4.CompressBlockBound(len(data)))
		n, err := lz4.CompressBlock(data, out, nil)
		if err != nil || n == 0 {
			t.Fatalf("%d, %v", n, err)
		}
		return out[:n]
	}
	part := func(data []byte) []byte {
		b := block(data)
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	}
	size := func(data []byte) []byte { return binary.BigEndian.AppendUint32(nil, uint32(len(data))) }
	var frame bytes.Buffer
	w := lz4.NewWriter(&frame)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const half = 9000
	for name, test := range map[string]struct {
		codec  compress.Compression
		packed []byte
	}{
		"a block":                  {codecLZ4Raw, block(data)},
		"a block of the old codec": {compress.Codecs.Lz4, block(data)},
		"Hadoop":                   {compress.Codecs.Lz4, slices.Concat(size(data), part(data))},
		"Hadoop, two blocks": {compress.Codecs.Lz4,
			slices.Concat(size(data[:half]), part(data[:half]), size(data[half:]), part(data[half:]))},
		"Hadoop, two parts": {compress.Codecs.Lz4, slices.Concat(size(data), part(data[:half]), part(data[half:]))},
		"a frame":           {compress.Codecs.Lz4, frame.Bytes()},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPages(t, test.codec, 0, testPage(0, int64(len(data)), 1, 0, test.packed))
			if !p.Next() || !bytes.Equal(p.Page().Data(), data) {
				t.Errorf("%s: %v", name, p.Err())
			}
			for _, wrong := range [][]byte{test.packed[:len(test.packed)-9], test.packed[:5],
				append(bytes.Clone(test.packed), 1, 2, 3), bytes.Repeat([]byte{0xff}, 400)} {
				for _, claims := range []int64{int64(len(data)), 0, 1, int64(len(data)) + 1, maxPage} {
					if claims == int64(len(data)) && bytes.HasPrefix(wrong, test.packed) && strings.HasSuffix(name, "a frame") {
						continue // bytes after a frame are ignored
					}
					p := testPages(t, test.codec, 0, testPage(0, claims, 1, 0, wrong))
					if p.Next() || p.Err() == nil || !strings.Contains(p.Err().Error(), "damaged Parquet") {
						t.Errorf("%s, %d bytes of %d, says %d: %v", name, len(wrong), len(test.packed), claims, p.Err())
					}
				}
			}
		})
	}
	if err := (&Options{}).checkCodec(compress.Codecs.Lzo); err == nil || !strings.Contains(err.Error(), "LZO") ||
		pipeline.Hint(err) == "" {
		t.Errorf("LZO: %v", err)
	}
}

// A zstd frame claims a window, of 128 MiB at the highest level. Only the size of the page matters.
func TestZstdWindows(t *testing.T) {
	for _, test := range []struct {
		name   string
		size   int
		window int // 0: the frame says its size instead
		most   uint64
	}{
		{"a small page with a huge window", 100, 512 << 20, 16 << 20},
		{"a page of 1 MiB with the window of level 22", 1 << 20, 128 << 20, 16 << 20},
		{"a page of 40 MiB with the window of level 21", 40 << 20, 64 << 20, 400 << 20},
		{"a page of 40 MiB in one segment", 40 << 20, 0, 400 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := make([]byte, test.size)
			for i := range data { // far apart, so that the window matters
				data[i] = byte(i >> 17 * 31 % 251)
			}
			var packed bytes.Buffer
			o := []zstd.EOption{zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)}
			if test.window > 0 {
				o = append(o, zstd.WithWindowSize(test.window))
			} else {
				o = append(o, zstd.WithSingleSegment(true), zstd.WithWindowSize(64<<20))
			}
			w, err := zstd.NewWriter(&packed, o...)
			if err != nil {
				t.Fatal(err)
			}
			if test.window > 0 {
				if _, err := w.Write(data); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				packed.Write(w.EncodeAll(data, nil))
			}
			p := testPages(t, compress.Codecs.Zstd, 0, testPage(0, int64(len(data)), 1, 0, packed.Bytes()))
			defer p.unpack.Close()
			var more bool
			n := measureAllocation(func() { more = p.Next() })
			if !more || !bytes.Equal(p.Page().Data(), data) {
				t.Fatalf("%v, %v; want the page", more, p.Err())
			}
			if n > test.most {
				t.Errorf("%d bytes were allocated, want %d at most", n, test.most)
			}
		})
	}
}
