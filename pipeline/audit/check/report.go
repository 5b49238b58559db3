package check

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
)

// Format is the version of [Report] as JSON.
const Format = 1

// Report is the results of all checks. It holds data; words.go makes the sentences.
type Report struct {
	Format    int      `json:"format"`
	OK        bool     `json:"ok"` // all checks hold
	Rules     string   `json:"rules"`
	Snapshots []string `json:"snapshots"`
	Users     int64    `json:"users"` // answered: different ones, by user id or else device id

	// Rows is how many rows those have: as many, unless users are repeated. Then Unit is rows, and every check but users
	// counts rows. Differing are users who have different variants in different rows: each row counts as it is. Of more
	// than 65,536 users, Users and Differing are estimates.
	Rows      int64      `json:"rows"`
	Unit      stats.Unit `json:"unit"`
	Differing int64      `json:"differing"`
	Estimated bool       `json:"estimated"`

	Cohorts []Cohort `json:"cohorts,omitempty"` // that checks name

	Held   int      `json:"held"`
	Failed int      `json:"failed"`
	Errors int      `json:"errors"` // checks that could not be decided, which is as bad
	Checks []Result `json:"-"`      // in the order of the file
}

// Cohort is a cohort that a check names, as it was given.
type Cohort struct {
	Name    string `json:"cohort"`
	Members int    `json:"members"`
	File    string `json:"file"`
	SHA256  string `json:"sha256"`
}

// Status says whether a check holds.
type Status string

// The statuses.
const (
	Held      Status = "ok"
	NotHeld   Status = "failed"
	Undecided Status = "error" // vacuous, or the snapshot does not tell; it counts as not holding
)

// Result is the result of one check.
type Result struct {
	*Check
	Status Status
	Reason Note // why the check is Undecided

	Users      int64 // that were looked at; rows where Report.Unit is that, but for the check users
	Hits       int64 // of them: those whom the check counts
	Violations int64 // users because of whom the check does not hold, where they can be told

	Absent    int64 // of Payload: users without a payload, who may lack it
	Differing int64 // of Exclusive and Holdout: users who have different variants of such flags in different rows
	Split     *Split
	Run       *RunAge
	Notes     []Note
	Examples  []Row // at most ten
}

// Split is the result of a ratio.
type Split struct {
	All              Slice
	Off              []Slice // slices that are not split by the weights, the most significant first
	Tested, Untested int     // how many slices
	AllOff           bool    // all users are not split by the weights
}

// Slice is the users whose column has a value, and how they are split. The zero Column is all users.
type Slice struct {
	Column, Value string
	Null          bool    // they have no value
	Counts        []int64 // by weight; the last count is of variants without a weight
	Unweighted    []string
	Test          stats.Test

	cell *cell
}

// RunAge is the age of the oldest run.
type RunAge struct {
	Path  string // "": it is the only run
	Began time.Time
	Age   time.Duration // negative: it began in the future
}

// Note is something about a result: what it is, about which subject, and how many.
type Note struct {
	Code    NoteCode
	Subject string
	N       int64
	Hint    string
}

// NoteCode says what a [Note] is.
type NoteCode string

// The reasons why a check is undecided.
const (
	NoUsers        NoteCode = "no_users"        // that the check is about
	NobodyAnswered NoteCode = "nobody_answered" //
	NobodyHeldOut  NoteCode = "nobody_held_out" //
	NoOtherFlag    NoteCode = "no_other_flag"   // than Subject is a flag that somebody has; "": there is none at all
	NoVariant      NoteCode = "no_variant"      // of the flag that somebody has
	NoPayload      NoteCode = "no_payload"      // that somebody has
	ColumnsUnknown NoteCode = "columns_unknown" // of N users, who are not in the file
	TooManyValues  NoteCode = "too_many_values" // of column Subject
	NotTested      NoteCode = "not_tested"      // Subject says why
	NoSliceTested  NoteCode = "no_slice_tested" //
	NoMembers      NoteCode = "no_members"      // of the cohort
	IDsUnknown     NoteCode = "ids_unknown"     // of N users, who are not in the file
	ChangesUnknown NoteCode = "changes_unknown" // of flags in run Subject ("": the only one); Hint says why
)

// The details of a check that does not hold.
const (
	FlagUsers      NoteCode = "flag_users"      // N users are in flag Subject
	NotInFile      NoteCode = "not_in_file"     // N of the users
	NobodyGot      NoteCode = "nobody_got"      // flag Subject
	FlagChanged    NoteCode = "flag_changed"    // Subject names flag and versions; Hint the run, if there are several
	AskedAgain     NoteCode = "asked_again"     // some of the failed users of snapshot Subject
	RecordsUnknown NoteCode = "records_unknown" // the error records of snapshot Subject cannot be read
)

// Row is a user as an example. The ids are there if they were asked for.
type Row struct {
	Snapshot string `json:"snapshot"`
	Row      int64  `json:"row_number"`
	UserID   string `json:"user_id,omitempty"`
	DeviceID string `json:"device_id,omitempty"`
	Note     string `json:"note,omitempty"` // what is wrong about this one
}

// MaxExamples is how many examples a check has.
const MaxExamples = 10

// resultJSON is a Result for a program.
type resultJSON struct {
	Name       string   `json:"name"`
	Kind       Kind     `json:"kind"`
	Line       int      `json:"line"`
	Flag       string   `json:"flag"`  // "": it is not about one
	Where      string   `json:"where"` // "": about all users
	Cohort     []string `json:"cohort,omitempty"`
	NotCohort  []string `json:"not_cohort,omitempty"`
	Status     Status   `json:"status"`
	Expected   string   `json:"expected"`
	Found      string   `json:"found"`
	Users      int64    `json:"users"`
	Violations int64    `json:"violations"`
	Details    []string `json:"details"`
	Examples   []Row    `json:"examples"`
}

// Document is a Report for a program.
type Document struct {
	*Report
	Checks []resultJSON `json:"checks"`
}

// JSON is the report for a program. Lists are never null in it.
func (r *Report) JSON() ([]byte, error) {
	out := Document{r, []resultJSON{}}
	for i := range r.Checks {
		out.Checks = append(out.Checks, r.newResultJSON(&r.Checks[i]))
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return append(data, '\n'), nil
}

func (r *Report) newResultJSON(res *Result) resultJSON {
	return resultJSON{res.Name, res.Kind, res.Line, res.Flag, res.Where, res.Cohorts, res.NotCohorts, res.Status, r.expected(res.Check), r.found(res),
		res.Users, res.Violations, r.details(res), append([]Row{}, res.Examples...)}
}
