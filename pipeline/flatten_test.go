package pipeline_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestFlatten(t *testing.T) {
	on := func(flag string) pipeline.Variant {
		return pipeline.Variant{FlagKey: flag, Key: "on", Payload: `{"x":1}`}
	}
	got := func(flag string) pipeline.Assignment { return pipeline.Assignment{Variant: on(flag), Assigned: true} }
	not := func(flag string) pipeline.Assignment {
		return pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag}}
	}
	tests := []struct {
		name        string
		variants    []pipeline.Variant
		flags       []string
		want        []pipeline.Assignment
		wantUnasked int
	}{
		{"all flags, sorted by key", []pipeline.Variant{on("c"), on("a"), on("b")}, nil, []pipeline.Assignment{got("a"), got("b"), got("c")}, 0},
		{"no assignment, no row", nil, nil, nil, 0},
		{"asked for, in the order asked", []pipeline.Variant{on("a"), on("b")}, []string{"b", "a"}, []pipeline.Assignment{got("b"), got("a")}, 0},
		{"asked for and not answered", []pipeline.Variant{on("b")}, []string{"a", "b", "c"}, []pipeline.Assignment{not("a"), got("b"), not("c")}, 0},
		{"no assignment, a row for each flag", nil, []string{"a", "b"}, []pipeline.Assignment{not("a"), not("b")}, 0},
		{"not asked for", []pipeline.Variant{on("x"), on("a"), on("y")}, []string{"a"}, []pipeline.Assignment{got("a")}, 2},
	}
	for _, tt := range tests {
		rows, unasked := pipeline.Flatten(nil, tt.variants, tt.flags)
		if diff := cmp.Diff(tt.want, rows); diff != "" || unasked != tt.wantUnasked {
			t.Errorf("%s: Flatten(%v, %v): unasked = %d, want %d; rows (-want +got):\n%s", tt.name, tt.variants, tt.flags, unasked, tt.wantUnasked, diff)
		}
	}
	// It appends: what is there stays, and only what it adds is sorted.
	rows, _ := pipeline.Flatten([]pipeline.Assignment{got("z")}, []pipeline.Variant{on("b"), on("a")}, nil)
	if diff := cmp.Diff([]pipeline.Assignment{got("z"), got("a"), got("b")}, rows); diff != "" {
		t.Errorf("appending (-want +got):\n%s", diff)
	}
}
