//go:build unix

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The goals.
const (
	goalRatio  = 0.75 // CPU of the whole job by that of the bare loop
	goalGrowth = 1.10 // peak memory with many users by that with few
	goalPeakMB = 128.0
)

func main() {
	err := run(context.Background(), os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchjob:", err)
		os.Exit(1)
	}
}

// run is benchjob. The subcommands serve and bare are its own children.
func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve()
	case len(args) == 3 && args[0] == "bare":
		return bare(args[1], args[2])
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // not for the children, which just die of it
	defer stop()
	set := flag.NewFlagSet("benchjob", flag.ContinueOnError)
	users := set.Int("users", 100_000, "users of each round")
	rounds := set.Int("rounds", 5, "rounds of the two, taking turns")
	rssUsers := set.Int("rss-users", 1_000_000, "users of the large run for peak memory; 0: none")
	quick := set.Bool("quick", false, "one round of 5,000 users, 20,000 for memory: does it run at all?")
	onlyBare := set.Bool("bare", false, "measure the bare loop alone")
	binary := set.String("rollcall", "", "a rollcall that is built already, instead of this tree's")
	limit := set.Duration("timeout", 6*time.Minute, "give up after so long")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 || *users < 1 || *rounds < 1 || *rssUsers < 0 {
		return fmt.Errorf("no such argument or number: %s; see -help", strings.Join(args, " "))
	}
	if *quick {
		*users, *rounds, *rssUsers = 5_000, 1, 20_000
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("not done after %s (-timeout)", *limit))
	defer cancel()
	dir, err := os.MkdirTemp("", "benchjob-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, rollcall: *binary}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.rollcall == "" && !*onlyBare {
		b.rollcall = filepath.Join(dir, "rollcall")
		build := exec.CommandContext(ctx, "go", "build", "-o", b.rollcall, "./cmd/rollcall")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build rollcall (run benchjob from the root of the repository): %w", err)
		}
	}
	stopServer, err := b.startServer(ctx)
	if err != nil {
		return err
	}
	defer stopServer()

	start := time.Now()
	fmt.Printf("goos: %s\ngoarch: %s\n# %s, %d CPUs, %d users a round, 5 flags, %d in flight, %d-byte answers\n",
		runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU(), *users, inFlight, len(answer))
	if *onlyBare {
		err = b.bareAlone(ctx, *users, *rounds)
	} else {
		err = b.compare(ctx, *users, *rounds, *rssUsers)
	}
	if err != nil {
		return err
	}
	fmt.Printf("# took %s\n", time.Since(start).Round(time.Second))
	return nil
}

// bench is what the measurements share.
type bench struct {
	dir, self, rollcall, server string
}

// cost is what one finished process took.
type cost struct {
	cpu    float64 // seconds, user + system
	peakMB float64
	wall   time.Duration
}

func (b *bench) compare(ctx context.Context, users, rounds, rssUsers int) error {
	input := filepath.Join(b.dir, "users.csv")
	if err := writeInput(input, users); err != nil {
		return err
	}
	per100k := 100_000 / float64(users)
	var ratios []float64
	var few cost
	fmt.Println("# round   job CPU s  bare CPU s   ratio   job wall  bare wall   (CPU per 100,000 users)")
	for round := range rounds {
		var job, loop cost
		measures := []func() error{
			func() (err error) { job, err = b.job(ctx, input, users); return err },
			func() (err error) { loop, err = b.bare(ctx, input, users); return err },
		}
		if round%2 == 1 {
			slices.Reverse(measures)
		}
		for _, measure := range measures {
			if err := measure(); err != nil {
				return err
			}
		}
		ratios = append(ratios, job.cpu/loop.cpu)
		few.peakMB = max(few.peakMB, job.peakMB)
		fmt.Printf("# %5d   %9.2f  %10.2f   %5.3f   %7.1fs  %8.1fs\n", round+1, job.cpu*per100k, loop.cpu*per100k,
			job.cpu/loop.cpu, job.wall.Seconds(), loop.wall.Seconds())
		benchLine("WholeJob", job, per100k)
		benchLine("BareLoop", loop, per100k)
	}
	ratio := median(ratios)
	fmt.Printf("# CPU: the whole job takes %.3f of the bare loop (median of %d); goal: at most %.2f: %s\n",
		ratio, rounds, goalRatio, verdict(ratio <= goalRatio))
	if rssUsers == 0 {
		return nil
	}
	if err := writeInput(input, rssUsers); err != nil {
		return err
	}
	many, err := b.job(ctx, input, rssUsers)
	if err != nil {
		return err
	}
	benchLine(fmt.Sprintf("WholeJob/users=%d", rssUsers), many, 100_000/float64(rssUsers))
	growth, peak := many.peakMB/few.peakMB, max(many.peakMB, few.peakMB)
	fmt.Printf("# memory: peak %.1f MB with %d users, %.1f MB with %d: %.3f times; goals: at most %.2f: %s, under %.0f MB: %s\n",
		few.peakMB, users, many.peakMB, rssUsers, growth, goalGrowth, verdict(growth <= goalGrowth), goalPeakMB, verdict(peak < goalPeakMB))
	return nil
}

func (b *bench) bareAlone(ctx context.Context, users, rounds int) error {
	input := filepath.Join(b.dir, "users.csv")
	if err := writeInput(input, users); err != nil {
		return err
	}
	for range rounds {
		c, err := b.bare(ctx, input, users)
		if err != nil {
			return err
		}
		benchLine("BareLoop", c, 100_000/float64(users))
	}
	return nil
}

// job runs rollcall on input.
func (b *bench) job(ctx context.Context, input string, users int) (cost, error) {
	cmd := exec.CommandContext(ctx, b.rollcall, "snapshot", input, "--out", filepath.Join(b.dir, "out.parquet"), "--overwrite",
		"--server", b.server, "--flags", flags, "--rate", "0", "--concurrency", strconv.Itoa(inFlight), "--quiet")
	cmd.Env = append(os.Environ(), "AMPLITUDE_DEPLOYMENT_KEY=bench")
	c, err := b.measure(ctx, cmd, users)
	if err != nil {
		return c, fmt.Errorf("the whole job: %w", err)
	}
	return c, nil
}

// bare runs the bare loop on input.
func (b *bench) bare(ctx context.Context, input string, users int) (cost, error) {
	c, err := b.measure(ctx, exec.CommandContext(ctx, b.self, "bare", b.server, input), users)
	if err != nil {
		return c, fmt.Errorf("the bare loop: %w", err)
	}
	return c, nil
}

// measure runs cmd and says what it took. A cmd that did not ask about every user once has no cost.
func (b *bench) measure(ctx context.Context, cmd *exec.Cmd, users int) (cost, error) {
	before, err := b.asked(ctx)
	if err != nil {
		return cost{}, err
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, cmp.Or(context.Cause(ctx), err)
	}
	c := cost{
		cpu:    (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
		peakMB: peakMB(cmd.ProcessState),
		wall:   time.Since(start),
	}
	after, err := b.asked(ctx)
	if err != nil {
		return cost{}, err
	}
	if after-before != users {
		return cost{}, fmt.Errorf("sent %d requests for %d users", after-before, users)
	}
	return c, nil
}

// peakMB is the largest resident size that the process had, in units of 10^6 bytes.
func peakMB(state *os.ProcessState) float64 {
	peak := float64(state.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS != "darwin" { // there it is in bytes, elsewhere in KiB: getrusage(2)
		peak *= 1024
	}
	return peak / 1e6
}

// startServer starts the server in a process of its own. stop ends it and waits until it has.
func (b *bench) startServer(ctx context.Context) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, b.self, "serve")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = stdin.Close()
		_ = cmd.Wait() // it was told to end
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("start the server: %w", err)
	}
	b.server = strings.TrimSpace(line)
	return stop, nil
}

// asked is how many users the server was asked about until now.
func (b *bench) asked(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.server+"/asked", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// benchLine prints the cost in the format of go test -bench, which benchstat reads.
func benchLine(name string, c cost, per100k float64) {
	fmt.Printf("Benchmark%s 1 %.3f cpu-s/100k-users %.1f peak-MB\n", name, c.cpu*per100k, c.peakMB)
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func verdict(held bool) string {
	if held {
		return "held"
	}
	return "MISSED"
}
