package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
	"weak"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// gauge is a number and the largest that it has been.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) add(n int64) {
	n = g.now.Add(n)
	for old := g.most.Load(); n > old && !g.most.CompareAndSwap(old, n); old = g.most.Load() {
	}
}

// answerBytes returns a fake API that gives each user an answer of so many bytes after so long. ahead is the bytes of
// those that are not written yet, which the sink subtracts.
func answerBytes(ahead *gauge, of func(n int64) (int, time.Duration)) (pipeline.Evaluator, pipeline.Sink) {
	evaluate := func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
		var n int64
		if _, err := fmt.Sscanf(u.UserID, "user-%d", &n); err != nil {
			return pipeline.Answer{}, err
		}
		bytes, delay := of(n)
		time.Sleep(delay)
		if bytes < 0 {
			return pipeline.Answer{}, pipeline.Errorf(pipeline.KindRejected, "no")
		}
		ahead.add(int64(bytes))
		return pipeline.Answer{Body: strings.Repeat("x", bytes)}, nil
	}
	return pipelinetest.EvaluatorFunc(evaluate), pipelinetest.SinkFunc(func(o *pipeline.Outcome) error {
		ahead.add(-int64(len(o.Body)))
		return nil
	})
}

// TestHeldUserHoldsBytesNotTheRun: while the first user's answer does not come, the others are answered until the bytes
// are used up, and no further.
func TestHeldUserHoldsBytesNotTheRun(t *testing.T) {
	const limit, size, users = 1 << 20, 20_000, 500
	var ahead gauge
	var beforeHeld atomic.Int64
	evaluator, sink := answerBytes(&ahead, func(n int64) (int, time.Duration) {
		if n == 1 {
			return size, 10 * time.Second
		}
		return size, time.Duration(n%7) * 10 * time.Millisecond
	})
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(9*time.Second, func() { beforeHeld.Store(ahead.now.Load() / size) })
		p := pipeline.Pipeline{Source: &pipelinetest.Rows{N: users}, Evaluator: evaluator, Sink: sink, Workers: 64,
			Window: 1024, WindowBytes: limit, AnswerBytes: limit / 16}
		if stats, err := p.Run(t.Context()); err != nil || stats.Answered != users {
			t.Errorf("%+v, %v, want all %d users answered", stats, err, users)
		}
	})
	if most := ahead.most.Load(); most > limit {
		t.Errorf("answers of %d bytes were held, want at most %d", most, limit)
	}
	if n := beforeHeld.Load(); n < limit/size-3 {
		t.Errorf("%d users after the held one were answered, want about %d", n, limit/size)
	}
}

// TestAnswersLargerThanTheWindow: each goes alone.
func TestAnswersLargerThanTheWindow(t *testing.T) {
	for name, first := range map[string]int64{"estimated": 1 << 20, "not estimated": 1} {
		t.Run(name, func(t *testing.T) {
			var ahead gauge
			evaluator, sink := answerBytes(&ahead, func(n int64) (int, time.Duration) {
				return 10_000, time.Duration(10-n%10) * time.Millisecond
			})
			_, stats, err := runPipeline(t, pipeline.Pipeline{Source: &pipelinetest.Rows{N: 50}, Evaluator: evaluator, Sink: sink,
				Workers: 4, Window: 16, WindowBytes: 1000, AnswerBytes: first})
			if err != nil || stats.Answered != 50 {
				t.Errorf("%+v, %v, want all 50 users answered", stats, err)
			}
			if most := ahead.most.Load(); first > 1 && most > 10_000 {
				t.Errorf("answers of %d bytes were held, want one of 10000", most)
			}
		})
	}
}

// TestFailuresSayNothingOfAnswers: after an outage, in which all users fail, no more are asked about at once than
// before.
func TestFailuresSayNothingOfAnswers(t *testing.T) {
	const limit, size = 1 << 20, 100_000
	var ahead gauge
	evaluator, sink := answerBytes(&ahead, func(n int64) (int, time.Duration) {
		if n > 100 && n < 500 {
			return -1, time.Millisecond
		}
		return size, time.Second
	})
	_, stats, err := runPipeline(t, pipeline.Pipeline{Source: &pipelinetest.Rows{N: 700}, Evaluator: evaluator, Sink: sink,
		Workers: 64, Window: 256, WindowBytes: limit, AnswerBytes: limit / 4})
	if err != nil || stats.Failed != 399 {
		t.Errorf("%+v, %v, want 399 users failed", stats, err)
	}
	if most := ahead.most.Load(); most > limit {
		t.Errorf("answers of %d bytes were held, want at most %d", most, limit)
	}
}

// TestAnyAnswersAreBounded: with answers of random sizes and latencies, the bytes of those that are not written are at
// most the limit and what the evaluations under way bring.
func TestAnyAnswersAreBounded(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			limit, largest := 1+random.IntN(200_000), 1+random.IntN(50_000)
			workers, window := 1+random.IntN(40), 1+random.IntN(300)
			batch := 1 + random.IntN(3)*random.IntN(10)
			sizes, delays := make([]int, 401), make([]time.Duration, 401)
			for i := range sizes {
				sizes[i], delays[i] = 1+random.IntN(largest), time.Duration(random.IntN(1000))*time.Millisecond
				if random.IntN(10) > 0 {
					sizes[i] = 1 + sizes[i]/100
				}
				if random.IntN(100) == 0 {
					delays[i] = time.Minute
				}
			}
			var ahead gauge
			evaluator, sink := answerBytes(&ahead, func(n int64) (int, time.Duration) { return sizes[n], delays[n] })
			_, stats, err := runPipeline(t, pipeline.Pipeline{Source: &pipelinetest.Rows{N: 400}, Evaluator: evaluator,
				Sink: sink, Workers: workers, Window: window, Batch: batch, WindowBytes: int64(limit),
				AnswerBytes: int64(random.IntN(largest))})
			if err != nil || stats.Answered != 400 {
				t.Fatalf("%+v, %v, want 400 answered", stats, err)
			}
			if most, bound := ahead.most.Load(), int64(limit+workers*batch*largest); most > bound {
				t.Errorf("limit %d, %d workers, batches of %d, answers of up to %d bytes: %d bytes were held, want at most %d",
					limit, workers, batch, largest, most, bound)
			}
		})
	}
}

// TestManyFlagsMakeBatchesSmaller: assignments count before they are there, and a batch of users with many of them has
// fewer users.
func TestManyFlagsMakeBatchesSmaller(t *testing.T) {
	flags := make([]string, 1000)
	user := int64(len(flags)) * pipeline.AssignmentBytes
	var ahead gauge
	_, stats, err := runPipeline(t, pipeline.Pipeline{
		Source: &pipelinetest.Rows{N: 200, Change: func(*pipeline.Row) { ahead.add(1) }},
		Evaluator: pipelinetest.EvaluatorFunc(func(context.Context, *pipeline.User) (pipeline.Answer, error) {
			return pipeline.Answer{}, nil
		}),
		Sink:    pipelinetest.SinkFunc(func(*pipeline.Outcome) error { ahead.add(-1); return nil }),
		Workers: 2, Batch: 128, Window: 8 * 128, Flags: flags, WindowBytes: 32 * user,
	})
	if err != nil || stats.Answered != 200 {
		t.Errorf("%+v, %v, want 200 answered", stats, err)
	}
	if most, want := ahead.most.Load(), int64(32+9); most > want { // a batch of 9 waits
		t.Errorf("%d users were read and not written, want at most %d", most, want)
	}
}

// TestWrittenAnswersAreNotKept: a free batch does not keep the answer that it had, nor the row if that was large.
func TestWrittenAnswersAreNotKept(t *testing.T) {
	const users = 200
	var bodies, rows [users]weak.Pointer[byte]
	var n, written int
	alive := [2]int{-1, -1}
	p := pipeline.Pipeline{
		Source: &pipelinetest.Rows{N: users, Change: func(row *pipeline.Row) {
			text := strings.Repeat("x", 40_000)
			rows[n] = weak.Make(unsafe.StringData(text))
			n++
			row.Input = append(row.Input[:0], pipeline.Member{Name: "x", Value: pipeline.StringValue(text)})
		}},
		Evaluator: pipelinetest.EvaluatorFunc(func(_ context.Context, u *pipeline.User) (pipeline.Answer, error) {
			body := strings.Repeat("y", 40_000)
			var i int
			if _, err := fmt.Sscanf(u.UserID, "user-%d", &i); err != nil {
				return pipeline.Answer{}, err
			}
			bodies[i-1] = weak.Make(unsafe.StringData(body))
			return pipeline.Answer{Body: body, Variants: []pipeline.Variant{{FlagKey: body[:1], Payload: body[1:]},
				{FlagKey: body[:2]}}}, nil
		}),
		Flags: []string{"y"},
		Sink: pipelinetest.SinkFunc(func(*pipeline.Outcome) error {
			if written++; written == users {
				runtime.GC()
				alive = [2]int{}
				for i := range users {
					if bodies[i].Value() != nil {
						alive[0]++
					}
					if rows[i].Value() != nil {
						alive[1]++
					}
				}
			}
			return nil
		}),
		Workers: 2, Window: 100,
	}
	if stats, err := p.Run(t.Context()); err != nil || stats.Answered != users {
		t.Fatalf("%+v, %v, want %d answered", stats, err, users)
	}
	if alive[0] > 1 || alive[1] > 1 {
		t.Errorf("%d answers and %d rows are in memory at the end, want the last one alone", alive[0], alive[1])
	}
}
