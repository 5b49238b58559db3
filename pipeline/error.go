package pipeline

import (
	"errors"
	"fmt"
)

// Kind says what went wrong with one user. The values are those of the error records.
type Kind string

// The kinds of failure that belong to one user.
const (
	KindBadRow         Kind = "bad_row"          // the row does not decode
	KindMissingID      Kind = "missing_id"       // neither a user id nor a device id
	KindInvalidContext Kind = "invalid_context"  // the context is no JSON object that the API takes
	KindRequestTooLong Kind = "request_too_long" // over the URL limit; nothing was sent
	KindRejected       Kind = "rejected"         // the API refused this request: 400 and its like
	KindBadAnswer      Kind = "bad_answer"       // the API's answers could not be used
	KindUnavailable    Kind = "unavailable"      // this user's attempts ran out while others went through
)

// Kinds are all kinds, in the order in which they are reported.
var Kinds = []Kind{KindBadRow, KindMissingID, KindInvalidContext, KindRequestTooLong, KindRejected, KindBadAnswer, KindUnavailable}

// UserError is the failure of one user. It never ends a run.
//
// Message names rows, lines and columns, never the user: it is also logged, and the ids belong in the error
// records alone.
type UserError struct {
	Kind       Kind
	HTTPStatus int // the last answer's; 0: none came
	Attempts   int // on the wire
	Message    string
}

// Error says the kind and the message.
func (e *UserError) Error() string { return string(e.Kind) + ": " + e.Message }

// Errorf makes a UserError without a status. It formats like [fmt.Sprintf].
func Errorf(kind Kind, format string, args ...any) *UserError {
	return &UserError{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// ErrStopped is what an evaluator returns for a user who was not asked, because the run is to end: see
// [Pipeline.Stop]. It does not fail the user, nor the run.
var ErrStopped = errors.New("stopped before this user was asked")

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// WithHint adds to err what the person at the terminal can do about it; the command prints it on a line of
// its own. The text of err does not change. A nil err stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// Hint is the outermost hint of err, or "".
func Hint(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	return ""
}
