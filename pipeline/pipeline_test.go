package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// answerOn is the answer of the fake API: "on" for the flag "f".
func answerOn(*pipeline.User) pipeline.Answer {
	return pipeline.Answer{Variants: []pipeline.Variant{{FlagKey: "f", Key: "on"}}, At: time.Now(), Attempts: 1}
}

// answerSlowly answers each user after a different time, so that answers do not come in the order of the rows.
func answerSlowly(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
	delay := time.Duration(len(u.UserID)*7919+int(u.UserID[len(u.UserID)-1])*104729) % 997 * time.Millisecond
	select {
	case <-time.After(delay):
		return answerOn(u), nil
	case <-ctx.Done():
		return pipeline.Answer{}, ctx.Err()
	}
}

// lineSink is a sink that keeps a line for each outcome.
type lineSink []string

func (w *lineSink) Write(o *pipeline.Outcome) error {
	line := fmt.Sprintf("%d %s attempts=%d", o.Row.Number, o.Row.User.UserID, o.Attempts)
	for _, a := range o.Assignments {
		line += fmt.Sprintf(" %s=%s(%t)", a.FlagKey, a.Key, a.Assigned)
	}
	if o.Err != nil {
		line += " " + o.Err.Error()
	}
	*w = append(*w, line)
	return nil
}

func (w *lineSink) Close() error { return errors.New("Run must close nothing") }

// runPipeline runs p in a synctest bubble, which fails the test if a goroutine is left.
func runPipeline(t *testing.T, p pipeline.Pipeline) (lineSink, pipeline.Stats, error) {
	t.Helper()
	var w lineSink
	var stats pipeline.Stats
	var err error
	synctest.Test(t, func(t *testing.T) {
		if p.Sink == nil {
			p.Sink = &w
		}
		stats, err = p.Run(t.Context())
	})
	return w, stats, err
}

func TestOrderAndBytesAreTheSameWithAnyNumberOfWorkers(t *testing.T) {
	mixed := pipelinetest.EvaluatorFunc(func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
		if strings.HasSuffix(u.UserID, "7") {
			return pipeline.Answer{}, fmt.Errorf("wrapped: %w",
				&pipeline.UserError{Kind: pipeline.KindRejected, Attempts: 2, Message: "no"})
		}
		return answerSlowly(ctx, u)
	})
	badRows := func(row *pipeline.Row) {
		if row.Number%10 == 3 {
			row.Err = pipeline.Errorf(pipeline.KindBadRow, "line %d", row.Number)
		}
	}
	want, stats, err := runPipeline(t, pipeline.Pipeline{Source: &pipelinetest.Rows{N: 500, Change: badRows},
		Evaluator: mixed, Workers: 1, Flags: []string{"f", "g"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := stats, (pipeline.Stats{Read: 500, Answered: 400, Failed: 100}); got != want {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
	for i, line := range want {
		if n := fmt.Sprintf("%d user-%d ", i+1, i+1); !strings.HasPrefix(line, n) {
			t.Fatalf("outcome %d is %q, want it to begin with %q", i, line, n)
		}
	}
	for i, wantLine := range map[int]string{
		1: "2 user-2 attempts=1 f=on(true) g=(false)",
		2: "3 user-3 attempts=0 bad_row: line 3",
		6: "7 user-7 attempts=2 rejected: no",
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if want[i] != wantLine {
				t.Errorf("outcome %d = %q, want %q", i, want[i], wantLine)
			}
		})
	}
	for _, workers := range []int{2, 8, 64} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			for _, size := range []int{1, 7, 1000} {
				got, _, err := runPipeline(t, pipeline.Pipeline{Source: &pipelinetest.Rows{N: 500, Change: badRows},
					Evaluator: mixed, Workers: workers, Batch: size, Window: 100, Flags: []string{"f", "g"}})
				if diff := cmp.Diff([]string(want), []string(got)); diff != "" || err != nil {
					t.Errorf("%d workers, batches of %d: err = %v; differs from 1 worker (-want +got):\n%s", workers, size, err, diff)
				}
			}
		})
	}
}

func TestWorkersAndWindowAreBounds(t *testing.T) {
	tests := []struct{ workers, window, batch, wantAtOnce, wantAhead int64 }{
		{1, 1, 1, 1, 1},
		{4, 10, 1, 4, 10},
		{4, 1, 1, 4, 4}, // a window has room for the workers
		{3, 60, 10, 3, 60},
		{0, 0, 0, 1, 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("workers=%d window=%d batch=%d", tt.workers, tt.window, tt.batch), func(t *testing.T) {
			var read, done, atOnce, mostAtOnce, mostAhead atomic.Int64
			_, stats, err := runPipeline(t, pipeline.Pipeline{
				Workers: int(tt.workers), Window: int(tt.window), Batch: int(tt.batch),
				Source: &pipelinetest.Rows{N: 300, Change: func(*pipeline.Row) {
					mostAhead.Store(max(mostAhead.Load(), read.Add(1)-done.Load()))
				}},
				Evaluator: pipelinetest.EvaluatorFunc(func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
					n := atOnce.Add(1)
					for old := mostAtOnce.Load(); n > old && !mostAtOnce.CompareAndSwap(old, n); old = mostAtOnce.Load() {
					}
					defer atOnce.Add(-1)
					return answerSlowly(ctx, u)
				}),
				Sink: pipelinetest.SinkFunc(func(*pipeline.Outcome) error {
					done.Add(1)
					return nil
				}),
			})
			if err != nil || stats.Answered != 300 {
				t.Fatalf("%+v: %+v, %v", tt, stats, err)
			}
			if got := mostAtOnce.Load(); got != tt.wantAtOnce {
				t.Errorf("%+v: at most %d evaluations at once", tt, got)
			}
			if got := mostAhead.Load(); got != tt.wantAhead {
				t.Errorf("%+v: at most %d rows read and not written", tt, got)
			}
		})
	}
}

func TestLargeRowsMakeTheWindowSmaller(t *testing.T) {
	for _, tt := range []struct{ rowBytes, windowBytes, wantAhead int64 }{
		{1000, 0, 50},         // no limit
		{1000, 100_000, 50},   // rows of ordinary size
		{10_000, 100_000, 11}, // ten, and one that waits
		{10_000, 15_000, 2},
		{10_000, 1, 2}, // a row larger than the window goes alone; the next one has been read
	} {
		t.Run(fmt.Sprintf("row=%d window=%d", tt.rowBytes, tt.windowBytes), func(t *testing.T) {
			var read, done, mostAhead atomic.Int64
			_, stats, err := runPipeline(t, pipeline.Pipeline{
				Workers: 2, Window: 50, WindowBytes: tt.windowBytes,
				Source: &pipelinetest.Rows{N: 200, Change: func(row *pipeline.Row) {
					row.Input = []pipeline.Member{{Name: "x", Value: pipeline.StringValue(strings.Repeat("x", int(tt.rowBytes)-100))}}
					mostAhead.Store(max(mostAhead.Load(), read.Add(1)-done.Load()))
				}},
				Evaluator: pipelinetest.EvaluatorFunc(answerSlowly),
				Sink:      pipelinetest.SinkFunc(func(*pipeline.Outcome) error { done.Add(1); return nil }),
			})
			if err != nil || stats.Answered != 200 {
				t.Fatalf("%+v: %+v, %v", tt, stats, err)
			}
			if got := mostAhead.Load(); got != tt.wantAhead {
				t.Errorf("%+v: at most %d rows read and not written, want %d", tt, got, tt.wantAhead)
			}
		})
	}
}

func TestFatalErrorOfTheEvaluatorEndsTheRun(t *testing.T) {
	fatal := errors.New("the key is wrong")
	var asked atomic.Int64
	got, stats, err := runPipeline(t, pipeline.Pipeline{
		Workers: 4, Window: 8, Source: &pipelinetest.Rows{N: 1000},
		Evaluator: pipelinetest.EvaluatorFunc(func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
			asked.Add(1)
			if u.UserID == "user-20" {
				return pipeline.Answer{}, fatal
			}
			return answerSlowly(ctx, u)
		}),
	})
	if !errors.Is(err, fatal) {
		t.Errorf("err = %v, want %v", err, fatal)
	}
	if len(got) >= 20 || int64(len(got)) != stats.Answered {
		t.Errorf("%d outcomes were written, want only some of the 19 before the error; stats %+v", len(got), stats)
	}
	if n := asked.Load(); n > 20+8 {
		t.Errorf("%d users were asked, want no more than a window after the error", n)
	}
}

func TestFailingSinkEndsTheRun(t *testing.T) {
	full := errors.New("disk full")
	writes := 0
	_, stats, err := runPipeline(t, pipeline.Pipeline{
		Workers: 4, Window: 8, Source: &pipelinetest.Rows{N: 1000}, Evaluator: pipelinetest.EvaluatorFunc(answerSlowly),
		Sink: pipelinetest.SinkFunc(func(o *pipeline.Outcome) error {
			if writes++; writes == 10 {
				return full
			}
			return nil
		}),
	})
	if !errors.Is(err, full) || writes != 10 || stats.Answered != 9 || stats.Read > 10+8 {
		t.Errorf("err = %v after %d writes, stats %+v; want %v after 10, 9 answered, at most 18 read", err, writes, stats,
			full)
	}
}

func TestFailingSourceDrains(t *testing.T) {
	broken := errors.New("the file ends in the middle")
	for _, size := range []int{1, 7, 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			got, stats, err := runPipeline(t, pipeline.Pipeline{
				Workers: 4, Window: 8, Batch: size, Source: &pipelinetest.Rows{N: 50, Err: broken},
				Evaluator: pipelinetest.EvaluatorFunc(answerSlowly),
			})
			if !errors.Is(err, broken) || len(got) != 50 || stats.Read != 50 || stats.Answered != 50 {
				t.Errorf("batches of %d: err = %v, %d outcomes, stats %+v; want %v and all 50 rows", size, err, len(got), stats,
					broken)
			}
		})
	}
}

func TestEmptySource(t *testing.T) {
	got, stats, err := runPipeline(t, pipeline.Pipeline{Workers: 4, Source: &pipelinetest.Rows{},
		Evaluator: pipelinetest.EvaluatorFunc(answerSlowly)})
	if err != nil || len(got) != 0 || stats != (pipeline.Stats{}) {
		t.Errorf("err = %v, outcomes %v, stats %+v; want none", err, got, stats)
	}
}

func TestCancelEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		interrupted := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(interrupted) })
		var w lineSink
		start := time.Now()
		p := pipeline.Pipeline{
			Workers: 4, Window: 100, Source: &pipelinetest.Rows{N: 1e6}, Sink: &w,
			Evaluator: pipelinetest.EvaluatorFunc(func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
				if u.UserID == "user-30" { // hangs; all others are answered
					<-ctx.Done()
					return pipeline.Answer{}, ctx.Err()
				}
				return answerSlowly(ctx, u)
			}),
		}
		_, err := p.Run(ctx)
		if took := time.Since(start); took != 5*time.Second || len(w) != 29 {
			t.Errorf("ended after %v with %d outcomes, want 5s and the 29 before the user that hangs", took, len(w))
		}
		if !errors.Is(err, interrupted) && !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want the cancellation", err)
		}
	})
}

// TestSoftStopAsksNobodyElse: evaluations under way are finished, users who wait in the window are not asked about, and
// the outcomes written are those of the first rows, without a gap.
func TestSoftStopAsksNobodyElse(t *testing.T) {
	for name, tt := range map[string]struct {
		workers, window, batch int
		windowBytes            int64
	}{
		"one worker":          {workers: 1, window: 100},
		"a window":            {workers: 4, window: 100},
		"a full window":       {workers: 4, window: 4},
		"batches":             {workers: 4, window: 100, batch: 7},
		"no room for a row":   {workers: 4, window: 100, windowBytes: 1},
		"room for a few rows": {workers: 4, window: 100, windowBytes: 2000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stop := make(chan struct{})
				var stopped atomic.Bool
				time.AfterFunc(2*time.Second, func() { stopped.Store(true); close(stop) })
				var asked, finished atomic.Int64
				var w lineSink
				p := pipeline.Pipeline{
					Workers: tt.workers, Window: tt.window, Batch: tt.batch, WindowBytes: tt.windowBytes, Stop: stop, Sink: &w,
					Source: &pipelinetest.Rows{N: 1e6, Change: func(row *pipeline.Row) {
						row.Input = []pipeline.Member{{Name: "x", Value: pipeline.StringValue(strings.Repeat("x", 100))}}
					}},
					Evaluator: pipelinetest.EvaluatorFunc(func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
						if stopped.Load() {
							t.Errorf("%s was asked after the stop", u.UserID)
						}
						asked.Add(1)
						defer finished.Add(1)
						return answerSlowly(ctx, u)
					}),
				}
				stats, err := p.Run(t.Context())
				if err != nil || stats.Answered == 0 || stats.Answered != int64(len(w)) || stats.Failed != 0 ||
					stats.Read < stats.Answered {
					t.Errorf("err = %v, %d outcomes, stats %+v; want no error, and some outcomes", err, len(w), stats)
				}
				if asked.Load() != finished.Load() {
					t.Errorf("%d users were asked and %d finished", asked.Load(), finished.Load())
				}
				for i, line := range w {
					if want := fmt.Sprintf("%d user-%d ", i+1, i+1); !strings.HasPrefix(line, want) {
						t.Fatalf("outcome %d is %q, want it to begin with %q", i, line, want)
					}
				}
				// All who were asked about are written, except those after the first one who was not: one a batch.
				if lost := asked.Load() - int64(len(w)); tt.batch <= 1 && lost != 0 || lost > int64(tt.workers*max(tt.batch, 1)) {
					t.Errorf("%d users were asked and %d written", asked.Load(), len(w))
				}
			})
		})
	}
}

// TestEvaluatorStops: an evaluator that returns ErrStopped ends the run before the first such user, whether the
// pipeline was stopped or not.
func TestEvaluatorStops(t *testing.T) {
	for name, tt := range map[string]struct {
		batch       int
		windowBytes int64
	}{"rows": {1, 0}, "batches": {7, 0}, "no room for a row": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			got, stats, err := runPipeline(t, pipeline.Pipeline{
				Workers: 4, Window: 50, Batch: tt.batch, WindowBytes: tt.windowBytes,
				Source: &pipelinetest.Rows{N: 1e5, Change: func(row *pipeline.Row) {
					row.Input = []pipeline.Member{{Name: "x"}}
				}},
				Evaluator: pipelinetest.EvaluatorFunc(func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
					if u.UserID == "user-30" {
						return pipeline.Answer{}, fmt.Errorf("wrapped: %w", pipeline.ErrStopped)
					}
					return answerSlowly(ctx, u)
				}),
			})
			if err != nil || len(got) != 29 || stats.Answered != 29 || stats.Read > 200 {
				t.Errorf("err = %v, %d outcomes, stats %+v; want no error and 29, with not much more read", err, len(got), stats)
			}
		})
	}
}

func TestFailuresAreDated(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var at []time.Time
	p := pipeline.Pipeline{
		Source: &pipelinetest.Rows{N: 1, Change: func(r *pipeline.Row) {
			r.Err = pipeline.Errorf(pipeline.KindMissingID,
				"no id")
		}},
		Evaluator: pipelinetest.EvaluatorFunc(answerSlowly), Now: func() time.Time { return now },
		Sink: pipelinetest.SinkFunc(func(o *pipeline.Outcome) error { at = append(at, o.At); return nil }),
	}
	if _, err := p.Run(t.Context()); err != nil || len(at) != 1 || !at[0].Equal(now) {
		t.Errorf("err = %v, at = %v; want %v", err, at, now)
	}
}

// TestAnyRunIsOneOutcomeARow runs pipelines of random shapes: N rows in are N outcomes out, in order.
func TestAnyRunIsOneOutcomeARow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n, workers, window, size := random.Int64N(300), random.IntN(20), random.IntN(50), random.IntN(30)
		next := int64(1)
		_, stats, err := runPipeline(t, pipeline.Pipeline{
			Source: &pipelinetest.Rows{N: n}, Evaluator: pipelinetest.EvaluatorFunc(answerSlowly), Workers: workers,
			Window: window, Batch: size,
			Sink: pipelinetest.SinkFunc(func(o *pipeline.Outcome) error {
				if o.Row.Number != next {
					t.Fatalf("n=%d workers=%d window=%d batch=%d: row %d came when %d was due", n, workers, window, size, o.Row.Number,
						next)
				}
				next++
				return nil
			}),
		})
		if err != nil || stats != (pipeline.Stats{Read: n, Answered: n}) || next != n+1 {
			t.Fatalf("n=%d workers=%d window=%d batch=%d: err = %v, stats %+v", n, workers, window, size, err, stats)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for _, size := range []int{1, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			p := pipeline.Pipeline{
				Source: &pipelinetest.Rows{N: int64(b.N)}, Workers: 2, Window: 4096, Batch: size,
				Evaluator: pipelinetest.EvaluatorFunc(func(context.Context, *pipeline.User) (pipeline.Answer,
					error) {
					return pipeline.Answer{}, nil
				}),
				Sink: pipelinetest.SinkFunc(func(*pipeline.Outcome) error { return nil }),
			}
			if _, err := p.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// Rows that are much larger in memory than in the file count with their size in memory, do not fill a batch, and are
// not kept in free places.
func TestLargeRowsAreNotKept(t *testing.T) {
	const large, rows = 20, 100
	var kept [large]weak.Pointer[pipeline.Member]
	var n, mostAhead, done atomic.Int64
	alive := -1
	_, stats, err := runPipeline(t, pipeline.Pipeline{
		Workers: 2, Window: 200, Batch: 50, WindowBytes: 4 << 20,
		Source: &pipelinetest.Rows{N: rows, Change: func(row *pipeline.Row) {
			i := n.Add(1) - 1
			row.Input, row.User.Context, row.Carry = nil, nil, nil
			if i < large {
				members := make([]pipeline.Member, 40_000) // 3 MB
				kept[i] = weak.Make(&members[0])
				v := pipeline.Value{Kind: pipeline.List, Members: members}
				switch i % 3 {
				case 0:
					row.Input = []pipeline.Member{{Name: "x", Value: v}}
				case 1:
					row.User.Context = []pipeline.Member{{Name: "x", Value: v}}
				case 2:
					row.Carry = []pipeline.Value{v}
				}
				mostAhead.Store(max(mostAhead.Load(), i+1-done.Load()))
			}
		}},
		Evaluator: pipelinetest.EvaluatorFunc(answerSlowly),
		Sink: pipelinetest.SinkFunc(func(*pipeline.Outcome) error {
			if done.Add(1) == rows {
				runtime.GC()
				alive = 0
				for _, p := range kept {
					if p.Value() != nil {
						alive++
					}
				}
			}
			return nil
		}),
	})
	if err != nil || stats.Answered != rows {
		t.Fatalf("%+v, %v, want %d answered", stats, err, rows)
	}
	if got := mostAhead.Load(); got > 3 {
		t.Errorf("%d large rows were read and not written, want at most 3", got)
	}
	if alive != 0 {
		t.Errorf("%d large rows are still in memory after they were written, want none", alive)
	}
}
