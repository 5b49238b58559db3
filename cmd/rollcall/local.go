package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sources"
)

// localEvaluator evaluates flag configurations in this process.
type localEvaluator struct {
	*local.Evaluator
	eng      *engine.Engine
	configs  []byte         // as they were read
	file     *snapshot.File // what the manifest says of them
	source   *snapshot.FlagSource
	versions pipeline.FlagVersions // of the flags, if they were downloaded
}

// localBatch is how many rows a worker takes at a time: a channel operation for each would cost more than the answer.
const localBatch = 128

// newLocal reads, or downloads, the flag configurations.
func newLocal(s *snapshotRun) (*localEvaluator, error) {
	o := s.o
	l := &localEvaluator{}
	var err error
	from := o.server.flagConfigs
	if from == "fetch" {
		var f *fetched
		if f, err = o.server.fetchFlags(s.env.Soft, s.env, s.con, o.maxOutage); err == nil {
			from, l.configs, l.source = f.name, f.Data, f.source()
			l.versions = newFlagVersions(f.FlagConfigs, o.flags)
		}
	} else {
		l.configs, err = o.server.readConfigs(s.env.Soft)
	}
	if err != nil {
		return nil, err
	}
	if l.eng, err = o.server.parseFlagConfigs(from, l.configs, o.flags, s.con); err != nil {
		return nil, err
	}
	if err := s.loadCohorts(l.eng); err != nil {
		return nil, err
	}
	l.Evaluator, err = local.New(local.Config{Engine: l.eng, Flags: o.flags, Cohorts: s.cohorts, Now: clock})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(l.configs)
	l.file = &snapshot.File{Path: o.server.flagConfigs, Bytes: int64(len(l.configs)), Rows: int64(len(l.eng.Flags())),
		SHA256: hex.EncodeToString(sum[:])}
	return l, nil
}

// checkCohorts decides about flags whose cohorts neither a file nor the input knows. absent is what flags read and no
// user has.
func (l *localEvaluator) checkCohorts(con *console, o *snapshotOptions, found *findings, absent []string) error {
	if o.dryRun && o.cohorts.fetches() {
		return nil // a run would download them
	}
	skipped, err := o.cohorts.checkKnownCohorts(con, l.eng, o.flags, l.Members, func(field string) bool {
		return !slices.Contains(absent, field) || hasTarget(found.columns, field)
	})
	l.Skip(skipped)
	return err
}

// checkEmbeddedCohorts is checkCohorts for the embedded server, which answers all flags.
func checkEmbeddedCohorts(s *snapshotRun) error {
	members := local.NewMembership(s.cohorts, s.remote.eng.Cohorts(s.o.flags))
	skipped, err := s.o.cohorts.checkKnownCohorts(s.con, s.remote.eng, s.o.flags, members, func(field string) bool {
		return !slices.Contains(s.absent, field) || hasTarget(s.found.columns, field)
	})
	if err == nil && len(skipped) > 0 {
		return usageErrorf("--unknown-cohorts skip is for --evaluator local")
	}
	return err
}

// hasTarget reports whether a column is used as that field.
func hasTarget(columns []sources.ColumnUse, field string) bool {
	return slices.ContainsFunc(columns, func(c sources.ColumnUse) bool {
		return slices.Contains(strings.Split(c.Target, ", "), field)
	})
}

// readFields makes columns fields of the user whose names are those of fields that the flags read. It returns a usage
// error for a field of --map that no flag reads, and that Amplitude does not know.
func readFields(in *input, eng *engine.Engine) error {
	var others []string
	for _, field := range eng.Reads(nil) {
		if !sources.IsKnownField(field) && sources.IsField(field) {
			others = append(others, field)
		}
		if sources.IsField(field) && !strings.Contains(field, ".") {
			in.options.Mapping.Fields = append(in.options.Mapping.Fields, field)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(in.options.Mapping.Map)) {
		if !sources.IsKnownField(field) && !slices.Contains(others, field) {
			return &exitError{sources.UnknownField(field, others...), exitUsage}
		}
	}
	return nil
}

// warn says, once, what an evaluation on this machine cannot know of the current flags. absent is what they read and
// no user has.
func (l *localEvaluator) warn(con *console, flags, absent []string) {
	known := func(prefix string) bool {
		return !slices.ContainsFunc(absent, func(field string) bool { return strings.HasPrefix(field, prefix) })
	}
	var ids, sticky, remote []string
	for _, u := range l.eng.Unknowable(flags) {
		if u.AmplitudeID && !known("amplitude_id") {
			ids = append(ids, u.Flag)
		}
		if u.Sticky && !known("user_properties.[Experiment] ") {
			sticky = append(sticky, u.Flag)
		}
		if u.Remote {
			remote = append(remote, u.Flag)
		}
	}
	var unknown []string
	for _, reason := range []struct {
		flags []string
		text  string
	}{{ids, "Amplitude ids"}, {sticky, "sticky bucketing"}, {remote, "remote evaluation mode"}} {
		if len(reason.flags) > 0 {
			unknown = append(unknown, fmt.Sprintf("%s (%s)", reason.text, text.List(reason.flags, 5)))
		}
	}
	if len(unknown) > 0 {
		con.Warn("the API may answer otherwise, because it knows more of the users: "+strings.Join(unknown, ", "),
			"--evaluator remote asks it",
			about{code: warnUnknowable, subjects: slices.Compact(slices.Sorted(slices.Values(slices.Concat(ids, sticky,
				remote))))})
	}
	absent = slices.DeleteFunc(absent, func(field string) bool {
		return field == "cohort_ids" || field == "amplitude_id" || strings.HasPrefix(field, "group_cohort_ids.") ||
			strings.HasPrefix(field, "user_properties.[Experiment] ")
	})
	if len(absent) > 0 {
		var hints []string
		if slices.ContainsFunc(absent, sources.IsField) {
			hints = append(hints, "--map FIELD=COLUMN names the column, if there is one")
		}
		if others := slices.DeleteFunc(slices.Clone(absent), sources.IsField); len(others) > 0 {
			hints = append(hints, text.List(others, 5)+" can only be in a column context, which holds JSON")
		}
		con.Warn("the flags look at what no user has: "+text.List(absent, 10), strings.Join(hints, "; "),
			about{code: warnAbsentFields, subjects: absent})
	}
}

// hasField reports whether the user has a field, which is called as columns are.
func hasField(u *pipeline.User, field string) bool {
	switch field {
	case "user_id":
		return u.UserID != ""
	case "device_id":
		return u.DeviceID != ""
	}
	root, rest, nested := strings.Cut(field, ".")
	v := member(u.Context, root)
	if !nested || v == nil {
		return v != nil
	}
	if root != "group_properties" {
		return member(v.Members, rest) != nil
	}
	group, property, _ := strings.Cut(rest, ".")
	if v = member(v.Members, group); v == nil {
		return false
	}
	return slices.ContainsFunc(v.Members, func(name pipeline.Member) bool {
		return member(name.Value.Members,
			property) != nil
	})
}

// member is the value of that name; nil if there is none.
func member(members []pipeline.Member, name string) *pipeline.Value {
	for i := range members {
		if members[i].Name == name {
			return &members[i].Value
		}
	}
	return nil
}
