package jsonschema

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// drafts are the drafts by what $schema calls them, without the scheme and an empty fragment.
var drafts = map[string]int{
	"json-schema.org/draft-04/schema": 4, "json-schema.org/draft-06/schema": 6, "json-schema.org/draft-07/schema": 7,
	"json-schema.org/draft/2019-09/schema": 2019, "json-schema.org/draft/2020-12/schema": 2020,
	"json-schema.org/schema": 2020,
}

// Compile compiles a schema, as encoding/json decodes it with UseNumber. If it is not a schema, the error is an
// [*Error] with the place in it.
func Compile(doc any) (*Schema, error) {
	c := &compiler{draft: 2020, keywords: keywords(), compiled: map[uintptr]*Schema{}, resources: map[string]*resource{}}
	if root, ok := doc.(map[string]any); ok && root["$schema"] != nil {
		name, _ := root["$schema"].(string)
		_, name, _ = strings.Cut(name, "://")
		if c.draft, ok = drafts[strings.TrimSuffix(name, "#")]; !ok {
			return nil, errorf("%v is not a known draft: it is one of draft-04, draft-06, draft-07, 2019-09 and 2020-12",
				root["$schema"]).within("$schema")
		}
	}
	base := &resource{url: &url.URL{}, root: doc, anchors: map[string]any{}}
	c.resources[""] = base
	if err := c.index(doc, base, nil); err != nil {
		return nil, err
	}
	s, err := c.compile(doc, place{base, nil})
	if err != nil {
		return nil, err
	}
	visits := map[*Schema]visit{}
	for _, one := range c.compiled {
		if one.leadsToItself(visits) {
			return nil, errors.New("a $ref leads to itself")
		}
	}
	return s, nil
}

// visit says whether a schema is being visited, or was.
type visit int

const (
	visiting visit = iota + 1
	visited
)

// leadsToItself reports whether a schema, or one that is applied to the same value, is applied to that value again.
func (s *Schema) leadsToItself(visits map[*Schema]visit) bool {
	if visits[s] != 0 {
		return visits[s] == visiting
	}
	visits[s] = visiting
	for _, next := range s.inPlace {
		if next.leadsToItself(visits) {
			return true
		}
	}
	visits[s] = visited
	return false
}

// compiler compiles one document.
type compiler struct {
	draft     int
	keywords  []definition
	compiled  map[uintptr]*Schema  // by the address of the object
	resources map[string]*resource // by their URLs
}

// resource is the document, or a schema in it with an $id of its own.
type resource struct {
	url     *url.URL
	root    any
	anchors map[string]any
}

// place is where a schema is.
type place struct {
	base *resource
	path []string // from the root of the document
}

func (p place) in(names ...string) place { return place{p.base, slices.Concat(p.path, names)} }

// schemaIn says where schemas are in the value of a keyword.
type schemaIn int

const (
	one     schemaIn = 1 << iota // it is a schema
	list                         // a list of them
	members                      // an object of them
)

// subschemas are the keywords that hold schemas.
var subschemas = map[string]schemaIn{
	"$defs": members, "definitions": members, "properties": members, "patternProperties": members,
	"dependentSchemas": members,
	"dependencies":     members, "additionalProperties": one, "propertyNames": one, "unevaluatedProperties": one,
	"items":       one | list,
	"prefixItems": list, "additionalItems": one, "contains": one, "unevaluatedItems": one, "allOf": list, "anyOf": list,
	"oneOf": list, "not": one, "if": one, "then": one, "else": one, "contentSchema": one,
}

// index finds the resources and the anchors of a schema and of those in it.
func (c *compiler) index(node any, base *resource, path []string) error {
	schema, ok := node.(map[string]any)
	if !ok {
		return nil
	}
	idKey := "$id"
	if c.draft == 4 {
		idKey = "id"
	}
	_, isRef := schema["$ref"]
	if id, ok := schema[idKey].(string); ok && (c.draft >= 2019 || !isRef) {
		u, err := base.url.Parse(id)
		if err != nil {
			return errorf("%q is not a URL", id).within(idKey)
		}
		fragment := u.Fragment
		u.Fragment, u.RawFragment = "", ""
		if key := u.String(); key != base.url.String() {
			if len(path) == 0 {
				base.url, c.resources[key] = u, base
			} else if c.resources[key] != nil {
				return &Error{path, fmt.Sprintf("%s %q is duplicated", idKey, id)}
			} else {
				base = &resource{url: u, root: schema, anchors: map[string]any{}}
				c.resources[key] = base
			}
		}
		if fragment != "" && c.draft < 2019 {
			base.anchors[fragment] = schema
		}
	}
	for _, key := range []string{"$anchor", "$dynamicAnchor"} {
		if anchor, ok := schema[key].(string); ok && c.draft >= 2019 {
			if base.anchors[anchor] != nil {
				return &Error{path, fmt.Sprintf("%s %q is duplicated", key, anchor)}
			}
			base.anchors[anchor] = schema
		}
	}
	for _, key := range slices.Sorted(maps.Keys(schema)) {
		in := subschemas[key]
		switch v := schema[key].(type) {
		case map[string]any:
			if in&one != 0 {
				if err := c.index(v, base, append(slices.Clip(path), key)); err != nil {
					return err
				}
			}
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if in&members != 0 {
					if err := c.index(v[name], base, append(slices.Clip(path), key, name)); err != nil {
						return err
					}
				}
			}
		case []any:
			for i := range v {
				if in&list != 0 {
					if err := c.index(v[i], base, append(slices.Clip(path), key, strconv.Itoa(i))); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// compile compiles the schema at a place.
func (c *compiler) compile(node any, at place) (*Schema, error) {
	fail := func(err *Error) (*Schema, error) { return nil, &Error{slices.Concat(at.path, err.Path), err.Reason} }
	switch node := node.(type) {
	case bool:
		if c.draft == 4 {
			return fail(errorf("got boolean, want object"))
		}
		if node {
			return &Schema{}, nil
		}
		return &Schema{checks: []check{func(any, *evaluated) *Error { return errorf("not allowed") }}}, nil
	case map[string]any:
		address := reflect.ValueOf(node).Pointer()
		if s := c.compiled[address]; s != nil {
			return s, nil
		}
		s := &Schema{}
		c.compiled[address] = s
		if own := c.resourceOf(node); own != nil {
			at.base = own
		}
		_, isRef := node["$ref"]
		refAlone := isRef && c.draft < 2019 // nothing beside it counts, but it has to be valid
		for key, known := range map[string]bool{"$dynamicRef": c.draft >= 2020, "$recursiveRef": c.draft == 2019,
			"$vocabulary": c.draft >= 2019} {
			if known && node[key] != nil {
				return fail(errorf("%s is not supported", key).within(key))
			}
		}
		for _, k := range c.keywords {
			value, ok := node[k.name]
			if !ok || c.draft < k.since || k.until > 0 && c.draft > k.until {
				continue
			}
			inPlace := s.inPlace
			checkValue, err := k.compile(&keyword{c, s, node, value, at.in(k.name)})
			if e, ok := errors.AsType[*Error](err); ok && len(e.Path) == 0 {
				return fail(e.within(k.name))
			}
			if err != nil {
				return nil, err
			}
			if refAlone && k.name != "$ref" {
				s.inPlace = inPlace
			} else if checkValue != nil {
				s.checks = append(s.checks, checkValue)
			}
		}
		return s, nil
	}
	return fail(errorf("got %s, want boolean or object", typeOf(node)))
}

// resourceOf is the resource whose root a schema is; nil if it is within one.
func (c *compiler) resourceOf(node map[string]any) *resource {
	for _, r := range c.resources {
		if root, ok := r.root.(map[string]any); ok && reflect.ValueOf(root).Pointer() == reflect.ValueOf(node).Pointer() {
			return r
		}
	}
	return nil
}

// resolve finds the schema that a reference names.
func (c *compiler) resolve(ref string, at place) (node any, to place, err error) {
	u, err := at.base.url.Parse(ref)
	if err != nil {
		return nil, to, errorf("%q is not a URL", ref)
	}
	fragment := u.Fragment
	u.Fragment, u.RawFragment = "", ""
	r := c.resources[u.String()]
	if r == nil {
		return nil, to, fmt.Errorf("%s is outside of the schema, and nothing is fetched", ref)
	}
	to = place{r, nil}
	if fragment != "" && fragment[0] != '/' {
		if node = r.anchors[fragment]; node == nil {
			return nil, to, errorf("there is no anchor %q", fragment)
		}
		return node, to, nil
	}
	node = r.root
	for _, name := range strings.Split(fragment, "/")[1:] {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		to.path = append(to.path, name)
		ok := false
		switch v := node.(type) {
		case map[string]any:
			node, ok = v[name]
			if own, isSchema := node.(map[string]any); isSchema && c.resourceOf(own) != nil {
				to.base = c.resourceOf(own)
			}
		case []any:
			var i int
			if i, err = strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
				node, ok = v[i], true
			}
		}
		if !ok {
			return nil, to, errorf("%s leads nowhere", ref)
		}
	}
	return node, to, nil
}
