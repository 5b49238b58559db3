// Package diff says what changed between two finished runs: for each flag how many users went from which variant to
// which, who was added and removed, and, where it can be known, whether a new configuration or the user's new
// properties caused it. It is what rollcall diff does.
//
// From the command to the line that counts a changed user:
//
//	cmd/rollcall/diff.go       parses the options, and calls Compare
//	Compare                    opens both runs (newComparison, openSide) and compares their flag configurations
//	comparePasses              compares all users, as many in one pass as fit into memory
//	comparePass                reads BEFORE (storeUser), then AFTER (compareUser)
//	compareUser                finds the same user of BEFORE (matchUser)
//	countUser                  compares each flag, and counts
//	makeReport                 turns the counts into a Report
//
// The files:
//
//	diff.go       Compare, its options, and a Change
//	compare.go    the passes: users are matched, compared and counted
//	list.go       the changes, one by one, for Options.Each
//	evaluate.go   the causes: users who changed are evaluated again, with the other run's configuration
//	side.go       one of the two snapshots: the outputs that it is read from
//	users.go      the users of BEFORE in memory
//	states.go     what a user can have of a flag, as small numbers
//	configs.go    what differs between two files of flag configurations
//	report.go     the Report: what changed, as data
//	sentences.go  what changed in words, for table.go, markdown.go and the page
//
// # What is a difference
//
// Variant, payload and experiment key are. Row numbers, times, evaluation ids, metadata and carried columns are not,
// and neither are the format, the layout, the order of rows, and how a payload's JSON is spaced and its names are
// ordered. What only one of the two snapshots records is not compared, and [Report.Notes] says so. A flag that one of
// the runs did not ask for (--flags, or a wide output) is not compared either: what that run would have answered is
// not known. Its users did not change, and [Options.Each] gets those who have a variant of it as [FlagNotAsked]. A
// flag that a run without --flags does not have was not deployed, or nobody got it; there, a variant is a change.
//
// A user is identified by the user id and the device id, null being a value like any other. Users who share both are
// compared in their order: the second of BEFORE with the second of AFTER. The two ids are represented by the first 128
// bits of their SHA-256: the chance of a false match among ten million users is less than 1 in 10^24, even where
// somebody tries to cause one.
//
// [Options.Only] restricts the comparison to the members of cohorts. Where none of them is in either snapshot, nothing was
// compared, and no limit holds.
//
// # Causes
//
// Where both runs evaluated flag configurations on this machine, and these and the inputs are unchanged, each user who
// changed is evaluated four times: as they were and as they are now, with the old configuration and with the new one.
// [Cause] says what follows from that.
//
// # Memory
//
// One pass needs 32 bytes a user, 5 to 10 in the index, and one byte for each flag (two where a flag has more than 255
// different variants, payloads and experiment keys). Where that is more than Options.Memory, users are compared one
// range of hashes at a time, and both files are read once for each.
package diff
