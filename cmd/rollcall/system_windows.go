package main

import (
	"time"

	"golang.org/x/sys/windows"
)

// defaultGrace is how long requests in flight may take after the first signal. Ctrl-C and Ctrl-Break are [os.Interrupt];
// the end of the console, of the session and of the system are SIGTERM, and Windows kills the process five seconds
// later. Whoever ends it by TerminateProcess (taskkill /f, most schedulers) sends nothing: the run is then resumed from
// its journal like one that was killed.
const defaultGrace = 4 * time.Second

// keyHint makes a key file private.
const keyHint = `icacls "%s" /inheritance:r /grant:r "%%USERNAME%%:F"`

// errClosedPipe is the error of a pipe that nobody reads any more.
const errClosedPipe = windows.ERROR_NO_DATA
