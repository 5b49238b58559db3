package snapshot

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sinks"
)

// Decimals of an unrelated writer: the texts of those that a column of its precision may hold, and errors for others.
func TestReadDecimals(t *testing.T) {
	const most9, most20 = 999_999_999, "\x05\x6b\xc7\x5e\x2d\x63\x0f\xff\xff" // 10^20 - 1
	for _, test := range []struct {
		name   string
		typ    parquet.Type
		length int
		l      schema.LogicalType
		values any
		want   []string
		err    string
	}{
		{"32 bits", parquet.Types.Int32, -1, schema.NewDecimalLogicalType(9, 9), []int32{most9, -most9, 0, -1},
			[]string{"0.999999999", "-0.999999999", "0.000000000", "-0.000000001"}, ""},
		{"64 bits", parquet.Types.Int64, -1, schema.NewDecimalLogicalType(18, 0), []int64{1e18 - 1, 1 - 1e18, 0},
			[]string{"999999999999999999", "-999999999999999999", "0"}, ""},
		{"bytes", parquet.Types.FixedLenByteArray, 9, schema.NewDecimalLogicalType(20, 2),
			[]string{most20, "\xff\xff\xff\xff\xff\xff\xff\xff\xff"}, []string{"999999999999999999.99", "-0.01"}, ""},
		{"32 bits, too many", parquet.Types.Int32, -1, schema.NewDecimalLogicalType(3, 1), []int32{999, 1000}, nil,
			"column c: a decimal has more than the 3 digits"},
		{"64 bits, too many", parquet.Types.Int64, -1, schema.NewDecimalLogicalType(18, 0), []int64{-1e18}, nil,
			"a decimal has more than the 18 digits"},
		{"bytes, too many", parquet.Types.FixedLenByteArray, 9, schema.NewDecimalLogicalType(20, 2),
			[]string{"\x05\x6b\xc7\x5e\x2d\x63\x10\x00\x00"}, nil, "a decimal has more than the 20 digits"},
		{"more than rollcall writes", parquet.Types.FixedLenByteArray, 17, schema.NewDecimalLogicalType(39, 2), []string{},
			nil, "which rollcall never writes"},
		{"bytes of any length", parquet.Types.ByteArray, -1, schema.NewDecimalLogicalType(20, 2), []string{}, nil,
			"which rollcall never writes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			node, err := schema.NewPrimitiveNodeLogical("c", parquet.Repetitions.Required, test.l, test.typ, test.length, -1)
			if err != nil {
				t.Fatal(err)
			}
			root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{node}, -1)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			w := file.NewParquetWriter(&b, root)
			column, err := w.AppendRowGroup().NextColumn()
			if err != nil {
				t.Fatal(err)
			}
			switch c := column.(type) {
			case *file.Int32ColumnChunkWriter:
				_, err = c.WriteBatch(test.values.([]int32), nil, nil)
			case *file.Int64ColumnChunkWriter:
				_, err = c.WriteBatch(test.values.([]int64), nil, nil)
			case *file.FixedLenByteArrayColumnChunkWriter:
				var values []parquet.FixedLenByteArray
				for _, v := range test.values.([]string) {
					values = append(values, parquet.FixedLenByteArray(v))
				}
				_, err = c.WriteBatch(values, nil, nil)
			case *file.ByteArrayColumnChunkWriter:
				_, err = c.WriteBatch([]parquet.ByteArray{}, nil, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "a.parquet")
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readDecimals(path)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %q", test.name, err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" && test.err == "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		})
	}
}

// A carried value has one text, of whichever format it comes.
func TestTextsOfValues(t *testing.T) {
	outcomes := strangeOutcomes("a")
	spec := sinks.Spec{Carry: strangeCarry, Wide: true, Flags: []string{"a"}}
	var readers []*Reader
	for _, name := range []string{"a.csv", "a.parquet"} {
		r, err := OpenReader(nil, writeOutput(t, name, spec, outcomes), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close() //nolint:errcheck // only read
		readers = append(readers, r)
	}
	var a, b User
	for {
		errA, errB := readers[0].Next(&a), readers[1].Next(&b)
		if errA == io.EOF && errB == io.EOF {
			break
		}
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for i := range a.Carry {
			if x, y := string(a.Carry[i].AppendText(nil)), string(b.Carry[i].AppendText(nil)); x != y {
				t.Errorf("row %d, column %s: %q in CSV, %q in Parquet", a.Row, strangeCarry[i].Name, x, y)
			}
		}
	}
}

func readDecimals(path string) (texts []string, err error) {
	table, err := openParquet(nil, path)
	if err != nil {
		return nil, err
	}
	defer table.Close() //nolint:errcheck // only read
	for {
		row, err := table.next()
		if err == io.EOF {
			return texts, nil
		}
		if err != nil {
			return nil, err
		}
		if table.columns()[0].typ != pipeline.TypeDecimal || row[0].Kind != pipeline.String {
			texts = append(texts, "not a decimal: ")
		}
		texts = append(texts, string(row[0].Text))
	}
}
