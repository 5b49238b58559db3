package pipelinetest

import (
	"context"
	"fmt"
	"io"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Rows is a source of N users, user-1 to user-N.
type Rows struct {
	N      int64
	Change func(row *pipeline.Row) // if set, sees every row before it is handed out
	Err    error                   // what comes after the last row; nil: io.EOF

	read int64
}

// Next yields the next user.
func (r *Rows) Next(row *pipeline.Row) error {
	if r.read == r.N {
		if r.Err != nil {
			return r.Err
		}
		return io.EOF
	}
	r.read++
	*row = pipeline.Row{Number: r.read, User: pipeline.User{UserID: fmt.Sprintf("user-%d", r.read)}}
	if r.Change != nil {
		r.Change(row)
	}
	return nil
}

// Close does nothing.
func (r *Rows) Close() error { return nil }

// EvaluatorFunc is an evaluator that is a function.
type EvaluatorFunc func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error)

// Evaluate calls the function.
func (f EvaluatorFunc) Evaluate(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
	return f(ctx, u)
}

// SinkFunc is a sink that is a function. It has nothing to close.
type SinkFunc func(o *pipeline.Outcome) error

// Write calls the function.
func (f SinkFunc) Write(o *pipeline.Outcome) error { return f(o) }

// Close does nothing.
func (f SinkFunc) Close() error { return nil }
