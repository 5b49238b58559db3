package sinks

import (
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
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/google/go-cmp/cmp"
	"github.com/xitongsys/parquet-go-source/local"
	"github.com/xitongsys/parquet-go/reader"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// openParquet writes the outcomes and opens the file.
func openParquet(t *testing.T, spec Spec, outcomes []pipeline.Outcome) (*file.Reader, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.parquet")
	out, err := Create(path, spec)
	writeFile(t, out, err, outcomes)
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, path
}

func TestParquetSchema(t *testing.T) {
	r, _ := openParquet(t, Spec{
		Carry: goldenCarry, Version: "1.2.3", Meta: map[string]string{"rollcall.run": "r-1", "rollcall.options": "{}"},
	}, goldenOutcomes())
	var got []string
	for i := range r.MetaData().Schema.NumColumns() {
		c := r.MetaData().Schema.Column(i)
		got = append(got, fmt.Sprintf("%s %s %s %s", c.SchemaNode().RepetitionType(), c.PhysicalType(), c.Name(),
			c.LogicalType()))
	}
	millis := "Timestamp(isAdjustedToUTC=true, timeUnit=milliseconds, is_from_converted_type=false, " +
		"force_set_converted_type=false)"
	want := []string{
		"required INT64 row_number None",
		"optional BYTE_ARRAY user_id String",
		"optional BYTE_ARRAY device_id String",
		"required BYTE_ARRAY flag_key String",
		"required BYTE_ARRAY outcome String",
		"optional BYTE_ARRAY variant String",
		"optional BYTE_ARRAY payload String",
		"optional BYTE_ARRAY experiment_key String",
		"required INT64 evaluated_at " + millis,
		"optional BYTE_ARRAY plan String",
		"optional INT64 seats None",
		"optional DOUBLE score None",
		"optional BOOLEAN beta None",
		"optional INT32 since Date",
		"optional INT64 seen " + strings.Replace(millis, "milli", "micro", 1),
		"optional BYTE_ARRAY tags String",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}
	meta := r.MetaData()
	if got := meta.GetCreatedBy(); got != "rollcall version 1.2.3" {
		t.Errorf("created_by %q", got)
	}
	keys := []string{"rollcall.options", "rollcall.run"} // sorted: the same options, the same bytes
	if got := meta.KeyValueMetadata().Keys(); !slices.Equal(got, keys) {
		t.Errorf("metadata keys %q, want %q", got, keys)
	}
	if v := meta.KeyValueMetadata().FindValue("rollcall.run"); v == nil || *v != "r-1" {
		t.Errorf("metadata rollcall.run %v", v)
	}
	for i := range meta.Schema.NumColumns() {
		chunk, err := meta.RowGroup(0).ColumnChunk(i)
		if err != nil {
			t.Fatal(err)
		}
		if chunk.Compression() != compress.Codecs.Zstd {
			t.Errorf("column %d is compressed with %s", i, chunk.Compression())
		}
		if ok, err := chunk.StatsSet(); !ok || err != nil {
			t.Errorf("column %d has no statistics (%v)", i, err)
		}
	}
}

// TestParquetDictionaries: columns that repeat have a dictionary. In the long layout the users' columns repeat; in the
// wide layout they do not, and have none.
func TestParquetDictionaries(t *testing.T) {
	outcomes := benchOutcomes(100)
	for i := range outcomes {
		o := &outcomes[i]
		o.Row.Number = int64(i + 1)
		o.Row.User.UserID = fmt.Sprint("user ", i)
		o.Row.Carry = []pipeline.Value{pipeline.BoolValue(i%2 == 0), {}}
	}
	carry := []pipeline.Column{{Name: "beta", Type: pipeline.TypeBool}, {Name: "nothing"}}
	for _, test := range []struct {
		spec    Spec
		without []string
	}{
		{Spec{Carry: carry}, []string{"device_id", "beta", "nothing"}},
		{Spec{Carry: carry, Include: []string{"evaluation_id"}}, []string{"device_id", "evaluation_id", "beta", "nothing"}},
		{Spec{Carry: carry, Wide: true, Flags: benchFlags},
			[]string{"row_number", "user_id", "device_id", "evaluated_at", "beta", "nothing"}},
	} {
		t.Run(fmt.Sprintf("wide %v, including %v", test.spec.Wide, test.spec.Include), func(t *testing.T) {
			r, path := openParquet(t, test.spec, outcomes)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var without []string
			for i := range r.MetaData().Schema.NumColumns() {
				chunk, err := r.MetaData().RowGroup(0).ColumnChunk(i)
				if err != nil {
					t.Fatal(err)
				}
				if !chunk.HasDictionaryPage() {
					without = append(without, r.MetaData().Schema.Column(i).Name())
				} else if page := data[chunk.DictionaryPageOffset():]; string(page[:2]) != "\x15\x04" {
					t.Errorf("column %d: where its dictionary page should be is % x", i, page[:2])
				}
				if page := data[chunk.DataPageOffset():]; string(page[:2]) != "\x15\x00" {
					t.Errorf("column %d: where its first data page should be is % x", i, page[:2])
				}
			}
			if diff := cmp.Diff(test.without, without); diff != "" {
				t.Errorf("%+v: columns without a dictionary (-want +got):\n%s", test.spec, diff)
			}
		})
	}
}

// readStatistics returns the minimum and maximum text and the nulls of a column of the first row group.
func readStatistics(t *testing.T, r *file.Reader, name string) (low, high string, nulls int64) {
	t.Helper()
	chunk, err := r.MetaData().RowGroup(0).ColumnChunk(r.MetaData().Schema.ColumnIndexByName(name))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := chunk.Statistics()
	if err != nil {
		t.Fatal(err)
	}
	s := stats.(*metadata.ByteArrayStatistics)
	return string(s.Min()), string(s.Max()), s.NullCount()
}

func TestParquetStatistics(t *testing.T) {
	r, _ := openParquet(t, Spec{Carry: goldenCarry}, goldenOutcomes())
	for name, want := range map[string][]any{
		"user_id":  {"ana", "ana", int64(2)},
		"flag_key": {"checkout", "dark-mode", int64(0)},
		"variant":  {"control", "treatment", int64(1)},
		"payload":  {"-1", `{"title": "Buy \"now\"", "n": 1}`, int64(1)},
		"plan":     {"pro, annual", "pro, annual", int64(2)},
	} {
		t.Run(name, func(t *testing.T) {
			low, high, nulls := readStatistics(t, r, name)
			if diff := cmp.Diff(want, []any{low, high, nulls}); diff != "" {
				t.Errorf("statistics of %s (-want +got):\n%s", name, diff)
			}
		})
	}

	// The empty text is the smallest.
	outcomes := []pipeline.Outcome{{
		Row:         pipeline.Row{Carry: []pipeline.Value{pipeline.StringValue("")}},
		Assignments: []pipeline.Assignment{{}, {Variant: pipeline.Variant{FlagKey: "f"}}},
	}}
	r, _ = openParquet(t, Spec{Carry: []pipeline.Column{{Name: "c"}}}, outcomes)
	for name, want := range map[string][]any{"c": {"", "", int64(0)}, "flag_key": {"", "f", int64(0)}} {
		low, high, nulls := readStatistics(t, r, name)
		if diff := cmp.Diff(want, []any{low, high, nulls}); diff != "" {
			t.Errorf("statistics of %s (-want +got):\n%s", name, diff)
		}
	}
}

// TestParquetZeros: a minimum of zero is -0, and a maximum of zero is +0.
func TestParquetZeros(t *testing.T) {
	for _, zero := range []float64{0, math.Copysign(0, -1)} {
		t.Run(fmt.Sprint(zero), func(t *testing.T) {
			r, _ := openParquet(t, Spec{Carry: []pipeline.Column{{Name: "c", Type: pipeline.TypeFloat}}}, []pipeline.Outcome{{
				Row: pipeline.Row{Carry: []pipeline.Value{pipeline.FloatValue(zero)}}, Assignments: make([]pipeline.Assignment, 1),
			}})
			chunk, err := r.MetaData().RowGroup(0).ColumnChunk(9)
			if err != nil {
				t.Fatal(err)
			}
			stats, err := chunk.Statistics()
			if err != nil {
				t.Fatal(err)
			}
			if low, high := stats.EncodeMin(), stats.EncodeMax(); string(low) != "\x00\x00\x00\x00\x00\x00\x00\x80" ||
				string(high) != "\x00\x00\x00\x00\x00\x00\x00\x00" {
				t.Errorf("%v: from % x to % x, want from -0 to +0", zero, low, high)
			}
		})
	}
}

// TestParquetRowGroups: they have 128 Ki rows each, also if that splits a user, and no row is lost.
func TestParquetRowGroups(t *testing.T) {
	const users, flags = 43_700, 3
	path := filepath.Join(t.TempDir(), "out.parquet")
	out, err := Create(path, Spec{})
	if err != nil {
		t.Fatal(err)
	}
	o := pipeline.Outcome{Assignments: make([]pipeline.Assignment, flags)}
	for i := range users {
		o.Row.Number, o.At = int64(i+1), time.UnixMilli(int64(i))
		o.Row.User.UserID = fmt.Sprintf("user-%d", i)
		for j := range o.Assignments {
			a := &o.Assignments[j]
			a.FlagKey, a.Key = fmt.Sprintf("flag-%d", j), ""
			if a.Assigned = (i+j)%7 > 0; a.Assigned {
				a.Key = "on"
			}
		}
		if err := out.Write(&o); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, out, nil, nil)

	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.NumRowGroups() != 2 || r.RowGroup(0).NumRows() != 128<<10 || r.NumRows() != users*flags {
		t.Fatalf("%d row groups, the first with %d rows, %d rows in all; want 2, %d, %d",
			r.NumRowGroups(), r.RowGroup(0).NumRows(), r.NumRows(), 128<<10, users*flags)
	}
	rowNumbers := readInts(t, r, 0)
	for n := range users * flags {
		if rowNumbers[n] != int64(n/flags+1) {
			t.Fatalf("row %d has the row number %d", n, rowNumbers[n])
		}
	}
	variants, err := xitongsysColumn(path, 5)
	if err != nil {
		t.Fatal(err)
	}
	for n, got := range variants {
		if i, j := n/flags, n%flags; (got == "on") != ((i+j)%7 > 0) {
			t.Fatalf("xitongsys: the variant of row %d is %v", n, got)
		}
	}
}

// readInts returns the values of a column that is never null.
func readInts(t *testing.T, r *file.Reader, column int) (ints []int64) {
	t.Helper()
	for g := range r.NumRowGroups() {
		c, err := r.RowGroup(g).Column(column)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]int64, r.RowGroup(g).NumRows())
		for done := 0; done < len(values); {
			_, n, err := c.(*file.Int64ColumnChunkReader).ReadBatch(int64(len(values)-done), values[done:], nil, nil)
			if err != nil || n == 0 {
				t.Fatalf("row group %d ends after %d of %d: %v", g, done, len(values), err)
			}
			done += n
		}
		ints = append(ints, values...)
	}
	return ints
}

// xitongsysColumn returns a column as the other reader reads it.
func xitongsysColumn(path string, column int64) ([]any, error) {
	f, err := local.NewLocalFileReader(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := reader.NewParquetColumnReader(f, 1)
	if err != nil {
		return nil, err
	}
	defer r.ReadStop()
	values, _, _, err := r.ReadColumnByIndex(column, r.GetNumRows())
	return values, err
}

// TestParquetLargePayloads: dictionaries that are dropped or get too large, and row groups that get too large for the
// memory.
func TestParquetLargePayloads(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	payload := func(n int) string { // hardly compressible
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('!' + random.IntN(90))
		}
		return string(pipeline.AppendJSONString(nil, string(b)))
	}
	for _, test := range []struct {
		rows, bytes, groups int
		repeats             int  // rows at first that have one of three payloads
		dictionary, plain   bool // pages
	}{
		{9000, 300, 1, 0, false, true},       // unique, and over the dictionary's limit before the first page ends
		{3000, 300, 1, 0, false, true},       // unique
		{40_000, 300, 1, 20_000, true, true}, // over the limit in the second page
		{20_000, 300, 1, 20_000, true, false},
		{120, 90_000, 2, 0, false, true},
		{120, 90_000, 1, 120, true, false},
		{5, 2 << 20, 2, 0, false, true}, // larger than any dictionary
	} {
		t.Run(fmt.Sprintf("%d payloads of %d bytes, %d repeated", test.rows, test.bytes, test.repeats), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.parquet")
			out, err := Create(path, Spec{})
			if err != nil {
				t.Fatal(err)
			}
			out.parquet.groupBytes = 6 << 20
			o := pipeline.Outcome{Assignments: make([]pipeline.Assignment, 1)}
			o.Assignments[0].Assigned = true
			var want []pipelinetest.Cell
			for i := range test.rows {
				o.Row.Number = int64(i + 1)
				o.Assignments[0].FlagKey = "f"
				o.Assignments[0].Payload = ""
				switch {
				case i%10 == 0:
				case i > 10 && i < test.repeats:
					o.Assignments[0].Payload = want[1+i%3].Text
				default:
					o.Assignments[0].Payload = payload(test.bytes)
				}
				want = append(want, pipelinetest.Cell{Text: o.Assignments[0].Payload, Null: i%10 == 0})
				if err := out.Write(&o); err != nil {
					t.Fatal(err)
				}
			}
			writeFile(t, out, nil, nil)
			if out.parquet.columns[6].plain {
				t.Error("the next row group would not get a dictionary")
			}

			r, err := file.OpenParquetFile(path, false)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.NumRowGroups(); got != test.groups {
				t.Errorf("%d payloads of %d bytes: %d row groups, want %d", test.rows, test.bytes, got, test.groups)
			}
			chunk, err := r.MetaData().RowGroup(0).ColumnChunk(6)
			if err != nil {
				t.Fatal(err)
			}
			if got := chunk.HasDictionaryPage(); got != test.dictionary {
				t.Errorf("%d payloads of %d bytes: dictionary %v, want %v", test.rows, test.bytes, got, test.dictionary)
			}
			// A column that starts with a dictionary and continues without it lists plain twice: once for the dictionary.
			plain := 0
			for _, encoding := range chunk.Encodings() {
				if encoding == parquet.Encodings.Plain {
					plain++
				}
			}
			if (plain == 2 || plain == 1 && !test.dictionary) != test.plain {
				t.Errorf("%d payloads of %d bytes: encodings %v, want plain pages: %v", test.rows, test.bytes, chunk.Encodings(),
					test.plain)
			}
			r.Close()
			for name, read := range map[string]func(string) (pipelinetest.Table, error){"arrow": readArrow,
				"xitongsys": readXitongsys} {
				table, err := read(path)
				if err != nil {
					t.Fatalf("%d payloads of %d bytes, read by %s: %v", test.rows, test.bytes, name, err)
				}
				if len(table.Rows) != test.rows {
					t.Fatalf("%s reads %d rows, want %d", name, len(table.Rows), test.rows)
				}
				for i, row := range table.Rows {
					if row[0].Text != fmt.Sprint(i+1) || row[6] != want[i] {
						t.Fatalf("%d payloads of %d bytes: %s reads row %d wrong", test.rows, test.bytes, name, i+1)
					}
				}
			}
		})
	}
}

// TestParquetNames: the file can be read whatever the names of its columns are.
func TestParquetNames(t *testing.T) {
	names := []string{"", ".", "a.b", "a..b", "schema", "list.element", "日本", "User_ID", "tab\t",
		strings.Repeat("n", 1000), "a\x00b", "Ünï"}
	var spec Spec
	outcomes := []pipeline.Outcome{{Assignments: make([]pipeline.Assignment, 1)}}
	for _, name := range names {
		spec.Carry = append(spec.Carry, pipeline.Column{Name: name})
		outcomes[0].Row.Carry = append(outcomes[0].Row.Carry, pipeline.StringValue("value of "+name))
	}
	_, path := openParquet(t, spec, outcomes)
	table, err := readArrow(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, table.Columns[9:]); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for i, c := range table.Rows[0][9:] {
		if c.Text != "value of "+names[i] {
			t.Errorf("column %q holds %q", names[i], c.Text)
		}
	}
}
