package durable

import (
	"errors"
	"os"
	"syscall"
)

// datasync calls fdatasync(2). Unlike fsync, it does not write the time of the last change, which is in another
// place on the disk.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
