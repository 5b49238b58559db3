package parquetfile

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet/metadata"
)

// logicalTypes are the bytes of a LogicalType, and the name that UnknownTypes has for it; "" is one that arrow knows.
var logicalTypes = []struct{ union, want string }{
	{"\x1c\x00\x00", ""},                                                 // STRING
	{"\x6c\x00\x00", ""},                                                 // DATE
	{"\x8c\x11\x1c\x2c\x00\x00\x00\x00", ""},                             // TIMESTAMP in microseconds
	{"\xfc\x00\x00", ""},                                                 // FLOAT16
	{"\x0c\x02\x00\x00", ""},                                             // STRING, with its number in full
	{"\x0c\x20\x13\x01\x00\x00", "VARIANT"},                              // of the version 1
	{"\x0c\x22\x18\x03OGC\x00\x00", "GEOMETRY"},                          // in a reference system
	{"\x0c\x24\x00\x00", "GEOGRAPHY"},                                    //
	{"\x0c\x26\x00\x00", "number 19"},                                    //
	{"\x9c\x00\x00", "number 9"},                                         // which is reserved
	{"\x0c\xd8\x04\x1c\x00\x00\x00", "number 300"},                       //
	{"\x00", "without a number"},                                         //
	{"\x15\x02\x00", "without a number"},                                 // a number, and no struct
	{"\x7c\x12\x1c\x4c\x00\x00\x00\x00", "TIME of an unknown unit"},      // the fourth
	{"\x8c\x11\x1c\x4c\x00\x00\x00\x00", "TIMESTAMP of an unknown unit"}, // the fourth
	{"\x1c\x00\x0c\x20\x00\x00", ""},                                     // STRING and VARIANT: arrow takes what it knows
}

// testFooter is a footer of columns a, v and z, of which v has the fields in the end of its element. There are no rows.
func testFooter(typ byte, fields string) []byte {
	v := "\x15" + string(typ<<1) + "\x25\x02\x18\x01v" + fields
	return []byte("\x15\x02\x19\x4c\x48\x01r\x15\x06\x00" + "\x15\x0c\x25\x02\x18\x01a\x00" + v +
		"\x15\x0c\x25\x02\x18\x01z\x00" + "\x16\x00\x19\x0c\x00")
}

func openFooter(t testing.TB, footer []byte) (*File, error) {
	t.Helper()
	data := append([]byte("PAR1"), footer...)
	data = append(binary.LittleEndian.AppendUint32(data, uint32(len(footer))), "PAR1"...)
	path := filepath.Join(t.TempDir(), "x.parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	var p *File
	err = Guard("x", func() error {
		var err error
		p, err = Open(f, Options{})
		return err
	})
	return p, err
}

// What a logical type is called that arrow does not know, however it is written; and the columns around it are as ever.
func TestUnknownTypes(t *testing.T) {
	for _, test := range logicalTypes {
		typ := byte(6) // BYTE_ARRAY
		switch {
		case strings.HasPrefix(test.union, "\x6c"):
			typ = 1 // INT32
		case test.union[0] == '\x7c' || test.union[0] == '\x8c':
			typ = 2 // INT64
		}
		for how, field := range map[string]string{
			"in short":              "\x6c" + test.union + "\x00",
			"in full":               "\x0c\x14" + test.union + "\x00",
			"at length":             "\x0c\x94\x00" + test.union + "\x00",
			"behind another":        "\x55\x00\x1c" + test.union + "\x00", // field_id, 9
			"before one":            "\x6c" + test.union + "\x15\x02\x00", // 11
			"before many":           "\x6c" + test.union + "\x11\x12\x1c\x00\x0c\x1a\x00\x15\x02\x00",
			"twice, known at last":  "\x6c" + test.union + "\x0c\x14\x1c\x00\x00\x00",
			"twice, known at first": "\x6c\x1c\x00\x00\x0c\x14" + test.union + "\x00",
		} {
			if test.union == "\xfc\x00\x00" || typ != 6 && strings.HasPrefix(how, "twice") {
				continue // types of their own
			}
			p, err := openFooter(t, testFooter(typ, field))
			if err != nil {
				t.Errorf("%q %s: %v", test.union, how, err)
				continue
			}
			s := p.Metadata().Schema
			if s.NumColumns() != 3 || s.Column(0).Name() != "a" || s.Column(1).Name() != "v" || s.Column(2).Name() != "z" {
				t.Errorf("%q %s: the columns are %s", test.union, how, s)
			}
			unknown := p.UnknownTypes()
			if got, has := unknown[s.Column(1).SchemaNode()]; got != test.want || has != (test.want != "") || len(unknown) > 1 {
				t.Errorf("%q %s: %q of %d, want %q", test.union, how, got, len(unknown), test.want)
			}
		}
	}
}

// Groups have logical types too, and what is below them is not moved.
func TestUnknownTypeOfGroup(t *testing.T) {
	footer := "\x15\x02\x19\x5c\x48\x01r\x15\x04\x00" + "\x35\x02\x18\x01v\x15\x04\x5c\x0c\x20\x13\x01\x00\x00\x00" +
		"\x15\x0c\x25\x00\x18\x01m\x00" + "\x15\x0c\x25\x00\x18\x01p\x6c\x0c\x22\x00\x00\x00" + "\x15\x0c\x25\x02\x18\x01z\x00" + "\x16\x00\x19\x0c\x00"
	p, err := openFooter(t, []byte(footer))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for n, name := range p.UnknownTypes() {
		got[n.Name()] = name
	}
	if len(got) != 2 || got["v"] != "VARIANT" || got["p"] != "GEOMETRY" {
		t.Errorf("%v, want a group v of the type VARIANT and p below it of the type GEOMETRY", got)
	}
}

// A footer cannot make many of few bytes.
func TestFooterOfManyMembers(t *testing.T) {
	for what, member := range map[string]string{"numbers": "\x15\x02", "structs": "\x1c\x00"} {
		footer := testFooter(6, "\x6c"+strings.Repeat(member, 40_000)+"\x00\x00")
		if _, err := checkFooter(footer); err != errThrift {
			t.Errorf("%s beyond the numbers that there are: %v, want %v", what, err, errThrift)
		}
		footer = testFooter(6, strings.Repeat("\x0c\x14"+strings.Repeat(member, 30_000)+"\x00", 20)+"\x00")
		if _, err := checkFooter(footer); err == nil || !strings.Contains(err.Error(), "too many parts") {
			t.Errorf("%s: %v, want an error about too many parts", what, err)
		}
	}
}

// FuzzFooter: what arrow does not know is gone after the first look, and arrow tells no panic of it.
func FuzzFooter(f *testing.F) {
	for _, test := range logicalTypes {
		f.Add(testFooter(6, "\x6c"+test.union+"\x00"))
		f.Add(testFooter(2, "\x0c\x14"+test.union+"\x15\x02\x00"))
	}
	f.Fuzz(func(t *testing.T, footer []byte) {
		if _, err := checkFooter(footer); err != nil {
			return
		}
		before := bytes.Clone(footer)
		if unknown, err := checkFooter(footer); err == nil && (len(unknown) > 0 || !bytes.Equal(footer, before)) {
			t.Fatalf("after the first look, %v are still unknown in %q", unknown, before)
		}
		err := Guard("x", func() error { _, err := metadata.NewFileMetaData(footer, nil); return err })
		if err != nil && (strings.Contains(err.Error(), "invalid logical type") || strings.Contains(err.Error(), "TimeUnit must be")) {
			t.Fatalf("%q: %v", footer, err)
		}
	})
}
