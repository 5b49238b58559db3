package check

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// File is a rules file. It knows what a rules file may say, and nothing of any snapshot.
type File struct {
	Path     string
	Controls []string // nil: DefaultControls
	Types    map[string]pipeline.Type
	Checks   []*Rule

	variants  map[string][]string // by flag
	typeLines map[string]int
	varLines  map[string]int
	controls  int // the line
}

// DefaultControls are the variants that are no treatment, as `rollcall report` has them.
var DefaultControls = []string{"control", "off", "default"}

// NotAssigned is the name of having no variant.
const NotAssigned = "not_assigned"

// DefaultAlert is the corrected p-value below which a ratio does not hold.
const DefaultAlert = 0.001

// Kind is what a check asserts. It is the check's key in the rules file.
type Kind string

// The kinds.
const (
	Share     Kind = "share"
	Count     Kind = "count"
	Exposed   Kind = "exposed"
	Exclusive Kind = "exclusive"
	Holdout   Kind = "holdout"
	Ratio     Kind = "ratio"
	Payload   Kind = "payload"
	Failed    Kind = "failed"
	Users     Kind = "users"
	Flags     Kind = "flags"
	Younger   Kind = "younger"
)

// belong are the keys that go with a kind, beside name. Holdout stands before Flags, which is also a key of it.
var belong = []struct {
	kind Kind
	keys []string
}{
	{Share, []string{"flag", "variant", "of", "where"}},
	{Count, []string{"flag", "variant", "where"}},
	{Exposed, []string{"flag", "treatments", "where"}},
	{Exclusive, []string{"who", "treatments", "where"}},
	{Holdout, []string{"variant", "flags", "treatments", "where"}},
	{Ratio, []string{"flag", "by", "alert", "where"}},
	{Payload, []string{"flag", "variant", "optional", "where"}},
	{Failed, nil},
	{Users, nil},
	{Flags, nil},
	{Younger, nil},
}

// The values of of, who and exposed.
const (
	ofUsers    = "users"
	ofAssigned = "assigned"
	whoExposed = "exposed"
	nobody     = "nobody"
	everybody  = "everybody"
)

// Rule is one check.
type Rule struct {
	Line int
	Name string
	Kind Kind

	Flag       string   // "": the kind has none; of Holdout the holdout itself
	Flags      []string // of Exclusive, Holdout and Flags
	Variants   []string // of Share, Count, Holdout and Payload, where it may be empty: all
	Treatments []string // nil: all but the controls
	Where      string
	Of, Who    string

	// Min and Max are shares where Shares is set, else counts. nil: no limit.
	Min, Max *float64
	Shares   bool

	Everybody bool // of Exposed; else nobody
	Weights   []Weight
	By        []string
	Alert     float64
	Optional  bool
	Younger   time.Duration

	schema *jsonschema.Schema
	lines  map[string]int // of the keys
}

// Weight is a variant's weight in a ratio.
type Weight struct {
	Variant string
	Weight  float64
}

// line is where a key of the check stands, or the check itself.
func (r *Rule) line(key string) int {
	if line, ok := r.lines[key]; ok {
		return line
	}
	return r.Line
}

// maxChecks bounds a rules file.
const maxChecks = 1000

// Load reads a rules file. The schemas that it names are read from its folder, and from nowhere else.
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // only read
	return Parse(path, data, root.FS())
}

// Parse reads the text of a rules file; path is what errors call it. Schemas are read from folder.
func Parse(path string, data []byte, folder fs.FS) (*File, error) {
	d := &decoder{path}
	top, err := d.document(data)
	if err != nil {
		return nil, err
	}
	if top.Kind == yaml.SequenceNode {
		return nil, pipeline.WithHint(d.errorf(top.Line, "a rules file is not a list"), "the list stands under a key: checks:")
	}
	entries, err := d.mapping(top, "a rules file")
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, Types: map[string]pipeline.Type{}, variants: map[string][]string{}, typeLines: map[string]int{}, varLines: map[string]int{}}
	flag := ""
	var checks *yaml.Node
	for _, e := range entries {
		switch e.key {
		case "version":
			if e.value.Value != "1" {
				err = d.errorf(e.line, "version %q is not known: it is 1", e.value.Value)
			}
		case "flag":
			flag, err = d.text(e.value, "flag")
		case "controls":
			f.Controls, err = d.texts(e.value, "controls")
			f.controls = e.line
		case "variants":
			err = f.parseVariants(d, e.value)
		case "types":
			err = f.parseTypes(d, e.value)
		case "checks":
			checks = e.value
		case "rules", "rule", "assertions", "asserts", "expectations", "tests":
			err = pipeline.WithHint(d.errorf(e.line, "%q is not a key of a rules file", e.key), "the list of checks stands under checks:")
		default:
			if known, _ := kindsOfChecks(); known[e.key] {
				return nil, pipeline.WithHint(d.errorf(e.line, "%q is not a key of a rules file, but of a check", e.key), "checks stand in a list: checks: [{"+e.key+": …}]")
			}
			err = d.unknown(e.line, e.key, []string{"version", "flag", "controls", "variants", "types", "checks"}, "%q is not a key of a rules file", e.key)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case checks == nil:
		return nil, d.errorf(0, "no checks: the file needs a list of them")
	case checks.Kind != yaml.SequenceNode:
		return nil, d.errorf(checks.Line, "checks is not a list")
	case len(checks.Content) == 0:
		return nil, d.errorf(checks.Line, "no checks: the list is empty")
	case len(checks.Content) > maxChecks:
		return nil, d.errorf(checks.Line, "more than %d checks", maxChecks)
	}
	names := map[string]bool{}
	for _, n := range checks.Content {
		r, err := parseRule(d, n, flag, folder)
		if err != nil {
			return nil, err
		}
		if names[r.Name] {
			return nil, pipeline.WithHint(d.errorf(r.Line, "a second check that is called %q", r.Name), "give it a name of its own")
		}
		names[r.Name] = true
		f.Checks = append(f.Checks, r)
	}
	return f, nil
}

func (f *File) parseVariants(d *decoder, n *yaml.Node) error {
	entries, err := d.mapping(n, "variants")
	for _, e := range entries {
		if f.variants[e.key], err = d.texts(e.value, "variants of "+e.key); err != nil {
			return err
		}
		f.varLines[e.key] = e.line
	}
	return err
}

func (f *File) parseTypes(d *decoder, n *yaml.Node) error {
	entries, err := d.mapping(n, "types")
	if err != nil {
		return err
	}
	types := []pipeline.Type{pipeline.TypeString, pipeline.TypeInt, pipeline.TypeFloat, pipeline.TypeBool}
	var names []string
	for _, t := range types {
		names = append(names, t.String())
	}
	for _, e := range entries {
		name, err := d.oneOf(e.value, "the type of "+e.key, names...)
		if err != nil {
			return err
		}
		f.Types[e.key] = types[slices.Index(names, name)]
		f.typeLines[e.key] = e.line
	}
	return nil
}

// kindsOfChecks are the keys that a check can have, and those of them that are its kind.
func kindsOfChecks() (known map[string]bool, kinds []string) {
	known = map[string]bool{"name": true}
	for _, k := range belong {
		known[string(k.kind)] = true
		kinds = append(kinds, string(k.kind))
		for _, key := range k.keys {
			known[key] = true
		}
	}
	return known, kinds
}

// oldKeys are keys of other formats of rules, and what is written instead.
var oldKeys = map[string]string{
	"type":               "the kind of a check is its key, as in share: {min: 45%}",
	"kind":               "the kind of a check is its key, as in share: {min: 45%}",
	"check":              "the kind of a check is its key, as in share: {min: 45%}",
	"assert":             "the kind of a check is its key, as in share: {min: 45%}",
	"expect":             "what is expected stands under the kind of the check, as in share: {min: 45%}",
	"min":                "limits stand under the kind of the check, as in share: {min: 45%, max: 55%}",
	"max":                "limits stand under the kind of the check, as in share: {min: 45%, max: 55%}",
	"min_share":          "it is written share: {min: 45%}",
	"max_share":          "it is written share: {max: 55%}",
	"between":            "it is written share: {min: 45%, max: 55%}",
	"min_users":          "it is written users: {min: 1000}",
	"max_failed":         "it is written failed: {max: 1%}",
	"max_age":            "it is written younger: 24h",
	"srm":                "it is written ratio: {control: 50, treatment: 50}",
	"split":              "it is written ratio: {control: 50, treatment: 50}",
	"weights":            "it is written ratio: {control: 50, treatment: 50}",
	"mutually_exclusive": "it is written exclusive: [flag, other-flag]",
	"schema":             "it is written payload: checkout.schema.json",
	"filter":             "it is written where: country == \"DE\"",
	"when":               "it is written where: country == \"DE\"",
	"if":                 "it is written where: country == \"DE\"",
	"not_exposed":        "it is written exposed: nobody",
}

// parseRule reads one check.
func parseRule(d *decoder, n *yaml.Node, flag string, folder fs.FS) (*Rule, error) {
	entries, err := d.mapping(n, "a check")
	if err != nil {
		return nil, err
	}
	r := &Rule{Line: n.Line, Alert: DefaultAlert, Of: ofUsers, Who: ofAssigned, lines: map[string]int{}}
	known, kinds := kindsOfChecks()
	var allowed []string
	for _, e := range entries {
		r.lines[e.key] = e.line
	}
	for _, k := range belong {
		if r.lines[string(k.kind)] == 0 || r.Kind == Holdout && k.kind == Flags {
			continue
		}
		if r.Kind != "" {
			return nil, d.errorf(r.line(string(k.kind)), "a check is one assertion, and this is two: %s and %s", r.Kind, k.kind)
		}
		r.Kind, allowed = k.kind, append([]string{"name", string(k.kind)}, k.keys...)
	}
	for _, e := range entries {
		if hint := oldKeys[e.key]; hint != "" {
			return nil, pipeline.WithHint(d.errorf(e.line, "%q is not a key of a check", e.key), hint)
		}
		if !known[e.key] {
			return nil, d.unknown(e.line, e.key, slices.Sorted(maps.Keys(known)), "%q is not a key of a check", e.key)
		}
		if r.Kind != "" && !slices.Contains(allowed, e.key) {
			return nil, d.errorf(e.line, "%s does not go with %s; it has %s", e.key, r.Kind, strings.Join(allowed[2:], " "))
		}
	}
	if r.Kind == "" {
		return nil, pipeline.WithHint(d.errorf(n.Line, "a check that asserts nothing"), "it needs one of "+strings.Join(kinds, " "))
	}
	for _, e := range entries {
		if err := r.parseKey(d, e, folder); err != nil {
			return nil, err
		}
	}
	return r, r.complete(d, flag, slices.Contains(allowed, "flag"))
}

func (r *Rule) parseKey(d *decoder, e entry, folder fs.FS) (err error) {
	n := e.value
	switch e.key {
	case "name":
		r.Name, err = d.text(n, e.key)
	case "flag", "holdout":
		r.Flag, err = d.text(n, e.key)
	case "variant":
		r.Variants, err = d.texts(n, e.key)
	case "treatments":
		r.Treatments, err = d.texts(n, e.key)
	case "where":
		if r.Where, err = d.text(n, e.key); err != nil && n.Kind != yaml.ScalarNode {
			err = pipeline.WithHint(d.errorf(n.Line, "where is not a text"), `it is an expression, as in where: country == "DE" and plan != "free"`)
		}
	case "by":
		r.By, err = d.texts(n, e.key)
	case "of":
		r.Of, err = d.oneOf(n, e.key, ofUsers, ofAssigned)
	case "who":
		r.Who, err = d.oneOf(n, e.key, ofAssigned, whoExposed)
	case "optional":
		var text string
		text, err = d.oneOf(n, e.key, "true", "false")
		r.Optional = text == "true"
	case "alert":
		if r.Alert, err = d.share(n, e.key); err == nil && (r.Alert <= 0 || r.Alert >= 0.5) {
			err = d.errorf(e.line, "alert is a p-value greater than 0 and below 0.5, for example 0.001")
		}
	case "share":
		r.Shares = true
		err = r.parseLimits(d, n, e.key, "min", "max")
	case "count", "users":
		err = r.parseLimits(d, n, e.key, "min", "max")
	case "failed":
		err = r.parseLimits(d, n, e.key, "max")
	case "exposed":
		var text string
		text, err = d.oneOf(n, e.key, nobody, everybody)
		r.Everybody = text == everybody
	case "exclusive", "flags":
		r.Flags, err = d.texts(n, e.key)
	case "ratio":
		err = r.parseRatio(d, n)
	case "younger":
		r.Younger, err = d.duration(n, e.key)
	case "payload":
		r.schema, err = parseSchema(d, n, folder)
	}
	return err
}

// parseLimits reads {min, max}.
func (r *Rule) parseLimits(d *decoder, n *yaml.Node, what string, keys ...string) error {
	entries, err := d.mapping(n, what)
	if err != nil {
		return pipeline.WithHint(err, fmt.Sprintf("for example %s: {%s: 10}", what, keys[len(keys)-1]))
	}
	for _, e := range entries {
		if !slices.Contains(keys, e.key) {
			return d.unknown(e.line, e.key, keys, "%q is not a key of %s: it has %s", e.key, what, strings.Join(keys, " "))
		}
		var limit float64
		if what == "failed" && e.value.Kind == yaml.ScalarNode {
			r.Shares = strings.ContainsAny(e.value.Value, "%.") // 1% or 0.01, not 10
		}
		if r.Shares {
			limit, err = d.share(e.value, what+" "+e.key)
		} else {
			var count int64
			count, err = d.count(e.value, what+" "+e.key)
			limit = float64(count)
		}
		if err != nil {
			return err
		}
		if e.key == "min" {
			r.Min = &limit
		} else {
			r.Max = &limit
		}
	}
	switch {
	case r.Min == nil && r.Max == nil:
		return d.errorf(n.Line, "%s has no limit: it needs %s", what, strings.Join(keys, " or "))
	case r.Min != nil && r.Max != nil && *r.Min > *r.Max:
		return d.errorf(n.Line, "%s: min is greater than max", what)
	}
	return nil
}

func (r *Rule) parseRatio(d *decoder, n *yaml.Node) error {
	entries, err := d.mapping(n, "ratio")
	if err != nil {
		return pipeline.WithHint(err, "for example ratio: {control: 50, treatment: 50}")
	}
	for _, e := range entries {
		weight, err := d.number(e.value, "the weight of "+e.key)
		if err != nil {
			return err
		}
		r.Weights = append(r.Weights, Weight{e.key, weight})
	}
	if len(r.Weights) < 2 {
		return d.errorf(n.Line, "ratio needs two variants or more")
	}
	return nil
}

// complete checks what is about more than one key, and gives the check a name.
func (r *Rule) complete(d *decoder, flag string, needsFlag bool) error {
	if r.Flag == "" && needsFlag {
		if r.Flag = flag; flag == "" {
			return d.errorf(r.Line, "%s needs a flag, here or at the top of the file", r.Kind)
		}
	}
	switch {
	case (r.Kind == Share || r.Kind == Count || r.Kind == Holdout) && len(r.Variants) == 0:
		return d.errorf(r.Line, "%s needs a variant", r.Kind)
	case (r.Kind == Payload || r.Kind == Holdout || r.Of == ofAssigned) && slices.Contains(r.Variants, NotAssigned):
		return d.errorf(r.line("variant"), "%s is about users who have a variant, and %s is none", r.Kind, NotAssigned)
	case slices.Contains(r.Treatments, NotAssigned):
		return d.errorf(r.line("treatments"), "%s is no treatment", NotAssigned)
	case r.Kind == Exclusive && len(r.Flags) < 2:
		return d.errorf(r.Line, "exclusive needs two flags or more")
	case r.Kind == Holdout && len(r.Flags) == 0:
		return d.errorf(r.Line, "holdout needs the flags that it keeps its users out of")
	case r.Kind == Holdout && slices.Contains(r.Flags, r.Flag):
		return d.errorf(r.line("flags"), "the holdout itself is among its flags")
	case r.Kind == Exclusive && r.Treatments != nil && r.Who != whoExposed:
		return d.errorf(r.line("treatments"), "treatments only matter with who: exposed")
	case len(r.Where) > maxWhere:
		return d.errorf(r.line("where"), "an expression of more than %d bytes", maxWhere)
	}
	if r.Name == "" {
		r.Name = r.defaultName()
	}
	return nil
}

// defaultName says what the check asserts, in a few words.
func (r *Rule) defaultName() string {
	name := ""
	switch r.Kind {
	case Share, Count:
		name = fmt.Sprintf("%s: %s of %s", r.Flag, r.Kind, strings.Join(r.Variants, ", "))
		if r.Of == ofAssigned {
			name += " among the assigned"
		}
	case Exposed:
		who := nobody
		if r.Everybody {
			who = everybody
		}
		name = fmt.Sprintf("%s: %s exposed", r.Flag, who)
	case Exclusive:
		name = "nobody in two of " + strings.Join(r.Flags, ", ")
	case Holdout:
		name = r.Flag + ": holdout intact"
	case Ratio:
		name = r.Flag + ": sample ratio"
		if len(r.By) > 0 {
			name += " by " + strings.Join(r.By, ", ")
		}
	case Payload:
		name = r.Flag + ": payload"
		if len(r.Variants) > 0 {
			name += " of " + strings.Join(r.Variants, ", ")
		}
	case Failed:
		name = "failed users"
	case Users:
		name = "answered users"
	case Flags:
		name = "flags present"
	case Younger:
		name = "age of the snapshot"
	}
	if r.Where != "" {
		name += " where " + r.Where
	}
	return name
}
