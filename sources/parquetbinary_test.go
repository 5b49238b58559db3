package sources

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// AllProperties leaves out columns that cannot be sent: those that cannot be read, and bytes that are not text. It
// makes no difference to a column that is named.
func TestLeftOut(t *testing.T) {
	required, optional := parquet.Repetitions.Required, parquet.Repetitions.Optional
	bytes := func(name string, values ...string) parquetColumn {
		return parquetColumn{node: leafNode(t, name, required, nil, parquet.Types.ByteArray, -1), values: values}
	}
	list := parquetColumn{values: []string{"a", "\xff"}, defs: []int16{1, 1}, reps: []int16{0, 0},
		node: newGroup(t, "list", required, schema.ListLogicalType{},
			newGroup(t, "list", parquet.Repetitions.Repeated, nil,
				leafNode(t, "element", required, nil, parquet.Types.ByteArray, -1)))}
	fixed := parquetColumn{node: leafNode(t, "fixed", required, nil, parquet.Types.FixedLenByteArray, 2),
		values: []string{"ok", "\xc3\x28"}}
	bson := parquetColumn{node: leafNode(t, "bson", optional, schema.BSONLogicalType{}, parquet.Types.ByteArray, -1),
		values: []string{}, defs: []int16{0, 0}}
	interval := parquetColumn{node: leafNode(t, "interval", required, schema.IntervalLogicalType{},
		parquet.Types.FixedLenByteArray, 12), values: []string{"0123456789ab", "0123456789ab"}}
	good := parquetBytes(t, withID(t, 2, bytes("old", "text", "ü"), bytes("raw", "a", "b")))
	bad := parquetBytes(t, withID(t, 2, bytes("old", "more", "text"), bytes("raw", "a", "b\xff")))
	odd := parquetBytes(t, withID(t, 2, bytes("old", "text", "ü"), list, fixed, bson, interval))
	const leaves = "a column of bytes that are not text"
	for _, test := range []struct {
		name    string
		files   [][]byte
		mapping Mapping
		last    string // the last user
		leftOut string
	}{
		{"texts without a mark", [][]byte{good}, Mapping{AllProperties: true}, `{"user_properties":{"old":"ü","raw":"b"}}`,
			""},
		{"bytes", [][]byte{bad}, Mapping{AllProperties: true}, `{"user_properties":{"old":"text"}}`, "raw: " + leaves},
		{"bytes in a file before", [][]byte{bad, good}, Mapping{AllProperties: true}, `{"user_properties":{"old":"ü"}}`,
			"raw: " + leaves},
		{"bytes in a file to come", [][]byte{good, good, bad}, Mapping{AllProperties: true},
			`{"user_properties":{"old":"text"}}`, "raw: " + leaves},
		{"what cannot be read", [][]byte{odd}, Mapping{AllProperties: true}, `{"user_properties":{"old":"ü"}}`,
			"list: " + leaves + ", fixed: " + leaves + ", bson: a BSON column, interval: an interval column"},
		{"left out by the user", [][]byte{odd}, Mapping{AllProperties: true,
			Exclude: []string{"list", "fixed", "bson", "interval"}}, `{"user_properties":{"old":"ü"}}`, ""},
		{"named", [][]byte{bad}, Mapping{AllProperties: true, Properties: []string{"raw"}},
			`bad_row: column raw: not valid UTF-8`, ""},
		{"mapped", [][]byte{bad}, Mapping{AllProperties: true, Map: map[string]string{"country": "raw"}},
			`bad_row: column raw: not valid UTF-8`, ""},
	} {
		for _, pinned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/pinned %v", test.name, pinned), func(t *testing.T) {
				var files []File
				for i, data := range test.files {
					files = append(files, File{Path: writeFile(t, fmt.Sprintf("%d.parquet", i), data)})
				}
				if pinned {
					if err := Pin(context.Background(), files); err != nil {
						t.Fatal(err)
					}
					defer Unpin(files)
				}
				for range 2 { // the second pass uses what the first one found
					in, err := Open(files, Options{Mapping: test.mapping})
					if err != nil {
						t.Fatal(err)
					}
					rows, err := readAll(in)
					if pinned && err == nil {
						_, err = in.ReadRest()
					}
					if err = errors.Join(err, in.Close()); err != nil || len(rows) != 2*len(test.files) {
						t.Fatalf("%d rows, %v", len(rows), err)
					}
					if last := rows[len(rows)-1]; last.Context != test.last &&
						!strings.HasSuffix(last.Err, strings.TrimPrefix(test.last, "bad_row: ")) {
						t.Errorf("the last user is %s %s, want %s", last.Context, last.Err, test.last)
					}
					var leftOut []string
					for _, c := range in.Columns() {
						if c.LeftOut != "" {
							leftOut = append(leftOut, c.Name+": "+c.LeftOut)
						}
					}
					if got := strings.Join(leftOut, ", "); got != test.leftOut {
						t.Errorf("left out: %q, want %q", got, test.leftOut)
					}
				}
			})
		}
	}
}

// DuckDB's BLOB, in which every third value is not text.
func TestBlob(t *testing.T) {
	rows, err := readPath("testdata/blob.parquet", Options{Mapping: Mapping{AllProperties: true}})
	if err != nil || len(rows) != 60 {
		t.Fatalf("%d rows, %v; want 60", len(rows), err)
	}
	for _, r := range rows {
		if r.Err != "" || strings.Contains(r.Context, `"b"`) {
			t.Fatalf("row %d: %s %s; want a user without the blob", r.Number, r.Context, r.Err)
		}
	}
}

func readPath(path string, opts Options) ([]got, error) {
	in, err := Open(filesAt(path), opts)
	if err != nil {
		return nil, err
	}
	rows, err := readAll(in)
	return rows, errors.Join(err, in.Close())
}
