//go:build faultfs

package main

import "time"

// clock stands still, and newRunID gives each run the same name, so that the crash tests can compare the bytes of an
// unbroken run with those of one that was killed and resumed.
func clock() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC) }

func newRunID(time.Time) string { return "20260102T030405Z-faultfs" }
