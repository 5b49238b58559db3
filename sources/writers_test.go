package sources

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/schema"
	xparquet "github.com/xitongsys/parquet-go/parquet"
	xtypes "github.com/xitongsys/parquet-go/types"
	"github.com/xitongsys/parquet-go/writer"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// xitongsysUser is a user as a Go program with xitongsys/parquet-go writes it.
type xitongsysUser struct {
	ID      *string          `parquet:"name=user_id, type=BYTE_ARRAY, convertedtype=UTF8, encoding=DELTA_BYTE_ARRAY"`
	Seats   *int64           `parquet:"name=seats, type=INT64, encoding=DELTA_BINARY_PACKED"`
	Big     int64            `parquet:"name=big, type=INT64, convertedtype=UINT_64"`
	Seen    string           `parquet:"name=seen, type=INT96"`
	Born    int32            `parquet:"name=born, type=INT32, convertedtype=DATE"`
	At      int64            `parquet:"name=at, type=INT64, convertedtype=TIMESTAMP_MICROS"`
	Price   int32            `parquet:"name=price, type=INT32, convertedtype=DECIMAL, scale=2, precision=9"`
	Fixed   string           `parquet:"name=fixed, type=FIXED_LEN_BYTE_ARRAY, length=3, convertedtype=DECIMAL, scale=1, precision=6"`
	Plan    string           `parquet:"name=plan, type=BYTE_ARRAY, convertedtype=UTF8, encoding=PLAIN_DICTIONARY"`
	Note    string           `parquet:"name=note, type=BYTE_ARRAY, convertedtype=UTF8, encoding=DELTA_LENGTH_BYTE_ARRAY"`
	Tags    []string         `parquet:"name=tags, type=LIST, valuetype=BYTE_ARRAY, valueconvertedtype=UTF8"`
	Bare    []int32          `parquet:"name=bare, type=INT32, repetitiontype=REPEATED"`
	Prefs   map[string]int64 `parquet:"name=prefs, type=MAP, keytype=BYTE_ARRAY, keyconvertedtype=UTF8, valuetype=INT64"`
	Address *struct {
		City string `parquet:"name=city, type=BYTE_ARRAY, convertedtype=UTF8"`
		Zip  *int32 `parquet:"name=zip, type=INT32"`
	} `parquet:"name=address"`
}

// Files of another writer: its encodings, INT96, old and new lists and maps, and LZ4 in frames.
func TestXitongsysFiles(t *testing.T) {
	names := []string{"seats", "big", "seen", "born", "at", "price", "fixed", "plan", "note", "tags", "bare", "prefs",
		"address"}
	for _, codec := range []xparquet.CompressionCodec{xparquet.CompressionCodec_UNCOMPRESSED,
		xparquet.CompressionCodec_SNAPPY, xparquet.CompressionCodec_GZIP,
		xparquet.CompressionCodec_ZSTD, xparquet.CompressionCodec_LZ4} {
		t.Run(fmt.Sprint(codec), func(t *testing.T) {
			var b bytes.Buffer
			w, err := writer.NewParquetWriterFromWriter(&b, new(xitongsysUser), 1)
			if err != nil {
				t.Fatal(err)
			}
			w.CompressionType, w.PageSize = codec, 1<<10
			const n = 300
			var want []string
			for i := range n {
				u := xitongsysUser{Big: -1 - int64(i), Seen: xtypes.TimeToINT96(seenAt(i)), Born: int32(i), At: int64(i) * 1e6,
					Price: int32(i - 5), Fixed: xtypes.StrIntToBinary(fmt.Sprint(i-7), "BigEndian", 3, true),
					Plan: []string{"free", "pro"}[i%2], Note: strings.Repeat("n", i%5), Prefs: map[string]int64{"k": int64(i)}}
				id, seats, zip := fmt.Sprintf("user-%d", i), int64(math.MaxInt64-i), int32(i)
				u.ID = &id
				if i%3 > 0 {
					u.Seats = &seats
				}
				for j := range i % 4 {
					u.Tags, u.Bare = append(u.Tags, fmt.Sprint("t", j)), append(u.Bare, int32(j))
				}
				if i%2 == 0 {
					u.Address = &struct {
						City string `parquet:"name=city, type=BYTE_ARRAY, convertedtype=UTF8"`
						Zip  *int32 `parquet:"name=zip, type=INT32"`
					}{"Rome", &zip}
					if i%4 == 0 {
						u.Address.Zip = nil
					}
				}
				if err := w.Write(u); err != nil {
					t.Fatal(err)
				}
				want = append(want, xitongsysWant(u, i))
			}
			if err := w.WriteStop(); err != nil {
				t.Fatal(err)
			}
			rows, err := readRows(t, "u.parquet", b.Bytes(), Options{Mapping: Mapping{Properties: names}})
			if err != nil || len(rows) != n {
				t.Errorf("%s: %d rows, %v", codec, len(rows), err)
				return
			}
			for i, r := range rows {
				if r.ID != fmt.Sprintf("user-%d", i) || r.Context != want[i] {
					t.Fatalf("%s, row %d: %s %s %s\nwant %s", codec, i+1, r.ID, r.Context, r.Err, want[i])
				}
			}
		})
	}
}

func seenAt(i int) time.Time {
	return time.Date(2001, 2, 3, 4, 5, 6, 7e6+i*1000, time.UTC).AddDate(0, -i, 0)
}

// xitongsysWant returns the context of the i-th user.
func xitongsysWant(u xitongsysUser, i int) string {
	properties := pipeline.Value{Kind: pipeline.Object}
	add := func(name, value string) {
		v, err := pipeline.ParseJSON(value)
		if err != nil {
			panic(err)
		}
		properties.Members = append(properties.Members, pipeline.Member{Name: name, Value: v})
	}
	decimal := func(n, scale int) string {
		sign := ""
		if n < 0 {
			sign, n = "-", -n
		}
		whole := int(math.Pow10(scale))
		return fmt.Sprintf(`"%s%d.%0*d"`, sign, n/whole, scale, n%whole)
	}
	add("big", fmt.Sprint(math.MaxUint64-uint64(i)))
	add("seen", seenAt(i).Format(`"`+time.RFC3339Nano+`"`))
	add("born", time.Unix(0, 0).UTC().AddDate(0, 0, i).Format(`"`+time.DateOnly+`"`))
	add("at", time.Unix(int64(i), 0).UTC().Format(`"`+time.RFC3339+`"`))
	add("price", decimal(i-5, 2))
	add("fixed", decimal(i-7, 1))
	add("plan", fmt.Sprintf("%q", u.Plan))
	add("note", fmt.Sprintf("%q", u.Note))
	add("tags", strings.ReplaceAll(fmt.Sprintf("%q", u.Tags), " ", ","))
	add("bare", strings.ReplaceAll(fmt.Sprint(u.Bare), " ", ","))
	add("prefs", fmt.Sprintf(`{"k":%d}`, i))
	if u.Seats != nil {
		add("seats", fmt.Sprint(*u.Seats))
	}
	if u.Address != nil {
		zip := ""
		if u.Address.Zip != nil {
			zip = fmt.Sprintf(`,"zip":%d`, *u.Address.Zip)
		}
		add("address", `{"city":"Rome"`+zip+"}")
	}
	pipeline.SortMembers(&properties)
	return `{"user_properties":` + string(properties.AppendJSON(nil)) + "}"
}

// A wanted column that cannot be read is an error that names the column and the reason.
func TestParquetUnsupported(t *testing.T) {
	interval := "testdata/duckdb-interval.parquet"
	for _, test := range []struct {
		mapping Mapping
		want    string
	}{
		{Mapping{}, ""},
		{Mapping{Properties: []string{"span"}}, "column span: an interval column cannot be user_properties.span"},
		{Mapping{Carry: []string{"nested"}}, "column nested: an interval column cannot be carried"},
		{Mapping{Properties: []string{"nested.since"}}, "column nested.since: an interval column cannot be"},
	} {
		t.Run(fmt.Sprintf("%+v", test.mapping), func(t *testing.T) {
			in, err := Open(filesAt(interval), Options{Mapping: test.mapping})
			if test.want == "" {
				if err != nil {
					t.Errorf("not wanted: %v", err)
					return
				}
				if rows, err := readAll(in); err != nil || joinIDs(rows) != "1:a" {
					t.Errorf("not wanted: %s, %v", joinIDs(rows), err)
				}
				mustClose(t, in)
			} else if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), interval) {
				t.Errorf("%+v: %v, want %q", test.mapping, err, test.want)
			}
		})
	}
	bson := parquetBytes(t, withID(t, 1, parquetColumn{node: leafNode(t, "b", parquet.Repetitions.Required,
		schema.BSONLogicalType{}, parquet.Types.ByteArray, -1), values: []string{"x"}}))
	if _, err := readRows(t, "u.parquet", bson, Options{Mapping: Mapping{Properties: []string{"b"}}}); err == nil ||
		!strings.Contains(err.Error(), "column b: a BSON column cannot be user_properties.b") {
		t.Errorf("BSON: %v", err)
	}
	// The encoding of a page is known only when it is read, and the codec of a column when its row group begins.
	double := parquetBytes(t, withID(t, 1, parquetColumn{node: leafNode(t, "x", parquet.Repetitions.Required, nil,
		parquet.Types.Double, -1), values: []float64{1}}),
		parquet.WithDictionaryDefault(false), parquet.WithCompression(compress.Codecs.Snappy))
	// plain, and the encodings of levels: of the last column
	page := bytes.LastIndex(double, []byte{0x15, 0, 0x15, 6, 0x15, 6})
	double[page+1] = 2 * 4 // BIT_PACKED
	_, err := readRows(t, "u.parquet", double, Options{Mapping: Mapping{Properties: []string{"x"}}})
	if err == nil || !strings.Contains(err.Error(), "u.parquet: column x: the encoding BIT_PACKED of values of type "+
		"DOUBLE cannot be read") || pipeline.Hint(err) == "" {
		t.Errorf("BIT_PACKED: %v", err)
	}
	// the path in the column's metadata, and behind it the codec
	lzo := bytes.ReplaceAll(double, []byte("x\x15\x02"), []byte("x\x15\x06"))
	_, err = readRows(t, "u.parquet", lzo, Options{Mapping: Mapping{Properties: []string{"x"}}})
	if err == nil || !strings.Contains(err.Error(), "u.parquet: column x: the compression LZO cannot be read") ||
		pipeline.Hint(err) == "" {
		t.Errorf("LZO: %v", err)
	}
}

// Damaged files of every writer, codec and encoding result in rows or an error: no panic, no hang, and no gigabytes.
func TestParquetDamaged(t *testing.T) {
	var files [][]byte
	paths, err := filepath.Glob("testdata/*.parquet")
	if err != nil || len(paths) < 13 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	for _, opts := range parquetVariants() {
		files = append(files, smallParquet(t, opts...))
	}
	mutations := 0
	for f, good := range files {
		rng := rand.New(rand.NewPCG(uint64(f), 7))
		footer := int(binary.LittleEndian.Uint32(good[len(good)-8:]))
		start := len(good) - 8 - footer
		for i := range 24 {
			data := bytes.Clone(good)
			switch i % 6 {
			case 0: // a bit
				data[rng.IntN(start)] ^= 1 << rng.IntN(8)
			case 1: // bytes of pages
				for range 1 + rng.IntN(8) {
					data[4+rng.IntN(start-4)] = byte(rng.Uint32())
				}
			case 2: // bytes of the footer
				for range 1 + rng.IntN(3) {
					data[start+rng.IntN(footer)] = byte(rng.Uint32())
				}
			case 3: // the end, but for the footer, so that it is a file still
				cut := 4 + rng.IntN(start-4)
				data = slices.Concat(data[:cut], data[start:])
			case 4: // a piece elsewhere
				from, to, n := rng.IntN(start), rng.IntN(start), rng.IntN(start)
				copy(data[to:start], bytes.Clone(data[from:min(start, from+n)]))
			case 5: // the header of a page, which often begins like this
				if at := bytes.Index(data[rng.IntN(start):], []byte{0x15, 0x00, 0x15}); at >= 0 {
					for j := range 12 {
						data[min(at+j, len(data)-1)] = byte(rng.Uint32())
					}
				}
			}
			// The limit is for all allocations, most of which are soon garbage: undamaged files need up to 20 MB.
			if n := measureAllocation(func() { readDamaged(t, data) }); n > 160<<20 {
				t.Errorf("file %d, mutation %d: %d MiB allocated", f, i, n>>20)
			}
			mutations++
		}
	}
	if mutations < 400 {
		t.Errorf("%d mutations", mutations)
	}
}
