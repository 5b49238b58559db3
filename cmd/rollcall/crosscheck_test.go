package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// crossFlags are flags f and g. condition is that of f; what it does not match gets nothing.
func crossFlags(condition, variantOfG string) string {
	return `[{"key":"f","variants":{"on":{"key":"on","payload":{"a":1,"b":2}}},"segments":[{"conditions":[[` + condition +
		`]],"variant":"on"}],"metadata":{"flagVersion":1}},{"key":"g","variants":{"on":{"key":"on"},"two":{"key":"two"}},` +
		`"segments":[{"variant":"` + variantOfG + `"}],"metadata":{"flagVersion":1}}]`
}

const ofUser = `{"selector":["context","user","user_id"],"op":"contains","values":["u"]}`

// startCrossAPI starts an API over flags, and counts the requests about users.
func startCrossAPI(t *testing.T, flags string, semantics engine.Semantics, script func(*evalserver.Request, int,
) *evalserver.Fault) (url string, asked *atomic.Int32) {
	t.Helper()
	eng, err := engine.Parse([]byte(flags), semantics)
	if err != nil {
		t.Fatal(err)
	}
	asked = &atomic.Int32{}
	server, err := evalserver.Start("127.0.0.1:0", evalserver.New(eng, evalserver.Config{Key: networkKey, Script: script,
		EvaluationIDs: true, Record: func(r evalserver.Request) {
			if r.Path == "/v1/vardata" {
				asked.Add(1)
			}
			if r.Tracked || strings.HasPrefix(r.Path, "/v1/") && (!r.NoTrack || !r.NoExposureTrack) {
				t.Errorf("%s?%s was tracked", r.Path, r.RawQuery)
			}
		}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server.URL(), asked
}

// TestCrossCheck: a sample of the users of a local run is asked of the API, and what differs is counted, explained and
// written down.
func TestCrossCheck(t *testing.T) {
	missing := `{"selector":["context","user","user_properties","beta"],"op":"set is not","values":["x"]}`
	cohort := `{"selector":["context","user","cohort_ids"],"op":"set contains any","values":["c1"]}`
	negated := strings.Replace(cohort, "set contains any", "set does not contain any", 1)
	plan := `{"selector":["context","user","user_properties","plan"],"op":"is","values":["x"]}`
	for _, tt := range []struct {
		name      string
		local     string
		api       string
		semantics engine.Semantics // of the API
		fault     func(r *evalserver.Request, n int) *evalserver.Fault
		args      []string
		code      int
		agreed    int64 // of 20 users
		answered  int64
		explained map[snapshot.Explanation]int64 // of f
		said      string
	}{
		{"all agree", crossFlags(ofUser, "on"), crossFlags(ofUser, "on"), engine.Hosted, nil, nil, 0, 20, 20, nil,
			"cross-check: 20 of 20 users have the API's answers for all flags: 100.00 %, 95 % interval 83.89 % to 100.00 %"},
		{"payload in another order", crossFlags(ofUser, "on"), strings.Replace(crossFlags(ofUser, "on"), `{"a":1,"b":2}`,
			`{"b": 2, "a": 1}`, 1), engine.Hosted, nil, nil, 0, 20, 20, nil, "20 of 20 users have the API's answers"},
		{"another payload", crossFlags(ofUser, "on"), strings.Replace(crossFlags(ofUser, "on"), `"b":2`, `"b":3`, 1),
			engine.Hosted, nil, nil, 0, 0, 20, map[snapshot.Explanation]int64{snapshot.ByConfiguration: 20},
			"f: 20 answers are not the API's: 100.00 %"},
		{"semantics", crossFlags(missing, "on"), crossFlags(missing, "on"), engine.Node, nil, nil, 0, 0, 20,
			map[snapshot.Explanation]int64{snapshot.BySemantics: 20, snapshot.ByStored: 20},
			"can be explained by: 20 semantics, 20 stored properties"},
		{"cohort", crossFlags(cohort, "on"), crossFlags(negated, "on"), engine.Hosted, nil,
			[]string{"--unknown-cohorts", "empty"}, 0, 0, 20,
			map[snapshot.Explanation]int64{snapshot.ByConfiguration: 20, snapshot.ByCohort: 20}, "20 cohort"},
		{"stored properties", crossFlags(plan, "on"), crossFlags(ofUser, "on"), engine.Hosted, nil, nil, 0, 0, 20,
			map[snapshot.Explanation]int64{snapshot.ByConfiguration: 20, snapshot.ByStored: 20}, "20 stored properties"},
		{"users the API does not answer", crossFlags(ofUser, "on"), crossFlags(ofUser, "on"), engine.Hosted,
			func(r *evalserver.Request, _ int) *evalserver.Fault {
				if strings.HasSuffix(r.UserID, "7") {
					return &evalserver.Fault{Kind: "400"}
				}
				return nil
			}, []string{"--cross-check", "40"}, 0, 36, 36, nil, "cross-check: the API did not answer 4 of 40 users"},
		{"--max-disagreement is held, and the sample is too small to be sure", crossFlags(ofUser, "on"),
			crossFlags(ofUser, "on"), engine.Hosted, nil, []string{"--max-disagreement", "0.1%"}, 0, 20, 20, nil,
			"up to 16.11 % of all users may have other answers, and 0.1% is allowed"},
		{"--max-disagreement is not held", crossFlags(ofUser, "on"), crossFlags(ofUser, "two"), engine.Hosted, nil,
			[]string{"--max-disagreement", "19"}, 1, 0, 20, nil,
			"20 users are more than the 19 that --max-disagreement 19 allows: g (20 answers are not the API's"},
		{"--max-disagreement in users", crossFlags(ofUser, "on"), crossFlags(ofUser, "two"), engine.Hosted, nil,
			[]string{"--max-disagreement", "20"}, 0, 0, 20, nil, "g: 20 answers are not the API's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, asked := startCrossAPI(t, tt.api, tt.semantics, tt.fault)
			folder := t.TempDir()
			file := filepath.Join(folder, "flags.json")
			if err := os.WriteFile(file, []byte(tt.local), 0o600); err != nil {
				t.Fatal(err)
			}
			r := networkRun{Server: url, Users: names("u", 40), Folder: folder, Args: append([]string{"--evaluator", "local",
				"--flag-configs", file, "--cross-check", "20", "--cross-check-seed", "7"}, tt.args...)}.do(t)
			r.wantCode(t, tt.code)
			if said := strings.Join(strings.Fields(r.stderr), " "); !strings.Contains(said, tt.said) ||
				!strings.Contains(said, "(seed 7)") {
				t.Errorf("it said\n%s\nwant %q, and the seed", r.stderr, tt.said)
			}
			path := filepath.Join(folder, "a.crosscheck.jsonl")
			lines, err := os.ReadFile(path)
			if tt.code != 0 {
				if err == nil || r.manifest != nil {
					t.Errorf("something was published: %s", lines)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := r.manifest.CrossCheck
			if c.Agreed != tt.agreed || c.Answered != tt.answered || c.Asked != c.Answered+c.Failed || c.Seed != 7 ||
				c.Server != url || c.Asked != int64(asked.Load()) || r.manifest.Requests.Sent != c.Asked+1 { // GET /status
				t.Errorf("the manifest says %q of %s, %d requests; %d were made of %s; want %d of %d", c, c.Server,
					r.manifest.Requests.Sent, asked.Load(), url, tt.agreed, tt.answered)
			}
			f := c.Flags[slices.IndexFunc(c.Flags, func(f snapshot.CrossCheckFlag) bool { return f.Flag == "f" })]
			if got := fmt.Sprint(f.Explanations); got != fmt.Sprint(tt.explained) {
				t.Errorf("f is explained by %s, want %v", got, tt.explained)
			}
			if got := int64(strings.Count(string(lines), "\n")); got != c.Listed {
				t.Errorf("%s has %d lines, the manifest says %d", path, got, c.Listed)
			}
			var last string
			for line := range strings.Lines(string(lines)) {
				var d snapshot.Difference
				if err := json.Unmarshal([]byte(line), &d); err != nil || d.UserID == nil || d.RowNumber == 0 ||
					d.Local == nil && d.API == nil || len(d.Explanations) == 0 {
					t.Errorf("line %s: %+v, %v", line, d, err)
				}
				if key := fmt.Sprintf("%09d %s", d.RowNumber, d.Flag); key <= last {
					t.Errorf("%s comes after %s", key, last)
				} else {
					last = key
				}
			}
			html := filepath.Join(folder, "report.html")
			for _, args := range [][]string{{"report"}, {"report", "--format", "markdown"}, {"report", "--html", html,
				"--quiet"}} {
				said := r.audit(t, 0, args...)
				if len(args) == 4 {
					page, err := os.ReadFile(html)
					if err != nil {
						t.Fatal(err)
					}
					said = string(page)
				}
				plain := strings.NewReplacer("'", "", "&#39;", "", `\`, "") // however a format escapes
				if want := c.String(); !strings.Contains(squeeze(plain.Replace(said)), squeeze(plain.Replace(want))) {
					t.Errorf("%q does not say %q:\n%s", args, want, said)
				}
			}
			if out := r.audit(t, 0, "verify"); !strings.Contains(out, "a.crosscheck.jsonl") {
				t.Errorf("verify does not name the file: %s", out)
			}
		})
	}
}

// TestCrossCheckOptions: what is wrong with a cross-check is said before the first row, and nothing is asked.
func TestCrossCheckOptions(t *testing.T) {
	folder := t.TempDir()
	users, flags := filepath.Join(folder, "users.csv"), filepath.Join(folder, "flags.json")
	for path, content := range map[string]string{users: "user_id\na\n", flags: crossFlags(ofUser, "on")} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, err := evalserver.Start("127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("something was asked")
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() //nolint:errcheck // the test is over
	local := []string{"--evaluator", "local", "--flag-configs", flags}
	for _, tt := range []struct {
		name string
		args []string
		said string
	}{
		{"no key", append(local, "--cross-check", "10"), "no deployment key"},
		{"remote", []string{"--cross-check", "10"}, "--cross-check compares a local run with the API"},
		{"too many", append(local, "--cross-check", "100001"), "at most 100000"},
		{"negative", append(local, "--cross-check", "-1"), "--cross-check cannot be -1"},
		{"a seed alone", append(local, "--cross-check-seed", "7"), "are for --cross-check"},
		{"a limit alone", append(local, "--max-disagreement", "1%"), "are for --cross-check"},
		{"a limit that is none", append(local, "--cross-check", "1", "--max-disagreement", "few"),
			`--max-disagreement "few" is neither`},
		{"embedded", append(local, "--cross-check", "1", "--server", "embedded"), "nobody to ask"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"snapshot", users, "--out", filepath.Join(folder, "a.csv"), "--server", server.URL()},
				tt.args...)
			code, stderr := inProcess(t, args...)
			if code != exitUsage || !strings.Contains(stderr, tt.said) {
				t.Errorf("%q: exit code %d, and it said %q; want %d and %q", tt.args, code, stderr, exitUsage, tt.said)
			}
		})
	}
}

// TestCrossCheckIsUniform: every answered user has the same chance to be in the sample, and the sample is that of its
// seed.
func TestCrossCheckIsUniform(t *testing.T) {
	const users, size, seeds = 12, 3, 4000
	taken := make([]int, users+1)
	for seed := range int64(seeds) {
		var samples [2][]int64
		for i := range samples {
			c := newSampler(size, seed+1)
			for row := range int64(users) {
				o := pipeline.Outcome{Row: pipeline.Row{Number: row + 1}}
				if err := c.Write(&o); err != nil {
					t.Fatal(err)
				}
				o.Err = pipeline.Errorf(pipeline.KindBadRow, "no user")
				o.Row.Number = 0
				if err := c.Write(&o); err != nil {
					t.Fatal(err)
				}
			}
			for _, one := range c.sample {
				samples[i] = append(samples[i], one.row)
			}
		}
		if !slices.Equal(samples[0], samples[1]) || len(samples[0]) != size {
			t.Fatalf("seed %d gives %v, then %v; want the same %d users", seed, samples[0], samples[1], size)
		}
		for _, row := range samples[0] {
			taken[row]++
		}
	}
	if taken[0] > 0 {
		t.Errorf("rows without a user are in the sample")
	}
	for row, n := range taken[1:] { // 5 standard deviations
		if n < 1000-137 || n > 1000+137 {
			t.Errorf("row %d is in %d of %d samples, want about 1000", row+1, n, seeds)
		}
	}
}

// TestCrossCheckEndsRun: what ends a remote run ends a cross-check, too: nothing is published without the evidence that
// was asked for.
func TestCrossCheckEndsRun(t *testing.T) {
	soft, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	for _, tt := range []struct {
		name  string
		fault func(*evalserver.Request, int) *evalserver.Fault
		args  []string
		soft  context.Context
		code  int
		said  string
	}{
		{"a refused key", func(*evalserver.Request, int) *evalserver.Fault { return status(401) }, nil, nil, 1,
			"cross-check: the API refused the deployment key"},
		{"an outage", func(*evalserver.Request, int) *evalserver.Fault { return status(503) },
			[]string{"--max-outage", "100ms"}, nil, exitStopped, "cross-check: the API has not answered"},
		{"nobody is answered", func(*evalserver.Request, int) *evalserver.Fault { return status(400) },
			[]string{"--max-disagreement", "5%"}, nil, 1, "nobody was answered, so --max-disagreement 5% cannot be held"},
		{"a signal", func(*evalserver.Request, int) *evalserver.Fault {
			stop(&interruptedError{os.Interrupt})
			return nil
		}, []string{"--concurrency", "1"}, soft, 130, "interrupted (interrupt) after 40 of 40 users; nothing was published"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := startCrossAPI(t, crossFlags(ofUser, "on"), engine.Hosted, tt.fault)
			folder := t.TempDir()
			file := filepath.Join(folder, "flags.json")
			if err := os.WriteFile(file, []byte(crossFlags(ofUser, "on")), 0o600); err != nil {
				t.Fatal(err)
			}
			r := networkRun{Server: url, Users: names("u", 40), Folder: folder, Soft: tt.soft, Args: append([]string{
				"--evaluator", "local", "--flag-configs", file, "--cross-check", "30"}, tt.args...)}.do(t)
			r.wantNothing(t, tt.code, tt.said)
			if _, err := os.Stat(filepath.Join(folder, "a.crosscheck.jsonl")); err == nil {
				t.Error("a.crosscheck.jsonl was published")
			}
		})
	}
}
