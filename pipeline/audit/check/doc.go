// Package check checks finished snapshots against a rules file, which is kept beside an experiment's code, so that a
// build or a launch can depend on it. It serves `rollcall check`.
//
// A rules file is a list of checks. A check ([Check]) is one assertion, of one [Kind]. Its [Result] says whether it
// holds and what was found; violations are the users because of whom it does not hold.
//
// The files, in the order in which they are used:
//
//	parse.go, decode.go, schema.go   [Load] and [Parse] read a rules file strictly: an unknown key is an error with file,
//	                                 line and a suggestion. JSON Schemas are compiled; nothing is fetched for that
//	check.go                         [Run] opens the snapshots
//	bind.go, where.go                compare every name in the rules with the snapshots (flags, variants, columns, and the
//	                                 types in expressions) before a user is read
//	count.go                         reads every snapshot once, for all checks together. Memory depends on the rules, and not
//	                                 on the users
//	judge.go                         makes the [Report] (report.go) of the counts: data, and no sentences
//	words.go                         makes sentences of a Report, for table.go, markdown.go, junit.go and [Report.JSON]
//	init.go                          [Init] writes a first rules file from what a snapshot shows
//
// # The rules file
//
// It is YAML. The keys at the top are
//
//	version     1; may be left out
//	flag        the flag of all checks that have none
//	controls    variants that are no treatment, whatever the case; default: control, off and default
//	variants    flag: [variants] that the flag has although nobody in a snapshot may have got them
//	types       column: string, int, float or bool. In CSV, TSV and JSONL all columns are strings without it, and
//	            Parquet has types of its own
//	checks      a list; at least one
//
// Each check has exactly one of the following keys, which is its kind, and the keys that belong to it. All can have
// name, which is what the check is called in the results.
//
//	share: {min: 45%, max: 55%}    of the users who have flag's variant (one or a list, of which any counts); 45% or 0.45.
//	                               of: users (all, the default) or assigned (those with any variant of the flag).
//	                               Also where
//	count: {min: 100, max: 200}    of the same users. Also flag, variant, where
//	exposed: nobody or everybody   no user, or every user, is in a treatment of flag: a variant that is not among controls,
//	                               or is among treatments, if the check has those. Also where
//	exclusive: [flags]             no user is in two of them. who: assigned (any variant, the default) or exposed (a
//	                               treatment; also treatments). Also where
//	holdout: flag                  no user who has its variant (one or a list) is in a treatment of flags. Also treatments, where
//	ratio: {variant: weight, …}    the users who have a variant of flag are split by the weights (chi-squared); a variant
//	                               that is not among the weights fails it, and not_assigned may be among them. by: columns;
//	                               the users with each value of one are a slice that is tested, too. alert: the p-value
//	                               below which it fails, of all users alone, or of a slice, Holm-corrected for all slices;
//	                               0.001. If all users are off, a slice is listed only if it is also unlike all others.
//	                               Also where
//	payload: FILE or a schema      the payloads of flag conform to a JSON Schema, in a file in the directory of the rules
//	                               file or below, or written out. variant: whose payloads (all); optional: true lets users
//	                               without a payload pass. Also where
//	failed: {max: 1%}              of the users, or {max: 10} of them, at most, failed
//	users: {min: 1000, max: …}     were answered
//	flags: [flags]                 somebody got a variant of each
//	unchanged: true                no flag that was evaluated, or that one of those depends on, was edited while a run went
//	                               on; where a server gave no configurations, that cannot be decided
//	seen: {min: 95%, max: …}       of the members of a cohort, or {min: 100} of them, are among the answered users. cohort:
//	                               which cohort
//	younger: 24h                   the oldest run began less than that ago; 90m, 24h or 7d
//
// Users are the answered ones, told apart by user id or else device id. If some have several rows, users counts each
// once, and every other check counts rows and says so. Rows of one user that have different variants each count as
// they are, and the results warn of them. Checks of which flags a user has together, exclusive and holdout, look at
// one row at a time, and say how many users have rows that differ in such flags. Memory does not grow with the users:
// of more than 65,536, how many they are is an estimate, to about half a percent.
//
// not_assigned is the name of having no variant. Several snapshots are added up.
//
// # Cohorts
//
// Every check that can have where can also have cohort and not_cohort, each a name or a list, and is then about the users
// who are members of one of those cohorts, or of none. The cohorts are given along with the snapshots
// ([Options.Cohorts]); one that is not given is an error. Users are looked up by their user id; one who has none is no
// member.
//
// # Where
//
// where is an expression over the carried columns, and the check is about the users for whom it is true:
//
//	country == "DE" and plan != "free"
//
// It has and, or, not; ==, !=, <, <=, >, >=, in [..], contains, startsWith, endsWith, matches "regular expression"
// (RE2); + - * / % **, ?? and the functions len, lower, upper, trim and abs. user_properties.plan is the column of
// that name; for other names there is $env["lifetime value"]. Dates and times are texts in the form that a CSV output
// has: signup_date >= "2026-01-01".
//
// A missing value (null; an empty cell of CSV) makes every condition false but == nil: country == "DE", seats > 3 and
// country in ["DE"] are false where the value is missing, and so they are true after not; != is not ==, so plan !=
// "free" is true. (plan ?? "free") has "free" in place of a missing value.
//
// # Nothing passes by accident
//
// A check over no users is an error, and so is one that the snapshot cannot decide, because users without any variant
// are not in its file. Both count as not holding.
package check
