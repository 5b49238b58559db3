package jsonschema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// keyword is a keyword of a schema that is compiled.
type keyword struct {
	*compiler
	schema *Schema
	node   map[string]any // that it is in
	value  any
	at     place
}

// definition is what a keyword is in which drafts.
type definition struct {
	name         string
	since, until int // the drafts; 0: all
	compile      func(k *keyword) (check, error)
}

// keywords are the keywords that say something about a value, in the order in which they are checked: those that look
// at what others have evaluated are the last.
func keywords() []definition {
	return []definition{
		{"$ref", 0, 0, compileRef},
		{"type", 0, 0, compileType},
		{"const", 6, 0, compileConst},
		{"enum", 0, 0, compileEnum},
		{"format", 0, 0, compileFormat},
		{"required", 0, 0, compileRequired},
		{"minProperties", 0, 0, compileSize("object", false)},
		{"maxProperties", 0, 0, compileSize("object", true)},
		{"dependentRequired", 2019, 0, compileDependencies},
		{"dependentSchemas", 2019, 0, compileDependencies},
		{"dependencies", 0, 0, compileDependencies},
		{"propertyNames", 6, 0, compileNames},
		{"properties", 0, 0, compileProperties},
		{"patternProperties", 0, 0, compilePatternProperties},
		{"additionalProperties", 0, 0, compileAdditionalProperties},
		{"minItems", 0, 0, compileSize("array", false)},
		{"maxItems", 0, 0, compileSize("array", true)},
		{"uniqueItems", 0, 0, compileUniqueItems},
		{"prefixItems", 2020, 0, compileItemList},
		{"items", 0, 0, compileItems},
		{"additionalItems", 0, 2019, compileAdditionalItems},
		{"contains", 6, 0, compileContains},
		{"minLength", 0, 0, compileSize("string", false)},
		{"maxLength", 0, 0, compileSize("string", true)},
		{"pattern", 0, 0, compilePattern},
		{"minimum", 0, 0, compileBound},
		{"maximum", 0, 0, compileBound},
		{"exclusiveMinimum", 0, 4, compileExclusive},
		{"exclusiveMaximum", 0, 4, compileExclusive},
		{"exclusiveMinimum", 6, 0, compileBound},
		{"exclusiveMaximum", 6, 0, compileBound},
		{"multipleOf", 0, 0, compileMultipleOf},
		{"not", 0, 0, compileNot},
		{"allOf", 0, 0, compileAllOf},
		{"anyOf", 0, 0, compileAnyOf},
		{"oneOf", 0, 0, compileOneOf},
		{"if", 7, 0, compileIf},
		{"then", 7, 0, compileSchemaOnly}, // if uses them
		{"else", 7, 0, compileSchemaOnly},
		{"$defs", 2019, 0, compileDefinitions},
		{"definitions", 0, 0, compileDefinitions},
		{"id", 0, 4, compileText},
		{"$id", 6, 0, compileText},
		{"$anchor", 2019, 0, compileText},
		{"$dynamicAnchor", 2020, 0, compileText},
		{"title", 0, 0, compileText},
		{"description", 0, 0, compileText},
		{"$comment", 7, 0, compileText},
		{"minContains", 2019, 0, compileCountOnly}, // contains uses them
		{"maxContains", 2019, 0, compileCountOnly},
		{"unevaluatedItems", 2019, 0, compileUnevaluatedItems},
		{"unevaluatedProperties", 2019, 0, compileUnevaluatedProperties},
	}
}

// sub compiles the keyword's value as a schema.
func (k *keyword) sub() (*Schema, error) { return k.compile(k.value, k.at) }

// here is a schema that is applied to the same value.
func (k *keyword) here(s *Schema) *Schema {
	k.schema.inPlace = append(k.schema.inPlace, s)
	return s
}

// subList compiles a list of schemas.
func (k *keyword) subList() (schemas []*Schema, err error) {
	nodes, ok := k.value.([]any)
	if !ok || len(nodes) == 0 {
		return nil, errorf("want a list of schemas")
	}
	for i, node := range nodes {
		s, err := k.compile(node, k.at.in(strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		schemas = append(schemas, s)
	}
	return schemas, nil
}

// subMembers compiles an object of schemas, and returns them with their names in order.
func (k *keyword) subMembers() (names []string, schemas map[string]*Schema, err error) {
	nodes, ok := k.value.(map[string]any)
	if !ok {
		return nil, nil, errorf("got %s, want object", typeOf(k.value))
	}
	names, schemas = slices.Sorted(maps.Keys(nodes)), map[string]*Schema{}
	for _, name := range names {
		if schemas[name], err = k.compile(nodes[name], k.at.in(name)); err != nil {
			return nil, nil, err
		}
	}
	return names, schemas, nil
}

// texts are a list of different strings.
func texts(value any) (list []string, err error) {
	items, ok := value.([]any)
	if !ok {
		return nil, errorf("got %s, want array", typeOf(value))
	}
	for _, item := range items {
		text, ok := item.(string)
		if !ok || slices.Contains(list, text) {
			return nil, errorf("want a list of different strings")
		}
		list = append(list, text)
	}
	return list, nil
}

// countOf is a number of things: an integer that is not negative.
func countOf(value any) (int, error) {
	n := number(value)
	if n == nil || !n.IsInt() || n.Sign() < 0 {
		return 0, errorf("want an integer that is not negative")
	}
	if !n.Num().IsInt64() {
		return int(^uint(0) >> 1), nil
	}
	return int(n.Num().Int64()), nil
}

func compileRef(k *keyword) (check, error) {
	ref, ok := k.value.(string)
	if !ok {
		return nil, errorf("got %s, want string", typeOf(k.value))
	}
	node, to, err := k.resolve(ref, k.at)
	if err != nil {
		return nil, err
	}
	s, err := k.compile(node, to)
	if err != nil {
		return nil, err
	}
	return k.here(s).validate, nil
}

var typeNames = []string{"null", "boolean", "number", "integer", "string", "array", "object"}

func compileType(k *keyword) (check, error) {
	var wanted []string
	var err error
	if text, ok := k.value.(string); ok {
		wanted = []string{text}
	} else if wanted, err = texts(k.value); err != nil || len(wanted) == 0 {
		return nil, errorf("want the name of a type, or a list of names")
	}
	for _, name := range wanted {
		if !slices.Contains(typeNames, name) {
			return nil, errorf("%q is not a type: it is one of %s", name, strings.Join(typeNames, " "))
		}
	}
	return func(value any, _ *evaluated) *Error {
		got := typeOf(value)
		if slices.Contains(wanted, got) || got == "number" && slices.Contains(wanted, "integer") && number(value).IsInt() {
			return nil
		}
		return errorf("got %s, want %s", got, strings.Join(wanted, " or "))
	}, nil
}

func compileConst(k *keyword) (check, error) { return oneOf([]any{k.value}), nil }

func compileEnum(k *keyword) (check, error) {
	values, ok := k.value.([]any)
	if !ok {
		return nil, errorf("got %s, want array", typeOf(k.value))
	}
	different := map[string]bool{}
	for _, v := range values {
		different[canonical(v)] = true
	}
	if k.draft < 2019 && (len(values) == 0 || len(different) < len(values)) {
		return nil, errorf("want a list of different values")
	}
	return oneOf(values), nil
}

// oneOf checks that a value is one of some.
func oneOf(values []any) check {
	known := map[string]bool{}
	var shown []string
	for _, v := range values {
		known[canonical(v)] = true
		shown = append(shown, show(v))
	}
	wanted := "one of " + strings.Join(shown, ", ")
	if len(shown) == 1 {
		wanted = shown[0]
	}
	return func(value any, _ *evaluated) *Error {
		if known[canonical(value)] {
			return nil
		}
		return errorf("value must be %s", wanted)
	}
}

// show is a value in a message.
func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		return quote(v)
	case []any, map[string]any:
		data, err := json.Marshal(v)
		if err != nil {
			return typeOf(v)
		}
		return string(data)
	default:
		return fmt.Sprint(v)
	}
}

func quote(s string) string { return "'" + strings.Trim(strconv.Quote(s), `"`) + "'" }

func quoteAll(names []string) string {
	var quoted []string
	for _, name := range names {
		quoted = append(quoted, quote(name))
	}
	return strings.Join(quoted, ", ")
}

func compileRequired(k *keyword) (check, error) {
	names, err := texts(k.value)
	if err != nil || k.draft == 4 && len(names) == 0 {
		return nil, errorf("want a list of different strings")
	}
	return func(value any, _ *evaluated) *Error {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		return missing(object, names, "missing property", "missing properties")
	}, nil
}

// missing is an error about the members that an object lacks; nil if it has all.
func missing(object map[string]any, names []string, one, several string) *Error {
	var lacking []string
	for _, name := range names {
		if _, ok := object[name]; !ok {
			lacking = append(lacking, name)
		}
	}
	switch len(lacking) {
	case 0:
		return nil
	case 1:
		return errorf("%s %s", one, quote(lacking[0]))
	}
	return errorf("%s %s", several, quoteAll(lacking))
}

// compileSize compiles a bound of how much a value of that type holds.
func compileSize(of string, most bool) func(k *keyword) (check, error) {
	return func(k *keyword) (check, error) {
		want, err := countOf(k.value)
		if err != nil {
			return nil, err
		}
		name := k.at.path[len(k.at.path)-1]
		return func(value any, _ *evaluated) *Error {
			got := 0
			switch v := value.(type) {
			case string:
				got = utf8.RuneCountInString(v)
			case []any:
				got = len(v)
			case map[string]any:
				got = len(v)
			}
			if typeOf(value) != of || most && got <= want || !most && got >= want {
				return nil
			}
			return errorf("%s: got %d, want %d", name, got, want)
		}, nil
	}
}

// compileDependencies compiles what an object has to be like if it has a member: a schema, or a list of other members.
func compileDependencies(k *keyword) (check, error) {
	nodes, ok := k.value.(map[string]any)
	if !ok {
		return nil, errorf("got %s, want object", typeOf(k.value))
	}
	name := k.at.path[len(k.at.path)-1]
	names, schemas, others := slices.Sorted(maps.Keys(nodes)), map[string]*Schema{}, map[string][]string{}
	for _, member := range names {
		_, isList := nodes[member].([]any)
		if name == "dependentRequired" || name == "dependencies" && isList {
			var err error
			if others[member], err = texts(nodes[member]); err != nil || k.draft == 4 && len(others[member]) == 0 {
				return nil, errorf("want a schema, or a list of different strings")
			}
			continue
		}
		s, err := k.compile(nodes[member], k.at.in(member))
		if err != nil {
			return nil, err
		}
		schemas[member] = k.here(s)
	}
	return func(value any, seen *evaluated) *Error {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		for _, member := range names {
			if _, has := object[member]; !has {
				continue
			}
			if s := schemas[member]; s != nil {
				if err := s.validate(value, seen); err != nil {
					return err
				}
			}
			if err := missing(object, others[member], "with "+quote(member)+", missing property",
				"with "+quote(member)+", missing properties"); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func compileNames(k *keyword) (check, error) {
	s, err := k.sub()
	if err != nil {
		return nil, err
	}
	return func(value any, _ *evaluated) *Error {
		object, _ := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if err := s.Validate(name); err != nil {
				return errorf("invalid property name %s: %s", quote(name), err.Reason)
			}
		}
		return nil
	}, nil
}

func compileProperties(k *keyword) (check, error) {
	names, schemas, err := k.subMembers()
	if err != nil {
		return nil, err
	}
	return func(value any, seen *evaluated) *Error {
		object, _ := value.(map[string]any)
		for _, name := range names {
			member, ok := object[name]
			if !ok {
				continue
			}
			if err := schemas[name].Validate(member); err != nil {
				return err.within(name)
			}
			seen.addMember(name)
		}
		return nil
	}, nil
}

// patterns are the regular expressions that are the names of an object.
func patterns(value any) (map[string]*regexp.Regexp, error) {
	nodes, ok := value.(map[string]any)
	if !ok {
		return nil, errorf("got %s, want object", typeOf(value))
	}
	compiled := map[string]*regexp.Regexp{}
	for name := range nodes {
		re, err := regexp.Compile(name)
		if err != nil {
			return nil, errorf("%s is not a regular expression: %v", quote(name), err)
		}
		compiled[name] = re
	}
	return compiled, nil
}

func compilePatternProperties(k *keyword) (check, error) {
	expressions, err := patterns(k.value)
	if err != nil {
		return nil, err
	}
	names, schemas, err := k.subMembers()
	if err != nil {
		return nil, err
	}
	return func(value any, seen *evaluated) *Error {
		object, _ := value.(map[string]any)
		for _, member := range slices.Sorted(maps.Keys(object)) {
			for _, name := range names {
				if !expressions[name].MatchString(member) {
					continue
				}
				if err := schemas[name].Validate(object[member]); err != nil {
					return err.within(member)
				}
				seen.addMember(member)
			}
		}
		return nil
	}, nil
}

func compileAdditionalProperties(k *keyword) (check, error) {
	s, err := k.boolOrSub()
	if err != nil {
		return nil, err
	}
	named, _ := k.node["properties"].(map[string]any)
	var matched map[string]*regexp.Regexp
	if k.node["patternProperties"] != nil {
		if matched, err = patterns(k.node["patternProperties"]); err != nil {
			return nil, err
		}
	}
	return func(value any, seen *evaluated) *Error {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		var others []string
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if _, ok := named[name]; ok {
				continue
			}
			isMatched := false
			for _, re := range matched {
				isMatched = isMatched || re.MatchString(name)
			}
			if !isMatched {
				others = append(others, name)
			}
		}
		seen.allMembers = true
		return k.checkMembers(s, object, others, "additional")
	}, nil
}

// checkMembers checks the members of an object that other keywords do not name.
func (k *keyword) checkMembers(s *Schema, object map[string]any, names []string, what string) *Error {
	if k.value == false && len(names) > 0 {
		return errorf("%s properties %s not allowed", what, quoteAll(names))
	}
	for _, name := range names {
		if err := s.Validate(object[name]); err != nil {
			return err.within(name)
		}
	}
	return nil
}

func compileUnevaluatedProperties(k *keyword) (check, error) {
	s, err := k.sub()
	if err != nil {
		return nil, err
	}
	return func(value any, seen *evaluated) *Error {
		object, ok := value.(map[string]any)
		if !ok || seen.allMembers {
			return nil
		}
		others := slices.Sorted(maps.Keys(object))
		others = slices.DeleteFunc(others, func(name string) bool { return seen.members[name] })
		seen.allMembers = true
		return k.checkMembers(s, object, others, "unevaluated")
	}, nil
}

func compileUniqueItems(k *keyword) (check, error) {
	unique, ok := k.value.(bool)
	if !ok {
		return nil, errorf("got %s, want boolean", typeOf(k.value))
	}
	if !unique {
		return nil, nil
	}
	return func(value any, _ *evaluated) *Error {
		items, _ := value.([]any)
		first := map[string]int{}
		for i, item := range items {
			key := canonical(item)
			if before, ok := first[key]; ok {
				return errorf("items at %d and %d are equal", before, i)
			}
			first[key] = i
		}
		return nil
	}, nil
}

func compileItems(k *keyword) (check, error) {
	if _, isList := k.value.([]any); isList && k.draft < 2020 {
		return compileItemList(k)
	}
	if _, isBool := k.value.(bool); isBool && k.draft < 6 {
		return nil, errorf("got boolean, want object or array")
	}
	s, err := k.sub()
	if err != nil {
		return nil, err
	}
	before, _ := k.node["prefixItems"].([]any)
	if k.draft < 2020 {
		before = nil
	}
	return checkItemsFrom(len(before), s), nil
}

// compileItemList compiles a schema for each of the first items.
func compileItemList(k *keyword) (check, error) {
	schemas, err := k.subList()
	if err != nil {
		return nil, err
	}
	return func(value any, seen *evaluated) *Error {
		items, _ := value.([]any)
		for i := range min(len(items), len(schemas)) {
			if err := schemas[i].Validate(items[i]); err != nil {
				return err.within(strconv.Itoa(i))
			}
			seen.addItem(i)
		}
		return nil
	}, nil
}

func compileAdditionalItems(k *keyword) (check, error) {
	s, err := k.boolOrSub()
	if err != nil {
		return nil, err
	}
	before, isList := k.node["items"].([]any)
	if !isList { // they are all items
		return nil, nil
	}
	return checkItemsFrom(len(before), s), nil
}

// boolOrSub is sub, for what may be a boolean in draft 4, too.
func (k *keyword) boolOrSub() (*Schema, error) {
	if _, isBool := k.value.(bool); isBool && k.draft == 4 {
		c := *k.compiler
		c.draft = 6
		return c.compile(k.value, k.at)
	}
	return k.sub()
}

// checkItemsFrom checks the items of a list from the one at that index.
func checkItemsFrom(first int, s *Schema) check {
	return func(value any, seen *evaluated) *Error {
		items, ok := value.([]any)
		if !ok {
			return nil
		}
		for i := first; i < len(items); i++ {
			if err := s.Validate(items[i]); err != nil {
				return err.within(strconv.Itoa(i))
			}
		}
		seen.allItems = true
		return nil
	}
}

func compileUnevaluatedItems(k *keyword) (check, error) {
	s, err := k.sub()
	if err != nil {
		return nil, err
	}
	return func(value any, seen *evaluated) *Error {
		items, ok := value.([]any)
		if !ok || seen.allItems {
			return nil
		}
		for i := range items {
			if seen.items[i] {
				continue
			}
			if err := s.Validate(items[i]); err != nil {
				return err.within(strconv.Itoa(i))
			}
		}
		seen.allItems = true
		return nil
	}, nil
}

func compileContains(k *keyword) (check, error) {
	s, err := k.sub()
	if err != nil {
		return nil, err
	}
	least, most := 1, -1
	for name, bound := range map[string]*int{"minContains": &least, "maxContains": &most} {
		if k.node[name] != nil && k.draft >= 2019 {
			if *bound, err = countOf(k.node[name]); err != nil {
				return nil, err
			}
		}
	}
	return func(value any, seen *evaluated) *Error {
		items, ok := value.([]any)
		if !ok {
			return nil
		}
		n := 0
		for i := range items {
			if s.Validate(items[i]) == nil {
				n++
				if k.draft >= 2020 {
					seen.addItem(i)
				}
			}
		}
		if n < least {
			return errorf("contains: got %d, want at least %d", n, least)
		}
		if most >= 0 && n > most {
			return errorf("contains: got %d, want at most %d", n, most)
		}
		return nil
	}, nil
}

func compilePattern(k *keyword) (check, error) {
	pattern, ok := k.value.(string)
	if !ok {
		return nil, errorf("got %s, want string", typeOf(k.value))
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, errorf("not a regular expression: %v", err)
	}
	return func(value any, _ *evaluated) *Error {
		if text, ok := value.(string); ok && !re.MatchString(text) {
			return errorf("%s does not match pattern %s", quote(text), quote(pattern))
		}
		return nil
	}, nil
}

func compileBound(k *keyword) (check, error) {
	want := number(k.value)
	if want == nil {
		return nil, errorf("got %s, want number", typeOf(k.value))
	}
	name := k.at.path[len(k.at.path)-1]
	upper, exclusive := strings.HasSuffix(name, "aximum"), strings.HasPrefix(name, "exclusive")
	if k.draft == 4 { // exclusiveMinimum belongs to minimum
		exclusive, _ = k.node["exclusive"+strings.ToUpper(name[:1])+name[1:]].(bool)
	}
	return func(value any, _ *evaluated) *Error {
		got := number(value)
		if got == nil {
			return nil
		}
		order := got.Cmp(want)
		if upper {
			order = -order
		}
		if order > 0 || order == 0 && !exclusive {
			return nil
		}
		return errorf("%s: got %v, want %v", name, value, k.value)
	}, nil
}

// compileExclusive makes sure that the value is one of draft 4, which minimum or maximum uses.
func compileExclusive(k *keyword) (check, error) {
	name := strings.ToLower(strings.TrimPrefix(k.at.path[len(k.at.path)-1], "exclusive"))
	if _, ok := k.value.(bool); !ok || k.node[name] == nil {
		return nil, errorf("want a boolean, beside %s", name)
	}
	return nil, nil
}

func compileMultipleOf(k *keyword) (check, error) {
	want := number(k.value)
	if want == nil || want.Sign() <= 0 {
		return nil, errorf("want a number greater than 0")
	}
	return func(value any, _ *evaluated) *Error {
		if got := number(value); got != nil && !new(big.Rat).Quo(got, want).IsInt() {
			return errorf("multipleOf: got %v, want %v", value, k.value)
		}
		return nil
	}, nil
}

func compileNot(k *keyword) (check, error) {
	s, err := k.sub()
	if err != nil {
		return nil, err
	}
	k.here(s)
	return func(value any, _ *evaluated) *Error {
		if s.Validate(value) == nil {
			return errorf("'not' failed")
		}
		return nil
	}, nil
}

func compileAllOf(k *keyword) (check, error) {
	schemas, err := k.subList()
	if err != nil {
		return nil, err
	}
	for _, s := range schemas {
		k.here(s)
	}
	return func(value any, seen *evaluated) *Error {
		for _, s := range schemas {
			own := &evaluated{}
			if err := s.validate(value, own); err != nil {
				return err
			}
			seen.merge(own)
		}
		return nil
	}, nil
}

func compileAnyOf(k *keyword) (check, error) {
	schemas, err := k.subList()
	if err != nil {
		return nil, err
	}
	for _, s := range schemas {
		k.here(s)
	}
	return func(value any, seen *evaluated) *Error {
		matched := false
		for _, s := range schemas { // each: all that match count as evaluated
			matched = s.allows(value, seen) || matched
		}
		if !matched {
			return schemas[0].Validate(value)
		}
		return nil
	}, nil
}

func compileOneOf(k *keyword) (check, error) {
	schemas, err := k.subList()
	if err != nil {
		return nil, err
	}
	for _, s := range schemas {
		k.here(s)
	}
	return func(value any, seen *evaluated) *Error {
		matched := -1
		for i, s := range schemas {
			if !s.allows(value, seen) {
				continue
			}
			if matched >= 0 {
				return errorf("'oneOf' failed, subschemas %d, %d matched", matched, i)
			}
			matched = i
		}
		if matched < 0 {
			return schemas[0].Validate(value)
		}
		return nil
	}, nil
}

func compileIf(k *keyword) (check, error) {
	s, err := k.sub()
	if err != nil {
		return nil, err
	}
	k.here(s)
	var branches [2]*Schema
	for i, name := range []string{"then", "else"} {
		if node, ok := k.node[name]; ok {
			at := k.at
			at.path = append(slices.Clone(at.path[:len(at.path)-1]), name)
			if branches[i], err = k.compile(node, at); err != nil {
				return nil, err
			}
			k.here(branches[i])
		}
	}
	return func(value any, seen *evaluated) *Error {
		branch := branches[1]
		if s.allows(value, seen) {
			branch = branches[0]
		}
		if branch == nil {
			return nil
		}
		return branch.validate(value, seen)
	}, nil
}

// compileSchemaOnly makes sure that the value is a schema.
func compileSchemaOnly(k *keyword) (check, error) {
	_, err := k.sub()
	return nil, err
}

// compileDefinitions makes sure that the members are schemas.
func compileDefinitions(k *keyword) (check, error) {
	_, _, err := k.subMembers()
	return nil, err
}

// compileCountOnly makes sure that the value is a number of things.
func compileCountOnly(k *keyword) (check, error) {
	_, err := countOf(k.value)
	return nil, err
}

// compileText makes sure that the value is a string.
func compileText(k *keyword) (check, error) {
	if _, ok := k.value.(string); !ok {
		return nil, errorf("got %s, want string", typeOf(k.value))
	}
	return nil, nil
}
