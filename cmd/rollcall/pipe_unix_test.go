//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A named pipe that nobody writes ends with the signal, whether its opening or its reading waits.
func TestNamedPipesThatNobodyWrites(t *testing.T) {
	snapshot := testSnapshot(t)
	for _, test := range sideFiles {
		for _, waits := range []struct {
			name   string
			opened bool
			signal syscall.Signal
			want   int
		}{
			{"opened", true, syscall.SIGINT, 130},
			{"not opened", false, syscall.SIGTERM, 143},
		} {
			if !waits.opened && test.name == "options" {
				continue // they tell below that the command runs
			}
			t.Run(test.name+"/"+waits.name, func(t *testing.T) {
				if signal.Ignored(waits.signal) { // in a script's background; the command leaves it so
					t.Skipf("%v is ignored here", waits.signal)
				}
				cmd := realCommand(t, sideFileArgs(t, test.args, "pipe", snapshot)...)
				pipe, first := filepath.Join(cmd.Dir, "pipe"), filepath.Join(cmd.Dir, "first")
				for _, path := range []string{pipe, first} {
					if err := syscall.Mkfifo(path, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				opens := pipe
				if !waits.opened { // when it has opened its options, it is about to open the pipe
					cmd.Args = append(cmd.Args, "--config", "first")
					opens = first
				}
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() {
					done <- cmd.Wait()
					if f, err := os.OpenFile(opens, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil { // for who waits below
						_ = f.Close()
					}
				}()
				w, err := os.OpenFile(opens, os.O_WRONLY, 0) // waits for the command
				if err != nil {
					t.Fatal(err)
				}
				if !waits.opened {
					if err := w.Close(); err != nil { // no options
						t.Fatal(err)
					}
				} else {
					defer w.Close() //nolint:errcheck // nothing is written
				}
				if err := cmd.Process.Signal(waits.signal); err != nil {
					t.Errorf("%v: %v", cmd.Args[1:], err)
				}
				err = <-done
				exit, ok := errors.AsType[*exec.ExitError](err)
				if !ok || exit.ExitCode() != waits.want || !strings.Contains(stderr.String(), "interrupted") {
					t.Errorf("%v: %v, want exit code %d and that it was interrupted; it said:\n%s", cmd.Args[1:], err, waits.want,
						&stderr)
				}
			})
		}
	}
}
