package sinks

import (
	stdcmp "cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/parquet/file"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// randomTable is a table of random columns, and its rows as they should be read.
type randomTable struct {
	*rand.Rand
	columns []column
	pools   [][]cell // of each column: its possible values
	kept    []*tuple
	want    pipelinetest.Table
	cells   [][]cell // of each column
}

func newRandomTable(seed uint64) *randomTable {
	r := &randomTable{Rand: rand.New(rand.NewPCG(seed, 1))}
	for i := range 1 + r.IntN(7) {
		c := column{name: fmt.Sprintf("c%d", i), typ: pipeline.Type(r.IntN(int(pipeline.TypeDecimal) + 1)),
			required: r.IntN(3) == 0, varies: r.IntN(2) == 0}
		c.millis = c.typ == pipeline.TypeTimestamp && r.IntN(2) == 0
		if c.typ == pipeline.TypeDecimal {
			c.precision = 1 + r.IntN(pipeline.MaxPrecision)
			c.scale = []int{0, c.precision, r.IntN(c.precision + 1)}[r.IntN(3)]
		}
		r.columns = append(r.columns, c)
		r.want.Columns = append(r.want.Columns, c.name)
		nulls := r.IntN(5) * 25 // percent
		pool := make([]cell, []int{1, 2, 3, 17, 300, 5000}[r.IntN(6)])
		for j := range pool {
			if pool[j].null = !c.required && r.IntN(100) < nulls; !pool[j].null {
				pool[j] = r.value(&c)
			}
		}
		r.pools = append(r.pools, pool)
		r.cells = append(r.cells, nil)
	}
	for range r.IntN(20) {
		r.kept = append(r.kept, r.tuple(&tuple{kept: true}))
	}
	return r
}

// value returns a random value, or an edge case.
func (r *randomTable) value(c *column) cell {
	n := []int64{0, -1, 1, math.MaxInt64, math.MinInt64, r.Int64(), -r.Int64N(1000), r.Int64N(1000)}[r.IntN(8)]
	switch c.typ {
	case pipeline.TypeDecimal:
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.precision)), nil)
		digits := make([]byte, 1+r.IntN(c.precision))
		for i := range digits {
			digits[i] = '0' + byte(r.IntN(10))
		}
		random, _ := new(big.Int).SetString(string(digits), 10)
		most := new(big.Int).Sub(limit, big.NewInt(1))
		n := []*big.Int{new(big.Int), big.NewInt(1), most, random, random, random}[r.IntN(6)]
		if r.IntN(2) == 0 {
			n.Neg(n)
		}
		return cell{text: decimalCell(n, c.scale).Text}
	case pipeline.TypeString, pipeline.TypeJSON:
		texts := []string{
			"", "a", "\x00", "ü🎉", "\ufeff", strings.Repeat("long ", r.IntN(3000)), strconv.FormatInt(n, 36),
			strings.Repeat("x", r.IntN(100)) + strconv.Itoa(r.IntN(1000)),
		}
		return cell{text: texts[r.IntN(len(texts))]}
	case pipeline.TypeFloat:
		floats := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, r.NormFloat64(),
			-1.5}
		return cell{num: int64(math.Float64bits(floats[r.IntN(len(floats))]))}
	case pipeline.TypeBool:
		return cell{num: n & 1}
	case pipeline.TypeDate:
		return cell{num: int64(r.IntN(200_000) - 100_000)}
	case pipeline.TypeTimestamp:
		return cell{num: r.Int64N(8e15) - 4e15}
	}
	return cell{num: n}
}

func (r *randomTable) cell(column int) cell { return r.pools[column][r.IntN(len(r.pools[column]))] }

func (r *randomTable) tuple(t *tuple) *tuple {
	t.cells = t.cells[:0]
	for i, c := range r.columns {
		if c.varies {
			t.cells = append(t.cells, r.cell(i))
		}
	}
	return t
}

// block makes the next block, and adds its rows to r.want.
func (r *randomTable) block(b *block) {
	b.rows = b.rows[:0]
	b.shared = slices.Grow(b.shared, len(r.columns))[:len(r.columns)]
	for i := range r.columns {
		b.shared[i] = r.cell(i)
	}
	for range []int{1, 1, 5, 10, 100, 2000}[r.IntN(6)] {
		if len(r.kept) > 0 && r.IntN(8) > 0 {
			b.rows = append(b.rows, r.kept[r.IntN(len(r.kept))])
		} else {
			b.rows = append(b.rows, r.tuple(&tuple{}))
		}
	}
	for _, t := range b.rows {
		var row []pipelinetest.Cell
		varying := t.cells
		for i := range r.columns {
			c := b.shared[i]
			if r.columns[i].varies {
				c, varying = varying[0], varying[1:]
			}
			r.cells[i] = append(r.cells[i], c)
			row = append(row, plainCell(&r.columns[i], c))
		}
		r.want.Rows = append(r.want.Rows, row)
	}
}

func plainCell(column *column, c cell) pipelinetest.Cell {
	switch {
	case c.null:
		return pipelinetest.Cell{Null: true}
	case column.typ == pipeline.TypeInt:
		return pipelinetest.Cell{Text: strconv.FormatInt(c.num, 10)}
	case column.typ == pipeline.TypeFloat:
		return floatCell(math.Float64frombits(uint64(c.num)))
	case column.typ == pipeline.TypeBool:
		return pipelinetest.Cell{Text: strconv.FormatBool(c.num == 1)}
	case column.typ == pipeline.TypeDate:
		return pipelinetest.Cell{Text: time.Unix(c.num*86400, 0).UTC().Format(time.DateOnly)}
	case column.millis:
		return millisCell(c.num)
	case column.typ == pipeline.TypeTimestamp:
		return microsCell(c.num)
	}
	return pipelinetest.Cell{Text: c.text}
}

// TestParquetRandomTables: two unrelated readers read every value of tables of all types, with many values and few,
// with and without nulls, over pages and row groups of any size; and the statistics are correct.
func TestParquetRandomTables(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRandomTable(seed)
			path := filepath.Join(t.TempDir(), "out.parquet")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			e, err := newParquet(f, &buffers{}, r.columns, &Spec{})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range e.columns {
				c.maxRows = 1 + r.IntN(2000)
			}
			e.groupRows = []int{100, 3000, groupRows}[r.IntN(3)]
			defer e.stop()
			var b block
			rows, p := newParquetRows(r.columns), &piece{data: e.newData()}
			for range 1 + r.IntN(10) {
				r.block(&b)
				rows.appendRows(p, &b, 0, pieceBytes)
				if r.IntN(2) == 0 {
					if err := e.write(p.data); err != nil {
						t.Fatal(err)
					}
					p.data = e.newData()
				}
			}
			if err := e.write(p.data); err != nil {
				t.Fatal(err)
			}
			if err := e.finish(); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			for name, read := range map[string]func(string) (pipelinetest.Table, error){"arrow": readArrow,
				"xitongsys": readXitongsys} {
				got, err := read(path)
				if err != nil {
					t.Fatalf("seed %d, %s, columns %+v: %v", seed, name, r.columns, err)
				}
				if diff := firstDifference(r.want, got); diff != "" {
					t.Fatalf("seed %d, %s: %s", seed, name, diff)
				}
			}
			checkStatistics(t, seed, r, path)
		})
	}
}

func checkStatistics(t *testing.T, seed uint64, r *randomTable, path string) {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first := 0
	for g := range f.NumRowGroups() {
		group := f.MetaData().RowGroup(g)
		for i := range r.columns {
			chunk, err := group.ColumnChunk(i)
			if err != nil {
				t.Fatal(err)
			}
			s, err := chunk.Statistics()
			if err != nil {
				t.Fatal(err)
			}
			low, high, nulls := leastAndGreatest(&r.columns[i], r.cells[i][first:first+int(group.NumRows())])
			if s.NullCount() != nulls {
				t.Errorf("seed %d, group %d, column %+v: %d nulls, want %d", seed, g, r.columns[i], s.NullCount(), nulls)
			}
			wantSet := low != nil && len(low) <= statisticBytes && len(high) <= statisticBytes
			if s.HasMinMax() != wantSet {
				t.Errorf("seed %d, group %d, column %+v: has statistics %v, want %v", seed, g, r.columns[i], s.HasMinMax(), wantSet)
			} else if wantSet && (string(s.EncodeMin()) != string(low) || string(s.EncodeMax()) != string(high)) {
				t.Errorf("seed %d, group %d, column %+v: from %q to %q, want %q to %q", seed, g, r.columns[i], s.EncodeMin(),
					s.EncodeMax(), low, high)
			}
		}
		first += int(group.NumRows())
	}
}

// decimalOf returns a decimal without its point.
func decimalOf(text string) *big.Int {
	n, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
	if !ok {
		panic(text)
	}
	return n
}

// leastAndGreatest computes the statistics as the format defines them, by sorting.
func leastAndGreatest(column *column, cells []cell) (low, high []byte, nulls int64) {
	var sorted []cell
	typ := column.typ
	for _, c := range cells {
		switch {
		case c.null:
			nulls++
		case typ == pipeline.TypeFloat && math.IsNaN(math.Float64frombits(uint64(c.num))):
		default:
			sorted = append(sorted, c)
		}
	}
	if len(sorted) == 0 {
		return nil, nil, nulls
	}
	encode := func(c cell, zero uint64) []byte {
		switch typ {
		case pipeline.TypeString, pipeline.TypeJSON:
			return append([]byte{}, c.text...)
		case pipeline.TypeDecimal:
			n := decimalOf(c.text)
			switch {
			case column.precision <= 9:
				return binary.LittleEndian.AppendUint32(nil, uint32(n.Int64()))
			case column.precision <= 18:
				return binary.LittleEndian.AppendUint64(nil, uint64(n.Int64()))
			}
			// The fewest bytes in which all numbers of the precision fit.
			limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(column.precision)), nil)
			length := 1
			for new(big.Int).Lsh(big.NewInt(1), uint(8*length-1)).Cmp(limit) < 0 {
				length++
			}
			if n.Sign() < 0 {
				n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*length)))
			}
			return n.FillBytes(make([]byte, length))
		case pipeline.TypeBool:
			return []byte{byte(c.num)}
		case pipeline.TypeDate:
			return appendPlain(nil, &c, 4)
		case pipeline.TypeFloat:
			if math.Float64frombits(uint64(c.num)) == 0 {
				c.num = int64(zero)
			}
		}
		return appendPlain(nil, &c, 8)
	}
	slices.SortFunc(sorted, func(a, b cell) int {
		switch typ {
		case pipeline.TypeString, pipeline.TypeJSON:
			return strings.Compare(a.text, b.text)
		case pipeline.TypeDecimal:
			return decimalOf(a.text).Cmp(decimalOf(b.text))
		case pipeline.TypeFloat:
			x, y := math.Float64frombits(uint64(a.num)), math.Float64frombits(uint64(b.num))
			return stdcmp.Compare(x, y) // there is no NaN, and the zeros are equal
		}
		return stdcmp.Compare(a.num, b.num)
	})
	return encode(sorted[0], 1<<63), encode(sorted[len(sorted)-1], 0), nulls
}
