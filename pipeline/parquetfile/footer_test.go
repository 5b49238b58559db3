package parquetfile

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet/schema"
)

// logicalTypes are the bytes of a LogicalType, and its text in BrokenTypes; "" if arrow accepts it for a column.
var logicalTypes = []struct{ union, want string }{
	{"\x1c\x00\x00", ""},                     // STRING
	{"\x6c\x00\x00", ""},                     // DATE
	{"\x8c\x11\x1c\x2c\x00\x00\x00\x00", ""}, // TIMESTAMP in microseconds
	{"\xfc\x00\x00", ""},                     // FLOAT16
	// STRING, with its number in full
	{"\x0c\x02\x00\x00", ""},
	{"\x0c\x20\x13\x01\x00\x00", "of the logical type VARIANT"},                              // of the version 1
	{"\x0c\x22\x18\x03OGC\x00\x00", "of the logical type GEOMETRY"},                          // in a reference system
	{"\x0c\x24\x00\x00", "of the logical type GEOGRAPHY"},                                    //
	{"\x0c\x26\x00\x00", "of the logical type number 19"},                                    //
	{"\x9c\x00\x00", "of the logical type number 9"},                                         // which is reserved
	{"\x0c\xd8\x04\x1c\x00\x00\x00", "of the logical type number 300"},                       //
	{"\x00", "of a logical type without a number"},                                           //
	{"\x15\x02\x00", "of a logical type without a number"},                                   // a number, and no struct
	{"\x7c\x12\x1c\x4c\x00\x00\x00\x00", "of the logical type TIME of an unknown unit"},      // the fourth
	{"\x8c\x11\x1c\x4c\x00\x00\x00\x00", "of the logical type TIMESTAMP of an unknown unit"}, // the fourth
	// STRING and VARIANT: arrow takes what it knows
	{"\x1c\x00\x0c\x20\x00\x00", ""},
}

// testFooter returns a footer with columns a, v and z and without rows. The element of v ends with the fields.
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

// A logical type that arrow does not know is described, however it is encoded, and the columns around it can be read.
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
			"after another":         "\x55\x00\x1c" + test.union + "\x00", // field_id, 9
			"before one":            "\x6c" + test.union + "\x15\x02\x00", // 11
			"before many":           "\x6c" + test.union + "\x11\x12\x1c\x00\x0c\x1a\x00\x15\x02\x00",
			"twice, known at first": "\x6c\x1c\x00\x00\x0c\x14" + test.union + "\x00",
		} {
			t.Run(how, func(t *testing.T) {
				if test.union == "\xfc\x00\x00" || typ != 6 && strings.HasPrefix(how, "twice") {
					return // types of their own
				}
				p, err := openFooter(t, testFooter(typ, field))
				if err != nil {
					t.Errorf("%q %s: %v", test.union, how, err)
					return
				}
				s := p.Metadata().Schema
				if s.NumColumns() != 3 || s.Column(0).Name() != "a" || s.Column(1).Name() != "v" || s.Column(2).Name() != "z" {
					t.Errorf("%q %s: the columns are %s", test.union, how, s)
				}
				broken := p.BrokenTypes()
				if got, has := broken[s.Column(1).SchemaNode()]; got != test.want || has != (test.want != "") || len(broken) > 1 {
					t.Errorf("%q %s: %q of %d, want %q", test.union, how, got, len(broken), test.want)
				}
			})
		}
	}
}

// Groups have logical types too. Removing one does not affect the columns in the group.
func TestUnknownTypeOfGroup(t *testing.T) {
	footer := "\x15\x02\x19\x5c\x48\x01r\x15\x04\x00" + "\x35\x02\x18\x01v\x15\x04\x5c\x0c\x20\x13\x01\x00\x00\x00" +
		"\x15\x0c\x25\x00\x18\x01m\x00" + "\x15\x0c\x25\x00\x18\x01p\x6c\x0c\x22\x00\x00\x00" +
		"\x15\x0c\x25\x02\x18\x01z\x00" + "\x16\x00\x19\x0c\x00"
	p, err := openFooter(t, []byte(footer))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for n, name := range p.BrokenTypes() {
		got[n.Name()] = name
	}
	if len(got) != 2 || got["v"] != "of the logical type VARIANT" || got["p"] != "of the logical type GEOMETRY" {
		t.Errorf("%v, want a group v of the type VARIANT and p below it of the type GEOMETRY", got)
	}
}

// A misplaced type does not prevent the other columns from being read.
func TestMisplacedTypes(t *testing.T) {
	const microseconds = "\x8c\x11\x1c\x2c\x00\x00\x00\x00"
	for _, test := range []struct {
		name   string
		typ    byte
		fields string
		want   string
	}{
		{"STRING of numbers", 2, "\x6c\x1c\x00\x00\x00", "of the misplaced logical type STRING"},
		{"LIST without a group", 6, "\x6c\x3c\x00\x00\x00", "of the misplaced logical type LIST"},
		{"TIMESTAMP of texts", 6, "\x6c" + microseconds + "\x00", "of the misplaced logical type TIMESTAMP"},
		{"DECIMAL without digits", 2, "\x6c\x5c\x15\x00\x15\x00\x00\x00\x00", "of the misplaced logical type DECIMAL"},
		{"UUID of four bytes", 7, "\x6c\xec\x00\x00\x00", "of the misplaced logical type UUID"},
		{"STRING and UTF8 of numbers", 2, "\x25\x00\x4c\x1c\x00\x00\x00", "of the misplaced logical type STRING"},
		{"UTF8 of numbers", 2, "\x25\x00\x00", "of the misplaced converted type UTF8"},
		{"DECIMAL of old, without digits", 2, "\x25\x0a\x00", "of the misplaced converted type DECIMAL"},
		{"MAP of old, without a group", 6, "\x25\x02\x00", "of the misplaced converted type MAP"},
		{"a converted type that there is not", 6, "\x25\x7e\x00", "of the misplaced converted type <UNSET>"},
		{"bytes of no length", 7, "\x00", "of values of an invalid length"},
		{"numbers, all of them null", 2, "\x6c\xbc\x00\x00\x00", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := openFooter(t, testFooter(test.typ, test.fields))
			if err != nil {
				t.Fatal(err)
			}
			s := p.Metadata().Schema
			if s.NumColumns() != 3 || s.Column(0).Name() != "a" || s.Column(1).Name() != "v" || s.Column(2).Name() != "z" {
				t.Errorf("the columns are %s", s)
			}
			if got := p.BrokenTypes()[s.Column(1).SchemaNode()]; got != test.want || len(p.BrokenTypes()) > 1 {
				t.Errorf("%q of %d broken types, want %q", got, len(p.BrokenTypes()), test.want)
			}
		})
	}
}

// Groups have misplaced types too. Hive's UNKNOWN means nothing there, and the converted type is used.
func TestMisplacedTypeOfGroup(t *testing.T) {
	for _, test := range []struct {
		name, fields string
		want         string
		as           schema.ConvertedType
	}{
		{"UNKNOWN and MAP_KEY_VALUE", "\x15\x04\x4c\xbc\x00\x00\x00", "", schema.ConvertedTypes.MapKeyValue},
		{"STRING", "\x5c\x1c\x00\x00\x00", "of the misplaced logical type STRING", schema.ConvertedTypes.None},
		{"UTF8", "\x15\x00\x00", "of the misplaced converted type UTF8", schema.ConvertedTypes.None},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := openFooter(t, []byte("\x15\x02\x19\x4c\x48\x01r\x15\x04\x00"+"\x35\x02\x18\x01v\x15\x02"+test.fields+
				"\x15\x0c\x25\x00\x18\x01m\x00"+"\x15\x0c\x25\x02\x18\x01z\x00"+"\x16\x00\x19\x0c\x00"))
			if err != nil {
				t.Fatal(err)
			}
			v := p.Metadata().Schema.Root().Field(0)
			if got := p.BrokenTypes()[v]; got != test.want || v.ConvertedType() != test.as {
				t.Errorf("%q, converted type %s; want %q, %s", got, v.ConvertedType(), test.want, test.as)
			}
		})
	}
}

// A small footer does not allocate much.
func TestFooterBombs(t *testing.T) {
	const rest = "\x16\x00\x19\x0c\x00"
	confused := "\x15\x02\x19\x1c\x48\x01r\x00\x16\x00\x19\xf3\x0b" + "\x19\xfc\xff\xff\xff\x2f" +
		strings.Repeat("\x00", 6) + "\x00"
	for _, test := range []struct{ name, footer, want string }{
		{"numbers beyond those that there are", string(testFooter(6, "\x6c"+strings.Repeat("\x15\x02", 40_000)+"\x00\x00")),
			errThrift.Error()},
		{"structs beyond the numbers that there are", string(testFooter(6, "\x6c"+strings.Repeat("\x1c\x00", 40_000)+
			"\x00\x00")), errThrift.Error()},
		{"a logical type of many members", string(testFooter(6, "\x6c"+strings.Repeat("\x05\x22\x02", 600_000)+"\x00\x00")),
			"invalid logical type"},
		{"a list of bytes that arrow takes for structs", confused, errThrift.Error()},
		{"a schema of bytes", "\x15\x02\x19\x13\x00" + rest, errThrift.Error()},
		{"a group of more children than there are", "\x15\x02\x19\x1c\x48\x01r\x15\xfe\xff\xff\xff\x0f\x00" + rest,
			errThrift.Error()},
		{"a group of less than no children", "\x15\x02\x19\x1c\x48\x01r\x15\x01\x00" + rest, errThrift.Error()},
		{"groups that share their children", "\x15\x02\x19\x3c" + strings.Repeat("\x48\x01r\x15\x04\x00", 3) + rest,
			errThrift.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			var err error
			n := measureAllocation(func() { _, _, err = parseFooter([]byte(test.footer)) })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error with %q", err, test.want)
			}
			if n > 32<<20 {
				t.Errorf("%d bytes were allocated for a footer of %d", n, len(test.footer))
			}
		})
	}
}

// FuzzFooter: a type that arrow rejects does not prevent a file from being read, and errors are not arrow's.
func FuzzFooter(f *testing.F) {
	for _, test := range logicalTypes {
		f.Add(testFooter(6, "\x6c"+test.union+"\x00"))
		f.Add(testFooter(2, "\x0c\x14"+test.union+"\x15\x02\x00"))
	}
	f.Fuzz(func(t *testing.T, footer []byte) {
		md, broken, err := parseFooter(footer)
		if err != nil {
			for _, text := range []string{"invalid logical type", "TimeUnit must be", "cannot be applied to",
				"can only annotate", "runtime error"} {
				if strings.Contains(err.Error(), text) {
					t.Fatalf("%q: %v", footer, err)
				}
			}
			return
		}
		if nodes := findNodes(md.Schema, broken); len(nodes) != len(broken) {
			t.Fatalf("%q: %d of the broken types %v are in the schema", footer, len(nodes), broken)
		}
	})
}
