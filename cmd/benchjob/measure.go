//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cost is what one finished process took.
type cost struct {
	cpu    float64 // seconds, user + system
	peakMB float64
	wall   time.Duration
}

func costOf(state *os.ProcessState, start time.Time) cost {
	return cost{
		cpu:    (state.UserTime() + state.SystemTime()).Seconds(),
		peakMB: peakMB(state),
		wall:   time.Since(start),
	}
}

// runAndMeasure runs cmd to its end and says what it took.
func runAndMeasure(cmd *exec.Cmd) (cost, error) {
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return costOf(cmd.ProcessState, start), nil
}

// peakMB is the largest resident size that the process had, in units of 10^6 bytes.
func peakMB(state *os.ProcessState) float64 {
	peak := float64(state.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS != "darwin" { // there it is in bytes, elsewhere in KiB: getrusage(2)
		peak *= 1024
	}
	return peak / 1e6
}

// cpuNow is the CPU time, user + system, that this process took until now.
func cpuNow() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// cleanEnv is the environment without what would change what rollcall does.
func cleanEnv(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ROLLCALL_") {
			env = append(env, v)
		}
	}
	return append(append(env, "AMPLITUDE_DEPLOYMENT_KEY=bench"), more...)
}

// canPin says whether a command can be held to one CPU: taskset is there, and may.
func canPin(ctx context.Context, cpu int) bool {
	return exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(cpu), "true").Run() == nil
}

// pinnedCommand is a command on that CPU only, if that can be.
func pinnedCommand(ctx context.Context, cpu int, name string, args ...string) *exec.Cmd {
	if !canPin(ctx, cpu) {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu), name}, args...)...)
}

// The npm packages to compare with: make bench installs them.
const nodeModules = "testdata/node/node_modules"

// hasNodeModule says whether the npm package can be used; if not, it prints what is left out.
func hasNodeModule(pkg string) bool {
	_, err := exec.LookPath("node")
	if err == nil {
		if _, err = os.Stat(filepath.Join(nodeModules, pkg)); err == nil {
			return true
		}
	}
	fmt.Printf("# without %s: %v\n", pkg, err)
	return false
}

// helper is a process that measures on request: to a line on its standard input it answers with a line of JSON.
type helper struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// startNode starts a script of this folder with the npm packages. hello is filled with its first answer, which needs
// no request.
func startNode(ctx context.Context, hello any, script string, args ...string) (*helper, error) {
	cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join("cmd/benchjob", script)}, args...)...)
	modules, err := filepath.Abs(nodeModules)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = os.Stderr
	h := &helper{cmd: cmd}
	if h.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.out = bufio.NewReader(stdout)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := h.readReply(hello); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// requestRound sends the line and fills to with what is answered.
func (h *helper) requestRound(line string, to any) error {
	if _, err := fmt.Fprintln(h.stdin, line); err != nil {
		return err
	}
	return h.readReply(to)
}

func (h *helper) readReply(to any) error {
	line, err := h.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s ended without an answer: %w", strings.Join(h.cmd.Args[:2], " "), err)
	}
	return parseReply(line, to)
}

// close tells the helper to end, and waits until it has.
func (h *helper) close() {
	_ = h.stdin.Close()
	_ = h.cmd.Wait() // how it ends is of no interest any more
}

// printReply is a child's answer.
func printReply(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// parseReply reads what a child answered: a line of JSON without anything that was not asked for.
func parseReply(line []byte, to any) error {
	dec := json.NewDecoder(strings.NewReader(string(line)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return fmt.Errorf("read the answer %.100q: %w", line, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer %.100q: more text after the value", line)
	}
	return nil
}
