package sources

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// shredder makes nested values and their columns: the inverse of parquetNode, written from "Nested Encoding" of the
// format and not from the code under test.
type shredder struct {
	tb     testing.TB
	rng    *rand.Rand
	leaves []*parquetColumn
	n      int
}

// form is a random schema. emit writes a random value in a group of these levels: the value begins at rep, and another
// element of the list around it would begin at maxRep. absent writes null.
type form struct {
	node   schema.Node
	emit   func(def, rep, maxRep int16) (pipeline.Value, string)
	absent func(def, rep int16)
}

func (s *shredder) newForm(name string, rep parquet.Repetition, depth int) form {
	switch kind := s.rng.IntN(6); {
	case depth == 0 || kind == 0:
		return s.newLeaf(name, rep)
	case kind <= 2:
		return s.newStruct(name, rep, depth)
	case kind == 5:
		return s.newMap(name, rep, depth)
	}
	return s.newList(name, rep, depth)
}

func (s *shredder) newLeaf(name string, rep parquet.Repetition) form {
	c := &parquetColumn{values: []string{}}
	s.leaves = append(s.leaves, c)
	write := func(def, rep int16) { c.defs, c.reps = append(c.defs, def), append(c.reps, rep) }
	return form{leafNode(s.tb, name, rep, schema.StringLogicalType{}, parquet.Types.ByteArray, -1),
		func(def, rep, _ int16) (pipeline.Value, string) {
			s.n++
			text := fmt.Sprint("v", s.n)
			write(def, rep)
			c.values = append(c.values.([]string), text)
			return pipeline.StringValue(text), ""
		}, write}
}

// optional makes some values null, if they may be.
func (s *shredder) optional(rep parquet.Repetition, f form) form {
	emit := f.emit
	f.emit = func(def, at, maxRep int16) (pipeline.Value, string) {
		if rep == parquet.Repetitions.Optional {
			if s.rng.IntN(4) == 0 {
				f.absent(def, at)
				return pipeline.Value{}, ""
			}
			def++
		}
		return emit(def, at, maxRep)
	}
	return f
}

func (s *shredder) newAny(name string, depth int) form {
	rep := parquet.Repetitions.Required
	if s.rng.IntN(2) == 0 {
		rep = parquet.Repetitions.Optional
	}
	return s.optional(rep, s.newForm(name, rep, depth))
}

func (s *shredder) newStruct(name string, rep parquet.Repetition, depth int) form {
	var fields []form
	var nodes []schema.Node
	for i := range 1 + s.rng.IntN(3) {
		f := s.newAny(string(rune('c'-i)), depth-1)
		fields, nodes = append(fields, f), append(nodes, f.node)
	}
	return form{newGroup(s.tb, name, rep, nil, nodes...), func(def, at, maxRep int16) (pipeline.Value, string) {
		v := pipeline.Value{Kind: pipeline.Object}
		for i, f := range fields {
			if m, _ := f.emit(def, at, maxRep); m.Kind != pipeline.Null {
				v.Members = append(v.Members, pipeline.Member{Name: nodes[i].Name(), Value: m})
			}
		}
		pipeline.SortMembers(&v)
		return v, ""
	}, func(def, at int16) {
		for _, f := range fields {
			f.absent(def, at)
		}
	}}
}

func (s *shredder) newList(name string, rep parquet.Repetition, depth int) form {
	repeated := parquet.Repetitions.Repeated
	var element form
	var node schema.Node
	switch style := s.rng.IntN(5); style {
	case 0: // the standard form, and Spark's old one
		element = s.newAny("element", depth-1)
		node = newGroup(s.tb, name, rep, schema.ListLogicalType{},
			newGroup(s.tb, []string{"list", "bag"}[s.rng.IntN(2)], repeated, nil, element.node))
	case 1: // Avro and Thrift: without the inner group
		element = s.newLeaf([]string{"array", "element"}[s.rng.IntN(2)], repeated)
		node = newGroup(s.tb, name, rep, schema.ListLogicalType{}, element.node)
	case 2: // the same with a struct
		element = s.newStruct([]string{"array", name + "_tuple"}[s.rng.IntN(2)], repeated, depth)
		node = newGroup(s.tb, name, rep, schema.ListLogicalType{}, element.node)
	case 3: // a struct whose list is not annotated
		if rep == parquet.Repetitions.Repeated {
			return s.newList(name, rep, depth)
		}
		element = s.newLeaf("bare", repeated)
		inner := s.repeat(element)
		return form{newGroup(s.tb, name, rep, nil, element.node), func(def, at, maxRep int16) (pipeline.Value, string) {
			v, _ := inner.emit(def, at, maxRep)
			return pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{{Name: "bare", Value: v}}}, ""
		}, inner.absent}
	default:
		element = s.newAny("item", depth-1)
		node = newGroup(s.tb, name, rep, schema.ListLogicalType{}, newGroup(s.tb, "list", repeated, nil, element.node))
	}
	f := s.repeat(element)
	f.node = node
	return f
}

// repeat returns a list of an element.
func (s *shredder) repeat(element form) form {
	return form{nil, func(def, at, maxRep int16) (pipeline.Value, string) {
		v := pipeline.Value{Kind: pipeline.List}
		n := s.rng.IntN(4)
		if n == 0 {
			element.absent(def, at)
		}
		for range n {
			m, _ := element.emit(def+1, at, maxRep+1)
			v.Members = append(v.Members, pipeline.Member{Value: m})
			at = maxRep + 1
		}
		return v, ""
	}, element.absent}
}

func (s *shredder) newMap(name string, rep parquet.Repetition, depth int) form {
	key := s.newLeaf("key", parquet.Repetitions.Required)
	value := s.newAny("value", depth-1)
	node := newGroup(s.tb, name, rep, schema.MapLogicalType{},
		newGroup(s.tb, "key_value", parquet.Repetitions.Repeated, nil, key.node, value.node))
	return form{node, func(def, at, maxRep int16) (pipeline.Value, string) {
		v := pipeline.Value{Kind: pipeline.Object}
		n := s.rng.IntN(3)
		if n == 0 {
			key.absent(def, at)
			value.absent(def, at)
		}
		for range n {
			k, _ := key.emit(def+1, at, maxRep+1)
			m, _ := value.emit(def+1, at, maxRep+1)
			v.Members = append(v.Members, pipeline.Member{Name: k.Text, Value: m})
			at = maxRep + 1
		}
		pipeline.SortMembers(&v)
		return v, ""
	}, func(def, at int16) {
		key.absent(def, at)
		value.absent(def, at)
	}}
}

// Values of any schema that are shredded are assembled again unchanged.
func TestParquetNestedRandomly(t *testing.T) {
	const rows = 40
	for seed := range uint64(150) {
		s := &shredder{tb: t, rng: rand.New(rand.NewPCG(seed, 1))}
		f := s.newAny("p", 4)
		var want []string
		for range rows {
			v, _ := f.emit(0, 0, 0)
			context := "{}"
			if v.Kind != pipeline.Null {
				context = `{"user_properties":{"p":` + string(v.AppendJSON(nil)) + `}}`
			}
			want = append(want, context)
		}
		cols := withID(t, rows)
		for i, l := range s.leaves {
			if i == 0 {
				l.node = f.node
			}
			cols = append(cols, *l)
		}
		data := parquetBytes(t, cols, parquet.WithDataPageSize(100), parquet.WithDictionaryDefault(seed%2 == 0),
			parquet.WithDataPageVersion([]parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2}[seed/2%2]),
			parquet.WithCompression(compress.Codecs.Snappy))
		got, err := readRows(t, "u.parquet", data, Options{Mapping: Mapping{Properties: []string{"p"}}})
		if err != nil || len(got) != rows {
			t.Fatalf("seed %d: %d rows, %v", seed, len(got), err)
		}
		for i := range got {
			if got[i].Context != want[i] {
				t.Fatalf("seed %d, row %d:\ngot  %s\nwant %s", seed, i+1, got[i].Context+got[i].Err, want[i])
			}
		}
	}
}

// Maps that cannot be objects, and cells that are too large, are errors of the row, and the next row follows.
func TestParquetNestedBadRows(t *testing.T) {
	node := func(key parquet.Repetition) schema.Node {
		return newGroup(t, "p", parquet.Repetitions.Optional, schema.MapLogicalType{},
			newGroup(t, "key_value", parquet.Repetitions.Repeated, nil,
				leafNode(t, "key", key, schema.StringLogicalType{}, parquet.Types.ByteArray, -1),
				leafNode(t, "value", parquet.Repetitions.Required, nil, parquet.Types.Int32, -1)))
	}
	read := func(cols ...parquetColumn) (string, []got) {
		t.Helper()
		rows, err := readRows(t, "u.parquet", parquetBytes(t, withID(t, 3, cols...)),
			Options{Mapping: Mapping{Properties: []string{"p"}}})
		if err != nil {
			t.Fatal(err)
		}
		return joinIDs(rows), rows
	}
	got, rows := read(
		parquetColumn{node: node(parquet.Repetitions.Required), values: []string{"b", "a", "k", "k", "c"},
			defs: []int16{2, 2, 2, 2, 2}, reps: []int16{0, 1, 0, 1, 0}},
		parquetColumn{values: []int32{1, 2, 3, 4, 5}, defs: []int16{2, 2, 2, 2, 2}, reps: []int16{0, 1, 0, 1, 0}})
	if got != "1:u1 2:u2!bad_row 3:u3" || rows[0].Context != `{"user_properties":{"p":{"a":2,"b":1}}}` ||
		!strings.Contains(rows[1].Err, "column p: a map with a duplicate key") {
		t.Errorf("a duplicate key: %s, %+v", got, rows)
	}
	got, rows = read(
		parquetColumn{node: node(parquet.Repetitions.Optional), values: []string{"b", "c"}, defs: []int16{3, 2, 3},
			reps: []int16{0, 0, 0}},
		parquetColumn{values: []int32{1, 2, 3}, defs: []int16{2, 2, 2}, reps: []int16{0, 0, 0}})
	if got != "1:u1 2:u2!bad_row 3:u3" || !strings.Contains(rows[1].Err, "a null key") {
		t.Errorf("a null key: %s, %+v", got, rows)
	}
	many := parquetColumn{node: newGroup(t, "p", parquet.Repetitions.Optional, schema.ListLogicalType{},
		newGroup(t, "list", parquet.Repetitions.Repeated, nil,
			leafNode(t, "element", parquet.Repetitions.Optional, nil, parquet.Types.Int32, -1)))}
	for _, n := range []int{1, maxRecord/len("null,") + 1, 1} {
		for i := range n {
			many.defs, many.reps = append(many.defs, 2), append(many.reps, int16(min(i, 1))) // nulls cost as much as values
		}
	}
	many.values = []int32{}
	if got, rows = read(many); got != "1:u1 2:u2!bad_row 3:u3" ||
		!strings.Contains(rows[1].Err, "column p: the nested columns of the row are longer than 1 MiB") {
		t.Errorf("many values: %s, %s", got, rows[1].Err)
	}
}

// A schema that is nested too deep is an error, and costs little.
func TestParquetDeepSchema(t *testing.T) {
	for _, depth := range []int{50, 150, 20_000} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			b := []byte{0x15, 2, 0x19, 0xfc} // version 1; a list of structs
			b = binary.AppendUvarint(b, uint64(depth+2))
			element := func(children uint64) { // field 3: repetition (required); 4: name; 5: children
				b = append(b, 0x35, 0, 0x18, 1, 'a', 0x15)
				b = binary.AppendUvarint(b, children*2)
				b = append(b, 0)
			}
			b = append(b, 0x48, 6)
			b = append(b, "schema"...)
			b = append(b, 0x15, 2, 0)
			for range depth {
				element(1)
			}
			b = append(b, 0x15, 12, 0x25, 0, 0x18, 1, 'a', 0) // a leaf: type BYTE_ARRAY, required
			b = append(b, 0x16, 0, 0x19, 0x0c, 0)             // no rows, no row groups
			file := append([]byte("PAR1"), b...)
			file = binary.LittleEndian.AppendUint32(file, uint32(len(b)))
			file = append(file, "PAR1"...)
			var err error
			n := measureAllocation(func() {
				_, err = readRows(t, "u.parquet", file,
					Options{Mapping: Mapping{Properties: []string{"a"}}})
			})
			want := "none of the 1 columns"
			if depth > maxNesting {
				want = "column a: a column that is nested deeper than 100"
			}
			if err == nil || !strings.Contains(err.Error(), want) || n > 1<<20+1000*uint64(depth) {
				t.Errorf("%d deep: %v, %d bytes allocated; want %q", depth, err, n, want)
			}
		})
	}
}

// newTypesParquet returns a file of one user with columns of types that arrow does not know, so it cannot write them:
// g is a GEOMETRY, v a VARIANT, places a list of GEOMETRY, and account a struct of a plan and a VARIANT, extra.
func newTypesParquet(tb testing.TB) []byte {
	tb.Helper()
	required := parquet.Repetitions.Required
	bytes := func(name string) schema.Node { return leafNode(tb, name, required, nil, parquet.Types.ByteArray, -1) }
	geometry := func(name string) schema.Node {
		return leafNode(tb, name, required, schema.UUIDLogicalType{}, parquet.Types.FixedLenByteArray, 16)
	}
	variant := func(name string) schema.Node {
		return newGroup(tb, name, required, nil, bytes("metadata"), bytes("value"))
	}
	text := parquetColumn{values: []string{"x"}}
	point := parquetColumn{values: []string{"0123456789abcdef"}}
	g, v, places, account := point, text, point, text
	g.node, v.node = geometry("g"), variant("v")
	places.node = newGroup(tb, "places", required, schema.ListLogicalType{},
		newGroup(tb, "list", parquet.Repetitions.Repeated, nil, geometry("element")))
	places.defs, places.reps = []int16{1}, []int16{0}
	account.node = newGroup(tb, "account", required, nil, bytes("plan"), variant("extra"))
	data := parquetBytes(tb, withID(tb, 1, g, v, text, places, account, text, text))
	size := int(binary.LittleEndian.Uint32(data[len(data)-8:]))
	rows, footer := string(data[:len(data)-8-size]), string(data[len(data)-8-size:len(data)-8])
	for _, change := range []struct {
		from, to string
		times    int
	}{
		{"\xec\x00\x00\x00", "\x0c\x22\x00\x00\x00", 2},                                   // UUID, 14, and GEOMETRY, 17
		{"\x18\x01v\x15\x04\x00", "\x18\x01v\x15\x04\x5c\x0c\x20\x13\x01\x00\x00\x00", 1}, // two fields, and VARIANT, 16
		{"\x18\x05extra\x15\x04\x00", "\x18\x05extra\x15\x04\x5c\x0c\x20\x13\x01\x00\x00\x00", 1},
	} {
		if n := strings.Count(footer, change.from); n != change.times {
			tb.Fatalf("%q is in the footer %d times, want %d: %q", change.from, n, change.times, footer)
		}
		footer = strings.ReplaceAll(footer, change.from, change.to)
	}
	return append(binary.LittleEndian.AppendUint32([]byte(rows+footer), uint32(len(footer))), "PAR1"...)
}

// A column of a type that arrow does not know is an error that names it if it is wanted, and else does not matter.
func TestParquetUnknownTypes(t *testing.T) {
	data := newTypesParquet(t)
	for _, test := range []struct {
		mapping Mapping
		want    string
	}{
		{Mapping{}, `{}`},
		{Mapping{Map: map[string]string{"user_properties.plan": "account.plan"}}, `{"user_properties":{"plan":"x"}}`},
		{Mapping{Properties: []string{"v"}}, "u.parquet: column v: a column of the logical type VARIANT cannot be " +
			"user_properties.v"},
		{Mapping{Properties: []string{"places"}}, "column places: a column of the logical type GEOMETRY cannot be " +
			"user_properties.places"},
		{Mapping{Map: map[string]string{"context": "account"}},
			"column account: a column of the logical type VARIANT cannot be context"},
		{Mapping{Map: map[string]string{"country": "g"}},
			"column g: a column of the logical type GEOMETRY cannot be country"},
		{Mapping{Carry: []string{"g"}}, "column g: a column of the logical type GEOMETRY cannot be carried"},
		{Mapping{Carry: []string{"account.extra"}}, "column account.extra: a column of the logical type VARIANT cannot be " +
			"carried"},
		// it is no text without what it is part of
		{Mapping{Carry: []string{"v.value"}}, `the input has no column "v.value"`},
		{Mapping{AllProperties: true}, `{}`}, // they are left out
	} {
		t.Run(fmt.Sprintf("%+v", test.mapping), func(t *testing.T) {
			rows, err := readRows(t, "u.parquet", data, Options{Mapping: test.mapping})
			switch {
			case test.want[0] != '{':
				if err == nil || !strings.Contains(err.Error(), test.want) || pipeline.Hint(err) == "" {
					t.Errorf("%+v: %v, hint %q; want %q and a hint", test.mapping, err, pipeline.Hint(err), test.want)
				}
			case err != nil || joinIDs(rows) != "1:u1" || rows[0].Context != test.want:
				t.Errorf("%+v: %+v, %v; want %s", test.mapping, rows, err, test.want)
			}
		})
	}
	// The files of an input have the same types, also in unwanted columns.
	plain := parquetBytes(t, withID(t, 1, parquetColumn{node: leafNode(t, "g", parquet.Repetitions.Required, nil,
		parquet.Types.ByteArray, -1), values: []string{"x"}}))
	_, err := Open([]File{{Path: writeFile(t, "a", data), Name: "a"}, {Path: writeFile(t, "b", plain), Name: "b"}},
		Options{Format: "parquet"})
	if want := `b: the column "g" holds texts, but in a it holds values of the logical type GEOMETRY`; err == nil ||
		err.Error() != want {
		t.Errorf("another type in another file: %v, want %q", err, want)
	}
}

// Hive's maps have an inner group of the logical type UNKNOWN, which means nothing there. The file is Impala's
// create_table_like_parquet_test.parquet without one column.
func TestParquetHiveMap(t *testing.T) {
	in, err := Open(filesAt("testdata/hive-map.parquet"), Options{Mapping: Mapping{AllProperties: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // only read
	rows, err := readAll(in)
	if err != nil || joinIDs(rows) != "1:u0 2:u1 3:u2" {
		t.Fatalf("%+v, %v; want three users", rows, err)
	}
	if got, want := rows[2].Context, `{"user_properties":{"attrs":{"k2":2}}}`; got != want {
		t.Errorf("the last user is %s, want %s", got, want)
	}
}

// An unknown physical type is an error before a value is read.
func TestParquetUnknownPhysicalType(t *testing.T) {
	n, err := schema.NewPrimitiveNode("x", parquet.Repetitions.Required, 9, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, why := newConverter(schema.NewColumn(n, 0, 0)); why != "a column of an unknown physical type" {
		t.Errorf("a column of the physical type 9: %q", why)
	}
}
