package pipeline

import (
	"context"
	"time"
)

// User is one user as the Evaluation API knows it. The zero value has no id.
type User struct {
	UserID   string // "" if absent
	DeviceID string // "" if absent

	// Context is everything else that is sent: fields (country, platform, …), user_properties, groups and
	// group_properties, sorted by name as [Value] requires. It never holds user_id or device_id.
	Context []Member
}

// Row is one user of the input, or the reason why there is none.
type Row struct {
	Number int64 // 1-based position in the input, across files; failed rows count
	User   User
	Carry  []Value  // the carried columns, in the order of --carry
	Input  []Member // the original row in the input's own order, for the error record; may be nil

	// Err, if set, says why this row has no user. It does not end the input.
	Err *UserError

	// Bytes is what CountBytes returns, if the source has counted it where that costs the run no time; else 0.
	Bytes int64

	// FailedWith is the user's failure in the run whose error record this row was read from; "" for other inputs.
	FailedWith Kind
}

// Source yields the users of an input.
//
// Next fills row and sets every field. It reuses the memory of the row's slices, but never of its strings, which stay
// valid. It returns io.EOF after the last row; any other error ends the input.
// Next and Close are called from one goroutine.
type Source interface {
	Next(row *Row) error
	Close() error
}

// Variant is what the API answered for one flag and user.
type Variant struct {
	FlagKey       string
	Key           string
	Payload       string // the JSON text as answered; "" if absent
	ExperimentKey string // "" if absent
	EvaluationID  string // "" if absent
	Value         string // "" if absent
	Metadata      string // the JSON text as answered; "" if absent
}

// Answer is the result of evaluating one user.
type Answer struct {
	Variants []Variant
	Body     string    // the bytes of the answer, unchanged; "" if the evaluator has none
	At       time.Time // when the answer came
	Attempts int       // how many requests were sent for the user; 0 if the evaluator sends none
	Cache    Cache     // what the answer says of caches
}

// Cache is what an answer says of the caches on its way. The zero value is that it says nothing.
type Cache struct {
	State string // CacheHit, CacheMiss, or "" if the answer does not tell
	Aged  bool   // the answer has an age
	Age   int64  // in seconds: how long a cache has had it
}

// The values of Cache.State.
const (
	CacheHit  = "hit"  // a cache answered
	CacheMiss = "miss" // the API itself answered
)

// Evaluator says which variants a user gets.
//
// Evaluate is safe for concurrent use and does not modify or retain u. A *[UserError] is the failure of this user
// alone; any other error ends the run.
type Evaluator interface {
	Evaluate(ctx context.Context, u *User) (Answer, error)
}

// Assignment is one row of the long layout: one flag of one answered user.
type Assignment struct {
	Variant       // only FlagKey is set unless Assigned
	Assigned bool // false: the flag was asked for, but is not in the answer
}

// Outcome is the result of one row: an answer, or the reason why there is none.
type Outcome struct {
	Row         Row
	Assignments []Assignment // one for each flag asked for, in that order; or one for each variant, sorted by flag key
	Body        string       // the bytes of the answer, unchanged; "" if there are none
	Unasked     []string     // the flags of variants that were not asked for, which are dropped
	At          time.Time    // when the answer, or the failure, came
	Attempts    int
	Cache       Cache
	Err         *UserError // the error of the row or of the evaluator; nil if the user was answered
}

// SetAnswer makes a the outcome of o.Row. It reuses the memory of o.Assignments and o.Unasked.
func (o *Outcome) SetAnswer(a Answer, asked *FlagIndex) {
	*o = Outcome{Row: o.Row, Body: a.Body, At: a.At, Attempts: a.Attempts, Cache: a.Cache, Assignments: o.Assignments[:0],
		Unasked: o.Unasked[:0]}
	o.Assignments, o.Unasked = flatten(o.Assignments, o.Unasked, a.Variants, asked)
}

// SetError makes err the outcome of o.Row.
func (o *Outcome) SetError(err *UserError, at time.Time) {
	*o = Outcome{Row: o.Row, At: at, Attempts: err.Attempts, Err: err, Assignments: o.Assignments[:0], Unasked: o.Unasked[:0]}
}

// Sink takes the outcomes of a run.
//
// Write is called in input order from one goroutine. It does not retain o or anything in it except strings.
// Close completes the output. An error of either ends the run.
type Sink interface {
	Write(o *Outcome) error
	Close() error
}

// Encoder is a sink that does most of the work for an outcome before its turn: the workers call Encode with the
// outcomes of successive rows, many at once and in any order, and the emitter calls Write of what Encode returned, in
// input order. What comes of it must be the same as with [Sink] Write, however the rows are divided among the calls.
type Encoder interface {
	Sink

	// Encode prepares the outcomes to be written. It is safe for concurrent use, also with Write, and does not retain
	// anything in them except strings. What it returns may be dropped.
	Encode(outcomes []Outcome) Encoded
}

// Encoded is a sink's preparation of some outcomes.
type Encoded interface {
	// Write writes the outcomes, which are the same as those that Encode was called with. It is called at most once,
	// from the goroutine that calls the sink's Write, and returns an error as that does.
	Write(outcomes []Outcome) error
}

// Encode returns the sink's preparation of the outcomes. For a sink that is not an [Encoder] there is none: they are
// written one by one.
func Encode(sink Sink, outcomes []Outcome) Encoded {
	if e, ok := sink.(Encoder); ok {
		return e.Encode(outcomes)
	}
	return oneByOne{sink}
}

type oneByOne struct{ sink Sink }

func (e oneByOne) Write(outcomes []Outcome) error {
	for i := range outcomes {
		if err := e.sink.Write(&outcomes[i]); err != nil {
			return err
		}
	}
	return nil
}
