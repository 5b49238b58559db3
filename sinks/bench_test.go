package sinks

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

func BenchmarkCSV(b *testing.B)     { benchmark(b, "csv", Spec{}) }
func BenchmarkCSVgz(b *testing.B)   { benchmark(b, "csv.gz", Spec{}) }
func BenchmarkCSVzst(b *testing.B)  { benchmark(b, "csv.zst", Spec{}) }
func BenchmarkJSONL(b *testing.B)   { benchmark(b, "jsonl", Spec{}) }
func BenchmarkParquet(b *testing.B) { benchmark(b, "parquet", Spec{}) }

// The wide layout has one row for each user, of ten flags.
func BenchmarkWideCSV(b *testing.B)     { benchmark(b, "csv", Spec{Wide: true, Flags: benchFlags}) }
func BenchmarkWideParquet(b *testing.B) { benchmark(b, "parquet", Spec{Wide: true, Flags: benchFlags}) }

// Texts that never repeat: each row has its own evaluation id.
func BenchmarkParquetEvaluationID(b *testing.B) {
	benchmark(b, "parquet", Spec{Include: []string{"evaluation_id"}})
}

var benchFlags = []string{
	"checkout-redesign", "dark-mode", "new-onboarding", "price-test", "search-ranking",
	"email-digest", "loyalty-banner", "push-opt-in", "recommendations-v3", "trial-length",
}

// benchmark writes users of ten flags with three variants. A fifth is not assigned; a third of the flags has a payload
// of 40 bytes. Every user has its own id, of 20 bytes, and a time. One b.N is one user; rows/CPU-s counts assignments,
// also in the wide layout. CPU time is user and system time, garbage collection included.
func benchmark(b *testing.B, format string, spec Spec) {
	users := benchOutcomes(1000)
	ids := make([]string, 1<<20)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%08x-%06d", uint32(i)*2654435761, i)
	}
	out, err := Create(filepath.Join(b.TempDir(), "out."+format), spec)
	if strings.HasSuffix(b.Name(), "Stream") {
		out, err = NewStream(io.Discard, format, spec)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer out.Discard()
	b.ReportAllocs()
	b.ResetTimer()
	began := pipelinetest.CPUTime()
	at := users[0].At
	for i := range b.N {
		o := &users[i%len(users)]
		o.Row.Number = int64(i + 1)
		o.Row.User.UserID = ids[i%len(ids)]
		o.At = at.Add(time.Duration(i) * 200 * time.Microsecond)
		if err := out.Write(o); err != nil {
			b.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	rows := float64(len(benchFlags) * b.N)
	b.ReportMetric(rows/(pipelinetest.CPUTime()-began).Seconds(), "rows/CPU-s")
	b.ReportMetric(float64(out.Info().Bytes)/rows, "B/row")
}

// BenchmarkJSONLStream writes no file. In a file, a row costs 50 to 100 ns more; its hash costs 160 ns in both.
func BenchmarkJSONLStream(b *testing.B) { benchmark(b, "jsonl", Spec{}) }

func benchOutcomes(n int) []pipeline.Outcome {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	outcomes := make([]pipeline.Outcome, n)
	for i := range outcomes {
		o := &outcomes[i]
		o.At = at.Add(time.Duration(i) * 10 * time.Millisecond)
		o.Attempts = 1
		for f, flag := range benchFlags {
			a := pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag}, Assigned: (i+f)%5 > 0}
			if a.Assigned {
				v := (i*7919>>3 + f) % 3
				a.Key = []string{"control", "treatment", "on"}[v]
				a.EvaluationID = fmt.Sprintf("%08x-%d", uint32(i)*2654435761, f)
				if f%2 == 0 {
					a.ExperimentKey = "exp-" + flag[:4]
				}
				if f%3 == 0 {
					a.Payload = fmt.Sprintf(`{"discount":%d,"color":"#ff8800","n":%d}`, v*5, f)
				}
			}
			a.FlagKey = strings.Clone(a.FlagKey) // as strings of different answers are
			o.Assignments = append(o.Assignments, a)
		}
	}
	return outcomes
}
