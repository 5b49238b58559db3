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
// cmd/parity compares this engine with it on random flags and users (make parity). What it leaves out, because the two
// differ there on purpose:
//
//   - An absent property is absent: JavaScript would find "constructor" in every object, and "map" in every list;
//     "__proto__" is a name as any other.
//   - A group given as a plain text or number is its name: JavaScript would take the text's first letter, and ignore
//     the number. Groups that are null are none: the reference throws. A name that is a list or an
//     object is looked up as its JSON text.
//   - A variant without a key has the name that the flag has for it as its key; to the conditions on other flags'
//     results it has none, as in the reference.
//   - Payloads and values keep their digits; the reference rounds them to a float64 (and 1e400 to null).
//   - Flags that are evaluated only because others depend on them are not reported.
//   - Configurations of the wrong shape, a flag that is there twice, lone halves of surrogate pairs, numbers of a range
//     beyond a float64, and a dependency cycle are refused when they are read: the reference throws when a user happens
//     to reach them, or makes something of them. A variant that is null, where one is to be named, is none (and not
//     the one called "null").
//   - Regular expressions that Go cannot run in linear time and bounded memory are refused: lookaround, backreferences,
//     more than 1,000 repetitions. (Those that are none to JavaScript are refused too; the reference throws.)
//   - A float that is NaN or infinite, which Parquet has and JSON has not, is missing.
//
// And what is not on purpose: "contains" knows the lower case of the characters of Unicode 15, Node 20 of 55 younger
// ones too (and U+0295 is a letter with case here); half of a surrogate pair, escaped in a text that is a JSON array,
// becomes U+FFFD.
//
// Amplitude's engines disagree; the npm one is followed. Others, as published on GitHub (experiment-go-server,
// internal/evaluation/engine.go; experiment-python-server, evaluation/engine.py):
//
//	                                    npm, and here          Go                       Python
//	missing, "set is not"               no                     yes                      no
//	missing, "regex does not match"     no                     yes                      no
//	"", 0, false, []                    values                 values                   missing
//	list, operator not of sets          any of its elements    its JSON text            its JSON text
//	text that is a JSON array           a list                 to sets, if of strings   its characters, to sets
//	scalar, operator of sets            no                     no                       a list of one
//	number that does not parse, "less"  no (NaN)               compared as text         compared as text
//	no version, "version less"          compared as text       no                       compared as text
//	"set contains" a value twice        a list of two          one is enough            a list of two
//	numbers as text                     JavaScript's           fmt's: 1e+06             Python's: 1.0, True
//	hexadecimal and empty numbers       numbers                none                     none
//	no conditions: []                   nobody                 nobody                   everybody
//
// testdata/vectors.json holds answers recorded from the reference. To record them again:
//
//	cd "$(mktemp -d)" && npm pack @amplitude/experiment-core@0.13.6 @amplitude/experiment-node-server@1.13.6
//	for f in *.tgz; do tar xzf "$f" --one-top-level; done
//	node <repository>/pipeline/engine/testdata/record.js . > <repository>/pipeline/engine/testdata/vectors.json
//
// An [Engine] is immutable: any number of goroutines may evaluate at once.
package engine
