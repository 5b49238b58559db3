// Package engine evaluates Amplitude Experiment's flag configurations on this machine: who gets which variant,
// without a request.
//
// How it works, in the order of the files:
//
//  1. config.go: [Parse] reads the configurations (the answer of GET /v1/flags, a JSON array) and compiles them.
//     All that depends on them alone happens there: selectors are split, numbers, versions and regular expressions
//     parsed, sets built, metadata merged, dependencies ordered. What the engine would have to guess is a [ConfigError]
//     that names the flag and the place; what the reference silently ignores (an unknown operator or dependency) is a
//     warning. [ParseLenient] (lenient.go) continues without the flags whose regular expressions it cannot run.
//  2. engine.go: a [Plan] is the list of flags to evaluate, dependencies first. Its Append tries the
//     segments of each: the first whose conditions hold, and whose bucket names a variant of the flag, decides.
//  3. select.go: where in the user a condition looks. A value is looked up and coerced once for each user,
//     however many conditions read it. reads.go lists what flags read, and which of it only the API knows.
//  4. match.go: the operators. coerce.go: JavaScript's rules for strings, numbers and JSON, which the operators
//     compare. version.go, regex.go and murmur.go: versions, regular expressions and the hash.
//  5. explain.go: why a user gets a variant, from the same conditions and buckets. split.go: which shares of users a
//     configuration gives which variant.
//
// What makes it fast (bench_test.go): no allocation for a user; a condition on another flag's result is evaluated in
// advance for each of its variants; a JSON list of plain strings is read in place; and the user's place in a bucket,
// which no processor can predict, is found without a branch.
//
// The reference is the npm package @amplitude/experiment-core, 0.13.6: EvaluationEngine and topologicalSort; the
// user becomes its context as in convertUserToEvaluationContext of @amplitude/experiment-node-server 1.13.6.
// This engine follows them even where they are surprising: "set is not" and the regex operators never match a missing
// value; a set operator never matches a value that is not a list, not even a negated one; a number that does not parse
// compares false with everything, while a version that does not parse is compared as a string.
//
// cmd/parity compares this engine with it on random flags and users (make parity). It leaves out what
// differs on purpose:
//
//   - An absent property is absent: JavaScript would find "constructor" in every object, and "map" in every list;
//     "__proto__" is an ordinary name.
//   - A group given as a plain string or number is its name: JavaScript would use the string's first letter, and ignore
//     the number. Groups that are null are absent: the reference throws. A name that is a list or an object is looked
//     up as its JSON text.
//   - A variant without a key has its name in the flag as its key; for conditions on other flags' results it has no
//     key, as in the reference.
//   - Payloads and values keep their digits; the reference rounds them to a float64 (and 1e400 to null).
//   - Flags that are evaluated only because others depend on them are not reported.
//   - Configurations of the wrong shape, a duplicated flag, lone halves of surrogate pairs, ranges beyond a float64,
//
// and a
//
//	  dependency cycle are refused when they are read: the reference throws when a user happens to reach them, or
//	  converts them. Where a variant is to be named, null means no variant (and not the one called "null").
//	- Regular expressions that Go cannot run in linear time and bounded memory are refused: lookaround, backreferences,
//	  more than 1,000 repetitions. (Those that are not valid in JavaScript are refused too; the reference throws.)
//	- A float that is NaN or infinite, which exists in Parquet but not in JSON, is missing.
//
// Two differences are not on purpose: "contains" knows the lower case of the characters of Unicode 15, while Node 20
// also knows 55 newer ones (and U+0295 is a letter with case here); and half of a surrogate pair, escaped in a text
// that is a JSON array, becomes U+FFFD.
//
// Amplitude's engines disagree; this one follows the npm one. The others, as published on GitHub (experiment-go-server,
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
