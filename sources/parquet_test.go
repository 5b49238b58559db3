package sources

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// withID puts a column of ids before the columns, so that the rows are users.
func withID(tb testing.TB, n int, cols ...parquetColumn) []parquetColumn {
	tb.Helper()
	id := parquetColumn{node: leafNode(tb, "user_id", parquet.Repetitions.Required, schema.StringLogicalType{},
		parquet.Types.ByteArray, -1)}
	var values []string
	for i := range n {
		values = append(values, fmt.Sprintf("u%d", i+1))
	}
	id.values = values
	return append([]parquetColumn{id}, cols...)
}

func TestParquetTypes(t *testing.T) {
	opt := parquet.Repetitions.Optional
	int96Of := func(day uint32, nanos uint64) (v parquet.Int96) {
		binary.LittleEndian.PutUint64(v[:8], nanos)
		binary.LittleEndian.PutUint32(v[8:], day)
		return v
	}
	ms := time.Date(2024, 2, 29, 12, 30, 15, 250e6, time.UTC)
	for _, test := range []struct {
		name    string
		logical schema.LogicalType
		typ     parquet.Type
		length  int
		values  any
		want    []string // as JSON; "!" begins a bad row
		typed   pipeline.Type
	}{
		{"string", schema.StringLogicalType{}, parquet.Types.ByteArray, -1, []string{"a", "é", ""},
			[]string{`"a"`, `"é"`, `""`}, pipeline.TypeString},
		{"binary", nil, parquet.Types.ByteArray, -1, []string{"a", "\xff"}, []string{`"a"`, "!not valid UTF-8"},
			pipeline.TypeString},
		{"enum", schema.EnumLogicalType{}, parquet.Types.ByteArray, -1, []string{"RED"}, []string{`"RED"`},
			pipeline.TypeString},
		{"json", schema.JSONLogicalType{}, parquet.Types.ByteArray, -1, []string{`{"b":1.0,"a":[]}`, `{`},
			[]string{`{"a":[],"b":1.0}`, "!not JSON"}, pipeline.TypeJSON},
		{"bool", nil, parquet.Types.Boolean, -1, []bool{true, false}, []string{"true", "false"}, pipeline.TypeBool},
		{"int8", schema.NewIntLogicalType(8, true), parquet.Types.Int32, -1, []int32{-128, 127}, []string{"-128", "127"},
			pipeline.TypeInt},
		{"int16", schema.NewIntLogicalType(16, true), parquet.Types.Int32, -1, []int32{-32768}, []string{"-32768"},
			pipeline.TypeInt},
		{"int32", nil, parquet.Types.Int32, -1, []int32{math.MinInt32, math.MaxInt32}, []string{"-2147483648", "2147483647"},
			pipeline.TypeInt},
		{"int64", nil, parquet.Types.Int64, -1, []int64{math.MinInt64, math.MaxInt64},
			[]string{"-9223372036854775808", "9223372036854775807"}, pipeline.TypeInt},
		{"uint8", schema.NewIntLogicalType(8, false), parquet.Types.Int32, -1, []int32{255}, []string{"255"},
			pipeline.TypeInt},
		{"uint32", schema.NewIntLogicalType(32, false), parquet.Types.Int32, -1, []int32{-1}, []string{"4294967295"},
			pipeline.TypeInt},
		{"uint64", schema.NewIntLogicalType(64, false), parquet.Types.Int64, -1, []int64{-1, 5},
			[]string{"18446744073709551615", "5"}, pipeline.TypeString},
		{"float", nil, parquet.Types.Float, -1, []float32{0.1, 1e30, float32(math.NaN())}, []string{"0.1", "1e+30", ""},
			pipeline.TypeFloat},
		{"double", nil, parquet.Types.Double, -1, []float64{0.1, 12, math.Inf(1)}, []string{"0.1", "12", ""},
			pipeline.TypeFloat},
		{"decimal32", schema.NewDecimalLogicalType(9, 2), parquet.Types.Int32, -1, []int32{12345, -5, 0},
			[]string{`"123.45"`, `"-0.05"`, `"0.00"`}, pipeline.TypeDecimal},
		{"decimal64", schema.NewDecimalLogicalType(18, 0), parquet.Types.Int64, -1, []int64{123456789012345678},
			[]string{`"123456789012345678"`}, pipeline.TypeDecimal},
		{"decimal fixed", schema.NewDecimalLogicalType(20, 3), parquet.Types.FixedLenByteArray, 9,
			[]string{"\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x01\x00\x00\x00\x00\x00\x00\x00\x00"},
			[]string{`"-0.001"`, `"18446744073709551.616"`}, pipeline.TypeDecimal},
		{"decimal bytes", schema.NewDecimalLogicalType(38, 1), parquet.Types.ByteArray, -1,
			[]string{"\x7f", "\x80", strings.Repeat("x", 65)}, []string{`"12.7"`, `"-12.8"`, "!more than 64 bytes"},
			pipeline.TypeDecimal},
		{"date", schema.DateLogicalType{}, parquet.Types.Int32, -1, []int32{0, 19782, -1, math.MaxInt32},
			[]string{`"1970-01-01"`, `"2024-02-29"`, `"1969-12-31"`, "!a date outside"}, pipeline.TypeDate},
		{"timestamp ms", schema.NewTimestampLogicalType(true, schema.TimeUnitMillis), parquet.Types.Int64, -1,
			[]int64{ms.UnixMilli(), math.MaxInt64}, []string{`"2024-02-29T12:30:15.25Z"`, "!a timestamp outside"},
			pipeline.TypeTimestamp},
		{"timestamp us", schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, -1,
			[]int64{ms.UnixMicro() + 1, -1}, []string{`"2024-02-29T12:30:15.250001Z"`, `"1969-12-31T23:59:59.999999Z"`},
			pipeline.TypeTimestamp},
		{"timestamp ns", schema.NewTimestampLogicalType(false, schema.TimeUnitNanos), parquet.Types.Int64, -1,
			[]int64{ms.UnixNano() + 1}, []string{`"2024-02-29T12:30:15.250000001Z"`}, pipeline.TypeTimestamp},
		{"int96", nil, parquet.Types.Int96, -1, []parquet.Int96{int96Of(2440588, 0), int96Of(2440587, 1e9),
			int96Of(1<<31, 0)}, []string{`"1970-01-01T00:00:00Z"`, `"1969-12-31T00:00:01Z"`, "!a timestamp outside"},
			pipeline.TypeTimestamp},
		{"time", schema.NewTimeLogicalType(true, schema.TimeUnitMillis), parquet.Types.Int32, -1, []int32{3723500, -1},
			[]string{`"01:02:03.5"`, "!a time outside"}, pipeline.TypeString},
		{"uuid", schema.UUIDLogicalType{}, parquet.Types.FixedLenByteArray, 16,
			[]string{"\x0f\x8f\xad\x5b\xd9\xcb\x46\x9f\xa1\x65\x70\x86\x77\x28\x95\x0e"},
			[]string{`"0f8fad5b-d9cb-469f-a165-70867728950e"`}, pipeline.TypeString},
	} {
		for _, dictionary := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/dictionary=%v", test.name, dictionary), func(t *testing.T) {
				n := len(test.want)
				c := parquetColumn{node: leafNode(t, "user_properties.p", opt, test.logical, test.typ, test.length),
					values: test.values}
				for range n {
					c.defs = append(c.defs, 1)
				}
				c.defs = append(c.defs, 0) // a null comes last
				data := parquetBytes(t, withID(t, n+1, c), parquet.WithDictionaryDefault(dictionary))
				in, err := Open(filesAt(writeFile(t, "u.parquet", data)),
					Options{Mapping: Mapping{Carry: []string{"user_properties.p"}}})
				if err != nil {
					t.Fatal(err)
				}
				defer mustClose(t, in)
				if c := in.Carry()[0]; c.Type != test.typed {
					t.Errorf("the type is %s, want %s", c.Type, test.typed)
				}
				rows, err := readAll(in)
				if err != nil || len(rows) != n+1 {
					t.Fatalf("%d rows, %v", len(rows), err)
				}
				for i, want := range append(test.want, "") {
					r := rows[i]
					if why, bad := strings.CutPrefix(want, "!"); bad {
						if !strings.HasPrefix(r.Err, "bad_row: column user_properties.p: ") || !strings.Contains(r.Err, why) ||
							r.ID == "" || r.Input != "" {
							t.Errorf("row %d: %+v, want a bad row: %s", i+1, r, why)
						}
						continue
					}
					context := `{"user_properties":{"p":` + want + `}}`
					carry := "[" + want + "]"
					if want == "" {
						context, carry = "{}", "[null]"
					}
					if r.Context != context || r.Carry != carry || r.Err != "" {
						t.Errorf("row %d: %+v, want the context %s", i+1, r, context)
					}
				}
			})
		}
	}
}

// Ids and fields are strings in the API: typed values become their exact digits.
func TestParquetTypedIDs(t *testing.T) {
	req := parquet.Repetitions.Required
	data := parquetBytes(t, []parquetColumn{
		{node: leafNode(t, "user_id", req, nil, parquet.Types.Int64, -1), values: []int64{9007199254740993, 0}},
		{node: leafNode(t, "device_id", parquet.Repetitions.Optional, nil, parquet.Types.Double, -1),
			values: []float64{12, math.NaN()}, defs: []int16{1, 1}},
		{node: leafNode(t, "version", req, nil, parquet.Types.Int32, -1), values: []int32{7, 8}},
		{node: leafNode(t, "groups.org", req, nil, parquet.Types.Int32, -1), values: []int32{1, 2}},
		{node: leafNode(t, "__index_level_0__", req, nil, parquet.Types.Int64, -1), values: []int64{0, 1}},
	})
	rows, err := readRows(t, "u.parquet", data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []got{
		{Number: 1, ID: "9007199254740993", Dev: "12", Context: `{"groups":{"org":["1"]},"version":"7"}`,
			Input: `{"user_id":9007199254740993,"device_id":12,"version":7,"groups.org":1}`},
		{Number: 2, ID: "0", Context: `{"groups":{"org":["2"]},"version":"8"}`,
			Input: `{"user_id":0,"device_id":null,"version":8,"groups.org":2}`},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

func newGroup(tb testing.TB, name string, rep parquet.Repetition, logical schema.LogicalType,
	fields ...schema.Node) schema.Node {
	tb.Helper()
	var n schema.Node
	var err error
	if logical == nil {
		n, err = schema.NewGroupNode(name, rep, fields, -1)
	} else {
		n, err = schema.NewGroupNodeLogical(name, rep, fields, logical, -1)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// Structs and maps are objects, lists are lists, in all the forms that writers have used.
func TestParquetNested(t *testing.T) {
	opt, req, rep := parquet.Repetitions.Optional, parquet.Repetitions.Required, parquet.Repetitions.Repeated
	text := func(name string, r parquet.Repetition) schema.Node {
		return leafNode(t, name, r, schema.StringLogicalType{}, parquet.Types.ByteArray, -1)
	}
	cols := withID(t, 5,
		parquetColumn{node: newGroup(t, "user_properties", opt, nil, text("plan", opt),
			leafNode(t, "seats", req, nil, parquet.Types.Int32, -1)),
			values: []string{"pro"}, defs: []int16{2, 1, 0, 0, 0}},
		parquetColumn{values: []int32{1, 2}, defs: []int16{1, 1, 0, 0, 0}},
		parquetColumn{node: newGroup(t, "tags", opt, schema.ListLogicalType{},
			newGroup(t, "list", rep, nil, text("element", opt))),
			values: []string{"a", "b", "c"}, defs: []int16{3, 3, 0, 1, 2, 3, 1}, reps: []int16{0, 1, 0, 0, 0, 1, 0}},
		parquetColumn{node: newGroup(t, "old", req, schema.ListLogicalType{}, text("array", rep)),
			values: []string{"x", "y"}, defs: []int16{1, 1, 0, 0, 0, 0}, reps: []int16{0, 1, 0, 0, 0, 0}},
		parquetColumn{node: leafNode(t, "bare", rep, nil, parquet.Types.Int64, -1),
			values: []int64{7}, defs: []int16{0, 0, 0, 0, 1}, reps: []int16{0, 0, 0, 0, 0}},
		parquetColumn{node: newGroup(t, "attrs", opt, schema.MapLogicalType{},
			newGroup(t, "key_value", rep, nil, text("key", req), text("value", opt))),
			values: []string{}, defs: []int16{0, 0, 0, 0, 0}, reps: []int16{0, 0, 0, 0, 0}},
		parquetColumn{values: []string{}, defs: []int16{0, 0, 0, 0, 0}, reps: []int16{0, 0, 0, 0, 0}},
	)
	data := parquetBytes(t, cols)
	rows, err := readRows(t, "u.parquet", data, Options{Mapping: Mapping{Properties: []string{"tags", "old", "bare"},
		Carry: []string{"tags"}}})
	if err != nil {
		t.Fatal(err)
	}
	var contexts, carried []string
	for _, r := range rows {
		contexts = append(contexts, r.Context+r.Err)
		carried = append(carried, r.Carry)
	}
	want := []string{
		`{"user_properties":{"bare":[],"old":["x","y"],"plan":"pro","seats":1,"tags":["a","b"]}}`,
		`{"user_properties":{"bare":[],"old":[],"seats":2}}`,
		`{"user_properties":{"bare":[],"old":[],"tags":[]}}`,
		`{"user_properties":{"bare":[],"old":[],"tags":[null,"c"]}}`,
		`{"user_properties":{"bare":[7],"old":[],"tags":[]}}`,
	}
	if diff := cmp.Diff(want, contexts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`[["a","b"]]`, `[null]`, `[[]]`, `[[null,"c"]]`, `[[]]`}, carried); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		mapping Mapping
		want    string
	}{
		{Mapping{Map: map[string]string{"country": "attrs"}},
			"column attrs: a column that holds maps from texts to texts cannot be country"},
		{Mapping{Map: map[string]string{"device_id": "tags"}},
			"column tags: a column that holds lists of texts cannot be device_id"},
		{Mapping{Carry: []string{"user_properties.pln"}}, `no column "user_properties.pln"`},
	} {
		t.Run(test.want, func(t *testing.T) {
			if _, err := readRows(t, "u.parquet", data, Options{Mapping: test.mapping}); err == nil ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v: %v, want %q", test.mapping, err, test.want)
			}
		})
	}
	// A part of a struct is a column too if an option names it.
	m := Mapping{Map: map[string]string{"country": "user_properties.plan"}, Carry: []string{"User_Properties.Seats"}}
	if rows, err := readRows(t, "u.parquet", data, Options{Mapping: m}); err != nil ||
		rows[0].Context != `{"country":"pro","user_properties":{"plan":"pro","seats":1}}` ||
		rows[0].Carry != "[1]" || rows[4].Context != "{}" || rows[4].Carry != "[null]" {
		t.Errorf("%+v, %v", rows, err)
	}
}

// A column of objects may be all of user_properties, groups, group_properties or context.
func TestParquetObjectsOfTheUser(t *testing.T) {
	opt, req, rep := parquet.Repetitions.Optional, parquet.Repetitions.Required, parquet.Repetitions.Repeated
	text := func(name string) schema.Node {
		return leafNode(t, name, opt, schema.StringLogicalType{}, parquet.Types.ByteArray, -1)
	}
	mapOf := func(name string, value schema.Node) schema.Node {
		return newGroup(t, name, opt, schema.MapLogicalType{}, newGroup(t, "key_value", rep, nil,
			leafNode(t, "key", req, schema.StringLogicalType{}, parquet.Types.ByteArray, -1), value))
	}
	rows, err := readRows(t, "u.parquet", parquetBytes(t, []parquetColumn{
		{node: newGroup(t, "context", opt, nil, text("user_id"), text("country"),
			newGroup(t, "user_properties", opt, nil, text("plan"), text("tier")), text("custom")),
			values: []string{"a", "b"}, defs: []int16{2, 2}},
		{values: []string{"DE"}, defs: []int16{2, 1}},
		{values: []string{"free", "free"}, defs: []int16{3, 3}},
		{values: []string{"gold"}, defs: []int16{3, 2}},
		{values: []string{"x"}, defs: []int16{1, 2}},
		{node: mapOf("user_properties", text("value")), values: []string{"plan", "k"}, defs: []int16{2, 2, 1},
			reps: []int16{0, 1, 0}},
		{values: []string{"pro"}, defs: []int16{3, 2, 1}, reps: []int16{0, 1, 0}},
		{node: newGroup(t, "groups", req, nil, text("org"), leafNode(t, "team", opt, nil, parquet.Types.Int32, -1)),
			values: []string{"acme"}, defs: []int16{1, 0}},
		{values: []int32{7, 8}, defs: []int16{1, 1}},
		{node: newGroup(t, "group_properties", req, nil,
			mapOf("org", newGroup(t, "value", opt, nil, leafNode(t, "size", req, nil, parquet.Types.Int32, -1)))),
			values: []string{"acme"}, defs: []int16{2, 0}, reps: []int16{0, 0}},
		{values: []int32{3}, defs: []int16{3, 0}, reps: []int16{0, 0}},
	}), Options{})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, want := range []string{
		`{"country":"DE","group_properties":{"org":{"acme":{"size":3}}},"groups":{"org":["acme"],"team":["7"]},"user_properties":{"plan":"pro","tier":"gold"}}`,
		`{"custom":"x","groups":{"team":["8"]},"user_properties":{"plan":"free"}}`,
	} {
		if rows[i].ID != []string{"a", "b"}[i] || rows[i].Context != want {
			t.Errorf("row %d: %s %s %s\nwant %s", i+1, rows[i].ID, rows[i].Context, rows[i].Err, want)
		}
	}
}

// Columns that nobody wants are not read. What Columns says of the others is not shifted by them.
func TestParquetUnwantedColumns(t *testing.T) {
	column := func(name string) parquetColumn {
		return parquetColumn{node: leafNode(t, name, parquet.Repetitions.Required, schema.StringLogicalType{},
			parquet.Types.ByteArray, -1), values: []string{name + " of u1"}}
	}
	columns := []parquetColumn{column("first"), column("plan"), withID(t, 1)[0], column("other"), column("country")}
	file := writeFile(t, "u.parquet", parquetGroups(t, [][]parquetColumn{columns}))
	in, err := Open(filesAt(file), Options{Mapping: Mapping{Carry: []string{"plan"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // only read
	var got []string
	for _, c := range in.Columns() {
		got = append(got, fmt.Sprintf("%s>%s %v", c.Name, c.Target, c.Carried))
	}
	want := []string{"first> false", "plan> true", "user_id>user_id false", "other> false", "country>country false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Columns (-want +got):\n%s", diff)
	}
}

// Lists and row groups continue across the batches in which arrow decodes.
func TestParquetBatches(t *testing.T) {
	const n = 2000
	var groups [][]parquetColumn
	var want []string
	number := 0
	for range 3 {
		tags := parquetColumn{node: newGroup(t, "user_properties", parquet.Repetitions.Required, nil,
			newGroup(t, "tags", parquet.Repetitions.Optional, schema.ListLogicalType{},
				newGroup(t, "list", parquet.Repetitions.Repeated, nil,
					leafNode(t, "element", parquet.Repetitions.Required, nil, parquet.Types.Int64, -1))))}
		var values []int64
		for i := range n {
			number++
			list := ""
			for j := range i % 7 {
				values = append(values, int64(number))
				tags.defs = append(tags.defs, 2)
				tags.reps = append(tags.reps, int16(min(j, 1)))
				list += "," + fmt.Sprint(number)
			}
			if list == "" {
				tags.defs, tags.reps = append(tags.defs, 1), append(tags.reps, 0)
			}
			want = append(want, fmt.Sprintf(`{"user_properties":{"tags":[%s]}}`, strings.TrimPrefix(list, ",")))
		}
		tags.values = values
		groups = append(groups, withID(t, n, tags))
	}
	data := parquetGroups(t, groups, parquet.WithDataPageSize(700), parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithDictionaryDefault(false))
	rows, err := readRows(t, "u.parquet", data, Options{})
	if err != nil || len(rows) != len(want) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, r := range rows {
		if r.Number != int64(i+1) || r.ID != fmt.Sprintf("u%d", i%n+1) || r.Context != want[i] {
			t.Fatalf("row %d: %+v, want %s", i+1, r, want[i])
		}
	}
}

func TestParquetCompressionAndPages(t *testing.T) {
	header, users := typicalUsers(1200)
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy,
		compress.Codecs.Gzip, compress.Codecs.Zstd, compress.Codecs.Brotli} {
		t.Run(fmt.Sprint(codec), func(t *testing.T) {
			for _, v := range []parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2} {
				data := parquetBytes(t, textColumns(t, header, users), parquet.WithCompression(codec),
					parquet.WithDataPageVersion(v), parquet.WithDataPageSize(4096))
				rows, err := readRows(t, "u.parquet", data, Options{})
				if err != nil || len(rows) != len(users) {
					t.Fatalf("%s, page version %d: %d rows, %v", codec, v, len(rows), err)
				}
				for i, r := range rows {
					if r.ID != users[i][0] || r.Dev != users[i][1] || !strings.Contains(r.Context, `"plan":"`+users[i][6]+`"`) {
						t.Fatalf("%s, page version %d, row %d: %+v", codec, v, i+1, r)
					}
				}
			}
		})
	}
}

func smallParquet(tb testing.TB, opts ...parquet.WriterProperty) []byte {
	tb.Helper()
	opt := parquet.Repetitions.Optional
	cols := withID(tb, 4,
		parquetColumn{node: leafNode(tb, "user_properties.n", opt, nil, parquet.Types.Int64, -1), values: []int64{1, 2, 3},
			defs: []int16{1, 0, 1, 1}},
		parquetColumn{node: leafNode(tb, "user_properties.b", opt, nil, parquet.Types.Boolean, -1),
			values: []bool{true, false}, defs: []int16{1, 0, 0, 1}},
		parquetColumn{node: leafNode(tb, "country", opt, schema.StringLogicalType{}, parquet.Types.ByteArray, -1),
			values: []string{"DE", "DE", "FR"}, defs: []int16{1, 1, 1, 0}},
		parquetColumn{node: newGroup(tb, "user_properties", opt, nil,
			newGroup(tb, "tags", opt, schema.ListLogicalType{}, newGroup(tb, "list", parquet.Repetitions.Repeated, nil,
				leafNode(tb, "element", opt, schema.StringLogicalType{}, parquet.Types.ByteArray, -1)))),
			values: []string{"a", "b"}, defs: []int16{4, 4, 0, 0, 0}, reps: []int16{0, 1, 0, 0, 0}},
	)
	return parquetBytes(tb, cols, opts...)
}

func TestParquetRefused(t *testing.T) {
	good := smallParquet(t)
	tail := func(footer uint32, magic string) []byte {
		b := bytes.Clone(good[:len(good)-8])
		b = binary.LittleEndian.AppendUint32(b, footer)
		return append(b, magic...)
	}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "too short for Parquet"},
		{"truncated", good[:len(good)-20], "does not end in PAR1"},
		{"text", []byte("user_id,x\na,1\nb,2\n"), "does not end in PAR1"},
		{"encrypted footer", tail(20, "PARE"), "encrypted"},
		{"footer of 4 GB", tail(math.MaxUint32, "PAR1"), "damaged Parquet: a footer of 4294967295 bytes"},
		{"footer of nothing", tail(0, "PAR1"), "u.parquet: "},
		{"magic alone", []byte("PAR1\x00\x00\x00\x00PAR1"), "u.parquet: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, "u.parquet", test.data, Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "u.parquet: ") {
				t.Errorf("%s: %d rows, %v, want %q", test.name, len(rows), err, test.want)
			}
		})
	}
	if rows, err := readRows(t, "u.parquet", good, Options{}); err != nil || len(rows) != 4 {
		t.Errorf("undamaged: %d rows, %v", len(rows), err)
	}
	if rows, err := readRows(t, "u.parquet", parquetGroups(t, [][]parquetColumn{withID(t, 0)}), Options{}); err != nil ||
		len(rows) != 0 {
		t.Errorf("no rows: %d rows, %v", len(rows), err)
	}
}

// A damaged file results in rows or an error, never in a panic or a hang.
func TestParquetMutations(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, opts := range parquetVariants() {
		good := smallParquet(t, opts...)
		for range 60 {
			data := bytes.Clone(good)
			for range 1 + rng.IntN(3) {
				data[rng.IntN(len(data))] = byte(rng.Uint32())
			}
			readDamaged(t, data)
		}
		for range 15 {
			readDamaged(t, good[:rng.IntN(len(good))])
		}
	}
}

func parquetVariants() [][]parquet.WriterProperty {
	return [][]parquet.WriterProperty{
		{parquet.WithDictionaryDefault(true), parquet.WithCompression(compress.Codecs.Snappy)},
		{parquet.WithDictionaryDefault(false)},
		{parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV2),
			parquet.WithCompression(compress.Codecs.Zstd)},
		{parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("country", parquet.Encodings.DeltaByteArray),
			parquet.WithEncodingFor("user_properties.n", parquet.Encodings.DeltaBinaryPacked),
			parquet.WithCompression(compress.Codecs.Gzip)},
		{parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("country", parquet.Encodings.DeltaLengthByteArray),
			parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithCompression(compress.Codecs.Brotli)},
	}
}

func readDamaged(t *testing.T, data []byte) {
	t.Helper()
	path := writeFile(t, "u.parquet", data)
	in, err := Open(filesAt(path), Options{Mapping: Mapping{AllProperties: true}})
	if err != nil {
		if !strings.Contains(err.Error(), path) {
			t.Fatalf("the error does not name the file: %v", err)
		}
		return
	}
	checkRows(t, in)
}

func FuzzParquet(f *testing.F) {
	f.Add(newTypesParquet(f))
	for _, opts := range parquetVariants() {
		f.Add(smallParquet(f, opts...))
	}
	for _, name := range []string{"v1-snappy", "v2-uncompressed", "v2-lz4_raw"} {
		data, err := os.ReadFile("testdata/duckdb-" + name + ".parquet")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { readDamaged(t, data) })
}

func BenchmarkParquet(b *testing.B) {
	const n = 100_000
	header, users := typicalUsers(n)
	data := parquetBytes(b, textColumns(b, header, users), parquet.WithCompression(compress.Codecs.Zstd))
	benchmarkInput(b, writeFile(b, "users.parquet", data), n, int64(len(data)))
}

// A column with a duplicate name, or without one, is an error only if it is wanted.
func TestParquetSharedNames(t *testing.T) {
	text := func(name, value string) parquetColumn {
		return parquetColumn{node: leafNode(t, name, parquet.Repetitions.Required, schema.StringLogicalType{},
			parquet.Types.ByteArray, -1), values: []string{value}}
	}
	data := parquetBytes(t, withID(t, 1, text("x", "a"), text("", "b"), text("x", "c"), text("\xff", "d"),
		text("city", "Rome")))
	for _, test := range []struct {
		name    string
		mapping Mapping
		want    string // the user, or the error
	}{
		{"not wanted", Mapping{}, `{"city":"Rome"}`},
		{"all", Mapping{AllProperties: true}, `{"city":"Rome"}`},
		{"the second one, by the name that it has been given", Mapping{Map: map[string]string{"country": "x (column 4)"}},
			`{"city":"Rome","country":"c"}`},
		{"the one without a name", Mapping{Map: map[string]string{"country": "(column 3)"}}, `{"city":"Rome","country":"b"}`},
		{"either", Mapping{Properties: []string{"x"}}, `2 columns of the header are called "x"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, "u.parquet", data, Options{Mapping: test.mapping})
			if test.want[0] != '{' {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				return
			}
			if err != nil || joinIDs(rows) != "1:u1" || rows[0].Context != test.want {
				t.Errorf("%+v, %v; want %s", rows, err, test.want)
			}
		})
	}
}
