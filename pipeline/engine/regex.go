package engine

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// The reference runs new RegExp(value).exec(string). compileRegex makes a Go expression that matches the same
// strings: JavaScript's syntax (ECMA-262 with its annex B, without flags) is translated, because a part of it
// means something else in Go: \s knows Unicode's spaces, the dot excludes four line ends, [^] is anything, \p is
// the letter p.
//
// JavaScript matches UTF-16 code units: to it an emoji is two characters. So subject and expression are both
// spelled in code units: the halves of a surrogate pair, which UTF-8 lacks, become private characters of plane
// 16. Those of plane 16 themselves cannot be confused with them: they are pairs too.
func compileRegex(pattern string) (*regexp.Regexp, error) {
	p := regexParser{in: utf16.Encode([]rune(pattern))}
	p.countGroups()
	if err := p.translate(); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(p.out.String())
	if err != nil {
		return nil, goRegexError(err)
	}
	return re, nil
}

// goRegexError leaves the package's name out of an error, and says of Go's limits that they are ours.
func goRegexError(err error) error {
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		switch e.Code {
		case syntax.ErrInvalidRepeatSize:
			return errTooMany
		case syntax.ErrLarge, syntax.ErrNestingDepth:
			return errors.New("an expression of this size is not supported")
		}
	}
	return errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}

const halves = 0x100000 // the character that represents the code unit 0xd800; the others to 0xdfff follow

// codeUnits returns s with each UTF-16 code unit as one character.
func codeUnits(s string) string {
	for i := range len(s) {
		if s[i] >= 0xf0 { // the first byte of a character that takes two units
			return spellUnits(s)
		}
	}
	return s
}

func spellUnits(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			b.WriteRune(unitRune(high))
			b.WriteRune(unitRune(low))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unitRune(unit rune) rune {
	if 0xd800 <= unit && unit <= 0xdfff {
		return halves + unit - 0xd800
	}
	return unit
}

const (
	spaces    = `\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	notSpaces = `\x00-\x08\x0e-\x1f!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}` +
		`\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
	anything = `[\x00-\x{10ffff}]`
	nothing  = `[^\x00-\x{10ffff}]`
)

type regexParser struct {
	in     []uint16
	pos    int
	groups int      // capturing groups
	named  bool     // some of them have names
	names  []string // so far
	out    strings.Builder
}

func (p *regexParser) peek(i int) rune {
	if p.pos+i < len(p.in) {
		return rune(p.in[p.pos+i])
	}
	return -1
}

func (p *regexParser) hasPrefix(s string) bool {
	for i := range len(s) {
		if p.peek(i) != rune(s[i]) {
			return false
		}
	}
	return true
}

// countGroups looks ahead: whether \2 is a backreference depends on how many groups there are.
func (p *regexParser) countGroups() {
	class := false
	for p.pos = 0; p.pos < len(p.in); p.pos++ {
		switch p.peek(0) {
		case '\\':
			p.pos++
		case '[':
			class = true
		case ']':
			class = false
		case '(':
			if class {
				break
			}
			named := p.hasPrefix("(?<") && !p.hasPrefix("(?<=") && !p.hasPrefix("(?<!")
			p.named = p.named || named
			if named || p.peek(1) != '?' {
				p.groups++
			}
		}
	}
	p.pos = 0
}

func (p *regexParser) translate() error {
	for p.pos < len(p.in) {
		c := p.peek(0)
		switch c {
		case '.':
			p.out.WriteString(`[^\n\r\x{2028}\x{2029}]`)
		case '^', '$':
			p.out.WriteRune(c)
			p.pos++
			if err := p.refuseQuantifier(); err != nil {
				return err
			}
			continue
		case '|', ')', '*', '+', '?':
			p.out.WriteRune(c)
		case '(':
			if err := p.translateGroup(); err != nil {
				return err
			}
			continue
		case '{':
			if err := p.translateQuantifier(); err != nil {
				return err
			}
			continue
		case '[':
			if err := p.translateClass(); err != nil {
				return err
			}
			continue
		case '\\':
			if err := p.translateEscape(); err != nil {
				return err
			}
			continue
		default:
			p.writeLiteral(c)
		}
		p.pos++
	}
	return nil
}

func (p *regexParser) writeLiteral(unit rune) {
	p.out.WriteString(regexp.QuoteMeta(string(unitRune(unit))))
}

// translateGroup writes the beginning of a group. It does not capture: all that counts is whether something matches.
func (p *regexParser) translateGroup() error {
	switch {
	case p.hasPrefix("(?="), p.hasPrefix("(?!"):
		return errors.New("lookahead is not supported")
	case p.hasPrefix("(?<="), p.hasPrefix("(?<!"):
		return errors.New("lookbehind is not supported")
	case p.hasPrefix("(?:"):
		p.pos += 3
	case p.hasPrefix("(?<"):
		p.pos += 3
		if err := p.readGroupName(); err != nil {
			return err
		}
	case p.hasPrefix("(?"):
		return errors.New("invalid group")
	default:
		p.pos++
	}
	p.out.WriteString("(?:")
	return nil
}

// readGroupName reads the name of a group and the bracket after it. The name must be an identifier, and unique.
func (p *regexParser) readGroupName() error {
	var name []rune
	for p.peek(0) != '>' {
		r := p.peek(0)
		p.pos++
		if r == '\\' {
			var ok bool
			if r, ok = p.readUnicodeEscape(); !ok {
				return errGroupName
			}
		}
		if utf16.IsSurrogate(r) {
			low := p.peek(0)
			p.pos++
			if low == '\\' {
				low, _ = p.readUnicodeEscape()
			}
			r = utf16.DecodeRune(r, low)
		}
		start := r == '$' || r == '_' || unicode.In(r, unicode.L, unicode.Nl, unicode.Other_ID_Start)
		if r < 0 || !start && (len(name) == 0 || r != 0x200c && r != 0x200d &&
			!unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Other_ID_Continue)) {
			return errGroupName
		}
		name = append(name, r)
	}
	if len(name) == 0 || slices.Contains(p.names, string(name)) {
		return errGroupName
	}
	p.names = append(p.names, string(name))
	p.pos++
	return nil
}

var errGroupName = errors.New("a group's name is not a valid identifier, or is duplicated")

// readUnicodeEscape reads the rest of an escape after its backslash: u0061 or u{61}.
func (p *regexParser) readUnicodeEscape() (rune, bool) {
	if p.peek(0) != 'u' {
		return 0, false
	}
	p.pos++
	if p.peek(0) != '{' {
		return p.readHex(4)
	}
	end := slices.Index(p.in[p.pos:], '}')
	if end < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(utf16.Decode(p.in[p.pos+1:p.pos+end])), 16, 32)
	p.pos += end + 1
	return rune(n), err == nil && n <= unicode.MaxRune
}

// refuseQuantifier refuses to repeat an assertion, as JavaScript does.
func (p *regexParser) refuseQuantifier() error {
	switch p.peek(0) {
	case '*', '+', '?':
		return errors.New("nothing to repeat")
	case '{':
		if p.findQuantifierEnd() > 0 {
			return errors.New("nothing to repeat")
		}
	}
	return nil
}

// translateQuantifier translates {2}, {2,} or {2,3}; any other brace is a literal.
func (p *regexParser) translateQuantifier() error {
	end := p.findQuantifierEnd()
	if end == 0 {
		p.out.WriteString(`\{`)
		p.pos++
		return nil
	}
	least, most, two := strings.Cut(string(utf16.Decode(p.in[p.pos+1:end-1])), ",")
	p.pos = end
	low, err := strconv.Atoi(least) // Go treats {02} as text
	if err != nil {
		return errTooMany
	}
	p.out.WriteString("{" + strconv.Itoa(low))
	if two {
		p.out.WriteByte(',')
	}
	if most != "" {
		high, err := strconv.Atoi(most)
		switch {
		case err != nil:
			return errTooMany
		case low > high:
			return errors.New("the numbers of a repetition are out of order")
		}
		p.out.WriteString(strconv.Itoa(high))
	}
	p.out.WriteByte('}')
	return nil
}

// errTooMany is for Go's limit of a repetition, nested ones multiplied.
var errTooMany = errors.New("a repetition of more than 1,000 is not supported")

// findQuantifierEnd returns the position after the quantifier that begins with this brace; 0 if it is not a quantifier.
func (p *regexParser) findQuantifierEnd() int {
	end := p.pos + 1
	digits := func() bool {
		start := end
		for end < len(p.in) && '0' <= p.in[end] && p.in[end] <= '9' {
			end++
		}
		return end > start
	}
	ok := digits()
	if ok && end < len(p.in) && p.in[end] == ',' {
		end++
		digits()
	}
	if !ok || end >= len(p.in) || p.in[end] != '}' {
		return 0
	}
	return end + 1
}

// translateEscape translates an escape outside a class.
func (p *regexParser) translateEscape() error {
	switch c := p.peek(1); {
	case c == 'b' || c == 'B':
		p.out.WriteRune('\\')
		p.out.WriteRune(c)
		p.pos += 2
		return p.refuseQuantifier()
	case '1' <= c && c <= '9':
		n, end := 0, p.pos+1
		for end < len(p.in) && '0' <= p.in[end] && p.in[end] <= '9' && n <= p.groups {
			n = n*10 + int(p.in[end]-'0')
			end++
		}
		if n <= p.groups {
			return errors.New("a backreference is not supported")
		}
	case c == 'k' && p.named:
		return errors.New("a backreference is not supported")
	}
	unit, class, err := p.readEscape()
	switch {
	case err != nil:
		return err
	case class == "":
		p.writeLiteral(unit)
	default:
		p.out.WriteString("[" + class + "]")
	}
	return nil
}

// readEscape reads an escape that a class may hold too: one code unit, or the inside of a class.
func (p *regexParser) readEscape() (unit rune, class string, err error) {
	p.pos++
	c := p.peek(0)
	p.pos++
	switch c {
	case -1:
		return 0, "", errors.New("a backslash at the end")
	case 'd', 'D', 'w', 'W':
		return 0, `\` + string(c), nil
	case 's':
		return 0, spaces, nil
	case 'S':
		return 0, notSpaces, nil
	case 't':
		return '\t', "", nil
	case 'n':
		return '\n', "", nil
	case 'v':
		return '\v', "", nil
	case 'f':
		return '\f', "", nil
	case 'r':
		return '\r', "", nil
	case 'c':
		if letter := p.peek(0); 'a' <= letter && letter <= 'z' || 'A' <= letter && letter <= 'Z' {
			p.pos++
			return letter % 32, "", nil
		}
		p.pos-- // \c is a backslash and a c
		return '\\', "", nil
	case 'x':
		if n, ok := p.readHex(2); ok {
			return n, "", nil
		}
	case 'u':
		if n, ok := p.readHex(4); ok {
			return n, "", nil
		}
	case '0', '1', '2', '3', '4', '5', '6', '7':
		n := c - '0'
		for range 2 {
			if d := p.peek(0); '0' <= d && d <= '7' && n*8+d-'0' <= 0o377 {
				n = n*8 + d - '0'
				p.pos++
			}
		}
		return n, "", nil
	}
	return c, "", nil
}

func (p *regexParser) readHex(digits int) (rune, bool) {
	if p.pos+digits > len(p.in) {
		return 0, false
	}
	text := string(utf16.Decode(p.in[p.pos : p.pos+digits]))
	n, err := strconv.ParseUint(text, 16, 16)
	if err != nil || len(text) != digits {
		return 0, false
	}
	p.pos += digits
	return rune(n), true
}

// translateClass translates a character class.
func (p *regexParser) translateClass() error {
	p.pos++
	negated := p.peek(0) == '^'
	if negated {
		p.pos++
	}
	var inside strings.Builder
	for {
		c := p.peek(0)
		if c == -1 {
			return errors.New("a character class is not closed")
		}
		if c == ']' {
			p.pos++
			break
		}
		from, fromClass, err := p.readClassAtom()
		if err != nil {
			return err
		}
		if p.peek(0) != '-' || p.peek(1) == ']' || p.peek(1) == -1 {
			writeAtom(&inside, from, fromClass)
			continue
		}
		p.pos++
		to, toClass, err := p.readClassAtom()
		switch {
		case err != nil:
			return err
		case fromClass != "" || toClass != "": // then the hyphen is a literal
			writeAtom(&inside, from, fromClass)
			writeAtom(&inside, '-', "")
			writeAtom(&inside, to, toClass)
		case from > to:
			return errors.New("a range of a character class is out of order")
		default:
			writeRange(&inside, from, to)
		}
	}
	switch {
	case inside.Len() > 0 && negated:
		p.out.WriteString("[^" + inside.String() + "]")
	case inside.Len() > 0:
		p.out.WriteString("[" + inside.String() + "]")
	case negated:
		p.out.WriteString(anything)
	default:
		p.out.WriteString(nothing)
	}
	return nil
}

func (p *regexParser) readClassAtom() (unit rune, class string, err error) {
	if p.peek(0) != '\\' {
		p.pos++
		return p.peek(-1), "", nil
	}
	if p.peek(1) == 'k' && p.named {
		return 0, "", errors.New("\\k is not valid in a character class if groups have names")
	}
	if p.peek(1) == 'b' {
		p.pos += 2
		return '\b', "", nil
	}
	if c := p.peek(2); p.peek(1) == 'c' && ('0' <= c && c <= '9' || c == '_') { // letters are everywhere
		p.pos += 3
		return c % 32, "", nil
	}
	return p.readEscape()
}

func writeAtom(b *strings.Builder, unit rune, class string) {
	if class != "" {
		b.WriteString(class)
		return
	}
	writeRange(b, unit, unit)
}

// writeRange writes a range of code units, those of surrogate pairs as the characters that represent them.
func writeRange(b *strings.Builder, from, to rune) {
	part := func(low, high, shift rune) {
		if low, high = max(low, from), min(high, to); low <= high {
			fmt.Fprintf(b, `\x{%x}-\x{%x}`, low+shift, high+shift)
		}
	}
	part(0, 0xd7ff, 0)
	part(0xd800, 0xdfff, halves-0xd800)
	part(0xe000, utf8.MaxRune, 0)
}
