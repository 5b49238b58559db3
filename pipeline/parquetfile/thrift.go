package parquetfile

import (
	"errors"
	"io"
)

// thriftReader reads Thrift's compact protocol (thrift-compact-protocol.md of the Thrift project) without knowing the
// structs: enough for a page header, and to check the lengths in a footer. It does not trust sizes: it allocates
// nothing for one, and a size of more than the rest of the data is an error.
type thriftReader struct {
	r     thriftSource
	left  int64 // bytes that may still be read
	parts int   // list elements and kept fields that may still be read
}

type thriftSource interface {
	io.ByteReader
	Discard(n int) (int, error)
}

// thriftStruct holds the numbers, booleans and structs in a struct.
type thriftStruct struct {
	ints    map[int64]int64
	structs map[int64]*thriftStruct
}

// The types of the compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI32    = 5 // 4 is i16; i16, i32 and i64 have the same encoding
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftNested = 12
)

// thriftDepth is deeper than any struct of Parquet.
const thriftDepth = 16

var errThrift = errors.New("damaged Parquet: an invalid header or footer")

func (t *thriftReader) readByte() (byte, error) {
	if t.left <= 0 {
		return 0, errThrift
	}
	t.left--
	return t.r.ReadByte()
}

func (t *thriftReader) readUvarint() (uint64, error) {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b, err := t.readByte()
		if err != nil {
			return 0, err
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n, nil
		}
	}
	return 0, errThrift
}

func (t *thriftReader) readInt() (int64, error) {
	n, err := t.readUvarint()
	return int64(n>>1) ^ -int64(n&1), err
}

func (t *thriftReader) skipBytes(n uint64) error {
	if n > uint64(t.left) {
		return errThrift
	}
	t.left -= int64(n)
	_, err := t.r.Discard(int(n))
	return err
}

// readField reads the header of the next field, after the one of number last. typ 0 is the end of the struct.
func (t *thriftReader) readField(last int64) (id int64, typ byte, err error) {
	b, err := t.readByte()
	if err != nil || b == 0 {
		return last, 0, err
	}
	if typ = b & 15; typ == 0 {
		return last, 0, errThrift
	}
	if id = last + int64(b>>4); b>>4 == 0 {
		if id, err = t.readInt(); err != nil {
			return 0, 0, err
		}
	}
	if id != int64(int16(id)) {
		return 0, 0, errThrift
	}
	return id, typ, nil
}

// skipField skips the value of a field. That of a boolean is in its type.
func (t *thriftReader) skipField(typ byte, depth int, l *layout) error {
	if typ == thriftTrue || typ == thriftFalse {
		return nil
	}
	_, err := t.readValue(typ, depth, l)
	return err
}

// layout says where arrow reads lists: it assumes the type of their elements, whatever the data says.
type layout struct {
	elements byte              // the type of the elements of a list
	fields   map[int64]*layout // of a struct, or of each struct in the list
}

// findField returns the layout of a field; nil if arrow reads no list in it.
func (l *layout) findField(id int64) *layout {
	if l == nil {
		return nil
	}
	return l.fields[id]
}

// readStruct reads a struct. If keep is false, it only checks the struct. Each kept field counts as a part.
func (t *thriftReader) readStruct(keep bool, depth int, l *layout) (*thriftStruct, error) {
	if depth > thriftDepth {
		return nil, errThrift
	}
	var s *thriftStruct
	if keep {
		s = &thriftStruct{ints: map[int64]int64{}, structs: map[int64]*thriftStruct{}}
	}
	for id := int64(0); ; {
		var typ byte
		var err error
		if id, typ, err = t.readField(id); err != nil || typ == 0 {
			return s, err
		}
		if keep {
			if err := t.reserveParts(1); err != nil {
				return nil, err
			}
		}
		var n int64
		switch typ {
		case thriftTrue, thriftFalse: // the type is the value
			n = int64(thriftFalse - typ)
		case thriftNested:
			child, err := t.readStruct(keep, depth+1, l.findField(id))
			if err != nil {
				return nil, err
			}
			if keep {
				s.structs[id] = child
			}
			continue
		default:
			if n, err = t.readValue(typ, depth, l.findField(id)); err != nil {
				return nil, err
			}
		}
		if keep {
			s.ints[id] = n
		}
	}
}

// readValue reads a value of that type, and returns it if it is a number. A boolean in a list is a byte.
func (t *thriftReader) readValue(typ byte, depth int, l *layout) (int64, error) {
	switch typ {
	case thriftTrue, thriftFalse, thriftByte:
		b, err := t.readByte()
		return int64(b), err
	case thriftByte + 1, thriftI32, thriftI64:
		return t.readInt()
	case thriftDouble:
		return 0, t.skipBytes(8)
	case thriftBinary:
		n, err := t.readUvarint()
		if err != nil {
			return 0, err
		}
		return 0, t.skipBytes(n)
	case thriftList, thriftSet:
		n, of, err := t.readListHeader()
		if err != nil {
			return 0, err
		}
		if l != nil && n > 0 && of != l.elements {
			return 0, errThrift
		}
		return 0, t.readElements(n, depth, l, of)
	case thriftMap:
		n, err := t.readUvarint()
		if err != nil || n == 0 {
			return 0, err
		}
		b, err := t.readByte()
		if err != nil {
			return 0, err
		}
		return 0, t.readElements(n, depth, nil, b>>4, b&15)
	case thriftNested:
		_, err := t.readStruct(false, depth+1, l)
		return 0, err
	}
	return 0, errThrift
}

// readListHeader reads the number and the type of a list's elements.
func (t *thriftReader) readListHeader() (n uint64, typ byte, err error) {
	b, err := t.readByte()
	if err != nil {
		return 0, 0, err
	}
	if n = uint64(b >> 4); n == 15 {
		n, err = t.readUvarint()
	}
	return n, b & 15, err
}

// reserveParts checks that n more parts are allowed.
func (t *thriftReader) reserveParts(n uint64) error {
	if n > uint64(t.left) { // each takes a byte
		return errThrift
	}
	if t.parts -= int(n); t.parts < 0 {
		return errors.New("a header or footer with too many parts: more row groups and columns than can be read in " +
			"bounded memory")
	}
	return nil
}

// readElements reads a value of each type, n times.
func (t *thriftReader) readElements(n uint64, depth int, l *layout, types ...byte) error {
	if err := t.reserveParts(n); err != nil {
		return err
	}
	if depth > thriftDepth {
		return errThrift
	}
	for range n {
		for _, typ := range types {
			if _, err := t.readValue(typ, depth+1, l); err != nil {
				return err
			}
		}
	}
	return nil
}
