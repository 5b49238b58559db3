//go:build unix && !linux

package durable

func renameNoReplace(from, to string) error { return renameIfAbsent(from, to) }

// isMountPoint reports whether something is mounted on path itself.
func isMountPoint(path string) bool { return onOtherDevice(path) }
