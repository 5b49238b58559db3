package check

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/jsonschema"
)

// File is a rules file: a list of checks. It has not been compared with a snapshot.
type File struct {
	Path     string
	Controls []string // variants that are no treatment
	Types    map[string]pipeline.Type
	Checks   []*Check

	variants map[string][]string // by flag
	lines    map[string]int      // of controls, of "types NAME" and of "variants FLAG"
}

// DefaultControls are the controls of a file that has none, as in `rollcall report`.
var DefaultControls = []string{"control", "off", "default"}

// NotAssigned is the name of having no variant.
const NotAssigned = "not_assigned"

// DefaultAlert is the p-value below which a ratio does not hold.
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
	Unchanged Kind = "unchanged"
	Seen      Kind = "seen"
)

// kinds are the kinds and the keys that a check of each can have beside name. Holdout is before Flags, which is also
// one of its keys.
var kinds = []struct {
	kind Kind
	keys []string
}{
	{Share, []string{"flag", "variant", "of", "where", "cohort", "not_cohort"}},
	{Count, []string{"flag", "variant", "where", "cohort", "not_cohort"}},
	{Exposed, []string{"flag", "treatments", "where", "cohort", "not_cohort"}},
	{Exclusive, []string{"who", "treatments", "where", "cohort", "not_cohort"}},
	{Holdout, []string{"variant", "flags", "treatments", "where", "cohort", "not_cohort"}},
	{Ratio, []string{"flag", "by", "alert", "where", "cohort", "not_cohort"}},
	{Payload, []string{"flag", "variant", "optional", "where", "cohort", "not_cohort"}},
	{Failed, nil},
	{Users, nil},
	{Flags, nil},
	{Younger, nil},
	{Unchanged, nil},
	{Seen, []string{"cohort"}},
}

// fileKeys are the keys of a rules file, checkKeys those of a check, and kindNames those of checkKeys that are a kind.
var fileKeys = []string{"version", "flag", "controls", "variants", "types", "checks"}
var checkKeys, kindNames = func() (keys, names []string) {
	keys = []string{"name"}
	for _, k := range kinds {
		names = append(names, string(k.kind))
		keys = append(append(keys, string(k.kind)), k.keys...)
	}
	slices.Sort(keys)
	return slices.Compact(keys), names
}()

// The values of of, who and exposed.
const (
	ofUsers    = "users"
	ofAssigned = "assigned"
	whoExposed = "exposed"
	nobody     = "nobody"
	everybody  = "everybody"
)

// Check is one assertion.
type Check struct {
	Line int
	Name string
	Kind Kind

	Flag       string   // "": the kind has none; of Holdout the holdout itself
	Flags      []string // of Exclusive, Holdout and Flags
	Variants   []string // of Share, Count, Holdout and Payload, where it may be empty: all
	Treatments []string // nil: all but the controls
	Where      string
	Cohorts    []string // the users are members of one of them; of Seen the one that it is about. nil: all users
	NotCohorts []string // the users are members of none of them
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

// line is the line of the first of some keys that the check has, or else of the check itself.
func (c *Check) line(keys ...string) int {
	for _, key := range keys {
		if line, ok := c.lines[key]; ok {
			return line
		}
	}
	return c.Line
}

// isOfSome reports whether the check is about those users alone who meet a condition, for which their row is needed.
func (c *Check) isOfSome() bool { return c.Where != "" || len(c.Cohorts)+len(c.NotCohorts) > 0 }

// maxChecks bounds a rules file.
const maxChecks = 1000

// Load reads a rules file. The schemas that it names are read from its directory, and from nowhere else.
// In a store, too, they are those below its directory.
func Load(files *blob.Files, path string) (*File, error) {
	inStore := files.InStore(path)
	open := func(path string) (io.ReadCloser, error) { return os.Open(path) } // it may be a pipe
	if inStore {
		open = func(path string) (io.ReadCloser, error) { return files.Open(path) }
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	data, err := readAll(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if inStore {
		return Parse(path, data, files.Sub(blob.Dir(path)))
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // only read
	return Parse(path, data, root.FS())
}

// readAll reads a file to its end, or a little more than is allowed, and closes it.
func readAll(f io.ReadCloser) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return data, errors.Join(err, f.Close())
}

// Parse reads the text of a rules file, and its schemas from dir. Errors call the file path.
func Parse(path string, data []byte, dir fs.FS) (*File, error) {
	d := &decoder{path}
	top, err := d.parseDocument(data)
	if err != nil {
		return nil, err
	}
	if top.Kind == yaml.SequenceNode {
		return nil, pipeline.WithHint(d.errorf(top.Line, "a rules file is not a list"), "put the list under the key checks:")
	}
	entries, err := d.parseMapping(top, "a rules file")
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, Controls: DefaultControls, Types: map[string]pipeline.Type{}, variants: map[string][]string{},
		lines: map[string]int{}}
	flag := ""
	var checks *yaml.Node
	for _, e := range entries {
		f.lines[e.key] = e.line
		switch e.key {
		case "version":
			if e.value.Value != "1" {
				err = d.errorf(e.line, "version %q is not known: it is 1", e.value.Value)
			}
		case "flag":
			flag, err = d.parseText(e.value, "flag")
		case "controls":
			f.Controls, err = d.parseTexts(e.value, "controls")
		case "variants":
			err = f.parseVariants(d, e.value)
		case "types":
			err = f.parseTypes(d, e.value)
		case "checks":
			checks = e.value
		default:
			err = unknownFileKey(d, e)
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
		c, err := parseCheck(d, n, flag, dir)
		if err != nil {
			return nil, err
		}
		if names[c.Name] {
			return nil, pipeline.WithHint(d.errorf(c.Line, "two checks have the name %q", c.Name), "give this one another name")
		}
		names[c.Name] = true
		f.Checks = append(f.Checks, c)
	}
	return f, nil
}

func unknownFileKey(d *decoder, e entry) error {
	switch {
	case slices.Contains([]string{"rules", "rule", "assertions", "asserts", "expectations", "tests"}, e.key):
		return pipeline.WithHint(d.errorf(e.line, "%q is not a key of a rules file", e.key),
			"put the list of checks under checks:")
	case slices.Contains(checkKeys, e.key):
		return pipeline.WithHint(d.errorf(e.line, "%q is a key of a check, and not of a rules file", e.key),
			"put checks in a list: checks: [{"+e.key+": …}]")
	}
	return d.unknownName(e.line, e.key, fileKeys, "%q is not a key of a rules file", e.key)
}

func (f *File) parseVariants(d *decoder, n *yaml.Node) error {
	entries, err := d.parseMapping(n, "variants")
	for _, e := range entries {
		if f.variants[e.key], err = d.parseTexts(e.value, "variants of "+e.key); err != nil {
			return err
		}
		f.lines["variants "+e.key] = e.line
	}
	return err
}

func (f *File) parseTypes(d *decoder, n *yaml.Node) error {
	entries, err := d.parseMapping(n, "types")
	types := []pipeline.Type{pipeline.TypeString, pipeline.TypeInt, pipeline.TypeFloat, pipeline.TypeBool}
	names := []string{"string", "int", "float", "bool"}
	for _, e := range entries {
		name, err := d.parseOneOf(e.value, "the type of "+e.key, names...)
		if err != nil {
			return err
		}
		f.Types[e.key] = types[slices.Index(names, name)]
		f.lines["types "+e.key] = e.line
	}
	return err
}

// otherKeys are keys of other formats of rules, and what is written instead.
var otherKeys = []struct{ keys, hint string }{
	{"type kind check assert", "the kind of a check is its key, as in share: {min: 45%}"},
	{"expect", "put what is expected under the kind of the check, as in share: {min: 45%}"},
	{"min max", "put limits under the kind of the check, as in share: {min: 45%, max: 55%}"},
	{"min_share", "write share: {min: 45%}"},
	{"max_share", "write share: {max: 55%}"},
	{"between", "write share: {min: 45%, max: 55%}"},
	{"min_users", "write users: {min: 1000}"},
	{"max_failed", "write failed: {max: 1%}"},
	{"max_age", "write younger: 24h"},
	{"srm split weights", "write ratio: {control: 50, treatment: 50}"},
	{"mutually_exclusive", "write exclusive: [flag, other-flag]"},
	{"schema", "write payload: checkout.schema.json"},
	{"filter when if", "write where: country == \"DE\""},
	{"not_exposed", "write exposed: nobody"},
	{"cohorts in_cohort members", "write cohort: vip"},
}

// parseCheck reads one check; flag is the flag of a check that has none.
func parseCheck(d *decoder, n *yaml.Node, flag string, dir fs.FS) (*Check, error) {
	entries, err := d.parseMapping(n, "a check")
	if err != nil {
		return nil, err
	}
	c := &Check{Line: n.Line, Alert: DefaultAlert, Of: ofUsers, Who: ofAssigned, lines: map[string]int{}}
	for _, e := range entries {
		c.lines[e.key] = e.line
	}
	var keys []string // of the kind
	for _, k := range kinds {
		if c.lines[string(k.kind)] == 0 || c.Kind == Holdout && k.kind == Flags {
			continue
		}
		if c.Kind != "" {
			return nil, d.errorf(c.line(string(k.kind)), "a check is one assertion, and this is two: %s and %s", c.Kind, k.kind)
		}
		c.Kind, keys = k.kind, k.keys
	}
	for _, e := range entries {
		switch {
		case !slices.Contains(checkKeys, e.key):
			hint := pipeline.Suggest(e.key, checkKeys)
			for _, other := range otherKeys {
				if slices.Contains(strings.Fields(other.keys), e.key) {
					hint = other.hint
				}
			}
			return nil, pipeline.WithHint(d.errorf(e.line, "%q is not a key of a check", e.key), hint)
		case c.Kind != "" && e.key != "name" && e.key != string(c.Kind) && !slices.Contains(keys, e.key):
			return nil, pipeline.WithHint(d.errorf(e.line, "a check of kind %s cannot have %s", c.Kind, e.key),
				"beside its kind it can have "+strings.Join(append([]string{"name"}, keys...), " "))
		}
	}
	if c.Kind == "" {
		return nil, pipeline.WithHint(d.errorf(n.Line, "a check that asserts nothing"), "it needs one of "+
			strings.Join(kindNames, " "))
	}
	for _, e := range entries {
		if err := c.parseKey(d, e, dir); err != nil {
			return nil, err
		}
	}
	if c.Flag == "" && slices.Contains(keys, "flag") {
		if c.Flag = flag; flag == "" {
			return nil, d.errorf(c.Line, "%s needs a flag, here or at the top of the file", c.Kind)
		}
	}
	if c.Name == "" {
		c.Name = c.defaultName()
	}
	return c, c.validate(d)
}

func (c *Check) parseKey(d *decoder, e entry, dir fs.FS) (err error) {
	n, choice := e.value, ""
	if texts := map[string]*[]string{"variant": &c.Variants, "treatments": &c.Treatments, "by": &c.By, "exclusive": &c.Flags,
		"flags": &c.Flags, "cohort": &c.Cohorts, "not_cohort": &c.NotCohorts}[e.key]; texts != nil {
		*texts, err = d.parseTexts(n, e.key)
		return err
	}
	switch e.key {
	case "name":
		c.Name, err = d.parseText(n, e.key)
	case "flag", "holdout":
		c.Flag, err = d.parseText(n, e.key)
	case "where":
		if c.Where, err = d.parseText(n, e.key); err != nil && n.Kind != yaml.ScalarNode {
			err = pipeline.WithHint(d.errorf(n.Line, "where is not a text"),
				`it is an expression, as in where: country == "DE" and plan != "free"`)
		}
	case "of":
		c.Of, err = d.parseOneOf(n, e.key, ofUsers, ofAssigned)
	case "who":
		c.Who, err = d.parseOneOf(n, e.key, ofAssigned, whoExposed)
	case "unchanged":
		if choice, err = d.parseOneOf(n, e.key, "true", "false"); err == nil && choice == "false" {
			err = pipeline.WithHint(d.errorf(e.line, "unchanged: false says nothing"), "leave the check out")
		}
	case "optional":
		choice, err = d.parseOneOf(n, e.key, "true", "false")
		c.Optional = choice == "true"
	case "alert":
		if c.Alert, err = d.parseShare(n, e.key); err == nil && (c.Alert <= 0 || c.Alert >= 0.5) {
			err = d.errorf(e.line, "alert is a p-value greater than 0 and below 0.5, for example 0.001")
		}
	case "share", "count", "users", "seen":
		c.Shares = c.Kind == Share
		err = c.parseLimits(d, n, "min", "max")
	case "failed":
		err = c.parseLimits(d, n, "max")
	case "exposed":
		choice, err = d.parseOneOf(n, e.key, nobody, everybody)
		c.Everybody = choice == everybody
	case "ratio":
		err = c.parseRatio(d, n)
	case "younger":
		c.Younger, err = d.parseDuration(n, e.key)
	case "payload":
		c.schema, err = parseSchema(d, n, dir)
	}
	return err
}

// parseLimits reads {min, max}.
func (c *Check) parseLimits(d *decoder, n *yaml.Node, keys ...string) error {
	entries, err := d.parseMapping(n, string(c.Kind))
	if err != nil {
		return pipeline.WithHint(err, fmt.Sprintf("for example %s: {%s: 10}", c.Kind, keys[len(keys)-1]))
	}
	for i, e := range entries {
		if !slices.Contains(keys, e.key) {
			return d.unknownName(e.line, e.key, keys, "%q is not a key of %s: it has %s", e.key, c.Kind, strings.Join(keys, " "))
		}
		if (c.Kind == Failed || c.Kind == Seen) && e.value.Kind == yaml.ScalarNode {
			shares := strings.ContainsAny(e.value.Value, "%.") // 1% or 0.01, not 10
			if i > 0 && shares != c.Shares {
				return d.errorf(e.line, "%s: one limit is a share, and the other a number of users", c.Kind)
			}
			c.Shares = shares
		}
		parse := d.parseUsers
		if c.Shares {
			parse = d.parseShare
		}
		limit, err := parse(e.value, string(c.Kind)+" "+e.key)
		if err != nil {
			return err
		}
		if e.key == "min" {
			c.Min = &limit
		} else {
			c.Max = &limit
		}
	}
	switch {
	case c.Min == nil && c.Max == nil:
		return d.errorf(n.Line, "%s has no limit: it needs %s", c.Kind, strings.Join(keys, " or "))
	case c.Min != nil && c.Max != nil && *c.Min > *c.Max:
		return d.errorf(n.Line, "%s: min is greater than max", c.Kind)
	}
	return nil
}

func (c *Check) parseRatio(d *decoder, n *yaml.Node) error {
	entries, err := d.parseMapping(n, "ratio")
	if err != nil {
		return pipeline.WithHint(err, "for example ratio: {control: 50, treatment: 50}")
	}
	for _, e := range entries {
		weight, err := d.parseWeight(e.value, "the weight of "+e.key)
		if err != nil {
			return err
		}
		c.Weights = append(c.Weights, Weight{e.key, weight})
	}
	if len(c.Weights) < 2 {
		return d.errorf(n.Line, "ratio needs two variants or more")
	}
	return nil
}

// validate refuses keys that contradict each other, and keys that are missing.
func (c *Check) validate(d *decoder) error {
	switch {
	case (c.Kind == Share || c.Kind == Count || c.Kind == Holdout) && len(c.Variants) == 0:
		return d.errorf(c.Line, "%s needs a variant", c.Kind)
	case (c.Kind == Payload || c.Kind == Holdout || c.Of == ofAssigned) && slices.Contains(c.Variants, NotAssigned):
		return d.errorf(c.line("variant"), "%s is about users who have a variant, and %s means that they have none", c.Kind,
			NotAssigned)
	case slices.Contains(c.Treatments, NotAssigned):
		return d.errorf(c.line("treatments"), "%s is not a treatment", NotAssigned)
	case c.Kind == Exclusive && len(c.Flags) < 2:
		return d.errorf(c.Line, "exclusive needs two flags or more")
	case c.Kind == Holdout && len(c.Flags) == 0:
		return d.errorf(c.Line, "holdout needs the flags that it keeps its users out of")
	case c.Kind == Holdout && slices.Contains(c.Flags, c.Flag):
		return d.errorf(c.line("flags"), "the holdout itself is among its flags")
	case c.Kind == Exclusive && c.Treatments != nil && c.Who != whoExposed:
		return d.errorf(c.line("treatments"), "treatments needs who: exposed")
	case c.Kind == Seen && len(c.Cohorts) != 1:
		return d.errorf(c.line("cohort"), "seen is about one cohort, and needs its name: cohort: NAME")
	case len(c.Where) > maxWhere:
		return d.errorf(c.line("where"), "an expression of more than %d bytes", maxWhere)
	}
	return nil
}
