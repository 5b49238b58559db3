package report_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
)

// half is an even split of control and treatment.
var half = []engine.Weight{{Variant: "control", Share: 0.5}, {Variant: "treatment", Share: 0.5}}

var countries = []string{"DE", "FR", "US", "BR", "JP", "IN", "PL", "TR"}

// world is a snapshot whose truth is known: each user gets a variant of each flag with chance reach, and then treatment
// with chance 0.5, but in the country biased.
type world struct {
	seed   uint64
	users  int
	flags  []string
	wide   bool
	runID  string
	reach  float64 // 0: all
	biased string  // country
	bias   float64 // so much more treatment there

	// touch changes the outcome of a user before it is written; it may set Err.
	touch func(i int, o *pipeline.Outcome)
}

// write writes the snapshot and its manifest, as the command does.
func (w *world) write(tb testing.TB, path string) *snapshot.Manifest {
	tb.Helper()
	carry := []pipeline.Column{{Name: "country"}, {Name: "age", Type: pipeline.TypeInt}}
	out, err := sinks.Create(path, sinks.Spec{Carry: carry, Wide: w.wide, Flags: w.flags})
	if err != nil {
		tb.Fatal(err)
	}
	failed, err := sinks.CreateErrors(path+".errors.jsonl", sinks.Spec{})
	if err != nil {
		tb.Fatal(err)
	}
	r := rand.New(rand.NewPCG(w.seed, 0x5eed))
	tally := snapshot.NewTally(w.flags)
	o := pipeline.Outcome{Row: pipeline.Row{Carry: make([]pipeline.Value, 2)}}
	for i := range w.users {
		country, age := countries[int(float64(len(countries))*r.Float64()*r.Float64())], int64(16+r.IntN(70))
		o.Err, o.Assignments = nil, o.Assignments[:0]
		o.Row.Number, o.At = int64(i+1), time.UnixMilli(1767323045000+int64(i)).UTC()
		o.Row.User.UserID, o.Row.User.DeviceID = fmt.Sprintf("user-%d-%08x", w.seed, i), ""
		o.Row.Carry[0], o.Row.Carry[1] = pipeline.StringValue(country), pipeline.IntValue(age)
		o.Row.Input = []pipeline.Member{{Name: "user_id", Value: pipeline.StringValue(o.Row.User.UserID)},
			{Name: "country", Value: o.Row.Carry[0]}, {Name: "age", Value: o.Row.Carry[1]}}
		for _, flag := range w.flags {
			a := pipeline.Assignment{Variant: pipeline.Variant{FlagKey: flag}}
			chance := 0.5
			if country == w.biased {
				chance += w.bias
			}
			hit, treated := w.reach == 0 || r.Float64() < w.reach, r.Float64() < chance
			if hit {
				a.Assigned, a.Key = true, "control"
				if treated {
					a.Key = "treatment"
				}
			}
			o.Assignments = append(o.Assignments, a)
		}
		if w.touch != nil {
			w.touch(i, &o)
		}
		if err := errors.Join(tally.Write(&o), out.Write(&o), failed.Write(&o)); err != nil {
			tb.Fatal(err)
		}
	}
	m := &snapshot.Manifest{
		Format: snapshot.ManifestFormat, RunID: w.runID, StartedAt: time.UnixMilli(1767323045000).UTC(),
		FinishedAt: time.UnixMilli(1767326645000).UTC(),
		Flags:      tally.Flags(), NobodyGot: tally.Nobody(), Assignments: tally.Assignments,
		Users: snapshot.Users{Read: tally.Read, Answered: tally.Answered, Failed: tally.FailedUsers(),
			FailedByKind: tally.Failed},
	}
	if w.runID == "" {
		m.RunID = fmt.Sprintf("run-%d", w.seed)
	}
	m.Layout = snapshot.Layout{Wide: w.wide, Flags: w.flags,
		Carry: []snapshot.Carried{{Column: "country", Input: "country"}, {Column: "age", Input: "age"}}}
	for _, s := range []*sinks.Output{out, failed} {
		if err := errors.Join(s.Close(), syscall.Rename(s.Info().Temp, s.Info().Path)); err != nil {
			tb.Fatal(err)
		}
		data, err := os.ReadFile(s.Info().Path)
		if err != nil {
			tb.Fatal(err)
		}
		sum := sha256.Sum256(data)
		m.Outputs = append(m.Outputs, snapshot.File{Path: s.Info().Path, Bytes: int64(len(data)), Rows: s.Info().Rows,
			SHA256: hex.EncodeToString(sum[:])})
	}
	w.manifest(tb, path, m)
	return m
}

func (w *world) manifest(tb testing.TB, path string, m *snapshot.Manifest) {
	tb.Helper()
	data, err := m.Marshal()
	if err == nil {
		err = os.WriteFile(path+".manifest.json", data, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
}
