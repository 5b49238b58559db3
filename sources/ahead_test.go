package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/google/go-cmp/cmp"
	xtypes "github.com/xitongsys/parquet-go/types"
	"github.com/xitongsys/parquet-go/writer"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// readWith reads all rows, and renders everything that an Input says about them.
func readWith(tb testing.TB, files []File, opts Options, ahead aheadOptions) []string {
	tb.Helper()
	opts.ahead = ahead
	in, err := Open(files, opts)
	if err != nil {
		return []string{"Open: " + err.Error()}
	}
	var out []string
	var row pipeline.Row
	for {
		err := in.Next(&row)
		if err != nil {
			out = append(out, fmt.Sprintf("Next: %v; %s", err, pipeline.Hint(err)))
			break
		}
		if row.Bytes != 0 && row.Bytes != row.CountBytes() {
			tb.Fatalf("row %d has %d bytes, want %d", row.Number, row.Bytes, row.CountBytes())
		}
		out = append(out, fmt.Sprintf("%q file %d ragged %v damage %d failed %q", fmt.Sprint(renderRow(&row)), in.FileIndex(),
			in.Ragged(), in.DamagedIDs(), row.FailedWith))
	}
	out = append(out, fmt.Sprint("missing ", in.MissingColumns()))
	mustClose(tb, in)
	return out
}

// hostileText returns lines that are hard to cut: the pieces follow each other at random.
func hostileText(rng *rand.Rand, pieces []string, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

var csvPieces = [][]string{
	{"a,1\n", "b,\"2\"\n", "\"c\",\"3\n3\"\n", "\"d\"\"\",\"\n\n\"\r\n", "é,🦊\r\n"}, // well-formed
	{"a,1\n", "\"", "\"\"", ",", "\n", "\r\n", "\r", "x", "\"x\"", "\",\"", "\n\"", "\"\n", "\x00", " ", "null,", "é"},
	{"a,5\" disk\n", "b,\"1\n2\"\n", "c\",\"3\n", "d,4\n\n", "e\n", "f,6,\n", "g,7,8\n", "\tid,\n"},
	{"a,1\n", "b,\"oops\n", "c,3\n", "\"d\",\"4\"\n", "e,\"5\n\n\n", "f,\"\"\n"},
	{"a,1\n", "b,2\n", "\"c\",3\n", strings.Repeat("d,4\n", 400), "caf\xe9,1\n", "\"caf\n\n\xe9\",1\n"},
	{"a,1\n", strings.Repeat("x", 1<<17), "\"", strings.Repeat("y\n", 1<<16), "\n"},
}

var jsonlPieces = [][]string{
	{`{"user_id":"a","x":1}` + "\n", `{"USER_ID":"b","plan":[1,{"k":null}]}` + "\r\n", "\n", " \n", `{"user_id":1.0}` + "\n",
		`{"device_id":"é","late":true}` + "\n"},
	{`{"user_id":"a"`, `}`, "\n", `{"user_id":"b"}` + "\n", `,"plan":2`, "x\n", "\x00\n", `{"user_id":"c","User_ID":"d"}` + "\n"},
	{`{"user_id":"a"}` + "\n", `{"user_id":"` + strings.Repeat("x", 1<<19), `"}` + "\n", "\n"},
	{`{"user_id":"a"}` + "\n", `{"user_id":"b","plan":"p"}` + "\n", "{\"user_id\":\"\xe9\"}\n"},
}

// The rows do not depend on how many goroutines decode them, nor on where they cut the file.
func TestAheadSameRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 4))
	for round := range 150 {
		header := []string{"user_id,x\n", "\ufeff\"user_id\",x\r\n", "sep=,\nuser_id,x\n", "user_id\n", "\n\nuser_id,x,x\n",
			"x,user_id"}[rng.IntN(6)]
		name, pieces := "u.csv", csvPieces[round%len(csvPieces)]
		opts := Options{Pad: rng.IntN(2) == 0, NoHeader: rng.IntN(10) == 0}
		if round%3 == 2 {
			name, header, pieces = "u.jsonl", "", jsonlPieces[rng.IntN(len(jsonlPieces))]
			opts = Options{}
			opts.Mapping = Mapping{AllProperties: rng.IntN(2) == 0, Carry: []string{"plan"}, Exclude: []string{"late", "never"}}
		} else if opts.NoHeader {
			opts.Mapping.Map = map[string]string{"user_id": "c1"}
		}
		opts.Mapping.Trim = rng.IntN(4) == 0
		var files []File
		for range 1 + rng.IntN(3)/2 {
			n := rng.IntN(60)
			if len(strings.Join(pieces, "")) > 1<<16 {
				n /= 5
			}
			data := header + hostileText(rng, pieces, n)
			path := writeFile(t, name, []byte(data))
			switch rng.IntN(8) {
			case 0:
				path = writeFile(t, name+".gz", gzipBytes(t, []byte(data)))
			case 1:
				packed := zstdBytes(t, []byte(data))
				path = writeFile(t, name+".zst", packed[:len(packed)-rng.IntN(2)*min(4, len(packed))])
			}
			files = append(files, File{Path: path})
		}
		want := readWith(t, files, opts, aheadOptions{goroutines: 1})
		for range 2 {
			ahead := aheadOptions{goroutines: 2 + rng.IntN(3), most: 1 + rng.IntN(200)}
			if rng.IntN(3) == 0 {
				ahead.most = 1 << (4 + rng.IntN(14))
			}
			if diff := cmp.Diff(want, readWith(t, files, opts, ahead)); diff != "" {
				t.Fatalf("round %d, %v, %+v: one goroutine (-), several (+):\n%.3000s", round, files, ahead, diff)
			}
		}
	}
}

// Each record that is cut off is one record to parseRecord.
func FuzzFindRecordEnd(f *testing.F) {
	for _, pieces := range csvPieces[:4] {
		f.Add(strings.Join(pieces, ""))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &csvReader{lines: newLines("x", strings.NewReader(text)), csvOptions: csvOptions{comma: ','}}
		for {
			rest := slices.Clone(c.buffered(len(text)))
			got := c.findRecordEnd(rest)
			if len(rest) == 0 {
				return
			}
			problem, _, err := c.parseRecord()
			if err != nil {
				return
			}
			want := len(rest) - len(c.buffered(0))
			if quotes := strings.Contains(problem, "quote"); got != 0 && (quotes || got != want) {
				t.Fatalf("%q: a record of %d bytes, parseRecord reads %d: %q", rest, got, want, problem)
			} else if got == 0 && !quotes && strings.HasSuffix(string(rest[:want]), "\n") {
				t.Fatalf("%q: no record, but parseRecord reads %d bytes: %q", rest, want, problem)
			}
		}
	})
}

// Inspect sees the rows that Next returns, and Next what is wrong with them.
func TestInspect(t *testing.T) {
	var data strings.Builder
	data.WriteString("user_id,x\n")
	for i := range 5000 {
		fmt.Fprintf(&data, "u%d,%s\n", i, []string{"1", "\"\n\"", "1,2", "\x00"}[i%4])
	}
	path := writeFile(t, "u.csv", []byte(data.String()))
	for _, goroutines := range []int{1, 4} {
		t.Run(fmt.Sprint(goroutines), func(t *testing.T) {
			in, err := Open(filesAt(path), Options{ahead: aheadOptions{goroutines: goroutines}})
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, in)
			ids := make(chan string, 5000)
			in.Inspect(func(row *pipeline.Row) { ids <- row.User.UserID })
			var row pipeline.Row
			bad := 0
			for i := range 5000 {
				if err := in.Next(&row); err != nil || row.Number != int64(i+1) || row.User.UserID != "" || row.Input != nil {
					t.Fatalf("row %d: %+v, %v; want its number alone", i+1, row, err)
				}
				if row.Err != nil {
					bad++
				}
			}
			if err := in.Next(&row); err != io.EOF {
				t.Fatalf("after the last row: %v", err)
			}
			close(ids)
			seen := map[string]bool{}
			for id := range ids {
				seen[id] = true
			}
			if bad != 2500 || len(seen) != 2501 || !seen["u4996"] { // and ""
				t.Errorf("%d bad rows, %d ids; want 2500 and 2501", bad, len(seen))
			}
		})
	}
}

// The goroutines end with the input, and read little of what nobody asks for.
func TestAheadEnds(t *testing.T) {
	var data strings.Builder
	data.WriteString("user_id,x\n")
	for i := range 100_000 {
		fmt.Fprintf(&data, "u%d,\"%d\"\n", i, i)
	}
	long := data.String()
	for _, test := range []struct {
		name, data string
		rows       int // to read
		want       error
	}{
		{"closed at once", long, 0, nil},
		{"closed after a row", long, 1, nil},
		{"read to the end", long, 100_001, io.EOF},
		{"an error", long[:10_000] + "\xff\n" + long, 100_000, &encodingError{}},
	} {
		file := writeFile(t, "u.csv", []byte(test.data))
		// synctest ends with a panic if a goroutine does not end.
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				files := filesAt(file)
				if err := Pin(t.Context(), files); err != nil {
					t.Fatal(err)
				}
				defer Unpin(files)
				in, err := Open(files, Options{ahead: aheadOptions{goroutines: 4}})
				if err != nil {
					t.Fatal(err)
				}
				var row pipeline.Row
				for range test.rows {
					if err = in.Next(&row); err != nil {
						break
					}
				}
				if _, isEncoding := errors.AsType[*encodingError](err); err != test.want && !isEncoding {
					t.Errorf("error %v, want %v", err, test.want)
				}
				mustClose(t, in)
				if read := files[0].pin.pass.offset; test.rows == 1 && read > 512<<10 {
					t.Errorf("%d bytes were read for one row", read)
				}
			})
		})
	}
}

// nestedParquet is a file with lists and maps, in row groups of some hundred rows and pages of some kilobytes.
func nestedParquet(tb testing.TB, rows int) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := writer.NewParquetWriterFromWriter(&b, new(xitongsysUser), 1)
	if err != nil {
		tb.Fatal(err)
	}
	w.PageSize, w.RowGroupSize = 1<<10, 32<<10
	for i := range rows {
		u := xitongsysUser{Big: int64(i), Seen: xtypes.TimeToINT96(seenAt(i)), Born: int32(i), At: int64(i) * 1e6,
			Fixed: xtypes.StrIntToBinary(fmt.Sprint(i-7), "BigEndian", 3, true), Plan: []string{"free", "pro"}[i%2],
			Note: strings.Repeat("n", i%50), Prefs: map[string]int64{"k": int64(i)}}
		id := fmt.Sprintf("user-%d", i)
		u.ID = &id
		for j := range i % 7 * (i % 3) {
			u.Tags, u.Bare = append(u.Tags, fmt.Sprint("t", j)), append(u.Bare, int32(j))
		}
		if err := w.Write(u); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.WriteStop(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// The rows of a Parquet file, damaged or not, do not depend on how many goroutines decode them.
func TestAheadSameParquet(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 12))
	texts := [][]string{}
	for i := range 3000 {
		texts = append(texts, []string{fmt.Sprint("u", i), strings.Repeat("x", i%100), []string{"", "DE"}[i%2]})
	}
	header := []string{"user_id", "user_properties.p", "country"}
	var groups [][]parquetColumn
	for _, n := range []int{1, 700, 0, 1299, 1000} {
		groups, texts = append(groups, textColumns(t, header, texts[:n])), texts[n:]
	}
	huge := textColumns(t, header[:2], [][]string{{"a", strings.Repeat("x", 3<<20)}, {"b", "y"}, {"c", strings.Repeat("z", 3<<20)}})
	samples := map[string][]byte{"nested": nestedParquet(t, 2000), "huge": parquetBytes(t, huge),
		"groups": parquetGroups(t, groups, parquet.WithDataPageSize(2<<10), parquet.WithBatchSize(100))}
	for _, name := range []string{"../testdata/users.parquet", "testdata/hive-map.parquet", "testdata/duckdb-v2-zstd.parquet",
		"testdata/blob.parquet"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		samples[name] = data
	}
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		t.Run(name, func(t *testing.T) {
			for round := range 16 {
				data := slices.Clone(samples[name])
				for range rng.IntN(2) * min(round, 2) {
					data[rng.IntN(len(data))] ^= byte(1 + rng.IntN(255))
				}
				path := writeFile(t, "u.parquet", data)
				opts := Options{Mapping: Mapping{AllProperties: round%2 == 0}}
				if round%4 == 1 && name == "nested" {
					opts.Mapping = Mapping{Carry: []string{"tags", "address.city"}, Properties: []string{"prefs"}}
				}
				want := readWith(t, filesAt(path), opts, aheadOptions{goroutines: 1})
				ahead := aheadOptions{goroutines: 2 + rng.IntN(3), most: 1 + rng.IntN(300)}
				if diff := cmp.Diff(want, readWith(t, filesAt(path), opts, ahead)); diff != "" {
					t.Fatalf("round %d, %+v: one goroutine (-), several (+):\n%.3000s", round, ahead, diff)
				}
			}
		})
	}
}
