// Package journal keeps the result of every row on disk or in a store, in input order, so that a run that was stopped or
// killed can be resumed. It stores answers; it does not know who is asked, or what is done with an answer.
//
//	w, err := journal.Create(journal.PathFor("out.csv"), header)
//	w.Append(&record) …    for each row, in order; on the disk after at most 1 second or 1024 records
//	w.Commit(files)        all outputs are complete; after a crash, only renames are left to do
//	w.Remove()             the outputs have their final names
//
// and in the run after a crash, with the same command:
//
//	r, err := journal.Open(path)      [ErrNone]: there is nothing to resume, so call Create
//	r.Header().Diff(…)                lists what has changed since; if anything has, refuse to resume
//	r.Next(&record) …                 replays records into the same sinks, until io.EOF
//	r.Committed()                     if not nil, finish the renames and call r.Remove()
//	w, err := r.Resume()              otherwise continue with the row after the last one
//
// # Guarantees
//
//   - Records survive SIGKILL and power loss (fdatasync) once Flush has returned. At most [FrameRecords] records,
//     1 MiB or [FrameAge] are ever not flushed; in a store, 1 MiB or [ObjectAge].
//   - Replay gives exactly the records that were appended, in that order, from the first on. Each frame is read,
//     verified and decoded as a whole before any of it is used: a streaming decoder returns wrong bytes before it
//     notices. An incomplete write at the end is cut off ([Reader.Torn]); any other damage is a [DamagedError]. The
//     only exception is damage to the last frame, which cannot be told from an incomplete write and costs no more: its
//     users are asked about again.
//   - One process at a time: the journal is locked from Create or Open to Close or Remove ([ErrLocked]): on disk by the
//     kernel, in a store by a lease.
//   - The file has no user ids and no key: it stores requests as hashes, and the key as an HMAC with a salt. It does
//     store the bodies of answers, as the outputs do, so its mode is 0600.
//   - Memory is bounded by the largest frame, 17 MiB decoded, even if the file claims otherwise.
//
// Row numbers need not ascend: error records as an input have the row numbers of another run. The caller checks, by Row
// and Request, that each record belongs to the row that the source has at its position.
//
// # Format, version 1
//
// A journal is a sequence of frames. Each frame is a block, which is a skippable frame to zstd (RFC 8878, 3.1.2), and
// an ordinary zstd frame with a content checksum. So every zstd tool can print the text:
//
//	zstdcat .out.csv.rollcall
//
// The block has 100 bytes, with integers in little-endian order:
//
//	 0  4  0x184D2A57, the magic of a skippable frame
//	 4  4  92, the length of the rest
//	 8  8  "rollcall"
//	16  4  format version: 1. The 20 bytes up to here are the same in every version, except for this number
//	20  4  kind of frame: HEAD, ROWS, CONT or DONE
//	24  8  sequence number, from 0
//	32  4  length of the zstd frame that follows, at most 18 MiB and 1 KiB
//	36  4  length of its text, at most 17 MiB and 1 KiB
//	40  4  number of records in it, at most 65536; 0 except in ROWS
//	44  8  row number of the first record; 0 except in ROWS
//	52 16  link: the check of the frame before; zeros in the first frame
//	68 16  hash of the zstd frame
//	84 16  check: hash of the 84 bytes before it
//
// A hash is the first 16 bytes of SHA-256. The link covers all frames before, so a missing, duplicated or
// misplaced frame, and one of another journal (whose header has another run id), is detected.
//
// The texts end with a newline:
//
//   - HEAD, the first frame and no other: the [Header] as JSON.
//   - ROWS: records, one after the other.
//   - CONT: {"resumed_at":"…"}, where a run was resumed; with "key" as in the header if
//     the key is a different one from then on.
//   - DONE: {"files":[{"temp":…,"final":…,"sha256":…,"bytes":…},…]}, the outputs to publish. The names are base names:
//     a file must not say where to write, and the directory may have been moved. Those of an output that is several files
//     have "output", its number among the outputs, and "final" is the path below its directory, which the reader checks;
//     "remove" says that the file is of a run before and goes. Only a CONT can follow; it makes the DONE void.
//
// A record is seven fields, each followed by a space, then as many bytes as the seventh field says, and a newline:
//
//	row request attempts at kind status length body
//	17 9f86d081884c7d659a2feaa0c55ad015 1 1767225600123 answered - 26 {"dark-mode":{"key":"on"}}
//	18 - 0 1767225600130 missing_id - 29 neither user_id nor device_id
//
// request is a hash in hex, or - if no request was made. at is Unix time in milliseconds. kind is "answered" or one of
// [pipeline.Kinds]. status is the HTTP status of a failure; of an answer, what it said of caches, if that was asked for:
// hit:17, miss:0, hit: without an age, :17 with nothing else; or - if there is none. body is the answer, or the message of
// the failure.
//
// # In a store
//
// The journal of an output in a bucket is beside it, so that another machine finds it ([InBucket]):
//
//	dir/.out.csv.rollcall-lease                            who writes: a random owner, host, process, since when
//	dir/.out.csv.rollcall-journal/.00000001                the HEAD frame
//	dir/.out.csv.rollcall-journal/.00000002-b1946ac92492   the next frame, and so on
//
// Each object is a frame and appears whole. A number that is missing is a [DamagedError]; the last objects may be missing
// like the end of a file. The part after the dash is made from the first object, so that the objects of a journal are
// told from what another one has left. Without the first object there is no journal. So [Writer.Remove] deletes it first,
// and whoever comes next deletes the rest.
//
// The lease is written only if there is none, and renewed every 5 s only if it is the version that its holder wrote last.
// Whoever finds one watches it: if it changes, its holder is alive, and the error is a [LockedError]; if it does not
// change for [LeaseTime], by the watcher's own clock, it is replaced, only if it is still that version. A holder that was
// silent for so long finds out when it renews the lease or adds a frame, which it does only if there is no object of that
// number: its error wraps [ErrLost]. [Writer.Commit] renews the lease before it adds the list of what to publish. A store
// that is away costs no lease, as nobody else can take it meanwhile. Closing a journal deletes the lease.
//
// # When is a bad frame an incomplete write?
//
// When no valid block follows it. A write is synced before the next one begins, so only the last can be incomplete, and
// nothing valid follows it. The reader looks for a valid block at every byte after a bad frame; if there is one,
// something was altered. A file that has only the beginning of a header is [ErrNone].
package journal
