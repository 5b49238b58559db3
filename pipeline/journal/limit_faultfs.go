//go:build faultfs

package journal

// FrameRecords is at how many records a frame is written: few, so that the crash tests kill between many frames.
const FrameRecords = 8
