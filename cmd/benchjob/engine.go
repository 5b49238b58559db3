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
	goalFlagNS = 55.0 // CPU nanoseconds of the engine for each flag and user
	goalByNPM  = 10.0 // how many times faster than Amplitude's own engine
)

// The test flags and users; testdata/generate.go describes them.
const (
	configs   = "testdata/flags.json"
	testUsers = "testdata/users.csv"
)

// tenFlags are the flags that local and serve ask for: releases and experiments, by percentage and by condition. Two
// depend on groups, which are evaluated, too, but never answered.
const tenFlags = "dark-mode,checkout-redesign,express-pay,pricing-test,onboarding-flow,recommendations,new-player," +
	"cookie-banner,partner-api,team-workspaces"

// firstFlags returns the flags that engine evaluates: the first ten of the file, which include groups and the flags
// that depend on them, so that exactly ten are evaluated. BenchmarkAppend of package engine has the same flags and
// users.
func firstFlags(e *engine.Engine) []string {
	var keys []string
	for _, f := range e.Flags()[:10] {
		keys = append(keys, f.Key)
	}
	return keys
}

// flagNS is the result of a round of an engine.
type flagNS struct {
	NS float64 `json:"ns"` // CPU nanoseconds for each flag and user
}

// answers counts the answers of an engine: "flag variant" → users.
type answers struct {
	Answers map[string]int `json:"answers"`
}

// measureEngine compares the engine with Amplitude's own on the same users and flags. Both have read them before, from
// the same JSON, and have sorted the flags. Amplitude's engine has made its contexts, and has warmed up for three
// seconds so that V8 compiles it. This side needs no more preparation: it evaluates users as the sources read them.
//
// The users come from JSON, because a user from CSV keeps its whole row in memory, and 2,000 rows do not fit into the
// cache of the processor. That costs 5 to 10 ns a flag here, but nothing in a run, which evaluates rows that it has
// just read.
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
	var plans [2]*engine.Plan
	var asked []string
	for _, semantics := range []engine.Semantics{engine.Hosted, engine.Node} {
		compiled, err := engine.Parse(text, semantics)
		if err != nil {
			return err
		}
		asked = firstFlags(compiled)
		plans[semantics] = compiled.Plan(asked)
	}
	hosted, node := plans[engine.Hosted], plans[engine.Node]
	compared, err := hosted.Compare()
	if err != nil {
		return err
	}

	var allocations, theirs []float64
	var ours [3][]float64
	var sides []func() error
	var differ []int
	for i, side := range []struct {
		name     string
		evaluate evaluateFunc
	}{
		{"Engine", hosted.Append},
		{"EngineNode", node.Append},
		{"EngineCompared", func(dst []*engine.Variant, u *pipeline.User) []*engine.Variant {
			dst, differ = compared.Append(dst, differ[:0], u)
			return dst
		}},
	} {
		sides = append(sides, func() error {
			ns, allocated, err := evaluateFor(b.round, side.evaluate, users, len(asked))
			if err != nil {
				return err
			}
			ours[i], allocations = append(ours[i], ns), append(allocations, allocated)
			benchLine(os.Stdout, side.name, ns, "cpu-ns/flag", allocated, "allocs/user")
			return nil
		})
	}
	if hasNodeModule("@amplitude/experiment-core") && hasNodeModule("@amplitude/experiment-node-server") {
		var said answers
		npm, err := startNode(ctx, &said, "engine.js", configs, lines, strings.Join(asked, ","))
		if err != nil {
			return err
		}
		defer npm.close()
		if got := countAnswers(node, users); !maps.Equal(got, said.Answers) {
			return fmt.Errorf("the engines give different answers, so their times cannot be compared: %v here, %v there", got,
				said.Answers)
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
	rows := []row{{"rollcall: Plan.Append, hosted", 1, ours[0]}, {"rollcall: Plan.Append, node", 1, ours[1]},
		{"rollcall: Comparison.Append, as in a run", 1, ours[2]}, {"allocations a user", 3, allocations}}
	goals := []goal{
		{fmt.Sprintf("at most %.0f ns, hosted and node", goalFlagNS), max(median(ours[0]), median(ours[1])) <= goalFlagNS},
		{`no allocations, except for the user whose id is a list, "[1,2]"`, median(allocations) <= 10/float64(len(users))},
	}
	figures := []figure{atMost("hosted", "%.1f ns", median(ours[0]), goalFlagNS, ""),
		atMost("node", "%.1f ns", median(ours[1]), goalFlagNS, "")}
	if theirs != nil {
		times := ratios(theirs, ours[1])
		rows = append(rows, row{"npm: EvaluationEngine.evaluate, warmed up", 1, theirs}, row{"npm / rollcall, node", 1, times})
		goals = append(goals, goal{fmt.Sprintf("npm takes at least %.0f times as long", goalByNPM),
			median(times) >= goalByNPM})
		figures = append(figures, atLeast("npm / rollcall, node", "%.1f x", median(times), goalByNPM,
			fmt.Sprintf("npm %.0f ns", median(theirs))))
	}
	b.keep("engine: CPU ns a flag and user", figures...)
	printTable(os.Stdout, fmt.Sprintf("engine: CPU ns a flag and user, %d flags, %d users", len(asked), len(users)), rows,
		goals,
		"Not counted: reading users and flags, sorting flags (topologicalSort), and",
		"npm's contexts (convertUserToEvaluationContext) and 3 s for V8 to warm up.")
	return nil
}

// readUsers reads the users of a file like a run. It leaves out rows without a user: three of testUsers have no id.
func readUsers(path string) ([]pipeline.User, error) {
	source, err := sources.Open([]sources.File{{Path: path}}, sources.Options{})
	if err != nil {
		return nil, err
	}
	defer source.Close()
	var users []pipeline.User
	for {
		var row pipeline.Row // a new one each time: the user keeps its memory
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

// writeJSON writes the users in the form of Amplitude's SDKs, one a line.
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

// countAnswers counts the answers of the engine for all users: "flag variant" → users.
func countAnswers(plan *engine.Plan, users []pipeline.User) map[string]int {
	got := map[string]int{}
	for i := range users {
		for _, v := range plan.Append(nil, &users[i]) {
			got[v.FlagKey+" "+v.Key]++
		}
	}
	return got
}

// evaluateFunc evaluates a user, as Plan.Append does.
type evaluateFunc func(dst []*engine.Variant, u *pipeline.User) []*engine.Variant

// evaluateFor evaluates all users again and again until it has used that much CPU. It returns CPU nanoseconds for each
// flag and user, and allocations for each user.
func evaluateFor(d time.Duration, evaluate evaluateFunc, users []pipeline.User, flags int) (ns, allocations float64,
	err error) {
	var dst []*engine.Variant
	for i := range users { // warm up: the caches are cold after the other side's turn
		dst = evaluate(dst[:0], &users[i])
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
			dst = evaluate(dst[:0], &users[i])
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
