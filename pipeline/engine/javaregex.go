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
)

// compileJavaRegex makes a Go expression that matches what java.util.regex.Pattern matches as a whole. What means
// something else in Go is translated: \s has \v, \h \v and \R exist, the dot stops at five line ends, (?i) knows ASCII
// alone. What Go cannot run, or would run with another meaning, is refused: lookaround, backreferences, possessive
// quantifiers, atomic groups, classes in classes and their intersections, \Z and \G, a $ before which a line may end,
// and flags other than i and s.
//
// \b is ASCII's, as of Java 19; older versions also take other letters for words.
func compileJavaRegex(pattern string) (*regexp.Regexp, error) {
	p := javaParser{in: []rune(pattern)}
	if err := p.translate(0); err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(p.out.String(), syntax.Perl)
	if err == nil {
		if !dollarsAtEnd(tree, true) {
			return nil, errors.New("a $ that something follows is not supported")
		}
		re, compileErr := regexp.Compile(`^(?:` + p.out.String() + `)\z`)
		if compileErr == nil {
			return re, nil
		}
		err = compileErr
	}
	return nil, goRegexError(err)
}

// dollarsAtEnd reports whether nothing can follow a $ in the expression. In Java it also matches before the last line
// end, which nothing can be seen of where the whole value has to match.
func dollarsAtEnd(re *syntax.Regexp, last bool) bool {
	switch re.Op {
	case syntax.OpEndText:
		return last || re.Flags&syntax.WasDollar == 0
	case syntax.OpConcat:
		for i, sub := range re.Sub {
			follows := slices.ContainsFunc(re.Sub[i+1:], func(r *syntax.Regexp) bool {
				return r.Op != syntax.OpEndText && r.Op != syntax.OpEmptyMatch
			})
			if !dollarsAtEnd(sub, last && !follows) {
				return false
			}
		}
		return true
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		last = false
	}
	for _, sub := range re.Sub {
		if !dollarsAtEnd(sub, last) {
			return false
		}
	}
	return true
}

type javaParser struct {
	in    []rune
	pos   int
	fold  bool // (?i)
	dots  bool // (?s)
	names []string
	out   strings.Builder
}

func (p *javaParser) peek(i int) rune {
	if p.pos+i < len(p.in) {
		return p.in[p.pos+i]
	}
	return -1
}

func (p *javaParser) hasPrefix(s string) bool {
	for i, r := range s { // ASCII
		if p.peek(i) != r {
			return false
		}
	}
	return true
}

// translate translates up to the end of the group; depth 0 is the whole pattern. Flags end with it.
func (p *javaParser) translate(depth int) error {
	if depth > 1000 { // Go's limit
		return errors.New("an expression of this size is not supported")
	}
	defer func(fold, dots bool) { p.fold, p.dots = fold, dots }(p.fold, p.dots)
	for p.pos < len(p.in) {
		c := p.peek(0)
		var err error
		repeatable := true
		switch c {
		case ')':
			if depth == 0 {
				return errors.New("unexpected )")
			}
			return nil
		case '|':
			p.out.WriteByte('|')
			p.pos++
			continue
		case '*', '+', '?':
			return errors.New("nothing to repeat")
		case '{': // repeats nothing
			p.out.WriteString("(?:)")
		case '.':
			p.pos++
			if p.dots {
				p.out.WriteString(anything)
			} else {
				p.out.WriteString(`[^\n\r\x{85}\x{2028}\x{2029}]`)
			}
		case '^', '$':
			p.pos++
			p.out.WriteRune(c)
		case '(':
			repeatable, err = p.translateGroup(depth)
		case '[':
			err = p.translateClass()
		case '\\':
			repeatable, err = p.translateEscape()
		default:
			p.pos++
			p.writeRune(c)
		}
		if err == nil && repeatable {
			err = p.translateQuantifier()
		}
		if err != nil {
			return err
		}
	}
	if depth > 0 {
		return errors.New("missing closing )")
	}
	return nil
}

// writeRune writes a character of which (?i) makes two.
func (p *javaParser) writeRune(r rune) {
	if other := otherCase(r); p.fold && other != r {
		p.out.WriteString("[" + string(r) + string(other) + "]")
		return
	}
	p.out.WriteString(regexp.QuoteMeta(string(r)))
}

// otherCase returns an ASCII letter in the other case, and any other character as it is.
func otherCase(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r ^ 0x20
	}
	return r
}

// translateGroup translates a group, or flags that hold up to the end of the one they are in.
func (p *javaParser) translateGroup(depth int) (repeatable bool, err error) {
	fold, dots := p.fold, p.dots
	switch {
	case p.hasPrefix("(?="), p.hasPrefix("(?!"):
		return false, errors.New("lookahead is not supported")
	case p.hasPrefix("(?<="), p.hasPrefix("(?<!"):
		return false, errors.New("lookbehind is not supported")
	case p.hasPrefix("(?>"):
		return false, errors.New("an atomic group is not supported")
	case p.hasPrefix("(?<"):
		p.pos += 3
		if err := p.readName(); err != nil {
			return false, err
		}
	case p.hasPrefix("(?"):
		p.pos += 2
		if fold, dots, err = p.readFlags(); err != nil {
			return false, err
		}
		if p.peek(0) == ')' {
			p.fold, p.dots = fold, dots
			p.pos++
			return false, nil
		}
		p.pos++ // the colon
	default:
		p.pos++
	}
	p.out.WriteString("(?:")
	outerFold, outerDots := p.fold, p.dots
	p.fold, p.dots = fold, dots
	if err := p.translate(depth + 1); err != nil {
		return false, err
	}
	p.fold, p.dots = outerFold, outerDots
	p.pos++
	p.out.WriteByte(')')
	return true, nil
}

// readName reads the name of a group and the bracket after it.
func (p *javaParser) readName() error {
	start := p.pos
	for {
		switch c := p.peek(0); {
		case c == '>' && p.pos > start:
			name := string(p.in[start:p.pos])
			if slices.Contains(p.names, name) {
				return errGroupName
			}
			p.names = append(p.names, name)
			p.pos++
			return nil
		case c != otherCase(c), '0' <= c && c <= '9' && p.pos > start:
			p.pos++
		default:
			return errGroupName
		}
	}
}

// readFlags reads flags such as i-s, up to a colon or the end of the group.
func (p *javaParser) readFlags() (fold, dots bool, err error) {
	fold, dots = p.fold, p.dots
	for on := true; ; p.pos++ {
		switch c := p.peek(0); c {
		case ':', ')':
			return fold, dots, nil
		case 'i':
			fold = on
		case 's':
			dots = on
		case '-':
			if !on {
				return false, false, errors.New("invalid group")
			}
			on = false
		case 'm', 'x', 'd', 'u', 'U':
			return false, false, fmt.Errorf("the flag %c is not supported", c)
		default:
			return false, false, errors.New("invalid group")
		}
	}
}

// translateQuantifier translates what follows an atom, if it is a quantifier.
func (p *javaParser) translateQuantifier() error {
	switch c := p.peek(0); c {
	case '*', '+', '?':
		p.out.WriteRune(c)
		p.pos++
	case '{':
		end := slices.Index(p.in[p.pos:], '}')
		if end < 0 {
			return errors.New("an illegal repetition")
		}
		least, most, two := strings.Cut(string(p.in[p.pos+1:p.pos+end]), ",")
		p.pos += end + 1
		low, lowErr := strconv.ParseUint(least, 10, 31)
		high, highErr := low, error(nil)
		if most != "" {
			high, highErr = strconv.ParseUint(most, 10, 31)
		}
		switch {
		case errors.Is(lowErr, strconv.ErrRange), errors.Is(highErr, strconv.ErrRange):
			return errTooMany
		case lowErr != nil, highErr != nil, low > high:
			return errors.New("an illegal repetition")
		}
		p.out.WriteString("{" + strconv.FormatUint(low, 10)) // Go treats {02} as text
		if two {
			p.out.WriteByte(',')
		}
		if most != "" {
			p.out.WriteString(strconv.FormatUint(high, 10))
		}
		p.out.WriteByte('}')
	default:
		return nil
	}
	switch p.peek(0) {
	case '?': // the same strings match
		p.out.WriteByte('?')
		p.pos++
	case '+':
		return errors.New("a possessive quantifier is not supported")
	}
	return nil
}

// javaClasses are the insides of the classes that escapes name.
var javaClasses = map[rune]string{
	'd': `0-9`,
	'w': `0-9A-Z_a-z`,
	's': `\t-\r `,
	'h': `\t \x{a0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}`,
	'v': `\n-\r\x{85}\x{2028}\x{2029}`,
	'D': `\D`,
	'W': `\W`,
	'S': `\x00-\x08\x0e-\x1f!-\x{10ffff}`,
	'H': `\x00-\x08\n-\x1f!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{180d}\x{180f}-\x{1fff}\x{200b}-\x{202e}\x{2030}-\x{205e}` +
		`\x{2060}-\x{2fff}\x{3001}-\x{10ffff}`,
	'V': `\x00-\t\x0e-\x{84}\x{86}-\x{2027}\x{202a}-\x{10ffff}`,
}

// translateEscape translates an escape outside a class.
func (p *javaParser) translateEscape() (repeatable bool, err error) {
	switch c := p.peek(1); {
	case c == 'b' && p.peek(2) == '{':
		return false, errors.New(`\b{…} is not supported`)
	case c == 'b' || c == 'B' || c == 'A' || c == 'z':
		p.out.WriteString(`\` + string(c))
		p.pos += 2
		return true, nil
	case c == 'Z' || c == 'G' || c == 'X' || c == 'N':
		return false, fmt.Errorf(`\%c is not supported`, c)
	case c == 'R':
		p.out.WriteString(`(?:\r\n|[\n-\r\x{85}\x{2028}\x{2029}])`)
		p.pos += 2
		return true, nil
	case '1' <= c && c <= '9' || c == 'k':
		return false, errors.New("a backreference is not supported")
	case c == 'Q':
		p.pos += 2
		start := p.pos
		for p.pos < len(p.in) && !p.hasPrefix(`\E`) {
			p.writeRune(p.in[p.pos])
			p.pos++
		}
		repeatable = p.pos > start // a quantifier is the last character's
		p.pos = min(p.pos+2, len(p.in))
		return repeatable, nil
	}
	r, class, err := p.readEscape()
	switch {
	case err != nil:
		return false, err
	case class == "":
		p.writeRune(r)
	default:
		p.out.WriteString("[" + class + "]")
	}
	return true, nil
}

// readEscape reads an escape that a class may hold too: a character, or the inside of a class.
func (p *javaParser) readEscape() (r rune, class string, err error) {
	p.pos++
	c := p.peek(0)
	p.pos++
	if class, ok := javaClasses[c]; ok {
		return 0, class, nil
	}
	switch c {
	case -1:
		return 0, "", errors.New("a backslash at the end")
	case 't':
		return '\t', "", nil
	case 'n':
		return '\n', "", nil
	case 'r':
		return '\r', "", nil
	case 'f':
		return '\f', "", nil
	case 'a':
		return '\a', "", nil
	case 'e':
		return 0x1b, "", nil
	case 'c':
		if letter := p.peek(0); letter >= 0 {
			p.pos++
			return letter ^ 64, "", nil
		}
	case '0':
		n, digits := rune(0), 0
		for d := p.peek(0); digits < 3 && '0' <= d && d <= '7' && n*8+d-'0' <= 0o377; d = p.peek(0) {
			n, digits = n*8+d-'0', digits+1
			p.pos++
		}
		if digits > 0 {
			return n, "", nil
		}
	case 'x':
		if p.peek(0) == '{' {
			end := slices.Index(p.in[p.pos:], '}')
			if end > 1 {
				text := string(p.in[p.pos+1 : p.pos+end])
				p.pos += end + 1
				if n, err := strconv.ParseUint(text, 16, 32); err == nil && n <= unicode.MaxRune {
					return p.checkRune(rune(n))
				}
			}
		} else if n, ok := p.readHex(2); ok {
			return n, "", nil
		}
	case 'u':
		n, ok := p.readHex(4)
		if ok && utf16.IsSurrogate(n) && p.hasPrefix(`\u`) {
			p.pos += 2
			low, _ := p.readHex(4)
			n = utf16.DecodeRune(n, low)
			if n == unicode.ReplacementChar {
				return 0, "", errHalf
			}
		}
		if ok {
			return p.checkRune(n)
		}
	case 'p', 'P':
		class, err := p.readProperty(c)
		return 0, class, err
	default:
		if c >= 0x80 || c == otherCase(c) && (c < '0' || c > '9') {
			return c, "", nil
		}
	}
	return 0, "", fmt.Errorf(`\%c is not a valid escape here`, c)
}

var errHalf = errors.New("half of a surrogate pair is not supported")

func (p *javaParser) checkRune(r rune) (rune, string, error) {
	if utf16.IsSurrogate(r) {
		return 0, "", errHalf
	}
	return r, "", nil
}

func (p *javaParser) readHex(digits int) (rune, bool) {
	if p.pos+digits > len(p.in) {
		return 0, false
	}
	text := string(p.in[p.pos : p.pos+digits])
	n, err := strconv.ParseUint(text, 16, 16)
	p.pos += digits
	return rune(n), err == nil && len(text) == digits
}

// posixClasses are Java's properties that are ASCII's, as Go names them.
var posixClasses = map[string]string{"Lower": "lower", "Upper": "upper", "ASCII": "ascii", "Alpha": "alpha",
	"Digit": "digit", "Alnum": "alnum", "Punct": "punct", "Graph": "graph", "Print": "print", "Blank": "blank",
	"Cntrl": "cntrl", "XDigit": "xdigit", "Space": "space"}

// readProperty reads \p{…}: the inside of a class.
func (p *javaParser) readProperty(c rune) (class string, err error) {
	name := ""
	switch end := slices.Index(p.in[p.pos:], '}'); {
	case p.peek(0) != '{' && p.peek(0) >= 0:
		name = string(p.in[p.pos])
		p.pos++
	case p.peek(0) == '{' && end > 0:
		name = string(p.in[p.pos+1 : p.pos+end])
		p.pos += end + 1
	default:
		return "", errors.New(`\p without the name of a property`)
	}
	if p.fold { // it would change the meaning of some
		return "", fmt.Errorf(`\%c with the flag i is not supported`, c)
	}
	if posix, ok := posixClasses[name]; ok {
		if c == 'P' {
			return "[:^" + posix + ":]", nil
		}
		return "[:" + posix + ":]", nil
	}
	if _, ok := unicode.Categories[name]; !ok || len(name) > 2 || name == "LC" || name == "Cn" {
		return "", fmt.Errorf(`the property \%c{%s} is not supported`, c, name)
	}
	return `\` + string(c) + "{" + name + "}", nil
}

// translateClass translates a character class.
func (p *javaParser) translateClass() error {
	p.pos++
	negated := p.peek(0) == '^'
	if negated {
		p.pos++
	}
	var inside strings.Builder
	for first := true; ; first = false {
		c := p.peek(0)
		switch {
		case c == -1:
			return errors.New("a character class is not closed")
		case c == ']' && first:
			return errors.New("a character class that begins with ] is not supported")
		case c == ']':
			p.pos++
			if negated {
				p.out.WriteString("[^" + inside.String() + "]")
			} else {
				p.out.WriteString("[" + inside.String() + "]")
			}
			return nil
		case c == '[':
			return errors.New("a character class in another is not supported")
		case p.hasPrefix("&&"):
			return errors.New("an intersection of character classes is not supported")
		}
		from, class, err := p.readClassAtom(false)
		if err != nil {
			return err
		}
		if class != "" {
			inside.WriteString(class)
			continue
		}
		to := from
		if p.peek(0) == '-' && p.peek(1) != ']' && p.peek(1) != '[' && p.peek(1) != -1 {
			p.pos++
			if to, class, err = p.readClassAtom(true); err != nil {
				return err
			}
			if class != "" || to < from {
				return errors.New("a range of a character class is out of order")
			}
		}
		p.writeClassRange(&inside, from, to)
	}
}

// readClassAtom reads a character or an escape of a class. In a range, \v is the vertical tab alone.
func (p *javaParser) readClassAtom(endsRange bool) (r rune, class string, err error) {
	if p.peek(0) != '\\' {
		p.pos++
		return p.peek(-1), "", nil
	}
	switch c := p.peek(1); {
	case c == 'Q', c == 'N':
		return 0, "", fmt.Errorf(`\%c in a character class is not supported`, c)
	case c == 'v' && (endsRange || p.peek(2) == '-'):
		p.pos += 2
		return '\v', "", nil
	}
	return p.readEscape()
}

// writeClassRange writes a range of characters; with (?i), ASCII letters in both cases.
func (p *javaParser) writeClassRange(b *strings.Builder, from, to rune) {
	write := func(from, to rune) {
		if from <= to {
			fmt.Fprintf(b, `\x{%x}-\x{%x}`, from, to)
		}
	}
	write(from, to)
	if p.fold {
		for _, letters := range [][2]rune{{'a', 'z'}, {'A', 'Z'}} {
			if low, high := max(from, letters[0]), min(to, letters[1]); low <= high {
				write(low^0x20, high^0x20)
			}
		}
	}
}
