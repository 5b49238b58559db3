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
	Change func(row *pipeline.Row) // if set, is called with each row before Next returns it
	Err    error                   // what Next returns after the last row; nil for io.EOF

	read int64
}

// Next fills row with the next user.
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

// EvaluatorFunc is a function that serves as an evaluator.
type EvaluatorFunc func(ctx context.Context, u *pipeline.User) (pipeline.Answer, error)

// Evaluate calls f.
func (f EvaluatorFunc) Evaluate(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
	return f(ctx, u)
}

// SinkFunc is a function that serves as a sink. It has nothing to close.
type SinkFunc func(o *pipeline.Outcome) error

// Write calls f.
func (f SinkFunc) Write(o *pipeline.Outcome) error { return f(o) }

// Close does nothing.
func (f SinkFunc) Close() error { return nil }
