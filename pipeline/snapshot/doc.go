// Package snapshot says what a run came to: a [Tally] counts outcomes while they pass, a [Manifest] is the record of a
// finished run that is written beside its outputs, a [Reader] reads an output back, and [Verify] holds the outputs of a
// run against its manifest and against each other.
//
// While a run goes on, start with [Tally.Write]: it is a sink like any other, and sees every outcome once, in input
// order. Of a finished run, start with [Open]:
//
//	Open     an output of any format and layout, as users with their assignments: bounded memory, millions of rows a second
//	Locate   the files of a manifest, wherever its folder is now
//	Verify   checksums first, then everything that an output promises
//
// The files read*.go are the Reader. Below it, a table (readtable.go) is a file of any columns, row by row: readcsv.go,
// readjsonl.go, readparquet.go. They take what rollcall writes and are strict about it, and damage is an error. The
// pages of Parquet are read in [github.com/rollcall-cli/rollcall/pipeline/parquetfile], because arrow trusts them too
// much.
//
// The files verify*.go are Verify: verifylocate.go finds the files, verifyoutput.go reads all of them side by side and
// looks at each, verifycompare.go holds one against another, verifyerrors.go reads the error records, and
// verifysecond.go reads Parquet with an implementation that is not arrow.
package snapshot
