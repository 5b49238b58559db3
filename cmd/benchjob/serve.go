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
	servedUsers = 2_000  // who are asked about, over and over
	serverCPU   = 0
	loadCPU     = 1
)

// loaded is what the load generator says: how long its requests took altogether.
type loaded struct {
	Seconds float64 `json:"seconds"`
}

// measureServe compares `rollcall serve` with a net/http server that always says the same, each on one core: its own
// where the machine has two and can pin them. The load comes from another process and another core.
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
	cores := "Neither is held to a core: taskset is missing, may not, or there is one core."
	if canPin(ctx, serverCPU) && canPin(ctx, loadCPU) {
		cores = "Each is held to a core of its own (taskset)."
	}
	printTable(os.Stdout, fmt.Sprintf("serve: %d requests, 10 flags, %d connections, GOMAXPROCS=1", requests, inFlight), []row{
		{"rollcall serve: requests/s", 0, rate},
		{"rollcall serve: server's CPU us a request", 1, micros},
		{"net/http, constant answer: requests/s", 0, bareRate},
		{"net/http, constant answer: CPU us a request", 1, bareMicros},
		{"rollcall by net/http, CPU", 2, ratios(micros, bareMicros)},
	}, []goal{{fmt.Sprintf("%d requests in a second of one core: at most %d us of CPU", goalServed, 1_000_000/goalServed), median(micros) <= 1e6/goalServed}},
		"The load comes from another process. The server's start is counted, too.", cores)
	return nil
}

var listenURL = regexp.MustCompile(`http://([0-9.:]+)`)

// measureServer starts the server, sends it the requests, and ends it: requests a second as the load generator saw it,
// and CPU microseconds a request of the server, its start included.
func (b *bench) measureServer(ctx context.Context, input string, requests int, args ...string) (perSecond, micros float64, err error) {
	cmd := pinnedCommand(ctx, serverCPU, args[0], args[1:]...)
	cmd.Env = cleanEnv("GOMAXPROCS=1")
	stdin, err := cmd.StdinPipe() // the constant server ends with it
	if err != nil {
		return 0, 0, err
	}
	said, w, err := os.Pipe() // rollcall says on standard error where it listens, the other on standard output
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
	_ = cmd.Wait() // it ends by the signal, one way or the other
	if err != nil {
		return 0, 0, err
	}
	c := costOf(cmd.ProcessState, start)
	return float64(requests) / seconds, c.cpu * 1e6 / float64(requests), nil
}

// runLoadGenerator waits until the server says where it listens, and sends it the requests.
func (b *bench) runLoadGenerator(ctx context.Context, said io.Reader, input string, requests int) (seconds float64, err error) {
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
