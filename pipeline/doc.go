// Package pipeline is the ordered run that turns users into assignments: one row in, one outcome out.
//
//	source ──rows──▶ N workers, an Evaluator ──outcomes, in input order──▶ sink
//
// # The stages
//
//  1. The reader, one goroutine, takes a free place of the window, fills it with a batch of rows, puts it
//     into the ordered queue, and then hands it to the workers. While the window is full it reads nothing.
//  2. The workers, N goroutines, evaluate the users of a batch and flatten the answers ([Flatten]).
//  3. The emitter, one goroutine, takes the places in order, waits for each, writes
//     its outcomes to the sink and frees it.
//
// # What is guaranteed
//
//   - Order: the sink sees one outcome for each row, in input order, from one goroutine; the same input
//     gives the same calls with 1 worker and with 64.
//   - Bounds: at most Workers evaluations run at once, and at most Window rows are in memory, or fewer if they
//     take more than WindowBytes.
//   - A row that does not decode, and a user whose evaluation fails, are outcomes with an Err. They never
//     end the run.
//   - An evaluator's other errors and a sink's error end the run: everything is cancelled, nothing more is
//     written, and Run returns that error.
//   - A source's error drains: the rows that were read are evaluated and written, then Run returns it.
//   - A soft stop ([Pipeline.Stop], or an evaluator's [ErrStopped]) reads and asks no more. What is being evaluated is
//     finished, and written up to the first user who was not asked. Cancelling the context is the hard stop: nothing
//     more is written.
//   - When Run returns, none of its goroutines is left. It closes nothing: whoever opened the source and the
//     sink closes them.
//
// # Who may call what
//
// The source is used by the reader alone, the sink by the emitter alone, the evaluator by all workers at once.
//
// The package imports nothing else of this module; sources, sinks and evaluators import it.
package pipeline
