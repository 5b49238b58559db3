package blob

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileID tells a file from another one that gets its name, even if both have the same size and time: mostly, because
// Windows may give the new file the creation time of the old one if that is gone for less than 15 seconds.
func fileID(info fs.FileInfo) string {
	if data, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		return fmt.Sprintf("%d-", data.CreationTime.Nanoseconds())
	}
	return ""
}
