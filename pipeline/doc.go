// Package pipeline has the domain types of rollcall and the ordered run that turns users into assignments: one row in,
// one outcome out. This comment is also the map of the module.
//
//	source ──rows──▶ N workers, an Evaluator ──outcomes, in input order──▶ sink
//
// # The map
//
// Each package, and the commands of rollcall that it serves:
//
//	cmd/rollcall          the command: options, wiring, exit codes; one file a command
//	cmd/parity            not shipped: compares pipeline/engine with Amplitude's own engine
//	cmd/benchjob          not shipped: measures whole jobs beside their peers (make bench)
//	sources               reads users from CSV, JSONL and Parquet: snapshot, explain, report, check, diff
//	sinks                 writes assignments and error records: snapshot
//	pipeline              types, values, errors and the run: snapshot, and every other command
//	pipeline/amplitude    asks Amplitude over HTTP, within a rate and with retries: snapshot, flags
//	pipeline/engine       evaluates flag configurations in this process: snapshot, explain, flags, report, diff, serve
//	pipeline/local        evaluates users with the engine and lists of cohorts' members: snapshot, pipe, explain, serve
//	pipeline/cohort       knows who the members of cohorts are, from files: snapshot, explain, serve, report, check, diff
//	pipeline/evalserver   stands in for Amplitude, over the engine: serve, --server embedded, and the tests
//	pipeline/blob         reads and writes files in buckets, and locally; s3, gcs and azure are drivers: snapshot
//	pipeline/journal      keeps the results of a run until they are published: snapshot, clean
//	pipeline/durable      makes files that survive a crash, and locks: every command that writes a file
//	pipeline/staging      makes files appear whole or not at all, on disk or in a bucket: snapshot
//	pipeline/parquetfile  opens Parquet files, which it does not trust: every command that reads one
//	pipeline/snapshot     writes the manifest, opens a finished run, verifies it: snapshot, verify, report, check, diff
//	pipeline/jsonschema   checks JSON values against JSON Schemas: check
//	pipeline/load         writes the SQL that loads an output into a database: load
//	pipeline/audit/report finds what is wrong in a snapshot's splits: report
//	pipeline/audit/check  checks a snapshot against rules: check
//	pipeline/audit/diff   compares two snapshots user by user: diff
//	pipeline/audit/page   renders their results as HTML: report, check, diff
//	pipeline/audit/stats  computes shares, intervals and p-values: report, check, diff
//	pipeline/audit/text   sanitizes, wraps and aligns what is printed: every command
//	pipeline/pipelinetest fakes, and the suites that every source, sink and store passes: the tests
//
// # The stages of a run
//
//  1. The reader, one goroutine, takes a free place in the window, fills it with a batch of rows, puts it
//     into the ordered queue, and then hands it to the workers. While the window is full it reads nothing.
//  2. The workers, N goroutines, evaluate the users of a batch and flatten the answers into assignments. If batches have
//     several rows and the sink is an [Encoder], they also have it encode the outcomes.
//  3. The emitter, one goroutine, takes the places in order, waits for each, writes its outcomes, or what was encoded
//     of them, to the sink and frees it.
//
// # Guarantees
//
//   - Order: the sink sees one outcome for each row, in input order, from one goroutine. The same input
//     gives the same calls with 1 worker and with 64. What is encoded is written in that order, too, and what is not to
//     be written is dropped, so the outputs are the same bytes.
//   - Bounds: at most Workers evaluations run at once. At most Window rows are in memory, or fewer if they and their
//     answers take more than WindowBytes. An answer that is awaited counts as those before it, so the sum exceeds
//     WindowBytes only by what the answers under way exceed that. The rows after a user whose answer does not come are
//     evaluated until the window is full. A row or answer of any size gets in: at the latest when all before it are
//     written.
//   - A row that does not decode, and a user whose evaluation fails, are outcomes with an Err. They never
//     end the run.
//   - Any other error of an evaluator, and any error of a sink, ends the run: everything is cancelled, nothing more
//     is written, and Run returns that error.
//   - An error of a source drains the run: the rows read before it are evaluated and written, then Run returns it.
//   - A soft stop ([Pipeline.Stop], or an evaluator's [ErrStopped]) reads no more rows and asks about no more users.
//     Evaluations under way are finished, and written up to the first user who was not asked about. Cancelling the
//     context is the hard stop: nothing more is written.
//   - When Run returns, all of its goroutines have ended. It closes nothing: whoever opened the source and the
//     sink closes them.
//
// # Who may call what
//
// The source is used by the reader alone, the sink by the emitter alone, but for [Encoder].Encode, and that and the
// evaluator by all workers at once.
//
// The package imports nothing else of this module; sources, sinks and evaluators import it.
package pipeline
