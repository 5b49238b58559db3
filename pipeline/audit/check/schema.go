package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// nowhere is a loader of schemas that finds none: nothing is fetched, and no other file is read.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside of the schema, and nothing is fetched", url)
}

// schemaURL is the name of a schema within the library.
const schemaURL = "rules://file/schema.json"

// parseSchema compiles a schema: the name of a file, or the schema itself.
func parseSchema(d *decoder, n *yaml.Node, folder fs.FS) (*jsonschema.Schema, error) {
	var doc any
	what := "the schema"
	if n.Kind == yaml.ScalarNode {
		name, err := d.text(n, "payload")
		if err != nil {
			return nil, err
		}
		what = "the schema " + name
		if doc, err = readSchema(folder, name); err != nil {
			return nil, d.errorf(n.Line, "%s: %w", what, err)
		}
	} else {
		var err error
		if doc, err = d.tree(n, 0); err != nil {
			return nil, err
		}
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
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

func readSchema(folder fs.FS, name string) (any, error) {
	if !fs.ValidPath(name) {
		return nil, pipeline.WithHint(errors.New("not the name of a file"), "it stands beside the rules file or below its folder, and is named from there")
	}
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	}
	return decodeJSON(data)
}

// decodeJSON decodes one JSON value, as the library wants it.
func decodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: more after the first value")
	}
	if hugeNumber(v) {
		return nil, errors.New("a number that is too large or has too many digits")
	}
	return v, nil
}

// hugeNumber finds numbers that the library would make fractions of gigabytes of.
func hugeNumber(v any) bool {
	switch v := v.(type) {
	case json.Number:
		if len(v) > 1000 {
			return true
		}
		f, err := v.Float64()
		return err != nil || f == 0 && strings.ContainsAny(v.String(), "eE")
	case []any:
		for _, item := range v {
			if hugeNumber(item) {
				return true
			}
		}
	case map[string]any:
		for _, item := range v {
			if hugeNumber(item) {
				return true
			}
		}
	}
	return false
}

const (
	maxVerdicts     = 4096
	maxVerdictBytes = 16 << 20
)

// payloads remembers what was found out about payloads: most users have one of a few.
type payloads struct {
	schema   *jsonschema.Schema
	verdicts map[string]string
	bytes    int
}

// wrong says what is wrong with a payload; "" is nothing.
func (p *payloads) wrong(payload []byte) string {
	if verdict, ok := p.verdicts[string(payload)]; ok {
		return verdict
	}
	verdict := judgePayload(p.schema, payload)
	if len(p.verdicts) < maxVerdicts && p.bytes+len(payload) <= maxVerdictBytes {
		if p.verdicts == nil {
			p.verdicts = map[string]string{}
		}
		p.verdicts[string(payload)] = verdict
		p.bytes += len(payload)
	}
	return verdict
}

func judgePayload(s *jsonschema.Schema, payload []byte) string {
	v, err := decodeJSON(payload)
	if err != nil {
		return err.Error()
	}
	err = s.Validate(v)
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return explain(e)
	}
	return err.Error()
}

var english = message.NewPrinter(language.English)

// explain is the first thing that is wrong by a schema: "/steps: got string, want integer".
func explain(e *jsonschema.ValidationError) string {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	where := "/" + strings.Join(e.InstanceLocation, "/")
	text := e.ErrorKind.LocalizedString(english)
	if _, ok := e.ErrorKind.(*kind.FalseSchema); ok {
		text = "not allowed"
	}
	if most := 200; len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return where + ": " + text
}
