package snapshot_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

func assigned(flag, variant string) pipeline.Assignment {
	return pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag, Key: variant}, Assigned: true}
}

func notAssigned(flag string) pipeline.Assignment {
	return pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag}}
}

func TestTally(t *testing.T) {
	outcomes := []pipeline.Outcome{
		{Assignments: []pipeline.Assignment{assigned("a", "on"), notAssigned("b")}, Unasked: []string{"z", "c"}},
		{Assignments: []pipeline.Assignment{assigned("a", "off"), notAssigned("b")}},
		{Assignments: []pipeline.Assignment{assigned("a", "on"), notAssigned("b")}},
		{Assignments: []pipeline.Assignment{notAssigned("a"), notAssigned("b")}},
		{Err: &pipeline.UserError{Kind: pipeline.KindMissingID}},
		{Err: &pipeline.UserError{Kind: pipeline.KindBadRow}},
		{Err: &pipeline.UserError{Kind: pipeline.KindBadRow}},
	}
	tally := snapshot.NewTally([]string{"b", "a"})
	for i := range outcomes {
		if err := tally.Write(&outcomes[i]); err != nil {
			t.Fatal(err)
		}
	}
	if tally.Read != 7 || tally.Answered != 4 || tally.FailedUsers() != 3 || tally.Assignments != 3 || tally.Unasked != 2 {
		t.Errorf("read %d answered %d failed %d assignments %d unasked %d; want 7 4 3 3 2",
			tally.Read, tally.Answered, tally.FailedUsers(), tally.Assignments, tally.Unasked)
	}
	if diff := cmp.Diff([]string{"c", "z"}, tally.UnaskedFlags()); diff != "" {
		t.Errorf("flags not asked for (-want +got):\n%s", diff)
	}
	want := []snapshot.FlagCount{
		{Flag: "a", Assigned: 3, NotAssigned: 1, Variants: []snapshot.VariantCount{{Variant: "off", Users: 1},
			{Variant: "on", Users: 2}}},
		{Flag: "b", Assigned: 0, NotAssigned: 4, Variants: []snapshot.VariantCount{}},
	}
	if diff := cmp.Diff(want, tally.Flags()); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b"}, tally.Nobody()); diff != "" {
		t.Errorf("flags nobody got (-want +got):\n%s", diff)
	}
}

// TestTallyOfManyUnaskedFlags: whatever a server sends, not all of it is kept.
func TestTallyOfManyUnaskedFlags(t *testing.T) {
	var tally snapshot.Tally
	for i := range 3000 {
		o := pipeline.Outcome{Unasked: []string{fmt.Sprintf("flag-%04d", i), strings.Repeat("n", 2000)}}
		if err := tally.Write(&o); err != nil {
			t.Fatal(err)
		}
	}
	if got := tally.UnaskedFlags(); tally.Unasked != 6000 || len(got) != 1000 || got[999] != "flag-0999" {
		t.Errorf("%d assignments of %d flags, the last %.20q; want 6000 of 1000, the last flag-0999", tally.Unasked, len(got),
			got[len(got)-1])
	}
}

// TestTallyOfBatches: a tally of batches that were counted at once is that of their outcomes, one by one.
func TestTallyOfBatches(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var outcomes []pipeline.Outcome
	for i := range 3000 {
		var o pipeline.Outcome
		for flag := range 1 + random.IntN(12) {
			key := fmt.Sprintf("flag-%02d", flag)
			if a := assigned(key, fmt.Sprintf("v%d", random.IntN(2+flag))); random.IntN(5) > 0 {
				o.Assignments = append(o.Assignments, a)
			} else {
				o.Assignments = append(o.Assignments, notAssigned(key))
			}
		}
		o.Unasked = []string{fmt.Sprintf("unasked-%04d", i)}
		switch random.IntN(10) {
		case 0:
			o = pipeline.Outcome{Err: &pipeline.UserError{Kind: pipeline.Kinds[random.IntN(len(pipeline.Kinds))]}}
		case 1:
			o.Cache = pipeline.Cache{State: pipeline.CacheHit, Aged: true, Age: int64(random.IntN(1000))}
		}
		outcomes = append(outcomes, o)
	}
	want, got := snapshot.NewTally([]string{"nobody"}), snapshot.NewTally([]string{"nobody"})
	for i := range outcomes {
		if err := want.Write(&outcomes[i]); err != nil {
			t.Fatal(err)
		}
	}
	for rest := outcomes; len(rest) > 0; {
		batch := rest[:min(len(rest), 1+random.IntN(300))]
		rest = rest[len(batch):]
		encoded := got.Encode(batch)
		got.Encode(batch) // is dropped
		if err := encoded.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	type counts struct {
		Read, Answered, Assignments, Unasked int64
		Failed                               map[pipeline.Kind]int64
		Caches                               snapshot.Caches
		Flags                                []snapshot.FlagCount
		Names                                []string
	}
	list := func(t *snapshot.Tally) counts {
		return counts{t.Read, t.Answered, t.Assignments, t.Unasked, t.Failed, t.Caches, t.Flags(), t.UnaskedFlags()}
	}
	if diff := cmp.Diff(list(want), list(got)); diff != "" {
		t.Errorf("tally of batches (-one by one +got):\n%s", diff)
	}
}

// TestTallyOfManyVariants: however many variants a flag has, and in whatever places the flags of an outcome stand.
func TestTallyOfManyVariants(t *testing.T) {
	var tally snapshot.Tally
	want := []snapshot.FlagCount{{Flag: "x"}, {Flag: "y"}}
	for i := range 30 {
		variant := fmt.Sprintf("v%02d", i)
		for range i + 1 {
			o := pipeline.Outcome{Assignments: []pipeline.Assignment{assigned("x", variant), assigned("y", variant)}}
			if i%2 == 0 {
				slices.Reverse(o.Assignments)
			}
			if err := tally.Write(&o); err != nil {
				t.Fatal(err)
			}
		}
		for j := range want {
			want[j].Assigned += int64(i + 1)
			want[j].Variants = append(want[j].Variants, snapshot.VariantCount{Variant: variant, Users: int64(i + 1)})
		}
	}
	if diff := cmp.Diff(want, tally.Flags()); diff != "" {
		t.Errorf("30 variants, the i-th for i users (-want +got):\n%s", diff)
	}
}

func TestTallyOfAllFlags(t *testing.T) {
	var tally snapshot.Tally
	for _, o := range []pipeline.Outcome{
		{Assignments: []pipeline.Assignment{assigned("x", "on")}},
		{Assignments: []pipeline.Assignment{}},
	} {
		if err := tally.Write(&o); err != nil {
			t.Fatal(err)
		}
	}
	want := []snapshot.FlagCount{{Flag: "x", Assigned: 1, NotAssigned: 1,
		Variants: []snapshot.VariantCount{{Variant: "on", Users: 1}}}}
	if diff := cmp.Diff(want, tally.Flags()); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if got := snapshot.NewTally([]string{"x"}).Nobody(); len(got) != 0 {
		t.Errorf("nobody answered: flags nobody got = %v, want none", got)
	}
}

func TestManifestReadsBack(t *testing.T) {
	want := &snapshot.Manifest{
		Format: snapshot.ManifestFormat, RunID: "r1", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Outputs: []snapshot.File{{Path: "a.csv", Rows: 3}},
		Users:   snapshot.Users{Read: 1, FailedByKind: map[pipeline.Kind]int64{"bad_row": 1}},
	}
	data, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "m.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := snapshot.ReadManifest(nil, file)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(snapshot.Layout{}), cmpopts.EquateEmpty()); diff != "" ||
		err != nil {
		t.Errorf("err = %v (-want +got):\n%s", err, diff)
	}
	for text, wantErr := range map[string]string{`{"format":99}`: "format 99 is not known", `{`: "unexpected end"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := snapshot.ReadManifest(nil, file); err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("manifest %s: err = %v, want %q", text, err, wantErr)
		}
	}
}
