//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/sources"
)

const (
	goalVerify = 12.0 // CPU seconds for ten million rows
	goalReplay = 4.0  // CPU seconds for a million users
)

// measureVerify compares rollcall verify with the making of what it verifies.
func (b *bench) measureVerify(ctx context.Context) error {
	input := filepath.Join(b.dir, "verify.csv")
	if err := writeInput(input, b.many, allColumns); err != nil {
		return err
	}
	per10M := 10e6 / float64(b.many*len(strings.Split(tenFlags, ",")))
	var made, verified, peak []float64
	err := takeTurns(min(b.rounds, 2), func() error {
		c, err := b.runLocal(ctx, input, "verify.parquet", nil, "--flag-configs", configs, "--flags", tenFlags)
		if err != nil {
			return err
		}
		made = append(made, c.cpu*per10M)
		cmd := exec.CommandContext(ctx, b.rollcall, "verify", filepath.Join(b.dir, "verify.parquet"))
		cmd.Env = cleanEnv()
		if c, err = runSilently(cmd); err != nil {
			return err
		}
		verified, peak = append(verified, c.cpu*per10M), append(peak, c.peakMB)
		return nil
	})
	if err != nil {
		return err
	}
	b.report(section{"verify: CPU s for 10,000,000 rows of Parquet", []figure{
		atMost("rollcall verify", "%.1f s", median(verified), goalVerify, fmt.Sprintf("making it %.1f s", median(made))),
		described("  peak memory", fmt.Sprintf("%.0f MB", maxOf(peak)), ""),
	}, nil})
	return nil
}

// runSilently is runAndMeasure without the output.
func runSilently(cmd *exec.Cmd) (cost, error) {
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return cost{}, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return costOf(cmd.ProcessState, start), nil
}

// leftUnasked is how many users the journal of measureReplay does not have.
const leftUnasked = 10

// measureReplay measures how a run goes on that was interrupted before the last users. The run itself begins the
// journal, and is interrupted at once; the answers to all others are appended here, as the run would have done.
func (b *bench) measureReplay(ctx context.Context) error {
	server, stop, err := b.startServer(ctx)
	if err != nil {
		return err
	}
	defer stop()
	input, out := filepath.Join(b.dir, "replay.csv"), filepath.Join(b.dir, "replay.parquet")
	if err := writeInput(input, b.many, columns); err != nil {
		return err
	}
	path, kept := journal.PathFor(out), filepath.Join(b.dir, "replay.journal")
	if err := b.interruptRun(ctx, server, input, out); err != nil {
		return err
	}
	if err := completeJournal(path, server, input, b.many-leftUnasked); err != nil {
		return err
	}
	if err := os.Rename(path, kept); err != nil {
		return err
	}
	info, err := os.Stat(kept)
	if err != nil {
		return err
	}
	var cpu, peak []float64
	for range min(b.rounds, 3) {
		if err := errors.Join(os.RemoveAll(out), copyFile(path, kept)); err != nil {
			return err
		}
		c, err := runCounted(ctx, server, leftUnasked, b.replayCommand(ctx, server, input, out))
		if err != nil {
			return err
		}
		cpu, peak = append(cpu, c.cpu*1e6/float64(b.many)), append(peak, c.peakMB)
	}
	b.report(section{"replay: CPU s for 1,000,000 users, 5 flags, CSV to Parquet, on resume", []figure{
		atMost("rollcall snapshot, resumed", "%.1f s", median(cpu), goalReplay, fmt.Sprintf("journal %d MB",
			info.Size()/1e6)),
		described("  peak memory", fmt.Sprintf("%.0f MB", maxOf(peak)), ""),
	}, nil})
	return nil
}

func (b *bench) replayCommand(ctx context.Context, server, input, out string) *exec.Cmd {
	return b.snapshotCommand(ctx, server, input, out, "--rate", "0", "--quiet", "--resume", "always")
}

// interruptRun begins a run, and interrupts it when it has asked.
func (b *bench) interruptRun(ctx context.Context, server, input, out string) error {
	cmd := b.snapshotCommand(ctx, server, input, out, "--rate", "0", "--quiet")
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for interrupted := false; ; {
		select {
		case err := <-done:
			if code := cmd.ProcessState.ExitCode(); code != 130 {
				return fmt.Errorf("interrupt %s: exit code %d, want 130 (%w)", strings.Join(cmd.Args, " "), code, err)
			}
			return nil
		case <-ticker.C:
		}
		if asked, err := fetchAsked(ctx, server); err == nil && asked > 100 && !interrupted {
			interrupted = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				return err
			}
		}
	}
}

// completeJournal appends the answers for the users of input up to the given row to a journal.
func completeJournal(path, server, input string, last int) (err error) {
	reader, err := journal.Open(path)
	if err != nil {
		return err
	}
	var rec journal.Record
	known := int64(0)
	for err = reader.Next(&rec); err == nil; err = reader.Next(&rec) {
		known = rec.Row
	}
	if !errors.Is(err, io.EOF) {
		return errors.Join(err, reader.Close())
	}
	writer, err := reader.Resume()
	if err != nil {
		return errors.Join(err, reader.Close())
	}
	defer func() { err = errors.Join(err, writer.Close()) }()
	key, err := amplitude.NewKey("bench")
	if err != nil {
		return err
	}
	client, err := amplitude.New(amplitude.Config{BaseURL: server, Key: key, FlagKeys: strings.Split(fiveFlags, ",")})
	if err != nil {
		return err
	}
	defer client.Close()
	replay := client.Replay()
	source, err := sources.Open([]sources.File{{Path: input}}, sources.Options{})
	if err != nil {
		return err
	}
	defer source.Close()
	at := time.Now()
	for range last {
		var row pipeline.Row
		if err := source.Next(&row); err != nil {
			return err
		}
		if row.Number <= known {
			continue
		}
		rec = journal.Record{Row: row.Number, Attempts: 1, At: at, Body: constantAnswer, Request: replay.Request(&row.User)}
		if err := writer.Append(&rec); err != nil {
			return err
		}
	}
	return writer.Flush()
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
