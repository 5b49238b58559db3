// Parity compares package engine with Amplitude's own engine on random flags and users.
//
//	go run ./cmd/parity [-pairs N] [-seed S] [-modules DIR]
//
// In the order of the files:
//
//  1. generate.go makes deployments: flags with every operator, selector and shape, and users who have values in common
//     with them. The seed and the number of a deployment determine it, so that a run can be repeated.
//  2. reference.go asks the reference: reference.js in one Node process, over pipes. The reference evaluates while this
//     process generates, evaluates and compares.
//  3. compare.go evaluates here and compares everything that both report: variant, value, payload and metadata, and
//     whether a configuration is refused. Intended differences, which the doc.go of package engine lists, are not
//     generated, or are taken from the reference; a comment marks each place.
//  4. shrink.go makes the first difference as small as possible, by asking both engines again and again.
//  5. coverage.go counts which operator met which kind of value, and how often it held.
//
// The exit code is 0 if all pairs agree, and 1 if some do not or the reference cannot be run.
package main
