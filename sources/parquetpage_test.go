package sources

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// pack compresses n zeros.
func pack(tb testing.TB, codec compress.Compression, n int) []byte {
	tb.Helper()
	c, err := compress.GetCodec(codec)
	if err != nil {
		tb.Fatal(err)
	}
	return c.Encode(make([]byte, c.CompressBound(int64(n))), make([]byte, n))
}

// testPage is a page as a file holds it: a header, and below it the packed data.
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

func testPages(tb testing.TB, codec compress.Compression, held int64, data []byte) *pageReader {
	tb.Helper()
	d := schema.NewColumn(leafNode(tb, "x", parquet.Repetitions.Required, nil, parquet.Types.ByteArray, -1).(*schema.PrimitiveNode), 0, 0)
	p := &pageReader{descr: d, unpack: &unpacker{}, held: &held, buffer: pageBuffer}
	p.begin(bytes.NewReader(data), 1<<30, codec)
	return p
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a page claims costs nothing, whoever claims it: its header, or the compressed data.
func TestParquetPageBombs(t *testing.T) {
	const big = 16 << 20
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip, compress.Codecs.Zstd, compress.Codecs.Brotli} {
		small, large := pack(t, codec, 100), []byte(nil)
		if codec == compress.Codecs.Uncompressed {
			small, large = make([]byte, 100), make([]byte, 200)
		} else {
			large = pack(t, codec, big)
		}
		for _, kind := range []int64{0, 2, 3} {
			for _, test := range []struct {
				name   string
				size   int64
				packed []byte
				want   string
			}{
				{"more than it says", 100, large, "a page that has not the 100 bytes"},
				{"says nothing and has a lot", 0, large, "a page that has not the 0 bytes"},
				{"less than it says", maxPage, small, "a page that has not the 134217728 bytes"},
				{"over the bound", maxPage + 1, small, "a page of 134217729 bytes cannot be read"},
				{"over what an int32 holds", 1 << 40, small, "cannot be read"},
				{"less than nothing", -1, small, "a header or footer that is none"},
				{"nothing where there should be something", 100, nil, "damaged Parquet"},
			} {
				name := fmt.Sprintf("%s, page type %d, %s", codec, kind, test.name)
				p := testPages(t, codec, 0, testPage(kind, test.size, 1, 0, test.packed))
				var more bool
				n := allocated(func() { more = p.Next() })
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
			if p.Next() || p.Err() == nil || !strings.Contains(p.Err().Error(), "more than 256 MiB") || pipeline.Hint(p.Err()) == "" {
				t.Errorf("%s, page type %d, when the others hold all: %v", codec, kind, p.Err())
			}
			p.unpack.Close()
		}
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
		p := testPages(t, compress.Codecs.Uncompressed, 0, data)
		if p.Next() || p.Err() == nil {
			t.Errorf("%s: %v, want an error", name, p.Err())
		}
	}
}

// A dictionary's value that many rows have is in memory a few times, not once for each row of a batch.
func TestParquetLongValuesOfADictionary(t *testing.T) {
	const n = 300
	long := strings.Repeat("x", 300<<10)
	rows := make([][]string, n)
	for i := range rows {
		rows[i] = []string{long}
	}
	data := parquetBytes(t, withID(t, n, textColumns(t, []string{"country"}, rows)...),
		parquet.WithDictionaryDefault(true), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDictionaryPageSizeLimit(1<<20))
	if len(data) > 64<<10 {
		t.Fatalf("the file takes %d bytes: not a bomb", len(data))
	}
	in, err := Open(filesAt(writeFile(t, "u.parquet", data)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, in)
	var row pipeline.Row
	most := 0
	for i := range n {
		if err := in.Next(&row); err != nil || row.Err != nil || len(row.User.Context[0].Value.Text) != len(long) {
			t.Fatalf("row %d: %v, %v", i+1, err, row.Err)
		}
		if held := len(in.reader.(*parquetReader).leafs[1].values); held > most {
			most = held
		}
	}
	if limit := maxBatch/len(long) + 1; most > limit {
		t.Errorf("%d values of %d bytes in memory, want %d at most", most, len(long), limit)
	}
}

// A cell, a list or a row that is too long is that row's failure, and the next one follows.
func TestParquetLongRows(t *testing.T) {
	long := strings.Repeat("x", maxRecord+1)
	half := long[:maxRecord*2/3]
	rows := [][]string{{long, "a"}, {"b", "c"}, {half, half}, {"d", "e"}}
	read1 := func(cols ...parquetColumn) []got {
		t.Helper()
		rows, err := read(t, "u.parquet", parquetBytes(t, withID(t, 4, cols...), parquet.WithCompression(compress.Codecs.Zstd)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	got := read1(textColumns(t, []string{"country", "city"}, rows)...)
	if g := ids(got); g != "1:u1!bad_row 2:u2 3:!bad_row 4:u4" || !strings.Contains(got[0].Err, "column country: longer than 1 MiB") || !strings.Contains(got[2].Err, "the row is longer than 1 MiB") {
		t.Errorf("%s: %s; %s", g, got[0].Err, got[2].Err)
	}
	list := group(t, "user_properties", parquet.Repetitions.Optional, nil,
		group(t, "tags", parquet.Repetitions.Optional, schema.ListLogicalType{}, group(t, "list", parquet.Repetitions.Repeated, nil,
			leafNode(t, "element", parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray, -1))))
	c := parquetColumn{node: list}
	var values []string
	for row, n := range []int{1, maxValues + 1, 4, 2} {
		for i := range n {
			c.defs, c.reps = append(c.defs, 4), append(c.reps, int16(min(i, 1)))
			values = append(values, map[bool]string{true: half, false: "x"}[row == 2])
		}
	}
	c.values = values
	if g := ids(read1(c)); g != "1:u1 2:u2!bad_row 3:u3!bad_row 4:u4" {
		t.Errorf("lists: %s", g)
	}
}

// arrow makes room for as many parts as a footer says there are.
func TestParquetFooterBombs(t *testing.T) {
	for name, footer := range map[string][]byte{
		"a list of 4 billion":     {0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"a text of 4 billion":     {0x15, 2, 0x18, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"a map of 4 billion":      {0x1b, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x88},
		"nested without end":      bytes.Repeat([]byte{0x1c}, 100),
		"lists nested":            bytes.Repeat([]byte{0x19, 0x19}, 100),
		"more parts than we read": append([]byte{0x19, 0xfc, 0xc0, 0x84, 0x3d}, make([]byte, 1_000_001)...),
		"of an unknown type":      {0x1d, 0},
	} {
		file := append([]byte("PAR1"), footer...)
		file = binary.LittleEndian.AppendUint32(file, uint32(len(footer)))
		file = append(file, "PAR1"...)
		var err error
		n := allocated(func() { _, err = read(t, "u.parquet", file, Options{}) })
		if err == nil || !strings.Contains(err.Error(), "u.parquet: ") || n > 4<<20+3*uint64(len(file)) {
			t.Errorf("%s: %v, %d bytes allocated; want an error with the file's name, and less", name, err, n)
		}
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
		{"a block, with only the widths that it needs", append(varints(128, 4, 33, 0, 0, 1, 0, 0, 0), "1234xy"...), 33, 2, true},
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
		rest, ok := deltaPacked(test.data, test.n, nil)
		if ok != test.ok || ok && len(rest) != test.rest {
			t.Errorf("%s: %d bytes behind it, %v; want %d, %v", test.name, len(rest), ok, test.rest, test.ok)
		}
	}
}

// What the delta encodings hold arrives.
func TestParquetDelta(t *testing.T) {
	header, users := typicalUsers(3000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range users {
		users[i][6] = strings.Repeat("p", 1+rng.IntN(9))
	}
	for _, enc := range []parquet.Encoding{parquet.Encodings.DeltaByteArray, parquet.Encodings.DeltaLengthByteArray} {
		for _, v := range []parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2} {
			data := parquetBytes(t, textColumns(t, header, users), parquet.WithDictionaryDefault(false), parquet.WithEncoding(enc),
				parquet.WithDataPageVersion(v), parquet.WithDataPageSize(4096))
			rows, err := read(t, "u.parquet", data, Options{})
			if err != nil || len(rows) != len(users) {
				t.Fatalf("%s, page version %d: %d rows, %v", enc, v, len(rows), err)
			}
			for i, r := range rows {
				if r.ID != users[i][0] || !strings.Contains(r.Context, `"plan":"`+users[i][6]+`"`) {
					t.Fatalf("%s, page version %d, row %d: %+v", enc, v, i+1, r)
				}
			}
		}
	}
}

// FuzzParquetPages reads the pages of one column: every compression, type and nesting, without the footer in the way,
// which FuzzParquet has to get right first.
func FuzzParquetPages(f *testing.F) {
	codecs := []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip, compress.Codecs.Zstd, compress.Codecs.Brotli, compress.Codecs.Lz4, codecLZ4Raw}
	types := []parquet.Type{parquet.Types.Boolean, parquet.Types.Int32, parquet.Types.Int64, parquet.Types.Int96, parquet.Types.Float,
		parquet.Types.Double, parquet.Types.ByteArray, parquet.Types.FixedLenByteArray}
	for i, codec := range codecs {
		packed := bytes.Repeat([]byte{0x1f, 0x00, 0x01, 0x00, 0xff, 0x50}, 3) // not quite LZ4
		if codec != compress.Codecs.Lz4 && codec != codecLZ4Raw {
			packed = pack(f, codec, 400)
		}
		for _, kind := range []int64{0, 2, 3} {
			f.Add(append(testPage(2, 400, 100, 0, packed), testPage(kind, 400, 100, 0, packed)...), byte(i), byte(kind)+4, byte(kind))
		}
	}
	f.Add(testPage(0, 7, 8, 0, []byte{2, 0, 0, 0, 16, 1, 0xaa}), byte(0), byte(0), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, codec, typ, levels byte) {
		node := leafNode(t, "x", parquet.Repetitions.Required, nil, types[int(typ)%len(types)], 12).(*schema.PrimitiveNode)
		d := schema.NewColumn(node, int16(levels&3), int16(levels>>2&1))
		_, c, _ := converterOf(d)
		var held int64
		var unpack unpacker
		defer unpack.Close()
		l := &leafReader{descr: d, max: d.MaxDefinitionLevel(), convert: c, most: parquetBatch}
		l.pages = pageReader{descr: d, unpack: &unpack, held: &held, buffer: pageBuffer}
		column := &parquetNode{kind: flatNode, leaf: l, leaves: []*leafReader{l}, def: d.MaxDefinitionLevel()}
		if d.MaxRepetitionLevel() > 0 {
			column = newNodeBuilder(schema.NewSchema(group(t, "x", parquet.Repetitions.Required, nil).(*schema.GroupNode))).list("x", column, max(0, d.MaxDefinitionLevel()-1), 0)
		}
		l.pages.begin(bytes.NewReader(data), 1<<20, codecs[int(codec)%len(codecs)])
		l.chunk = file.NewColumnReader(d, &l.pages, memory.DefaultAllocator, &sync.Pool{New: func() any { return memory.NewResizableBuffer(memory.DefaultAllocator) }})
		var scratch parquetScratch
		for range 2000 {
			if err := guard("x", func() error { _, err := column.next(&scratch, &allowance{maxValues, maxRecord, ""}); return err }); err != nil {
				return
			}
			if held > maxHeld {
				t.Fatalf("the pages take %d bytes", held)
			}
		}
	})
}
