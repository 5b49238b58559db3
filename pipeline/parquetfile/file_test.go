package parquetfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// openFile opens a file with that content.
func openFile(t *testing.T, data []byte) (*File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return Open(f, Options{})
}

// twoGroups returns a file of two row groups. In each, the only column has the numbers up to 3000 and a null after
// every tenth, in many pages.
func twoGroups(t *testing.T) (data []byte, want []string) {
	t.Helper()
	node, err := schema.NewPrimitiveNode("x", parquet.Repetitions.Optional, parquet.Types.Int64, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{node}, -1)
	if err != nil {
		t.Fatal(err)
	}
	var values []int64
	var defs []int16
	for i := range int64(3000) {
		values, defs, want = append(values, i), append(defs, 1), append(want, fmt.Sprint(i))
		if i%10 == 0 {
			defs, want = append(defs, 0), append(want, "")
		}
	}
	var b strings.Builder
	w := file.NewParquetWriter(&b, root, file.WithWriterProps(parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithDictionaryDefault(false), parquet.WithDataPageSize(500), parquet.WithBatchSize(50))))
	for range 2 {
		g := w.AppendRowGroup()
		c, err := g.NextColumn()
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.(*file.Int64ColumnChunkWriter).WriteBatch(values, defs, nil)
		if err := errors.Join(err, c.Close(), g.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String()), want
}

// A column returns what was written, for each row group and again from the start, whether or not batches stay within a
// page.
func TestColumn(t *testing.T) {
	data, want := twoGroups(t)
	f, err := openFile(t, data)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.NumGroups() != 2 || f.NumRows() != int64(2*len(want)) || f.Metadata().Schema.NumColumns() != 1 {
		t.Fatalf("%d row groups, %d rows", f.NumGroups(), f.NumRows())
	}
	c := f.Column(f.Metadata().Schema.Column(0), 4096)
	if c.Begun() {
		t.Error("a new column is in a row group")
	}
	for _, within := range []bool{true, false} {
		for group := range f.NumGroups() {
			md, err := f.Group(group).ColumnChunk(0)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Open(md); err != nil || !c.Begun() {
				t.Fatal(err)
			}
			var values Values
			var got []string
			defs := make([]int16, 600)
			pages := 0
			for c.HasNext() {
				n := len(defs)
				if within {
					n = min(n, c.BatchSize())
				}
				levels, k, err := c.Read(&values, n, defs, nil)
				if err != nil || k != len(values.Int64s) {
					t.Fatalf("%d values, %d said, %v", len(values.Int64s), k, err)
				}
				pages++
				rest := values.Int64s
				for _, def := range defs[:levels] {
					if def == 0 {
						got = append(got, "")
						continue
					}
					got, rest = append(got, fmt.Sprint(rest[0])), rest[1:]
				}
			}
			if c.Err() != nil || !slices.Equal(got, want) || within && pages < 10 {
				t.Errorf("row group %d, within pages %v: %d values in %d batches, %v; want %d", group, within, len(got), pages,
					c.Err(), len(want))
			}
		}
	}
	if f.held == 0 {
		t.Error("the last page takes nothing")
	}
	if c.Release(); f.held != 0 || c.Begun() {
		t.Errorf("%d bytes are held after Release", f.held)
	}
	md, err := f.Group(1).ColumnChunk(0)
	if err != nil {
		t.Fatal(err)
	}
	f.size = 100 // as if the file were shorter
	if err := c.Open(md); err != ErrOutsideFile {
		t.Errorf("a column behind the end: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	data, _ := twoGroups(t)
	for _, test := range []struct {
		name, data, want string
		magic, encrypted bool
	}{
		{"nothing", "", "too short for Parquet", false, false},
		{"text", "a,b\n1,2\n3,4\n", "does not end in PAR1", true, false},
		{"encrypted", string(data[:len(data)-4]) + "PARE", "does not end in PAR1", true, true},
		{"a footer beyond the file", "PAR1\xff\xff\x00\x00PAR1", "a footer of 65535 bytes in a file of 12", false, false},
		{"a footer of text", "PAR1some text\x09\x00\x00\x00PAR1", "an invalid header or footer", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := openFile(t, []byte(test.data))
			var magic *MagicError
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.As(err, &magic) != test.magic || test.magic &&
				magic.Encrypted() != test.encrypted {
				t.Errorf("%s: %v; want %q", test.name, err, test.want)
			}
		})
	}
}

func TestGuard(t *testing.T) {
	cause := errors.New("cause")
	if err := Guard("a.parquet", func() error { return cause }); !errors.Is(err, cause) ||
		err.Error() != "a.parquet: cause" {
		t.Errorf("an error: %v", err)
	}
	if err := Guard("a.parquet", func() error { panic("index out of range") }); err == nil ||
		err.Error() != "a.parquet: damaged Parquet: index out of range" {
		t.Errorf("a panic: %v", err)
	}
	var none []int
	if err := Guard("a.parquet", func() error { none[3]++; return nil }); err == nil ||
		err.Error() != "a.parquet: damaged Parquet: its parts contradict each other" {
		t.Errorf("a panic of Go's runtime: %v", err)
	}
	if err := Guard("a.parquet", func() error { return nil }); err != nil {
		t.Error(err)
	}
}
