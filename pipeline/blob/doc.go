// Package blob reads and writes files where they live: on the local file system, in S3, Google Cloud Storage and Azure.
//
// A [Bucket] is a driver: one attempt each, no policy. [Stores] opens buckets by the URLs that users write, adds the
// retries, and expands globs. An [Object] is one version of an object, open for reading. [Files] reads what is named,
// whether it is here or in a store.
//
// # Reading
//
// Every read names the version that the object had when it was opened. If the object has another version by then, the
// error is [ErrChanged]: what a reader gets is from one version, however many requests it takes. A version is not held
// open: whoever replaces an object ends those who read it.
//
// [Object.ReadAt] is one request. [Object.Section] reads a range in order, with up to four requests under way; all
// sections of an object request at most 32 MiB ahead.
//
// # Writing
//
// An upload is staged with a condition, appended to in parts of [PartSize] bytes, and committed. Until then nobody sees
// it, and it is never visible in part. The store checks the condition and replaces the object in one step, so of two
// uploads that are staged for one name at most one succeeds, except for [Local] with [Condition].Version, where another
// process may replace the file in between.
//
// Another process can commit an upload that is complete ([Bucket.Resume]): S3 and Azure. An object tells which upload has
// made it ([Attrs.IsOf]), but for Local. So a process that finishes what another has begun knows for each upload whether
// it is to be committed, was committed, or is lost.
//
// An upload that was neither committed nor aborted takes space that is paid for. [Bucket.Pending] finds those that the
// store lists: S3 and Local.
//
// # What each driver relies on
//
// S3 (package s3): the ETag is the version. GetObject with If-Match answers 412 for another one (S3 API reference,
// GetObject). A multipart upload is invisible until CompleteMultipartUpload, which honours If-None-Match: * and If-Match
// ("Conditional writes", S3 user guide, since November 2024; MinIO, R2, versitygw too). ListParts makes an upload
// resumable, ListMultipartUploads makes it findable. Parts may be uploaded at the same time; so may Azure's blocks. Metadata with a random mark tells whether an object is the one
// whose commit got no answer. Two versions with the same bytes may share an ETag, which does not matter to readers.
//
// Google (package gcs): the generation is the version. A read names it, and is answered 404 once it is not stored any
// more; in a bucket that keeps old versions it goes on, which gives the same bytes. A resumable session is invisible until
// its last bytes arrive, and its ifGenerationMatch, given at the start, is checked then (JSON API, "Resumable uploads",
// "Request preconditions"). So the last bytes are held back until Commit, fewer than 256 KiB, and no other process can
// commit it. Whoever has a session's URL can write, so it is not part of the upload's id. The API does not list sessions,
// which end after a week.
//
// Azure (package azure): the ETag is the version, and reads have If-Match. Blocks are invisible until Put Block List,
// which honours If-None-Match: * and If-Match (Blob service REST API, "Put Block", "Specifying conditional headers").
// All uploads of one blob share its uncommitted blocks: ids with a random mark tell them apart, and a commit discards
// those of the others. They cannot be discarded otherwise; the service does it after a week.
//
// Local: the device, inode, size and modification time are the version. Uploads are the hidden files of package
// durable, which publishes them with renameat2(RENAME_NOREPLACE) where the system has it. They cannot be resumed.
//
// # Errors, retries and secrets
//
// Errors name the operation and the object, and have a status and the store's code. They never have what else a server
// or the network says, because that may repeat a signature, a token or a URL with one.
//
// What may succeed another time (408, 429, 5xx, throttling, broken connections) is repeated: six attempts of at most a
// minute, with exponential backoff and jitter, at most 10 s; Retry-After is obeyed up to 30 s. A read continues where it
// stopped.
//
// The drivers do nothing when the program starts, and nothing is sent before an object is named.
package blob
