package main

import (
	"cmp"
	"slices"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
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
func semanticsOf(files *blob.Files, snapshots []string) engine.Semantics {
	if len(snapshots) > 0 {
		if run, err := snapshot.Open(files, snapshots[0]); err == nil && run.Manifest != nil {
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

// describeDisagreements returns what the manifest says of the other engine: the flags with most users first.
func describeDisagreements(d *local.Disagreements) *snapshot.Disagreements {
	out := &snapshot.Disagreements{Flags: []snapshot.FlagUsers{}, NotCompared: d.NotCompared()}
	out.Semantics = d.Semantics().String()
	for flag, n := range d.Users() {
		out.Flags = append(out.Flags, snapshot.FlagUsers{Flag: flag, Users: n})
	}
	slices.SortStableFunc(out.Flags, func(a, b snapshot.FlagUsers) int { return cmp.Compare(b.Users, a.Users) })
	return out
}

// warnOfDisagreements says for which flags client-side and node applications, or the hosted API, would give users
// another answer.
func warnOfDisagreements(con *console, d *local.Disagreements) {
	found := describeDisagreements(d)
	if len(found.Flags) == 0 {
		return
	}
	var flags, keys []string
	for _, f := range found.Flags {
		keys = append(keys, f.Flag)
		flags = append(flags, f.Flag+" ("+text.Count(f.Users, "user")+")")
	}
	con.Warn(describeSemantics(d.Semantics())+" would give users of this run another answer: "+text.List(flags, 10),
		"`rollcall explain` says why, for one user; --semantics "+found.Semantics+" evaluates as they do",
		about{code: warnOtherSemantics, subjects: keys})
}
