package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// numbers is a source of n users.
type numbers struct{ n, at int64 }

func (s *numbers) Next(row *pipeline.Row) error {
	if s.at == s.n {
		return io.EOF
	}
	s.at++
	*row = pipeline.Row{Number: s.at, User: pipeline.User{UserID: fmt.Sprintf("user-%d", s.at)}}
	return nil
}

func (s *numbers) Close() error { return nil }

// even is an evaluator that gives every second user a variant, and fails for one.
type even struct{}

func (even) Evaluate(_ context.Context, u *pipeline.User) (pipeline.Answer, error) {
	switch u.UserID {
	case "user-2", "user-4":
		return pipeline.Answer{Variants: []pipeline.Variant{{FlagKey: "checkout", Key: "treatment"}}}, nil
	case "user-3":
		return pipeline.Answer{}, pipeline.Errorf(pipeline.KindRejected, "the API refused the request")
	}
	return pipeline.Answer{}, nil
}

// printer is a sink.
type printer struct{}

func (printer) Write(o *pipeline.Outcome) error {
	if o.Err != nil {
		fmt.Println(o.Row.Number, o.Err.Kind)
		return nil
	}
	for _, a := range o.Assignments {
		fmt.Printf("%d %s %s assigned: %v\n", o.Row.Number, a.FlagKey, a.Key, a.Assigned)
	}
	return nil
}

func (printer) Close() error { return nil }

// Outcomes come in input order, with any number of workers. A user who fails is an outcome, too.
func ExamplePipeline_Run() {
	p := pipeline.Pipeline{Source: &numbers{n: 4}, Evaluator: even{}, Sink: printer{}, Flags: []string{"checkout"},
		Workers: 8, Window: 64}
	stats, err := p.Run(context.Background())
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	fmt.Printf("%d read, %d answered, %d failed\n", stats.Read, stats.Answered, stats.Failed)
	// Output:
	// 1 checkout  assigned: false
	// 2 checkout treatment assigned: true
	// 3 rejected
	// 4 checkout treatment assigned: true
	// 4 read, 3 answered, 1 failed
}
