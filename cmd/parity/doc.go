// Parity compares package engine with references on random flags and users, in both semantics.
//
//	go run ./cmd/parity [-pairs N] [-seed S] [-semantics hosted,node] [-modules DIR] [-vectors FILE]
//
// The reference of the node semantics is Amplitude's npm engine itself. That of the hosted semantics is hosted.js:
// npm's engine with the nine rules on top (see the doc.go of package engine), written from what is known of the hosted
// engine and independently of package engine. Before a run, it has to give all the answers that were recorded from Amplitude's
// Kotlin engine.
//
// In the order of the files:
//
//  1. generate.go makes deployments: flags with every operator, selector and shape, and users who have values in common
//     with them. The seed and the number of a deployment determine it, so that a run can be repeated.
//  2. reference.go asks the reference: hosted.js and reference.js in one Node process, over pipes. The reference
//     evaluates while this process generates, evaluates and compares.
//  3. compare.go evaluates here and compares everything that both report: variant, value, payload and metadata, and
//     whether a configuration is refused. Intended differences, which the doc.go of package engine lists, are not
//     generated, or are taken from the reference; a comment marks each place. Where nobody can say what the hosted API
//     answers, because Java's versions differ, the reference says so, and the pair is left out and counted.
//  4. shrink.go makes the first difference as small as possible, by asking both engines again and again.
//  5. coverage.go counts which operator met which kind of value, and how often it held; and for each of the nine rules,
//     on how many pairs the answer would be another without it. A long run in which a rule did not decide for both
//     outcomes fails.
//
// The translation of Java's regular expressions and numbers in hosted.js was compared with OpenJDK 17 on 100,000 random
// expressions (validity, and 1.2 million matches) and 100,000 texts of numbers: no difference but in how a double is
// printed, where Java 19 and later, which hosted.js follows, find shorter digits for about one double in a hundred.
//
// The exit code is 0 if all pairs agree, and 1 if some do not or the reference cannot be run.
package main
