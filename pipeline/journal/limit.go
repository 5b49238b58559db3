//go:build !faultfs

package journal

// FrameRecords is at how many records a frame is written.
const FrameRecords = 1024
