// Package snapshot is about the results of a run: a [Tally] counts outcomes while they pass, a [Manifest] is the
// record of a finished run, which is published last and beside its outputs, a [Run] is a finished run that is read
// again, and [Verify] checks all files of a run against its manifest and against each other.
//
// While a run goes on, start with [Tally.Write]: it is a sink like any other, and sees every outcome once, in input
// order. Of a finished run, start with [Open]:
//
//	Open, OpenAll     a run by one of its outputs or its manifest; several runs whose users are added up
//	Run.Layout        what its outputs look like: flags asked for, carried columns, formulas escaped
//	Run.Users         the users of the output, of any format and layout: bounded memory, millions of rows a second
//	Run.Problems      what is not as the manifest says; Describe makes sentences of them
//	Run.CheckSize     is the output as long as the manifest says
//	Run.Checksum      and does it have that checksum
//	Run.EachFailed    the error records, with values of the users' original rows
//	Run.Inputs        the inputs where they are now, if they are still the same
//	Run.FlagConfigs   the flag configurations that were evaluated, if they are still the same
//	Locate            the files of a manifest, wherever its directory is now
//	Verify            checksums first, then everything that an output promises
//
// All of them read through a [blob.Files], which knows the stores; nil reads the files of this machine.
//
// This is how report, check and diff read a snapshot:
//
//	runs, err := snapshot.OpenAll(files, paths) // refuses what cannot be added up, and error records
//	for _, run := range runs {
//		users, err := run.Users(snapshot.Options{Keys: keys, NoPayloads: true})
//		for {
//			err := users.Next(&u) // io.EOF after the last
//			...
//		}
//		err = users.Close()
//		fmt.Println(snapshot.Describe(run.Problems)) // all: of opening, and of what was read
//	}
//
// Run.Users counts what is read by flag and variant, and compares it with the manifest at the end of the file. Nobody
// else has to. A second reading of the same file sets Options.Uncounted. A run without a manifest can be read; its
// first problem is [NoManifest], and Run.MissingManifest is the error for whoever cannot do without one. A [Problem]
// is data (a code, a flag, numbers), and its String method the only place that words it.
//
// The file of a manifest is the JSON of [Manifest], named after the first output, OUT.manifest.json, or as --manifest
// says; its Path leads from there to the outputs. Its format is
// [ManifestFormat]; readers ignore names that they do not know, and refuse other formats. Format 1 had no layout: what
// its options say of it is converted when it is read.
//
// A [FlagChanges] is what [CompareFlags] makes of the flag configurations from before the first user and after the last:
// whether all users were evaluated by the same ones.
//
// A [FlagSource] says where flag configurations that were downloaded are from, and [Caches] how many answers came from a
// cache.
//
// A [CrossCheck] is how far the answers of a local run are the API's.
//
// Where flags were evaluated on this machine, Semantics says as which of Amplitude's engines, and [Disagreements] for
// which flags and how many users of the run the other one answers otherwise.
//
// The files read*.go are the Reader. Below it, a table (readtable.go) is a file of any columns, row by row: readcsv.go,
// readjsonl.go, readparquet.go. They take what rollcall writes and are strict about it, and damage is an error. The
// pages of Parquet are read in [github.com/rollcall-cli/rollcall/pipeline/parquetfile], because arrow trusts them too
// much.
//
// An output may be several files, in directories that are named after values of columns: its [File] in the manifest has
// them in [Partitioned], and [Open] takes the directory, too. readpartition.go is a table over all of them, with the rows
// in the order that they would have in one file, which their numbers and the flags asked for say. It has 8 partitions
// open at once; the rows of more are merged into temporary files first, so its memory is bounded.
//
// A [Shard] is a run of a part of the input: its inputs have [InputPart]. [Merge] makes one [Manifest] of all shards of a
// job, in which the files of the shards are one output (merge.go).
//
// The files verify*.go are Verify: verifylocate.go finds the files, verifyoutput.go reads all of them side by side and
// looks at each, verifycompare.go compares one with another, verifyerrors.go reads the error records, and
// verifysecond.go reads Parquet with an implementation that is not arrow: the schema and the counts of all row groups,
// and the values of eight of them, or of all.
package snapshot
