package parquetfile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
)

// FuzzPages reads the pages of one column: every compression, type and nesting, without a footer. Package sources
// fuzzes how levels are assembled.
func FuzzPages(f *testing.F) {
	types := []parquet.Type{parquet.Types.Boolean, parquet.Types.Int32, parquet.Types.Int64, parquet.Types.Int96,
		parquet.Types.Float,
		parquet.Types.Double, parquet.Types.ByteArray, parquet.Types.FixedLenByteArray}
	for i, codec := range codecs {
		packed := bytes.Repeat([]byte{0x1f, 0x00, 0x01, 0x00, 0xff, 0x50}, 3) // not quite LZ4
		if codec != compress.Codecs.Lz4 && codec != codecLZ4Raw {
			packed = packPage(f, codec, 400)
		}
		for _, kind := range []int64{0, 2, 3} {
			f.Add(append(testPage(2, 400, 100, 0, packed), testPage(kind, 400, 100, 0, packed)...), byte(i), byte(kind)+4,
				byte(kind))
		}
	}
	f.Add(testPage(0, 7, 8, 0, []byte{2, 0, 0, 0, 16, 1, 0xaa}), byte(0), byte(0), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, codec, typ, levels byte) {
		d := testColumn(t, types[int(typ)%len(types)], int16(levels&3), int16(levels>>2&1))
		for _, o := range []Options{{}, {Codecs: codecs[:2],
			Encodings: []parquet.Encoding{parquet.Encodings.Plain, parquet.Encodings.RLEDict}, TightIndices: true}} {
			c := NewColumn(d, o, 64<<10)
			var values Values
			defs, reps := make([]int16, 512), make([]int16, 512)
			err := Guard("x", func() error {
				if err := c.Begin(bytes.NewReader(data), 1<<20, codecs[int(codec)%len(codecs)]); err != nil {
					return err
				}
				for range 2000 {
					if !c.HasNext() {
						return c.Err()
					}
					if c.pages.held > maxHeld {
						t.Fatalf("the pages take %d bytes", c.pages.held)
					}
					n := min(c.BatchSize(), len(defs))
					levels, k, err := c.Read(&values, n, defs, reps)
					if err != nil {
						return err
					}
					if levels == 0 || levels > n || k > n {
						t.Fatalf("%d levels and %d values of %d", levels, k, n)
					}
				}
				return nil
			})
			if err != nil && !strings.HasPrefix(err.Error(), "x: ") {
				t.Fatalf("%v: it does not name the file", err)
			}
			c.pages.unpack.Close()
		}
	})
}
