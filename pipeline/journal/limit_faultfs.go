//go:build faultfs

package journal

// FrameRecords is the number of records at which a frame is written: small, so that the crash tests have many frames.
const FrameRecords = 8
