package parquetfile

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
)

// Values in encodings that arrow does not know are read: of every width, with nulls and without, in both versions of
// pages. The test encodes them by Encodings.md of the Parquet format.
func TestPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, test := range []struct {
		typ   parquet.Type
		width int
	}{{parquet.Types.Int32, 4}, {parquet.Types.Int64, 8}, {parquet.Types.Float, 4}, {parquet.Types.Double, 8},
		{parquet.Types.FixedLenByteArray, 1},
		{parquet.Types.FixedLenByteArray, 5}, {parquet.Types.FixedLenByteArray, 16}} {
		t.Run(test.typ.String(), func(t *testing.T) {
			for _, n := range []int{1, 7, 8, 1000} {
				values := make([][]byte, n)
				for i := range values {
					values[i] = make([]byte, test.width)
					for j := range values[i] {
						values[i][j] = byte(rng.IntN(3)) // so that prefixes are the same
					}
				}
				split := make([]byte, 0, n*test.width)
				for j := range test.width {
					for _, v := range values {
						split = append(split, v[j])
					}
				}
				pages := map[parquet.Encoding][]byte{byteStreamSplit: split}
				if test.typ == parquet.Types.FixedLenByteArray {
					pages[parquet.Encodings.DeltaByteArray] = deltaByteArrays(values)
				}
				for enc, data := range pages {
					out, err := convertToPlain([]byte("levels"), data, enc, test.width, n)
					if want := "levels" + string(slices.Concat(values...)); err != nil || string(out) != want {
						t.Errorf("%s of %s, %d bytes, %d values: %v\ngot  %x\nwant %x", enc, test.typ, test.width, n, err, out, want)
					}
					for cut := range min(len(data), 40) { // whatever is missing is noticed
						if out, err := convertToPlain(nil, data[:cut], enc, test.width, n); err == nil && len(out) >= n*test.width {
							t.Errorf("%s of %s, %d values, cut at %d: %d bytes", enc, test.typ, n, cut, len(out))
						}
					}
					if _, err := convertToPlain(nil, data, enc, test.width, n-1); err == nil {
						t.Errorf("%s of %s: %d values in a page of %d", enc, test.typ, n, n-1)
					}
				}
			}
		})
	}
	for name, data := range map[string][]byte{
		"a prefix of nothing":          slices.Concat(deltaInts([]int64{1}), deltaInts([]int64{3}), []byte("abc")),
		"a prefix longer than a value": slices.Concat(deltaInts([]int64{0, 5}), deltaInts([]int64{4, 0}), []byte("abcd")),
		"a prefix of less than 0": slices.Concat(deltaInts([]int64{0, -1}), deltaInts([]int64{4, 5}),
			[]byte("abcdefghi")),
		"a suffix of less than 0":     slices.Concat(deltaInts([]int64{0, 5}), deltaInts([]int64{4, -1}), []byte("abcd")),
		"values of other widths":      slices.Concat(deltaInts([]int64{0, 0}), deltaInts([]int64{4, 3}), []byte("abcdefg")),
		"more prefixes than suffixes": slices.Concat(deltaInts([]int64{0, 4}), deltaInts([]int64{4}), []byte("abcd")),
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := convertToPlain(nil, data, parquet.Encodings.DeltaByteArray, 4, 10); err == nil {
				t.Errorf("%s: %q", name, out)
			}
		})
	}
}

// deltaInts encodes numbers in DELTA_BINARY_PACKED, in blocks of 128 with 4 parts and 64 bits per difference.
func deltaInts(values []int64) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), uint64(len(values)))
	b = binary.AppendVarint(b, values[0])
	for i := 1; i < len(values); i += 128 {
		b = append(binary.AppendVarint(b, 0), 64, 64, 64, 64)
		for j := range min(len(values)-i, 128)/32*32 + 32 {
			if at := i + j; j < 128 {
				delta := int64(0)
				if at < len(values) {
					delta = values[at] - values[at-1]
				}
				b = binary.LittleEndian.AppendUint64(b, uint64(delta))
			}
		}
	}
	return b
}

func deltaByteArrays(values [][]byte) []byte {
	var prefixes, suffixes []int64
	var data, last []byte
	for _, v := range values {
		n := 0
		for n < min(len(v), len(last)) && v[n] == last[n] {
			n++
		}
		prefixes, suffixes = append(prefixes, int64(n)), append(suffixes, int64(len(v)-n))
		data, last = append(data, v[n:]...), v
	}
	return slices.Concat(deltaInts(prefixes), deltaInts(suffixes), data)
}
