package sources

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// decimalFile writes a Parquet file with a column of decimals, which are stored as integers.
func decimalFile(t *testing.T, logical schema.LogicalType, values ...int32) string {
	t.Helper()
	c := parquetColumn{node: leafNode(t, "balance", parquet.Repetitions.Optional, logical, parquet.Types.Int32, -1),
		values: values}
	for range values {
		c.defs = append(c.defs, 1)
	}
	c.defs = append(c.defs, 0)
	return writeFile(t, "u.parquet", parquetBytes(t, withID(t, len(values)+1, c)))
}

// The type of a carried column has room for the decimals of all files, and is known before the first row.
func TestDecimalsOfFiles(t *testing.T) {
	narrow := decimalFile(t, schema.NewDecimalLogicalType(3, 2), 999, -5)
	wide := decimalFile(t, schema.NewDecimalLogicalType(9, 2), 123456789)
	nulls := decimalFile(t, schema.NullLogicalType{})
	integers := decimalFile(t, nil, 7)
	for _, test := range []struct {
		name  string
		files []string
		want  pipeline.Column
		carry []string
		err   string
	}{
		{"one", []string{narrow}, pipeline.Column{Type: pipeline.TypeDecimal, Precision: 3, Scale: 2},
			[]string{`["9.99"]`, `["-0.05"]`, "[null]"}, ""},
		{"wider", []string{narrow, wide}, pipeline.Column{Type: pipeline.TypeDecimal, Precision: 9, Scale: 2},
			[]string{`["9.99"]`, `["-0.05"]`, "[null]", `["1234567.89"]`, "[null]"}, ""},
		{"narrower", []string{wide, narrow}, pipeline.Column{Type: pipeline.TypeDecimal, Precision: 9, Scale: 2},
			[]string{`["1234567.89"]`, "[null]", `["9.99"]`, `["-0.05"]`, "[null]"}, ""},
		{"nothing first", []string{nulls, narrow, nulls}, pipeline.Column{Type: pipeline.TypeDecimal, Precision: 3, Scale: 2},
			[]string{"[null]", `["9.99"]`, `["-0.05"]`, "[null]", "[null]"}, ""},
		{"nothing but nothing", []string{nulls, nulls}, pipeline.Column{Type: pipeline.TypeString},
			[]string{"[null]", "[null]"}, ""},
		{"nothing, then integers", []string{nulls, integers}, pipeline.Column{Type: pipeline.TypeInt},
			[]string{"[null]", "[7]", "[null]"}, ""},
		{"integers", []string{nulls, narrow, integers}, pipeline.Column{}, nil,
			`the column "balance" holds integers, but in `},
		{"another scale", []string{narrow, decimalFile(t, schema.NewDecimalLogicalType(3, 1), 1)}, pipeline.Column{}, nil,
			"decimals with 1 places"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, err := Open(filesAt(test.files...), Options{Mapping: Mapping{Carry: []string{"balance"}}})
			if err != nil {
				if test.err == "" || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%s: error %v, want %q", test.name, err, test.err)
				}
				return
			}
			test.want.Name = "balance"
			if got := in.Carry()[0]; got != test.want || test.err != "" {
				t.Errorf("%s: the column is %+v, want %+v (error %q)", test.name, got, test.want, test.err)
			}
			rows, err := readAll(in)
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			var carry []string
			for _, r := range rows {
				carry = append(carry, r.Carry)
			}
			if diff := cmp.Diff(test.carry, carry); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
			mustClose(t, in)
		})
	}
}

// A number that has more digits than its column is an error, because no output could hold it.
func TestDecimalsOfTooManyDigits(t *testing.T) {
	file := decimalFile(t, schema.NewDecimalLogicalType(3, 2), 999, 1000, -999, -1000)
	in, err := Open(filesAt(file), Options{Mapping: Mapping{Carry: []string{"balance"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, in)
	rows, err := readAll(in)
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, bad := range []bool{false, true, false, true, false} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			if got := strings.Contains(rows[i].Err, "bad_row: column balance: a decimal of more than the 3 digits"); got != bad {
				t.Errorf("row %d: error %q, want one: %v", i+1, rows[i].Err, bad)
			}
		})
	}
}
