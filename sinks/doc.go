// Package sinks writes the results of a run: assignments and error records, as CSV, TSV, JSONL or Parquet.
//
// Start at [Create]: it makes an [Output] from a file name, whose extension is the format. An Output is a
// [pipeline.Sink], so it takes outcomes. Two independent halves decide what it does with them:
//
//   - A table (table.go, layout.go, errors.go) knows the columns of a layout and turns an outcome into a block of
//     rows. The long layout, the wide layout and the error records are tables. A new layout is a new table.
//   - A format (csv.go, jsonl.go, parquetdata.go) encodes blocks. A new format is a new one of these and a case of the
//     one format switch, in create.go.
//
// A block is made for speed. What the rows of a user share (ids, times, carried columns) is in it once. What varies
// (flag, variant, payload, …) is a tuple. A run has few different tuples, so encoders keep what they encoded for each
// (tuples.go). A row of a text format is then two or three copies (lines.go); in Parquet it is a run, or the index of a
// dictionary entry, in each column (parquetcolumn.go), and the pages are written here, not by arrow (parquetpage.go).
//
// # Goroutines
//
// An Output takes outcomes one by one with Write, or has many goroutines encode some each ([Output.Encode]) and takes
// the pieces in order (piece.go). Both are the same encoding, so however outcomes are divided the file is the same.
// The goroutine that writes only passes pieces on:
//
//	text        pieces of lines ─▶ compressor ─▶ SHA-256 ─▶ file, a goroutine each (stage.go)
//	Parquet     pieces of rows ─▶ columns, divided among goroutines (parquet.go) ─▶ SHA-256 ─▶ file
//
// They begin with the first piece, and have ended when Close or Discard returns. What waits between them is bounded. An
// error of the file is returned by a later Write, or by Close.
//
// # Life cycle
//
// A file gets its final name only when it is complete (pipeline/durable):
//
//	Create   makes a temporary file in the same directory, under a hidden name
//	Write    adds rows
//	Close    flushes, finishes the format, syncs, closes; every error is checked
//	Discard  at any time instead of the rename: removes the file
//
// The command renames the files: it lists the renames of all files of a run in its journal first, so that a crash
// between two of them can be repaired. [Multi] is several sinks behind one.
//
// After an error an Output is unusable: Write and Close return that error again.
//
// # Partitions
//
// [CreatePartitioned] makes a [Partitioned], an output that is several files: in a directory for each value of some
// columns, or so many rows each. The rows of all partitions wait in compressed blocks (partitionspill.go) until Close
// writes the files, one after the other, each as an Output of its own. So memory does not depend on how many partitions
// there are, or on how the input is sorted, and a partition is one file.
//
// # Columns of the assignments
//
// The long layout has a row for each flag of each answered user, with these columns:
//
//	row_number      integer    the row's number in the input, from 1; never null
//	user_id         text       null if the user has none
//	device_id       text       null if the user has none
//	flag_key        text       never null
//	outcome         text       assigned or not_assigned; never null
//	variant         text       the variant's key; null if not assigned
//	payload         JSON       the variant's payload; null if it has none
//	experiment_key  text       null if the flag is not part of an experiment
//	evaluated_at    timestamp  when the user was evaluated, in milliseconds and UTC; never null
//	metadata        JSON       only if Spec.Include names it
//	evaluation_id   text       only if Spec.Include names it
//	value           text       the variant's value; only if Spec.Include names it
//	cache           text       hit, miss, or null if the answer does not tell; only if Spec.Include names it
//	age_seconds     integer    how long a cache had the answer, if it says so; with cache
//	…                          the carried columns, in the order of Spec.Carry
//
// metadata, evaluation_id and value are in the order in which Spec.Include names them.
//
// The wide layout has one row for each answered user, whatever the answer was:
//
//	row_number, user_id, device_id
//	<flag>          text       the variant's key; null if not assigned; a column for each of Spec.Flags
//	<flag>.payload  JSON       after each flag, only if Spec.Include names payload
//	evaluated_at
//	cache, age_seconds         only if Spec.Include names cache
//	…                          the carried columns
//
// No two columns have the same name; names.go says which names are the same.
//
// # Columns of the error records
//
// The error records have a row for each failed user. They are an input that rollcall reads again.
//
//	row_number   integer    the row's number in the input; never null
//	user_id      text       null if the row has none, or does not decode
//	device_id    text       null if the row has none, or does not decode
//	kind         text       one of [pipeline.Kinds]; never null
//	http_status  integer    null if there was no HTTP response
//	attempts     integer    how often the API was asked; never null
//	message      text       never null
//	occurred_at  timestamp  in milliseconds and UTC; never null
//	input        JSON       the original row, as an object of its cells by column name; null if it is unknown
//	run_id       text       the run in which the user failed
//
// # Values in the formats
//
// Null is an empty cell in CSV and TSV, where an empty string is "" in quotes. It is null in JSONL and in Parquet.
//
// CSV has commas between its cells, or Spec.Delimiter, which no number and no time contains. With Spec.BOM, CSV and TSV
// begin with a byte order mark.
//
// JSON texts (a payload, an error record's input) keep their bytes. JSONL, where they are nested values, has two
// exceptions. A text of several lines loses the white space between its tokens, because a line is a record. And a lone
// surrogate, an escape that is left where a text was cut in the middle of an emoji, becomes \ufffd, because DuckDB
// refuses a whole file for one ([Info] counts them).
//
// NaN and the infinities, which JSON lacks, are null in JSONL and NaN, Infinity and -Infinity in CSV and TSV.
//
// Carried columns keep their types in Parquet: 64-bit integers, doubles, booleans, dates, timestamps (in microseconds
// and UTC), decimals, texts. Lists and objects are JSON texts. INT96 and nanoseconds are never written. In the text
// formats a carried timestamp always has six digits after the second, and one of ours three: DuckDB's read_json does
// not recognize timestamps in a column of which only some have a fraction.
//
// A decimal is its exact digits in every format, in quotes in JSONL. DuckDB and pandas read a JSON number with a point
// as a double, which keeps 15 digits, and the others are lost. DuckDB reads a JSON string as VARCHAR, or as
// columns = {price: 'DECIMAL(12,2)'} says; pandas guesses a float unless dtype=False or dtype={"price": str} is given
// (https://pandas.pydata.org/docs/reference/api/pandas.read_json.html). In CSV nothing distinguishes the two: both
// guess a double, unless the column is declared, with types = {price: 'DECIMAL(12,2)'} or dtype={"price": str}.
//
// Text is UTF-8 in every format. The sources ensure that. Should invalid text arrive, each bad sequence becomes U+FFFD,
// since one such cell would make a whole Parquet or JSONL file unreadable to other tools.
package sinks
