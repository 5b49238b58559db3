// Package diff says what changed between two finished runs: for each flag how many users went from which variant to
// which, who came and went, and, where it can be known, whether a new configuration or the user's new properties did it.
//
// Start with [Build]. It joins the two snapshots on the pair of user id and device id:
//
//	snapshot.go  opens an output and asks its manifest what it should hold
//	users.go     the users of BEFORE, in 42 bytes each and one for each flag
//	states.go    what a user can have of a flag, as small numbers
//	compare.go   the passes: BEFORE into memory, AFTER held against it
//	cause.go     the users that changed, evaluated once more with the other configuration
//	configs.go   what differs between two files of flag configurations
//	report.go    the [Report], and table.go and markdown.go its texts
//
// # What is a difference
//
// Variant, payload and experiment key are. Row numbers, times, evaluation ids, metadata and carried columns are not, and
// neither are the format, the layout, the order of rows, and how a payload's JSON is spaced and its names are ordered.
// What only one of the two snapshots records is not compared, and [Report.Notes] says so. A flag that one of the runs did
// not ask for (--flags, or a wide output) is not compared either: what that run would have answered is not known. Its
// users are no changes, and [Options.Each] gets those who have a variant of it as [FlagNotAsked]. A flag that a run
// without --flags does not have was not deployed, or nobody got it; there, a variant is a change.
//
// A user has the pair of ids, null being a value like any other. Users who share one are compared in their order: the
// second of BEFORE with the second of AFTER. The pair is represented by the first 128 bits of its SHA-256: a false match
// among ten million users has a chance of less than 1 in 10^24, also where somebody would like one.
//
// # Memory
//
// One pass needs 32 bytes a user, 5 to 10 in the index, and one byte for each flag (two where a flag has more than 255
// different variants, payloads and experiment keys). Where that is more than Options.Memory, users are taken a range of
// hashes at a time, and both files are read once for each.
package diff
