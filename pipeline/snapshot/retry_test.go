package snapshot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Users of a run and of its retries are counted once, whatever the order and however often some were asked again.
func TestCountOnce(t *testing.T) {
	type kinds = map[pipeline.Kind]int64
	run := func(id string, answered int64, failed kinds, completes string, again kinds) *Manifest {
		m := &Manifest{RunID: id, Users: Users{Answered: answered, FailedByKind: failed}}
		for _, n := range failed {
			m.Users.Failed += n
		}
		m.Users.Read = answered + m.Users.Failed
		if completes != "" {
			m.Completes = &Completes{RunID: completes, FailedByKind: again}
		}
		return m
	}
	first := run("a", 90, kinds{"bad_row": 4, "unavailable": 6}, "", nil)
	again := run("b", 7, kinds{"bad_row": 3}, "a", kinds{"bad_row": 4, "unavailable": 6})
	third := run("c", 3, nil, "b", kinds{"bad_row": 3})
	part := run("d", 1, nil, "a", kinds{"bad_row": 1})
	for _, tt := range []struct {
		name           string
		runs           []*Manifest
		read, answered int64
		failed         kinds
		err            string
	}{
		{"one", []*Manifest{first}, 100, 90, kinds{"bad_row": 4, "unavailable": 6}, ""},
		{"all asked again", []*Manifest{first, again}, 100, 97, kinds{"bad_row": 3}, ""},
		{"the retry first", []*Manifest{again, first}, 100, 97, kinds{"bad_row": 3}, ""},
		{"twice", []*Manifest{third, first, again}, 100, 100, kinds{}, ""},
		{"some of them", []*Manifest{first, part}, 100, 91, kinds{"bad_row": 3, "unavailable": 6}, ""},
		{"the retry alone", []*Manifest{again}, 10, 7, kinds{"bad_row": 3}, ""},
		{"the last retry without the one between", []*Manifest{first, third}, 0, 0, nil,
			"of run b, which is not named"},
		{"one without a manifest", []*Manifest{nil, first}, 100, 90, kinds{"bad_row": 4, "unavailable": 6}, ""},
		{"two retries of one run", []*Manifest{first, again, part}, 0, 0, nil,
			"runs b and d both asked again about the failed users of run a"},
		{"more than failed", []*Manifest{run("a", 1, kinds{"bad_row": 1}, "", nil), again}, 0, 0, nil, "but in run a only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			counts, err := CountOnce(tt.runs)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := Users{FailedByKind: kinds{}}
			for _, c := range counts {
				got.Read, got.Answered, got.Failed = got.Read+c.Read, got.Answered+c.Answered, got.Failed+c.Failed
				for kind, n := range c.FailedByKind {
					got.FailedByKind[kind] += n
				}
			}
			want := Users{Read: tt.read, Answered: tt.answered, Failed: tt.read - tt.answered, FailedByKind: tt.failed}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sum of the counts (-want +got):\n%s", diff)
			}
		})
	}
}
