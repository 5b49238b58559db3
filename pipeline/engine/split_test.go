package engine

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// splitText is a split as the tables below have it: "user_id: control 0.5 treatment 0.5, assigned 0.3".
func splitText(s Split) string {
	why := s.None
	text := strings.TrimRight(fmt.Sprintf("%s: %s %s", why.Reason, strings.Trim(strings.Join(why.Segments[:], ", "), ", "),
		why.Variant+why.BucketBy), " ")
	for _, split := range why.Splits {
		for _, w := range split {
			text += fmt.Sprintf(" %s %.4g", w.Variant, w.Share)
		}
	}
	switch {
	case s.Clustered:
		return "clustered, " + text
	case why.Reason != "":
		return text
	}
	text = s.BucketBy + ":"
	for _, w := range s.Variants {
		text += fmt.Sprintf(" %s %.4g", w.Variant, math.Round(1e5*w.Share)/1e5)
	}
	if s.Assigned != nil {
		text += fmt.Sprintf(", assigned %.4g", *s.Assigned)
	}
	if n := len(s.NamedUserIDs) + len(s.NamedDeviceIDs); n > 0 {
		text += fmt.Sprintf(", %d named", n)
	}
	return text
}

// testFlags is the engine over testdata/flags.json.
func testFlags(t *testing.T) *Engine {
	t.Helper()
	data, err := os.ReadFile("../../testdata/flags.json")
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, string(data))
}

func TestSplitsOfTestFlags(t *testing.T) {
	list, groups := testFlags(t).Splits()
	got := map[string]string{}
	for _, e := range list {
		got[e.Flag] = splitText(e)
	}
	for flag, want := range map[string]string{
		"dark-mode":         "device_id: on 1, assigned 0.3",
		"checkout-redesign": "user_id: control 0.5 treatment 0.5", // only those outside the holdout
		"express-pay":       `targeted: Mobile on`,
		"pricing-test":      "user_id: annual-first 0.3 control 0.5 discount 0.2",
		"onboarding-flow":   "user_id: checklist 0.5 control 0.5",
		"recommendations":   "user_id: collaborative 0.3333 control 0.3333 embedding 0.3333, 2 named",
		"holdout-2026-h1":   ":", // no user sees it
		"legacy-export":     ":",
		"team-workspaces":   "clustered, clustered:  context.groups.org.group_name",
	} {
		t.Run(flag, func(t *testing.T) {
			if got[flag] != want {
				t.Errorf("%s: %s, want %s", flag, got[flag], want)
			}
		})
	}
	want := []string{
		"holdout-2026-h1 holdout-group checkout-redesign[on]",
		"mutex-growth mutual-exclusion-group pricing-test[slot-1] onboarding-flow[slot-2]",
	}
	for i, g := range groups {
		text := g.Key + " " + g.Type
		for _, m := range g.Flags {
			text += fmt.Sprintf(" %s%v", m.Flag, m.Slots)
		}
		if i >= len(want) || text != want[i] {
			t.Errorf("group %d: %s, want %q", i, text, want)
		}
	}
}

// TestSplits: what one can say of a flag from its segments.
func TestSplits(t *testing.T) {
	const (
		even  = `"bucket":{"selector":["context","user","user_id"],"salt":"s","allocations":[{"range":[0,100],"distributions":[{"variant":"a","range":[0,21474837]},{"variant":"b","range":[21474836,42949673]}]}]}`
		third = `"bucket":{"selector":["context","user","user_id"],"salt":"s","allocations":[{"range":[0,100],"distributions":[{"variant":"a","range":[0,14316558]},{"variant":"b","range":[14316557,42949673]}]}]}`
		some  = `"bucket":{"selector":["context","user","user_id"],"salt":"s","allocations":[{"range":[10,30],"distributions":[{"variant":"a","range":[0,21474837]},{"variant":"b","range":[21474836,42949673]}]}]}`
		gap   = `"bucket":{"selector":["context","user","user_id"],"salt":"s","allocations":[{"range":[0,100],"distributions":[{"variant":"a","range":[0,10737418]},{"variant":"b","range":[32212255,42949673]}]}]}`
		fr    = `"conditions":[[{"selector":["context","user","country"],"op":"is","values":["FR"]}]]`
		named = `"conditions":[[{"selector":["context","user","user_id"],"op":"is","values":["u1","u2"]}],[{"selector":["context","user","device_id"],"op":"is","values":["d1"]}]]`
	)
	for _, test := range []struct{ name, segments, want string }{
		{"everybody", `{` + even + `,"variant":"off"}`, "user_id: a 0.5 b 0.5, assigned 1"},
		{"some", `{` + some + `,"variant":"off"}`, "user_id: a 0.5 b 0.5, assigned 0.2"},
		{"the rest is a, too", `{` + some + `,"variant":"a"}`, "user_id: a 0.9 b 0.1, assigned 1"},
		{"a gap", `{` + gap + `,"variant":"off"}`, "user_id: a 0.5 b 0.5, assigned 0.5"},
		{"a gap for the next segment", `{` + gap + `},{` + even + `,"variant":"off"}`, "lets_on: segment 1, segment 2"},
		{"the next segment gives nothing", `{` + gap + `},{"variant":"off"}`, "user_id: a 0.5 b 0.5"},
		{"targeted", `{` + fr + `,` + even + `,"variant":"off"}`, "user_id: a 0.5 b 0.5"},
		{"targeted, alike", `{` + fr + `,` + even + `,"variant":"off"},{` + even + `,"variant":"off"}`,
			"user_id: a 0.5 b 0.5"},
		{"alike among the assigned", `{` + fr + `,` + even + `,"variant":"off"},{` + some + `,"variant":"off"}`,
			"user_id: a 0.5 b 0.5"},
		{"targeted, differently", `{` + fr + `,` + even + `,"variant":"off","metadata":{"segmentName":"France"}},{` + third +
			`,"variant":"off"}`,
			"differ: France, segment 2 a 0.5 b 0.5 a 0.3333 b 0.6667"},
		{"some get a", `{` + fr + `,"variant":"a"},{` + even + `,"variant":"off"}`, "targeted: segment 1 a"},
		{"some get none", `{` + fr + `,"variant":"off"},{` + even + `,"variant":"off"}`, "user_id: a 0.5 b 0.5"},
		{"named", `{` + named + `,"variant":"b"},{` + even + `,"variant":"off"}`,
			"user_id: a 0.5 b 0.5, assigned 1, 3 named"},
		{"never reached", `{` + even + `,"variant":"off"},{` + third + `,"variant":"off"}`,
			"user_id: a 0.5 b 0.5, assigned 1"},
		{"nothing", `{"variant":"off"}`, ":"},
		{"no segment", ``, ":"},
		{"an unknown variant", `{` + strings.ReplaceAll(even, `"variant":"b"`, `"variant":"c"`) + `,"variant":"off"}`,
			"user_id: a 1"},
		{"ranges without end", `{"bucket":{"selector":["context","user","user_id"],"salt":"s","allocations":[{"range":[0,100],"distributions":[` + manyRanges(2000) + `]}]}}`,
			"too_fine: segment 1"},
		{"by organization, and some get a", `{` + fr + `,"variant":"a"},{` +
			strings.Replace(even, `"user","user_id"`, `"groups","org","group_name"`, 1) + `,"variant":"off"}`,
			"clustered, targeted: segment 1 a"},
		{"two ids", `{` + fr + `,` + even + `,"variant":"off"},{` + strings.Replace(even, "user_id", "device_id", 1) +
			`,"variant":"off"}`,
			"ids:"},
	} {
		config := `[{"key":"f","variants":{"a":{"key":"a"},"b":{"key":"b"},"off":{"key":"off","metadata":{"default":true}}},"segments":[` + test.segments + `]}]`
		t.Run(test.name, func(t *testing.T) {
			list, _ := mustParse(t, config).Splits()
			if len(list) != 1 {
				t.Fatalf("splits %v, want one", list)
			}
			if got := splitText(list[0]); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// manyRanges are n distributions beside each other.
func manyRanges(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"variant":"a","range":[%d,%d]}`, i, i+1))
	}
	return strings.Join(list, ",")
}

// TestSplitsHold: what is expected of the test flags is what the engine gives many users.
func TestSplitsHold(t *testing.T) {
	eng := testFlags(t)
	list, _ := eng.Splits()
	const users = 20_000
	counts := map[string]map[string]int{}
	plan := eng.Plan(nil)
	var found []*Variant
	for i := range users {
		u := pipeline.User{UserID: fmt.Sprint("user-", i), DeviceID: fmt.Sprint("device-", i), Context: []pipeline.Member{
			{Name: "user_properties", Value: pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{
				{Name: "plan", Value: pipeline.StringValue([]string{"free", "team"}[i%2])},
				{Name: "seats", Value: pipeline.IntValue(7)}}}}}}
		found = plan.Append(found[:0], &u)
		for _, v := range found {
			if v.Answered() {
				if counts[v.FlagKey] == nil {
					counts[v.FlagKey] = map[string]int{}
				}
				counts[v.FlagKey][v.Key]++
			}
		}
	}
	tested := 0
	for _, e := range list {
		if len(e.Variants) == 0 {
			continue
		}
		var sum float64
		n := 0
		for _, w := range e.Variants {
			sum += w.Share
			n += counts[e.Flag][w.Variant]
		}
		if n < 1000 {
			continue
		}
		for _, w := range e.Variants {
			p, got := w.Share/sum, float64(counts[e.Flag][w.Variant])/float64(n)
			tested++
			if math.Abs(got-p) > 4.5*math.Sqrt(p*(1-p)/float64(n)) {
				t.Errorf("%s: %s is %.4f of %d users, want %.4f", e.Flag, w.Variant, got, n, p)
			}
		}
		if e.Assigned != nil && math.Abs(float64(n)/users-*e.Assigned) > 4.5*math.Sqrt(0.25/users) {
			t.Errorf("%s: %d of %d users are assigned, want %.4f", e.Flag, n, users, *e.Assigned)
		}
	}
	if tested < 8 {
		t.Errorf("%d shares were looked at, want 8 at least", tested)
	}
}

// FuzzSplits: whatever configurations the engine takes, the shares that are expected add up.
func FuzzSplits(f *testing.F) {
	data, err := os.ReadFile("../../testdata/flags.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`[{"key":"f","KEY":"g","variants":{"a":null,"b":{}},"segments":[{"bucket":{"selector":null,"salt":"","allocations":[{"range":[-1,1e9,3],"distributions":[{"range":[5,2]},{"variant":"b","range":[-5,1e300]}]}]},"metadata":null}]}]`))
	f.Add([]byte(`[{"key":"f","variants":{},"segments":[{"conditions":[],"variant":"x"},{"conditions":[[]],"metadata":{"segmentName":7}}],"dependencies":["f2"]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		eng, err := ParseLenient(data, Node)
		if err != nil {
			return
		}
		list, _ := eng.Splits()
		for _, e := range list {
			var sum float64
			for _, w := range e.Variants {
				if !(w.Share > 0) {
					t.Errorf("%q: weight %v", e.Flag, w)
				}
				sum += w.Share
			}
			if sum > 1+1e-9 || e.Assigned != nil && !(*e.Assigned >= 0 && *e.Assigned <= 1) {
				t.Errorf("%q: the shares add up to %v, %v assigned", e.Flag, sum, e.Assigned)
			}
		}
	})
}
