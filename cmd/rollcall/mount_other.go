//go:build !linux

package main

import "os"

// mountOf knows nothing of mounts where containers do not run.
func mountOf(*os.File) (readOnly, inMemory bool) { return false, false }
