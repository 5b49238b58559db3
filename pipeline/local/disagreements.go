package local

import (
	"iter"
	"sync/atomic"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// Disagreements counts, for each flag, the users to whom the other of Amplitude's engines gives another answer. It is a
// [pipeline.Sink], for users who are evaluated elsewhere.
type Disagreements struct {
	Members *Membership // of cohorts that files give

	eng   *engine.Engine
	cmp   *engine.Comparison
	users []atomic.Int64 // by flag

	// For Write, which one goroutine calls.
	variants []*engine.Variant
	differ   []int
	member   Scratch
}

// NewDisagreements compares the answers for some flags, or all if flags is nil.
func NewDisagreements(eng *engine.Engine, flags []string, members *Membership) (*Disagreements, error) {
	d := &Disagreements{Members: members, eng: eng, users: make([]atomic.Int64, len(eng.Flags()))}
	var err error
	d.cmp, err = eng.Plan(flags).Compare()
	return d, err
}

// count counts a user for whom these flags differ.
func (d *Disagreements) count(differ []int) {
	for _, flag := range differ {
		d.users[flag].Add(1)
	}
}

// Write counts the user of an outcome.
func (d *Disagreements) Write(o *pipeline.Outcome) error {
	if o.Err == nil && o.Row.Err == nil {
		d.variants, d.differ = d.cmp.Append(d.variants[:0], d.differ[:0], d.Members.Tell(&o.Row.User, &d.member))
		d.count(d.differ)
	}
	return nil
}

// Close does nothing.
func (d *Disagreements) Close() error { return nil }

// Semantics returns those of the other engine.
func (d *Disagreements) Semantics() engine.Semantics { return d.cmp.Semantics() }

// NotCompared returns the flags that the other engine cannot evaluate.
func (d *Disagreements) NotCompared() []string { return d.cmp.Skipped() }

// Users yields how many users were counted so far for each flag that has some, in the order of the configurations.
func (d *Disagreements) Users() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for i, f := range d.eng.Flags() {
			if n := d.users[i].Load(); n > 0 && !yield(f.Key, n) {
				return
			}
		}
	}
}
