package parquetfile

import (
	"errors"
	"slices"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// byteStreamSplit is BYTE_STREAM_SPLIT, for which arrow has no name (parquet.thrift of the Parquet format, Encoding).
const byteStreamSplit parquet.Encoding = 9

// encodings are the encodings of each type that can be read.
var encodings = map[parquet.Type][]parquet.Encoding{
	parquet.Types.Boolean: {parquet.Encodings.Plain, parquet.Encodings.RLE},
	parquet.Types.Int32: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict,
		parquet.Encodings.DeltaBinaryPacked,
		byteStreamSplit},
	parquet.Types.Int64: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict,
		parquet.Encodings.DeltaBinaryPacked,
		byteStreamSplit},
	parquet.Types.Int96: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict},
	parquet.Types.Float: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict,
		byteStreamSplit},
	parquet.Types.Double: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict,
		byteStreamSplit},
	parquet.Types.ByteArray: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict,
		parquet.Encodings.DeltaLengthByteArray,
		parquet.Encodings.DeltaByteArray},
	parquet.Types.FixedLenByteArray: {parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict,
		parquet.Encodings.DeltaByteArray,
		byteStreamSplit},
}

// valueWidth returns the number of bytes of a value; 0 if values have no fixed width.
func valueWidth(d *schema.Column) int {
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

// convertToPlain converts a page to the encoding PLAIN: levels followed by at most n values, which are in an encoding
// that arrow does not know (Encodings.md of the Parquet format).
func convertToPlain(levels, values []byte, enc parquet.Encoding, width, n int) ([]byte, error) {
	damaged := errors.New("damaged Parquet: a page of values that do not have their width")
	if enc == byteStreamSplit { // the first bytes of all values, then the second bytes, and so on
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
	rest, ok := decodeDeltaPacked(values, n, &prefixes)
	if ok {
		rest, ok = decodeDeltaPacked(rest, n, &suffixes)
	}
	if !ok || len(prefixes) != len(suffixes) || int64(len(prefixes))*int64(width) > maxPage {
		return nil, damaged
	}
	out := levels
	for i, prefix := range prefixes {
		suffix := suffixes[i]
		if prefix < 0 || suffix < 0 || prefix > int64(width) || prefix+suffix != int64(width) || suffix > int64(len(rest)) ||
			i == 0 && prefix > 0 {
			return nil, damaged
		}
		before := len(out) - width
		out = append(out, out[max(0, before):max(0, before)+int(prefix)]...)
		out = append(out, rest[:suffix]...)
		rest = rest[suffix:]
	}
	return out, nil
}
