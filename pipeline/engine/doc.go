// Package engine evaluates Amplitude Experiment's flag configurations on this machine: who gets which variant,
// without asking anybody.
//
// How it works, in the order of the files:
//
//  1. config.go: [Parse] reads the configurations (the answer of GET /v1/flags, a JSON array) and compiles them.
//     Everything that can be known from them alone is settled there: selectors are split, numbers, versions and
//     regular expressions parsed, sets built, metadata merged, the dependencies put in order. What the engine
//     would have to guess at is a [ConfigError] that names the flag and the place; what the reference silently
//     ignores (an operator it does not know, a dependency that is not there) is a warning. [ParseLenient]
//     (lenient.go) goes on without the flags whose regular expressions it cannot run.
//  2. engine.go: a [Plan] is the list of flags to evaluate, dependencies first. Its Append goes through the
//     segments of each: the first whose conditions hold, and whose bucket names a variant of the flag, decides.
//  3. select.go: where in the user a condition looks. A value is looked up and coerced once a user, however
//     many conditions read it. reads.go lists what flags read, and what of it only the API knows.
//  4. match.go: the operators. coerce.go: JavaScript's idea of strings, numbers and JSON, which is what they
//     compare. version.go, regex.go and murmur.go: the rest of the reference's arithmetic.
//  5. explain.go: why a user gets a variant, told by the same conditions and buckets.
//
// What makes it quick (bench_test.go): nothing is allocated for a user; a condition on another flag's answer is
// settled for each of its variants beforehand; a JSON list of plain strings is read in place; and where in its
// bucket a user is, which no processor can foresee, is found without a branch.
//
// The reference is the npm package @amplitude/experiment-core, 0.13.6: EvaluationEngine and topologicalSort; the
// user becomes its context as in convertUserToEvaluationContext of @amplitude/experiment-node-server 1.13.6.
// Where they surprise, they are followed: "set is not" and the regex operators never match a missing value; a
// set operator never matches a value that is no list, not even a negated one; a number that does not parse
// compares false with everything, while a version that does not parse is compared as a string.
//
// Differences on purpose: an absent property is absent (JavaScript would find "constructor" in every object);
// a group given as a plain string is its name (JavaScript would take the first letter); flags that are
// evaluated only because others depend on them are not reported; configurations of the wrong shape, and a
// dependency cycle, are refused when they are read and not when a user happens to reach them; regular
// expressions that Go cannot run in linear time (lookaround, backreferences) are refused. And one that is not:
// "contains" knows the lower case of the characters of Unicode 15, Node 20 of 55 younger ones too.
//
// testdata/vectors.json holds answers recorded from the reference. To record them again:
//
//	cd "$(mktemp -d)" && npm pack @amplitude/experiment-core@0.13.6 @amplitude/experiment-node-server@1.13.6
//	for f in *.tgz; do tar xzf "$f" --one-top-level; done
//	node <repository>/pipeline/engine/testdata/record.js . > <repository>/pipeline/engine/testdata/vectors.json
//
// An [Engine] is immutable: any number of goroutines may evaluate at once.
package engine
