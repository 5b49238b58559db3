package diff

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
	"github.com/rollcall-cli/rollcall/sinks"
)

func BenchmarkDiffCSV(b *testing.B)         { benchmarkDiff(b, "csv", false, 0) }
func BenchmarkDiffParquet(b *testing.B)     { benchmarkDiff(b, "parquet", false, 0) }
func BenchmarkDiffWideParquet(b *testing.B) { benchmarkDiff(b, "parquet", true, 0) }
func BenchmarkDiffFourPasses(b *testing.B)  { benchmarkDiff(b, "parquet", false, 8<<20) }

// benchmarkDiff compares two snapshots of 400,000 users with five flags each, one user in a hundred of whom changed.
// Rows are the assignments of one of them; those a second are of CPU time.
func benchmarkDiff(b *testing.B, format string, wide bool, memory int64) {
	users := 400_000
	if os.Getenv("ROLLCALL_BENCH_LARGE") != "" { // the ten million assignments of the goal
		users, memory = 2_000_000, 5*memory
	}
	flags := []string{"checkout", "dark-mode", "onboarding", "price", "search"}
	var paths [2]string
	for side := range paths {
		paths[side] = filepath.Join(b.TempDir(), "out."+format)
		out, err := sinks.Create(paths[side], sinks.Spec{Wide: wide, Flags: flags})
		if err != nil {
			b.Fatal(err)
		}
		o := pipeline.Outcome{Assignments: make([]pipeline.Assignment, len(flags))}
		for i := range users {
			o.Row.Number, o.At = int64(i+1), time.UnixMilli(1767323045000+int64(i)*10)
			o.Row.User.UserID, o.Row.User.DeviceID = fmt.Sprintf("user-%08x", uint32(i)*2654435761),
				fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15)
			for k, flag := range flags {
				o.Assignments[k] = pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag}}
				n := i*7 + k
				if side == 1 && i%100 == 0 {
					n++
				}
				if n%5 > 0 {
					a := &o.Assignments[k]
					a.Assigned, a.Key, a.ExperimentKey = true, []string{"control", "treatment", "on"}[n%3], "exp-"+flag[:4]
					if k == 0 {
						a.Payload = fmt.Sprintf(`{"title":"Buy now, pay later","discount":%d,"color":"#ff8800"}`, n%4*5)
					}
				}
			}
			if err := out.Write(&o); err != nil {
				b.Fatal(err)
			}
		}
		if err := errors.Join(out.Close(), syscall.Rename(out.Info().Temp, paths[side])); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	began := pipelinetest.CPUTime()
	for range b.N {
		r, err := Compare(b.Context(), Options{Before: paths[0], After: paths[1], Memory: memory})
		if err != nil || r.Users.Changed != int64(users/100) {
			b.Fatalf("%+v, %v", r.Users, err)
		}
	}
	b.ReportMetric(float64(len(flags)*users)*float64(b.N)/(pipelinetest.CPUTime()-began).Seconds(), "rows/cpu-s")
}
