package diff

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
)

// Report is what changed between two snapshots.
type Report struct {
	Verdict  Verdict    `json:"verdict"`
	Before   Snapshot   `json:"before"`
	After    Snapshot   `json:"after"`
	Unit     stats.Unit `json:"unit"` // what all counts are of: users; or rows, where a user and device id has several
	Users    Users      `json:"users"`
	Configs  Configs    `json:"flag_configs"`
	Flags    []Flag     `json:"flags"`         // those of either, by key
	OnlyIn   OnlyIn     `json:"flags_only_in"` // flags that one snapshot does not have
	Compared Compared   `json:"compared"`      // what both have
	Passes   int        `json:"passes"`        // in which the files were read
	Notes    []string   `json:"notes"`
}

// Verdict is the answer in a sentence.
type Verdict struct {
	Same bool   `json:"same"` // nobody changed, came or went
	OK   bool   `json:"ok"`   // within the limit, and both snapshots can be trusted; true where no limit was asked for
	Text string `json:"text"`
}

// Users counts the users of both.
type Users struct {
	Both    int64   `json:"both"`
	Changed int64   `json:"changed"` // of both: at least one flag has another variant, payload or experiment key
	Share   float64 `json:"share"`   // Changed of Both; 0 where there are none
	Added   int64   `json:"added"`
	Removed int64   `json:"removed"`
}

// OnlyIn are flags that are in one snapshot only.
type OnlyIn struct {
	Before []string `json:"before"`
	After  []string `json:"after"`
}

// Compared says what could be compared beside variants.
type Compared struct {
	Payloads       bool `json:"payloads"`
	ExperimentKeys bool `json:"experiment_keys"`
}

// Flag is what became of one flag.
type Flag struct {
	Key            string          `json:"flag"`
	NotAsked       string          `json:"not_asked"`       // the run that did not ask for it, before or after: it is not compared
	Changed        int64           `json:"changed"`         // users in both who changed
	Variants       int64           `json:"variants"`        // of them: another variant
	Payloads       int64           `json:"payloads"`        // of them: the same variant, another payload
	ExperimentKeys int64           `json:"experiment_keys"` // of them: the same variant and payload, another experiment key
	Causes         map[Cause]int64 `json:"causes"`          // of Changed; empty where it is not known
	Config         string          `json:"flag_config"`     // same, added, removed, changed, or "" where it is not known
	Transitions    []Transition    `json:"transitions"`     // of all users of either snapshot
}

// The values of [Flag.NotAsked], beside "".
const (
	NotAskedBefore = "before"
	NotAskedAfter  = "after"
)

// Transition is how many users went from what to what, to the same included.
type Transition struct {
	BeforeOutcome string  `json:"before_outcome"` // assigned, not_assigned, not_asked or absent
	Before        *string `json:"before"`         // the variant; null where none is assigned
	AfterOutcome  string  `json:"after_outcome"`
	After         *string `json:"after"`
	Users         int64   `json:"users"`
}

// Same reports whether nothing changed for these users, as far as it is known.
func (t *Transition) Same() bool {
	switch {
	case t.BeforeOutcome == NotAsked, t.AfterOutcome == NotAsked:
		return true
	case t.Before == nil || t.After == nil:
		return t.Before == nil && t.After == nil
	}
	return *t.Before == *t.After
}

// JSON is the report as JSON.
func (r *Report) JSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(r)
	return b.Bytes(), err
}

// report is what the passes came to.
func (j *join) report(configs Configs) *Report {
	for _, s := range []*side{j.before, j.after} {
		s.Distinct, s.Estimated = s.ids.Users(), !s.ids.Exact()
	}
	r := &Report{
		Unit:     stats.UnitUsers,
		Users:    Users{Both: j.both, Changed: j.changed, Added: j.added, Removed: j.removed},
		Configs:  configs,
		Flags:    []Flag{},
		OnlyIn:   OnlyIn{only(j.before.has, j.after.has), only(j.after.has, j.before.has)},
		Compared: Compared{j.payloads, j.experiments},
		Passes:   j.passes,
		Notes:    []string{},
	}
	if j.before.twice+j.after.twice > 0 || j.before.ids.Repeated()+j.after.ids.Repeated() > 0 {
		r.Unit = stats.UnitRows
	}
	if j.both > 0 {
		r.Users.Share = float64(j.changed) / float64(j.both)
	}
	slices.SortFunc(j.order, func(a, b *flag) int { return strings.Compare(a.name, b.name) })
	for _, f := range j.order {
		r.Flags = append(r.Flags, j.flagReport(f, configs))
	}
	for i, s := range []*side{j.before, j.after} {
		s.check(func(key, variant string) int64 { return j.got(i, key, variant) })
		for _, f := range r.Flags {
			for _, t := range f.Transitions {
				if i == 0 && t.Before != nil || i == 1 && t.After != nil {
					s.Assignments += t.Users
				}
			}
		}
	}
	r.Before, r.After = *j.before.Snapshot, *j.after.Snapshot
	j.notes(r)
	r.Verdict = verdict(r, j.o.Limit)
	return r
}

// got is how many users of a side got a variant.
func (j *join) got(side int, key, variant string) (n int64) {
	f := j.flags[key]
	if f == nil {
		return 0
	}
	number, ok := j.names.index[variant]
	if !ok {
		return 0
	}
	if f.got[side] == nil {
		f.countSides()
	}
	return f.got[side][number+1]
}

// countSides counts the users of each side by their variant.
func (f *flag) countSides() {
	f.got = [2]map[uint32]int64{maps.Clone(f.removed), maps.Clone(f.added)}
	for t, users := range f.transitions {
		f.got[0][uint32(t>>32)] += users
		f.got[1][uint32(t)] += users
	}
}

func (j *join) flagReport(f *flag, configs Configs) Flag {
	out := Flag{Key: f.name, NotAsked: f.notAsked, Changed: f.changed, Payloads: f.payload, ExperimentKeys: f.experiment,
		Variants: f.changed - f.payload - f.experiment, Causes: map[Cause]int64{}, Transitions: []Transition{}}
	for cause, n := range f.causes {
		if cause != CauseUnknown {
			out.Causes[cause] = n
		}
	}
	if configs.Compared {
		out.Config = "same"
		for _, c := range configs.Changed {
			if c.Flag == f.name {
				out.Config = c.Change
			}
		}
	}
	nothing := func(s *side) string { return j.nothing(s, f) }
	type ends struct {
		beforeOutcome, afterOutcome string
		before, after               uint32
	}
	index := map[ends]int{}
	add := func(beforeOutcome string, before uint32, afterOutcome string, after uint32, n int64) {
		if n == 0 {
			return
		}
		t := Transition{BeforeOutcome: beforeOutcome, AfterOutcome: afterOutcome, Users: n}
		if before != 0 {
			name := j.names.variant(before)
			t.BeforeOutcome, t.Before = Assigned, &name
		}
		if after != 0 {
			name := j.names.variant(after)
			t.AfterOutcome, t.After = Assigned, &name
		}
		key := ends{t.BeforeOutcome, t.AfterOutcome, before, after}
		if i, seen := index[key]; seen { // an absent flag and an absent user are the same line
			out.Transitions[i].Users += n
			return
		}
		index[key] = len(out.Transitions)
		out.Transitions = append(out.Transitions, t)
	}
	rest, restAdded, restRemoved := j.both, j.added, j.removed
	for t, n := range f.transitions {
		rest -= n
		add(nothing(j.before), uint32(t>>32), nothing(j.after), uint32(t), n)
	}
	for v, n := range f.added {
		restAdded -= n
		add(Absent, 0, nothing(j.after), v, n)
	}
	for v, n := range f.removed {
		restRemoved -= n
		add(nothing(j.before), v, Absent, 0, n)
	}
	add(nothing(j.before), 0, nothing(j.after), 0, rest)
	add(Absent, 0, nothing(j.after), 0, restAdded)
	add(nothing(j.before), 0, Absent, 0, restRemoved)
	slices.SortFunc(out.Transitions, func(a, b Transition) int {
		return cmp.Or(compareSides(a.BeforeOutcome, a.Before, b.BeforeOutcome, b.Before), compareSides(a.AfterOutcome, a.After, b.AfterOutcome, b.After))
	})
	return out
}

// outcomes are the outcomes in the order in which they are shown.
var outcomes = []string{Assigned, NotAssigned, NotAsked, Absent}

func compareSides(outcome string, variant *string, otherOutcome string, other *string) int {
	if outcome != otherOutcome {
		return cmp.Compare(slices.Index(outcomes, outcome), slices.Index(outcomes, otherOutcome))
	}
	if variant == nil || other == nil {
		return 0
	}
	return strings.Compare(*variant, *other)
}

// notes say what somebody who reads the figures has to know.
func (j *join) notes(r *Report) {
	note := func(format string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) }
	if !j.before.everybody() || !j.after.everybody() {
		note("A long output of a run without --flags has no row of a user who gets nothing: such users count as added or removed where the other snapshot has them.")
	}
	if b, a := j.before.Failed, j.after.Failed; b+a > 0 {
		note("Users who failed are in no snapshot (before %s, after %s): they count as added or removed where the other snapshot has them.", report.Thousands(b), report.Thousands(a))
	}
	if !j.payloads {
		note("Payloads are not compared: a wide output has them only with --include payload.")
	}
	if !j.experiments {
		note("Experiment keys are not compared: a wide output does not have them.")
	}
	if r.Unit == stats.UnitRows {
		note("Some users have several rows (before: %s, after: %s): rows with the same user and device id are compared in their order, and what is counted are rows.",
			j.before.ids.Text(), j.after.ids.Text())
	}
	if j.before.RunID != "" && j.before.RunID == j.after.RunID {
		note("Both are outputs of the same run.")
	}
	if j.causeNote != "" {
		r.Notes = append(r.Notes, j.causeNote)
	}
}

func verdict(r *Report, limit *Limit) Verdict {
	u := &r.Users
	v := Verdict{Same: u.Changed+u.Added+u.Removed == 0, OK: true}
	notAsked := r.notAsked()
	nothing := len(notAsked) > 0 && len(notAsked) == len(r.Flags) // is compared
	v.Same = v.Same && !nothing
	var parts []string
	switch {
	case u.Both > 0 && nothing:
		parts = append(parts, fmt.Sprintf("nothing is compared for %s in both: the runs have no flag in common", r.Unit.Count(u.Both)))
	case u.Both == 0 && u.Added+u.Removed > 0:
		parts = append(parts, "no user is in both snapshots")
	case u.Both == 0:
		parts = append(parts, "both snapshots are empty")
	case u.Changed == 0:
		parts = append(parts, fmt.Sprintf("nothing changed for %s in both", r.Unit.Count(u.Both)))
	default:
		parts = append(parts, fmt.Sprintf("%s of %s in both changed (%s)", report.Thousands(u.Changed), r.Unit.Count(u.Both), report.Percent(u.Share)))
	}
	if u.Added > 0 {
		parts = append(parts, report.Thousands(u.Added)+" added")
	}
	if u.Removed > 0 {
		parts = append(parts, report.Thousands(u.Removed)+" removed")
	}
	v.Text = strings.Join(parts, ", ")
	if len(notAsked) > 0 && !nothing {
		v.Text += "; not compared: " + count(int64(len(notAsked)), "flag") + " that only one of the runs asked for"
	}
	untrusted := !r.Before.Complete || !r.After.Complete
	if untrusted {
		v.Text += "; but not both snapshots can be trusted"
	}
	if limit == nil {
		return v
	}
	without := "" // flags that the limit does not count
	switch n := len(notAsked); {
	case nothing, n == 0:
	case n == 1:
		without = " (it does not count that flag)"
	default:
		without = " (it does not count those flags)"
	}
	most := limit.Users
	if limit.IsShare {
		most = int64(math.Floor(limit.Share*float64(u.Both) + 1e-9))
	}
	switch {
	case u.Changed > most:
		v.OK, v.Text = false, v.Text+"; --max-changed "+limit.Text+" allows "+report.Thousands(most)+without
	case u.Both == 0 && u.Added+u.Removed > 0, untrusted, nothing:
		v.OK, v.Text = false, v.Text+"; so --max-changed cannot be said to hold"
	default:
		v.Text += "; --max-changed " + limit.Text + " holds" + without
	}
	return v
}

// notAsked are the flags that only one of the runs asked for.
func (r *Report) notAsked() (list []*Flag) {
	for i := range r.Flags {
		if r.Flags[i].NotAsked != "" {
			list = append(list, &r.Flags[i])
		}
	}
	return list
}
