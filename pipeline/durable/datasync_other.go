//go:build !linux

package durable

import "os"

// datasync calls Sync. On macOS that is F_FULLFSYNC; fdatasync would leave the data in the disk's cache.
func datasync(f *os.File) error { return f.Sync() }
