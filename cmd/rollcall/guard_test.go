package main

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// TestGuardOfBatches: a run ends with the same failed user, and the same counts, whether its users are counted one by
// one or in batches.
func TestGuardOfBatches(t *testing.T) {
	users := func(failing float64) []pipeline.Outcome {
		random := rand.New(rand.NewPCG(1, 2))
		outcomes := make([]pipeline.Outcome, 500)
		for i := range outcomes {
			outcomes[i].Row.Number = int64(i + 1)
			if random.Float64() < failing {
				kind := pipeline.Kinds[random.IntN(len(pipeline.Kinds))]
				outcomes[i].Err = pipeline.Errorf(kind, "user %d", i)
			}
		}
		return outcomes
	}
	for _, test := range []struct {
		name    string
		failing float64
		limit   string
		ends    bool
	}{
		{"nobody fails", 0, "0", false},
		{"some fail", 0.1, "", false},
		{"one too many", 0.01, "0", true},
		{"some too many", 0.3, "20", true},
		{"a share", 0.3, "5%", true},
		{"all", 1, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			outcomes := users(test.failing)
			run := func(batch int) string {
				g := &guard{tally: &snapshot.Tally{}, first: &firstFailure{}, total: int64(len(outcomes))}
				if err := g.limit.parse("--max-errors", test.limit); err != nil {
					t.Fatal(err)
				}
				var err error
				for rest := outcomes; err == nil && len(rest) > 0; {
					part := rest[:min(batch, len(rest))]
					rest = rest[len(part):]
					if batch == 1 {
						err = g.Write(&part[0])
					} else {
						err = g.Encode(part).Write(part)
					}
				}
				if (err != nil) != test.ends {
					t.Errorf("batches of %d: error %v, want one: %v", batch, err, test.ends)
				}
				return fmt.Sprintf("%v; read %d, answered %d, failed %v, first row %d", err, g.tally.Read, g.tally.Answered,
					g.tally.Failed, g.first.row)
			}
			want := run(1)
			for _, batch := range []int{2, 128, 1000} {
				if diff := cmp.Diff(want, run(batch)); diff != "" {
					t.Errorf("batches of %d (-one by one +got):\n%s", batch, diff)
				}
			}
		})
	}
}
