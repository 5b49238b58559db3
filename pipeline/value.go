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

// The kinds, and the fields of a Value that each of them uses.
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
// keeps the type it had in the input, and the exact digits of a number. The zero Value is null.
type Value struct {
	Kind    ValueKind
	Num     int64
	Text    string
	Members []Member
}

// Member is a named value: a member of an object, a cell of a row, or an element of a list (with an empty Name).
type Member struct {
	Name  string
	Value Value
}

// Type is the type of a carried column, fixed before the first row.
type Type uint8

// The types of carried columns, and the kinds of values that a column of the type has, besides Null.
const (
	TypeString    Type = iota // String, Number
	TypeInt                   // Int
	TypeFloat                 // Float
	TypeBool                  // Bool
	TypeDate                  // Date
	TypeTimestamp             // Timestamp
	TypeJSON                  // any; written as JSON text
	TypeDecimal               // String: a number in the form of [AppendDecimal]; see [ValidDecimal]
)

// String returns the name of the type, as --types spells it.
func (t Type) String() string {
	return [...]string{"string", "int", "float", "bool", "date", "timestamp", "json", "decimal"}[t]
}

// Column is a carried column.
type Column struct {
	Name string
	Type Type

	// For a TypeDecimal: the most digits that a value has, from 1 to [MaxPrecision], and how many of them come after
	// the point, from 0 to Precision.
	Precision, Scale int
}

// StringValue returns a String.
func StringValue(s string) Value { return Value{Kind: String, Text: s} }

// IntValue returns an Int.
func IntValue(n int64) Value { return Value{Kind: Int, Num: n} }

// FloatValue returns a Float.
func FloatValue(f float64) Value { return Value{Kind: Float, Num: int64(math.Float64bits(f))} }

// BoolValue returns a Bool.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: Bool, Num: 1}
	}
	return Value{Kind: Bool}
}

// Float returns the float64 of a Float.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.Num)) }

// Get returns the value of the named member of an object; nil if v is not an object or has no such member.
func (v *Value) Get(name string) *Value {
	if v.Kind != Object {
		return nil
	}
	return FindMember(v.Members, name)
}

// FindMember returns the value with that name among members, which are sorted; nil if there is none.
func FindMember(members []Member, name string) *Value {
	i, found := slices.BinarySearchFunc(members, name,
		func(m Member, name string) int { return strings.Compare(m.Name, name) })
	if !found {
		return nil
	}
	return &members[i].Value
}

// AppendText appends the value in the form that it has in a cell of a text format: a string as it is, null as nothing,
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

// AppendJSON appends the value as canonical JSON: no spaces, members in their order, numbers as written, only the
// escapes that JSON requires. NaN and the infinities, which JSON lacks, become null.
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
		if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) { // as ECMAScript and encoding/json do
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

// AppendJSONString appends s as a JSON string, escaping only what JSON requires (RFC 8259, 7).
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

// maxDepth is how deep a JSON value of the input may nest: deeper than any real user, and safe for the stack.
const maxDepth = 100

// ParseJSON parses one JSON value strictly: it requires valid UTF-8 and allows no lone surrogates, no duplicate names
// in an object and nothing after the value, because it would have to guess what those mean. Members of objects are
// sorted by name; numbers stay as written. Strings share memory with text where possible.
//
// It does not use encoding/json, which took five times as long and six times the memory for a row of JSONL. The tests
// check that both accept the same grammar.
func ParseJSON(text string) (Value, error) { return parseJSON(nil, text, true) }

// ParseObject is like [ParseJSON] for an object. It appends the members to dst in the order of text; the members of
// nested objects are sorted. If there is an error, it returns dst unchanged.
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

// SortMembers sorts the members of v and of every object in it by name.
func SortMembers(v *Value) {
	for i := range v.Members {
		SortMembers(&v.Members[i].Value)
	}
	if v.Kind == Object {
		slices.SortFunc(v.Members, compareNames)
	}
}

func compareNames(a, b Member) int { return strings.Compare(a.Name, b.Name) }

// parseJSON parses text. If it is an object, its members are appended to dst, sorted if sorted is set.
func parseJSON(dst []Member, text string, sorted bool) (Value, error) {
	if !utf8.ValidString(text) {
		return Value{}, errors.New("not valid UTF-8")
	}
	p := parserPool.Get().(*jsonParser)
	defer p.release()
	p.text, p.dst = text, dst
	v, err := p.parseValue(0)
	if errors.Is(err, errSurrogate) {
		return Value{}, err
	}
	if err == nil && v.Kind == Object && len(v.Members) > 0 {
		err = checkUnique(v.Members[len(dst):], sorted)
	}
	if err != nil {
		return Value{}, fmt.Errorf("not JSON: %w", err)
	}
	if p.skipSpace(); p.pos < len(text) {
		return Value{}, errors.New("not JSON: more text after the value")
	}
	return v, nil
}

var errSurrogate = errors.New(`a \u escape that is half of a surrogate pair`)

// checkUnique returns an error if a name is duplicated among the members of an object. It sorts them if sort is set.
func checkUnique(members []Member, sort bool) error {
	increasing := true
	for i := 1; i < len(members) && increasing; i++ {
		increasing = members[i-1].Name < members[i].Name
	}
	if increasing {
		return nil
	}
	if !sort {
		if len(members) <= 32 { // most rows have few members: to sort a copy would cost more than to parse them
			for i := range members {
				for j := range i {
					if members[i].Name == members[j].Name {
						return duplicateNameError(members[i].Name)
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
			return duplicateNameError(members[i].Name)
		}
	}
	return nil
}

func duplicateNameError(name string) error {
	return fmt.Errorf("the name %q is duplicated in one object", name)
}

// jsonParser parses JSON (RFC 8259) that is valid UTF-8.
type jsonParser struct {
	text  string
	pos   int
	dst   []Member // the members of the outermost object are appended to it
	stack []Member // the members of the lists and objects that are not complete
	high  int      // the greatest length of the stack so far
}

// parserPool reuses parsers: their stacks take more memory than most values.
var parserPool = sync.Pool{New: func() any { return new(jsonParser) }}

// release clears the parser and returns it to the pool.
func (p *jsonParser) release() {
	if cap(p.stack) <= 1<<10 {
		clear(p.stack[:p.high])
		*p = jsonParser{stack: p.stack[:0]}
		parserPool.Put(p)
	}
}

// skipSpace skips white space.
func (p *jsonParser) skipSpace() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// peekByte skips white space and returns the next byte without consuming it; 0 at the end.
func (p *jsonParser) peekByte() byte {
	p.skipSpace()
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

// syntaxError returns the error for text that does not have what is wanted at the current position.
func (p *jsonParser) syntaxError(wanted string) error {
	if p.pos >= len(p.text) {
		return io.ErrUnexpectedEOF
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return fmt.Errorf("invalid character %q, want %s", r, wanted)
}

func (p *jsonParser) parseValue(depth int) (Value, error) {
	switch c := p.peekByte(); c {
	case '{', '[':
		return p.parseMembers(c, depth)
	case '"':
		s, err := p.parseString()
		return StringValue(s), err
	case 't':
		return BoolValue(true), p.parseLiteral("true")
	case 'f':
		return BoolValue(false), p.parseLiteral("false")
	case 'n':
		return Value{}, p.parseLiteral("null")
	}
	return p.parseNumber()
}

func (p *jsonParser) parseLiteral(name string) error {
	for i := range len(name) {
		if p.pos == len(p.text) || p.text[p.pos] != name[i] {
			return p.syntaxError(name)
		}
		p.pos++
	}
	return nil
}

// parseMembers parses a list or an object, whose first byte is open.
func (p *jsonParser) parseMembers(open byte, depth int) (Value, error) {
	if depth >= maxDepth {
		return Value{}, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	v, end := Value{Kind: List}, byte(']')
	if open == '{' {
		v.Kind, end = Object, '}'
	}
	p.pos++
	if p.peekByte() == end {
		p.pos++
		return v, nil
	}
	start := len(p.stack)
	for {
		var m Member
		var err error
		if open == '{' {
			if p.peekByte() != '"' {
				return v, p.syntaxError("a name")
			}
			if m.Name, err = p.parseString(); err != nil {
				return v, err
			}
			if p.peekByte() != ':' {
				return v, p.syntaxError("a colon")
			}
			p.pos++
		}
		if m.Value, err = p.parseValue(depth + 1); err != nil {
			return v, err
		}
		p.stack = append(p.stack, m)
		p.high = max(p.high, len(p.stack))
		switch p.peekByte() {
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
				err = checkUnique(v.Members, true)
			}
			return v, err
		default:
			return v, p.syntaxError("a comma")
		}
	}
}

// parseString parses a string, which begins at the current position.
func (p *jsonParser) parseString() (string, error) {
	p.pos++
	var unescaped []byte
	for start := p.pos; ; {
		for p.pos < len(p.text) && p.text[p.pos] >= 0x20 && p.text[p.pos] != '"' && p.text[p.pos] != '\\' {
			p.pos++
		}
		if p.pos == len(p.text) || p.text[p.pos] < 0x20 {
			return "", p.syntaxError("the rest of a string")
		}
		part := p.text[start:p.pos]
		p.pos++
		if p.text[p.pos-1] == '"' {
			if unescaped == nil {
				return part, nil
			}
			return string(append(unescaped, part...)), nil
		}
		r, err := p.parseEscape()
		if err != nil {
			return "", err
		}
		unescaped = utf8.AppendRune(append(unescaped, part...), r)
		start = p.pos
	}
}

// parseEscape parses the rest of an escape, after the backslash.
func (p *jsonParser) parseEscape() (rune, error) {
	if p.pos == len(p.text) {
		return 0, p.syntaxError("an escape")
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
		r, err := p.parseHex4()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if !strings.HasPrefix(p.text[p.pos:], `\u`) {
			return 0, errSurrogate
		}
		p.pos += 2
		low, err := p.parseHex4()
		if err != nil {
			return 0, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, errSurrogate
		}
		return r, nil
	}
	p.pos--
	return 0, p.syntaxError("an escape")
}

func (p *jsonParser) parseHex4() (rune, error) {
	var r rune
	for range 4 {
		if p.pos == len(p.text) {
			return 0, p.syntaxError("a hexadecimal digit")
		}
		digit := strings.IndexByte(hexDigits, p.text[p.pos]|0x20) // |0x20 makes letters lower case
		if digit < 0 || p.text[p.pos] < '0' {
			return 0, p.syntaxError("a hexadecimal digit")
		}
		r = r<<4 | rune(digit)
		p.pos++
	}
	return r, nil
}

// parseNumber parses a number, and keeps it as written.
func (p *jsonParser) parseNumber() (Value, error) {
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
			return Value{}, p.syntaxError("a digit")
		}
		return Value{}, p.syntaxError("a value")
	}
	if take(".") && !digits() {
		return Value{}, p.syntaxError("a digit")
	}
	if take("eE") {
		if take("+-"); !digits() {
			return Value{}, p.syntaxError("a digit")
		}
	}
	return Value{Kind: Number, Text: p.text[start:p.pos]}, nil
}
