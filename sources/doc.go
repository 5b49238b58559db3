// Package sources reads users from CSV, TSV, JSONL and Parquet files.
//
// Start at [Open]: it takes the files of one run and the mapping of their columns, and returns an [Input], which is a
// [pipeline.Source]. Two steps turn a file into rows:
//
//  1. A reader for each format (csv.go, jsonl.go, parquet.go) decodes one record after the other into cells, which are
//     named values in the input's order. [Open] holds the one switch over the formats.
//  2. One mapper turns the cells into a user and its carried columns, in the same way for every format. How each column
//     is used (mapping.go) is decided once for a file with a header, and once for each name in JSONL, where every row
//     has its own columns. user.go then makes the user of each row.
//
// # Fields of a user
//
// A column is a field of the user if its name is one of these, or if [Mapping].Map assigns it to one:
//
//	user_id, device_id            the ids; a row needs at least one of them
//	context                       a JSON object: a whole user, on which the other columns are laid
//	country, region, city, dma, language, platform, version, os, device_manufacturer, device_brand, device_model,
//	carrier, library, ip_address  texts
//	user_properties.NAME          a user property, of any type
//	groups.TYPE                   the name of the user's group of that type, or a list of names
//	group_properties.TYPE.NAME    a property of the user's group of that type; it needs groups.TYPE
//	user_properties, groups,      the same as a whole: JSON objects
//	group_properties
//
// Names match exactly first, and then regardless of case. Other columns are not sent, unless [Mapping].Properties or
// AllProperties makes them user properties under their own names.
//
// Ids are used byte for byte, unless [Mapping].Trim is set. [Input.DamagedIDs] reports the ids that a tool has probably
// changed: surrounding white space, null, 12345.0, 1.23457E+15, a header in the middle of the file, rounded floats
// (ids.go).
//
// # Bad rows
//
// A bad row is a record that cannot be decoded or mapped. It is returned as a row with Err set, and the next record
// follows. The kinds are [pipeline.KindBadRow] (broken quotes or JSON, a wrong number of cells, a value that is not of
// its column's type, a NUL byte, more than 1 MiB, two columns for one field), [pipeline.KindMissingID] and
// [pipeline.KindInvalidContext].
//
// The error names the line and the column, never a value, and the file only if there are several. If the record is
// text, the row's Input holds its line and its cells or text, under one name that no user has (badrow.go). So the error
// record shows it, and it can be read again as what it was.
//
// Damage that makes the rest of a file unusable, such as text that is not UTF-8, a damaged Parquet page or a read
// error, is an error of Next, and ends the input. What is known before the first row, such as a header without an id
// or an option that names a missing column, is an error of Open.
//
// # CSV and TSV
//
// A quote is special only at the start of a cell; elsewhere it is a character, as in the JSON of a TSV. Columns of the
// header without a name, or with a duplicate name, get a name with their position, "x (column 3)", and are not used
// unless an option names them so. A first line sep=; comes from Excel, and sets the delimiter.
// Error records have the delimiter of the outputs of their run, and are recognized whatever it is.
//
// # Parquet
//
// parquet.go reads rows from the wanted columns, with arrow's decoders. Between them and the file is
// [github.com/rollcall-cli/rollcall/pipeline/parquetfile], because arrow trusts the sizes in a file; it also converts
// what arrow does not know (byte-stream-split, LZ4).
//
// parquetnode.go assembles nested columns: a struct or a map is an object, a list is a list, as in JSONL; the nulls of
// a struct are left out. A part of a struct that an option names with dots is a column of its own.
//
// parquetvalue.go converts each type. Decimals are exact texts, and keep their type where they are carried. Times and
// dates are RFC 3339; a timestamp without a zone is treated as UTC. Integers keep all their digits.
//
// A column that cannot be read, or that has a logical type newer than arrow (VARIANT, GEOMETRY) or a misplaced one, is
// an error that names it, but only if the column is wanted. With AllProperties such columns are left out, and so are
// columns of bytes that are not text (parquetbinary.go). Pages with a checksum are checked against it.
//
// # Several files
//
// The files of one input have the same columns, in any order, with the same types; integers may differ in size, floats
// too, and decimals in precision. Directories named key=value above a file are text columns, in every format, as in
// DuckDB, pyarrow and Spark, unless the file itself has a column of that name, whatever the case; an object of JSONL that
// has the member keeps its own (directory.go). A table of Delta Lake, Hudi or Iceberg is an
// error, because only its log says which files are current; so is a file that is named twice (table.go).
//
// A file of error records is an input too, in any format; its columns identify it (errorfile.go). Its cells are those
// of the original row, under the original number.
//
// # Goroutines
//
// ahead.go decodes a file in several goroutines, ahead of [Input.Next]: a text file in blocks of whole records, and the
// columns of a Parquet file side by side (parquetahead.go). What is read in order by one goroutine is the file and the
// ends of its records, and nothing else. Rows, errors, line numbers and row numbers are the same with any number of
// goroutines: what cannot be cut off or decoded by itself, such as an unclosed quote or a damaged page, is read as if
// there were one. With one processor there is one, and error records have no others either.
//
// # Passes
//
// A run reads its input twice: [Input.Inspect] makes the first pass, which only looks at the rows, cheaper. [Pin] keeps
// the files open in between and hashes what each pass reads, in a goroutine of its own. A file that was
// rewritten in the meantime is a [*ChangedError]; one that was replaced is read as it was before (pin.go).
//
// # Parts
//
// [Divide] divides an input into parts of about the same size, and [Options].Parts reads one: its rows have the numbers
// and the lines that they have in the whole, and a process reads little more than its part (part.go).
//
// # Bounds
//
// In every format, a record may take 1 MiB, and its nested values as much as JSON. A Parquet page may take 128 MiB
// decompressed, and the pages of all columns 256 MiB. Memory does not grow with the length of the input, and none is
// allocated for a size that a file merely claims. What is decoded ahead takes some megabytes, or one record.
package sources
