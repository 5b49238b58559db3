package main

import (
	"os"
	"syscall"
)

// mountOf reports whether a file is on a file system that is mounted read-only, and whether that is one in memory.
func mountOf(f *os.File) (readOnly, inMemory bool) {
	const (
		stRdonly = 0x1 // ST_RDONLY of statfs(2); the others are its f_type
		tmpfs    = 0x01021994
		ramfs    = 0x858458f6
	)
	var stat syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &stat); err != nil {
		return false, false
	}
	return stat.Flags&stRdonly != 0, uint32(stat.Type) == tmpfs || uint32(stat.Type) == ramfs
}
