package pipeline

import (
	"errors"
	"fmt"
)

// Kind says why one user failed. Its values are those of the column kind in the error records.
type Kind string

// The kinds of failure that belong to one user.
const (
	KindBadRow         Kind = "bad_row"          // the row does not decode
	KindMissingID      Kind = "missing_id"       // the row has neither a user id nor a device id
	KindInvalidContext Kind = "invalid_context"  // the context is not a JSON object that the API accepts
	KindRequestTooLong Kind = "request_too_long" // the request exceeds the URL limit; nothing was sent
	KindRejected       Kind = "rejected"         // the API refused this request, with a status such as 400
	KindBadAnswer      Kind = "bad_answer"       // the API's answers could not be used
	KindUnavailable    Kind = "unavailable"      // all attempts for this user failed, while other users were answered
)

// Kinds lists all kinds, in the order in which they are reported.
var Kinds = []Kind{KindBadRow, KindMissingID, KindInvalidContext, KindRequestTooLong, KindRejected, KindBadAnswer,
	KindUnavailable}

// UserError is the failure of one user. It never ends a run.
//
// Message names rows, lines and columns, never the user: messages are also logged, and ids belong only in the error
// records.
type UserError struct {
	Kind       Kind
	HTTPStatus int // of the last answer; 0 if there was none
	Attempts   int // requests sent
	Message    string
}

// Error returns the kind and the message.
func (e *UserError) Error() string { return string(e.Kind) + ": " + e.Message }

// Errorf returns a UserError without a status. It formats like [fmt.Sprintf].
func Errorf(kind Kind, format string, args ...any) *UserError {
	return &UserError{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// ErrStopped is what an evaluator returns for a user it did not ask about because the run is to end: see
// [Pipeline.Stop]. Neither the user nor the run fails.
var ErrStopped = errors.New("stopped before this user was asked")

// hinted is an error with a hint.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// WithHint adds a hint to err: what the person at the terminal can do about it. The command prints the hint on a line
// of its own; the text of err does not change. A nil err stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// Hint returns the outermost hint of err, or "".
func Hint(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	return ""
}
