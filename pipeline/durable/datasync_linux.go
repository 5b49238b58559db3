package durable

import (
	"errors"
	"os"
	"syscall"
)

// datasync is fdatasync(2): unlike fsync it does not write the time of the last change, which would be a second
// place on the disk.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
