package diff

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Report is what changed between two snapshots.
type Report struct {
	Verdict  Verdict    `json:"verdict"`
	Before   Snapshot   `json:"before"`
	After    Snapshot   `json:"after"`
	Only     []Cohort   `json:"only,omitempty"` // the cohorts whose members alone were compared; none: all users were
	Unit     stats.Unit `json:"unit"`           // what all counts are of: users; or rows, where a user and device id has several
	Users    Users      `json:"users"`
	Configs  Configs    `json:"flag_configs"`
	Flags    []Flag     `json:"flags"`         // those of either, by key
	OnlyIn   OnlyIn     `json:"flags_only_in"` // flags that one snapshot does not have
	Compared Compared   `json:"compared"`      // what both have
	Passes   int        `json:"passes"`        // in which the files were read
	Notes    []string   `json:"notes"`

	Files []snapshot.File `json:"-"` // the inputs and outputs of both runs, with the checksums in their manifests
}

// Verdict is the answer in a sentence.
type Verdict struct {
	Same bool   `json:"same"` // nobody changed, came or went
	OK   bool   `json:"ok"`   // within the limit, and both snapshots can be trusted; true where no limit was asked for
	Text string `json:"text"`
}

// Snapshot is one of the two, and whether it can be trusted.
type Snapshot struct {
	Path        string    `json:"path"`
	Manifest    string    `json:"manifest"` // "" where there is none
	RunID       string    `json:"run_id"`
	StartedAt   time.Time `json:"started_at"`
	FinishedAt  time.Time `json:"finished_at"`
	Users       int64     `json:"users"` // in the file; rows where Report.Unit is that
	Distinct    int64     `json:"distinct_users"`
	Estimated   bool      `json:"estimated"` // Distinct is
	Failed      int64     `json:"failed"`
	Assignments int64     `json:"assignments"` // of a variant
	Complete    bool      `json:"complete"`
	Problems    []string  `json:"problems"` // why it is not to be trusted

	// outputs of runs that asked again about its failed users; they are part of it
	Retries []string `json:"retries,omitempty"`
}

// Cohort is one of the cohorts whose members were compared.
type Cohort struct {
	Name    string `json:"cohort"`
	Members int    `json:"members"` // in its file
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
	Key string `json:"flag"`
	// the run that did not ask for it, before or after: it is not compared
	NotAsked string `json:"not_asked"`
	Changed  int64  `json:"changed"`  // users in both who changed
	Variants int64  `json:"variants"` // of them: another variant
	Payloads int64  `json:"payloads"` // of them: the same variant, another payload
	// of them: the same variant and payload, another experiment key
	ExperimentKeys int64           `json:"experiment_keys"`
	Causes         map[Cause]int64 `json:"causes"`      // of Changed; empty where it is not known
	Config         string          `json:"flag_config"` // same, added, removed, changed, or "" where it is not known
	Transitions    []Transition    `json:"transitions"` // of all users of either snapshot
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

// End is what users have of a flag before or after a [Transition].
type End struct {
	Outcome string
	Variant string // "" where the outcome is not Assigned
}

// Ends are what these users had before, and have after.
func (t *Transition) Ends() (before, after End) {
	before, after = End{Outcome: t.BeforeOutcome}, End{Outcome: t.AfterOutcome}
	if t.Before != nil {
		before.Variant = *t.Before
	}
	if t.After != nil {
		after.Variant = *t.After
	}
	return before, after
}

// Same reports whether nothing changed for these users, as far as it is known.
func (t *Transition) Same() bool {
	before, after := t.Ends()
	if before.Outcome == NotAsked || after.Outcome == NotAsked || before.Outcome != Assigned && after.Outcome != Assigned {
		return true
	}
	return before == after
}

// MayHaveChanged reports whether there is a transition in which something changed, or may have.
func (f *Flag) MayHaveChanged() bool {
	return f.NotAsked != "" || slices.ContainsFunc(f.Transitions, func(t Transition) bool { return !t.Same() })
}

// Unchanged reports whether there is nothing to say about the flag.
func (r *Report) Unchanged(f *Flag) bool {
	return !f.MayHaveChanged() && f.Changed == 0 && !slices.Contains(r.OnlyIn.Before, f.Key) &&
		!slices.Contains(r.OnlyIn.After, f.Key)
}

// ChangedTransitions are those in which something changed, the most users first.
func (f *Flag) ChangedTransitions() []Transition {
	changed := slices.DeleteFunc(slices.Clone(f.Transitions), func(t Transition) bool { return t.Same() })
	slices.SortStableFunc(changed, func(a, b Transition) int { return cmp.Compare(b.Users, a.Users) })
	return changed
}

// Matrix is the transitions of a flag as a table: the users by what they had before and have after.
type Matrix struct {
	Before, After []End // sorted
	Users         map[[2]End]int64
}

// Matrix makes a table of the transitions.
func (f *Flag) Matrix() *Matrix {
	m := &Matrix{Users: map[[2]End]int64{}}
	for i := range f.Transitions {
		before, after := f.Transitions[i].Ends()
		m.Before, m.After = append(m.Before, before), append(m.After, after)
		m.Users[[2]End{before, after}] += f.Transitions[i].Users
	}
	for _, ends := range []*[]End{&m.Before, &m.After} {
		slices.SortFunc(*ends, CompareEnds)
		*ends = slices.Compact(*ends)
	}
	return m
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

// makeReport makes the report when all passes are done.
func (c *comparison) makeReport(configs Configs) *Report {
	r := &Report{
		Unit:     stats.UnitUsers,
		Users:    Users{Both: c.both, Changed: c.changed, Added: c.added, Removed: c.removed},
		Configs:  configs,
		Flags:    []Flag{},
		OnlyIn:   OnlyIn{flagsOnlyIn(c.before, c.after), flagsOnlyIn(c.after, c.before)},
		Compared: Compared{c.payloads, c.experiments},
		Passes:   c.passes,
	}
	if c.before.duplicates+c.after.duplicates > 0 || c.before.ids.Repeated()+c.after.ids.Repeated() > 0 {
		r.Unit = stats.UnitRows
	}
	for _, only := range c.o.Only {
		r.Only = append(r.Only, Cohort{only.Name, only.Size()})
	}
	if c.both > 0 {
		r.Users.Share = float64(c.changed) / float64(c.both)
	}
	slices.SortFunc(c.order, func(a, b *flag) int { return strings.Compare(a.name, b.name) })
	for _, f := range c.order {
		out := c.flagReport(f, configs)
		for _, t := range out.Transitions {
			if t.Before != nil {
				c.before.Assignments += t.Users
			}
			if t.After != nil {
				c.after.Assignments += t.Users
			}
		}
		r.Flags = append(r.Flags, out)
	}
	for _, s := range c.sides() {
		s.finish()
	}
	r.Before, r.After = *c.before.Snapshot, *c.after.Snapshot
	r.Files = slices.Concat(c.before.files[0].Files(), c.after.files[0].Files())
	r.Notes = c.notes(r)
	r.Verdict = newVerdict(r, c.o.Limit)
	return r
}

func (c *comparison) flagReport(f *flag, configs Configs) Flag {
	out := Flag{Key: f.name, NotAsked: f.notAsked, Changed: f.changed, Payloads: f.payload, ExperimentKeys: f.experiment,
		Variants: f.changed - f.payload - f.experiment, Causes: f.causes, Transitions: []Transition{}}
	if configs.Compared {
		out.Config = "same"
		if i := slices.IndexFunc(configs.Changed, func(change ConfigChange) bool { return change.Flag == f.name }); i >= 0 {
			out.Config = configs.Changed[i].Change
		}
	}
	noneBefore, noneAfter := End{Outcome: c.noVariant(c.before, f)}, End{Outcome: c.noVariant(c.after, f)}
	end := func(variant uint32, none End) End {
		switch variant {
		case 0:
			return none
		case absentUser:
			return End{Outcome: Absent}
		}
		return End{Assigned, c.variantName(variant)}
	}
	users := map[[2]End]int64{}                                                             // an absent flag and an absent user are the same line
	rest := map[[2]bool]int64{{}: c.both, {true, false}: c.added, {false, true}: c.removed} // by: absent before, after
	for t, n := range f.transitions {
		before, after := uint32(t>>32), uint32(t)
		rest[[2]bool{before == absentUser, after == absentUser}] -= n
		users[[2]End{end(before, noneBefore), end(after, noneAfter)}] += n
	}
	users[[2]End{noneBefore, noneAfter}] += rest[[2]bool{}]
	users[[2]End{{Outcome: Absent}, noneAfter}] += rest[[2]bool{true, false}]
	users[[2]End{noneBefore, {Outcome: Absent}}] += rest[[2]bool{false, true}]
	for _, ends := range slices.SortedFunc(maps.Keys(users), func(a, b [2]End) int {
		return cmp.Or(CompareEnds(a[0], b[0]), CompareEnds(a[1], b[1]))
	}) {
		if n := users[ends]; n > 0 {
			out.Transitions = append(out.Transitions, Transition{BeforeOutcome: ends[0].Outcome,
				Before:       ends[0].nullableVariant(),
				AfterOutcome: ends[1].Outcome, After: ends[1].nullableVariant(), Users: n})
		}
	}
	return out
}

// nullableVariant is nil where none is assigned.
func (e End) nullableVariant() *string {
	if e.Outcome != Assigned {
		return nil
	}
	return &e.Variant
}

// outcomes are the outcomes in the order in which they are shown.
var outcomes = []string{Assigned, NotAssigned, NotAsked, Absent}

// CompareEnds orders ends as they are shown: by outcome, then by variant.
func CompareEnds(a, b End) int {
	return cmp.Or(cmp.Compare(slices.Index(outcomes, a.Outcome), slices.Index(outcomes, b.Outcome)),
		strings.Compare(a.Variant, b.Variant))
}

// newVerdict is the answer: whether something changed, and whether that is within the limit.
func newVerdict(r *Report, limit *Limit) Verdict {
	u := &r.Users
	v := Verdict{Same: u.Changed+u.Added+u.Removed == 0 && !r.nothingCompared(), OK: true}
	most := int64(0)
	if limit != nil {
		if most = limit.Users; limit.IsShare {
			most = int64(math.Floor(limit.Share*float64(u.Both) + 1e-9))
		}
		v.OK = u.Changed <= most && r.trusted() && !r.nothingCompared() && (u.Both > 0 || u.Added+u.Removed == 0)
	}
	v.Text = verdictText(r, limit, most, v.OK)
	return v
}

// notAsked is how many flags only one of the runs asked for.
func (r *Report) notAsked() (n int64) {
	for i := range r.Flags {
		if r.Flags[i].NotAsked != "" {
			n++
		}
	}
	return n
}

// nothingCompared reports whether the runs have no flag in common, or no member of the cohorts.
func (r *Report) nothingCompared() bool {
	return r.Only != nil && r.Users.Both+r.Users.Added+r.Users.Removed == 0 || len(r.Flags) > 0 && r.notAsked() == int64(len(r.Flags))
}

// trusted reports whether both snapshots are what their runs wrote.
func (r *Report) trusted() bool { return r.Before.Complete && r.After.Complete }
