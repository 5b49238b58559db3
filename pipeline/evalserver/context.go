package evalserver

import (
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// maxDepth is how deep a context may nest, as in [pipeline.ParseJSON].
const maxDepth = 100

// contextReader reads a user's context. It takes and makes what [pipeline.ParseJSON] does, in a third of the
// time: most of what a request costs here is this. It may be used again, by one goroutine at a time.
type contextReader struct {
	text strings.Reader
	dec  jsontext.Decoder
}

// read reads an object, its members sorted as [pipeline.User] wants them.
func (c *contextReader) read(text string) ([]pipeline.Member, error) {
	c.text.Reset(text)
	c.dec.Reset(&c.text)
	v, err := c.value()
	if err != nil {
		return nil, err
	}
	if _, err := c.dec.ReadToken(); err != io.EOF {
		return nil, errors.New("more text after the value")
	}
	if v.Kind != pipeline.Object {
		return nil, errors.New("not a JSON object")
	}
	pipeline.SortMembers(&v)
	return v.Members, nil
}

func (c *contextReader) value() (v pipeline.Value, err error) {
	tok, err := c.dec.ReadToken()
	if err != nil {
		return v, err
	}
	kind := tok.Kind()
	switch kind {
	case '"':
		return pipeline.StringValue(tok.String()), nil
	case '0':
		return pipeline.Value{Kind: pipeline.Number, Text: tok.String()}, nil
	case 't', 'f':
		return pipeline.BoolValue(tok.Bool()), nil
	case '{':
		v.Kind = pipeline.Object
	case '[':
		v.Kind = pipeline.List
	default:
		return v, nil
	}
	if c.dec.StackDepth() > maxDepth {
		return v, errors.New("nested too deep")
	}
	for c.dec.PeekKind() != kind+2 { // } is { + 2, ] is [ + 2
		var m pipeline.Member
		if v.Kind == pipeline.Object {
			name, err := c.dec.ReadToken()
			if err != nil {
				return v, err
			}
			m.Name = name.String()
		}
		if m.Value, err = c.value(); err != nil {
			return v, err
		}
		v.Members = append(v.Members, m)
	}
	_, err = c.dec.ReadToken()
	return v, err
}
