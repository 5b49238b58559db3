package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// expectationText is an expectation as the tables below have it: "user_id: control 0.5 treatment 0.5, assigned 0.3".
func expectationText(e report.Expectation) string {
	if e.Clustered {
		return "clustered, " + e.None
	}
	if e.None != "" {
		return e.None
	}
	text := e.BucketBy + ":"
	var sum float64
	for _, w := range e.Weights {
		sum += w.Share
	}
	for _, w := range e.Weights {
		text += fmt.Sprintf(" %s %.4g", w.Variant, math.Round(1e5*w.Share/sum)/1e5)
	}
	if e.Assigned != nil {
		text += fmt.Sprintf(", assigned %.4g", *e.Assigned)
	}
	if n := len(e.NamedUserIDs) + len(e.NamedDeviceIDs); n > 0 {
		text += fmt.Sprintf(", %d named", n)
	}
	return text
}

func TestExpectationsOfTestFlags(t *testing.T) {
	list, groups, err := expectations("flags.json", testEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range list {
		got[e.Flag] = expectationText(e)
	}
	for flag, want := range map[string]string{
		"dark-mode":         "device_id: on 1, assigned 0.3",
		"checkout-redesign": "user_id: control 0.5 treatment 0.5", // only those outside the holdout
		"express-pay":       `no one split is expected: "Mobile" gives everybody whom it matches on`,
		"pricing-test":      "user_id: annual-first 0.3 control 0.5 discount 0.2",
		"onboarding-flow":   "user_id: checklist 0.5 control 0.5",
		"recommendations":   "user_id: collaborative 0.3333 control 0.3333 embedding 0.3333, 2 named",
		"holdout-2026-h1":   ":", // no user sees it
		"legacy-export":     ":",
		"team-workspaces":   "clustered, not tested: users are bucketed by context.groups.org.group_name, and those who have it in common get the same",
	} {
		if got[flag] != want {
			t.Errorf("%s: %s, want %s", flag, got[flag], want)
		}
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

// TestExpectations: what one can say of a flag from its segments.
func TestExpectations(t *testing.T) {
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
		{"a gap for the next segment", `{` + gap + `},{` + even + `,"variant":"off"}`, `no one split is expected: "segment 1" lets some of its users on to "segment 2"`},
		{"the next segment gives nothing", `{` + gap + `},{"variant":"off"}`, "user_id: a 0.5 b 0.5"},
		{"targeted", `{` + fr + `,` + even + `,"variant":"off"}`, "user_id: a 0.5 b 0.5"},
		{"targeted, alike", `{` + fr + `,` + even + `,"variant":"off"},{` + even + `,"variant":"off"}`, "user_id: a 0.5 b 0.5"},
		{"alike among the assigned", `{` + fr + `,` + even + `,"variant":"off"},{` + some + `,"variant":"off"}`, "user_id: a 0.5 b 0.5"},
		{"targeted, differently", `{` + fr + `,` + even + `,"variant":"off","metadata":{"segmentName":"France"}},{` + third + `,"variant":"off"}`,
			`no one split is expected: "France" has a 50.0 %, b 50.0 %, "segment 2" has a 33.3 %, b 66.7 %`},
		{"some get a", `{` + fr + `,"variant":"a"},{` + even + `,"variant":"off"}`, `no one split is expected: "segment 1" gives everybody whom it matches a`},
		{"some get none", `{` + fr + `,"variant":"off"},{` + even + `,"variant":"off"}`, "user_id: a 0.5 b 0.5"},
		{"named", `{` + named + `,"variant":"b"},{` + even + `,"variant":"off"}`, "user_id: a 0.5 b 0.5, assigned 1, 3 named"},
		{"never reached", `{` + even + `,"variant":"off"},{` + third + `,"variant":"off"}`, "user_id: a 0.5 b 0.5, assigned 1"},
		{"nothing", `{"variant":"off"}`, ":"},
		{"no segment", ``, ":"},
		{"an unknown variant", `{` + strings.ReplaceAll(even, `"variant":"b"`, `"variant":"c"`) + `,"variant":"off"}`, "user_id: a 1"},
		{"ranges without end", `{"bucket":{"selector":["context","user","user_id"],"salt":"s","allocations":[{"range":[0,100],"distributions":[` + ranges(2000) + `]}]}}`,
			`no split is expected: "segment 1" has more ranges than are worked out`},
		{"by organization, and some get a", `{` + fr + `,"variant":"a"},{` + strings.Replace(even, `"user","user_id"`, `"groups","org","group_name"`, 1) + `,"variant":"off"}`,
			`clustered, no one split is expected: "segment 1" gives everybody whom it matches a`},
		{"two ids", `{` + fr + `,` + even + `,"variant":"off"},{` + strings.Replace(even, "user_id", "device_id", 1) + `,"variant":"off"}`,
			"no one split is expected: segments bucket by different ids"},
	} {
		config := `[{"key":"f","variants":{"a":{"key":"a"},"b":{"key":"b"},"off":{"key":"off","metadata":{"default":true}}},"segments":[` + test.segments + `]}]`
		eng, err := engine.Parse([]byte(config))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		list, _, err := expectations("flags.json", eng)
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v, %v", test.name, list, err)
		}
		if got := expectationText(list[0]); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// ranges are n distributions beside each other.
func ranges(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"variant":"a","range":[%d,%d]}`, i, i+1))
	}
	return strings.Join(list, ",")
}

// TestExpectationsHold: what is expected of the test flags is what the engine gives many users.
func TestExpectationsHold(t *testing.T) {
	eng := testEngine(t)
	list, _, err := expectations("flags.json", eng)
	if err != nil {
		t.Fatal(err)
	}
	const users = 20_000
	counts := map[string]map[string]int{}
	plan := eng.Plan(nil)
	var found []*engine.Variant
	for i := range users {
		u := pipeline.User{UserID: fmt.Sprint("user-", i), DeviceID: fmt.Sprint("device-", i), Context: []pipeline.Member{
			{Name: "user_properties", Value: pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{
				{Name: "plan", Value: pipeline.StringValue([]string{"free", "team"}[i%2])}, {Name: "seats", Value: pipeline.IntValue(7)}}}}}}
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
		if len(e.Weights) == 0 {
			continue
		}
		var sum float64
		n := 0
		for _, w := range e.Weights {
			sum += w.Share
			n += counts[e.Flag][w.Variant]
		}
		if n < 1000 {
			continue
		}
		for _, w := range e.Weights {
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

func TestParseExpect(t *testing.T) {
	for text, want := range map[string]string{
		"f=control:50,treatment:50":       ": control 0.5 treatment 0.5",
		"f=a:1,b:3":                       ": a 0.25 b 0.75",
		"f=a:40,b:40,not_assigned:20":     ": a 0.5 b 0.5, assigned 0.8",
		"f=a:b:1,c:1":                     ": a:b 0.5 c 0.5",
		"f=a:1":                           ": a 1",
		"f":                               "it is not FLAG=VARIANT:WEIGHT,…",
		"=a:1":                            "it is not FLAG=VARIANT:WEIGHT,…",
		"f=":                              "it is not FLAG=VARIANT:WEIGHT,…",
		" f = control : 50, treatment:50": ": control 0.5 treatment 0.5",
		`f="a, b":50,c:50`:                ": a, b 0.5 c 0.5",
		"f=a:1,,b:1":                      `item 2 of "a:1,,b:1" is empty`,
		"f=a":                             `"a" is not VARIANT:WEIGHT`,
		"f=a:x":                           `"x" is no weight`,
		"f=a:-1":                          `"-1" is no weight`,
		"f=a:NaN":                         `"NaN" is no weight`,
		"f=a:0":                           "the weights add up to nothing",
		"f=a:1,a:2":                       `variant "a" stands there twice`,
		"f=not_assigned:1":                "the weights add up to nothing",
		"f=a:50,b:50,not_assigned:0":      ": a 0.5 b 0.5, assigned 1",
		"f=a:9999999999999,b:1":           `"9999999999999" is no weight`,
	} {
		e, err := parseExpect(text)
		got := ""
		if err != nil {
			if got = err.Error(); !strings.HasPrefix(got, fmt.Sprintf("--expect %q: ", text)) || exitCode(err) != exitUsage {
				t.Errorf("%s: error %v, want a usage error that names it", text, err)
			}
			got = strings.TrimPrefix(got, fmt.Sprintf("--expect %q: ", text))
		} else {
			got = expectationText(e)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// FuzzExpectations: whatever configurations the engine takes, the shares that are expected add up.
func FuzzExpectations(f *testing.F) {
	data, err := os.ReadFile("../../testdata/flags.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`[{"key":"f","KEY":"g","variants":{"a":null,"b":{}},"segments":[{"bucket":{"selector":null,"salt":"","allocations":[{"range":[-1,1e9,3],"distributions":[{"range":[5,2]},{"variant":"b","range":[-5,1e300]}]}]},"metadata":null}]}]`))
	f.Add([]byte(`[{"key":"f","variants":{},"segments":[{"conditions":[],"variant":"x"},{"conditions":[[]],"metadata":{"segmentName":7}}],"dependencies":["f2"]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		eng, err := engine.ParseLenient(data)
		if err != nil {
			return
		}
		list, _, err := expectations("flags.json", eng)
		if err != nil {
			t.Fatalf("the engine takes it, but: %v", err)
		}
		for _, e := range list {
			var sum float64
			for _, w := range e.Weights {
				if !(w.Share > 0) {
					t.Errorf("%q: weight %v", e.Flag, w)
				}
				sum += w.Share
			}
			if sum > 1+1e-9 || e.Assigned != nil && !(*e.Assigned >= 0 && *e.Assigned <= 1) {
				t.Errorf("%q: the weights add up to %v, %v assigned", e.Flag, sum, e.Assigned)
			}
		}
	})
}

// FuzzParseExpect: what is taken can be tested against.
func FuzzParseExpect(f *testing.F) {
	f.Add("checkout=control:50,treatment:50")
	f.Add("f=a:1e-300,not_assigned:1e12")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseExpect(text)
		if err != nil {
			return
		}
		if e.Flag == "" || len(e.Weights) == 0 || e.Assigned != nil && !(*e.Assigned >= 0 && *e.Assigned <= 1) {
			t.Errorf("parseExpect(%q) = %+v", text, e)
		}
	})
}

// TestReportHelp fits a screen.
func TestReportHelp(t *testing.T) {
	var out bytes.Buffer
	code := run([]string{"report", "--help"}, &env{Stdout: &out, Stderr: io.Discard, LookupEnv: func(string) (string, bool) { return "", false },
		Soft: t.Context(), Hard: t.Context()})
	lines := strings.Split(out.String(), "\n")
	if code != 0 || len(lines) > 60 || slices.ContainsFunc(lines, func(l string) bool { return len([]rune(l)) > 80 }) {
		t.Errorf("exit code %d and a help of %d lines, want 0 and at most 60 of 80 columns:\n%s", code, len(lines), out.String())
	}
}
