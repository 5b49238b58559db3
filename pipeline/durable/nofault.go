//go:build !faultfs

package durable

// beforeOp is called before every file operation. It does nothing in a program built without the tag faultfs: see
// fault.go.
func beforeOp(kind, path string, half func()) error { return nil }
