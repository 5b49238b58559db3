// Package parquetfile reads untrusted Parquet files with arrow's decoders.
//
// arrow trusts what a file says about itself. It allocates the sizes that a footer or a page header claims, and its
// decompressors have no limit, so a file of a few kilobytes takes gigabytes. If the levels or the indices of a page end
// early, its ReadBatch loops forever. On other damage, or a logical type that is newer than arrow, it panics. This
// package is between a file and arrow's column readers, and passes on only what they can handle. Callers convert the
// values: [github.com/rollcall-cli/rollcall/sources] reads users from the files of any writer, and
// [github.com/rollcall-cli/rollcall/pipeline/snapshot] reads rollcall's own files.
//
// # How to read a file
//
// [Open] checks the footer before arrow parses it. The schema and the row groups are in [File.Metadata] and
// [File.Group]; the parts of the schema that arrow cannot handle are in [File.BrokenTypes]. [File.Column] makes a
// [Column] for each wanted column, which serves for all row groups:
//
//	Column.Open       begins the column in a row group
//	Column.Read       decodes some values into [Values], with their levels, while Column.HasNext
//	Column.BatchSize  says how many, so that copies of the values take bounded memory
//
// Call all of this, [Open] included, in [Guard], which turns the remaining panics of arrow into errors that name the
// file. Errors do not name the column; the caller adds that.
//
// [Options] say which codecs and encodings are accepted, and what the error is for others.
//
// # Files
//
// file.go has the file, footer.go checks and repairs its footer before arrow parses it, and column.go has the columns.
// page.go replaces arrow's page reader; it uses thrift.go for the headers and unpack.go for decompression. check.go
// checks what arrow takes for granted in a page, and plain.go converts encodings that arrow does not know to PLAIN.
//
// # Bounds
//
// A footer may take 64 MiB and have 500,000 parts, a page 128 MiB decompressed, and the pages of all columns together
// 256 MiB. No memory is allocated for bytes that have not been read: a zstd page gets the window that its size needs,
// not the one that it claims.
//
// A page with a checksum is checked against it. A wrong checksum is [ErrChecksum].
package parquetfile
