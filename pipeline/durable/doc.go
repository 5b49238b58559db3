// Package durable writes the files that must last. A file that must survive a crash, a full disk or a power loss is
// written through it; nothing else in this module calls fsync or rename.
//
// There are two kinds of files:
//
//   - [Temp], for files that must appear whole or not at all: outputs, error records, the manifest. A Temp is written
//     under a hidden name in the directory of the final one, in steps that are each checked:
//
//     CreateTemp → Write … → Sync → Close → Rename → SyncDir
//
//     CreateTemp tries a rename, so that a problem with the last rename is found before the work starts.
//     [Temp.Rename] replaces a file and keeps its mode, owner and group ([Inherit]); [Publish] replaces a file only if
//     the caller asks for it.
//
//     The fsync comes before the rename because a file system may otherwise keep the name and lose the content. The
//     directory is synced after the rename because the name is content of the directory. [WriteFile] does all steps.
//
//   - [Log], for a file that grows and must be complete up to the last Datasync: the journal. It is private (0600), has
//     one writer, and is locked as long as it is open; everybody else gets [ErrLocked]. The lock belongs to the kernel
//     (flock), which releases it when the process ends, however it ends.
//
// A hidden file that existed before is used only if this user made it ([CheckOurs], [ErrNotOurs]): in a
// shared directory, other users can create files under names that they can guess.
//
// A file is unusable after an error of Sync or Datasync: the kernel may have dropped the pages that
// it could not write, and a second fsync would then report success (Rebello et al., "Can Applications Recover
// from fsync Failures?", USENIX ATC 2020). Do not retry.
//
// [WrapError] words an error for the person at the terminal: it names the file by its final name, not the temporary
// one, and has a hint.
//
// # Fault injection
//
// Every operation that changes a disk first calls one function, beforeOp. It does nothing, and the compiler removes
// it, unless the program is built with the tag faultfs (fault.go). Then environment variables kill the process
// just before its Nth operation, or make that operation fail. The crash tests reach every operation this way.
//
// The package needs flock: Linux, macOS and the BSDs. It does not compile for Windows, where
// it would need LockFileEx of golang.org/x/sys/windows.
package durable
