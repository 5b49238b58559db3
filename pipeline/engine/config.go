package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// ConfigError describes a fault in the configuration of one flag.
type ConfigError struct {
	Flag string // its key; "" if it has none
	Path string // where: segments[0].conditions[1][0], "" for the flag itself
	Err  error
}

// Error names the flag, the place and what is wrong.
func (e *ConfigError) Error() string {
	s := fmt.Sprintf("flag %q: ", e.Flag)
	if e.Path != "" {
		s += e.Path + ": "
	}
	return s + e.Err.Error()
}

func (e *ConfigError) Unwrap() error { return e.Err }

// UnknownError is an operator, a dependency or a variant that does not exist.
type UnknownError struct {
	What string // operator, dependency or variant
	Name string
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown %s %q", e.What, e.Name) }

// RegexError describes a regular expression that this engine cannot run: it is invalid, or uses what only backtracking
// engines support.
type RegexError struct {
	Pattern string
	Err     error
}

func (e *RegexError) Error() string {
	return fmt.Sprintf("regular expression %q: %v", e.Pattern, e.Err)
}

func (e *RegexError) Unwrap() error { return e.Err }

func regexError(pattern string, err error) error {
	return pipeline.WithHint(&RegexError{pattern, err},
		"the local engine does not support lookaround and backreferences in regular expressions; evaluate this flag remotely")
}

// UnansweredError says why [ParseLenient] leaves a flag unanswered whose own configuration is valid.
type UnansweredError struct {
	Flag string // an unanswered flag that it depends on
}

func (e *UnansweredError) Error() string {
	return fmt.Sprintf("depends on flag %q, which this engine cannot answer", e.Flag)
}

// CycleError is a dependency cycle.
type CycleError struct {
	Flags []string // each depends on the next, the last on the first
}

func (e *CycleError) Error() string {
	return "the dependencies form a cycle: " + strings.Join(append(slices.Clone(e.Flags), e.Flags[0]), " → ")
}

// ErrMissing means that a required field is missing, and ErrDuplicate that a flag is configured twice.
var (
	ErrMissing   = errors.New("is missing")
	ErrDuplicate = errors.New("is configured twice")
)

// The configuration as written. Pointers and nil maps tell a missing field from an empty one.
type (
	flagConfig struct {
		Key          *string                   `json:"key"`
		Variants     map[string]jsontext.Value `json:"variants"`
		Segments     []segmentConfig           `json:"segments"`
		Dependencies []string                  `json:"dependencies"`
		Metadata     jsontext.Value            `json:"metadata"`
	}
	segmentConfig struct {
		Bucket     *bucketConfig       `json:"bucket"`
		Conditions [][]conditionConfig `json:"conditions"`
		Variant    *string             `json:"variant"`
		Metadata   jsontext.Value      `json:"metadata"`
	}
	bucketConfig struct {
		Selector    []string           `json:"selector"`
		Salt        *string            `json:"salt"`
		Allocations []allocationConfig `json:"allocations"`
	}
	allocationConfig struct {
		Range         []float64            `json:"range"`
		Distributions []distributionConfig `json:"distributions"`
	}
	distributionConfig struct {
		Variant *string   `json:"variant"`
		Range   []float64 `json:"range"`
	}
	conditionConfig struct {
		Selector []string `json:"selector"`
		Op       string   `json:"op"`
		Values   []string `json:"values"`
	}
	variantConfig struct {
		Key      *string        `json:"key"`
		Value    jsontext.Value `json:"value"`
		Payload  jsontext.Value `json:"payload"`
		Metadata jsontext.Value `json:"metadata"`
	}
)

// Parse compiles flag configurations: a JSON array, as GET /v1/flags answers it. They are evaluated as the
// semantics say. Unknown fields are ignored. An error about one flag is a *[ConfigError].
func Parse(data []byte, semantics Semantics) (*Engine, error) {
	return parseConfigs(data, semantics, false)
}

// ParseLenient is [Parse], but a flag with a regular expression that this engine cannot run is not an error: no user
// gets a variant of it, nor of a flag that depends on it. [Engine.Unanswered] names them.
func ParseLenient(data []byte, semantics Semantics) (*Engine, error) {
	return parseConfigs(data, semantics, true)
}

func parseConfigs(data []byte, semantics Semantics, lenient bool) (*Engine, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	options := json.JoinOptions(jsontext.AllowDuplicateNames(true))
	var raw []jsontext.Value
	if err := json.Unmarshal(data, &raw, options); err != nil {
		return nil, fmt.Errorf("flag configurations: %w", jsonError(err))
	}
	if raw == nil {
		return nil, errors.New("flag configurations: null is not a list of flags")
	}
	configs := make([]flagConfig, len(raw))
	e := &Engine{semantics: semantics, rules: &rulesOf[semantics], index: map[string]int32{}}
	for i, text := range raw {
		c := &configs[i]
		err := json.Unmarshal(keepLastNames(text), c, options)
		switch {
		case text.Kind() == 'n':
			return nil, fmt.Errorf("flag configurations: flag %d of the list is null", i+1)
		case err != nil && (c.Key == nil || *c.Key == ""): // before the key, or in it
			return nil, fmt.Errorf("flag configurations: flag %d of the list: %w", i+1, jsonError(err))
		case c.Key == nil || *c.Key == "":
			return nil, fmt.Errorf("flag configurations: flag %d of the list: \"key\" %w", i+1, ErrMissing)
		case err != nil:
			return nil, &ConfigError{*c.Key, "", jsonError(err)}
		}
		if _, duplicated := e.index[*c.Key]; duplicated {
			return nil, &ConfigError{*c.Key, "", ErrDuplicate}
		}
		e.index[*c.Key] = int32(i)
	}
	if lenient {
		e.unanswered = leaveUnanswered(configs, e.rules)
	}
	c := compiler{engine: e, selectors: map[string]int32{}}
	for i := range configs {
		if err := c.compileFlag(&configs[i], raw[i]); err != nil {
			return nil, err
		}
	}
	if err := c.checkCycles(); err != nil {
		return nil, err
	}
	e.precomputeAnswers()
	all := make([]int32, len(e.flags))
	for i, m := range propertyOrder(keyMembers(configs)) { // the SDKs keep the flags in an object
		all[i] = e.index[m.Name]
	}
	e.all = e.newPlan(all)
	e.states.New = func() any { return e.newState() }
	return e, nil
}

// keepLastNames keeps, of members with the same name, the last one at the place of the first, as JSON.parse does;
// package json would merge them.
func keepLastNames(text jsontext.Value) jsontext.Value {
	if text.IsValid() || text.Kind() != '{' && text.Kind() != '[' { // valid: no name is duplicated
		return text
	}
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return text
	}
	var o object
	list := []byte{'['}
	for dec.PeekKind() != '}' && dec.PeekKind() != ']' {
		var p property
		if text.Kind() == '{' {
			name, err := dec.ReadToken()
			if err != nil {
				return text // decoding it reports the error
			}
			p.name = name.String()
		}
		value, err := dec.ReadValue()
		if err != nil {
			return text
		}
		value = keepLastNames(slices.Clone(value))
		if text.Kind() == '{' {
			p.value = string(value)
			o = o.setProperty(p)
			continue
		}
		if len(list) > 1 {
			list = append(list, ',')
		}
		list = append(list, value...)
	}
	if text.Kind() == '{' {
		return o.appendJSON(nil)
	}
	return append(list, ']')
}

func keyMembers(configs []flagConfig) []pipeline.Member {
	members := make([]pipeline.Member, len(configs))
	for i := range configs {
		members[i].Name = *configs[i].Key
	}
	return members
}

// jsonError leaves the package's name and Go's types out of a decoding error.
func jsonError(err error) error {
	if s, ok := errors.AsType[*json.SemanticError](err); ok {
		found := map[jsontext.Kind]string{'n': "null", 't': "true", 'f': "false", '"': "a string", '0': "a number",
			'{': "an object", '[': "an array"}[s.JSONKind]
		if found == "" {
			return err
		}
		want := map[string]string{"string": "a string", "slice": "an array", "map": "an object", "struct": "an object",
			"float64": "a number"}[s.GoType.Kind().String()]
		where := strings.ReplaceAll(strings.TrimPrefix(string(s.JSONPointer), "/"), "/", ".")
		if where != "" {
			where += ": "
		}
		if found == want {
			return fmt.Errorf("%sis out of range", where)
		}
		return fmt.Errorf("%sis %s instead of %s", where, found, want)
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("not valid JSON at byte %d: %w", s.ByteOffset, s.Err)
	}
	return err
}

// compiler turns configurations into the engine's flags.
type compiler struct {
	engine    *Engine
	selectors map[string]int32

	config *flagConfig // the current flag
	names  []string    // its variants, sorted
	bases  []*base     // likewise; nil for a variant that is null, which the reference treats as absent
}

func (c *compiler) configError(path string, err error) error {
	return &ConfigError{*c.config.Key, path, err}
}

func (c *compiler) missingError(path, field string) error {
	return c.configError(path, fmt.Errorf("%q %w", field, ErrMissing))
}

func (c *compiler) addWarning(path string, err error) {
	c.engine.warnings = append(c.engine.warnings, &ConfigError{*c.config.Key, path, err})
}

func (c *compiler) compileFlag(config *flagConfig, text []byte) error {
	c.config = config
	switch {
	case config.Variants == nil:
		return c.missingError("", "variants")
	case config.Segments == nil:
		return c.missingError("", "segments")
	}
	metadata, err := c.parseMetadata("", config.Metadata)
	if err != nil {
		return err
	}
	c.names = c.names[:0]
	for name := range config.Variants {
		c.names = append(c.names, name)
	}
	slices.Sort(c.names)
	c.bases = make([]*base, len(c.names))
	for i, name := range c.names {
		if raw := config.Variants[name]; raw.Kind() != 'n' {
			if c.bases[i], err = c.compileBase(name, raw); err != nil {
				return err
			}
		}
	}
	first := len(c.engine.variants)
	f := flag{config: text, info: Flag{
		Key:            *config.Key,
		Variants:       slices.Clone(c.names),
		Dependencies:   config.Dependencies,
		FlagType:       metadata.findString("flagType"),
		EvaluationMode: metadata.findString("evaluationMode"),
		ExperimentKey:  metadata.findString("experimentKey"),
		Deployed:       metadata.findRaw("deployed") != "false",
	}}
	for i, key := range config.Dependencies {
		if d, ok := c.engine.index[key]; ok {
			f.dependencies = append(f.dependencies, d)
		} else {
			c.addWarning(fmt.Sprintf("dependencies[%d]", i), &UnknownError{"dependency", key})
		}
	}
	for i := range config.Segments {
		s, err := c.compileSegment(fmt.Sprintf("segments[%d]", i), &config.Segments[i], metadata)
		if err != nil {
			return err
		}
		f.segments = append(f.segments, s)
	}
	f.variants = [2]int32{int32(first), int32(len(c.engine.variants))}
	c.engine.flags = append(c.engine.flags, f)
	return nil
}

func (c *compiler) compileSegment(path string, config *segmentConfig, flagMetadata object) (segment, error) {
	s := segment{always: config.Conditions == nil}
	own, err := c.parseMetadata(path, config.Metadata)
	if err != nil {
		return s, err
	}
	s.name = own.findString("segmentName")
	metadata := flagMetadata.mergeOver(own)
	variants := map[string]*Variant{}
	for i, name := range c.names {
		variants[name] = nil
		if c.bases[i] == nil {
			continue
		}
		if variants[name], err = c.compileVariant(c.bases[i], metadata); err != nil {
			return s, err
		}
	}
	pick := func(path string, name *string) result {
		if name == nil {
			return 0
		}
		v, ok := variants[*name]
		if !ok {
			c.addWarning(path, &UnknownError{"variant", *name})
		}
		return resultOf(v)
	}
	s.variant = pick(path+".variant", config.Variant)
	for i, list := range config.Conditions {
		conditions := make([]condition, len(list))
		for j := range list {
			if conditions[j], err = c.compileCondition(fmt.Sprintf("%s.conditions[%d][%d]", path, i, j), &list[j]); err != nil {
				return s, err
			}
		}
		s.conditions = append(s.conditions, conditions)
	}
	if config.Bucket == nil {
		return s, nil
	}
	path += ".bucket"
	switch {
	case config.Bucket.Salt == nil:
		return s, c.missingError(path, "salt")
	case config.Bucket.Allocations == nil:
		return s, c.missingError(path, "allocations")
	}
	s.bucket = &bucket{config: config.Bucket, selector: c.compileSelector(config.Bucket.Selector),
		salt: newSaltHash(*config.Bucket.Salt)}
	for i, a := range config.Bucket.Allocations {
		path := fmt.Sprintf("%s.allocations[%d]", path, i)
		if a.Distributions == nil {
			return s, c.missingError(path, "distributions")
		}
		start, end, err := c.compileRange(path, a.Range)
		if err != nil {
			return s, err
		}
		out := allocation{start: start, end: end}
		for j, d := range a.Distributions {
			path := fmt.Sprintf("%s.distributions[%d]", path, j)
			start, end, err := c.compileRange(path, d.Range)
			if err != nil {
				return s, err
			}
			out.distributions = append(out.distributions, distribution{start, end, pick(path+".variant", d.Variant)})
		}
		s.bucket.allocations = append(s.bucket.allocations, out)
	}
	s.bucket.compileRows()
	return s, nil
}

// compileRange converts a range of numbers to a range of integers that contains the same integers.
func (c *compiler) compileRange(path string, numbers []float64) (start, end uint32, err error) {
	if len(numbers) < 2 {
		return 0, 0, c.configError(path, errors.New("its range is not two numbers"))
	}
	limit := func(f float64) uint32 { return uint32(min(max(math.Ceil(f), 0), math.MaxUint32)) }
	return limit(numbers[0]), limit(numbers[1]), nil
}

func (c *compiler) compileSelector(path []string) int32 {
	key := fmt.Sprintf("%q", path)
	i, ok := c.selectors[key]
	if !ok {
		i = int32(len(c.engine.selectors))
		c.engine.selectors = append(c.engine.selectors, newSelector(path, c.engine.index, c.engine.rules))
		c.selectors[key] = i
	}
	return i
}

func (c *compiler) compileCondition(path string, config *conditionConfig) (condition, error) {
	out := condition{
		config:   config,
		selector: c.compileSelector(config.Selector),
		op:       ops[config.Op],
		values:   config.Values,
	}
	if config.Values == nil {
		return out, c.missingError(path, "values")
	}
	r := c.engine.rules
	out.missing = out.op.holdsMissing(slices.Contains(config.Values, "(none)"), r)
	switch out.op {
	case opUnknown:
		c.addWarning(path, &UnknownError{"operator", config.Op})
	case opIs, opIsNot, opSetContains, opSetContainsNot, opSetContainsAny, opSetContainsAnyNot:
		out.set, out.least = newValueSet(config.Values, canonBool), len(config.Values)
		if r.sets {
			// Only if values are the same boolean, in another case, must the list have more elements than are found.
			if distinct := newValueSet(config.Values, keepString); distinct.size == out.set.size {
				out.least = 0
			} else {
				out.least = distinct.size
			}
		}
	case opSetIs, opSetIsNot:
		out.set = newValueSet(config.Values, keepString)
	case opContains, opContainsNot:
		for _, v := range config.Values {
			out.lower = append(out.lower, toLower(v))
		}
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		out.texts = r.texts
		for _, v := range config.Values {
			if n, ok := r.number(v); ok {
				out.numbers = append(out.numbers, n)
			}
		}
	case opVersionLess, opVersionLessEqual, opVersionGreater, opVersionGreaterEqual:
		out.texts = true
		for _, v := range config.Values {
			if version, ok := r.version(v); ok {
				out.versions = append(out.versions, version)
			}
		}
	case opRegex, opRegexNot:
		for _, v := range config.Values {
			re, err := r.compileRegex(v)
			if err != nil {
				return out, c.configError(path, regexError(v, err))
			}
			out.regexes = append(out.regexes, re)
		}
	}
	return out, nil
}

// base is a variant before its metadata is merged over that of a segment.
type base struct {
	variant  Variant
	metadata object
}

func (c *compiler) compileBase(name string, raw jsontext.Value) (*base, error) {
	path := fmt.Sprintf("variants[%q]", name)
	var config variantConfig
	if err := json.Unmarshal(raw, &config, jsontext.AllowDuplicateNames(true)); err != nil {
		return nil, c.configError(path, jsonError(err))
	}
	metadata, err := c.parseMetadata(path, config.Metadata)
	if err != nil {
		return nil, err
	}
	tree, err := parseOrdered(bytes.NewReader(raw))
	if err != nil {
		return nil, c.configError(path, jsonError(err))
	}
	b := &base{Variant{Name: name, ValueJSON: string(config.Value), tree: tree}, metadata}
	b.variant.FlagKey, b.variant.Key = *c.config.Key, name
	b.variant.Payload = compactJSON(config.Payload)
	if config.Key != nil && *config.Key != "" {
		b.variant.Key = *config.Key
	}
	if value := findOrdered(tree.Members, "value"); value != nil {
		b.variant.Value, _ = coerceString(value)
	}
	return b, nil
}

// compileVariant adds the answer that a segment gives with one of the flag's variants.
func (c *compiler) compileVariant(b *base, metadata object) (*Variant, error) {
	metadata = metadata.mergeOver(b.metadata)
	text := metadata.appendJSON(nil)
	merged, err := parseOrdered(bytes.NewReader(text))
	if err != nil {
		return nil, c.configError("", jsonError(err))
	}
	v := b.variant
	v.ID = len(c.engine.variants)
	v.tree.Members = setMember(slices.Clone(v.tree.Members), "metadata", merged)
	v.FlagType = metadata.findString("flagType")
	v.Default = metadata.findRaw("default") == "true"
	v.Deployed = metadata.findRaw("deployed") != "false"
	v.ExperimentKey = metadata.findString("experimentKey")
	v.answered = !v.Default && v.Deployed && !slices.Contains(groupTypes, v.FlagType)
	if len(metadata) > 0 {
		v.Metadata = compactJSON(text)
	}
	c.engine.variants = append(c.engine.variants, &v)
	return &v, nil
}

// groupTypes are the types of flags that exist only for other flags to depend on.
var groupTypes = []string{MutualExclusion, Holdout, "release-group"}

// compactJSON removes white space, which files edited by people contain, as the API does. Strings and numbers stay as
// they are.
func compactJSON(text jsontext.Value) string {
	text = slices.Clone(text)
	if err := text.Compact(); err != nil {
		return string(text) // not reached: it has been parsed
	}
	return string(text)
}

// object is a JSON object, its members in order and their values as written.
type object []property

type property struct {
	name  string
	value string
}

func (c *compiler) parseMetadata(path string, raw jsontext.Value) (object, error) {
	if raw.Kind() != '{' {
		if len(raw) == 0 || raw.Kind() == 'n' {
			return nil, nil
		}
		return nil, c.configError(path, errors.New("its metadata is not an object"))
	}
	var o object
	dec := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return nil, c.configError(path, jsonError(err))
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, c.configError(path, jsonError(err))
		}
		p := property{name: name.String()}
		value, err := dec.ReadValue()
		if err != nil {
			return nil, c.configError(path, jsonError(err))
		}
		p.value = string(value)
		o = o.setProperty(p)
	}
	return o, nil
}

func (o object) setProperty(p property) object {
	for i := range o {
		if o[i].name == p.name {
			o[i] = p
			return o
		}
	}
	return append(o, p)
}

// mergeOver returns a new object with the members of both, those of over replacing those of o, as Object.assign does.
func (o object) mergeOver(over object) object {
	merged := slices.Clone(o)
	for _, p := range over {
		merged = merged.setProperty(p)
	}
	return merged
}

func (o object) findRaw(name string) string {
	for _, p := range o {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// findString returns the value of a member that is a string, and "" for others.
func (o object) findString(name string) string {
	text := o.findRaw(name)
	if text == "" || text[0] != '"' {
		return ""
	}
	s, err := jsontext.AppendUnquote(nil, text)
	if err != nil {
		return ""
	}
	return string(s)
}

func (o object) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, p := range o {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = pipeline.AppendJSONString(dst, p.name)
		dst = append(dst, ':')
		dst = append(dst, p.value...)
	}
	return append(dst, '}')
}

// checkCycles returns an error if dependencies form a cycle.
func (c *compiler) checkCycles() error {
	const visiting, finished = 1, 2
	marks := make([]int8, len(c.engine.flags))
	var path []int32
	var visit func(i int32) error
	visit = func(i int32) error {
		switch marks[i] {
		case finished:
			return nil
		case visiting:
			cycle := &CycleError{}
			for _, j := range path[slices.Index(path, i):] {
				cycle.Flags = append(cycle.Flags, c.engine.flags[j].info.Key)
			}
			return &ConfigError{c.engine.flags[i].info.Key, "dependencies", cycle}
		}
		marks[i] = visiting
		path = append(path, i)
		for _, d := range c.engine.flags[i].dependencies {
			if err := visit(d); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		marks[i] = finished
		return nil
	}
	for i := range c.engine.flags {
		if err := visit(int32(i)); err != nil {
			return err
		}
	}
	return nil
}
