// Package sources reads users from CSV, TSV, JSONL and Parquet files.
//
// [Open] is where to start: it takes the files of one run and how their columns map, and returns an [Input],
// which is a [pipeline.Source]. Inside, two steps turn a file into rows:
//
//  1. A reader for each format (csv.go, jsonl.go, parquet.go) decodes one record after the other into cells,
//     which are named values in the input's order. [Open] holds the one switch over the formats.
//  2. One mapper lays the cells out as a user and its carried columns, the same way for every format. What a
//     column is used for (mapping.go) is decided once for a file with a header, and once for each name in JSONL,
//     where every row has its own columns; user.go then makes each row's user.
//
// A file of error records is an input too, in any format and known by its columns (errorfile.go): its cells are those
// of the original row, under the original number.
//
// # Parquet
//
// parquet.go reads rows out of the columns that are wanted, with arrow's decoders. Between them and the file is
// [github.com/rollcall-cli/rollcall/pipeline/parquetfile], because arrow believes what a file says of its sizes; it also
// turns what arrow does not know (byte-stream-split, LZ4) into what it does. parquetnode.go puts nested columns
// together: a struct or a map is an object, a list a list, as in JSONL; nulls of a struct are left out. Where an option
// names a part of a struct with dots, that is a column of its own. parquetvalue.go says what becomes of each type:
// decimals are exact texts, which are of a type of their own where they are carried, times and dates RFC 3339, a timestamp
// without a zone is taken for UTC, and integers keep all their digits. What cannot be read, or is of a logical type that is
// newer than arrow (VARIANT, GEOMETRY) or out of place, is refused by name, and only if it is wanted. Where all columns are
// sent, such a column is left out, and so is one of bytes that are not text (parquetbinary.go). Pages that have a checksum
// are checked against it.
//
// The files of one input have one schema: the same columns, in any order, that hold the same; integers of different
// sizes do, and so do floats, and decimals of one scale. Folders called key=value above a file are columns of texts, as DuckDB, pyarrow and Spark
// have it, unless the file has a column of that name itself (folder.go). A table of Delta Lake, Hudi or Iceberg is refused,
// because its log says which files count, and so is a file that is named twice (table.go).
//
// # CSV and TSV
//
// A quote counts where it begins a cell; elsewhere it is a character, as in the JSON of a TSV. Columns of the header
// that have no name, or one that another has too, get a name with their position, "x (column 3)", and are not used unless
// an option says it. A first line sep=; is Excel's, and says the delimiter.
//
// # Ids
//
// Ids are taken byte for byte, unless Mapping.Trim says otherwise. [Input.DamagedIDs] says which of them a tool has
// changed on the way: white space around, null, 12345.0, 1.23457E+15, a header in the middle, rounded floats (ids.go).
//
// # What goes wrong, and how it is told
//
// A record that does not decode is a row with its Err set, and the next record follows. Where it is text, its Input holds
// the line and the cells, or the text, under one name that no user has (badrow.go): so it can be looked at in the error
// record, and read again as what it was. What makes the rest of
// a file unusable, such as text that is not UTF-8, a damaged Parquet page or a read error, is an error of Next, and it
// ends the input. What is known before the first row, such as a header without an id or an option that names
// a column which is not there, is an error of Open. Errors name files, lines and columns, never a value; that of a row
// names the file only where there are several.
//
// A run reads its input twice. [Pin] keeps the files open in between and hashes what each pass reads; a file that was
// rewritten meanwhile is a [*ChangedError], and one that was replaced is read as it was (pin.go).
//
// # Bounds
//
// A record may take 1 MiB, and its nested values as much as JSON, in every format; a Parquet page 128 MiB decompressed,
// and the pages of all columns 256 MiB. Nothing grows with the length of the input, and no room is made for a size that
// a file merely claims.
package sources
