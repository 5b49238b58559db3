// Package report answers the auditor's questions about finished snapshots: can they be trusted, who is exposed to
// what, does the split hold, also in each slice, and is anybody in two experiments at once.
//
// How it works, in the order of the files:
//
//  1. [Build] (build.go) opens the runs with [snapshot.OpenAll], reads every snapshot once and hands each user to a
//     collector (collect.go). The collector counts: users by flag and variant, by slice, by pair of flags. It knows
//     flags, variants and slices as small numbers, and holds nothing of any user, so its memory does not grow with
//     the input.
//  2. A slice is the users with one value of a carried column. Which values there are, and whether they are numbers,
//     is only known at the end; dimension.go counts finely on the way and folds then: numbers into bins of about as
//     many users each, rare values into "other".
//     The users of a cohort are such a slice, too: its members are looked up by user id, and nothing but which of them
//     were found is kept (cohort.go).
//  3. analyze.go makes the [Report] (report.go) of the counts: shares and intervals, the tests, and the findings,
//     worst first. Tests are corrected by family: flags' splits, who gets a flag, slices, pairs of flags, who failed.
//     So what is said of a flag does not depend on how many slices are looked at. A slice of a flag that is off as a
//     whole is a finding only if it is also unlike all others.
//  4. What it says is data: a [Statement] is a code and numbers, and statement.go makes the sentences of all codes.
//     table.go, markdown.go, [Report.JSON] and the page print it.
//
// What is tested is the split among the users who got a variant. Who gets one at all is a matter of targeting, and
// tested only where the flag configurations leave it to the bucket alone. What the expected shares are comes from
// outside, as an [Expectation] for each flag; without one, a slice is compared with all other users instead.
package report
