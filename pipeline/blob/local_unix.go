//go:build unix

package blob

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileID tells a file from another one that gets its name, even if both have the same size and time.
func fileID(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d-%d-", stat.Dev, stat.Ino)
	}
	return ""
}
