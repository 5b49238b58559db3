package parquetfile

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/pierrec/lz4/v4"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// LZ4 stands in files in four ways.
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
		"Hadoop, two blocks":       {compress.Codecs.Lz4, slices.Concat(size(data[:half]), part(data[:half]), size(data[half:]), part(data[half:]))},
		"Hadoop, two parts":        {compress.Codecs.Lz4, slices.Concat(size(data), part(data[:half]), part(data[half:]))},
		"a frame":                  {compress.Codecs.Lz4, frame.Bytes()},
	} {
		p := testPages(t, test.codec, 0, testPage(0, int64(len(data)), 1, 0, test.packed))
		if !p.Next() || !bytes.Equal(p.Page().Data(), data) {
			t.Errorf("%s: %v", name, p.Err())
		}
		for _, wrong := range [][]byte{test.packed[:len(test.packed)-9], test.packed[:5], append(bytes.Clone(test.packed), 1, 2, 3), bytes.Repeat([]byte{0xff}, 400)} {
			for _, claims := range []int64{int64(len(data)), 0, 1, int64(len(data)) + 1, maxPage} {
				if claims == int64(len(data)) && bytes.HasPrefix(wrong, test.packed) && strings.HasSuffix(name, "a frame") {
					continue // bytes behind a frame are nobody's
				}
				p := testPages(t, test.codec, 0, testPage(0, claims, 1, 0, wrong))
				if p.Next() || p.Err() == nil || !strings.Contains(p.Err().Error(), "damaged Parquet") {
					t.Errorf("%s, %d bytes of %d, says %d: %v", name, len(wrong), len(test.packed), claims, p.Err())
				}
			}
		}
	}
	if err := (&Options{}).checkCodec(compress.Codecs.Lzo); err == nil || !strings.Contains(err.Error(), "LZO") || pipeline.Hint(err) == "" {
		t.Errorf("LZO: %v", err)
	}
}
