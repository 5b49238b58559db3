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
//  4. match.go: the operators. semantics.go: the table of what the two engines differ in. coerce.go: JavaScript's rules
//     for strings, numbers and JSON, which the operators compare; hosted.go: Java's and Kotlin's. version.go, regex.go,
//     javaregex.go and murmur.go: versions, regular expressions of JavaScript and of Java, and the hash.
//  5. explain.go: why a user gets a variant, from the same conditions and buckets. split.go: which shares of users a
//     configuration gives which variant.
//  6. compare.go: for which flags the other engine gives a user another answer, and explaindiff.go: why.
//
// What makes it fast (bench_test.go): no allocation for a user; a condition on another flag's result is evaluated in
// advance for each of its variants; a JSON list of plain strings is read in place; and the user's place in a bucket,
// which no processor can predict, is found without a branch.
//
// # Semantics
//
// Amplitude has two engines, and a plan is compiled for one of them. [Hosted], the default, is evaluation-core 2.3.0,
// in Kotlin: all evidence is that the hosted Evaluation API runs it. [Node] is the npm package @amplitude/experiment-
// core 0.13.6 (EvaluationEngine and topologicalSort; the user becomes its context as in convertUserToEvaluationContext
// of @amplitude/experiment-node-server 1.13.6): the local evaluation of the Node SDK, and JavaScript clients. This
// engine follows them even where they are surprising: a set operator never matches a value that is not a list, not
// even a negated one, and a version that does not parse is compared as a string. They agree on segments, buckets,
// metadata and dependencies, and differ in nine rules of the conditions:
//
//	                                      hosted                            node
//	1 missing, "set is not"               holds                             does not
//	  missing, "regex does not match"     holds                             does not
//	2 a regular expression                Java's, the whole value          JavaScript's, a part of it
//	3 "less" …, a value, or all that it   compared as text, in UTF-16       does not compare
//	  is compared with, is no number
//	  numbers                             those of Double.parseDouble       those of Number(): "" and 0x10
//	  NaN, -0                             greater than all, less than 0     does not compare, 0
//	4 2.0, 1e7, 0.00001 as text           2.0, 1.0E7, 1.0E-5                2, 10000000, 0.00001
//	5 1.2.3+build                         a version                         text
//	  1.2.3-a_b, 1.2.3-01, 1.2.3-a.       text                              versions
//	  more than 2147483647                text; as a patch 0                a number
//	6 "" in a list                        an element                        dropped
//	7 a text that starts with a bracket   words without quotes are taken    JSON, or no list
//	                                      and dropped: [1, x] is ["1"]
//	8 "set contains" a value twice        one is enough                     a list of two
//	9 selectors through lists             nothing                           by index and length
//	  a part of a result                  key, value, metadata              any
//	  a group                             a list of texts                   a text or number, too
//
// A number is printed from its JSON literal, which for a float of a Parquet file is what a request holds: 2.0 is sent
// as 2. Double.toString is that of Java 19: older ones do not always print the shortest digits. testdata has recorded
// answers of both engines, and of Java for numbers and regular expressions. What hosted evaluation does and is not
// here:
//
//   - Regular expressions with lookaround, backreferences, possessive quantifiers, atomic groups, classes in classes,
//     \Z, \G, a $ that something follows, or flags other than i and s are refused. \b is ASCII's, as of Java 19.
//   - "contains" makes a final sigma as Unicode says; Java looks for the ends of words. "falſe" is no boolean.
//   - An integer with an exponent that is a literal of a list in a text, and one with a sign or leading zeros, may be
//     read otherwise by other versions of Kotlin's serialization.
//   - A whole object (context, a group, a result) is compared as the JSON that node has for it.
//
// # Differences from the references
//
// cmd/parity compares both semantics with references on random flags and users (make parity): node with the npm engine,
// hosted with that engine under the nine rules, written apart from this package. It leaves out what differs on purpose:
//
//   - An absent property is absent: JavaScript would find "constructor" in every object, and "map" in every list;
//     "__proto__" is an ordinary name.
//   - A group given as a plain string or number is its name to node: JavaScript would use the string's first letter,
//     and ignore the number. Groups that are null are absent: the reference throws. A name that is a list or an object
//     is looked up as its JSON text.
//   - A variant without a key has its name in the flag as its key; for conditions on other flags' results it has no
//     key, as in the reference.
//   - Payloads and values keep their digits; the reference rounds them to a float64 (and 1e400 to null).
//   - Flags that are evaluated only because others depend on them are not reported.
//   - Configurations of the wrong shape, a duplicated flag, lone halves of surrogate pairs, ranges beyond a float64,
//     and a dependency cycle are refused when they are read: the reference throws when a user happens to reach them, or
//     converts them. Where a variant is to be named, null means no variant (and not the one called "null").
//   - Regular expressions that Go cannot run in linear time and bounded memory are refused: lookaround, backreferences,
//     more than 1,000 repetitions. (Those that are not valid in JavaScript, or in Java, are refused too; the reference
//     throws.)
//   - Java's regular expressions that are listed above, and \N, \X, properties other than the general categories and
//     those of POSIX, and a \Q right after the beginning of an escape: Java completes \x0\Qa to \x0a.
//   - A float that is NaN or infinite, which exists in Parquet but not in JSON, is missing.
//
// and, of hosted, what nobody can say, for it depends on the version of Java or of its JSON library: \b in a text beyond
// ASCII; unquoted integers that JSON does not allow (01, +1) in a list that is a text; the text of a whole result.
//
// Two differences are not on purpose: "contains" knows the lower case of the characters of Unicode 15, while Node 20
// also knows 55 newer ones (and U+0295 is a letter with case here); and half of a surrogate pair, escaped in a text
// that is a JSON array, becomes U+FFFD.
//
// Amplitude has more engines, which disagree with both. Two others, as published on GitHub (experiment-go-server,
// internal/evaluation/engine.go; experiment-python-server, evaluation/engine.py):
//
//	                                    node                   Go                       Python
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
