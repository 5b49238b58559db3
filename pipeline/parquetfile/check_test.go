package parquetfile

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Each of these made arrow loop forever, or return values that are not in the file.
func TestHybrid(t *testing.T) {
	for _, test := range []struct {
		name     string
		data     []byte
		width, n int
		limit    int
		want     bool
	}{
		{"a run", []byte{8 << 1, 2}, 2, 8, 3, true},
		{"a run that points outside", []byte{8 << 1, 3}, 2, 8, 3, false},
		{"a run that is too short", []byte{7 << 1, 2}, 2, 8, 0, false},
		{"a run of none", []byte{0, 2}, 2, 1, 0, false},
		{"a run without its value", []byte{8 << 1}, 2, 8, 0, false},
		{"width 0", []byte{8 << 1}, 0, 8, 1, true},
		{"a group", []byte{1<<1 | 1, 0b10_01_00_10, 0b00_00_00_01}, 2, 8, 3, true},
		{"a group that points outside", []byte{1<<1 | 1, 0b10_01_00_10, 0b11_00_00_01}, 2, 8, 3, false},
		{"values behind the last do not count", []byte{1<<1 | 1, 0b10_01_00_10, 0b11_00_00_01}, 2, 7, 3, true},
		{"a group that is cut short behind the last value", []byte{1<<1 | 1, 0b10_01_00_10}, 2, 4, 3, true},
		{"a group that is cut short", []byte{1<<1 | 1, 0b10_01_00_10}, 2, 5, 3, false},
		{"values across bytes", []byte{1<<1 | 1, 0xff, 0xff, 0xff}, 3, 8, 8, true},
		{"a run and a group", []byte{4 << 1, 1, 1<<1 | 1, 0x01}, 1, 12, 2, true},
		{"nothing", nil, 1, 1, 0, false},
		{"no values", nil, 1, 0, 0, true},
		{"a long header", []byte{0x90, 0x80, 0x80, 0x80, 0x80, 0, 1}, 1, 8, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ok func(uint64, int) bool
			if test.limit > 0 {
				ok = newLimitCheck(test.limit)
			}
			if g := checkHybrid(test.data, test.width, test.n, ok); g != test.want {
				t.Errorf("%s: %v, want %v", test.name, g, test.want)
			}
		})
	}
}

func TestDeltaPacked(t *testing.T) {
	varints := func(ns ...uint64) (b []byte) {
		for _, n := range ns {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	for _, test := range []struct {
		name string
		data []byte
		n    int
		rest int
		ok   bool
	}{
		{"one value", append(varints(128, 4, 1, 7), 'x'), 1, 1, true},
		{"none", varints(128, 4, 0, 0), 5, 0, true},
		{"a block, with only the widths that it needs", append(varints(128, 4, 33, 0, 0, 1, 0, 0, 0), "1234xy"...), 33, 2,
			true},
		{"a width of 0 takes no bytes", varints(128, 4, 129, 0, 0, 0, 0, 0, 0), 129, 0, true},
		{"two blocks", varints(128, 4, 130, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 130, 0, true},
		{"more values than the page", varints(128, 4, 3, 0), 2, 0, false},
		{"more values than can be", varints(128, 4, 1<<40, 0), 1 << 30, 0, false},
		{"a block of nothing", varints(0, 4, 1, 0), 1, 0, false},
		{"no small blocks", varints(128, 0, 1, 0), 1, 0, false},
		{"a huge block", varints(1<<40, 4, 1, 0), 1, 0, false},
		{"small blocks that are not whole", varints(128, 3, 1, 0), 1, 0, false},
		{"values that are not there", varints(128, 4, 33, 0, 0, 8, 0, 0, 0, 1), 33, 0, false},
		{"a width of 65", varints(128, 4, 2, 0, 0, 65, 0, 0, 0), 2, 0, false},
		{"blocks that are not there", varints(128, 4, 1000, 0), 1000, 0, false},
		{"nothing", nil, 1, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			rest, ok := decodeDeltaPacked(test.data, test.n, nil)
			if ok != test.ok || ok && len(rest) != test.rest {
				t.Errorf("%s: %d bytes behind it, %v; want %d, %v", test.name, len(rest), ok, test.rest, test.ok)
			}
		})
	}
}

// A page of more values than arrow may allocate for is an error, but is not called damaged.
func TestManyDeltaValues(t *testing.T) {
	for _, test := range []struct {
		name         string
		values, says uint64
		want         string
	}{
		{"too many", maxDelta + 1, maxDelta + 1, "a page of 4194305 values in a delta encoding cannot be read"},
		{"fewer than it says", 10, maxDelta + 1, "damaged Parquet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := append(binary.AppendUvarint([]byte{128, 1, 4}, test.says), 0)
			page := file.NewDataPageV1(memory.NewBufferBytes(data), int32(test.values), parquet.Encodings.DeltaBinaryPacked,
				parquet.Encodings.RLE, parquet.Encodings.RLE, int32(len(data)))
			_, err := checkPage(page, testColumn(t, parquet.Types.Int64, 0, 0), 0, false)
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				(pipeline.Hint(err) == "") != strings.HasPrefix(test.want, "damaged") {
				t.Errorf("%v (hint %q), want %q", err, pipeline.Hint(err), test.want)
			}
		})
	}
}
