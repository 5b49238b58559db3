package pipeline

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlatten(t *testing.T) {
	on := func(flag string) Variant {
		return Variant{FlagKey: flag, Key: "on", Payload: `{"x":1}`}
	}
	got := func(flag string) Assignment { return Assignment{Variant: on(flag), Assigned: true} }
	not := func(flag string) Assignment {
		return Assignment{Variant: Variant{FlagKey: flag}}
	}
	tests := []struct {
		name        string
		variants    []Variant
		flags       []string
		want        []Assignment
		wantUnasked []string
	}{
		{"all flags, sorted by key", []Variant{on("c"), on("a"), on("b")}, nil, []Assignment{got("a"), got("b"), got("c")},
			nil},
		{"no assignment, no row", nil, nil, nil, nil},
		{"asked for, in the order asked", []Variant{on("a"), on("b")}, []string{"b", "a"}, []Assignment{got("b"), got("a")},
			nil},
		{"asked for and not answered", []Variant{on("b")}, []string{"a", "b", "c"},
			[]Assignment{not("a"), got("b"), not("c")}, nil},
		{"no assignment, a row for each flag", nil, []string{"a", "b"}, []Assignment{not("a"), not("b")}, nil},
		{"every second one", []Variant{on("b"), on("d")}, []string{"a", "b", "c", "d", "e"},
			[]Assignment{not("a"), got("b"), not("c"), got("d"), not("e")}, nil},
		{"twice", []Variant{on("b"), {FlagKey: "b", Key: "off"}, on("a")}, []string{"a", "b"},
			[]Assignment{got("a"), got("b")}, []string{"b"}},
		{"not asked for", []Variant{on("x"), on("a"), on("y")}, []string{"a"}, []Assignment{got("a")}, []string{"x", "y"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows, unasked := flatten(nil, nil, tt.variants, IndexFlags(tt.flags))
			if diff := cmp.Diff(tt.want, rows); diff != "" || !slices.Equal(unasked, tt.wantUnasked) {
				t.Errorf("flatten(%v, %v): unasked = %q, want %q; rows (-want +got):\n%s", tt.variants, tt.flags, unasked,
					tt.wantUnasked, diff)
			}
		})
	}
	// It appends: what is there stays, and only what it adds is sorted.
	rows, _ := flatten([]Assignment{got("z")}, nil, []Variant{on("b"), on("a")}, nil)
	if diff := cmp.Diff([]Assignment{got("z"), got("a"), got("b")}, rows); diff != "" {
		t.Errorf("appending (-want +got):\n%s", diff)
	}
}

// TestFlattenManyFlags: whatever the order of an answer is, its variants come into the order asked for, and that takes
// no memory of its own. BenchmarkFlatten shows that the time is linear.
func TestFlattenManyFlags(t *testing.T) {
	const n = 1000
	var flags []string
	for i := range n {
		flags = append(flags, fmt.Sprint("flag-", i))
	}
	asked := IndexFlags(flags)
	for _, tt := range []struct {
		name     string
		variants func(yield func(int) bool)
	}{
		{"in order", func(yield func(int) bool) { eachStep(0, 1, n, yield) }},
		{"the last first", func(yield func(int) bool) { eachStep(n-1, n-1, n, yield) }},
		{"in strides", func(yield func(int) bool) { eachStep(0, 387, n, yield) }},
		{"some, with large gaps", func(yield func(int) bool) { eachStep(0, 20, n/20, yield) }},
		{"some, backwards", func(yield func(int) bool) { eachStep(n-1, n-3, n/3, yield) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			variants := []Variant{{FlagKey: "other"}}
			want := make([]Assignment, n)
			for i := range want {
				want[i].FlagKey = flags[i]
			}
			for i := range tt.variants {
				variants = append(variants, Variant{FlagKey: fmt.Sprint("flag-", i), Key: fmt.Sprint("v", i)})
				want[i] = Assignment{Variant: variants[len(variants)-1], Assigned: true}
			}
			rows, unasked := flatten(nil, nil, variants, asked)
			if diff := cmp.Diff(want, rows); diff != "" || !slices.Equal(unasked, []string{"other"}) {
				t.Errorf("unasked = %q, want [other]; rows (-want +got):\n%s", unasked, diff)
			}
			allocated := testing.AllocsPerRun(10, func() { rows, unasked = flatten(rows[:0], unasked[:0], variants, asked) })
			if allocated != 0 {
				t.Errorf("flatten allocates %v times an answer, want 0", allocated)
			}
		})
	}
}

// eachStep yields n numbers below 1,000: from, from+step, …
func eachStep(from, step, n int, yield func(int) bool) {
	for i := range n {
		if !yield((from + i*step) % 1000) {
			return
		}
	}
}
