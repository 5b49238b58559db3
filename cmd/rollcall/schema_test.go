package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/rollcall-cli/rollcall/pipeline/audit/check"
)

// runHere runs the command in this process, and returns what it printed.
func runHere(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	ctx := context.Background()
	code = run(args, &env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said, Soft: ctx, Hard: ctx,
		LookupEnv: func(string) (string, bool) { return "", false }})
	return code, out.String(), said.String()
}

// compileSchema compiles a schema. A strict one refuses members that it does not name.
func compileSchema(data []byte, strict bool) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if strict {
		refuseOthers(doc)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("schema.json")
}

// refuseOthers refuses members that a schema does not name, wherever it names some.
func refuseOthers(schema any) {
	switch s := schema.(type) {
	case []any:
		for _, one := range s {
			refuseOthers(one)
		}
	case map[string]any:
		for _, one := range s {
			refuseOthers(one)
		}
		if s["properties"] != nil && s["type"] == "object" && s["additionalProperties"] == nil {
			s["additionalProperties"] = false
		}
	}
}

// outputSchema is the strict schema of what rollcall writes.
var outputSchema = func() func(name string) (*jsonschema.Schema, error) {
	var mu sync.Mutex
	compiled := map[string]*jsonschema.Schema{}
	return func(name string) (s *jsonschema.Schema, err error) {
		mu.Lock()
		defer mu.Unlock()
		if compiled[name] == nil {
			var data []byte
			if data, err = schemaFiles.ReadFile("schemas/" + name + ".schema.json"); err == nil {
				compiled[name], err = compileSchema(data, true)
			}
		}
		return compiled[name], err
	}
}()

// validateOutput says why JSON does not conform to the schema of what rollcall writes.
func validateOutput(name string, data []byte) error {
	s, err := outputSchema(name)
	if err != nil {
		return err
	}
	return validateJSON(s, data)
}

func validateJSON(s *jsonschema.Schema, data []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err == nil {
		err = s.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, data)
	}
	return nil
}

// validateYAML is validateJSON for what YAML says.
func validateYAML(s *jsonschema.Schema, data []byte) error {
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return validateJSON(s, data)
}

// outputName is the name of the schema of what a command prints; "" if it does not print JSON.
func outputName(args []string, getenv func(string) string, failed bool) string {
	if len(args) < 2 || args[0] != "rollcall" {
		return ""
	}
	has := func(value string) bool {
		return isGiven(args[1:], &env{LookupEnv: func(name string) (string, bool) { return getenv(name), true }}, value,
			"--format")
	}
	dryRun := slices.Contains(args, "--dry-run")
	switch {
	case !has("json"):
		return ""
	case args[1] == "snapshot" && dryRun && !failed:
		return "dry-run"
	}
	return args[1]
}

// TestManifestsOfFormat1: the schema of manifests is of the first format, too.
func TestManifestsOfFormat1(t *testing.T) {
	files, err := filepath.Glob("../../pipeline/snapshot/testdata/format1/*.manifest.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v; want manifests", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := validateOutput("manifest", data); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGoldenOutputsHaveSchemas: what the tests of other packages want as JSON conforms.
func TestGoldenOutputsHaveSchemas(t *testing.T) {
	for name, file := range map[string]string{
		"check": "../../pipeline/audit/check/testdata/report.json", "diff": "../../pipeline/audit/diff/testdata/diff.json",
		"report": "../../pipeline/audit/report/testdata/report.json",
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := validateOutput(name, data); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSchemaCommand: each schema is one, and is printed.
func TestSchemaCommand(t *testing.T) {
	for _, name := range schemaNames {
		t.Run(name, func(t *testing.T) {
			code, out, said := runHere(t, "schema", name)
			if code != 0 || said != "" {
				t.Fatalf("exit code %d, %s", code, said)
			}
			if _, err := compileSchema([]byte(out), false); err != nil {
				t.Error(err)
			}
			if name != "config" && !strings.HasPrefix(out, "{\n") {
				t.Errorf("it prints %.20q", out)
			}
		})
	}
}

// TestConfigSchema: what the schema of a config file says of an option, the option takes.
func TestConfigSchema(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	refuses := func(t *testing.T, command, text string) (bool, string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, said := runHere(t, append(strings.Fields(command), "--config", file)...)
		return strings.Contains(said, "is not known") || strings.Contains(said, "cannot be") ||
			strings.Contains(said, "is not an option") || strings.Contains(said, "takes one value"), said
	}
	for _, command := range []string{"snapshot", "report nowhere.csv", "check nowhere.yaml nowhere.csv",
		"diff nowhere.csv nowhere.csv",
		"verify nowhere.csv", "flags", "explain", "load nowhere.csv", "serve", "clean nowhere.csv"} {
		name := strings.Fields(command)[0]
		t.Run(name, func(t *testing.T) {
			code, out, said := runHere(t, "schema", "config", name)
			if code != 0 {
				t.Fatal(said)
			}
			s, err := compileSchema([]byte(out), false)
			if err != nil {
				t.Fatal(err)
			}
			var doc struct {
				Properties map[string]struct {
					Type  any
					Enum  []string
					AnyOf []struct {
						Items struct{ Enum []string }
					} `json:"anyOf"`
				}
			}
			if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Properties) < 2 {
				t.Fatalf("%v: %s", err, out)
			}
			for option, p := range doc.Properties {
				values, bad := p.Enum, "nonsense"
				for _, any := range p.AnyOf {
					values = append(values, any.Items.Enum...)
				}
				switch p.Type {
				case "boolean":
					values = []string{"true", "false"}
				case "integer":
					values = []string{"7"}
				case "number":
					values = []string{"7", "7.5"}
				}
				if option == "include" || option == "by" {
					bad = ""
				}
				for _, value := range values {
					text := option + ": " + string(quoteYAML(value, p.Type)) + "\n"
					if err := validateYAML(s, []byte(text)); err != nil {
						t.Errorf("the schema refuses %q: %v", text, err)
					}
					if option == "format" || option == "log-format" || option == "help" {
						continue // they decide what is said
					}
					if no, said := refuses(t, command, text); no && strings.Contains(said, option) {
						t.Errorf("the schema takes %q, and rollcall %s says: %s", text, command, said)
					}
				}
				if bad == "" || len(values) == 0 {
					continue
				}
				text := option + ": " + bad + "\n"
				if err := validateYAML(s, []byte(text)); err == nil && p.AnyOf == nil {
					t.Errorf("the schema takes %q", text)
				}
			}
			for text, want := range map[string]bool{"": true, "quiet: true": true, "quiet: maybe": false, "nonsense: 1": false,
				"config: other.yaml": false, "[quiet]": false} {
				if got := validateYAML(s, []byte(text)) == nil; got != want {
					t.Errorf("of %q the schema says %t, want %t", text, got, want)
				}
			}
		})
	}
}

// quoteYAML is a value of a type for a YAML file.
func quoteYAML(value string, kind any) []byte {
	if kind == "boolean" || kind == "integer" || kind == "number" {
		return []byte(value)
	}
	return fmt.Appendf(nil, "%q", value)
}

// configExamples are files of options in the documentation and the recipes, and the command that each is for.
func TestConfigExamples(t *testing.T) {
	_, out, _ := runHere(t, "schema", "config")
	s, err := compileSchema([]byte(out), false)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../testdata/recipes/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc yaml.Node
		if yaml.Unmarshal(data, &doc) != nil || !bytes.Contains(data, []byte("\nmax-errors:")) {
			continue
		}
		seen++
		t.Run(filepath.Base(file), func(t *testing.T) {
			if err := validateYAML(s, data); err != nil {
				t.Error(err)
			}
		})
	}
	if seen == 0 {
		t.Errorf("no file of options among %v", files)
	}
}

// ruleExamples are rules files that the decoder takes.
func ruleExamples(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for _, block := range blocks(string(readme), "yaml") {
		if strings.Contains(block, "checks:") {
			examples = append(examples, block)
		}
	}
	help := checkCommand(&env{}, &console{}).Long
	_, help, _ = strings.Cut(help, "\n\n")
	help, _, _ = strings.Cut(help, "\n\n")
	if len(examples) == 0 || !strings.Contains(help, "checks:") {
		t.Fatalf("no rules in the README and the help: %q", help)
	}
	written, err := os.ReadFile("../../pipeline/audit/check/testdata/init.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return append(examples, help, string(written),
		"version: 1\ncontrols: [off]\nvariants: {f: [a]}\ntypes: {a: int}\nflag: f\nchecks:\n- {exposed: nobody, "+
			"treatments: a}\n- {exclusive: [a, b], who: exposed, treatments: [x]}",
		"checks:\n- {flag: f, ratio: {a: 1, b: 2%}, by: [c], alert: 0.01}\n- {failed: {max: 0.5}}\n- {flags: a}\n- {younger: 7d}\n"+
			"- {flag: f, variant: [a, b], count: {min: 1_000}, name: a name}\n- {seen: {max: 5}, cohort: [vip]}",
		"checks:\n- {flag: f, payload: {type: object}, optional: true, not_cohort: [a, b]}\n- {younger: 1h30m}")
}

// ruleValues are what a mutation puts in place of a value, as YAML.
var ruleValues = []string{"a", `""`, "45%", `"0.5"`, "101%", `"-1"`, "1e1%", `" 5 %"`, "not_assigned", "nobody",
	"everybody",
	"users", "assigned", "exposed", "24h", "7d", "0h", "-5m", "1.5h30m", "h", "../x", "/x", "checkout.json", `"true"`,
	`"1"`,
	"007%", "0", "1", "0.5", "1.5", "-1", "100", "10000000000000", "true", "false", "~", "[]", "[a]", "[a, a]", "[a, b]",
	"[1]",
	"[~]", "[not_assigned, a]", "{}", "{min: 1, max: 2}", "{min: 0.4}", "{max: 1%}", "{min: 0.9, max: 5}", "{a: 1, b: 2}",
	"{a: [b]}", "{a: int}", "{other: 1}"}

var ruleKeys = []string{"version", "flag", "controls", "variants", "types", "checks", "name", "variant", "of", "who",
	"where",
	"cohort", "not_cohort", "treatments", "flags", "by", "alert", "optional", "share", "count", "exposed", "exclusive",
	"holdout", "ratio", "payload", "failed", "users", "younger", "unchanged", "seen", "min", "max", "nonsense"}

// beyondSchema are errors of the decoder that no schema can express.
var beyondSchema = []string{"min is greater than max", "two checks have the name", "the holdout itself is among",
	"is duplicated",
	"is not a JSON Schema", "file does not exist"}

// TestRulesSchema: the schema of rules files takes what the decoder takes, and refuses what it refuses: the examples,
// and what random changes make of them.
func TestRulesSchema(t *testing.T) {
	data, err := schemaFiles.ReadFile("schemas/rules.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := compileSchema(data, false)
	if err != nil {
		t.Fatal(err)
	}
	dir := fstest.MapFS{"checkout.json": {Data: []byte("{}")}, "checkout.schema.json": {Data: []byte("{}")}}
	compare := func(t *testing.T, text []byte) (taken bool) {
		t.Helper()
		_, err := check.Parse("r.yaml", text, dir)
		refused := validateYAML(s, text)
		switch {
		case err == nil && refused != nil:
			t.Errorf("the decoder takes it, and the schema does not: %v\n%s", refused, text)
		case err != nil && refused == nil && !slices.ContainsFunc(beyondSchema,
			func(m string) bool { return strings.Contains(err.Error(), m) }):
			t.Errorf("the schema takes it, and the decoder does not: %v\n%s", err, text)
		}
		return err == nil
	}
	taken, changed := 0, 0
	for i, example := range ruleExamples(t) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if !compare(t, []byte(example)) {
				t.Fatalf("the decoder refuses an example:\n%s", example)
			}
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 150 {
				var doc any
				if err := yaml.Unmarshal([]byte(example), &doc); err != nil {
					t.Fatal(err)
				}
				for range 1 + r.IntN(2) {
					doc = mutate(r, doc)
				}
				text, err := yaml.Marshal(doc)
				if err != nil {
					t.Fatal(err)
				}
				changed++
				if compare(t, text) {
					taken++
				}
				if t.Failed() {
					return
				}
			}
		})
	}
	if taken < changed/20 || taken > changed*19/20 {
		t.Errorf("of %d changed files %d are taken: the test does not say much", changed, taken)
	}
}

// mutate changes a value, or something in it.
func mutate(r *rand.Rand, value any) any {
	pick := func() (picked any) {
		_ = yaml.Unmarshal([]byte(ruleValues[r.IntN(len(ruleValues))]), &picked)
		return picked
	}
	switch v := value.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		switch n := r.IntN(10); {
		case n == 0:
			v[ruleKeys[r.IntN(len(ruleKeys))]] = pick()
		case n == 1 && len(keys) > 0:
			delete(v, keys[r.IntN(len(keys))])
		case n == 2 && len(keys) > 0:
			key := keys[r.IntN(len(keys))]
			v[ruleKeys[r.IntN(len(ruleKeys))]] = v[key]
			delete(v, key)
		case len(keys) > 0:
			key := keys[r.IntN(len(keys))]
			v[key] = mutate(r, v[key])
		}
		return v
	case []any:
		if len(v) > 0 && r.IntN(8) > 0 {
			i := r.IntN(len(v))
			v[i] = mutate(r, v[i])
			return v
		}
	}
	return pick()
}
