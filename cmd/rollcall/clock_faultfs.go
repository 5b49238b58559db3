//go:build faultfs

package main

import (
	"os"
	"time"
)

// clock stands still, and newRunID gives each run the same name, so that the crash tests can compare the bytes of an
// unbroken run with those of one that was killed and resumed. ROLLCALL_DAYS_LATER=1 is the next day.
func clock() time.Time {
	day := 2
	if os.Getenv("ROLLCALL_DAYS_LATER") != "" {
		day++
	}
	return time.Date(2026, 1, day, 3, 4, 5, 678e6, time.UTC)
}

func newRunID(time.Time) string { return "20260102T030405Z-faultfs" }
