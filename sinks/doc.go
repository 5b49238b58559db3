// Package sinks writes what came of a run: assignments and error records, as CSV, TSV, JSONL or Parquet.
//
// Start at [Create]: it makes an [Output] from a file name, whose ending is the format. An Output is a
// [pipeline.Sink], so it takes outcomes; what it does with them is decided by two independent halves:
//
//   - A table (table.go, layout.go, errors.go) knows the columns of a layout and turns an outcome into a block of
//     rows. The long layout, the wide one and the error records are tables. Another layout is another table.
//   - An encoder (csv.go, jsonl.go, parquet.go) writes blocks in one format. Another format is another encoder and
//     another case of the one format switch, in create.go.
//
// A block is made for speed: what a user's rows share (ids, times, carried columns) stands in it once, and what varies
// (flag, variant, payload, …) is a tuple, of which a run has few, so that encoders remember what they made of it
// (tuples.go). A text format's row is then two or three copies (lines.go); Parquet's is a run, or a number of a
// dictionary's entry, in each column (parquetcolumn.go), and pages are our own (parquetpage.go).
//
// A file appears under its final name only when it is complete (pipeline/durable):
//
//	Create   a temporary file in the same folder, under a hidden name
//	Write    … rows …
//	Close    flush, finish the format, fsync, close; every error is checked
//	Discard  instead of renaming it, at any time: nothing is left
//
// Giving the files their names is the command's: it lists the renames of all files of a run in its journal first, so
// that a crash between two of them is mended. [Multi] is several outputs of one run behind one sink.
//
// After an error an Output is of no use any more: Write and Close return that error again.
//
// # Values in the formats
//
// Null is an empty cell in CSV and TSV, where an empty string is "" in quotes; null in JSONL; and null in
// Parquet. JSON texts (a payload, an error record's input) keep their bytes, with one exception: in JSONL they
// are values of their own, and one that was answered over several lines loses the white space between its
// tokens, because a line is a record there; and an escape in it that is half of a surrogate pair, a text cut in the
// middle of an emoji, becomes \ufffd, because DuckDB refuses a whole file for one ([Info] counts them). NaN and the infinities, which JSON lacks, are null in JSONL and
// NaN, Infinity and -Infinity in CSV and TSV.
//
// Carried columns keep their types in Parquet: 64-bit integers, doubles, booleans, dates, timestamps (in microseconds
// and UTC), decimals, texts; lists and objects are their JSON as text. Timestamps of our own are in milliseconds. INT96
// and nanoseconds are never written. In the text formats a carried timestamp always has six digits behind the second, and
// one of our own three: DuckDB's read_json knows no timestamps in a column of which only some have a fraction.
//
// A decimal is its exact digits everywhere, and in JSONL they are in quotes. A JSON number with a point is a double to DuckDB
// and pandas, which keeps 15 digits, and there is no way to have the others back. Of a JSON string DuckDB makes a VARCHAR, or
// what columns = {price: 'DECIMAL(12,2)'} says; pandas guesses a float unless dtype=False or dtype={"price": str} says not to,
// and then it has the text (https://pandas.pydata.org/docs/reference/api/pandas.read_json.html). In CSV nothing can tell the
// two apart: both guess a double, unless the column is declared, with types = {price: 'DECIMAL(12,2)'} or dtype={"price": str}.
//
// Text is UTF-8 in every format. The sources see to that; should a text get here that is not, each bad
// sequence becomes U+FFFD, since one such cell would make a whole Parquet or JSONL file unreadable to others.
//
// # Columns
//
//	long  row_number, user_id, device_id, flag_key, outcome, variant, payload, experiment_key, evaluated_at,
//	      what Spec.Include names of metadata, evaluation_id and value, in that order of naming, the carried columns
//	wide  row_number, user_id, device_id, each flag (and with payload included <flag>.payload after it), evaluated_at,
//	      the carried columns
//
// In the wide layout an answered user has one row whatever was answered; a cell is null for a flag that was not
// assigned. No two columns have the same name; names.go says what counts as the same.
package sinks
