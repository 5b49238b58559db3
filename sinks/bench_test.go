package sinks

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func BenchmarkCSV(b *testing.B)     { benchmark(b, "csv") }
func BenchmarkCSVgz(b *testing.B)   { benchmark(b, "csv.gz") }
func BenchmarkCSVzst(b *testing.B)  { benchmark(b, "csv.zst") }
func BenchmarkJSONL(b *testing.B)   { benchmark(b, "jsonl") }
func BenchmarkParquet(b *testing.B) { benchmark(b, "parquet") }

// benchmark writes users of five flags, two of which have a payload of 60 bytes. One b.N is one user. The
// rows a second are of wall time and of CPU time (user and system, the collector included).
func benchmark(b *testing.B, format string) {
	users := benchOutcomes(1000)
	ids := make([][2]string, 100_000)
	for i := range ids {
		ids[i] = [2]string{fmt.Sprintf("user-%08x", uint32(i)*2654435761), fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15)}
	}
	out, err := Create(filepath.Join(b.TempDir(), "out."+format), Spec{})
	if err != nil {
		b.Fatal(err)
	}
	defer out.Discard()
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuTime(b)
	for i := range b.N {
		o := &users[i%len(users)]
		o.Row.Number = int64(i + 1)
		o.Row.User.UserID, o.Row.User.DeviceID = ids[i%len(ids)][0], ids[i%len(ids)][1]
		o.At = o.At.Add(10 * time.Millisecond * time.Duration(len(users)))
		if err := out.Write(o); err != nil {
			b.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	rows := float64(5 * b.N)
	b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(rows/(cpuTime(b)-began).Seconds(), "rows/cpu-s")
	b.ReportMetric(float64(out.Info().Bytes)/rows, "B/row")
}

func benchOutcomes(n int) []pipeline.Outcome {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	outcomes := make([]pipeline.Outcome, n)
	for i := range outcomes {
		o := &outcomes[i]
		o.At = at.Add(time.Duration(i) * 10 * time.Millisecond)
		o.Attempts = 1
		for f, flag := range []string{"checkout-redesign", "dark-mode", "new-onboarding", "price-test", "search-ranking"} {
			a := pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag}, Assigned: (i+f)%5 > 0}
			if a.Assigned {
				a.Key = []string{"control", "treatment", "on"}[(i*7+f)%3]
				if f%2 == 0 {
					a.ExperimentKey = "exp-" + flag[:4]
				}
				if f == 0 || f == 3 {
					a.Payload = fmt.Sprintf(`{"title":"Buy now, pay later","discount":%d,"color":"#ff8800"}`, (i*7)%4*5)
				}
			}
			a.FlagKey = strings.Clone(a.FlagKey) // as strings are that come from different answers
			o.Assignments = append(o.Assignments, a)
		}
	}
	return outcomes
}

func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
