package amplitude

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// maxNesting is how deep an answer may nest, as in encoding/json: far more than any payload, little enough for
// the stack.
const maxNesting = 10_000

var (
	errNotJSON   = errors.New("not JSON")
	errTruncated = errors.New("not complete")
)

// parseAnswer reads an answer of /v1/vardata: one JSON object, complete, with nothing after it. The strings of the
// variants, payloads and metadata included, are parts of text. size is a guess at how many there will be.
//
// It is a scanner of our own because jsontext costs three times as much (BenchmarkAnswer measures both), and
// because its two settings for invalid text do not fit: a lone surrogate in a payload is to be kept as it is.
func parseAnswer(text string, size int) ([]pipeline.Variant, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not valid UTF-8")
	}
	s := scanner{text: text}
	if s.space(); s.at >= len(text) {
		return nil, errors.New("empty")
	} else if text[s.at] != '{' {
		return nil, errors.New("not a JSON object")
	}
	variants := make([]pipeline.Variant, 0, size)
	var names map[string]bool // of the flags, once there are many
	ok := s.object(func(name string) bool {
		flag, ok := unquote(name)
		if !ok {
			return s.fail(errors.New("a flag's name is not valid text"))
		}
		if names == nil && len(variants) == 32 {
			names = make(map[string]bool)
			for i := range variants {
				names[variants[i].FlagKey] = true
			}
		}
		if names[flag] || names == nil && contains(variants, flag) {
			return s.fail(errors.New("a flag stands in it twice"))
		}
		if names != nil {
			names[flag] = true
		}
		variants = append(variants, pipeline.Variant{FlagKey: flag})
		return s.variant(&variants[len(variants)-1])
	})
	if ok {
		if s.space(); s.at < len(text) {
			return nil, errors.New("more text after the JSON object")
		}
		return variants, nil
	}
	return nil, s.err
}

func contains(variants []pipeline.Variant, flag string) bool {
	for i := range variants {
		if variants[i].FlagKey == flag {
			return true
		}
	}
	return false
}

// checkArray reports what keeps text from being one JSON array.
func checkArray(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("not valid UTF-8")
	}
	s := scanner{text: text}
	if s.space(); s.at >= len(text) || text[s.at] != '[' {
		return errors.New("not a JSON array")
	}
	if !s.value() {
		return s.err
	}
	if s.space(); s.at < len(text) {
		return errors.New("more text after the JSON array")
	}
	return nil
}

// scanner walks over JSON text. Its methods report whether the text is right so far, and set err otherwise.
type scanner struct {
	text  string
	at    int
	depth int
	err   error
}

func (s *scanner) fail(err error) bool {
	if s.err == nil {
		s.err = err
	}
	return false
}

// broken is the error at a place where the grammar wants something else.
func (s *scanner) broken() bool {
	if s.at >= len(s.text) {
		return s.fail(errTruncated)
	}
	return s.fail(errNotJSON)
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\n', '\t', '\r':
			s.at++
		default:
			return
		}
	}
}

// next skips space and takes c if it is there.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// object reads an object; member reads the value of each member, whose name it gets in its quotes.
func (s *scanner) object(member func(name string) bool) bool {
	if s.depth++; s.depth > maxNesting {
		return s.fail(fmt.Errorf("nested deeper than %d", maxNesting))
	}
	s.at++ // {
	if s.next('}') {
		s.depth--
		return true
	}
	for {
		s.space()
		start := s.at
		if !s.string() {
			return false
		}
		name := s.text[start:s.at]
		if !s.next(':') {
			return s.broken()
		}
		s.space()
		if !member(name) {
			return false
		}
		if s.next(',') {
			continue
		}
		if s.next('}') {
			s.depth--
			return true
		}
		return s.broken()
	}
}

// value skips one value of any kind.
func (s *scanner) value() bool {
	if s.at >= len(s.text) {
		return s.broken()
	}
	switch c := s.text[s.at]; c {
	case '{':
		return s.object(func(string) bool { return s.value() })
	case '[':
		if s.depth++; s.depth > maxNesting {
			return s.fail(fmt.Errorf("nested deeper than %d", maxNesting))
		}
		s.at++
		if s.next(']') {
			s.depth--
			return true
		}
		for {
			if s.space(); !s.value() {
				return false
			}
			if s.next(',') {
				continue
			}
			if s.next(']') {
				s.depth--
				return true
			}
			return s.broken()
		}
	case '"':
		return s.string()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

func (s *scanner) literal(word string) bool {
	if strings.HasPrefix(s.text[s.at:], word) {
		s.at += len(word)
		return true
	}
	if strings.HasPrefix(word, s.text[s.at:]) {
		return s.fail(errTruncated)
	}
	return s.fail(errNotJSON)
}

// number is -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func (s *scanner) number() bool {
	digits := func() bool {
		start := s.at
		for s.at < len(s.text) && s.text[s.at]-'0' <= 9 {
			s.at++
		}
		return s.at > start
	}
	is := func(set string) bool {
		if s.at < len(s.text) && strings.IndexByte(set, s.text[s.at]) >= 0 {
			s.at++
			return true
		}
		return false
	}
	is("-")
	if !is("0") && !digits() {
		return s.broken()
	}
	if is(".") && !digits() {
		return s.broken()
	}
	if is("eE") {
		is("+-")
		if !digits() {
			return s.broken()
		}
	}
	return true
}

func (s *scanner) string() bool {
	if s.at >= len(s.text) || s.text[s.at] != '"' {
		return s.broken()
	}
	for i := s.at + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			return true
		case c < ' ':
			return s.fail(errNotJSON)
		case c == '\\':
			if i++; i >= len(s.text) {
				return s.fail(errTruncated)
			}
			if s.text[i] == 'u' {
				for range 4 {
					if i++; i >= len(s.text) {
						return s.fail(errTruncated)
					}
					if c := s.text[i] | 0x20; s.text[i]-'0' > 9 && c-'a' > 5 {
						return s.fail(errNotJSON)
					}
				}
			} else if strings.IndexByte(`"\/bfnrt`, s.text[i]) < 0 {
				return s.fail(errNotJSON)
			}
		}
	}
	return s.fail(errTruncated)
}

// unquote is the value of a string in its quotes. It fails where an escape is half of a surrogate pair, which no
// string of ours could hold.
func unquote(quoted string) (string, bool) {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	b, err := jsontext.AppendUnquote(nil, quoted)
	return string(b), err == nil
}

// variant reads the object of one flag. Fields that it does not know are skipped; one that it knows and that is
// twice there, or of another type, could mean anything, so the answer is not used.
func (s *scanner) variant(v *pipeline.Variant) bool {
	if s.at >= len(s.text) {
		return s.broken()
	}
	if s.text[s.at] != '{' {
		return s.fail(errors.New("a flag's variant is not a JSON object"))
	}
	var key, other string
	var hasKey, hasValue bool
	var seen uint
	ok := s.object(func(name string) bool {
		start := s.at
		if !s.value() {
			return false
		}
		raw := s.text[start:s.at]
		name, ok := unquote(name)
		if !ok {
			return true // none that we know
		}
		var field *string
		var bit uint
		switch name {
		case "key":
			field, bit = &key, 1
			hasKey = raw != "null"
		case "value":
			field, bit = &v.Value, 2
			hasValue = raw != "null"
		case "expKey":
			field, bit = &v.ExperimentKey, 4
		case "experiment_key":
			field, bit = &other, 8
		case "evaluationId", "evaluation_id":
			field, bit = &v.EvaluationID, 16
		case "payload":
			v.Payload, bit = raw, 32
		case "metadata":
			bit = 64
			switch {
			case raw[0] == '{':
				v.Metadata = raw
			case raw != "null":
				return s.fail(errors.New("a variant's metadata is not a JSON object"))
			}
		}
		if bit&seen != 0 {
			return s.fail(fmt.Errorf("a variant has %q twice", name))
		}
		seen |= bit
		if field == nil || raw == "null" {
			return true
		}
		if raw[0] != '"' {
			return s.fail(fmt.Errorf("a variant's %q is not a string", name))
		}
		if *field, ok = unquote(raw); !ok {
			return s.fail(fmt.Errorf("a variant's %q is not valid text", name))
		}
		return true
	})
	if !ok {
		return false
	}
	switch {
	case hasKey:
		v.Key = key
	case hasValue:
		v.Key = v.Value
	default:
		return s.fail(errors.New("a variant has neither key nor value"))
	}
	if v.ExperimentKey == "" {
		v.ExperimentKey = other
	}
	return true
}
