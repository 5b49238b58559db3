package local

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// Config is what an [Evaluator] needs. Only Engine must be set.
type Config struct {
	Engine  *engine.Engine
	Flags   []string         // the flags to evaluate; nil: all
	Cohorts *cohort.Set      // whose members are known; nil: none
	Now     func() time.Time // the time of an answer; nil: [time.Now]
}

// Evaluator evaluates users. It is safe for concurrent use, once Skip was called.
type Evaluator struct {
	Members *Membership
	Others  *Disagreements

	eng     *engine.Engine
	now     func() time.Time
	skipped map[string]bool
	scratch sync.Pool // of *evaluation
}

// evaluation is what the evaluation of a user needs.
type evaluation struct {
	variants []*engine.Variant
	differ   []int
	member   Scratch
}

// New returns an evaluator.
func New(c Config) (*Evaluator, error) {
	e := &Evaluator{eng: c.Engine, now: c.Now, Members: NewMembership(c.Cohorts, c.Engine.Cohorts(c.Flags))}
	if e.now == nil {
		e.now = time.Now
	}
	e.scratch.New = func() any { return new(evaluation) }
	var err error
	e.Others, err = NewDisagreements(c.Engine, c.Flags, e.Members)
	return e, err
}

// Skip leaves flags unanswered. Call it before the first Evaluate.
func (e *Evaluator) Skip(flags []string) {
	e.skipped = map[string]bool{}
	for _, flag := range flags {
		e.skipped[flag] = true
	}
}

// Evaluate returns the variants of a user, in no order. A user without an id is an
// error, as with the API.
func (e *Evaluator) Evaluate(_ context.Context, u *pipeline.User) (pipeline.Answer, error) {
	if u.UserID == "" && u.DeviceID == "" {
		return pipeline.Answer{}, pipeline.Errorf(pipeline.KindMissingID, "neither a user id nor a device id")
	}
	found := e.scratch.Get().(*evaluation)
	u = e.Members.Tell(u, &found.member)
	found.variants, found.differ = e.Others.cmp.Append(found.variants[:0], found.differ[:0], u)
	e.Others.count(found.differ)
	answer := pipeline.Answer{Variants: make([]pipeline.Variant, 0, len(found.variants)), At: e.now()}
	for _, v := range found.variants {
		if v.Answered() && !e.skipped[v.FlagKey] {
			answer.Variants = append(answer.Variants, v.Variant)
		}
	}
	e.scratch.Put(found)
	return answer, nil
}

// Answerable returns the flags that users can get, sorted.
func (e *Evaluator) Answerable() []string {
	keys := map[string]bool{}
	for _, v := range e.eng.Variants() {
		if v.Answered() && !e.skipped[v.FlagKey] {
			keys[v.FlagKey] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
