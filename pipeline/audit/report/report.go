package report

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Format is the version of [Report] as JSON.
const Format = 1

// Report is what one or several snapshots came to. It is complete and final: whoever renders it computes nothing but
// percentages. Lists are never null in its JSON. All shares are from 0 to 1.
type Report struct {
	Format    int        `json:"format"`
	Verdict   Verdict    `json:"verdict"`
	Findings  []Finding  `json:"findings"`  // worst first
	Tests     int        `json:"tests"`     // how many there were, of all families
	Families  []Family   `json:"families"`  // of tests; each is corrected for itself. Those without a test are left out
	Snapshots []Snapshot `json:"snapshots"` // in the order given
	Unit      stats.Unit `json:"unit"`      // what all counts are of: users; or rows, where some users have several
	Users     Users      `json:"users"`
	Columns   []Column   `json:"columns"` // of --by, in the order given
	Cohorts   []Cohort   `json:"cohorts"` // in the order given
	Flags     []Flag     `json:"flags"`   // sorted by key
	Overlaps  []Overlap  `json:"overlaps"`
	Notes     []string   `json:"notes"` // what one has to know to read the figures, and is no finding

	// what it is made from: inputs and outputs with the checksums in the manifests, configurations
	Files []snapshot.File `json:"-"`
}

// Family is tests that are corrected together: the chance that any of them is an alert or a warning by luck is that of
// a single test. One family says nothing of another: how many slices are looked at does not change what is said of a
// flag.
type Family struct {
	Name  string `json:"family"`
	Tests int    `json:"tests"`
}

// The families.
const (
	FamilySplit      = "split"      // each flag's variants, among all users
	FamilyAllocation = "allocation" // who gets a variant of each flag, among all users
	FamilySlices     = "slices"     // both, in all slices of all flags
	FamilyOverlaps   = "overlaps"   // pairs of flags
	FamilyFailing    = "failing"    // who failed, by each column
)

// Severity is how bad a [Finding] is.
type Severity string

// The severities; for a [Verdict] that nothing was found, and for a [Flag] that nothing was tested.
const (
	Alert     Severity = "alert" // do not launch before it is understood
	Warn      Severity = "warn"  // look at it
	Note      Severity = "note"  // good to know
	OK        Severity = "ok"
	NotTested Severity = "not_tested"
)

// Verdict is the report in a sentence.
type Verdict struct {
	Severity Severity `json:"severity"` // alert, warn or ok
	Text     string   `json:"text"`
}

// The kinds of findings.
const (
	KindSnapshot   = "snapshot"   // it is not what its manifest says
	KindChanged    = "changed"    // flags changed while the run went on
	KindCrossCheck = "crosscheck" // the API answers otherwise than the local evaluation did
	KindRepeated   = "repeated"   // users have several rows
	KindDiffering  = "differing"  // and different variants in them
	KindFailed     = "failed"     // users failed, or fail more in some slices
	KindWarning    = "warning"    // the run itself warned
	KindNobody     = "nobody"     // nobody got the flag
	KindSplit      = "split"      // the variants are not split as they should be
	KindAllocation = "allocation" // more or fewer users got a variant than should
	KindUnexpected = "unexpected" // a variant that should not be there
	KindExclusion  = "exclusion"  // users in two flags that exclude each other
	KindDependence = "dependence" // two flags' variants are not independent of each other
)

// Finding is something that the auditor should look at.
type Finding struct {
	Severity Severity `json:"severity"`
	Kind     string   `json:"kind"`
	Flag     string   `json:"flag"`   // "": about the snapshot
	Other    string   `json:"other"`  // the second flag of a pair; "": none
	Column   string   `json:"column"` // of the slice; "": about all users
	Slice    string   `json:"slice"`  // its label

	Snapshot string    `json:"-"` // the path of the one that it is about; "": about all of them, or about a flag
	Says     Statement `json:"-"` // what is said of these; [Finding.Text] is the whole sentence, and in the JSON
}

// Snapshot is one run, and whether it can be trusted.
type Snapshot struct {
	Path       string         `json:"path"`
	Manifest   string         `json:"manifest"` // "": there is none, and most of the rest is empty
	RunID      string         `json:"run_id"`
	Version    string         `json:"version"` // of rollcall
	StartedAt  time.Time      `json:"started_at"`
	FinishedAt time.Time      `json:"finished_at"`
	Resumes    int            `json:"resumes"`
	NoTrack    string         `json:"no_track"`        // see [snapshot.Manifest]
	Local      bool           `json:"local,omitempty"` // it was evaluated by the configurations from before the first user
	Users      snapshot.Users `json:"users"`           // according to the manifest

	// FlagChanges says whether flags changed while the run went on. nil: the manifest does not say.
	FlagChanges *snapshot.FlagChanges `json:"flag_changes,omitempty"`

	// CrossCheck says how far the answers of a local run are the API's. nil: nobody asked.
	CrossCheck *snapshot.CrossCheck `json:"cross_check,omitempty"`

	// Completes is the run whose failed users this one asked about again; "" where it is a run of its own. Users of both
	// are in the Users of each, and once in those of the Report.
	Completes string `json:"completes,omitempty"`

	InFile  int64     `json:"users_in_file"`
	Records int64     `json:"records"` // in the file
	First   time.Time `json:"first_evaluated_at"`
	Last    time.Time `json:"last_evaluated_at"`

	// Everybody: each answered user is in the file. In the long layout without --flags those who got no variant of any
	// flag are not, and what is said of slices is said of the others.
	Everybody bool `json:"everybody"`

	// Complete: there is a manifest, and the file is the one that it describes as far as counting tells.
	// Problems say what is not so.
	Complete bool     `json:"complete"`
	Checksum bool     `json:"checksum"` // that of the file was compared too
	Problems []string `json:"problems"`
	Warnings []string `json:"warnings"` // of the run
}

// Users counts the users of all snapshots.
type Users struct {
	snapshot.Users
	InFile int64 `json:"in_file"` // in the files that were read

	// Distinct is how many different users are in the files, by user id or else device id, and Repeated the share of the
	// rows whose user was there before. Differing are users who have different variants in different rows: each row counts
	// as it is. Of more than 65,536 users they are estimates.
	Distinct  int64   `json:"distinct"`
	Repeated  float64 `json:"repeated"`
	Differing int64   `json:"differing"`
	Estimated bool    `json:"estimated"`
}

// The kinds of a [Slice].
const (
	SliceValue   = "value"   // one value of the column
	SliceRange   = "range"   // a bin of numbers or dates
	SliceMissing = "missing" // no value
	SliceOther   = "other"   // values that are too rare, or too many
)

// Column is a column by which users are sliced.
type Column struct {
	Name   string  `json:"name"`
	Slices []Slice `json:"slices"` // ranges ascending, values by users; missing and other last
	Folded int64   `json:"folded"` // values in the slice other, at least

	// Failing tests whether users of some slices fail more than others. nil: it could not be told.
	Failing       *stats.Test `json:"failing"`
	FailingNone   string      `json:"failing_none"` // why Failing is nil
	FailingResult Statement   `json:"failing_words"`
}

// Slice is the users who have the same value, or values of the same range, in a column.
type Slice struct {
	Label  string `json:"label"` // "DE", "10 to 99", "(none)", "(other)"
	Kind   string `json:"kind"`
	Users  int64  `json:"users"`  // in the files
	Failed int64  `json:"failed"` // according to the error records
}

// Flag is who got what of one flag.
type Flag struct {
	Key string `json:"key"`
	// alert, warn, not_tested (neither the split nor the allocation among all users) or ok
	Verdict  Severity    `json:"verdict"`
	Counts               // of all users
	Expected Expectation `json:"expected"`

	// Slices are those of all columns: first the ones where the split is off, by p-value, then in the order of the
	// columns.
	Slices []FlagSlice `json:"slices"`
}

// Counts is who got what: of a flag, or of a slice of it.
type Counts struct {
	Users       int64     `json:"users"` // Assigned + NotAssigned
	Assigned    int64     `json:"assigned"`
	NotAssigned int64     `json:"not_assigned"`
	Reach       Share     `json:"reach"`    // the users who got a variant
	Variants    []Variant `json:"variants"` // sorted by key; of a slice those of the flag, in the same order

	// LeftOut are assigned users whose variant is not left to chance: they have not the id that is bucketed, or are named
	// one by one in the flag's configuration. Tests are without them.
	LeftOut int64 `json:"left_out"`

	// Test is of the split among the assigned users, against Flag.Expected, or where that is none and this is a slice
	// against all other users. nil: there is nothing to compare it with. Where the split of all users is not as expected,
	// slices that share what is off are no findings of their own: Test is then the weaker one of the two, and a slice is
	// off only if it is neither as expected nor as the others.
	Test *stats.Test `json:"test"`
	// Against is what Test compared with: expected, others or "".
	Against string `json:"against"`
	// Result is the result of Test, or why there is none.
	Result Statement `json:"words"`

	// Eligible are the users who should get a variant with the chance Expected.Assigned: they have the id that is
	// bucketed, and are not named one by one. 0: not known. ExpectedReach is the share of all users who should have one:
	// those, and the ones that are left out.
	Eligible      int64    `json:"eligible"`
	ExpectedReach *float64 `json:"expected_reach"` // nil: not known

	// Allocation is of the assigned users among the eligible ones against Expected.Assigned, and in a slice against the
	// others as Test is. nil: not known, or the file does not tell.
	Allocation        *stats.Test `json:"allocation"`
	AllocationAgainst string      `json:"allocation_against"`
	AllocationResult  Statement   `json:"allocation_words"`
}

// What a [Counts] was compared with.
const (
	AgainstExpected = "expected"
	AgainstOthers   = "others"
)

// Variant is who got one variant.
type Variant struct {
	Key       string   `json:"variant"`
	Treatment bool     `json:"treatment"` // not a control: see [Options.Controls]
	Users     int64    `json:"users"`
	OfUsers   float64  `json:"of_users"` // the share of all users
	Split     Share    `json:"split"`    // the share of the assigned ones
	Expected  *float64 `json:"expected"` // of the assigned ones who are not left out; nil: not known

	// ExpectedUsers is how many of the assigned users should have it: its share of those who are not left out, and the
	// ones of them who are. nil: not known.
	ExpectedUsers *float64 `json:"expected_users"`
}

// Share is a share with its 95 % interval (Wilson).
type Share struct {
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Expectation is how a flag's users should be split, and who says so. In the JSON it is the source, the reason why
// there is no one split, the share of users who should get a variant, and the variants' shares.
type Expectation struct {
	Source string // "--expect", a file's name; "": nothing is known
	engine.Split
}

// FlagSlice is who got what of one flag in one slice.
type FlagSlice struct {
	Column  string       `json:"column"`
	Label   string       `json:"label"`
	Kind    string       `json:"kind"`
	Verdict SliceVerdict `json:"verdict"` // the worse one of split and allocation
	Counts
}

// SliceVerdict is what the tests say of a slice.
type SliceVerdict string

// The verdicts of a slice, the worst first.
const (
	SliceAlert     SliceVerdict = "alert"
	SliceWarn      SliceVerdict = "warn"
	SliceDiffers   SliceVerdict = "differs" // from all others, where no split is expected
	SliceShares    SliceVerdict = "shares"  // what is off among all users, and is no finding of its own
	SliceOK        SliceVerdict = "ok"
	SliceNotTested SliceVerdict = "not_tested"
)

var sliceVerdicts = []SliceVerdict{SliceAlert, SliceWarn, SliceDiffers, SliceShares, SliceOK, SliceNotTested}

// Overlap is the users of two flags, A before B in the alphabet.
type Overlap struct {
	A string `json:"a"`
	B string `json:"b"`

	// Treatments are the users in a treatment of both, and Independent is how many that would be if being in a treatment
	// of A had nothing to do with being in one of B. It has where both target the same users.
	Treatments  int64   `json:"treatments"`
	Independent float64 `json:"independent"`

	// Assigned are the users who got any variant of both. Among them buckets alone decide, and Test is of whether being in
	// a treatment of A depends on being in one of B: then the flags share a salt, or one is targeted by the other.
	// nil: not all combinations are possible.
	Assigned int64       `json:"assigned"`
	Test     *stats.Test `json:"test"`

	Group     string    `json:"group"`      // that both are in; "": none
	GroupType string    `json:"group_type"` // mutual-exclusion-group or holdout-group
	Exclusive bool      `json:"exclusive"`  // the group makes sure that nobody is in both
	Result    Statement `json:"words"`
}

// Count is how many findings of a severity there are.
func (r *Report) Count(severity Severity) (n int64) {
	for i := range r.Findings {
		if r.Findings[i].Severity == severity {
			n++
		}
	}
	return n
}

// JSON is the report for a program.
func (r *Report) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return append(data, '\n'), nil
}
