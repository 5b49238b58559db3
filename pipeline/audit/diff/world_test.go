package diff

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	goflag "flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
)

var update = goflag.Bool("update", false, "write the golden files")

// world is what a run found out, from which outputs of any kind can be written.
type world struct {
	flags    []string // in the snapshot
	outcomes []pipeline.Outcome
}

var allFlags = []string{"checkout", "dark-mode", "=formula", "price"}

// random makes a world of users, most of whom are the same whatever the seed is, as are most of their variants.
func random(seed uint64, users int) *world {
	r := rand.New(rand.NewPCG(seed, 1))
	w := &world{}
	for _, f := range allFlags {
		if r.IntN(8) > 0 {
			w.flags = append(w.flags, f)
		}
	}
	if w.flags == nil {
		w.flags = allFlags
	}
	same := rand.New(rand.NewPCG(0, 2))
	for i := range users {
		o := pipeline.Outcome{At: time.UnixMilli(1767323045000 + r.Int64N(1e6)).UTC()}
		u := &o.Row.User
		switch n := same.IntN(10); {
		case n == 0:
			u.DeviceID = fmt.Sprintf("-d%d", i)
		case n == 1: // the same ids as others
			u.UserID = fmt.Sprintf("twice%d", i%3)
		case n < 4:
			u.UserID, u.DeviceID = fmt.Sprintf("ü%d", i), fmt.Sprintf("%d", i)
		default:
			u.UserID = fmt.Sprintf("=u%d", i)
		}
		pick := [2]int{same.IntN(60), same.IntN(60)}
		for k, f := range w.flags {
			a := pipeline.Assignment{Variant: pipeline.Variant{FlagKey: f}}
			n := pick[k%2] + k
			if r.IntN(20) == 0 {
				n = r.IntN(60)
			}
			if n%4 > 0 {
				a.Assigned, a.Key = true, []string{"", "control", "treatment", "+on"}[n%4]
				a.ExperimentKey = []string{"", "exp-1", "=exp"}[n/4%3]
				a.Payload = []string{"", `{"a": [1, 2.50], "b":"x"}`, `"text"`, "9.99"}[n/4%4]
				a.EvaluationID = fmt.Sprint(r.Int())
			}
			o.Assignments = append(o.Assignments, a)
		}
		if r.IntN(12) > 0 {
			w.outcomes = append(w.outcomes, o)
		}
	}
	if r.IntN(2) > 0 {
		r.Shuffle(len(w.outcomes), func(i, k int) { w.outcomes[i], w.outcomes[k] = w.outcomes[k], w.outcomes[i] })
	}
	for i := range w.outcomes {
		w.outcomes[i].Row.Number = int64(i + 1)
	}
	return w
}

// write writes the world to a file of that name in a folder of its own, with its manifest.
func (w *world) write(tb testing.TB, name string, spec sinks.Spec) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	spec.Flags = w.flags
	out, err := sinks.Create(path, spec)
	if err != nil {
		tb.Fatal(err)
	}
	tally := snapshot.NewTally(w.flags)
	for i := range w.outcomes {
		if err := errors.Join(out.Write(&w.outcomes[i]), tally.Write(&w.outcomes[i])); err != nil {
			tb.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), syscall.Rename(out.Info().Temp, path)); err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(data)
	m := &snapshot.Manifest{
		Format: snapshot.ManifestFormat, RunID: "run-" + name, StartedAt: time.UnixMilli(1767323045000).UTC(),
		FinishedAt: time.UnixMilli(1767326645000).UTC(),
		Flags:      tally.Flags(), NobodyGot: tally.Nobody(),
		Users: snapshot.Users{Read: tally.Read, Answered: tally.Answered},
		Outputs: []snapshot.File{{Path: path, Bytes: int64(len(data)), Rows: out.Info().Rows,
			SHA256: hex.EncodeToString(sum[:])}, {Path: path + ".errors.jsonl"}},
	}
	m.Layout = snapshot.Layout{Flags: w.flags, Include: spec.Include, EscapeFormulas: spec.EscapeFormulas}
	writeManifest(tb, path, m)
	return path
}

func writeManifest(tb testing.TB, path string, m *snapshot.Manifest) {
	tb.Helper()
	text, err := m.Marshal()
	if err == nil {
		err = os.WriteFile(path+".manifest.json", text, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// build compares, and collects the changes as texts.
func build(tb testing.TB, o Options) (*Report, []string) {
	tb.Helper()
	var changes []string
	o.Each = func(c *Change) error {
		changes = append(changes, fmt.Sprintf("%s|%s %d>%d %s %s: %v > %v %s", c.UserID, c.DeviceID, c.BeforeRow, c.AfterRow,
			c.Flag, c.What, c.Before, c.After, c.Cause))
		return nil
	}
	r, err := Compare(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return r, changes
}

// expected is the diff of two worlds by plain maps: the transitions of each flag, and how many users did what.
func expected(before, after *world) (Users, map[string]int64) {
	type who struct {
		user, device string
		n            int
	}
	index := func(w *world) map[who]*pipeline.Outcome {
		m, seen := map[who]*pipeline.Outcome{}, map[who]int{}
		for i := range w.outcomes {
			id := who{w.outcomes[i].Row.User.UserID, w.outcomes[i].Row.User.DeviceID, 0}
			seen[id]++
			id.n = seen[id]
			m[id] = &w.outcomes[i]
		}
		return m
	}
	b, a := index(before), index(after)
	at := func(w *world, o *pipeline.Outcome, flag string) (string, pipeline.Variant) {
		switch {
		case o == nil:
			return Absent, pipeline.Variant{}
		case !slices.Contains(w.flags, flag):
			return NotAsked, pipeline.Variant{}
		}
		v := o.Assignments[slices.Index(w.flags, flag)]
		if !v.Assigned {
			return NotAssigned, pipeline.Variant{}
		}
		return Assigned + " " + v.Key, v.Variant
	}
	var users Users
	moves := map[string]int64{}
	one := func(bo, ao *pipeline.Outcome) {
		changed := false
		for _, f := range allFlags {
			if !slices.Contains(before.flags, f) && !slices.Contains(after.flags, f) {
				continue
			}
			was, wasVariant := at(before, bo, f)
			is, isVariant := at(after, ao, f)
			moves[f+": "+was+" > "+is]++
			if was == NotAsked || is == NotAsked {
				continue
			}
			changed = changed || wasVariant.Key != isVariant.Key || wasVariant.Payload != isVariant.Payload ||
				wasVariant.ExperimentKey != isVariant.ExperimentKey
		}
		switch {
		case bo == nil:
			users.Added++
		case ao == nil:
			users.Removed++
		default:
			users.Both++
			if changed {
				users.Changed++
			}
		}
	}
	for id, o := range b {
		one(o, a[id])
	}
	for id, o := range a {
		if b[id] == nil {
			one(nil, o)
		}
	}
	if users.Both > 0 {
		users.Share = float64(users.Changed) / float64(users.Both)
	}
	return users, moves
}

// movesOf are the transitions of a report as expected has them.
func movesOf(r *Report) map[string]int64 {
	moves := map[string]int64{}
	for _, f := range r.Flags {
		for _, t := range f.Transitions {
			was, is := t.BeforeOutcome, t.AfterOutcome
			if t.Before != nil {
				was += " " + *t.Before
			}
			if t.After != nil {
				is += " " + *t.After
			}
			moves[f.Key+": "+was+" > "+is] += t.Users
		}
	}
	return moves
}
