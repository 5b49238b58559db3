package parquetfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// The relevant fields of a footer (parquet.thrift of the Parquet format): FileMetaData.schema is a list of
// SchemaElement. SchemaElement.type is the physical type, and SchemaElement.logicalType a union, LogicalType.
const (
	footerSchema     = 2
	elementType      = 1
	elementChildren  = 5
	elementConverted = 6
	elementLogical   = 10
)

// footerLayout says where arrow reads lists in a footer.
var footerLayout = &layout{fields: map[int64]*layout{
	footerSchema: {elements: thriftNested},
	4: {elements: thriftNested, fields: map[int64]*layout{ // row_groups
		1: {elements: thriftNested, fields: map[int64]*layout{ // columns
			3: {fields: map[int64]*layout{ // meta_data
				2:  {elements: thriftI32},    // encodings
				3:  {elements: thriftBinary}, // path_in_schema
				8:  {elements: thriftNested}, // key_value_metadata
				13: {elements: thriftNested}, // encoding_stats
			}},
			8: {fields: map[int64]*layout{ // crypto_metadata, by ENCRYPTION_WITH_COLUMN_KEY
				2: {fields: map[int64]*layout{1: {elements: thriftBinary}}}, // path_in_schema
			}},
		}},
		4: {elements: thriftNested}, // sorting_columns
	}},
	5: {elements: thriftNested}, // key_value_metadata
	7: {elements: thriftNested}, // column_orders
}}

// logicalNames are the members of LogicalType. arrow v15 does not know the last three.
var logicalNames = map[int64]string{
	1: "STRING", 2: "MAP", 3: "LIST", 4: "ENUM", 5: "DECIMAL", 6: "DATE", 7: "TIME", 8: "TIMESTAMP", 10: "INTEGER",
	11: "UNKNOWN",
	12: "JSON", 13: "BSON", 14: "UUID", 15: "FLOAT16", 16: "VARIANT", 17: "GEOMETRY", 18: "GEOGRAPHY",
}

// logicalUnknown is the logical type of a column that holds only nulls. Hive also writes it on groups, where it means
// nothing.
const logicalUnknown = 11

// footer is a footer whose parts have the lengths that they claim.
type footer struct {
	data     []byte
	elements []int // the offset of each element of the schema, and the end of the last one
}

// parseFooter returns arrow's metadata of a footer.
//
// arrow rejects a file if its schema has a type that arrow does not know, or a misplaced one, even if nobody reads
// that column. In that case, parseFooter removes these types from the schema. broken describes them, by the index of
// the element.
func parseFooter(data []byte) (md *metadata.FileMetaData, broken map[int]string, err error) {
	f, err := checkFooter(data)
	if err != nil {
		return nil, nil, err
	}
	if md, err = f.parse(); err == nil {
		return md, nil, nil
	}
	repaired, broken := f.removeBadTypes()
	if repaired == nil {
		return nil, nil, err
	}
	f.data = repaired
	md, err = f.parse()
	return md, broken, err
}

// parse calls arrow's parser.
func (f *footer) parse() (md *metadata.FileMetaData, err error) {
	defer recoverPanic(&err)
	if md, err = metadata.NewFileMetaData(f.data, nil); err != nil {
		return nil, fmt.Errorf("damaged Parquet: %w", err)
	}
	return md, nil
}

// checkFooter checks that all parts of a footer have the lengths that they claim, because arrow allocates for the
// length that a list claims.
func checkFooter(data []byte) (f *footer, err error) {
	t := newFooterReader(data)
	f = &footer{data: data}
	id, typ, err := t.readField(0)
	for ; err == nil && typ != 0; id, typ, err = t.readField(id) {
		if id != footerSchema || typ != thriftList {
			err = t.skipField(typ, 0, footerLayout.findField(id))
		} else {
			f.elements, err = t.readSchema(len(data))
		}
		if err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = errThrift
	}
	return f, err
}

func newFooterReader(data []byte) *thriftReader {
	return &thriftReader{r: bufio.NewReader(bytes.NewReader(data)), left: int64(len(data)), parts: maxFooterParts}
}

// readSchema reads the elements of the schema, and returns their offsets in a footer of that size, and the end of the
// last.
func (t *thriftReader) readSchema(size int) (at []int, err error) {
	n, typ, err := t.readListHeader()
	if err != nil {
		return nil, err
	}
	if n > 0 && typ != thriftNested {
		return nil, errThrift
	}
	if err := t.reserveParts(n); err != nil {
		return nil, err
	}
	left := int64(n) - 1 // elements that may be children; arrow allocates for as many as a group claims
	for range n {
		at = append(at, size-int(t.left))
		children := int64(0)
		for id := int64(0); ; {
			var typ byte
			if id, typ, err = t.readField(id); err != nil {
				return nil, err
			}
			switch {
			case typ == 0:
			case id == elementChildren && typ == thriftI32:
				if children, err = t.readInt(); children < 0 || children > left {
					return nil, errThrift
				}
			default:
				err = t.skipField(typ, 1, nil)
			}
			if err != nil {
				return nil, err
			}
			if typ == 0 {
				break
			}
		}
		left -= children
	}
	return append(at, size-int(t.left)), nil
}

// removeBadTypes returns the footer without the types that arrow rejects, and a description of these; nil if the
// schema is not the problem.
func (f *footer) removeBadTypes() (data []byte, broken map[int]string) {
	broken = map[int]string{}
	done := 0 // bytes of f.data that are in data, or were removed
	for i := range max(0, len(f.elements)-1) {
		from, to := f.elements[i], f.elements[i+1]
		e := parseElement(f.data[from:to])
		e.group = e.group || i == 0
		if e.isAccepted() {
			continue
		}
		what, ok := e.removeBadType()
		if !ok {
			return nil, nil
		}
		data = e.appendTo(append(data, f.data[done:from]...))
		done = to
		if what != "" {
			broken[i] = what
		}
	}
	if done == 0 {
		return nil, nil
	}
	return append(data, f.data[done:]...), broken
}

// element is an element of the schema.
type element struct {
	fields []elementField
	group  bool
}

// elementField is a field of a struct: its number, its type, and its value as in the file.
type elementField struct {
	id    int64
	typ   byte
	value []byte
	n     int64 // the value, if it is a number
}

// parseElement parses an element that checkFooter has checked.
func parseElement(data []byte) *element {
	t := newFooterReader(data)
	e := &element{}
	for id := int64(0); ; {
		var typ byte
		var err error
		if id, typ, err = t.readField(id); err != nil || typ == 0 {
			return e
		}
		f := elementField{id: id, typ: typ}
		from := len(data) - int(t.left)
		if typ != thriftTrue && typ != thriftFalse {
			if f.n, err = t.readValue(typ, 1, nil); err != nil {
				return e
			}
		}
		f.value = data[from : len(data)-int(t.left)]
		e.fields = append(e.fields, f)
		e.group = e.group || id == elementChildren && typ == thriftI32 && f.n > 0
	}
}

// appendTo appends the element in the form of a file.
func (e *element) appendTo(dst []byte) []byte {
	for _, f := range e.fields {
		dst = append(binary.AppendVarint(append(dst, f.typ), f.id), f.value...) // the long form, with the number
	}
	return append(dst, 0)
}

// isAccepted reports whether arrow accepts a file with that element.
func (e *element) isAccepted() bool {
	const child = "\x15\x0c\x25\x02\x18\x01c\x00" // a column c
	data := []byte("\x15\x02\x19\x2c")            // version, and a schema of two elements
	if e.group {
		one := elementField{elementChildren, thriftI32, []byte{2}, 1}
		data = append((&element{fields: append(e.withoutField(elementChildren), one)}).appendTo(data), child...)
	} else {
		data = e.appendTo(append(data, "\x48\x01r\x15\x02\x00"...)) // below a root r
	}
	_, err := (&footer{data: append(data, "\x16\x00\x19\x0c\x00"...)}).parse() // no rows in no row groups
	return err == nil
}

// withoutField returns the fields except those of that number.
func (e *element) withoutField(id int64) []elementField {
	return slices.DeleteFunc(slices.Clone(e.fields), func(f elementField) bool { return f.id == id })
}

// findLastField returns the last field of that number and type, which is the one that is used.
func (e *element) findLastField(id int64, typ byte) (f elementField, ok bool) {
	for _, g := range e.fields {
		if g.id == id && g.typ == typ {
			f, ok = g, true
		}
	}
	return f, ok
}

// removeBadType removes from the element what arrow rejects. It returns a description of that as in
// [File.BrokenTypes], or "" if it means nothing.
func (e *element) removeBadType() (what string, ok bool) {
	if logical, has := e.findLastField(elementLogical, thriftNested); has {
		union, err := newFooterReader(logical.value).readStruct(true, 2, nil)
		if err != nil {
			return "", false
		}
		what = union.describe(e.group)
		e.fields = e.withoutField(elementLogical)
		if e.isAccepted() {
			return what, true
		}
	}
	if converted, has := e.findLastField(elementConverted, thriftI32); has {
		if what == "" {
			what = fmt.Sprintf("of the misplaced converted type %s", schema.ConvertedType(converted.n))
		}
		e.fields = e.withoutField(elementConverted)
		if e.isAccepted() {
			return what, true
		}
	}
	e.fields = append(e.withoutField(elementType), elementField{elementType, thriftI32, []byte{12}, 6}) // BYTE_ARRAY
	if what == "" {
		what = "of values of an invalid length"
	}
	return what, e.isAccepted()
}

// describe returns a description of a logical type that arrow rejects. arrow knows 1 to 15, of which 9 is reserved,
// and units of time up to nanoseconds. Of several members of the union it uses the first one that it knows.
func (s *thriftStruct) describe(group bool) string {
	for id := int64(1); id <= 15; id++ {
		member := s.structs[id]
		if member == nil || id == 9 {
			continue
		}
		if group && id == logicalUnknown {
			return ""
		}
		unit := member.structs[2]
		if (id == 7 || id == 8) && unit != nil && unit.structs[1] == nil && unit.structs[2] == nil && unit.structs[3] == nil {
			return "of the logical type " + logicalNames[id] + " of an unknown unit"
		}
		return "of the misplaced logical type " + logicalNames[id]
	}
	if len(s.structs) == 0 {
		return "of a logical type without a number"
	}
	id := slices.Min(slices.Collect(maps.Keys(s.structs)))
	if name, ok := logicalNames[id]; ok {
		return "of the logical type " + name
	}
	return fmt.Sprintf("of the logical type number %d", id)
}

// findNodes returns the nodes of a schema at these indices in the footer, which lists them depth first.
func findNodes(s *schema.Schema, at map[int]string) map[schema.Node]string {
	nodes := map[schema.Node]string{}
	i := 0
	var walk func(n schema.Node)
	walk = func(n schema.Node) {
		if name, ok := at[i]; ok {
			nodes[n] = name
		}
		i++
		if g, ok := n.(*schema.GroupNode); ok {
			for j := range g.NumFields() {
				walk(g.Field(j))
			}
		}
	}
	if len(at) > 0 {
		walk(s.Root())
	}
	return nodes
}
