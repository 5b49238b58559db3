//go:build !faultfs

package journal

// FrameRecords is the number of records at which a frame is written.
const FrameRecords = 1024
