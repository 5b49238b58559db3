package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// checkPage checks what arrow takes for granted in a page of values. If the levels, or the indices of a column without
// levels, end early or are not in the dictionary, arrow's ReadBatch makes no progress, returns no error, and loops
// forever. checkPage returns the offset of the values in the page. tight is Options.TightIndices.
func checkPage(page file.Page, descr *schema.Column, dict int, tight bool) (int, error) {
	damaged := errors.New("damaged Parquet: a page ends before its values do, or has indices that are not in its " +
		"dictionary")
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
			if !checkHybrid(data[4:size], bits.Len16(uint16(level.max)), n, nil) {
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
		if maxDef > 0 && !checkHybrid(levels, bits.Len16(uint16(maxDef)), n, nil) {
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
		// The first byte is the width of the indices. arrow allocates for the largest index that it finds. If an index of
		// that width may be too large, which only xitongsys/parquet-go writes regularly, all are checked.
		width, present := int(data[0]), n
		wide := width > 20 && width > bits.Len(uint(dict))
		if width > 32 || wide && tight {
			return 0, damaged
		}
		if wide && maxDef > 0 {
			present = 0
			checkHybrid(levels, bits.Len16(uint16(maxDef)), n, func(level uint64, times int) bool {
				if level == uint64(maxDef) {
					present += times
				}
				return true
			})
		}
		if (maxDef == 0 || wide) && !checkHybrid(data[1:], width, present, newLimitCheck(dict)) {
			return 0, damaged
		}
	case parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.DeltaLengthByteArray, parquet.Encodings.DeltaByteArray:
		if total := readDeltaTotal(data); total > maxDelta && total <= uint64(n) {
			return 0, pipeline.WithHint(fmt.Errorf("a page of %d values in a delta encoding cannot be read", total),
				smallerPages)
		}
		rest, ok := decodeDeltaPacked(data, n, nil)
		// the lengths of the suffixes, after those of the prefixes
		if ok && parquet.Encoding(page.Encoding()) == parquet.Encodings.DeltaByteArray {
			_, ok = decodeDeltaPacked(rest, n, nil)
		}
		if !ok {
			return 0, damaged
		}
	}
	return values, nil
}

// readDeltaTotal returns the number of values in the header of DELTA_BINARY_PACKED data: the third number.
func readDeltaTotal(data []byte) (total uint64) {
	for range 3 {
		v, k := binary.Uvarint(data)
		if k <= 0 {
			return 0
		}
		total, data = v, data[k:]
	}
	return total
}

// decodeDeltaPacked decodes at most n values of the encoding DELTA_BINARY_PACKED (Encodings.md of the Parquet format),
// and returns the data after them. It appends the values to *values, unless values is nil. ok is false if the data does
// not hold as many values as it claims, for which arrow would allocate.
func decodeDeltaPacked(data []byte, n int, values *[]int64) (rest []byte, ok bool) {
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
	if !ok || block == 0 || block > 1<<16 || minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0 ||
		total > uint64(n) || total > maxDelta {
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
				break // these have no bytes
			}
			if width > 64 || len(data)*8 < min(left, each)*int(width) {
				return nil, false
			}
			for i := range min(left, each) {
				if values == nil {
					break
				}
				value += least + int64(readBits(data, i, int(width)))
				*values = append(*values, value)
			}
			data = data[min(len(data), each/8*int(width)):]
			left -= each
		}
	}
	return data, true
}

// checkHybrid reports whether data holds n values of the RLE and bit-packed hybrid (Encodings.md of the Parquet
// format), and whether ok accepts each of them; a nil ok accepts all. It calls ok once for all values of a run.
func checkHybrid(data []byte, width, n int, ok func(value uint64, times int) bool) bool {
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
		used := min(n, int(count)*8) // groups of eight values, lowest bits first
		if len(data)*8 < used*width {
			return false
		}
		if ok != nil {
			for i := range used {
				if !ok(readBits(data, i, width), 1) {
					return false
				}
			}
		}
		n -= used
		data = data[min(len(data), int(count)*width):]
	}
	return true
}

// newLimitCheck returns an ok for checkHybrid that accepts values below a limit.
func newLimitCheck(limit int) func(uint64, int) bool {
	return func(value uint64, _ int) bool { return value < uint64(limit) }
}

// readBits returns the i-th of numbers of width bits each, lowest bits first.
func readBits(data []byte, i, width int) (value uint64) {
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
