package engine

import (
	"fmt"
	"regexp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Semantics says which of Amplitude's engines is followed. They agree on segments, buckets and dependencies, and
// differ in the conditions, by the nine rules of the package comment.
type Semantics uint8

const (
	// Hosted is what the hosted Evaluation API answers: Amplitude's Kotlin engine, evaluation-core 2.3.0.
	Hosted Semantics = iota
	// Node is what the local evaluation of the Node SDK and the JavaScript clients answer: the npm package
	// @amplitude/experiment-core, 0.13.6.
	Node
)

// ParseSemantics reads "hosted" or "node".
func ParseSemantics(name string) (Semantics, error) {
	switch name {
	case "hosted":
		return Hosted, nil
	case "node":
		return Node, nil
	}
	return 0, fmt.Errorf("semantics %q are not known: they are one of hosted node", name)
}

// String returns the name that [ParseSemantics] reads.
func (s Semantics) String() string {
	switch s {
	case Hosted:
		return "hosted"
	case Node:
		return "node"
	}
	return fmt.Sprintf("Semantics(%d)", uint8(s))
}

// other returns the semantics that s is not.
func (s Semantics) other() Semantics {
	if s == Hosted {
		return Node
	}
	return Hosted
}

// rules are all that the engines differ in. The numbers are those of the rules in the package comment. What can be
// decided when flags are compiled is decided there; the rest is called at most once for each value of a user.
type rules struct {
	// 1: "set is not" and "regex does not match" hold for a missing value.
	missing bool
	// 2: regular expressions, and the text that they are matched with.
	compileRegex func(pattern string) (*regexp.Regexp, error)
	spell        func(string) string
	// 3: what a number is; whether what is none is compared as text.
	number func(string) (n float64, ok bool)
	texts  bool
	// 4: a value as text.
	text func(*pipeline.Value) (s string, ok bool)
	// 5: what a version is.
	version func(string) (v version, ok bool)
	// 6: elements of a list that are "" stay in it.
	keepEmpty bool
	// 7: the elements of a text that starts with a bracket.
	list func(dst []string, s string) ([]string, bool)
	// 8: lists and values are sets.
	sets bool
	// 9: selectors go through lists; the name in a user's group; the parts of a result, nil: all of it.
	intoLists   bool
	groupName   func(*pipeline.Value) *pipeline.Value
	resultParts []string
}

// rulesOf is indexed by Semantics.
var rulesOf = [...]rules{
	Hosted: {
		missing:      true,
		compileRegex: compileJavaRegex,
		spell:        keepString,
		number:       parseDouble,
		texts:        true,
		text:         hostedString,
		version:      parseSemanticVersion,
		keepEmpty:    true,
		list:         parseLooseList,
		sets:         true,
		groupName:    hostedGroupName,
		resultParts:  []string{"key", "value", "metadata"},
	},
	Node: {
		compileRegex: compileRegex,
		spell:        codeUnits,
		number:       nodeNumber,
		text:         coerceString,
		version:      parseVersion,
		list:         parseList,
		intoLists:    true,
		groupName:    nodeGroupName,
	},
}
