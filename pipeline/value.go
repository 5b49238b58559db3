package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ValueKind is the kind of a [Value].
type ValueKind uint8

// The kinds. Which fields of a Value they use is said beside each.
const (
	Null      ValueKind = iota
	String              // Text
	Number              // Text: a JSON number literal, kept as written
	Int                 // Num
	Float               // Num: the bits of a float64
	Bool                // Num: 0 or 1
	Timestamp           // Text: RFC 3339; Num: microseconds since 1970 UTC
	Date                // Text: 2006-01-02; Num: days since 1970
	List                // Members, their names empty
	Object              // Members, sorted by name, each name once
)

// Value is a value of a user: a property, a context field, a cell of the input. It is a JSON value that
// remembers which type it had, and the exact digits of its number. The zero Value is null.
type Value struct {
	Kind    ValueKind
	Num     int64
	Text    string
	Members []Member
}

// Member is a named value: a member of an object, a cell of a row, an element of a list (Name empty).
type Member struct {
	Name  string
	Value Value
}

// Type is the type of a carried column, fixed before the first row.
type Type uint8

// The types of carried columns, and the kinds of the values in them (Null is in all).
const (
	TypeString    Type = iota // String, Number
	TypeInt                   // Int
	TypeFloat                 // Float
	TypeBool                  // Bool
	TypeDate                  // Date
	TypeTimestamp             // Timestamp
	TypeJSON                  // any; written as JSON text
)

// String is the type's name, as --types spells it.
func (t Type) String() string {
	return [...]string{"string", "int", "float", "bool", "date", "timestamp", "json"}[t]
}

// Column is a carried column.
type Column struct {
	Name string
	Type Type
}

// StringValue, IntValue, FloatValue and BoolValue make the simple values.
func StringValue(s string) Value { return Value{Kind: String, Text: s} }

// IntValue makes an Int.
func IntValue(n int64) Value { return Value{Kind: Int, Num: n} }

// FloatValue makes a Float.
func FloatValue(f float64) Value { return Value{Kind: Float, Num: int64(math.Float64bits(f))} }

// BoolValue makes a Bool.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: Bool, Num: 1}
	}
	return Value{Kind: Bool}
}

// Float is the float64 of a Float.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.Num)) }

// Get is the member of an object with that name; nil if there is none.
func (v *Value) Get(name string) *Value {
	if v.Kind != Object {
		return nil
	}
	return Find(v.Members, name)
}

// Find is the value of that name among sorted members; nil if there is none.
func Find(members []Member, name string) *Value {
	i, found := slices.BinarySearchFunc(members, name, func(m Member, name string) int { return strings.Compare(m.Name, name) })
	if !found {
		return nil
	}
	return &members[i].Value
}

// AppendText appends the value as a cell of a text format holds it: a string as it is, null as nothing,
// everything else as JSON.
func (v Value) AppendText(dst []byte) []byte {
	switch v.Kind {
	case Null:
		return dst
	case String, Number, Timestamp, Date:
		return append(dst, v.Text...)
	}
	return v.AppendJSON(dst)
}

// AppendJSON appends the value as JSON in its one canonical form: no spaces, members in their order,
// numbers as written, only the escapes that JSON demands. NaN and the infinities, which JSON lacks, are null.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.Kind {
	case String, Timestamp, Date:
		return AppendJSONString(dst, v.Text)
	case Number:
		return append(dst, v.Text...)
	case Int:
		return strconv.AppendInt(dst, v.Num, 10)
	case Float:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(dst, "null"...)
		}
		if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) { // as ECMAScript and encoding/json print it
			return strconv.AppendFloat(dst, f, 'e', -1, 64)
		}
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	case Bool:
		return strconv.AppendBool(dst, v.Num != 0)
	case List:
		dst = append(dst, '[')
		for i := range v.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.Members[i].Value.AppendJSON(dst)
		}
		return append(dst, ']')
	case Object:
		return AppendObject(dst, v.Members)
	}
	return append(dst, "null"...)
}

// AppendObject appends the members as a JSON object, in their order.
func AppendObject(dst []byte, members []Member) []byte {
	dst = append(dst, '{')
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSONString(dst, members[i].Name)
		dst = append(dst, ':')
		dst = members[i].Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s as a JSON string, escaping only what JSON demands (RFC 8259, 7).
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// maxDepth is how deep a JSON value of the input may nest: more than any real user, little enough for the stack.
const maxDepth = 100

// ParseJSON reads one JSON value, strictly: valid UTF-8, no lone surrogates, no name twice in an object,
// nothing after it. Anything else would have to be guessed at or altered. Objects come back sorted by name,
// numbers as written.
func ParseJSON(text string) (Value, error) {
	v, err := parseJSON(text)
	if err != nil {
		return Value{}, err
	}
	SortMembers(&v)
	return v, nil
}

// ParseObject is [ParseJSON] for the members of an object in the order in which they stand; objects inside
// it are sorted.
func ParseObject(text string) ([]Member, error) {
	v, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	if v.Kind != Object {
		return nil, errors.New("not a JSON object")
	}
	for i := range v.Members {
		SortMembers(&v.Members[i].Value)
	}
	return v.Members, nil
}

// SortMembers puts the members of every object in v into their canonical order.
func SortMembers(v *Value) {
	for i := range v.Members {
		SortMembers(&v.Members[i].Value)
	}
	if v.Kind == Object {
		slices.SortFunc(v.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	}
}

func parseJSON(text string) (Value, error) {
	if !utf8.ValidString(text) {
		return Value{}, errors.New("not valid UTF-8")
	}
	if hasLoneSurrogate(text) {
		return Value{}, errors.New(`a \u escape that is half of a surrogate pair`)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Value{}, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Value{}, errors.New("not JSON: more text after the value")
	}
	return v, nil
}

func decodeValue(dec *json.Decoder, depth int) (Value, error) {
	tok, err := dec.Token()
	if err != nil {
		return Value{}, err
	}
	switch tok := tok.(type) {
	case string:
		return StringValue(tok), nil
	case json.Number:
		return Value{Kind: Number, Text: tok.String()}, nil
	case bool:
		return BoolValue(tok), nil
	case json.Delim:
		if depth >= maxDepth {
			return Value{}, fmt.Errorf("nested deeper than %d", maxDepth)
		}
		v := Value{Kind: List}
		if tok == '{' {
			v.Kind = Object
		}
		names := map[string]bool{}
		for dec.More() {
			var m Member
			if v.Kind == Object {
				name, err := dec.Token()
				if err != nil {
					return Value{}, err
				}
				m.Name = name.(string) // the decoder has made sure
				if names[m.Name] {
					return Value{}, fmt.Errorf("the name %q stands twice in one object", m.Name)
				}
				names[m.Name] = true
			}
			if m.Value, err = decodeValue(dec, depth+1); err != nil {
				return Value{}, err
			}
			v.Members = append(v.Members, m)
		}
		_, err := dec.Token() // the closing bracket
		return v, err
	}
	return Value{}, nil // null
}

// hasLoneSurrogate reports whether a \u escape of the JSON text is half of a pair. encoding/json would
// replace it silently, and the API would get another value than the input holds.
func hasLoneSurrogate(text string) bool {
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return false
		}
		if text[i+1] != 'u' {
			text = text[i+2:]
			continue
		}
		r, ok := hex4(text[i+2:])
		text = text[min(i+6, len(text)):]
		switch {
		case !ok || r < 0xd800 || r > 0xdfff:
		case r >= 0xdc00 || !strings.HasPrefix(text, `\u`):
			return true
		default:
			low, ok := hex4(text[2:])
			if !ok || low < 0xdc00 || low > 0xdfff {
				return true
			}
			text = text[6:]
		}
	}
}

func hex4(s string) (uint64, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	return n, err == nil
}
