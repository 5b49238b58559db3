package diff

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Run is a finished run.
type Run struct {
	Path     string // of its manifest
	Manifest *snapshot.Manifest
}

// Replay reads the users of a run again, as they were when it ran.
type Replay interface {
	// Row evaluates the user in that row of the input: own with the run's own flag configurations, and other with the
	// other run's. Both are sorted by flag key, and hold what the API would answer. Rows are asked for in ascending order.
	// ok is false where the row has no user.
	Row(number int64) (own, other []pipeline.Variant, ok bool, err error)
	Close() error
}

// Cause is what made a flag of a user change.
type Cause string

// The causes. Old user and new user mean the user's properties in BEFORE's input and in AFTER's.
const (
	CauseUnknown       Cause = ""
	CauseConfiguration Cause = "configuration" // the new configuration gives the old user what is new
	CauseUser          Cause = "user"          // the old configuration gives the new user what is new
	CauseEither        Cause = "either"        // each of them alone would have
	CauseBoth          Cause = "both"          // neither of them alone
	CauseUnclear       Cause = "unclear"       // evaluated again, the user does not get what the snapshot says
)

// Causes are those that are known, in the order in which they are shown.
var Causes = []Cause{CauseConfiguration, CauseUser, CauseBoth, CauseEither, CauseUnclear}

// unclear stands for what cannot be told.
var unclear = state{variant: ^uint32(0)}

// crossed is the user of AFTER evaluated again.
type crossed struct {
	own, other []pipeline.Variant
	ok         bool
}

// retell reads AFTER a second time, and tells of the changes. If somebody changed, and it can be done, their causes are
// found out: the changed users of BEFORE are evaluated with the other side's configuration first, those of AFTER while
// they are told of.
func (j *join) retell(ctx context.Context, changed bool) error {
	if changed && j.open == nil {
		var err error
		if len(j.before.retries)+len(j.after.retries) > 0 {
			err = errors.New("users of a retry are not evaluated again")
		} else if j.before.disordered+j.after.disordered > 0 {
			err = errors.New("the rows are not in the order of the input")
		} else {
			j.open, err = j.o.Causes(j.runs[0], j.runs[1])
		}
		if err != nil {
			j.open, j.causing = nil, false
			j.causeNote = "What made each user change is not known: " + err.Error() + "."
		}
	}
	if changed && j.open != nil {
		if err := j.evaluateBefore(ctx); err != nil {
			return err
		}
		after, err := j.open(true)
		if err != nil {
			return err
		}
		defer after.Close() //nolint:errcheck // only read
		j.crossed = func(u *snapshot.User) (c crossed, err error) {
			c.own, c.other, c.ok, err = after.Row(u.Row)
			return c, err
		}
	}
	if j.o.Each == nil && j.crossed == nil {
		return nil
	}
	for i := range j.users.n {
		j.users.at(i).after &= changedBit // it is counted once more
	}
	j.after.forget() // there may be payloads now that were not known before
	j.counting, j.telling = false, true
	return j.read(ctx, j.after, j.compare)
}

// evaluateBefore evaluates the changed users as they were, with the new configuration.
func (j *join) evaluateBefore(ctx context.Context) error {
	before, err := j.open(false)
	if err != nil {
		return err
	}
	defer before.Close() //nolint:errcheck // only read
	for i := range j.users.n {
		u := j.users.at(i)
		if u.after&changedBit == 0 {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		own, other, ok, err := before.Row(u.row)
		if err != nil {
			return err
		}
		for _, f := range j.order {
			was := f.states[f.codes.get(i)]
			x := j.evaluated(f, other)
			if !ok || j.evaluated(f, own) != was {
				x = unclear
			}
			f.cross.set(i, j.code(f, x))
		}
	}
	return nil
}

// cause is what made a flag of the i-th user what it is, with what payload.
func (j *join) cause(f *flag, i int, is state, payload string, c *crossed) Cause {
	x := f.states[f.cross.get(i)]
	if x == unclear || !c.ok || !j.gives(f, c.own, is, payload) {
		return CauseUnclear
	}
	configuration, user := x == is, j.gives(f, c.other, is, payload)
	switch {
	case configuration && user:
		return CauseEither
	case configuration:
		return CauseConfiguration
	case user:
		return CauseUser
	}
	return CauseBoth
}

// found is the variant of a flag, nil where there is none.
func found(variants []pipeline.Variant, flag string) *pipeline.Variant {
	i, ok := slices.BinarySearchFunc(variants, flag, func(v pipeline.Variant, key string) int { return strings.Compare(v.FlagKey, key) })
	if !ok {
		return nil
	}
	return &variants[i]
}

// evaluated is the state that an evaluation gives.
func (j *join) evaluated(f *flag, variants []pipeline.Variant) state {
	v := found(variants, f.name)
	if v == nil || j.wide && v.Key == "" {
		return state{}
	}
	st := state{variant: 1 + j.names.number(v.Key)}
	if j.experiments {
		st.experiment = j.names.number(v.ExperimentKey)
	}
	if j.payloads {
		st.payload = j.interned.number(canonical([]byte(v.Payload)), true)
	}
	return st
}

// gives reports whether an evaluation gives a state with that payload.
func (j *join) gives(f *flag, variants []pipeline.Variant, is state, payload string) bool {
	v := found(variants, f.name)
	if v == nil || j.wide && v.Key == "" {
		return is.variant == 0
	}
	return is.variant != 0 && v.Key == j.names.variant(is.variant) && (!j.experiments || v.ExperimentKey == j.names.texts[is.experiment]) &&
		(!j.payloads || string(canonical([]byte(v.Payload))) == payload)
}
