package engine

import "fmt"

// Semantics says which of Amplitude's engines is followed. They agree on segments, buckets and dependencies, and
// differ in the conditions; see the package comment.
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
