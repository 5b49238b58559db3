package pipeline

import (
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
		{"not asked for", []Variant{on("x"), on("a"), on("y")}, []string{"a"}, []Assignment{got("a")}, []string{"x", "y"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows, unasked := flatten(nil, nil, tt.variants, tt.flags)
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
