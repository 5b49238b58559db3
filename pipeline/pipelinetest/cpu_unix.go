//go:build unix

package pipelinetest

import (
	"syscall"
	"time"
)

// CPUTime returns the CPU time of the process, on which other processes have less influence than on the clock.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
