package pipeline

import (
	"context"
	"time"
)

// User is one user as the Evaluation API knows it. The zero value has no id.
type User struct {
	UserID   string // "" is absent
	DeviceID string // "" is absent

	// Context is everything else that is sent: fields (country, platform, …), user_properties, groups and
	// group_properties, sorted by name as [Value] wants it. It never holds user_id or device_id.
	Context []Member
}

// Row is one user of the input, or the reason why there is none.
type Row struct {
	Number int64 // 1-based position in the input, across files; failed rows count
	User   User
	Carry  []Value  // the carried columns, in the order of --carry
	Input  []Member // the original row in the input's own order, for the error record; may be nil

	// Err, if set, says why this row has no user. The stream goes on.
	Err *UserError

	// FailedWith is how the user failed in the run whose error record the row was read from; "" for other inputs.
	FailedWith Kind
}

// Source yields the users of an input.
//
// Next fills row, reusing the memory of its slices (never of its strings, which are immutable and stay
// valid), and sets every field. It returns io.EOF after the last row; any other error ends the input.
// Next and Close are called from one goroutine.
type Source interface {
	Next(row *Row) error
	Close() error
}

// Variant is what the API answered for one flag and user.
type Variant struct {
	FlagKey       string
	Key           string
	Payload       string // the JSON text as answered; "" is absent
	ExperimentKey string // "" is absent
	EvaluationID  string // "" is absent
	Value         string // "" is absent
	Metadata      string // the JSON text as answered; "" is absent
}

// Answer is what an [Evaluator] found out about one user.
type Answer struct {
	Variants []Variant
	Body     string    // the answer's bytes, verbatim; "" where the evaluator has none
	At       time.Time // when the answer came
	Attempts int       // how often the user was asked; 0 where nothing was sent
}

// Evaluator says which variants a user gets.
//
// Evaluate is safe for concurrent use and does not modify or retain u. A *[UserError] belongs to this user
// alone; any other error ends the run.
type Evaluator interface {
	Evaluate(ctx context.Context, u *User) (Answer, error)
}

// Assignment is one row of the long layout: one flag of one answered user.
type Assignment struct {
	Variant       // all but FlagKey is empty where Assigned is false
	Assigned bool // false: asked for, and not in the answer
}

// Outcome is what came of one row: an answer, or the reason why there is none.
type Outcome struct {
	Row         Row
	Assignments []Assignment // in flag order; see [Flatten]
	Body        string       // the answer's bytes, verbatim; "" where there are none
	Unasked     int          // variants that came without having been asked for, and were dropped
	At          time.Time    // when the answer, or the failure, came
	Attempts    int
	Err         *UserError // the row's own, or the evaluator's; nil: answered
}

// SetAnswer makes o the outcome of its row that an answer is. It uses the memory of o.Assignments again.
func (o *Outcome) SetAnswer(a Answer, flags []string) {
	*o = Outcome{Row: o.Row, Body: a.Body, At: a.At, Attempts: a.Attempts, Assignments: o.Assignments[:0]}
	o.Assignments, o.Unasked = Flatten(o.Assignments, a.Variants, flags)
}

// SetError makes o the outcome of its row that a failure is.
func (o *Outcome) SetError(err *UserError, at time.Time) {
	*o = Outcome{Row: o.Row, At: at, Attempts: err.Attempts, Err: err, Assignments: o.Assignments[:0]}
}

// Sink takes the outcomes of a run.
//
// Write is called in input order from one goroutine, and does not retain o or anything but the strings in
// it. Close completes the output. An error of either ends the run.
type Sink interface {
	Write(o *Outcome) error
	Close() error
}
