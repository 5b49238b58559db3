// Package parquetfile reads Parquet files that nobody vouches for, with arrow's decoders and without arrow's trust.
//
// arrow believes what a file says of itself. It allocates the size that a footer or a page header claims, and its
// decompressors go on for as long as the data do, so a file of a few kilobytes takes gigabytes; where the levels or the
// indices of a page end early, its ReadBatch turns forever; and on other damage, or a logical type that is newer than it,
// it panics. This package stands between a file and arrow's column readers, and lets through only what they can take. What
// becomes of the values is the caller's: [github.com/rollcall-cli/rollcall/sources] reads users of any writer, and
// [github.com/rollcall-cli/rollcall/pipeline/snapshot] what rollcall has written itself.
//
// # How to read a file
//
// [Open] looks at the footer before arrow does, and has the schema and the row groups in [File.Metadata] and
// [File.Group]; what in the schema arrow cannot take is in [File.BrokenTypes]. [File.Column] makes a [Column] for each
// column that is wanted, which is of use for all row groups:
//
//	Column.Open   begins the column in a row group
//	Column.Read   decodes some values into [Values], with their levels, while Column.HasNext
//	Column.Most   how many of them, so that copies of the values have bounded memory
//
// All of it, [Open] too, is called in [Guard], which turns what still panics in arrow into an error that names the
// file. Errors name no column: the caller does, who knows what it is called.
//
// [Options] are where callers differ: which codecs and encodings are taken, and what is said where one is not.
//
// # Where it is
//
// file.go is the file, footer.go what is done to its footer before arrow parses it, column.go the columns. Below them,
// page.go reads pages in place of arrow's page reader: thrift.go their headers, unpack.go what is compressed. check.go
// makes sure of what arrow takes for granted in a page, and plain.go turns encodings that arrow does not know into one that
// it does.
//
// # Bounds
//
// A page that has a checksum is checked against it. A wrong one is [ErrChecksum].
//
// A footer may take 64 MiB and have 500,000 parts, a page 128 MiB decompressed, and the pages of all columns together
// 256 MiB. No room is made for a byte that has not come: a zstd page has the window that its size needs, not the one that it
// claims.
package parquetfile
