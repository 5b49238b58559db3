package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// TestLargeAnswersAreBounded has one user wait for ten seconds at the head of a window of large answers. What waits to be
// written, and what is on its way, stays within AnswerBytes, but for the answers that came before it was known how large
// they are; and the others go on until that is full.
func TestLargeAnswersAreBounded(t *testing.T) {
	const answerBytes = 100_000
	for _, tt := range []struct{ limit, wantAtOnce, wantWaiting int64 }{
		{0, 32, 499},          // no limit: all others wait for the one
		{20_000_000, 32, 199}, // a hundred fit twice: 32 at once, and as many as fit wait
		{2_000_000, 10, 19},   // ten on their way take the room of twenty
		{50_000, 1, 0},        // an answer that is larger than all the room goes alone
		{1_000_000_000, 32, 499},
	} {
		t.Run(fmt.Sprint(tt.limit), func(t *testing.T) {
			body := strings.Repeat("x", answerBytes)
			var asked, atOnce, mostAtOnce, answered, written, mostWaiting atomic.Int64
			_, stats, err := runPipeline(t, pipeline.Pipeline{
				Workers: 32, Window: 1000, AnswerBytes: tt.limit, Source: &pipelinetest.Rows{N: 500},
				Evaluator: pipelinetest.EvaluatorFunc(func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
					nth := asked.Add(1)
					now := atOnce.Add(1)
					if nth > 40 { // the size is known by then
						mostAtOnce.Store(max(mostAtOnce.Load(), now))
					}
					delay := 100 * time.Millisecond
					if u.UserID == "user-1" {
						delay = 10 * time.Second
					}
					time.Sleep(delay)
					atOnce.Add(-1)
					answer := answerOn(u)
					answer.Body = body
					mostWaiting.Store(max(mostWaiting.Load(), answered.Add(1)-written.Load()))
					return answer, nil
				}),
				Sink: pipelinetest.SinkFunc(func(*pipeline.Outcome) error { written.Add(1); return nil }),
			})
			if err != nil || stats.Answered != 500 {
				t.Fatalf("limit %d: %+v, %v", tt.limit, stats, err)
			}
			if got := mostAtOnce.Load(); got > tt.wantAtOnce {
				t.Errorf("limit %d: %d evaluations at once, want at most %d", tt.limit, got, tt.wantAtOnce)
			}
			// The first 32 were asked for before the first answer came, and eight more before all of these had come. The answer
			// of the one who was waited for is there before it is written.
			if got, most := mostWaiting.Load(), max(tt.wantWaiting, 40)+1; got > most || got < tt.wantWaiting-tt.wantAtOnce {
				t.Errorf("limit %d: %d answers waited, want about %d", tt.limit, got, tt.wantWaiting)
			}
		})
	}
}

// TestAnswersOfAnySize checks that no sizes, latencies and limits make a run hang or lose a user: synctest reports a run
// in which all goroutines wait.
func TestAnswersOfAnySize(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			users := 1 + r.IntN(300)
			sizes, delays := make([]int, users+1), make([]time.Duration, users+1)
			for i := range sizes {
				sizes[i], delays[i] = r.IntN(1<<r.IntN(20)), time.Duration(r.IntN(1<<r.IntN(12)))*time.Millisecond
			}
			p := pipeline.Pipeline{
				Workers: 1 + r.IntN(40), Batch: 1 + r.IntN(30), Window: r.IntN(500), AnswerBytes: 1 + r.Int64N(1<<r.IntN(26)),
				Source: &pipelinetest.Rows{N: int64(users)},
				Evaluator: pipelinetest.EvaluatorFunc(func(_ context.Context, u *pipeline.User) (pipeline.Answer, error) {
					var n int
					if _, err := fmt.Sscanf(u.UserID, "user-%d", &n); err != nil {
						return pipeline.Answer{}, err
					}
					time.Sleep(delays[n])
					answer := answerOn(u)
					answer.Body = strings.Repeat("x", sizes[n])
					return answer, nil
				}),
			}
			got, stats, err := runPipeline(t, p)
			if err != nil || stats.Answered != int64(users) || len(got) != users {
				t.Fatalf("%d workers, batches of %d, %d bytes: %+v, %d written, %v; want %d", p.Workers, p.Batch, p.AnswerBytes,
					stats, len(got), err, users)
			}
			for i, line := range got {
				if want := fmt.Sprintf("%d user-%d ", i+1, i+1); !strings.HasPrefix(line, want) {
					t.Fatalf("outcome %d is %q, want %q", i, line, want)
				}
			}
		})
	}
}
