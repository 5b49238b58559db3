// Package check holds finished snapshots against a rules file: assertions that live beside an experiment's code, and
// that a build or a launch can depend on.
//
// How it works, in the order of the files:
//
//  1. [Load] and [Parse] (parse.go, decode.go) read a rules file strictly: what they do not know is an error with file,
//     line and a suggestion. schema.go compiles the JSON Schemas in it; nothing is fetched for that.
//  2. [Check] (check.go) opens the snapshots, and holds every name in the rules against them (bind.go): flags,
//     variants, columns, and the types in the expressions (where.go), before a user is read.
//  3. It reads every snapshot once, for all rules together (count.go). Memory depends on the rules, and not on the users.
//  4. judge.go makes the [Report] (report.go) of what was counted, and table.go, markdown.go, junit.go and
//     [Report.JSON] print it.
//  5. [Init] (init.go) writes a first rules file from what a snapshot shows.
//
// # The rules file
//
// It is YAML. At the top stand
//
//	version     1; may be left out
//	flag        the flag of all checks that name none
//	controls    variants that are no treatment, whatever the case; control, off and default if it is left out
//	variants    flag: [variants] that the flag has although nobody in a snapshot may have got them
//	types       column: string, int, float or bool. In CSV, TSV and JSONL all columns are strings without it, and
//	            Parquet has types of its own
//	checks      a list; at least one
//
// Each check is one assertion: exactly one of the following keys, with the keys that belong to it. All take name, which
// is what the check is called in the results.
//
//	share: {min: 45%, max: 55%}    of the users who have flag's variant (one or a list, of which any counts); 45% or 0.45.
//	                               of: users (all, the default) or assigned (those with any variant of the flag).
//	                               Also where
//	count: {min: 100, max: 200}    of the same users. Also flag, variant, where
//	exposed: nobody or everybody   no user, or every user, is in a treatment of flag: a variant that is not among controls,
//	                               or is among treatments, where the check says those. Also where
//	exclusive: [flags]             no user is in two of them. who: assigned (any variant, the default) or exposed (a
//	                               treatment; also treatments). Also where
//	holdout: flag                  whoever has its variant (one or a list) is in no treatment of flags. Also treatments, where
//	ratio: {variant: weight, …}    the users who have a variant of flag are split by the weights (chi-squared); every
//	                               variant that is not among the weights fails it, and not_assigned may be among them. by:
//	                               columns, each value of which is tested, too. alert: the p-value below which it fails, that
//	                               of all users alone, or in a slice that is Holm-corrected for all slices; 0.001.
//	                               Where all users are off, slices that share it are not listed. Also where
//	payload: FILE or a schema      the payloads of flag conform to a JSON Schema, in a file beside or below the rules file
//	                               or written out. variant: whose payloads (all); optional: true lets users without a
//	                               payload pass. Also where
//	failed: {max: 1%}              of the users, or {max: 10} of them, at most, could not be answered
//	users: {min: 1000, max: …}     were answered
//	flags: [flags]                 somebody got a variant of each
//	younger: 24h                   the oldest run began less than that ago; 90m, 24h or 7d
//
// Users are the answered ones, told apart by user id or else device id. Where some have several rows, users counts each
// once, and every other check counts rows and says so. Rows of one user that have different variants each count as they
// are, and the results warn of them. Checks of which flags a user has together, exclusive and holdout, look at one row at
// a time, and say how many users' rows differ in such flags. Memory does not grow with the users: of more than 65,536, how
// many they are is an estimate, to about half a percent.
//
// not_assigned is the name of having no variant. Several snapshots are added up.
//
// # Where
//
// where is an expression over the carried columns, and the check is about the users for whom it holds:
//
//	country == "DE" and plan != "free"
//
// It has and, or, not; ==, !=, <, <=, >, >=, in [..], contains, startsWith, endsWith, matches "regular expression" (RE2);
// + - * / % **, ?? and the functions len, lower, upper, trim and abs. user_properties.plan is the column of that name;
// for other names there is $env["lifetime value"]. Dates and times are texts in the form that a CSV output has:
// signup_date >= "2026-01-01".
//
// A missing value (null; an empty cell of CSV) fulfils no condition but == nil: country == "DE", seats > 3 and country in
// ["DE"] are false where the value is missing, and so they are true behind not; != is not ==, so plan != "free" is true.
// (plan ?? "free") has "free" in place of a missing value.
//
// # Nothing passes by accident
//
// A check over no users is an error, as is one that the snapshot cannot decide, because users without any variant are
// not in its file. Both count as not holding.
package check
