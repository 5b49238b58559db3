// Package durable is the only place where rollcall makes files last. What must survive a crash, a full disk or
// a power loss is written through it; nothing else in this module calls fsync or rename.
//
// There are two kinds of files:
//
//   - [Temp], for what must appear whole or not at all: outputs, error records, the manifest. It is written
//     under a hidden name in the folder of the final one, and then, one step after the other, each checked:
//
//     CreateTemp → Write … → Sync → Close → Rename → SyncDir
//
//     CreateTemp tries a rename, so that what would keep the last one from working is found before the work.
//     [Temp.Rename] replaces a file and keeps its mode, owner and group ([Inherit]); [Publish] replaces nothing unless it is told to.
//
//     The fsync before the rename, because a file system may otherwise keep the name and lose the content; the
//     one of the folder after it, because the name itself is content of the folder. [WriteFile] is all of it.
//
//   - [Log], for what grows and must be there up to the last Datasync: the journal. It is private (0600), has
//     one writer, and is locked as long as it is open ([ErrLocked] for everybody else); the lock is the kernel's
//     (flock) and goes with the process, however that ends.
//
// A hidden file that was there before is used only if this user has made it ([CheckOurs], [ErrNotOurs]): in a
// shared folder somebody else can put files under names that can be guessed.
//
// After an error of Sync or Datasync a file is of no use any more: the kernel may have dropped the pages that
// it could not write, and a second fsync would then report success (Rebello et al., "Can Applications Recover
// from fsync Failures?", USENIX ATC 2020). Nobody tries again.
//
// [WrapError] words an error for the person at the terminal: with the name that was given, not the temporary
// one, and with what to do about it.
//
// # Faults on purpose
//
// Every operation that changes a disk goes through one function, op. It does nothing, and the compiler drops
// it, unless the program is built with the tag faultfs (fault.go): then environment variables kill the process
// right before its Nth operation or make that fail, which is how the crash tests reach every one of them.
//
// The package runs where there is flock: Linux, macOS and the BSDs. It does not compile for Windows, where
// LockFileEx of golang.org/x/sys/windows would be needed.
package durable
