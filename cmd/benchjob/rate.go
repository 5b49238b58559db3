//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	goalRate      = 0.99 // of the rate that is asked for
	apiLimit      = 50   // requests a second that the server of found takes
	goalFound     = 47.0 // of them, once the rate is found
	goalRefused   = 0.02 // of the requests after findIn
	findIn        = time.Minute
	goalLogged    = 1.0 // log lines for each time that the server refuses
	refusalsApart = time.Second
)

// measureRate measures which rate is on the wire at a latency. It counts from the second request to the last: the
// first goes alone, to see whether the server honours no-track.
func (b *bench) measureRate(ctx context.Context) error {
	s := section{title: "rate: requests/s on the wire, as the server got them"}
	measure := func(rate, seconds int, latency time.Duration) ([]figure, error) {
		if b.quick {
			seconds = 2
		}
		server, stop, err := b.startServer(ctx, "-record", "-latency", latency.String())
		if err != nil {
			return nil, err
		}
		defer stop()
		if _, err := b.runAtRate(ctx, server, strconv.Itoa(rate), rate*seconds); err != nil {
			return nil, err
		}
		came, err := fetchArrivals(ctx, server)
		if err != nil {
			return nil, err
		}
		most, reached := mostInASecond(came.Arrivals), wireRate(came.Arrivals)
		return []figure{
			atLeast(fmt.Sprintf("--rate %d at %v", rate, latency), "%.1f %%", 100*reached/float64(rate), 100*goalRate,
				fmt.Sprintf("%.1f/s, %d s", reached, seconds)),
			atMost("  the most in a second, burst 1", "%.0f", float64(most), float64(rate+1),
				fmt.Sprintf("stall %d ms", came.Stall/1000)),
		}, nil
	}
	rows := make([][]figure, 4)
	var g errgroup.Group // they wait most of the time
	for i, latency := range []time.Duration{60 * time.Millisecond, 200 * time.Millisecond, time.Second, 5 * time.Second} {
		g.Go(func() (err error) {
			rows[i], err = measure(100, 20, latency)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	fast, err := measure(3000, 10, 60*time.Millisecond)
	if err != nil {
		return err
	}
	for _, r := range append(rows, fast) {
		s.figures = append(s.figures, r...)
	}
	s.notes = []string{"From the second request to the last: the first one goes alone.",
		"Stall: how long the server did not run; what came then looks like a burst."}
	b.report(s)
	return nil
}

// measureFoundRate measures how a run finds the rate that a server takes.
func (b *bench) measureFoundRate(ctx context.Context) error {
	s := section{title: fmt.Sprintf("found: a server that takes %d/s and refuses the rest (429)", apiLimit)}
	lasts, start := findIn+40*time.Second, findIn
	if b.quick {
		lasts, start = 4*time.Second, 2*time.Second
	}
	rates := []string{"100", "auto"}
	rows := make([][]figure, len(rates))
	var g errgroup.Group
	for i, rate := range rates {
		g.Go(func() error {
			server, stop, err := b.startServer(ctx, "-record", "-limit", strconv.Itoa(apiLimit), "-latency", "60ms")
			if err != nil {
				return err
			}
			defer stop()
			log, err := b.runAtRate(ctx, server, rate, int(lasts.Seconds()*apiLimit))
			if err != nil {
				return err
			}
			came, err := fetchArrivals(ctx, server)
			if err != nil {
				return err
			}
			taken, refused := takenAfter(came.Arrivals, start)
			changes := countRefusals(came.Arrivals)
			lines := countPauseLines(log)
			rows[i] = []figure{
				atLeast(fmt.Sprintf("--rate %s: answered a second", rate), "%.1f", taken, goalFound,
					fmt.Sprintf("%v to %v", start, lasts)),
				atMost("  refused", "%.1f %%", 100*refused, 100*goalRefused, ""),
				atMost("  log lines a change of the rate", "%.2f", float64(lines)/float64(max(changes, 1)), goalLogged,
					fmt.Sprintf("%d of %d", lines, changes)),
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, r := range rows {
		s.figures = append(s.figures, r...)
	}
	s.notes = []string{"100 is the default. A change: refusals less than a second apart."}
	b.report(s)
	return nil
}

// runAtRate runs rollcall for that many users, and returns its log.
func (b *bench) runAtRate(ctx context.Context, server, rate string, users int) (log []byte, err error) {
	name := filepath.Join(b.dir, "rate-"+server[strings.LastIndexByte(server, ':')+1:])
	if err := writeInput(name+".csv", users, columns); err != nil {
		return nil, err
	}
	cmd := b.snapshotCommand(ctx, server, name+".csv", name+".out.csv", "--rate", rate,
		"--log-format", "json", "--progress", "none")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.Bytes())
	}
	return said.Bytes(), nil
}

// wireRate returns the requests a second from the second request to the last.
func wireRate(came []arrival) float64 {
	if len(came) < 3 {
		return 0
	}
	return float64(len(came)-2) * 1e6 / float64(came[len(came)-1].At-came[1].At)
}

// mostInASecond returns the most requests in any second: in [t, t+1s) for any t.
func mostInASecond(came []arrival) int {
	most, first := 0, 0
	for i := range came {
		for came[i].At-came[first].At >= 1e6 {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// takenAfter returns the requests a second that were not refused, from start to the last request, and the share of
// those that were.
func takenAfter(came []arrival, start time.Duration) (perSecond, refused float64) {
	taken, all := 0, 0
	for _, a := range came {
		if a.At < start.Microseconds() {
			continue
		}
		if all++; !a.Refused {
			taken++
		}
	}
	if all == 0 {
		return 0, 0
	}
	span := float64(came[len(came)-1].At-start.Microseconds()) / 1e6
	return float64(taken) / span, float64(all-taken) / float64(all)
}

// countRefusals counts the series of refusals that are less than refusalsApart from each other.
func countRefusals(came []arrival) int {
	n, last := 0, int64(-1)
	for _, a := range came {
		if !a.Refused {
			continue
		}
		if last < 0 || a.At-last >= refusalsApart.Microseconds() {
			n++
		}
		last = a.At
	}
	return n
}

// countPauseLines counts the lines of a JSON log that are about pauses or the rate.
func countPauseLines(log []byte) int {
	n := 0
	for line := range bytes.Lines(log) {
		var entry struct {
			Msg string `json:"msg"`
		}
		if json.Unmarshal(line, &entry) == nil && (strings.Contains(entry.Msg, "pause") || strings.Contains(entry.Msg, "rate")) {
			n++
		}
	}
	return n
}
