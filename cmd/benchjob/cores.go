//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	goalCores  = 1.85 // how many times faster two cores are than one
	goalSerial = 6.0  // percent of the CPU that serial goroutines take
)

// measureCores measures what a second core gains in a local run, and how much of its CPU is serial.
func (b *bench) measureCores(ctx context.Context) error {
	s := section{title: "cores: local run, 10 flags, long; wall s with GOMAXPROCS=1 and 2; CPU profile"}
	input, users := filepath.Join(b.dir, "cores.csv"), 300_000
	if b.quick {
		users = 30_000
	}
	if err := writeInput(input, users, allColumns); err != nil {
		return err
	}
	profiled, err := b.buildProfiled(ctx)
	if err != nil {
		return err
	}
	for _, format := range []string{"parquet", "csv", "jsonl"} {
		options := []string{"--flag-configs", configs, "--flags", tenFlags}
		var one, two []float64
		side := func(wall *[]float64, cores string) func() error {
			return func() error {
				c, err := b.runLocal(ctx, input, "cores-out."+format, []string{"GOMAXPROCS=" + cores}, options...)
				*wall = append(*wall, c.wall.Seconds())
				return err
			}
		}
		if err := takeTurns(min(b.rounds, 3), side(&one, "1"), side(&two, "2")); err != nil {
			return err
		}
		profile, normal := filepath.Join(b.dir, format+".prof"), b.rollcall
		b.rollcall = profiled
		_, err := b.runLocal(ctx, input, "cores-out."+format, []string{"GOMAXPROCS=4", "BENCHJOB_PROFILE=" + profile}, options...)
		b.rollcall = normal
		if err != nil {
			return err
		}
		shares, err := readShares(ctx, profile)
		if err != nil {
			return err
		}
		serial, busiest := 0.0, 0.0
		for _, r := range shares {
			if r.serial {
				serial, busiest = serial+r.percent, max(busiest, r.percent)
			}
		}
		s.figures = append(s.figures,
			atLeast(format+": 2 cores / 1 core", "%.2f x", median(ratios(one, two)), goalCores,
				fmt.Sprintf("%.2f s, %.2f s", median(one), median(two))),
			atMost("  serial goroutines, CPU", "%.1f %%", serial, goalSerial, fmt.Sprintf("busiest %.1f %%", busiest)))
		for _, r := range shares {
			if r.serial && r.percent >= 1 {
				s.notes = append(s.notes, fmt.Sprintf("%-8s %5.1f %% %s", format, r.percent, shortenLeft(r.name[strings.LastIndexByte(r.name, '/')+1:], 58)))
			}
		}
	}
	s.notes = append([]string{"Serial: of whose code only one goroutine runs at a time (GOMAXPROCS=4):"}, s.notes...)
	b.report(s)
	return nil
}

// buildProfiled builds the command with testdata/profile.go, which the command itself does not have.
func (b *bench) buildProfiled(ctx context.Context) (path string, err error) {
	const hooked = "run(os.Args[1:]"
	main, err := os.ReadFile("cmd/rollcall/main.go")
	if err != nil {
		return "", err
	}
	changed := bytes.Replace(main, []byte(hooked), []byte("runProfiled(os.Args[1:]"), 1)
	if bytes.Equal(main, changed) {
		return "", fmt.Errorf("cmd/rollcall/main.go does not have %s, so it cannot be profiled", hooked)
	}
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	path = filepath.Join(b.dir, "rollcall-profiled")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(root, "cmd/rollcall/main.go"):       path + ".go",
		filepath.Join(root, "cmd/rollcall/zz_profile.go"): filepath.Join(root, "cmd/benchjob/testdata/profile.go"),
	}})
	if err != nil {
		return "", err
	}
	err = errors.Join(os.WriteFile(path+".go", changed, 0o600), os.WriteFile(path+".json", overlay, 0o600))
	if err != nil {
		return "", err
	}
	return path, b.build(ctx, path, "-overlay", path+".json")
}

// share is the part of the CPU that goroutines take which were started for the same function.
type share struct {
	name    string
	percent float64
	serial  bool // there was never more than one
}

// readShares reads what the command has left that buildProfiled builds. The largest share is the first.
func readShares(ctx context.Context, profile string) ([]share, error) {
	goroutines, err := os.Open(profile + ".json")
	if err != nil {
		return nil, err
	}
	defer goroutines.Close()
	most, err := countGoroutines(goroutines)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", profile)
	traces, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return shareOut(string(traces), most)
}

// countGoroutines reads the goroutines of every moment, and returns how many there were at most at a time that were
// started for the same function.
func countGoroutines(moments io.Reader) (map[string]int, error) {
	most := map[string]int{}
	for dec := json.NewDecoder(moments); ; {
		var moment map[string]int
		if err := dec.Decode(&moment); errors.Is(err, io.EOF) {
			return most, nil
		} else if err != nil {
			return nil, fmt.Errorf("read goroutines: %w", err)
		}
		now := map[string]int{}
		for stack, n := range moment {
			now[rootOf(strings.Split(stack, "\n"))] += n
		}
		for root, n := range now {
			most[root] = max(most[root], n)
		}
	}
}

// traceLine is the first line of a stack in the output of pprof -traces: the CPU, and the innermost function. All other
// lines have a function alone.
var traceLine = regexp.MustCompile(`^\s*([0-9.]+(?:ns|us|ms|s|mins|hrs))\s+(\S.*)$`)

// shareOut gives the CPU of each stack to the function that its goroutine was started for. What is the runtime's own,
// as the collector's workers and the scheduler are, is not serial. The counting of goroutines is left out.
func shareOut(traces string, most map[string]int) ([]share, error) {
	used, all := map[string]time.Duration{}, time.Duration(0)
	_, traces, _ = strings.Cut(traces, "-----------+")
	for block := range strings.SplitSeq(traces, "-----------+") {
		var stack []string
		var cpu time.Duration
		for line := range strings.Lines(block) {
			line = strings.TrimRight(line, "\n")
			if m := traceLine.FindStringSubmatch(line); m != nil && stack == nil {
				d, err := time.ParseDuration(m[1])
				if err != nil {
					return nil, fmt.Errorf("read the profile: %w", err)
				}
				cpu, line = d, m[2]
			} else if strings.HasPrefix(line, "-") {
				continue
			}
			if name := strings.TrimSuffix(strings.TrimSpace(line), " (inline)"); name != "" {
				stack = append(stack, name)
			}
		}
		if stack != nil && cpu > 0 && !strings.HasPrefix(rootOf(stack), "main.runProfiled") {
			used[rootOf(stack)] += cpu
			all += cpu
		}
	}
	if all == 0 {
		return nil, errors.New("read the profile: it has no samples")
	}
	var shares []share
	for root, cpu := range used {
		own := strings.HasPrefix(root, "runtime.") && root != "runtime.main"
		shares = append(shares, share{root, 100 * cpu.Seconds() / all.Seconds(), !own && most[root] <= 1})
	}
	slices.SortFunc(shares, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.percent, a.percent), cmp.Compare(a.name, b.name))
	})
	return shares, nil
}

// rootOf returns the function that a goroutine with this stack, from the innermost frame, was started for.
func rootOf(stack []string) string {
	for len(stack) > 1 {
		last := stack[len(stack)-1]
		if last != "" && last != "runtime.goexit" && !strings.Contains(last, "errgroup.(*Group).") &&
			!strings.HasPrefix(last, "sync.(*WaitGroup).Go") {
			break
		}
		stack = stack[:len(stack)-1]
	}
	return stack[len(stack)-1]
}

// shortenLeft keeps the end of a name.
func shortenLeft(name string, most int) string {
	if len(name) > most {
		return "..." + name[len(name)-most+3:]
	}
	return name
}
