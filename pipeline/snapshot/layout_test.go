package snapshot

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Runs of earlier versions, whose manifests have format 1 and all options as strings, are read and verified as ever.
// They were made with `rollcall snapshot --layout wide --flags-from --include payload --column-names snake
// --csv-formulas escape
// --carry` and with `--flags --include value --carry`.
func TestManifestOfFormat1(t *testing.T) {
	flags := []string{"checkout-redesign", "pricing-test"}
	for name, want := range map[string]Layout{
		"wide.csv": {
			Wide: true, Flags: flags, Include: []string{"payload"}, SnakeNames: true, EscapeFormulas: true, unordered: true,
			Carry: []Carried{{"country", "country"}, {"plan", "plan"}, {" now", " now"}}, // which was one name
		},
		"long.csv": {Flags: []string{"pricing-test", "checkout-redesign"}, Include: []string{"value"},
			Carry: []Carried{{"country", "country"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Open(nil, "testdata/format1/"+name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, r.Layout, cmp.AllowUnexported(Layout{})); diff != "" {
				t.Errorf("layout (-want +got):\n%s", diff)
			}
			if n := readUsers(t, r); n != 3 || len(r.Problems) > 0 {
				t.Errorf("%d users, problems %v; want 3, none", n, r.Problems)
			}
			verdict, err := Verify(context.Background(), nil, r.ManifestPath, VerifyOptions{})
			if err != nil || !verdict.OK {
				text, _ := json.Marshal(verdict)
				t.Errorf("verify: %v, %s", err, text)
			}
		})
	}
}

// A manifest of today has the layout as the command has set it.
func TestLayoutReadsBack(t *testing.T) {
	want := Layout{Wide: true, Flags: []string{"b", "a"}, Include: []string{}, Carry: []Carried{{"plan_now", "plan, now"}},
		SnakeNames: true}
	data, err := (&Manifest{Format: ManifestFormat, Layout: want}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, m.Layout, cmpopts.IgnoreUnexported(Layout{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
