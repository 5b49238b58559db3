// Package jsonschema checks JSON values against JSON Schemas, for `rollcall check`.
//
// It knows the drafts 4, 6, 7, 2019-09 and 2020-12; a schema says in $schema which it is of, and is of 2020-12 without
// that. What it does not know it refuses: a schema that refers to another document (nothing is fetched), $dynamicRef
// and $recursiveRef, and formats that it cannot check. As the drafts want it, format is checked up to draft 7, and is
// a mere note after that. Patterns are of package regexp.
//
// A library would do, but those that report where a value does not conform compile the schemas of all drafts before
// main begins, which every command would pay for. The tests compare with one of them.
package jsonschema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct {
	checks  []check
	inPlace []*Schema // those that are applied to the same value
}

// check is one keyword. It adds what it has looked at to seen, which is never nil.
type check func(value any, seen *evaluated) *Error

// Error says where something is wrong, and what: a value that does not conform, or a schema that is not one.
type Error struct {
	Path   []string // names of members and indexes of elements, from the outside
	Reason string
}

func (e *Error) Error() string { return "/" + strings.Join(e.Path, "/") + ": " + e.Reason }

// within is the error of a value that is in another, by that name.
func (e *Error) within(name string) *Error {
	return &Error{slices.Insert(e.Path, 0, name), e.Reason}
}

func errorf(format string, args ...any) *Error { return &Error{Reason: fmt.Sprintf(format, args...)} }

// Validate returns why a value does not conform; nil if it does. The value is as encoding/json decodes it with
// UseNumber.
func (s *Schema) Validate(value any) *Error { return s.validate(value, &evaluated{}) }

func (s *Schema) validate(value any, seen *evaluated) *Error {
	for _, c := range s.checks {
		if err := c(value, seen); err != nil {
			return err
		}
	}
	return nil
}

// allows reports whether a value conforms; what was looked at counts only then.
func (s *Schema) allows(value any, seen *evaluated) bool {
	own := &evaluated{}
	if s.validate(value, own) != nil {
		return false
	}
	seen.merge(own)
	return true
}

// evaluated is what keywords have looked at of an object or a list, which unevaluatedProperties and unevaluatedItems do
// not.
type evaluated struct {
	allMembers, allItems bool
	members              map[string]bool
	items                map[int]bool
}

func (e *evaluated) addMember(name string) {
	if e.members == nil {
		e.members = map[string]bool{}
	}
	e.members[name] = true
}

func (e *evaluated) addItem(i int) {
	if e.items == nil {
		e.items = map[int]bool{}
	}
	e.items[i] = true
}

func (e *evaluated) merge(other *evaluated) {
	e.allMembers, e.allItems = e.allMembers || other.allMembers, e.allItems || other.allItems
	for name := range other.members {
		e.addMember(name)
	}
	for i := range other.items {
		e.addItem(i)
	}
}

// typeOf is the type of a value, as the keyword type calls it.
func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// number is the exact value of a JSON number; nil if value is not one.
func number(value any) *big.Rat {
	n, ok := value.(json.Number)
	if !ok {
		return nil
	}
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		return nil
	}
	return r
}

// canonical is a text that equal values have in common.
func canonical(value any) string {
	data, err := json.Marshal(exact(value))
	if err != nil {
		return err.Error() // never: it was decoded
	}
	return string(data)
}

// exact is a value whose numbers are written in one way: 1 and 1.0 are equal.
func exact(value any) any {
	switch v := value.(type) {
	case json.Number:
		return map[string]string{"": number(v).RatString()} // like no string
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = exact(v[i])
		}
		return list
	case map[string]any:
		members := make(map[string]any, len(v))
		for name := range v {
			members["."+name] = exact(v[name])
		}
		return members
	}
	return value
}
