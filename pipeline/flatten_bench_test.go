package pipeline

import (
	"fmt"
	"slices"
	"testing"
)

// BenchmarkFlatten measures answers that are in the order of the flags asked for, without every second one, and in
// the opposite order. The time for each flag must not grow with the flags.
func BenchmarkFlatten(b *testing.B) {
	for _, n := range []int{10, 200, 500, 1000} {
		var flags []string
		var all, half []Variant
		for i := range n {
			flags = append(flags, fmt.Sprintf("flag-%04d-of-many", i))
			all = append(all, Variant{FlagKey: "x" + flags[i], Key: "on"})
			all[i].FlagKey = all[i].FlagKey[1:] // not the same memory
			if i%2 == 0 {
				half = append(half, all[i])
			}
		}
		reversed := slices.Clone(all)
		slices.Reverse(reversed)
		for _, answer := range []struct {
			name     string
			variants []Variant
		}{{"all", all}, {"half", half}, {"reversed", reversed}} {
			b.Run(fmt.Sprintf("%s/flags=%d", answer.name, n), func(b *testing.B) {
				x := IndexFlags(flags)
				var rows []Assignment
				b.ReportAllocs()
				for b.Loop() {
					rows, _ = flatten(rows[:0], nil, answer.variants, x)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/flag")
			})
		}
	}
}
