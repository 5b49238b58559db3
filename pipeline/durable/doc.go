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
//     (flock, LockFileEx), which releases it when the process ends, however it ends.
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
// # Windows
//
// system_windows.go and system_unix.go have what differs. On Windows:
//
//   - A file is replaced by MoveFileEx, in one step on NTFS and ReFS. That fails while a program has the old file open,
//     as spreadsheet programs do: CreateTemp finds it, and so does Rename.
//   - There is no sync of a directory. The content of a file is flushed before its name changes, and file systems log
//     the names, so after a power loss a name has its old file or the new one, whole. That the last renames are not
//     lost, Windows does not promise.
//   - The lock (LockFileEx) goes with the process, too, but after a kill maybe not at once.
//   - A file is ours if this user owns it. Private files (0600) have an access control list with this user, the system
//     and its administrators; all other files inherit theirs from the directory, or keep that of the file they replace.
//
// This was tested with Wine, which has no symbolic links there, and not yet on Windows itself.
package durable
