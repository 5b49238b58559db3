//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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

func main() {
	err := run(context.Background(), os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchjob:", err)
		os.Exit(1)
	}
}

// bench has the settings that the parts share.
type bench struct {
	dir, self, rollcall string
	users, many, rounds int
	requests            int           // in a round of serve
	round               time.Duration // CPU time of a round of engine
	quick               bool

	out      io.Writer
	sections []section // that were reported
}

// parts are the measurements, in the order in which they run.
var parts = []struct {
	name    string
	measure func(*bench, context.Context) error
}{
	{"engine", (*bench).measureEngine},
	{"local", (*bench).measureLocal},
	{"serve", (*bench).measureServe},
	{"remote", (*bench).measureRemote},
	{"https", (*bench).measureHTTPS},
	{"rate", (*bench).measureRate},
	{"found", (*bench).measureFoundRate},
	{"memory", (*bench).measureMemory},
	{"cores", (*bench).measureCores},
	{"verify", (*bench).measureVerify},
	{"replay", (*bench).measureReplay},
	{"flatten", (*bench).measureFlatten},
	{"start", (*bench).measureStart},
	{"size", (*bench).measureSize},
}

// partNames are the names of all parts.
func partNames() []string {
	var names []string
	for _, part := range parts {
		names = append(names, part.name)
	}
	return names
}

// run runs benchjob. With the argument child, it runs as a child of another benchjob.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "child" {
		return runChild(args[1:])
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // children simply die from signals
	defer stop()
	b := bench{out: os.Stdout}
	set := flag.NewFlagSet("benchjob", flag.ContinueOnError)
	only := set.String("only", strings.Join(partNames(), ","), "what to measure: a comma-separated list of these")
	set.IntVar(&b.rounds, "rounds", 5, "rounds of each comparison; the sides take turns")
	set.IntVar(&b.users, "users", 100_000, "users of a round of remote, and of the small run for local's peak memory")
	set.IntVar(&b.many, "many", 1_000_000, "users of a round of local, and of the large run for remote's peak memory")
	set.IntVar(&b.requests, "requests", 100_000, "requests of a round of serve")
	set.DurationVar(&b.round, "engine-time", time.Second, "CPU time of a round of engine")
	set.BoolVar(&b.quick, "quick", false, "one small round of each part, to check that it runs")
	set.StringVar(&b.rollcall, "rollcall", "", "path of a built rollcall, instead of building this tree")
	limit := set.Duration("timeout", 30*time.Minute, "stop after this time")
	if err := set.Parse(args); err != nil {
		return err
	}
	if b.quick {
		b.rounds, b.users, b.many, b.requests, b.round = 1, 5_000, 20_000, 5_000, 50*time.Millisecond
	}
	if set.NArg() > 0 || b.rounds < 1 || b.users < 1 || b.many < 1 || b.requests < inFlight || b.round <= 0 {
		return fmt.Errorf("invalid arguments: %s; see -help", strings.Join(args, " "))
	}
	chosen, err := parseParts(*only)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("not done after %s (-timeout)", *limit))
	defer cancel()
	if b.dir, err = os.MkdirTemp("", "benchjob-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.rollcall == "" && !slices.Equal(chosen, []string{"engine"}) {
		b.rollcall = filepath.Join(b.dir, "rollcall")
		if err := b.build(ctx, b.rollcall); err != nil {
			return err
		}
	}
	start := time.Now()
	fmt.Printf("goos: %s\ngoarch: %s\n# %s, %d CPUs, %d rounds\n", runtime.GOOS, runtime.GOARCH, runtime.Version(),
		runtime.NumCPU(), b.rounds)
	for _, part := range parts {
		if !slices.Contains(chosen, part.name) {
			continue
		}
		if err := part.measure(&b, ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause // err is only a consequence
			}
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if len(chosen) > 1 {
		fmt.Println("#\n# All figures:")
		printSections(b.out, b.sections...)
	}
	fmt.Printf("#\n# took %s\n", time.Since(start).Round(time.Second))
	return nil
}

// build builds rollcall from this tree.
func (b *bench) build(ctx context.Context, path string, options ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", path}, options...), "./cmd/rollcall")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build rollcall (run benchjob from the root of the repository): %w", err)
	}
	return nil
}

// parseParts parses the list of -only.
func parseParts(list string) ([]string, error) {
	names, chosen := partNames(), strings.Split(list, ",")
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("-only %q: want a comma-separated list of %s", list, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}

// runChild runs benchjob as a child of another benchjob.
func runChild(args []string) error {
	switch {
	case len(args) > 0 && args[0] == "answer":
		return serveAnswers(args[1:])
	case len(args) == 3 && args[0] == "bare":
		return runBare(args[1], args[2])
	case len(args) == 4 && args[0] == "load":
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		wall, err := runLoad(args[1], args[2], n)
		if err != nil {
			return err
		}
		return printReply(loaded{Seconds: wall.Seconds()})
	}
	return fmt.Errorf("no such child: %s", strings.Join(args, " "))
}

// takeTurns calls all sides in each round. Another side goes first in every round, so that other work of the machine
// affects all of them.
func takeTurns(rounds int, sides ...func() error) error {
	for round := range rounds {
		for i := range sides {
			if err := sides[(i+round)%len(sides)](); err != nil {
				return err
			}
		}
	}
	return nil
}
