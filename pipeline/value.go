package pipeline

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
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
	TypeDecimal               // String: a number in the form of [AppendDecimal], see [ValidDecimal]
)

// String is the type's name, as --types spells it.
func (t Type) String() string {
	return [...]string{"string", "int", "float", "bool", "date", "timestamp", "json", "decimal"}[t]
}

// Column is a carried column.
type Column struct {
	Name string
	Type Type

	// Of a TypeDecimal: how many digits its values have at most, from 1 to [MaxPrecision], and how many of them stand
	// behind the point in each, from 0 to Precision.
	Precision, Scale int
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
	return FindMember(v.Members, name)
}

// FindMember is the value of that name among sorted members; nil if there is none.
func FindMember(members []Member, name string) *Value {
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
// numbers as written. Its strings are parts of text wherever they can be.
//
// It is not encoding/json, through which a row of JSONL took five times as long and six times the memory. The tests hold
// it to the same grammar.
func ParseJSON(text string) (Value, error) { return parseJSON(nil, text, true) }

// ParseObject is [ParseJSON] for the members of an object, which it appends to dst in the order in which they stand;
// objects inside it are sorted. Where there is an error, dst comes back as it was.
func ParseObject(dst []Member, text string) ([]Member, error) {
	v, err := parseJSON(dst, text, false)
	if err != nil {
		return dst, err
	}
	if v.Kind != Object {
		return dst, errors.New("not a JSON object")
	}
	if len(v.Members) == 0 {
		return dst, nil
	}
	return v.Members, nil
}

// SortMembers puts the members of every object in v into their canonical order.
func SortMembers(v *Value) {
	for i := range v.Members {
		SortMembers(&v.Members[i].Value)
	}
	if v.Kind == Object {
		slices.SortFunc(v.Members, compareNames)
	}
}

func compareNames(a, b Member) int { return strings.Compare(a.Name, b.Name) }

// parseJSON parses text. Where that is an object, its members come behind those of dst; sorted if they may be.
func parseJSON(dst []Member, text string, sorted bool) (Value, error) {
	if !utf8.ValidString(text) {
		return Value{}, errors.New("not valid UTF-8")
	}
	p := parsers.Get().(*jsonParser)
	defer p.done()
	p.text, p.dst = text, dst
	v, err := p.value(0)
	if errors.Is(err, errSurrogate) {
		return Value{}, err
	}
	if err == nil && v.Kind == Object && len(v.Members) > 0 {
		err = unique(v.Members[len(dst):], sorted)
	}
	if err != nil {
		return Value{}, fmt.Errorf("not JSON: %w", err)
	}
	if p.space(); p.pos < len(text) {
		return Value{}, errors.New("not JSON: more text after the value")
	}
	return v, nil
}

var errSurrogate = errors.New(`a \u escape that is half of a surrogate pair`)

// unique makes sure that no name stands twice among the members of an object, and sorts them if it may.
func unique(members []Member, sort bool) error {
	increasing := true
	for i := 1; i < len(members) && increasing; i++ {
		increasing = members[i-1].Name < members[i].Name
	}
	if increasing {
		return nil
	}
	if !sort {
		if len(members) <= 32 { // a row, which mostly has few; a copy to sort would cost more than the row itself
			for i := range members {
				for j := range i {
					if members[i].Name == members[j].Name {
						return twice(members[i].Name)
					}
				}
			}
			return nil
		}
		members = slices.Clone(members)
	}
	slices.SortFunc(members, compareNames)
	for i := 1; i < len(members); i++ {
		if members[i-1].Name == members[i].Name {
			return twice(members[i].Name)
		}
	}
	return nil
}

func twice(name string) error { return fmt.Errorf("the name %q stands twice in one object", name) }

// jsonParser reads JSON (RFC 8259) that is valid UTF-8.
type jsonParser struct {
	text  string
	pos   int
	dst   []Member // what the members of the outermost object are appended to
	stack []Member // of the lists and objects that are not complete
	high  int      // how long the stack has been
}

// parsers are parsers to be used again: their stacks take more memory than most values.
var parsers = sync.Pool{New: func() any { return new(jsonParser) }}

// done gives the parser back, without what it holds.
func (p *jsonParser) done() {
	if cap(p.stack) <= 1<<10 {
		clear(p.stack[:p.high])
		*p = jsonParser{stack: p.stack[:0]}
		parsers.Put(p)
	}
}

// space skips white space.
func (p *jsonParser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// next skips white space and is the byte behind it, which it leaves there; 0 at the end.
func (p *jsonParser) next() byte {
	p.space()
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

// unexpected is the error for what stands at the current place.
func (p *jsonParser) unexpected(wanted string) error {
	if p.pos >= len(p.text) {
		return io.ErrUnexpectedEOF
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return fmt.Errorf("invalid character %q where %s belongs", r, wanted)
}

func (p *jsonParser) value(depth int) (Value, error) {
	switch c := p.next(); c {
	case '{', '[':
		return p.members(c, depth)
	case '"':
		s, err := p.string()
		return StringValue(s), err
	case 't':
		return BoolValue(true), p.literal("true")
	case 'f':
		return BoolValue(false), p.literal("false")
	case 'n':
		return Value{}, p.literal("null")
	}
	return p.number()
}

func (p *jsonParser) literal(name string) error {
	for i := range len(name) {
		if p.pos == len(p.text) || p.text[p.pos] != name[i] {
			return p.unexpected(name)
		}
		p.pos++
	}
	return nil
}

// members reads a list or an object.
func (p *jsonParser) members(open byte, depth int) (Value, error) {
	if depth >= maxDepth {
		return Value{}, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	v, end := Value{Kind: List}, byte(']')
	if open == '{' {
		v.Kind, end = Object, '}'
	}
	p.pos++
	if p.next() == end {
		p.pos++
		return v, nil
	}
	start := len(p.stack)
	for {
		var m Member
		var err error
		if open == '{' {
			if p.next() != '"' {
				return v, p.unexpected("a name")
			}
			if m.Name, err = p.string(); err != nil {
				return v, err
			}
			if p.next() != ':' {
				return v, p.unexpected("a colon")
			}
			p.pos++
		}
		if m.Value, err = p.value(depth + 1); err != nil {
			return v, err
		}
		p.stack = append(p.stack, m)
		p.high = max(p.high, len(p.stack))
		switch p.next() {
		case ',':
			p.pos++
		case end:
			p.pos++
			if open == '{' && depth == 0 {
				v.Members = append(p.dst, p.stack...)
			} else {
				v.Members = slices.Clone(p.stack[start:])
			}
			p.stack = p.stack[:start]
			if open == '{' && depth > 0 {
				err = unique(v.Members, true)
			}
			return v, err
		default:
			return v, p.unexpected("a comma")
		}
	}
}

// string reads a string, which begins here.
func (p *jsonParser) string() (string, error) {
	p.pos++
	var unescaped []byte
	for start := p.pos; ; {
		for p.pos < len(p.text) && p.text[p.pos] >= 0x20 && p.text[p.pos] != '"' && p.text[p.pos] != '\\' {
			p.pos++
		}
		if p.pos == len(p.text) || p.text[p.pos] < 0x20 {
			return "", p.unexpected("the rest of a string")
		}
		part := p.text[start:p.pos]
		p.pos++
		if p.text[p.pos-1] == '"' {
			if unescaped == nil {
				return part, nil
			}
			return string(append(unescaped, part...)), nil
		}
		r, err := p.escape()
		if err != nil {
			return "", err
		}
		unescaped = utf8.AppendRune(append(unescaped, part...), r)
		start = p.pos
	}
}

// escape reads what stands behind a backslash.
func (p *jsonParser) escape() (rune, error) {
	if p.pos == len(p.text) {
		return 0, p.unexpected("an escape")
	}
	p.pos++
	switch c := p.text[p.pos-1]; c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := p.hex4()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if !strings.HasPrefix(p.text[p.pos:], `\u`) {
			return 0, errSurrogate
		}
		p.pos += 2
		low, err := p.hex4()
		if err != nil {
			return 0, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, errSurrogate
		}
		return r, nil
	}
	p.pos--
	return 0, p.unexpected("an escape")
}

func (p *jsonParser) hex4() (rune, error) {
	var r rune
	for range 4 {
		if p.pos == len(p.text) {
			return 0, p.unexpected("a hexadecimal digit")
		}
		digit := strings.IndexByte("0123456789abcdef", p.text[p.pos]|0x20) // of letters, the lower case
		if digit < 0 || p.text[p.pos] < '0' {
			return 0, p.unexpected("a hexadecimal digit")
		}
		r = r<<4 | rune(digit)
		p.pos++
	}
	return r, nil
}

// number reads a number, and keeps it as it is written.
func (p *jsonParser) number() (Value, error) {
	start := p.pos
	take := func(any string) bool {
		if p.pos < len(p.text) && strings.IndexByte(any, p.text[p.pos]) >= 0 {
			p.pos++
			return true
		}
		return false
	}
	digits := func() bool {
		first := p.pos
		for p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9' {
			p.pos++
		}
		return p.pos > first
	}
	if minus := take("-"); !take("0") && !digits() {
		if minus {
			return Value{}, p.unexpected("a digit")
		}
		return Value{}, p.unexpected("a value")
	}
	if take(".") && !digits() {
		return Value{}, p.unexpected("a digit")
	}
	if take("eE") {
		if take("+-"); !digits() {
			return Value{}, p.unexpected("a digit")
		}
	}
	return Value{Kind: Number, Text: p.text[start:p.pos]}, nil
}
