package report_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

func BenchmarkReportCSV(b *testing.B)         { benchmarkReport(b, "csv", false) }
func BenchmarkReportParquet(b *testing.B)     { benchmarkReport(b, "parquet", false) }
func BenchmarkReportWideParquet(b *testing.B) { benchmarkReport(b, "parquet", true) }

// benchmarkReport reports on 400,000 users of five flags, by a column of names and one of numbers. Assignments a second
// are of CPU time.
func benchmarkReport(b *testing.B, format string, wide bool) {
	users := 400_000
	if os.Getenv("ROLLCALL_BENCH_LARGE") != "" { // the ten million assignments of the goal
		users = 2_000_000
	}
	path := filepath.Join(b.TempDir(), "out."+format)
	w := world{seed: 1, users: users, flags: []string{"checkout", "dark-mode", "onboarding", "price", "search"},
		wide: wide}
	w.write(b, path)
	var expect []report.Expectation
	for _, flag := range w.flags {
		expect = append(expect, report.Expectation{Source: "flags.json",
			Split: engine.Split{Flag: flag, BucketBy: "user_id", Variants: half}})
	}
	b.ReportAllocs()
	b.ResetTimer()
	began := pipelinetest.CPUTime()
	for range b.N {
		r, err := report.Build(b.Context(), report.Options{Snapshots: []string{path}, By: []string{"country", "age"},
			Expectations: expect})
		if err != nil || r.Users.InFile != int64(users) {
			b.Fatalf("%v users, %v", r.Users.InFile, err)
		}
	}
	b.ReportMetric(float64(len(w.flags)*users)*float64(b.N)/(pipelinetest.CPUTime()-began).Seconds(), "rows/cpu-s")
}
