package snapshot

import (
	"fmt"
	"os"
	"syscall"
)

// OpenOutput opens a file that a run has written. It is a regular file: a named pipe would wait for whoever writes it.
func OpenOutput(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		_ = f.Close() // only opened
		return nil, err
	}
	return f, nil
}
