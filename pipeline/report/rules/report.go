package rules

import (
	"encoding/json"
	"fmt"
)

// Format is the version of [Report] as JSON.
const Format = 1

// Report is what the checks came to. Lists are never null in its JSON.
type Report struct {
	Format    int      `json:"format"`
	OK        bool     `json:"ok"` // all hold
	Rules     string   `json:"rules"`
	Snapshots []string `json:"snapshots"`
	Users     int64    `json:"users"` // answered
	Held      int      `json:"held"`
	Failed    int      `json:"failed"`
	Errors    int      `json:"errors"` // checks that could not be decided, which is as bad
	Checks    []Result `json:"checks"` // as in the file
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

	Users      int64    `json:"users"`      // that were looked at
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
