package main

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	lineEvery = 10 * time.Second // how often progress is logged where there is no terminal

	// speedOver is the time that the speed is measured over, so that the time left follows what the run reaches now.
	speedOver = 30 * time.Second
)

// progress is a sink that shows how far the run is: a bar on a terminal, a line now and then elsewhere.
type progress struct {
	con     *console
	total   int64
	speed   speedometer
	done    atomic.Int64
	failed  atomic.Int64
	bar     *progressbar.ProgressBar
	stop    chan struct{}
	stopped chan struct{}
}

// startProgress begins to show the progress of a run of total users; sofar counts those that an earlier process did.
// mode is --progress.
func startProgress(con *console, mode string, total int64, sofar *snapshot.Tally) *progress {
	p := &progress{con: con, total: total, stop: make(chan struct{}), stopped: make(chan struct{})}
	p.speed.update(time.Now(), sofar.Read)
	p.done.Store(sofar.Read)
	p.failed.Store(sofar.FailedUsers())
	width, terminal := con.Terminal()
	if mode == "auto" {
		mode = "lines"
		if terminal && !con.json {
			mode = "bar"
		}
	}
	every := lineEvery
	switch {
	case con.quiet || mode == "none":
		close(p.stopped)
		return p
	case mode == "bar":
		if !terminal {
			width = 80
		}
		p.bar = progressbar.NewOptions64(max(total, 1),
			progressbar.OptionSetWriter(con.out), progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionSetWidth(min(max(width-72, 5), 40)), progressbar.OptionSetRenderBlankState(false),
			progressbar.OptionSetTheme(progressbar.ThemeASCII), progressbar.OptionClearOnFinish())
		con.SetBar(func() { _ = p.bar.Clear() })
		every = 200 * time.Millisecond
	}
	go p.show(every)
	return p
}

// Write counts one outcome.
func (p *progress) Write(o *pipeline.Outcome) error {
	p.done.Add(1)
	if o.Err != nil {
		p.failed.Add(1)
	}
	return nil
}

// Close takes the bar away. It may be called more than once.
func (p *progress) Close() error {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	<-p.stopped
	return nil
}

func (p *progress) show(every time.Duration) {
	defer close(p.stopped)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			if p.bar != nil {
				p.con.SetBar(nil)
				_ = p.bar.Clear() // the terminal may be gone; the run goes on
			}
			return
		case <-ticker.C:
		}
		done, failed := p.done.Load(), p.failed.Load()
		perSecond := p.speed.update(time.Now(), done)
		left, remaining := "?", slog.AnyValue(nil)
		if perSecond > 0 {
			d := time.Duration(float64(p.total-done) / perSecond * float64(time.Second))
			left, remaining = roundDuration(d), slog.DurationValue(d)
		}
		line := fmt.Sprintf("%s of %s users, %.0f/s, %s failed, %s left", text.Thousands(done), text.Thousands(p.total),
			perSecond, text.Thousands(failed), left)
		switch {
		case p.bar != nil:
			p.bar.Describe(line)
			_ = p.bar.Set64(done)
		case p.con.json:
			p.con.Log.Info("progress", "users", done, "of", p.total, "per_second", perSecond, "failed", failed, "left",
				remaining)
		default:
			p.con.Log.Info(line)
		}
	}
}

// speedometer measures how fast a run is: over the last speedOver, pauses included.
type speedometer struct{ readings []reading }

// reading is how many users were done at a time.
type reading struct {
	at   time.Time
	done int64
}

// update takes a reading and returns the users a second since the oldest one of the last speedOver.
func (s *speedometer) update(at time.Time, done int64) (perSecond float64) {
	old := 0
	for old < len(s.readings)-1 && at.Sub(s.readings[old].at) > speedOver {
		old++
	}
	s.readings = append(s.readings[old:], reading{at, done})
	if d := at.Sub(s.readings[0].at); d > 0 {
		return float64(done-s.readings[0].done) / d.Seconds()
	}
	return 0
}

// roundDuration is a duration as a person says it: 3m20s, 2h05m.
func roundDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
