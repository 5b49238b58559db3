// Command parity compares package engine with Amplitude's own engine on random flags and users.
//
//	go run ./cmd/parity [-pairs N] [-seed S] [-modules DIR]
//
// In the order of the files:
//
//  1. generate.go makes deployments: flags of every operator, selector and shape, and users who have something in common
//     with them. The seed and the number of a deployment say all about it, so that a run can be repeated.
//  2. reference.go asks the reference: reference.js in one Node process, over pipes. It evaluates while this process
//     generates, evaluates and compares.
//  3. compare.go evaluates here and compares everything that both report: variant, value, payload, metadata; and whether
//     a configuration is refused. What differs on purpose (../doc.go lists it) is not generated, or is taken from the
//     reference, each with a comment where it happens.
//  4. shrink.go makes the first difference as small as it gets, by asking both engines again and again.
//  5. coverage.go counts which operator met which value, and how often it held.
//
// The exit code is 0 if all pairs agree, 1 if some do not, or if the reference cannot be run.
package main
