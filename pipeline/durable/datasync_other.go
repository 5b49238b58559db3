//go:build !linux

package durable

import "os"

// datasync is Sync, which Go makes F_FULLFSYNC on macOS, where fdatasync would leave the data in the disk's cache.
func datasync(f *os.File) error { return f.Sync() }
