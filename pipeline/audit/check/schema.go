package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// noLoader loads no schema: nothing is fetched, and no other file is read.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside of the schema, and nothing is fetched", url)
}

// schemaURL is what the library calls the schema.
const schemaURL = "rules://file/schema.json"

// parseSchema compiles a schema, which is given by the name of a file or written out.
func parseSchema(d *decoder, n *yaml.Node, dir fs.FS) (*jsonschema.Schema, error) {
	var doc any
	what := "the schema"
	if n.Kind == yaml.ScalarNode {
		name, err := d.parseText(n, "payload")
		if err != nil {
			return nil, err
		}
		what = "the schema " + name
		if doc, err = readSchema(dir, name); err != nil {
			return nil, d.errorf(n.Line, "%s: %w", what, err)
		}
	} else {
		var err error
		if doc, err = d.parseJSON(n); err != nil {
			return nil, err
		}
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	err := c.AddResource(schemaURL, doc)
	var s *jsonschema.Schema
	if err == nil {
		s, err = c.Compile(schemaURL)
	}
	if err != nil {
		if v, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
			if cause, ok := errors.AsType[*jsonschema.ValidationError](v.Err); ok {
				err = errors.New(explain(cause))
			}
		}
		if l, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
			err = l.Err
		}
		return nil, d.errorf(n.Line, "%s is not a JSON Schema: %s", what, strings.Join(strings.Fields(err.Error()), " "))
	}
	return s, nil
}

func readSchema(dir fs.FS, name string) (any, error) {
	if !fs.ValidPath(name) {
		return nil, pipeline.WithHint(errors.New("not a valid file name"),
			"put the schema in the directory of the rules file or below, and name it from there")
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := readAll(f)
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	if err != nil {
		return nil, err
	}
	return decodeJSON(data)
}

// decodeJSON decodes one JSON value as the library needs it.
func decodeJSON(data []byte) (any, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if hugeNumber(v) {
		return nil, errors.New("a number that is too large or has too many digits")
	}
	return v, nil
}

// hugeNumber finds numbers that the library would convert to fractions of gigabytes.
func hugeNumber(v any) bool {
	switch v := v.(type) {
	case json.Number:
		if len(v) > 1000 {
			return true
		}
		f, err := v.Float64()
		return err != nil || f == 0 && strings.ContainsAny(v.String(), "eE")
	case []any:
		return slices.ContainsFunc(v, hugeNumber)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hugeNumber)
	}
	return false
}

const (
	maxRememberedPayloads = 4096
	maxRememberedBytes    = 16 << 20
)

// payloadChecker remembers the results of payloads, because most users have one of a few.
type payloadChecker struct {
	schema *jsonschema.Schema
	errors map[string]string // by payload; "": it conforms
	bytes  int
}

// findError says why a payload does not conform; "" if it does.
func (p *payloadChecker) findError(payload []byte) string {
	if text, ok := p.errors[string(payload)]; ok {
		return text
	}
	text := ""
	value, err := decodeJSON(payload)
	if err == nil {
		err = p.schema.Validate(value)
	}
	if e, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		text = explain(e)
	} else if err != nil {
		text = err.Error()
	}
	if len(p.errors) < maxRememberedPayloads && p.bytes+len(payload) <= maxRememberedBytes {
		if p.errors == nil {
			p.errors = map[string]string{}
		}
		p.errors[string(payload)] = text
		p.bytes += len(payload)
	}
	return text
}

var english = sync.OnceValue(func() *message.Printer { return message.NewPrinter(language.English) })

// explain is the first reason why a value does not conform: "/steps: got string, want integer".
func explain(e *jsonschema.ValidationError) string {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	reason := e.ErrorKind.LocalizedString(english())
	if _, ok := e.ErrorKind.(*kind.FalseSchema); ok {
		reason = "not allowed"
	}
	if most := 200; len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") + "…"
	}
	return "/" + strings.Join(e.InstanceLocation, "/") + ": " + reason
}
