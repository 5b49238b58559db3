//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

const (
	inFlight    = 64     // connections, each with a request in flight
	goalServed  = 20_000 // requests a second on one core
	servedUsers = 2_000  // the number of users, who are asked about again and again
	serverCPU   = 0
	loadCPU     = 1
)

// loaded is the reply of the load generator: how long all its requests took.
type loaded struct {
	Seconds float64 `json:"seconds"`
}

// measureServe compares `rollcall serve` with a net/http server with a constant answer. Each runs on one core, which is
// reserved for it if the machine can pin processes. The load comes from another process on another core.
func (b *bench) measureServe(ctx context.Context) error {
	input := filepath.Join(b.dir, "serve.csv")
	if err := writeInput(input, servedUsers, allColumns); err != nil {
		return err
	}
	requests := b.requests / inFlight * inFlight
	var rate, micros, bareRate, bareMicros []float64
	side := func(name string, rate, micros *[]float64, args ...string) func() error {
		return func() error {
			perSecond, cpu, err := b.measureServer(ctx, input, requests, args...)
			if err != nil {
				return err
			}
			*rate, *micros = append(*rate, perSecond), append(*micros, cpu)
			benchLine(os.Stdout, name, perSecond, "req/s", cpu, "cpu-us/req")
			return nil
		}
	}
	err := takeTurns(b.rounds,
		side("Serve", &rate, &micros, b.rollcall, "serve", "--flag-configs", configs, "--listen", "127.0.0.1:0"),
		side("ServeBare", &bareRate, &bareMicros, b.self, "child", "answer"))
	if err != nil {
		return err
	}
	cores := "Nothing is pinned: there is no taskset, no permission, or only one core."
	if canPin(ctx, serverCPU) && canPin(ctx, loadCPU) {
		cores = "Server and load are pinned to a core each (taskset)."
	}
	b.keep("serve: CPU us a request", atMost("rollcall serve, 10 flags", "%.1f us", median(micros), 1e6/goalServed,
		fmt.Sprintf("net/http %.1f", median(bareMicros))))
	printTable(os.Stdout, fmt.Sprintf("serve: %d requests, 10 flags, %d connections, GOMAXPROCS=1", requests, inFlight),
		[]row{
			{"rollcall serve: requests/s", 0, rate},
			{"rollcall serve: CPU us a request", 1, micros},
			{"net/http, constant answer: requests/s", 0, bareRate},
			{"net/http, constant answer: CPU us a request", 1, bareMicros},
			{"rollcall / net/http, CPU", 2, ratios(micros, bareMicros)},
		}, []goal{{fmt.Sprintf("%d requests in a second of one core: at most %d us of CPU", goalServed, 1_000_000/goalServed),
			median(micros) <= 1e6/goalServed}},
		"The load comes from another process. The start of the server is counted, too.", cores)
	return nil
}

var listenURL = regexp.MustCompile(`http://([0-9.:]+)`)

// measureServer starts the server, sends the requests, and ends the server. It returns the requests a second that the
// load generator measured, and the CPU microseconds of the server for each request, including its start.
func (b *bench) measureServer(ctx context.Context, input string, requests int, args ...string) (perSecond,
	micros float64, err error) {
	cmd := pinnedCommand(ctx, serverCPU, args[0], args[1:]...)
	cmd.Env = cleanEnv("GOMAXPROCS=1")
	stdin, err := cmd.StdinPipe() // the constant server ends when it is closed
	if err != nil {
		return 0, 0, err
	}
	said, w, err := os.Pipe() // rollcall prints its address on standard error, the other on standard output
	if err != nil {
		return 0, 0, err
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	seconds, err := b.runLoadGenerator(ctx, said, input, requests)
	_ = stdin.Close()
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait() // its exit code does not matter
	if err != nil {
		return 0, 0, err
	}
	c := costOf(cmd.ProcessState, start)
	return float64(requests) / seconds, c.cpu * 1e6 / float64(requests), nil
}

// runLoadGenerator waits until the server prints its address, and sends it the requests.
func (b *bench) runLoadGenerator(ctx context.Context, said io.Reader, input string, requests int) (seconds float64,
	err error) {
	lines := bufio.NewScanner(said)
	var address []string
	for address == nil && lines.Scan() {
		address = listenURL.FindStringSubmatch(lines.Text())
	}
	if address == nil {
		return 0, fmt.Errorf("the server did not start: %q", lines.Text())
	}
	cmd := pinnedCommand(ctx, loadCPU, b.self, "child", "load", address[1], input, strconv.Itoa(requests))
	cmd.Env = cleanEnv("GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("the load generator: %w", err)
	}
	var l loaded
	if err := parseReply(out, &l); err != nil {
		return 0, err
	}
	return l.Seconds, nil
}
