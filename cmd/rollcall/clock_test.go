//go:build !faultfs

package main

import (
	"os"
	"time"
)

// clockVariable is the time at which the command of a test begins, for names that hold a date. A clock that stands still
// would make all answers come at once.
const clockVariable = "TEST_CLOCK"

// testMain is main with the clock that a test asks for.
func testMain() {
	if text := os.Getenv(clockVariable); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err)
		}
		ahead := time.Until(at)
		clock = func() time.Time { return time.Now().Add(ahead) }
	}
	main()
}
