package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/jsonschema"
)

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
	s, err := jsonschema.Compile(doc)
	if err != nil {
		return nil, d.errorf(n.Line, "%s is not a JSON Schema: %w", what, err)
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

// decodeJSON decodes one JSON value, as package jsonschema takes it.
func decodeJSON(data []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err = dec.Decode(&v); err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if hugeNumber(v) {
		return nil, errors.New("a number that is too large or has too many digits")
	}
	return v, nil
}

// hugeNumber finds numbers that would be converted to fractions of gigabytes.
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
	if value, err := decodeJSON(payload); err != nil {
		text = err.Error()
	} else if wrong := p.schema.Validate(value); wrong != nil {
		text = shorten(wrong.Error())
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

// shorten cuts the reason why a value does not conform.
func shorten(reason string) string {
	if most := 200; len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") + "…"
	}
	return reason
}
