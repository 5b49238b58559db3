package check

import (
	"encoding/json"
	"fmt"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
)

// Format is the version of [Report] as JSON.
const Format = 1

// Report is what the checks came to. Lists are never null in its JSON.
type Report struct {
	Format    int      `json:"format"`
	OK        bool     `json:"ok"` // all hold
	Rules     string   `json:"rules"`
	Snapshots []string `json:"snapshots"`
	Users     int64    `json:"users"` // answered: different ones, by user id or else device id

	// Rows is how many rows those have: as many, unless users are repeated. Then Unit is rows, and every check but users
	// counts rows. Differing are users who have different variants in different rows: each row counts as it is. Of more than
	// 65,536 users, Users and Differing are estimates.
	Rows      int64      `json:"rows"`
	Unit      stats.Unit `json:"unit"`
	Differing int64      `json:"differing"`
	Estimated bool       `json:"estimated"`

	Held   int      `json:"held"`
	Failed int      `json:"failed"`
	Errors int      `json:"errors"` // checks that could not be decided, which is as bad
	Checks []Result `json:"checks"` // as in the file
}

// Status is what came of one check.
type Status string

// The statuses.
const (
	Held      Status = "ok"
	NotHeld   Status = "failed"
	Undecided Status = "error" // vacuous, or the snapshot does not tell; it counts as not holding
)

// Result is what came of one check.
type Result struct {
	Name     string `json:"name"`
	Kind     Kind   `json:"kind"`
	Line     int    `json:"line"`
	Flag     string `json:"flag"`  // "": it is not about one
	Where    string `json:"where"` // "": about all users
	Status   Status `json:"status"`
	Expected string `json:"expected"`
	Found    string `json:"found"`

	Users      int64    `json:"users"`      // that were looked at; rows where Report.Unit is that, but for the check users
	Violations int64    `json:"violations"` // users because of whom it does not hold, where they can be told
	Details    []string `json:"details"`
	Examples   []Row    `json:"examples"` // at most ten
}

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

// JSON is the report for a program.
func (r *Report) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return append(data, '\n'), nil
}

// usersText is how many users there are, and in how many rows.
func (r *Report) usersText() string { return stats.UsersInRows(r.Users, r.Rows, r.Estimated) }

// differingText says that users have different answers in different rows; "" where none has.
func (r *Report) differingText() string {
	if r.Differing == 0 {
		return ""
	}
	text := stats.UnitUsers.Count(r.Differing) + map[bool]string{true: " has", false: " have"}[r.Differing == 1]
	if r.Estimated {
		text = "about " + text
	}
	return text + " different variants in different rows, and each row counts as it is"
}

// Verdict is the report in a sentence.
func (r *Report) Verdict() string {
	n := len(r.Checks)
	if r.OK {
		if n == 1 {
			return "the check holds"
		}
		return fmt.Sprintf("all %d checks hold", n)
	}
	text := fmt.Sprintf("%d of %d checks fail", r.Failed, n)
	switch {
	case r.Failed == 0:
		text = fmt.Sprintf("%d of %d checks cannot be decided", r.Errors, n)
	case r.Errors > 0:
		text += fmt.Sprintf(", and %d cannot be decided", r.Errors)
	}
	return text
}
