package check

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sinks"
)

func BenchmarkCheckParquet(b *testing.B) { benchmarkCheck(b, "parquet") }
func BenchmarkCheckCSV(b *testing.B)     { benchmarkCheck(b, "csv") }

// benchmarkCheck checks 200,000 users of five flags, one million assignments, with a rule of each kind.
func benchmarkCheck(b *testing.B, format string) {
	const users = 200_000
	flags := []string{"checkout", "dark-mode", "onboarding", "price-test", "ranking"}
	r := &run{asked: true, spec: sinks.Spec{Flags: flags,
		Carry: []pipeline.Column{{Name: "country"}, {Name: "plan"}, {Name: "seats", Type: pipeline.TypeInt}}}}
	for i := range int64(users) {
		o := pipeline.Outcome{At: began.Add(1)}
		o.Row.Number, o.Row.User.UserID = i+1, fmt.Sprintf("user-%08x", uint32(i)*2654435761)
		o.Row.Carry = []pipeline.Value{pipeline.StringValue([]string{"DE", "FR", "US"}[i%3]),
			pipeline.StringValue([]string{"free", "pro"}[i/3%2]), pipeline.IntValue(i % 500)}
		var variants []pipeline.Variant
		for f, flag := range flags {
			if (i+int64(f))%5 != 0 {
				variants = append(variants, pipeline.Variant{FlagKey: flag, Key: []string{"control", "treatment"}[(i/7+int64(f))%2],
					Payload: fmt.Sprintf(`{"title":"Buy now","discount":%d}`, i%4*5)})
			}
		}
		o.SetAnswer(pipeline.Answer{Variants: variants, At: o.At}, pipeline.IndexFlags(flags))
		r.outcomes = append(r.outcomes, o)
	}
	path := r.write(b, filepath.Join(b.TempDir(), "a."+format))
	f := parse(b, `
types: {seats: int}
flag: checkout
checks:
- {variant: treatment, share: {min: 1%}, where: country == "DE" and plan != "free"}
- {flag: dark-mode, variant: control, count: {min: 1}, where: seats > 100}
- {exposed: nobody, where: seats == 600 or country == "FR"}
- {ratio: {control: 50, treatment: 50}, by: [country, plan]}
- {exclusive: [checkout, dark-mode]}
- {flag: ranking, payload: {type: object, required: [title, discount]}}
- {failed: {max: 1%}}
`)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := Run(b.Context(), f, Options{Snapshots: []string{path}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(users*len(flags)*b.N)/b.Elapsed().Seconds(), "rows/s")
}
