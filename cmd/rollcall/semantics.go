package main

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// defineSemantics adds --semantics, which says which of Amplitude's engines flags are evaluated as.
func defineSemantics(options *pflag.FlagSet, semantics *string) {
	options.StringVar(semantics, "semantics", "hosted", "`M` evaluate as the hosted API, or node as the SDK [hosted]")
}

// parseSemantics reads --semantics; "" is a command that does not have it.
func parseSemantics(name string) (engine.Semantics, error) {
	if name == "" {
		return engine.Hosted, nil
	}
	s, err := engine.ParseSemantics(name)
	if err != nil {
		return s, usageErrorf("--semantics %q is not known: it is hosted or node", name)
	}
	return s, nil
}

// semanticsOf returns the semantics of the first run; hosted where that cannot be told.
func semanticsOf(snapshots []string) engine.Semantics {
	if len(snapshots) > 0 {
		if run, err := snapshot.Open(snapshots[0]); err == nil && run.Manifest != nil {
			if s, err := engine.ParseSemantics(run.Manifest.EngineSemantics()); err == nil {
				return s
			}
		}
	}
	return engine.Hosted
}

// describeSemantics says whose answers they are.
func describeSemantics(s engine.Semantics) string {
	if s == engine.Hosted {
		return "the hosted API"
	}
	return "client-side and node applications"
}

// disagreements counts, for each flag, the users to whom the other of Amplitude's engines gives another answer. It is a
// [pipeline.Sink], for users who are evaluated elsewhere.
type disagreements struct {
	eng   *engine.Engine
	cmp   *engine.Comparison
	users []atomic.Int64 // by flag

	variants []*engine.Variant // of Write
	differ   []int

	// For Write, which one goroutine calls.
	members *membership // of cohorts that files give
	member  membershipScratch
}

func newDisagreements(eng *engine.Engine, plan *engine.Plan) (*disagreements, error) {
	d := &disagreements{eng: eng, users: make([]atomic.Int64, len(eng.Flags()))}
	var err error
	d.cmp, err = plan.Compare()
	return d, err
}

// count counts a user for whom these flags differ.
func (d *disagreements) count(differ []int) {
	for _, flag := range differ {
		d.users[flag].Add(1)
	}
}

// Write counts the user of an outcome.
func (d *disagreements) Write(o *pipeline.Outcome) error {
	if o.Err == nil && o.Row.Err == nil {
		d.variants, d.differ = d.cmp.Append(d.variants[:0], d.differ[:0], d.members.tell(&o.Row.User, &d.member))
		d.count(d.differ)
	}
	return nil
}

// Close does nothing.
func (d *disagreements) Close() error { return nil }

// summarize returns what the manifest says of the other engine: the flags with most users first.
func (d *disagreements) summarize() *snapshot.Disagreements {
	out := &snapshot.Disagreements{Flags: []snapshot.FlagUsers{}, NotCompared: d.cmp.Skipped()}
	out.Semantics = d.cmp.Semantics().String()
	for i, f := range d.eng.Flags() {
		if n := d.users[i].Load(); n > 0 {
			out.Flags = append(out.Flags, snapshot.FlagUsers{Flag: f.Key, Users: n})
		}
	}
	slices.SortStableFunc(out.Flags, func(a, b snapshot.FlagUsers) int { return cmp.Compare(b.Users, a.Users) })
	return out
}

// warn says for which flags client-side and node applications, or the hosted API, would give users another answer.
func (d *disagreements) warn(con *console) {
	found := d.summarize()
	if len(found.Flags) == 0 {
		return
	}
	var flags []string
	for _, f := range found.Flags {
		flags = append(flags, f.Flag+" ("+text.Count(f.Users, "user")+")")
	}
	con.Warn(describeSemantics(d.cmp.Semantics())+" would give users of this run another answer: "+text.List(flags, 10),
		"`rollcall explain` says why, for one user; --semantics "+found.Semantics+" evaluates as they do")
}
