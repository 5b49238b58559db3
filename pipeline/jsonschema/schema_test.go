package jsonschema

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	reference "github.com/santhosh-tekuri/jsonschema/v6"
)

// group is a schema of the test suite, and values that conform to it or do not.
type group struct {
	File        string
	Description string
	Schema      any
	Tests       []struct {
		Description string
		Data        any
		Valid       bool
	}
}

// readSuite reads testdata/suite.jsonl.gz.
func readSuite(t *testing.T) (groups []group) {
	t.Helper()
	f, err := os.Open("testdata/suite.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var g group
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.UseNumber()
		if err := dec.Decode(&g); err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	if lines.Err() != nil || len(groups) < 300 {
		t.Fatalf("%d groups, %v; want more than 300", len(groups), lines.Err())
	}
	return groups
}

// decode is a JSON text as Compile and Validate take it.
func decode(tb testing.TB, text string) (v any) {
	tb.Helper()
	v, err := reference.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

// encode is a value as JSON, for messages.
func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// TestSuite: what the test suite of JSON Schema says of values, Validate says, too.
func TestSuite(t *testing.T) {
	seen, refused := 0, 0
	for _, g := range readSuite(t) {
		s, err := Compile(g.Schema)
		if err != nil {
			if refused++; !strings.Contains(err.Error(), "is not supported") {
				t.Errorf("%s, %s: %v", g.File, g.Description, err)
			}
			continue
		}
		for _, test := range g.Tests {
			seen++
			if got := s.Validate(test.Data); (got == nil) != test.Valid {
				t.Errorf("%s, %s, %s: %v, want valid: %t\nschema %s\nvalue %s", g.File, g.Description, test.Description, got,
					test.Valid,
					encode(g.Schema), encode(test.Data))
			}
		}
	}
	if seen < 1800 || refused > 8 {
		t.Errorf("%d tests, and %d schemas were refused; want at least 1800 tests, and at most 8 refused", seen, refused)
	}
}

// TestReference: an unrelated implementation takes the same schemas and the same values: those of the test suite in
// every draft, and what random changes make of them.
func TestReference(t *testing.T) {
	groups := readSuite(t)
	var values []any // to put in place of others
	for _, g := range groups {
		for _, test := range g.Tests {
			values = append(values, test.Data)
		}
	}
	for name := range drafts {
		if strings.HasSuffix(name, "org/schema") {
			continue
		}
		t.Run(strings.NewReplacer("json-schema.org/", "", "/schema", "").Replace(name), func(t *testing.T) {
			r := rand.New(rand.NewPCG(2, uint64(len(name))))
			compared, valid := 0, 0
			for _, g := range groups {
				for round := range 4 {
					schema := g.Schema
					if object, ok := schema.(map[string]any); ok {
						object = maps.Clone(object)
						object["$schema"], schema = "http://"+name+"#", object
						if strings.Contains(name, "20") {
							object["$schema"] = "https://" + name
						}
						if round > 0 {
							for _, key := range slices.Sorted(maps.Keys(object)) {
								if key != "$schema" && r.IntN(3) == 0 {
									object[key] = change(r, object[key], values)
								}
							}
						}
					}
					ours, theirs, err := compileBoth(schema)
					if err != nil {
						t.Errorf("%v\nschema %s", err, encode(schema))
						continue
					}
					if ours == nil {
						continue
					}
					for _, test := range g.Tests {
						value := change(r, test.Data, values)
						compared++
						got, want := ours.Validate(value), theirs.Validate(value)
						if got == nil {
							valid++
						}
						if (got == nil) != (want == nil) {
							t.Errorf("Validate: %v, want %v\nschema %s\nvalue %s", got, want, encode(schema), encode(value))
						}
					}
				}
			}
			if compared < 3000 || valid < compared/10 || valid > compared*9/10 {
				t.Errorf("%d values compared, %d of them valid: the test does not say much", compared, valid)
			}
		})
	}
}

// change puts another value in place of a part of a value, sometimes.
func change(r *rand.Rand, value any, values []any) any {
	switch v := value.(type) {
	case map[string]any:
		v = maps.Clone(v)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if r.IntN(3) == 0 {
				v[name] = change(r, v[name], values)
			}
		}
		return v
	case []any:
		v = slices.Clone(v)
		for i := range v {
			if r.IntN(3) == 0 {
				v[i] = change(r, v[i], values)
			}
		}
		return v
	}
	if r.IntN(4) == 0 {
		return values[r.IntN(len(values))]
	}
	return value
}

// compileBoth compiles a schema with both implementations; both are nil if both refuse it, or if ours says that it does
// not support it.
func compileBoth(schema any) (ours *Schema, theirs *reference.Schema, err error) {
	c := reference.NewCompiler()
	c.UseLoader(noLoader{})
	wanted := c.AddResource("rules://file/schema.json", schema)
	if wanted == nil {
		theirs, wanted = c.Compile("rules://file/schema.json")
	}
	ours, got := Compile(schema)
	if wanted != nil && strings.Contains(wanted.Error(), "is elsewhere") { // it does not look for ids in all places
		return nil, nil, nil
	}
	if got != nil && (wanted != nil || strings.Contains(got.Error(), "not supported") ||
		strings.Contains(got.Error(), "nothing is fetched") || strings.Contains(got.Error(), "leads to itself")) {
		return nil, nil, nil
	}
	if got != nil || wanted != nil {
		return nil, nil, fmt.Errorf("Compile: %v, want %v", got, wanted)
	}
	return ours, theirs, nil
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) { return nil, fmt.Errorf("%s is elsewhere", url) }

// TestErrors: an error says where something is wrong, and what, in the same words each time.
func TestErrors(t *testing.T) {
	const schema = `{"type": "object", "required": ["steps", "a"], "properties": {"steps": {"type": "integer", "maximum": 3},
		"a": {"enum": ["x", 1, null]}, "list": {"items": {"$ref": "#/$defs/item"}, "uniqueItems": true},
			"c": {"const": {"d": 1}},
		"of": {"oneOf": [{"type": "string"}, {"maxLength": 2}]}, "n": {"multipleOf": 0.1}},
		"additionalProperties": false, "$defs": {"item": {"pattern": "^[a-z]+$", "minLength": 2}}}`
	s, err := Compile(decode(t, schema))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ value, want string }{
		{`{"steps": 3.0, "a": 1.0, "n": 0.3}`, ""},
		{`[]`, "/: got array, want object"},
		{`{"b": 1}`, "/: missing properties 'steps', 'a'"},
		{`{"a": 1}`, "/: missing property 'steps'"},
		{`{"steps": "one", "a": 1}`, "/steps: got string, want integer"},
		{`{"steps": 1.5, "a": 1}`, "/steps: got number, want integer"},
		{`{"steps": 4, "a": 1}`, "/steps: maximum: got 4, want 3"},
		{`{"steps": 1, "a": 2}`, "/a: value must be one of 'x', 1, null"},
		{`{"steps": 1, "a": 1, "c": {}}`, `/c: value must be {"d":1}`},
		{`{"steps": 1, "a": 1, "z": 1, "y": 2}`, "/: additional properties 'y', 'z' not allowed"},
		{`{"steps": 1, "a": 1, "list": ["ab", "C"]}`, "/list/1: minLength: got 1, want 2"},
		{`{"steps": 1, "a": 1, "list": ["ab", "C1"]}`, "/list/1: 'C1' does not match pattern '^[a-z]+$'"},
		{`{"steps": 1, "a": 1, "list": ["ab", "ab"]}`, "/list: items at 0 and 1 are equal"},
		{`{"steps": 1, "a": 1, "of": "x"}`, "/of: 'oneOf' failed, subschemas 0, 1 matched"},
		{`{"steps": 9007199254740993, "a": 1}`, "/steps: maximum: got 9007199254740993, want 3"},
		{`{"steps": 1, "a": 1, "n": 0.35}`, "/n: multipleOf: got 0.35, want 0.1"},
	} {
		t.Run(tt.value, func(t *testing.T) {
			for range 5 {
				got := ""
				if err := s.Validate(decode(t, tt.value)); err != nil {
					got = err.Error()
				}
				if got != tt.want {
					t.Errorf("%s: %q, want %q", tt.value, got, tt.want)
				}
			}
		})
	}
}

// TestCompileErrors: what is not a schema, or cannot be checked, is refused with its place.
func TestCompileErrors(t *testing.T) {
	for _, tt := range []struct{ schema, want string }{
		{`{"type": "objekt"}`, `/type: "objekt" is not a type: it is one of null boolean number integer string array object`},
		{`{"properties": {"a": {"minLength": -1}}}`, "/properties/a/minLength: want an integer that is not negative"},
		{`{"allOf": [{"pattern": "((("}]}`, "/allOf/0/pattern: not a regular expression: "},
		{`{"items": [{}]}`, "/items: got array, want boolean or object"},
		{`{"multipleOf": 0}`, "/multipleOf: want a number greater than 0"},
		{`3`, "/: got number, want boolean or object"},
		{`{"$ref": "#/$defs/a"}`, "/$ref: #/$defs/a leads nowhere"},
		{`{"$ref": "#/$defs/a", "$defs": {"a": {"items": 1}}}`, "/$defs/a/items: got number, want boolean or object"},
		{`{"$ref": "#a"}`, `/$ref: there is no anchor "a"`},
		{`{"$ref": "other.json"}`, "other.json is outside of the schema, and nothing is fetched"},
		{`{"$ref": "#"}`, "a $ref leads to itself"},
		{`{"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}`, "a $ref leads to itself"},
		{`{"$dynamicRef": "#a"}`, "/$dynamicRef: $dynamicRef is not supported"},
		{`{"$schema": "https://example.com/own"}`, "/$schema: https://example.com/own is not a known draft: it is one of "},
		{`{"$schema": "http://json-schema.org/draft-07/schema#", "format": "iri"}`,
			"/format: the format iri is not supported"},
		{`{"$schema": "http://json-schema.org/draft-04/schema#", "not": true}`, "/not: got boolean, want object"},
		{`{"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": true}`,
			"/exclusiveMinimum: want a boolean, beside minimum"},
		{`{"$defs": {"a": {"$id": "x"}, "b": {"$id": "x"}}}`, `/$defs/b: $id "x" is duplicated`},
	} {
		t.Run(tt.schema, func(t *testing.T) {
			_, err := Compile(decode(t, tt.schema))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Compile(%s): %v, want %s", tt.schema, err, tt.want)
			}
		})
	}
}

func ExampleCompile() {
	s, err := Compile(map[string]any{"properties": map[string]any{"steps": map[string]any{"type": "integer"}}})
	fmt.Println(err, s.Validate(map[string]any{"steps": "one"}))
	// Output: <nil> /steps: got string, want integer
}
