//go:build faultfs

package journal

import (
	"os"
	"time"
)

// FrameRecords is the number of records at which a frame is written: small, so that the crash tests have many frames.
const FrameRecords = 8

// LeaseTime is how long a lease is respected that nobody renews. The crash tests, which kill one run after the other, need
// not wait so long: ROLLCALL_LEASE_TIME.
var LeaseTime = leaseTime()

func leaseTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("ROLLCALL_LEASE_TIME")); err == nil {
		return d
	}
	return 15 * time.Second
}
