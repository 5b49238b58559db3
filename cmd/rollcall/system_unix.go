//go:build unix

package main

import (
	"syscall"
	"time"
)

// defaultGrace is how long requests in flight may take after the first signal: container platforms kill a process ten
// seconds after SIGTERM, or later.
const defaultGrace = 8 * time.Second

// keyHint makes a key file private.
const keyHint = "chmod 600 %s"

// errClosedPipe is the error of a pipe that nobody reads any more.
const errClosedPipe = syscall.EPIPE
