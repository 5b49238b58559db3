// Package journal keeps what came of every row on disk, in input order, so that a run that was stopped, killed or
// cut off goes on where it was. It knows answers and files; who asks, and what becomes of an answer, it does not.
//
//	w, err := journal.Create(journal.PathFor("out.csv"), header)
//	w.Append(&record) …    for each row, in order: on the disk a second later, or 1024 records
//	w.Commit(files)        all outputs are complete; from here on a crash is only a matter of renames
//	w.Remove()             they have their names
//
// and in the run after a crash, the same command again:
//
//	r, err := journal.Open(path)      [ErrNone]: there is nothing to resume, so Create
//	r.Header().Diff(…)                what has changed since, if anything: then refuse
//	r.Next(&record) …                 into the same sinks, until io.EOF
//	r.Committed()                     not nil: finish the renames, then r.Remove()
//	w, err := r.Resume()              else go on with the row after the last
//
// # What is promised
//
//   - What a Flush returned for is there after SIGKILL and power loss (fdatasync), and at most [FrameRecords] records,
//     1 MiB or [FrameAge] are ever not flushed.
//   - Nothing but what was appended is replayed, in that order, from the first on. Each frame is read and decoded
//     whole and verified before a byte of it is used: a streaming decoder hands out wrong bytes before it
//     notices. What was cut off while it was written is cut away ([Reader.Torn]), whatever else is wrong is a
//     [DamagedError]; the sole exception is damage to the last frame, which looks the same as a torn write and
//     costs no more: its users are asked again.
//   - One process at a time: the file is locked from Create or Open to Close or Remove ([ErrLocked]).
//   - No user's id and no key is in the file; requests are there as hashes, the key as an HMAC with a salt. The
//     answers' bodies, which are what the outputs hold too, are: so its mode is 0600.
//   - Memory is bounded by the largest frame, 17 MiB decoded, whatever the file says about itself.
//
// Rows need not ascend: error records as an input bring their own row numbers. That each record belongs to the row
// that the source has at this place is for the caller to check, by Row and Request.
//
// # Format, version 1
//
// A journal is a sequence of frames. Each is a block, which is a skippable frame to zstd (RFC 8878, 3.1.2), and an
// ordinary zstd frame with a content checksum. So every zstd tool reads the text:
//
//	zstdcat .out.csv.rollcall
//
// The block has 100 bytes, integers little-endian:
//
//	 0  4  0x184D2A57, the magic of a skippable frame
//	 4  4  92, the length of the rest
//	 8  8  "rollcall"
//	16  4  format version: 1. The 20 bytes up to here are the same in every version
//	20  4  kind of frame: HEAD, ROWS, CONT or DONE
//	24  8  sequence number, from 0
//	32  4  length of the zstd frame that follows, at most 18 MiB and 1 KiB
//	36  4  length of its text, at most 17 MiB and 1 KiB
//	40  4  number of records in it; 0 but for ROWS, at most 65536
//	44  8  row number of the first; 0 but for ROWS
//	52 16  link: the check of the frame before; zeros in the first
//	68 16  hash of the zstd frame
//	84 16  check: hash of the 84 bytes before
//
// A hash is the first 16 bytes of SHA-256. The link covers the frame before with all that is before that one, so a
// frame that is missing, twice, in another place or of another journal (whose header has another run id) is found.
//
// The texts end with a newline:
//
//   - HEAD, the first frame and only that: the [Header] as JSON.
//   - ROWS: records, one after the other.
//   - CONT: {"resumed_at":"…"}, where a run went on after this one was stopped; with "key" as in the header, if that
//     is another key than before.
//   - DONE: {"files":[{"temp":…,"final":…,"sha256":…,"bytes":…},…]}, the outputs to publish: base names, for a file
//     must not say where to write, and the folder may be elsewhere by then. Only a CONT, which makes it void, can
//     follow.
//
// A record is seven fields, a space after each, then as many bytes as the seventh says, verbatim, and a newline:
//
//	row request attempts at kind status length body
//	17 9f86d081884c7d659a2feaa0c55ad015 1 1767225600123 answered - 26 {"dark-mode":{"key":"on"}}
//	18 - 0 1767225600130 missing_id - 29 neither user_id nor device_id
//
// request is a hash in hex, or - where none was made; at is Unix time in milliseconds; kind is "answered" or one of
// [pipeline.Kinds]; status is the HTTP status of a failure, or - for none; body is the answer, or what the failure
// says.
//
// # When is a bad frame a torn write?
//
// When no block stands behind it. A write is synced before the next begins, so at most the last is incomplete, and
// then nothing valid follows; any whole block further on, which is looked for at every byte, means that something
// was altered. A file that is only the beginning of a header is [ErrNone].
package journal
