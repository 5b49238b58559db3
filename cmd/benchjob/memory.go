//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	goalAnswersMB = 128.0 // peak memory with answers of up to 100 kB
	goalHeldMB    = 256.0 // with 1 MB answers and a user whose answer is held
	goalFlagsMB   = 160.0 // with manyFlags flags, locally
	goalColumnsMB = 256.0 // with manyColumns columns
	goalUnlimited = 1.15  // CPU divided by that of a run without a memory limit
	manyFlags     = 1000
	manyColumns   = 10_000
)

// measureMemory measures the peak memory where rows, answers and flags are large, and what its limit costs.
func (b *bench) measureMemory(ctx context.Context) error {
	s := section{title: "memory: peak MB; CPU beside that with GOMEMLIMIT=off and the same GOGC"}
	rounds := 2
	if b.quick {
		rounds = 1
	}
	// compare runs a command with and without the limit.
	compare := func(name string, goal float64, run func(env ...string) (cost, error)) error {
		var peak, free, limited, unlimited []float64
		side := func(cpu, mb *[]float64, env ...string) func() error {
			return func() error {
				c, err := run(env...)
				*cpu, *mb = append(*cpu, c.cpu), append(*mb, c.peakMB)
				return err
			}
		}
		if err := takeTurns(rounds, side(&limited, &peak), side(&unlimited, &free, "GOMEMLIMIT=off")); err != nil {
			return err
		}
		s.figures = append(s.figures,
			atMost(name, "%.0f MB", maxOf(peak), goal, fmt.Sprintf("unlimited %.0f", maxOf(free))),
			atMost("  CPU beside unlimited", "%.2f x", median(ratios(limited, unlimited)), goalUnlimited,
				fmt.Sprintf("%.1f s, %.1f s", median(limited), median(unlimited))))
		return nil
	}
	traffic := 200_000_000
	if b.quick {
		traffic = 5_000_000
	}
	for _, size := range []int{5_000, 50_000, 100_000} {
		for _, flight := range []int{64, 256} {
			err := compare(fmt.Sprintf("%d kB answers, %d in flight", size/1000, flight), goalAnswersMB,
				func(env ...string) (cost, error) {
					return b.runLarge(ctx, flight, traffic/size, env, "-bytes", strconv.Itoa(size))
				})
			if err != nil {
				return err
			}
		}
	}

	held := 10 * time.Second
	if b.quick {
		held = time.Second
	}
	c, err := b.runLarge(ctx, inFlight, 1000, nil, "-bytes", "1000000", "-held", held.String())
	if err != nil {
		return err
	}
	s.figures = append(s.figures, atMost(fmt.Sprintf("1 MB answers, one held for %v", held), "%.0f MB", c.peakMB, goalHeldMB,
		fmt.Sprintf("%.1f s of wall", c.wall.Seconds())))

	flagsFile, users := filepath.Join(b.dir, "many-flags.json"), filepath.Join(b.dir, "memory.csv")
	if err := writeManyFlags(flagsFile, manyFlags); err != nil {
		return err
	}
	if err := writeInput(users, min(b.users, 10_000), allColumns); err != nil {
		return err
	}
	err = compare(fmt.Sprintf("%d flags, local", manyFlags), goalFlagsMB, func(env ...string) (cost, error) {
		return b.runLocal(ctx, users, "memory.parquet", env, "--flag-configs", flagsFile)
	})
	if err != nil {
		return err
	}

	wide, rows := filepath.Join(b.dir, "wide.csv"), 3000
	if b.quick {
		rows = 50
	}
	if err := writeWide(wide, rows, manyColumns); err != nil {
		return err
	}
	err = compare(fmt.Sprintf("%d columns, %d rows, local", manyColumns, rows), goalColumnsMB,
		func(env ...string) (cost, error) {
			return b.runLocal(ctx, wide, "memory.parquet", env, "--flag-configs", configs, "--flags", tenFlags,
				"--properties", "all")
		})
	if err != nil {
		return err
	}
	if err := os.Remove(wide); err != nil {
		return err
	}
	s.notes = []string{"Answers: 5 flags, another payload for each user, to Parquet, --rate 0."}
	b.report(s)
	return nil
}

func maxOf(values []float64) (most float64) {
	for _, v := range values {
		most = max(most, v)
	}
	return most
}

// runLarge runs rollcall against a new server with these options.
func (b *bench) runLarge(ctx context.Context, flight, users int, env []string, options ...string) (cost, error) {
	server, stop, err := b.startServer(ctx, options...)
	if err != nil {
		return cost{}, err
	}
	defer stop()
	input := filepath.Join(b.dir, "large.csv")
	if err := writeInput(input, users, columns); err != nil {
		return cost{}, err
	}
	cmd := b.snapshotCommand(ctx, server, input, filepath.Join(b.dir, "large.parquet"), "--rate", "0", "--quiet",
		"--concurrency", strconv.Itoa(flight))
	cmd.Env = append(cmd.Env, env...)
	return runCounted(ctx, server, users, cmd)
}

// runLocal runs rollcall without a network. out is a file of the benchmark's directory.
func (b *bench) runLocal(ctx context.Context, input, out string, env []string, options ...string) (cost, error) {
	cmd := exec.CommandContext(ctx, b.rollcall, append([]string{"snapshot", input, "--evaluator", "local", "--out",
		filepath.Join(b.dir, out), "--overwrite", "--quiet"}, options...)...)
	cmd.Env = cleanEnv(env...)
	return runAndMeasure(cmd)
}

// snapshotCommand returns rollcall for all users of input, who are asked about five flags.
func (b *bench) snapshotCommand(ctx context.Context, server, input, out string, options ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.rollcall, append([]string{"snapshot", input, "--out", out, "--overwrite", "--server",
		server, "--flags", fiveFlags}, options...)...)
	cmd.Env = cleanEnv()
	return cmd
}

// writeManyFlags writes n flag configurations: those of tenFlags that depend on no other flag, again and again under
// other names.
func writeManyFlags(path string, n int) error {
	text, err := os.ReadFile(configs)
	if err != nil {
		return err
	}
	var all []map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("read %s: %w", configs, err)
	}
	var models []map[string]any
	for _, f := range all {
		key, _ := f["key"].(string)
		if _, depends := f["dependencies"]; !depends && strings.Contains(","+tenFlags+",", ","+key+",") {
			models = append(models, f)
		}
	}
	if len(models) == 0 {
		return fmt.Errorf("%s has no flag of %s without dependencies", configs, tenFlags)
	}
	var many []json.RawMessage
	for i := range n {
		f := models[i%len(models)]
		f["key"] = fmt.Sprintf("flag-%04d", i)
		data, err := json.Marshal(f)
		if err != nil {
			return err
		}
		many = append(many, data)
	}
	data, err := json.Marshal(many)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// writeWide writes a CSV with many columns.
func writeWide(path string, rows, columns int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	line := []byte("user_id")
	for c := range columns - 1 {
		line = fmt.Appendf(line, ",p%05d", c)
	}
	_, _ = w.Write(append(line, '\n')) // Flush returns the error
	for i := range rows {
		line = append(line[:0], userName(i)...)
		for c := range columns - 1 {
			line = append(strconv.AppendInt(append(line, ",v"...), int64((i*31+c)%100_000), 10), 'x')
		}
		_, _ = w.Write(append(line, '\n'))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
