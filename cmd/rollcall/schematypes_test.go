package main

import (
	"encoding"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline/audit/check"
	"github.com/rollcall-cli/rollcall/pipeline/audit/diff"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// outputTypes are the types of what rollcall writes, by the names of their schemas.
var outputTypes = []struct {
	name, title string
	value       any
}{
	{"manifest", "The manifest of a run", snapshot.Manifest{}},
	{"snapshot", "rollcall snapshot --format json, and --summary", runResult{}},
	{"dry-run", "rollcall snapshot --dry-run --format json", dryRunResult{}},
	{"verify", "rollcall verify --format json", verifyResult{}},
	{"explain", "rollcall explain --format json", explained{}},
	{"flags", "rollcall flags --format json", []flagInfo{}},
	{"report", "rollcall report --format json", report.Report{}},
	{"check", "rollcall check --format json", check.Document{}},
	{"diff", "rollcall diff --format json", diff.Report{}},
	{"version", "rollcall version --format json", versionInfo{}},
}

// TestSchemasAreCurrent: the schemas of what rollcall writes are made of its types and their comments.
func TestSchemasAreCurrent(t *testing.T) {
	for _, output := range outputTypes {
		t.Run(output.name, func(t *testing.T) {
			g := &schemaMaker{t: t, defs: map[string]any{}, names: map[reflect.Type]string{}}
			s := g.schemaOf(reflect.TypeOf(output.value))
			if ref, ok := s["$ref"].(string); ok { // the root is no definition, but where it is one of itself
				name := strings.TrimPrefix(ref, "#/$defs/")
				s = g.defs[name].(map[string]any)
				delete(g.defs, name)
			}
			s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", output.title
			if len(g.defs) > 0 {
				s["$defs"] = g.defs
			}
			got, err := marshalResult(s)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("schemas", output.name+".schema.json")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(file); err != nil || string(want) != string(got) {
				t.Errorf("%s is not what its types say (%v): go test ./cmd/rollcall -run TestSchemasAreCurrent -update", file, err)
			}
		})
	}
}

// nullable are the lists and maps that may be null: "Type.Field".
var nullable = []string{"Trace.Conditions", "Layout.Flags", "ExpectedSplit.Variants", "Users.FailedByKind"}

// optional are the members that an earlier version did not write: "Type.member".
var optional = []string{"Manifest.layout"}

// schemaMaker makes schemas of types.
type schemaMaker struct {
	t     *testing.T
	defs  map[string]any
	names map[reflect.Type]string // of defs
}

// schemaOf returns the schema of the values of a type. Structs are in defs.
func (g *schemaMaker) schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[report.Expectation]():
		t = reflect.TypeFor[report.ExpectedSplit]()
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t == reflect.TypeFor[jsontext.Value]():
		return map[string]any{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return orNull(g.schemaOf(t.Elem()))
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return map[string]any{"type": "integer"}
	case reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Interface:
		return map[string]any{}
	case reflect.String:
		s := map[string]any{"type": "string"}
		if values := sourcesOf(g.t, t).constants[t.Name()]; len(values) > 0 && t.PkgPath() != "" {
			s["enum"] = values
		}
		return s
	case reflect.Slice, reflect.Array:
		s := map[string]any{"type": "array", "items": g.schemaOf(t.Elem())}
		if t.Kind() == reflect.Array {
			s["minItems"], s["maxItems"] = t.Len(), t.Len()
		}
		return s
	case reflect.Map:
		s := map[string]any{"type": "object", "additionalProperties": g.schemaOf(t.Elem())}
		if key := g.schemaOf(t.Key()); key["enum"] != nil {
			s["propertyNames"] = map[string]any{"enum": key["enum"]}
		}
		return s
	case reflect.Struct:
		return g.refTo(t)
	}
	g.t.Fatalf("no schema for %v", t)
	return nil
}

// orNull is a schema that allows null, too.
func orNull(s map[string]any) map[string]any {
	if kind, ok := s["type"].(string); ok && s["enum"] == nil {
		s["type"] = []string{kind, "null"}
		return s
	}
	if len(s) == 0 {
		return s
	}
	return map[string]any{"anyOf": []any{s, map[string]any{"type": "null"}}}
}

// refTo returns a reference to the definition of a struct, which it makes if there is none.
func (g *schemaMaker) refTo(t reflect.Type) map[string]any {
	name, ok := g.names[t]
	if !ok {
		for name = t.Name(); g.defs[name] != nil; { // another package has one of that name
			name = t.String()
		}
		g.names[t] = name
		def := map[string]any{"type": "object"}
		g.defs[name] = def
		src := sourcesOf(g.t, t)
		properties, required := map[string]any{}, []string{}
		g.addFields(t, properties, &required)
		if t == reflect.TypeFor[report.Finding]() { // its MarshalJSON adds it
			properties["text"], required = map[string]any{"type": "string", "description": "the finding as a sentence"},
				append(required, "text")
		}
		if text := src.comments[t.Name()]; text != "" {
			def["description"] = strings.TrimPrefix(strings.TrimPrefix(text, t.Name()+" is "), t.Name()+" are ")
		}
		slices.Sort(required)
		def["properties"], def["required"] = properties, required
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

// addFields adds the members that the fields of a struct are.
func (g *schemaMaker) addFields(t reflect.Type, properties map[string]any, required *[]string) {
	src := sourcesOf(g.t, t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag, hasTag := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous && !hasTag {
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			g.addFields(embedded, properties, required)
			continue
		}
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		s := g.schemaOf(f.Type)
		if slices.Contains(nullable, t.Name()+"."+f.Name) {
			s = orNull(s)
		}
		if text := src.comments[t.Name()+"."+f.Name]; text != "" {
			s["description"] = text
		}
		properties[name] = s
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") &&
			!slices.Contains(optional, t.Name()+"."+name) {
			*required = append(*required, name)
		}
	}
}

// packageSources are the comments and constants of a package.
type packageSources struct {
	comments  map[string]string   // of types, and of fields as "Type.Field"
	constants map[string][]string // the values of the constants of a type
}

var parsedPackages = map[string]*packageSources{}

// sourcesOf parses the package of a type.
func sourcesOf(t *testing.T, of reflect.Type) *packageSources {
	t.Helper()
	path, dir := of.PkgPath(), "."
	if rest, ok := strings.CutPrefix(path, "github.com/rollcall-cli/rollcall/"); ok && rest != "cmd/rollcall" {
		dir = filepath.Join("../..", rest)
	} else if path != "main" && !ok {
		return &packageSources{}
	}
	if parsed := parsedPackages[dir]; parsed != nil {
		return parsed
	}
	s := &packageSources{map[string]string{}, map[string][]string{}}
	parsedPackages[dir] = s
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				s.addDeclaration(n)
			case *ast.FuncDecl:
				return false
			}
			return true
		})
	}
	return s
}

func (s *packageSources) addDeclaration(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			s.comments[spec.Name.Name] = commentText(spec.Doc, d.Doc, spec.Comment)
			if fields, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						s.comments[spec.Name.Name+"."+name.Name] = commentText(f.Doc, nil, f.Comment)
					}
				}
			}
		case *ast.ValueSpec:
			kind, ok := spec.Type.(*ast.Ident)
			if d.Tok != token.CONST || !ok {
				continue
			}
			for _, v := range spec.Values {
				if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, _ := strconv.Unquote(literal.Value)
					s.constants[kind.Name] = append(s.constants[kind.Name], text)
				}
			}
		}
	}
}

// commentText is the first of the comments that there is, on one line.
func commentText(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if text := strings.Join(strings.Fields(g.Text()), " "); text != "" {
			return text
		}
	}
	return ""
}
