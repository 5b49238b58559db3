package amplitude

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// parser reads answers, strictly, and can be used again.
//
// jsontext checks the grammar, and bounds the nesting (10,000 levels). What else it would refuse does not matter inside
// a payload, and is allowed: a duplicated name in an object, and an escape that is half of a surrogate pair. UTF-8
// itself is checked here.
type parser struct {
	dec  jsontext.Decoder
	in   bytes.Buffer
	text string
	v2   bool // see parseV2

	names map[string]bool // of the flags of an answer that has many; empty between answers
}

func (p *parser) reset(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("not valid UTF-8")
	}
	p.in = *bytes.NewBuffer(body) // which jsontext reads in place
	p.dec.Reset(&p.in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return nil
}

// expectStart checks that the answer begins with the opening bracket.
func (p *parser) expectStart(open jsontext.Kind, what string) error {
	switch kind := p.dec.PeekKind(); {
	case kind == open:
		return nil
	case kind != 0:
		return fmt.Errorf("not a JSON %s", what)
	}
	if _, err := p.dec.ReadToken(); errors.Is(err, io.EOF) {
		return errors.New("empty")
	}
	return fmt.Errorf("not a JSON %s", what)
}

// expectEnd checks that nothing follows.
func (p *parser) expectEnd() error {
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("more text after the end")
	}
	return nil
}

// syntaxError is the error for what jsontext refuses, without the text that its own error quotes.
func syntaxError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errTruncated
	}
	return errors.New("not JSON")
}

var errTruncated = errors.New("not complete")

// parseVariants reads an answer of /v1/vardata: one JSON object, complete, with nothing after it. text is the same as
// body; the strings of the variants, payloads and metadata included, are parts of it. size is a guess at how many
// there will be.
func (p *parser) parseVariants(body []byte, text string, size int) ([]pipeline.Variant, error) {
	if err := p.reset(body); err != nil {
		return nil, err
	}
	if err := p.expectStart('{', "object"); err != nil {
		return nil, err
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	p.text = text
	defer func() {
		p.text = ""
		clear(p.names) // they are parts of the text
	}()
	variants := make([]pipeline.Variant, 0, size)
	for p.dec.PeekKind() == '"' {
		flag, ok, err := p.readString()
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, errors.New("a flag's name is not valid text")
		}
		many := len(variants) >= 32
		if len(variants) == 32 {
			if p.names == nil {
				p.names = make(map[string]bool)
			}
			for i := range variants {
				p.names[variants[i].FlagKey] = true
			}
		}
		if many && p.names[flag] || !many && containsFlag(variants, flag) {
			return nil, errors.New("a flag is duplicated")
		}
		if many {
			p.names[flag] = true
		}
		variants = append(variants, pipeline.Variant{FlagKey: flag})
		if err := p.parseVariant(&variants[len(variants)-1]); err != nil {
			return nil, err
		}
	}
	if _, err := p.dec.ReadToken(); err != nil { // }
		return nil, syntaxError(err)
	}
	return variants, p.expectEnd()
}

// parseV2 reads an answer of /sdk/v2/vardata, and returns what /v1/vardata answers: without defaults, groups, and flags
// that are not deployed.
func (p *parser) parseV2(body []byte, text string, size int) ([]pipeline.Variant, error) {
	p.v2 = true
	defer func() { p.v2 = false }()
	variants, err := p.parseVariants(body, text, size)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(variants, func(v pipeline.Variant) bool { return isLeftOut(v.Metadata) }), nil
}

// textOfJSON returns the text that /v1/vardata has in place of a JSON value: numbers as JavaScript prints them.
func textOfJSON(raw string) string {
	v := jsontext.Value(raw)
	if kind := v.Kind(); kind == '{' || kind == '[' {
		_ = v.Compact(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) // it was read before
	} else {
		_ = v.Canonicalize()
	}
	return string(v)
}

// groupTypes are the types of flags that exist only for other flags to depend on.
var groupTypes = []string{"mutual-exclusion-group", "holdout-group", "release-group"}

// isLeftOut reports whether /v1/vardata does not answer a variant with that metadata.
func isLeftOut(metadata string) bool {
	return findMember(metadata, "default") == "true" || findMember(metadata, "deployed") == "false" ||
		slices.Contains(groupTypes, findText(metadata, "flagType"))
}

func containsFlag(variants []pipeline.Variant, flag string) bool {
	for i := range variants {
		if variants[i].FlagKey == flag {
			return true
		}
	}
	return false
}

// parseArray checks that body is one JSON array.
func (p *parser) parseArray(body []byte) error {
	if err := p.reset(body); err != nil {
		return err
	}
	if err := p.expectStart('[', "array"); err != nil {
		return err
	}
	if err := p.dec.SkipValue(); err != nil {
		return syntaxError(err)
	}
	return p.expectEnd()
}

// readRaw reads the next value, of any kind, or a name.
func (p *parser) readRaw() (string, error) {
	v, err := p.dec.ReadValue()
	if err != nil {
		return "", syntaxError(err)
	}
	end := int(p.dec.InputOffset())
	return p.text[end-len(v) : end], nil
}

// readString reads a string or a name. ok is false if it holds half of a surrogate pair, which a Go string cannot.
func (p *parser) readString() (s string, ok bool, err error) {
	raw, err := p.readRaw()
	if err != nil {
		return "", false, err
	}
	s, ok = unquote(raw)
	return s, ok, nil
}

// unquote returns the value of a quoted string.
func unquote(quoted string) (string, bool) {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	b, err := jsontext.AppendUnquote(nil, quoted)
	return string(b), err == nil
}

// parseVariant reads the object of one flag. Fields that it does not know go into the metadata, whose own members win.
// A known field that is duplicated or of another type could mean anything, so the answer is not used.
func (p *parser) parseVariant(v *pipeline.Variant) error {
	if kind := p.dec.PeekKind(); kind != '{' {
		if _, err := p.dec.ReadValue(); err != nil {
			return syntaxError(err)
		}
		return errors.New("a flag's variant is not a JSON object")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return syntaxError(err)
	}
	var otherKey string // experiment_key
	var hasKey, hasValue bool
	var seen uint
	var others []pipeline.Member // the unknown fields; Text is their JSON
	for p.dec.PeekKind() == '"' {
		name, ok, err := p.readString()
		if err != nil {
			return err
		}
		raw, err := p.readRaw()
		if err != nil {
			return err
		}
		if !ok {
			continue // a name that is not valid text is not a known field
		}
		var field *string
		var bit uint
		switch name {
		case "key":
			field, bit, hasKey = &v.Key, 1, raw != "null"
		case "value":
			field, bit, hasValue = &v.Value, 2, raw != "null"
		case "expKey":
			field, bit = &v.ExperimentKey, 4
		case "experiment_key":
			field, bit = &otherKey, 8
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
				return errors.New("a variant's metadata is not a JSON object")
			}
		default:
			others = append(others, pipeline.Member{Name: name, Value: pipeline.Value{Text: raw}})
		}
		if seen&bit != 0 {
			return fmt.Errorf("a variant's %q is duplicated", name)
		}
		seen |= bit
		if field == nil || raw == "null" {
			continue
		}
		if name == "value" && p.v2 && raw[0] != '"' { // as it is configured; v1 has its text
			v.Value = textOfJSON(raw)
			continue
		}
		if raw[0] != '"' {
			return fmt.Errorf("a variant's %q is not a string", name)
		}
		if *field, ok = unquote(raw); !ok {
			return fmt.Errorf("a variant's %q is not valid text", name)
		}
	}
	if _, err := p.dec.ReadToken(); err != nil { // }
		return syntaxError(err)
	}
	if others != nil {
		v.Metadata = addMembers(v.Metadata, others)
	}
	if v.ExperimentKey == "" {
		v.ExperimentKey = otherKey
	}
	if v.ExperimentKey == "" {
		v.ExperimentKey = findText(v.Metadata, "experimentKey") // as Amplitude's clients do
	}
	if !hasKey {
		if !hasValue && !(p.v2 && isLeftOut(v.Metadata)) {
			return errors.New("a variant has neither key nor value")
		}
		v.Key = v.Value
	}
	return nil
}

// findMember returns a member of a JSON object, as the object has it; "" if there is none. Where a name is duplicated,
// the last member counts, as with JavaScript's clients.
func findMember(object, name string) string {
	if !strings.Contains(object, name) && strings.IndexByte(object, '\\') < 0 {
		return "" // nearly always
	}
	dec := jsontext.NewDecoder(strings.NewReader(object), jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true))
	_, _ = dec.ReadToken() // the object was read before: there are no errors
	found := ""
	for dec.PeekKind() == '"' {
		token, _ := dec.ReadToken()
		is := token.String() == name
		value, _ := dec.ReadValue()
		if is {
			found = string(value)
		}
	}
	return found
}

// findText is findMember for a string; "" if it is something else.
func findText(object, name string) string {
	raw := findMember(object, name)
	if raw == "" || raw[0] != '"' {
		return ""
	}
	text, ok := unquote(raw)
	if !ok {
		return ""
	}
	return text
}

// addMembers adds members, whose Text is JSON, to a JSON object ("" is an empty one). Where a name is duplicated, the
// first member counts.
func addMembers(object string, members []pipeline.Member) string {
	if object == "" {
		object = "{}"
	}
	taken := map[string]bool{}
	dec := jsontext.NewDecoder(strings.NewReader(object), jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true))
	_, _ = dec.ReadToken() // the object was read before: there are no errors
	for dec.PeekKind() == '"' {
		name, _ := dec.ReadToken()
		taken[name.String()] = true
		_ = dec.SkipValue()
	}
	end := strings.LastIndexByte(object, '}')
	dst := append([]byte(nil), object[:end]...)
	for _, m := range members {
		if taken[m.Name] {
			continue
		}
		if len(taken) > 0 {
			dst = append(dst, ',')
		}
		taken[m.Name] = true
		dst = append(append(pipeline.AppendJSONString(dst, m.Name), ':'), m.Value.Text...)
	}
	return string(append(dst, '}'))
}
