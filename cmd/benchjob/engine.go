//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/sources"
)

const (
	goalFlagNS = 55.0 // CPU of the engine for a flag and user
	goalByNPM  = 10.0 // how often faster than Amplitude's own
)

// The test flags and users; testdata/generate.go describes them.
const (
	configs   = "testdata/flags.json"
	testUsers = "testdata/users.csv"
)

// tenFlags are what local and serve ask for: releases and experiments, by percentage and by condition. Two are under
// groups, which are evaluated, too, but never answered.
const tenFlags = "dark-mode,checkout-redesign,express-pay,pricing-test,onboarding-flow,recommendations,new-player," +
	"cookie-banner,partner-api,team-workspaces"

// firstFlags are what engine evaluates: the first ten of the file, groups and what depends on them among them, so that
// exactly ten are evaluated. They and the users are those of the engine package's BenchmarkAppend.
func firstFlags(e *engine.Engine) []string {
	var keys []string
	for _, f := range e.Flags()[:10] {
		keys = append(keys, f.Key)
	}
	return keys
}

// flagNS is a round of an engine.
type flagNS struct {
	NS float64 `json:"ns"` // CPU a flag and user
}

// answers is what an engine answered altogether: "flag variant" → users.
type answers struct {
	Answers map[string]int `json:"answers"`
}

// measureEngine compares the engine with Amplitude's own on the same users and flags. Both have read them before, from the
// same JSON, and have put the flags in order. Amplitude's has made its contexts, and had three seconds for V8 to
// compile it; there is nothing more to prepare on this side: a user is evaluated as the sources read it.
//
// JSON and not CSV, because a user of a CSV holds on to its whole row, and 2,000 rows do not fit the processor's cache:
// that costs 5 to 10 ns a flag here, but not in a run, which evaluates what it has just read.
func (b *bench) measureEngine(ctx context.Context) error {
	users, err := readUsers(testUsers)
	if err != nil {
		return err
	}
	lines := filepath.Join(b.dir, "engine.jsonl")
	if err := writeJSON(lines, users); err != nil {
		return err
	}
	if users, err = readUsers(lines); err != nil {
		return err
	}
	text, err := os.ReadFile(configs)
	if err != nil {
		return err
	}
	compiled, err := engine.Parse(text)
	if err != nil {
		return err
	}
	asked := firstFlags(compiled)
	plan := compiled.Plan(asked)

	var ours, allocations, theirs []float64
	sides := []func() error{func() error {
		ns, allocated, err := evaluateFor(b.round, plan, users, len(asked))
		if err != nil {
			return err
		}
		ours, allocations = append(ours, ns), append(allocations, allocated)
		benchLine(os.Stdout, "Engine", ns, "cpu-ns/flag", allocated, "allocs/user")
		return nil
	}}
	if hasNodeModule("@amplitude/experiment-core") && hasNodeModule("@amplitude/experiment-node-server") {
		var said answers
		npm, err := startNode(ctx, &said, "engine.js", configs, lines, strings.Join(asked, ","))
		if err != nil {
			return err
		}
		defer npm.close()
		if got := countAnswers(plan, users); !maps.Equal(got, said.Answers) {
			return fmt.Errorf("the engines answer different things, so their times do not compare: %v here, %v there", got, said.Answers)
		}
		sides = append(sides, func() error {
			var round flagNS
			if err := npm.requestRound(strconv.FormatFloat(b.round.Seconds(), 'f', -1, 64), &round); err != nil {
				return err
			}
			theirs = append(theirs, round.NS)
			benchLine(os.Stdout, "EngineNPM", round.NS, "cpu-ns/flag")
			return nil
		})
	}
	if err := takeTurns(b.rounds, sides...); err != nil {
		return err
	}
	rows := []row{{"rollcall: Plan.Append", 1, ours}, {"allocations a user", 3, allocations}}
	goals := []goal{
		{fmt.Sprintf("at most %.0f ns", goalFlagNS), median(ours) <= goalFlagNS},
		{`no allocations, but for the user whose id is "[1,2]", a list`, median(allocations) <= 10/float64(len(users))},
	}
	if theirs != nil {
		times := ratios(theirs, ours)
		rows = append(rows, row{"npm: EvaluationEngine.evaluate, warmed up", 1, theirs}, row{"npm by rollcall", 1, times})
		goals = append(goals, goal{fmt.Sprintf("npm takes at least %.0f times as long", goalByNPM), median(times) >= goalByNPM})
	}
	printTable(os.Stdout, fmt.Sprintf("engine: CPU ns a flag and user, %d flags, %d users", len(asked), len(users)), rows, goals,
		"Not counted: reading users and flags, the flags' order (topologicalSort), and",
		"npm's contexts (convertUserToEvaluationContext) and 3 s for V8 to warm up.")
	return nil
}

// readUsers reads the users of a file as a run would: three of the test users have no id, and are none.
func readUsers(path string) ([]pipeline.User, error) {
	source, err := sources.Open([]sources.File{{Path: path}}, sources.Options{})
	if err != nil {
		return nil, err
	}
	defer source.Close()
	var users []pipeline.User
	for {
		var row pipeline.Row // a new one: its memory is kept
		err := source.Next(&row)
		if errors.Is(err, io.EOF) {
			return users, nil
		}
		if err != nil {
			return nil, err
		}
		if row.Err == nil {
			users = append(users, row.User)
		}
	}
}

// writeJSON writes the users as Amplitude's SDKs take them, a line each.
func writeJSON(path string, users []pipeline.User) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	var line []byte
	for _, u := range users {
		var members []pipeline.Member
		if u.UserID != "" {
			members = append(members, pipeline.Member{Name: "user_id", Value: pipeline.StringValue(u.UserID)})
		}
		if u.DeviceID != "" {
			members = append(members, pipeline.Member{Name: "device_id", Value: pipeline.StringValue(u.DeviceID)})
		}
		line = pipeline.AppendObject(line[:0], append(members, u.Context...))
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// countAnswers is what the engine answers to all of the users.
func countAnswers(plan *engine.Plan, users []pipeline.User) map[string]int {
	got := map[string]int{}
	for i := range users {
		for _, v := range plan.Append(nil, &users[i]) {
			got[v.FlagKey+" "+v.Key]++
		}
	}
	return got
}

// evaluateFor evaluates all users over and over, until that much CPU is used: CPU nanoseconds a flag and user, and
// allocations a user.
func evaluateFor(d time.Duration, plan *engine.Plan, users []pipeline.User, flags int) (ns, allocations float64, err error) {
	var dst []*engine.Variant
	for i := range users { // the caches are cold after the other side's turn
		dst = plan.Append(dst[:0], &users[i])
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, err := cpuNow()
	if err != nil {
		return 0, 0, err
	}
	passes := 0
	var used time.Duration
	for used < d {
		for i := range users {
			dst = plan.Append(dst[:0], &users[i])
		}
		passes++
		now, err := cpuNow()
		if err != nil {
			return 0, 0, err
		}
		used = now - start
	}
	runtime.ReadMemStats(&after)
	evaluated := float64(passes * len(users))
	return float64(used.Nanoseconds()) / evaluated / float64(flags), float64(after.Mallocs-before.Mallocs) / evaluated, nil
}
