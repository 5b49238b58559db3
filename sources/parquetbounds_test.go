package sources

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
)

// measureAllocation returns how many bytes f allocates.
func measureAllocation(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A dictionary value of many rows is in memory a few times, not once for each row of a batch.
func TestParquetLongValuesOfADictionary(t *testing.T) {
	const n = 300
	long := strings.Repeat("x", 300<<10)
	rows := make([][]string, n)
	for i := range rows {
		rows[i] = []string{long}
	}
	data := parquetBytes(t, withID(t, n, textColumns(t, []string{"country"}, rows)...),
		parquet.WithDictionaryDefault(true), parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithDictionaryPageSizeLimit(1<<20))
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
		if held := len(in.reader.(*parquetReader).leaves[1].values); held > most {
			most = held
		}
	}
	if limit := parquetfile.MaxBatch/len(long) + 1; most > limit {
		t.Errorf("%d values of %d bytes in memory, want %d at most", most, len(long), limit)
	}
}

// A cell, list or row that is too long is an error of that row, and the next row follows.
func TestParquetLongRows(t *testing.T) {
	long := strings.Repeat("x", maxRecord+1)
	half := long[:maxRecord*2/3]
	rows := [][]string{{long, "a"}, {"b", "c"}, {half, half}, {"d", "e"}}
	read1 := func(cols ...parquetColumn) []got {
		t.Helper()
		rows, err := readRows(t, "u.parquet", parquetBytes(t, withID(t, 4, cols...),
			parquet.WithCompression(compress.Codecs.Zstd)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	got := read1(textColumns(t, []string{"country", "city"}, rows)...)
	if g := joinIDs(got); g != "1:u1!bad_row 2:u2 3:!bad_row 4:u4" ||
		!strings.Contains(got[0].Err, "column country: longer than 1 MiB") ||
		!strings.Contains(got[2].Err, "the row is longer than 1 MiB") {
		t.Errorf("%s: %s; %s", g, got[0].Err, got[2].Err)
	}
	list := newGroup(t, "user_properties", parquet.Repetitions.Optional, nil,
		newGroup(t, "tags", parquet.Repetitions.Optional, schema.ListLogicalType{},
			newGroup(t, "list", parquet.Repetitions.Repeated, nil,
				leafNode(t, "element", parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray, -1))))
	c := parquetColumn{node: list}
	var values []string
	for row, n := range []int{1, maxRecord/4 + 1, 4, 2} {
		for i := range n {
			c.defs, c.reps = append(c.defs, 4), append(c.reps, int16(min(i, 1)))
			values = append(values, map[bool]string{true: half, false: "x"}[row == 2])
		}
	}
	c.values = values
	if g := joinIDs(read1(c)); g != "1:u1 2:u2!bad_row 3:u3!bad_row 4:u4" {
		t.Errorf("lists: %s", g)
	}
}

// arrow allocates for as many parts as a footer claims.
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
		t.Run(name, func(t *testing.T) {
			file := append([]byte("PAR1"), footer...)
			file = binary.LittleEndian.AppendUint32(file, uint32(len(footer)))
			file = append(file, "PAR1"...)
			var err error
			n := measureAllocation(func() { _, err = readRows(t, "u.parquet", file, Options{}) })
			if err == nil || !strings.Contains(err.Error(), "u.parquet: ") || n > 4<<20+3*uint64(len(file)) {
				t.Errorf("%s: %v, %d bytes allocated; want an error with the file's name, and less", name, err, n)
			}
		})
	}
}

// The delta encodings are read.
func TestParquetDelta(t *testing.T) {
	header, users := typicalUsers(3000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range users {
		users[i][6] = strings.Repeat("p", 1+rng.IntN(9))
	}
	for _, enc := range []parquet.Encoding{parquet.Encodings.DeltaByteArray, parquet.Encodings.DeltaLengthByteArray} {
		for _, v := range []parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2} {
			data := parquetBytes(t, textColumns(t, header, users), parquet.WithDictionaryDefault(false),
				parquet.WithEncoding(enc),
				parquet.WithDataPageVersion(v), parquet.WithDataPageSize(4096))
			rows, err := readRows(t, "u.parquet", data, Options{})
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

// FuzzParquetPages reads the pages of one column: every compression, type and nesting, without a footer, which
// FuzzParquet must get right first. Package parquetfile fuzzes the pages themselves; this fuzzes how their levels are
// assembled.
func FuzzParquetPages(f *testing.F) {
	types := []parquet.Type{parquet.Types.Boolean, parquet.Types.Int32, parquet.Types.Int64, parquet.Types.Int96,
		parquet.Types.Float,
		parquet.Types.Double, parquet.Types.ByteArray, parquet.Types.FixedLenByteArray}
	codecs := []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip,
		compress.Codecs.Zstd, compress.Codecs.Brotli, compress.Codecs.Lz4, 7}
	list := parquetColumn{node: newGroup(f, "tags", parquet.Repetitions.Optional, schema.ListLogicalType{},
		newGroup(f, "list", parquet.Repetitions.Repeated, nil,
			leafNode(f, "element", parquet.Repetitions.Required, nil, parquet.Types.Int64, -1))),
		values: []int64{1, 2, 3}, defs: []int16{2, 2, 1, 0, 2}, reps: []int16{0, 1, 0, 0, 0}}
	for _, opts := range parquetVariants() {
		for _, whole := range [][]byte{smallParquet(f, opts...), parquetBytes(f, withID(f, 4, list), opts...)} {
			r, err := file.NewParquetReader(bytes.NewReader(whole))
			if err != nil {
				f.Fatal(err)
			}
			for i := range r.MetaData().Schema.NumColumns() {
				d := r.MetaData().Schema.Column(i)
				chunk, err := r.RowGroup(0).MetaData().ColumnChunk(i)
				if err != nil {
					f.Fatal(err)
				}
				start := chunk.DataPageOffset()
				if chunk.HasDictionaryPage() {
					start = chunk.DictionaryPageOffset()
				}
				f.Add(whole[start:start+chunk.TotalCompressedSize()], byte(slices.Index(codecs, chunk.Compression())),
					byte(slices.Index(types, d.PhysicalType())),
					byte(d.MaxDefinitionLevel()|d.MaxRepetitionLevel()<<2))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, codec, typ, levels byte) {
		node := leafNode(t, "x", parquet.Repetitions.Required, nil, types[int(typ)%len(types)], 12).(*schema.PrimitiveNode)
		d := schema.NewColumn(node, int16(levels&3), int16(levels>>2&1))
		_, c, _ := newConverter(d)
		l := &leafReader{descr: d, max: d.MaxDefinitionLevel(), convert: c, maxBatch: parquetBatch,
			column: parquetfile.NewColumn(d, parquetfile.Options{}, pageBuffer)}
		column := &parquetNode{kind: flatNode, leaf: l, leaves: []*leafReader{l}, def: d.MaxDefinitionLevel()}
		if d.MaxRepetitionLevel() > 0 {
			column = newNodeBuilder(schema.NewSchema(newGroup(t, "x", parquet.Repetitions.Required, nil).(*schema.GroupNode)),
				nil).newListNode("x", column, max(0, d.MaxDefinitionLevel()-1), 0)
		}
		if err := l.column.Begin(bytes.NewReader(data), 1<<20, codecs[int(codec)%len(codecs)]); err != nil {
			t.Fatal(err)
		}
		var values parquetfile.Values
		for range 2000 {
			if err := parquetfile.Guard("x", func() error {
				_,
					err := column.readRow(&values, &allowance{size: maxRecord})
				return err
			}); err != nil {
				return
			}
		}
	})
}

// The limit of a nested row is its length as JSON, in every format.
func TestOneLimitForNestedRows(t *testing.T) {
	for _, test := range []struct {
		name   string
		values int // each is 1234
		want   string
	}{
		{"many values in few bytes", 100_000, "1:u1"},
		{"just below", maxRecord/len("1234,") - 50, "1:u1"},
		{"over 1 MiB", maxRecord/len("1234,") + 1, "1:u1!bad_row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			list := parquetColumn{node: newGroup(t, "user_properties", parquet.Repetitions.Required, nil,
				newGroup(t, "p", parquet.Repetitions.Required, schema.ListLogicalType{},
					newGroup(t, "list", parquet.Repetitions.Repeated, nil,
						leafNode(t, "element", parquet.Repetitions.Required, nil, parquet.Types.Int32, -1))))}
			values := make([]int32, test.values)
			for i := range values {
				values[i] = 1234
				list.defs, list.reps = append(list.defs, 1), append(list.reps, int16(min(i, 1)))
			}
			list.values = values
			rows, err := readRows(t, "u.parquet", parquetBytes(t, withID(t, 1, list)), Options{})
			if got := joinIDs(rows); err != nil || got != test.want {
				t.Errorf("Parquet: %s, %v, want %s", got, err, test.want)
			}
			array := "[" + strings.Repeat("1234,", test.values-1) + "1234]"
			rows, err = readRows(t, "u.jsonl", []byte(`{"user_id":"u1","user_properties":{"p":`+array+"}}\n"), Options{})
			got := strings.Replace(joinIDs(rows), "1:!", "1:u1!", 1) // a line that is too long has no id
			if err != nil || got != test.want {
				t.Errorf("JSONL: %s, %v, want %s", got, err, test.want)
			}
			rows, err = readRows(t, "u.tsv", []byte("user_id\tuser_properties.p\nu1\t"+array+"\n"),
				Options{Mapping: Mapping{Types: types{"user_properties.p": pipeline.TypeJSON}}})
			got = strings.Replace(joinIDs(rows), "1:!", "1:u1!", 1)
			if err != nil || got != test.want {
				t.Errorf("TSV: %s, %v, want %s", got, err, test.want)
			}
		})
	}
}
