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

// cost is the cost of a finished process.
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

// runAndMeasure runs cmd and returns its cost.
func runAndMeasure(cmd *exec.Cmd) (cost, error) {
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return costOf(cmd.ProcessState, start), nil
}

// peakMB returns the largest resident size of the process, in units of 10^6 bytes.
func peakMB(state *os.ProcessState) float64 {
	peak := float64(state.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS != "darwin" { // darwin reports bytes, others KiB: getrusage(2)
		peak *= 1024
	}
	return peak / 1e6
}

// cpuNow returns the CPU time, user + system, of this process so far.
func cpuNow() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// cleanEnv returns the environment without the variables that change what rollcall does, and with more.
func cleanEnv(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ROLLCALL_") {
			env = append(env, v)
		}
	}
	return append(append(env, "AMPLITUDE_DEPLOYMENT_KEY=bench"), more...)
}

// canPin reports whether commands can be pinned to one CPU: taskset exists and has permission.
func canPin(ctx context.Context, cpu int) bool {
	return exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(cpu), "true").Run() == nil
}

// pinnedCommand returns a command that is pinned to the CPU if that is possible.
func pinnedCommand(ctx context.Context, cpu int, name string, args ...string) *exec.Cmd {
	if !canPin(ctx, cpu) {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu), name}, args...)...)
}

// nodeModules has the npm packages to compare with; make bench installs them.
const nodeModules = "testdata/node/node_modules"

// hasNodeModule reports whether the npm package can be used. If not, it prints why.
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

// helper is a process that measures on request: it answers each line on its standard input with a line of JSON.
type helper struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// startNode starts a script of this directory with the npm packages, and decodes its first reply, which needs no
// request, into hello.
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

// requestRound sends the line and decodes the reply into to.
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

// close tells the helper to exit, and waits for it.
func (h *helper) close() {
	_ = h.stdin.Close()
	_ = h.cmd.Wait() // its exit code does not matter
}

// printReply prints the reply of a child.
func printReply(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// parseReply decodes the reply of a child: a line of JSON without unknown fields.
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
