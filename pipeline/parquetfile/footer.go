package parquetfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/parquet/schema"
)

// The fields of a footer that matter here (parquet.thrift of the Parquet format): FileMetaData.schema is a list of
// SchemaElement, and SchemaElement.logicalType a union, LogicalType.
const (
	footerSchema = 2
	elementType  = 10
)

// newTypes are the logical types that arrow v15 does not know.
var newTypes = map[int64]string{16: "VARIANT", 17: "GEOMETRY", 18: "GEOGRAPHY"}

// checkFooter makes sure that a footer is as long as it says, in all its parts: arrow allocates for the length that a
// list claims.
//
// It also renames, in the footer, each logical type that arrow does not know, because arrow panics on one: field 10 of
// the schema element becomes its field 11, which there is not, and which arrow therefore skips. unknown are their names, by
// the position of the element in the schema. A field behind it moves on by one too, and stays one that there is not.
func checkFooter(footer []byte) (unknown map[int]string, err error) {
	t := &thriftReader{r: bufio.NewReader(bytes.NewReader(footer)), left: int64(len(footer)), parts: maxFooterParts}
	unknown = map[int]string{}
	id, typ, err := t.field(0)
	for ; err == nil && typ != 0; id, typ, err = t.field(id) {
		if id != footerSchema || typ != thriftList {
			err = t.skipField(typ, 0)
		} else {
			err = t.schema(footer, unknown)
		}
		if err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = errThrift
	}
	return unknown, err
}

// schema reads the elements of the schema.
func (t *thriftReader) schema(footer []byte, unknown map[int]string) error {
	n, typ, err := t.list()
	if err != nil {
		return err
	}
	if typ != thriftNested {
		return t.elements(n, 0, typ)
	}
	if err := t.room(n); err != nil {
		return err
	}
	for i := range int(n) {
		for id := int64(0); ; {
			at := len(footer) - int(t.left)
			var typ byte
			if id, typ, err = t.field(id); err != nil {
				return err
			}
			if typ == 0 {
				break
			}
			if id != elementType || typ != thriftNested {
				if err := t.skipField(typ, 1); err != nil {
					return err
				}
				continue
			}
			logical, err := t.read(true, 2)
			if err != nil {
				return err
			}
			name, ok := logical.unknownType()
			if !ok {
				continue
			}
			unknown[i] = name
			switch delta := footer[at] >> 4; delta {
			case 0: // the number follows: 10 as a zigzag varint
				footer[at+1] += 2
			case 15:
				return errThrift // behind a field of a number below 0
			default:
				footer[at] += 1 << 4
			}
		}
	}
	return nil
}

// unknownType is the name of a LogicalType that arrow does not know. It knows 1 to 15, of which 9 is reserved, and units of
// time up to nanoseconds.
func (s *thriftStruct) unknownType() (name string, ok bool) {
	for id := int64(1); id <= 15; id++ { // a union has one member; of several, arrow takes the first one that it knows
		member := s.structs[id]
		if member == nil || id == 9 {
			continue
		}
		name, timed := map[int64]string{7: "TIME", 8: "TIMESTAMP"}[id]
		unit := member.structs[2]
		if timed && unit != nil && unit.structs[1] == nil && unit.structs[2] == nil && unit.structs[3] == nil {
			return name + " of an unknown unit", true
		}
		return "", false
	}
	if len(s.structs) == 0 {
		return "without a number", true
	}
	id := slices.Min(slices.Collect(maps.Keys(s.structs)))
	if name, ok := newTypes[id]; ok {
		return name, true
	}
	return fmt.Sprintf("number %d", id), true
}

// nodesOf are the nodes of a schema at these positions in the footer, where they stand depth first.
func nodesOf(s *schema.Schema, at map[int]string) map[schema.Node]string {
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
