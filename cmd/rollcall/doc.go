// Command rollcall asks Amplitude Experiment which variant each user of a file gets, and writes the answers
// down: every user once, in order, with nothing tracked and nothing lost.
//
// This package is the only one that knows all the others. main makes the environment (streams, signals) and
// calls run, which turns a command's error into an exit code. There is one file for each command; they read
// their options, wire a source, an evaluator and sinks to a pipeline, and run it.
//
//	snapshot.go   rollcall snapshot: preflight, claim, evaluation, and the manifest
//	options.go    its options, checked
//	journal.go    an unfinished run: locks, replay, and the options that bind it
//	minusers.go   --min-users: what an empty or failed input must not replace
//	clean.go      rollcall clean, and what is said of unfinished runs of other outputs; cleanstore.go: in stores
//	resume.go     whether a run goes on with an unfinished one, or begins anew
//	publish.go    publishing all files or none, also those of a run that died in the middle
//	partition.go  outputs that are several files: --partition-by and --rows-per-file
//	findings.go   what is odd about the input: damaged ids, ragged rows
//	input.go      inputs: globs, spooled standard input, the preflight pass, --limit and --sample
//	server.go     whose API: the options of snapshot and flags, the key, the embedded server
//	keyfile.go    --key-file: who else can read it
//	local.go      --evaluator local: the engine as an evaluator, and what it cannot know
//	filter.go     rollcall pipe: a line in, a line out
//	shard.go      --shard and --plan: a run of a part of the input
//	plan.go merge.go  how an input is divided into shards, and one run of them
//	semantics.go  --semantics, and the users to whom the other of Amplitude's engines gives another answer
//	crosscheck.go --cross-check: the local answers beside those of the API
//	dryrun.go     --dry-run; dryrunresult.go: as data
//	changes.go    flags that are edited while the run goes on
//	progress.go   the progress bar and lines
//	summary.go    the closing summary
//	result.go     what snapshot prints with --format json, and writes to --summary
//	warning.go    warnings, and their codes
//	config.go     --config and ROLLCALL_… for every option
//	cohorts.go    --cohorts and --cohort: the members of cohorts, for every command that uses them
//	list.go       options and files that are lists
//	latest.go     --manifest and --latest
//	nametemplate.go  {date} and other placeholders in the names of outputs
//	path.go       paths that cannot be read or written
//	stores.go     the object stores that paths can name
//	console.go    what is said on standard error; the last place where it is cleaned
//	print.go      what report, check and diff print, in each format
//	schema.go     rollcall schema: JSON Schemas of config files, rules files and JSON output; schemas/ holds those that
//	              are made of types, by a test with -update
//	help.go topics.go man.go  the options in the help, under headings; help topics; manual pages
//	complete.go   what shells complete
//	metrics.go    --metrics and --metrics-listen: how the run goes, for Prometheus
//	clock.go      the clock and run ids, which stand still in the crash tests (tag faultfs)
//	serve.go servecohort.go flags.go explain.go load.go version.go
//	verify.go report.go reportpage.go check.go diff.go   what a finished run left, read back
package main
