//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

const (
	goalBare   = 0.75 // CPU of the whole job divided by that of the bare loop
	goalGrowth = 1.10 // peak memory with many users divided by that with few
	goalPeakMB = 128.0
)

// measureRemote compares the whole job with the bare loop. Both ask the server of server.go in another process.
func (b *bench) measureRemote(ctx context.Context) error {
	server, stop, err := b.startServer(ctx)
	if err != nil {
		return err
	}
	defer stop()
	input := filepath.Join(b.dir, "remote.csv")
	if err := writeInput(input, b.users, columns); err != nil {
		return err
	}
	per100k := 100_000 / float64(b.users)
	var job, loop, few []float64
	err = takeTurns(b.rounds, func() error {
		c, err := runCounted(ctx, server, b.users, b.remoteCommand(ctx, server, input))
		if err != nil {
			return err
		}
		job, few = append(job, c.cpu*per100k), append(few, c.peakMB)
		benchLine(os.Stdout, "Remote", c.cpu*per100k, "cpu-s/100k-users", c.peakMB, "peak-MB")
		return nil
	}, func() error {
		c, err := runCounted(ctx, server, b.users, exec.CommandContext(ctx, b.self, "child", "bare", server, input))
		if err != nil {
			return err
		}
		loop = append(loop, c.cpu*per100k)
		benchLine(os.Stdout, "RemoteBare", c.cpu*per100k, "cpu-s/100k-users", c.peakMB, "peak-MB")
		return nil
	})
	if err != nil {
		return err
	}
	if err := writeInput(input, b.many, columns); err != nil {
		return err
	}
	c, err := runCounted(ctx, server, b.many, b.remoteCommand(ctx, server, input))
	if err != nil {
		return err
	}
	many := []float64{c.peakMB}
	benchLine(os.Stdout, fmt.Sprintf("Remote/users=%d", b.many), c.cpu*100_000/float64(b.many), "cpu-s/100k-users",
		c.peakMB, "peak-MB")
	ratio := ratios(job, loop)
	b.keep("remote: CSV, requests, Parquet, 5 flags, plain HTTP", append([]figure{atMost("CPU / bare loop", "%.2f x",
		median(ratio), goalBare, fmt.Sprintf("%.2f s, %.2f s", median(job), median(loop)))}, memoryFigures(few, many)...)...)
	printTable(os.Stdout, fmt.Sprintf("remote: CPU s for 100,000 users, 5 flags, %d in flight, plain HTTP", inFlight),
		[]row{
			{"rollcall: CSV, requests, Parquet", 2, job},
			{"bare loop: net/http, encoding/json, no output", 2, loop},
			{"rollcall / bare loop", 3, ratio},
			{fmt.Sprintf("peak MB with %d users", b.users), 1, few},
			{fmt.Sprintf("peak MB with %d users", b.many), 1, many},
		}, append([]goal{{fmt.Sprintf("at most %.2f of the bare loop", goalBare), median(ratio) <= goalBare}},
			memoryGoals(few, many)...))
	return nil
}

// memoryGoals returns the goals for the peak memory of runs with few and with many users.
func memoryGoals(few, many []float64) []goal {
	growth := slices.Max(many) / slices.Max(few)
	return []goal{
		{fmt.Sprintf("peak memory flat: at most %.2f times (%.3f)", goalGrowth, growth), growth <= goalGrowth},
		{fmt.Sprintf("peak memory under %.0f MB in every run", goalPeakMB),
			max(slices.Max(few), slices.Max(many)) < goalPeakMB},
	}
}

// memoryFigures returns the same goals as figures.
func memoryFigures(few, many []float64) []figure {
	return []figure{
		atMost("peak memory, many users / few", "%.2f x", slices.Max(many)/slices.Max(few), goalGrowth,
			fmt.Sprintf("%.0f, %.0f MB", slices.Max(many), slices.Max(few))),
		atMost("peak memory", "%.0f MB", max(slices.Max(few), slices.Max(many)), goalPeakMB, ""),
	}
}

// remoteCommand returns rollcall for all users of input, as fast as it can.
func (b *bench) remoteCommand(ctx context.Context, server, input string) *exec.Cmd {
	return b.snapshotCommand(ctx, server, input, filepath.Join(b.dir, "remote.parquet"), "--rate", "0", "--concurrency",
		strconv.Itoa(inFlight), "--quiet")
}

// runCounted runs cmd and returns its cost. It is an error if cmd did not ask about every user once.
func runCounted(ctx context.Context, server string, users int, cmd *exec.Cmd) (cost, error) {
	before, err := fetchAsked(ctx, server)
	if err != nil {
		return cost{}, err
	}
	c, err := runAndMeasure(cmd)
	if err != nil {
		return cost{}, err
	}
	after, err := fetchAsked(ctx, server)
	if err != nil {
		return cost{}, err
	}
	if after-before != users {
		return cost{}, fmt.Errorf("sent %d requests for %d users", after-before, users)
	}
	return c, nil
}
