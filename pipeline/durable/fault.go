//go:build faultfs

package durable

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// faults counts the operations of the whole process, from 1. The environment says which of them fail:
//
//	ROLLCALL_KILL_AT=N      SIGKILL just before the Nth operation
//	ROLLCALL_FAIL_AT=N      only the Nth operation fails
//	ROLLCALL_FAIL_FROM=N    the Nth operation and all after it fail
//	ROLLCALL_FAIL_KIND=K    all operations of that kind fail
//	ROLLCALL_FAIL_ERRNO=E   the error: EIO (the default), ENOSPC, EDQUOT, EFBIG, EROFS, EBUSY, EXDEV, ENOSYS, EINVAL, ENOTSUP, EPERM
//	ROLLCALL_KILL_TORN=1    a write that fails or is killed writes half of its bytes first
//	ROLLCALL_OPS_LOG=FILE   append a line "N KIND PATH" before each operation
//
// The kinds: create write sync datasync close inherit rename syncdir truncate remove mkdir rmdir.
var faults struct {
	sync.Mutex
	count int
}

// beforeOp counts an operation and injects the fault that the environment asks for. half, if not nil, does half of the
// operation.
func beforeOp(kind, path string, half func()) error {
	faults.Lock()
	defer faults.Unlock()
	faults.count++
	n := faults.count
	if file := os.Getenv("ROLLCALL_OPS_LOG"); file != "" {
		logOp(file, fmt.Sprintf("%d %s %s\n", n, kind, path))
	}
	killAt, failAt, failFrom := envNumber("ROLLCALL_KILL_AT"), envNumber("ROLLCALL_FAIL_AT"),
		envNumber("ROLLCALL_FAIL_FROM")
	kill := n == killAt
	if !kill && n != failAt && (failFrom == 0 || n < failFrom) && kind != os.Getenv("ROLLCALL_FAIL_KIND") {
		return nil
	}
	if half != nil && os.Getenv("ROLLCALL_KILL_TORN") == "1" {
		half()
	}
	if kill {
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			self.Kill()
		}
		select {} // nothing may happen until the signal arrives
	}
	return &fs.PathError{Op: kind, Path: path, Err: envErrno()}
}

func logOp(file, line string) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(line)
		f.Close()
	}
	if err != nil {
		panic("faultfs: " + err.Error()) // a test must not pass without its log
	}
}

func envNumber(name string) int {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		panic("faultfs: " + name + " is not a number: " + text)
	}
	return n
}

func envErrno() error {
	name := os.Getenv("ROLLCALL_FAIL_ERRNO")
	known := map[string]error{
		"": syscall.EIO, "EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EDQUOT": syscall.EDQUOT, "EFBIG": syscall.EFBIG,
		"EROFS": syscall.EROFS,
		"EBUSY": syscall.EBUSY, "EXDEV": syscall.EXDEV, "ENOSYS": syscall.ENOSYS, "EINVAL": syscall.EINVAL,
		"ENOTSUP": syscall.ENOTSUP,
		"EPERM":   syscall.EPERM,
	}
	if known[name] == nil {
		panic("faultfs: unknown ROLLCALL_FAIL_ERRNO: " + name)
	}
	return known[name]
}
