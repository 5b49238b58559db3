package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

func TestProgressLines(t *testing.T) {
	for _, tt := range []struct {
		mode  string
		quiet bool
		want  string
	}{
		{"auto", false, "rollcall: 1,000 of 4,000 users, 100/s, 1 failed, 30s left\nrollcall: 2,000 of 4,000 users, " +
			"100/s, 1 failed, 20s left\n"},
		{"lines", false, "rollcall: 1,000 of 4,000 users, 100/s, 1 failed, 30s left\nrollcall: 2,000 of 4,000 users, " +
			"100/s, 1 failed, 20s left\n"},
		{"none", false, ""},
		{"lines", true, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			con := newConsole(&env{Stderr: &out})
			if err := con.Configure(tt.quiet, "text"); err != nil {
				t.Fatal(err)
			}
			p := startProgress(con, tt.mode, 4000, &snapshot.Tally{})
			time.Sleep(5 * time.Millisecond) // no outcome at the moment of a line
			for i := range 2000 {
				o := &pipeline.Outcome{}
				if i == 500 {
					o.Err = pipeline.Errorf(pipeline.KindBadRow, "bad")
				}
				if err := p.Write(o); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			for range 2 { // the second does nothing
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := out.String(); got != tt.want {
				t.Errorf("--progress %s, quiet %t: it said\n%s\nwant\n%s", tt.mode, tt.quiet, got, tt.want)
			}
		})
	}
}

// TestSpeedFollowsTheRun: the speed, and so the time left, is that of the last 30 s, not that since the start, and not
// the rate that was asked for.
func TestSpeedFollowsTheRun(t *testing.T) {
	type step struct {
		after time.Duration
		users int64   // done in that time
		want  float64 // users a second
	}
	for _, tt := range []struct {
		name   string
		before int64
		steps  []step
	}{
		{"steady", 0, []step{{10 * time.Second, 1000, 100}, {10 * time.Second, 1000, 100}, {10 * time.Second, 1000, 100},
			{10 * time.Second, 1000, 100}}},
		{"resumed", 5000, []step{{10 * time.Second, 1000, 100}}},
		{"slower", 0, []step{{time.Hour, 360_000, 100}, {15 * time.Second, 0, 0}, {15 * time.Second, 300, 10},
			{15 * time.Second, 300, 600.0 / 30}}},
		{"a pause, then on", 0, []step{{30 * time.Second, 3000, 100}, {30 * time.Second, 0, 0},
			{30 * time.Second, 3000, 100}}},
		{"no time", 0, []step{{0, 10, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s speedometer
			now, done := time.Unix(0, 0), tt.before
			s.update(now, done)
			for i, step := range tt.steps {
				now, done = now.Add(step.after), done+step.users
				if got := s.update(now, done); got != step.want {
					t.Errorf("step %d, %d users in %v: %v users/s, want %v", i, step.users, step.after, got, step.want)
				}
			}
			for range 10_000 {
				now = now.Add(200 * time.Millisecond)
				s.update(now, done)
			}
			if most := int(speedOver/(200*time.Millisecond)) + 2; len(s.readings) > most {
				t.Errorf("%d readings are kept, want %d at most", len(s.readings), most)
			}
		})
	}
}

func TestProgressFollowsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		con := newConsole(&env{Stderr: &out})
		if err := con.Configure(false, "text"); err != nil {
			t.Fatal(err)
		}
		p := startProgress(con, "lines", 10_000, &snapshot.Tally{})
		time.Sleep(5 * time.Millisecond) // no outcome at the moment of a line
		for _, every := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} {
			for range int(40 * time.Second / every) {
				if err := p.Write(&pipeline.Outcome{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(every)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		const want = "rollcall: 4,400 of 10,000 users, 10/s, 0 failed, 9m20s left\n"
		if got := out.String(); !strings.HasSuffix(got, want) {
			t.Errorf("40 s at 100/s and 40 s at 10/s: it said\n%s\nwant this last:\n%s", got, want)
		}
	})
}
