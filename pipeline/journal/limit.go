//go:build !faultfs

package journal

import "time"

// FrameRecords is the number of records at which a frame is written.
const FrameRecords = 1024

// LeaseTime is how long a lease is respected that nobody renews. Its holder renews it three times as often.
const LeaseTime = 15 * time.Second
