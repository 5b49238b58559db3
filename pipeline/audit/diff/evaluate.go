package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sources"
)

// reruns evaluate the users of BEFORE and of AFTER once more; nil: causes are not known, or were not needed yet.
type reruns [2]*rerun

// rerun evaluates the users of a run once more, from its inputs.
type rerun struct {
	files   []sources.File // pinned
	sums    []sources.Sum  // what the run read
	options sources.Options
	plans   [2]*engine.Plan // of its own configurations, and of the other run's

	src     *sources.Input
	row     pipeline.Row
	buf     []*engine.Variant
	answers [2][]pipeline.Variant
}

// evaluation is what a user gets: with the run's own configurations, and with the other run's. Both are sorted by flag
// key, and hold what the API would answer. ok is false where the input has no such user.
type evaluation struct {
	own, other []pipeline.Variant
	ok         bool
}

// openReruns finds the inputs of both runs. It is an error if they are not what the runs read.
func (c *comparison) openReruns(ctx context.Context) (err error) {
	switch {
	case len(c.before.files)+len(c.after.files) > 2:
		return errors.New("users of a retry are not evaluated again")
	case c.before.disordered() || c.after.disordered():
		return errors.New("the rows are not in the order of the input")
	}
	for i, s := range c.sides() {
		if c.reruns[i], err = newRerun(ctx, c.o.Files, s.files[0].Run); err != nil {
			return err
		}
	}
	for i, s := range c.sides() {
		semantics, err := engine.ParseSemantics(s.files[0].Run.Manifest.EngineSemantics())
		if err != nil {
			return err
		}
		eng, err := engine.ParseLenient(c.configs[i], semantics)
		if err != nil {
			return err
		}
		c.reruns[i].plans[0], c.reruns[1-i].plans[1] = eng.Plan(nil), eng.Plan(nil)
	}
	return nil
}

// newRerun finds the inputs of a run.
func newRerun(ctx context.Context, files *blob.Files, run *snapshot.Run) (*rerun, error) {
	m := run.Manifest
	r := &rerun{options: sources.Options{Format: m.Options.Text("input-format"),
		NoHeader: m.Options.Text("no-header") == "true", Pad: m.Options.Text("ragged") == "pad"}}
	var err error
	if text := m.Options.Text("delimiter"); text != "" {
		if r.options.Delimiter, err = sources.ParseDelimiter(text); err != nil {
			return nil, fmt.Errorf("%s: %w", run.ManifestPath, err)
		}
	}
	if r.options.Mapping, err = sources.ParseMapping(m.Options.List("map"), m.Options.List("types"),
		m.Options.List("properties")); err != nil {
		return nil, fmt.Errorf("%s: %w", run.ManifestPath, err)
	}
	r.options.Mapping.Trim, r.options.Mapping.MissingEmpty = m.Options.Text("trim") == "true",
		m.Options.Text("missing") == "empty"
	inputs, err := run.Inputs(ctx)
	if err != nil {
		return nil, err
	}
	for _, in := range inputs {
		f := sources.File{Path: in.Path, Name: in.File.Path}
		if files.InStore(in.Path) {
			if f.Object, err = files.Object(in.Path); err != nil {
				return nil, err
			}
		}
		r.files = append(r.files, f)
		r.sums = append(r.sums, sources.Sum{Bytes: in.File.Bytes, SHA256: in.File.SHA256})
	}
	return r, sources.Pin(ctx, r.files)
}

func (r *reruns) unpin() {
	for _, rerun := range r {
		if rerun != nil {
			sources.Unpin(rerun.files)
		}
	}
}

// openInput opens the input at its first row.
func (r *rerun) openInput() (err error) {
	r.row.Number = 0
	r.src, err = sources.Open(r.files, r.options)
	return err
}

// closeInput closes it. It is an error if what was read is not what the run had read.
func (r *rerun) closeInput() error {
	sums, err := r.src.ReadRest()
	if err == nil && !slices.Equal(sums, r.sums) {
		err = &sources.ChangedError{File: r.files[0].String()}
	}
	return errors.Join(err, r.src.Close())
}

// evaluate evaluates the user in that row of the input. Rows are asked for in ascending order.
func (r *rerun) evaluate(number int64) (e evaluation, err error) {
	for r.row.Number < number {
		if err := r.src.Next(&r.row); errors.Is(err, io.EOF) {
			return e, nil
		} else if err != nil {
			return e, err
		}
	}
	if r.row.Number != number || r.row.Err != nil {
		return e, nil
	}
	for i, plan := range r.plans {
		r.buf = plan.Append(r.buf[:0], &r.row.User)
		r.answers[i] = r.answers[i][:0]
		for _, v := range r.buf {
			if v.Answered() {
				r.answers[i] = append(r.answers[i], v.Variant)
			}
		}
	}
	return evaluation{r.answers[0], r.answers[1], true}, nil
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

// unclear is the state of users of BEFORE who, evaluated again, do not get what the snapshot says.
var unclear = state{variant: ^uint32(0)}

// findCauses reads AFTER a second time, and lists the changes. If users changed in this pass, it finds the causes,
// where that is possible: it evaluates the changed users of BEFORE with the other configuration first, and those of
// AFTER while it lists them.
func (c *comparison) findCauses(ctx context.Context, changed bool) (err error) {
	if changed && c.reruns[0] == nil {
		if err := c.openReruns(ctx); err != nil {
			c.causes, c.causeNote = false, err.Error()
			c.reruns.unpin()
			c.reruns = reruns{}
		}
	}
	evaluate := changed && c.causes
	if evaluate {
		if err := c.evaluateBefore(ctx); err != nil {
			return err
		}
		after := c.reruns[1]
		if err := after.openInput(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, after.closeInput()) }()
	}
	if !evaluate && c.o.Each == nil {
		return nil
	}
	for i := range c.users.n {
		c.users.user(i).after &= changedBit // users are matched anew
	}
	c.after.clearPayloads() // some may have a number now that had none before
	c.counting, c.listing = false, true
	return c.readUsers(ctx, c.after, c.compareUser)
}

// evaluateBefore evaluates the changed users of BEFORE with both configurations.
func (c *comparison) evaluateBefore(ctx context.Context) (err error) {
	before := c.reruns[0]
	if err := before.openInput(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, before.closeInput()) }()
	for i := range c.users.n {
		u := c.users.user(i)
		if !u.changed() {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		e, err := before.evaluate(u.row)
		if err != nil {
			return err
		}
		for _, f := range c.order {
			st := c.evaluatedState(f, e.other)
			if !e.ok || c.evaluatedState(f, e.own) != f.states[f.codes.get(i)] {
				st = unclear
			}
			f.evaluated.set(i, c.codeOf(f, st))
		}
	}
	return nil
}

// causeOf is what made a flag of the i-th user what it is now, with that payload; e is the user of AFTER evaluated
// again.
func (c *comparison) causeOf(f *flag, i int, is state, payload string, e *evaluation) Cause {
	st := f.states[f.evaluated.get(i)]
	if st == unclear || !e.ok || !c.hasState(f, e.own, is, payload) {
		return CauseUnclear
	}
	configuration, user := st == is, c.hasState(f, e.other, is, payload)
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

// findVariant is the variant of a flag in an evaluation, nil where there is none.
func (c *comparison) findVariant(f *flag, variants []pipeline.Variant) *pipeline.Variant {
	i, ok := slices.BinarySearchFunc(variants, f.name,
		func(v pipeline.Variant, key string) int { return strings.Compare(v.FlagKey, key) })
	if !ok || c.wide && variants[i].Key == "" {
		return nil
	}
	return &variants[i]
}

// evaluatedState is the state of a flag in an evaluation.
func (c *comparison) evaluatedState(f *flag, variants []pipeline.Variant) (st state) {
	v := c.findVariant(f, variants)
	if v == nil {
		return st
	}
	st.variant = 1 + c.findNumber(v.Key)
	if c.experiments {
		st.experiment = c.findNumber(v.ExperimentKey)
	}
	if c.payloads {
		st.payload = c.interned.numberOf(canonicalize([]byte(v.Payload)), true)
	}
	return st
}

// hasState reports whether a flag has a state in an evaluation, with that payload.
func (c *comparison) hasState(f *flag, variants []pipeline.Variant, is state, payload string) bool {
	v := c.findVariant(f, variants)
	if v == nil || is.variant == 0 {
		return v == nil && is.variant == 0
	}
	return v.Key == c.variantName(is.variant) && (!c.experiments || v.ExperimentKey == c.keys.Name(snapshot.Key(is.experiment))) &&
		(!c.payloads || string(canonicalize([]byte(v.Payload))) == payload)
}
