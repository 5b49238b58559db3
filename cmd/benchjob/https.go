//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

const (
	goalNaive = 0.75 // CPU of a request divided by that of the bare loop, over TLS
	goalWrk   = 2.5  // CPU of a request divided by that of wrk, over plain HTTP
)

// measureHTTPS compares the CPU of a request with that of the bare loop, and of load generators in C, which send the
// same requests, parse no answer and write nothing.
func (b *bench) measureHTTPS(ctx context.Context) error {
	s := section{title: fmt.Sprintf("https: CPU us a request, 5 flags, %d in flight", inFlight)}
	users := min(b.users, 50_000)
	input := filepath.Join(b.dir, "https.csv")
	if err := writeInput(input, users, columns); err != nil {
		return err
	}
	targets, err := writeTargets(b.dir, input)
	if err != nil {
		return err
	}
	for _, proto := range []string{"http", "h1", "h2"} {
		ca := filepath.Join(b.dir, proto+".pem")
		server, stop, err := b.startServer(ctx, "-proto", proto, "-ca", ca)
		if err != nil {
			return err
		}
		figures, err := b.compareClients(ctx, proto, server, ca, input, targets, users)
		stop()
		if err != nil {
			return err
		}
		s.figures = append(s.figures, figures...)
	}
	s.notes = []string{"The bare loop reads and parses as rollcall does; wrk and h2load do not."}
	b.report(s)
	return nil
}

// compareClients measures all clients of a protocol.
func (b *bench) compareClients(ctx context.Context, proto, server, ca, input string, targets targets, users int) ([]figure,
	error) {
	var ours, naive, native []float64
	micros := 1e6 / float64(users)
	run := func(cpu *[]float64, cmd *exec.Cmd) error {
		cmd.Env = cleanEnv("SSL_CERT_FILE=" + ca)
		c, err := runCounted(ctx, server, users, cmd)
		*cpu = append(*cpu, c.cpu*micros)
		return err
	}
	sides := []func() error{
		func() error { return run(&ours, b.remoteCommand(ctx, server, input)) },
		func() error { return run(&naive, exec.CommandContext(ctx, b.self, "child", "bare", server, input)) },
	}
	tool := map[string]string{"http": "wrk", "h1": "wrk", "h2": "h2load"}[proto]
	if path, err := exec.LookPath(tool); err == nil {
		sides = append(sides, func() error {
			cpu, err := targets.run(ctx, path, server, users)
			native = append(native, cpu)
			return err
		})
	}
	if err := takeTurns(min(b.rounds, 3), sides...); err != nil {
		return nil, err
	}
	name := map[string]string{"http": "plain HTTP", "h1": "HTTP/1.1 over TLS", "h2": "HTTP/2"}[proto]
	to := fmt.Sprintf("%.1f, %.1f us", median(ours), median(naive))
	var figures []figure
	if proto == "http" {
		figures = append(figures, described(name+" / bare loop", fmt.Sprintf("%.2f x", median(ratios(ours, naive))), to))
	} else {
		figures = append(figures, atMost(name+" / bare loop", "%.2f x", median(ratios(ours, naive)), goalNaive, to))
	}
	label := name + " / " + tool
	switch {
	case native == nil:
		return append(figures, described(label, "", "not installed")), nil
	case proto == "http":
		return append(figures, atMost(label, "%.2f x", median(ratios(ours, native)), goalWrk,
			fmt.Sprintf("%.1f, %.1f us", median(ours), median(native)))), nil
	}
	return append(figures, described(label, fmt.Sprintf("%.2f x", median(ratios(ours, native))),
		fmt.Sprintf("%.1f, %.1f us", median(ours), median(native)))), nil
}

// targets are files with the requests of rollcall: for wrk a script, for h2load a list.
type targets struct{ script, list string }

// maxTargets is how many different requests the load generators send; more would only be more to read for them.
const maxTargets = 5000

// writeTargets writes the requests about the users of input.
func writeTargets(dir, input string) (targets, error) {
	t := targets{filepath.Join(dir, "wrk.lua"), filepath.Join(dir, "h2load.txt")}
	f, err := os.Open(input)
	if err != nil {
		return t, err
	}
	defer f.Close()
	list, err := os.Create(t.list)
	if err != nil {
		return t, err
	}
	w := bufio.NewWriter(list)
	r := csv.NewReader(f)
	if _, err := r.Read(); err != nil { // the header
		return t, err
	}
	for range maxTargets {
		record, err := r.Read()
		if err != nil {
			break // fewer
		}
		path, err := requestPath(record)
		if err != nil {
			return t, err
		}
		_, _ = fmt.Fprintln(w, path) // Flush returns the error
	}
	if err := w.Flush(); err != nil {
		return t, err
	}
	script := fmt.Sprintf(`local paths = {}
for line in io.lines(%q) do paths[#paths+1] = line end
local headers = { ["Authorization"] = "Api-Key bench", ["X-Amp-Exp-Track"] = "no-track",
  ["X-Amp-Exp-Exposure-Track"] = "no-track", ["Accept-Encoding"] = "gzip" }
local i, requests = 0, {}
function init() for k, p in ipairs(paths) do requests[k] = wrk.format("GET", p, headers) end end
function request() i = i %% #requests + 1; return requests[i] end
`, t.list)
	if err := os.WriteFile(t.script, []byte(script), 0o600); err != nil {
		return t, err
	}
	return t, list.Close()
}

var counted = regexp.MustCompile(`(\d+) requests in |requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded`)

// run runs a load generator, and returns its CPU microseconds for each request.
func (t targets) run(ctx context.Context, path, server string, requests int) (micros float64, err error) {
	var args []string
	if filepath.Base(path) == "wrk" { // it takes a time, not a number of requests
		args = []string{"-t1", "-c" + strconv.Itoa(inFlight), "-d2s", "-s", t.script, server}
	} else {
		args = []string{"-n" + strconv.Itoa(requests), "-c1", "-t1", "-m" + strconv.Itoa(inFlight), "-B" + server, "-i" + t.list,
			"-HAuthorization: Api-Key bench", "-HX-Amp-Exp-Track: no-track", "-HX-Amp-Exp-Exposure-Track: no-track"}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	n, err := countRequests(out)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	state := cmd.ProcessState
	return float64((state.UserTime() + state.SystemTime()).Microseconds()) / float64(n), nil
}

// countRequests returns how many requests a load generator says were answered.
func countRequests(out []byte) (int, error) {
	if m := counted.FindSubmatch(out); m != nil {
		if n, err := strconv.Atoi(string(m[1]) + string(m[2])); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("no number of requests in %q", out)
}
