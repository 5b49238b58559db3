package snapshot_test

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
)

func BenchmarkReadCSV(b *testing.B)     { benchmarkRead(b, "csv", false) }
func BenchmarkReadCSVgz(b *testing.B)   { benchmarkRead(b, "csv.gz", false) }
func BenchmarkReadCSVzst(b *testing.B)  { benchmarkRead(b, "csv.zst", false) }
func BenchmarkReadJSONL(b *testing.B)   { benchmarkRead(b, "jsonl", false) }
func BenchmarkReadParquet(b *testing.B) { benchmarkRead(b, "parquet", false) }

func BenchmarkReadWideCSV(b *testing.B)     { benchmarkRead(b, "csv", true) }
func BenchmarkReadWideParquet(b *testing.B) { benchmarkRead(b, "parquet", true) }

// benchmarkRead reads 200,000 users of five flags, two of which have a payload, with a carried column, and counts
// variants. One b.N is a file. The rows are assignments; those a second are of CPU time.
func benchmarkRead(b *testing.B, format string, wide bool) {
	const users = 200_000
	path := filepath.Join(b.TempDir(), "out."+format)
	flags := []string{"checkout-redesign", "dark-mode", "new-onboarding", "price-test", "search-ranking"}
	out, err := sinks.Create(path, sinks.Spec{Carry: []pipeline.Column{{Name: "country"}}, Wide: wide, Flags: flags})
	if err != nil {
		b.Fatal(err)
	}
	o := pipeline.Outcome{Row: pipeline.Row{Carry: make([]pipeline.Value, 1)},
		Assignments: make([]pipeline.Assignment, len(flags))}
	for i := range users {
		o.Row.Number, o.At = int64(i+1), time.UnixMilli(1767323045000+int64(i)*10)
		o.Row.User.UserID, o.Row.User.DeviceID = fmt.Sprintf("user-%08x", uint32(i)*2654435761),
			fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15)
		o.Row.Carry[0] = pipeline.StringValue([]string{"DE", "FR", "US"}[i%3])
		for f, flag := range flags {
			o.Assignments[f] = pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag}}
			if (i+f)%5 == 0 {
				continue
			}
			a := &o.Assignments[f]
			a.Assigned, a.Key = true, []string{"control", "treatment", "on"}[(i*7+f)%3]
			if f == 0 || f == 3 {
				a.ExperimentKey = "exp-" + flag[:4]
				a.Payload = fmt.Sprintf(`{"title":"Buy now, pay later","discount":%d,"color":"#ff8800"}`, (i*7)%4*5)
			}
		}
		if err := out.Write(&o); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), syscall.Rename(out.Info().Temp, path)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	began := pipelinetest.CPUTime()
	for range b.N {
		r, err := snapshot.OpenReader(nil, path, snapshot.Options{})
		if err != nil {
			b.Fatal(err)
		}
		var u snapshot.User
		counts := make([]int64, 64)
		n := 0
		for {
			if err = r.Next(&u); err != nil {
				break
			}
			n++
			for i := range u.Assignments {
				counts[u.Assignments[i].Variant]++
			}
		}
		if err != io.EOF || n != users {
			b.Fatalf("%d users, %v", n, err)
		}
		r.Close()
	}
	b.ReportMetric(float64(len(flags)*users)*float64(b.N)/(pipelinetest.CPUTime()-began).Seconds(), "rows/cpu-s")
}
