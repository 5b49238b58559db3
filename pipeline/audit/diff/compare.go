package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Options say what to compare. Only Before and After are needed.
type Options struct {
	Before, After string // outputs of finished runs, or their manifests

	// Retries are outputs of runs that asked again about the failed users of one of the two. They are read as parts of it.
	Retries []string

	Memory int64 // bytes that the join may take; 0: DefaultMemory
	Limit  *Limit

	// Each is called with every change: those of users who are in AFTER in its order, then those of users who are not.
	// With several passes, that is so in each of them. The Change is valid during the call.
	Each func(*Change) error

	// Configs reads the flag configurations that a run has kept. nil: they are not compared.
	Configs func(Run) ([]byte, error)

	// Causes makes it possible to say what made a user change; nil: it is not said. It is called at most once, if
	// somebody changed, with two runs whose flag configurations were read. What it returns opens the users of either. Its
	// error says why it cannot be told, and ends nothing.
	Causes func(before, after Run) (open func(after bool) (Replay, error), err error)
}

// DefaultMemory is what a join may take.
const DefaultMemory = 1 << 30

// Limit is how many users may have changed.
type Limit struct {
	Users   int64
	Share   float64 // of the users who are in both; instead of Users where IsShare is set
	IsShare bool
	Text    string // as it was asked for
}

// Outcomes of a [Change] and a [Transition], beside those of an assignment.
const (
	Assigned    = "assigned"
	NotAssigned = "not_assigned"
	Absent      = "absent"    // the flag, or the user, is not in that snapshot
	NotAsked    = "not_asked" // the run did not ask for the flag: what it would have answered is not known
)

// What a [Change] is.
const (
	VariantChanged    = "variant"
	PayloadChanged    = "payload"        // and the same variant
	ExperimentChanged = "experiment_key" // and the same variant and payload
	UserAdded         = "user_added"
	UserRemoved       = "user_removed"
	FlagNotAsked      = "not_asked" // one run did not ask for the flag, and the user has a variant in the other: no change
)

// Change is one flag of one user that is not what it was, or that only one of the runs asked for.
type Change struct {
	UserID, DeviceID    []byte // empty: null
	BeforeRow, AfterRow int64  // row_number; 0: the user is not in that snapshot
	Flag                string // "": the user has no flag at all
	What                string
	Before, After       Side
	Cause               Cause
}

// Side is what a user had of a flag before, or has after.
type Side struct {
	Outcome       string
	Variant       string // "": null
	Payload       string // JSON; "": null
	ExperimentKey string // "": null
}

// join is the comparison on its way.
type join struct {
	o             *Options
	before, after *side
	names         *names
	flags         map[string]*flag
	order         []*flag
	oneSided      bool // a flag is there that only one of the runs asked for

	wide, payloads, experiments bool // what both sides have

	// Of one pass.
	lo, hi   uint64 // the range of identities
	users    *users
	interned *payloads
	bytes    int64 // of states and codes
	hasher   hasher

	both, added, removed, changed int64
	distinct                      int // transitions
	passes                        int
	serial                        int64
	counting, telling             bool // what the second side is read for
	causing                       bool // causes are looked for; the changes are told in a reading of their own
	runs                          [2]Run
	open                          func(after bool) (Replay, error)
	crossed                       func(*snapshot.User) (crossed, error) // evaluates the user at hand; nil: causes are not known
	causeNote                     string
}

// errMemory ends a pass that takes more than it may.
var errMemory = errors.New("more than --memory allows")

const (
	maxPasses      = 1 << 14
	maxTransitions = 1 << 20
)

// Build compares two snapshots. Its errors are about what cannot be read; what is wrong with a snapshot is in the Report.
func Build(ctx context.Context, o Options) (*Report, error) {
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	j := &join{o: &o, names: newNames(), flags: map[string]*flag{}}
	var err error
	if j.before, err = open(o.Before, 0, o.Each != nil); err != nil {
		return nil, err
	}
	if j.after, err = open(o.After, 1, o.Each != nil); err != nil {
		return nil, err
	}
	if m := j.after.manifest; m != nil && m.Completes != nil && m.Completes.RunID == j.before.RunID {
		return nil, pipeline.WithHint(fmt.Errorf("%s asked again about the failed users of %s: together they are one snapshot", o.After, o.Before),
			"name another snapshot to compare with, before it: rollcall diff BEFORE "+o.Before+" "+o.After)
	}
	for _, path := range o.Retries {
		if err := addRetry(path, j.after, j.before); err != nil {
			return nil, err
		}
	}
	j.wide = j.before.wide || j.after.wide
	j.payloads = j.before.payloads && j.after.payloads
	j.experiments = !j.wide
	for _, s := range []*side{j.before, j.after} {
		for _, name := range slices.Sorted(maps.Keys(s.has)) {
			j.flag(name)
		}
	}
	configs := j.compareConfigs()

	width := uint64(math.MaxUint64) // of a pass, less 1
	if m := j.before.manifest; m != nil {
		need := m.Users.Answered * int64(userBytes+12+len(j.order))
		for n := need / o.Memory; n > 0 && width > math.MaxUint64/maxPasses; n /= 2 {
			width /= 2
		}
	}
	for {
		j.hi = j.lo + width
		if j.hi < j.lo {
			j.hi = math.MaxUint64
		}
		counted := j.before.counted
		err := j.pass(ctx)
		if errors.Is(err, errMemory) { // it was BEFORE that did not go in: nothing is counted yet but this
			j.before.counted = counted
			if width /= 2; width < math.MaxUint64/maxPasses {
				return nil, pipeline.WithHint(fmt.Errorf("the comparison takes %w", err), "give it more")
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		j.passes++
		if j.hi == math.MaxUint64 {
			return j.report(configs), nil
		}
		j.lo = j.hi + 1
	}
}

// flag is the flag of that name.
func (j *join) flag(name string) *flag {
	f := j.flags[name]
	if f == nil {
		f = &flag{name: name, index: map[state]uint32{}, states: make([]state, 1), seen: -1,
			transitions: map[uint64]int64{}, added: map[uint32]int64{}, removed: map[uint32]int64{}, causes: map[Cause]int64{}}
		switch {
		case j.before.asked && !j.before.has[name]:
			f.notAsked = NotAskedBefore
		case j.after.asked && !j.after.has[name]:
			f.notAsked = NotAskedAfter
		}
		j.oneSided = j.oneSided || f.notAsked != ""
		j.flags[name] = f
		j.order = append(j.order, f)
	}
	return f
}

// flagOf is the flag that a key of a file stands for.
func (j *join) flagOf(s *side, key snapshot.Key) *flag {
	for len(s.flags) <= int(key) {
		s.flags = append(s.flags, nil)
	}
	if s.flags[key] == nil {
		name := s.unescape(s.keys.Name(key))
		s.has[name] = true
		s.flags[key] = j.flag(name)
	}
	return s.flags[key]
}

// pass compares the users of one range of identities.
func (j *join) pass(ctx context.Context) error {
	expected := int64(0)
	if m := j.before.manifest; m != nil {
		expected = int64(float64(m.Users.Answered) * (float64(j.hi-j.lo) / math.MaxUint64) * 1.02)
	}
	j.users = newUsers(min(expected, j.o.Memory/userBytes))
	j.interned = &payloads{index: map[identity]uint32{}, keep: j.o.Each != nil}
	j.bytes = 0
	for _, f := range j.order {
		f.codes, f.cross = codes{}, codes{}
		clear(f.index)
		f.states = f.states[:1]
	}
	j.before.forget()
	j.after.forget()
	if err := j.read(ctx, j.before, j.remember); err != nil {
		return err
	}
	j.counting, j.telling, j.crossed = true, !j.causing, nil
	changed := j.changed
	if err := j.read(ctx, j.after, j.compare); err != nil {
		return err
	}
	if j.causing && (j.o.Each != nil || j.changed > changed) { // why is looked for only now, and then it is told
		if err := j.retell(ctx, j.changed > changed); err != nil {
			return err
		}
	}
	gone := int64(0)
	for i := range j.users.n {
		if j.users.at(i).after&^changedBit != 0 {
			continue
		}
		gone++
		for _, f := range j.order {
			if st := f.states[f.codes.get(i)]; st.variant != 0 {
				f.removed[st.variant]++
			}
		}
	}
	j.removed += gone
	if gone == 0 || j.o.Each == nil {
		return nil
	}
	return j.tellRemoved(ctx)
}

// read reads a snapshot, and calls each with the users of the pass.
func (j *join) read(ctx context.Context, s *side, each func(*snapshot.User, identity) error) error {
	if s.first { // once more, if memory did not suffice
		s.ids, s.Users = stats.Distinct{}, 0
	}
	for _, p := range s.parts() {
		if err := j.readPart(ctx, s, p, each); err != nil {
			return err
		}
	}
	s.first = false
	return nil
}

// readPart reads one file of a snapshot.
func (j *join) readPart(ctx context.Context, s, p *side, each func(*snapshot.User, identity) error) (err error) {
	r, err := p.open(j.payloads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var u snapshot.User
	var row, n int64
	for {
		if err := r.Next(&u); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		u.UserID, u.DeviceID = s.unescapeID(u.UserID), s.unescapeID(u.DeviceID)
		if s.first {
			if u.Row <= row {
				s.disordered++
			}
			row = u.Row
			if u.Differs != "" {
				s.differing, s.differs = s.differing+1, u.Differs
			}
		}
		id := j.hasher.identify(u.UserID, u.DeviceID)
		if s.first {
			s.ids.CountHash(id.hi)
		}
		if id.hi < j.lo || id.hi > j.hi {
			continue
		}
		if err := each(&u, id); err != nil {
			return err
		}
	}
	if s.first {
		s.Users, p.inFile, p.records = s.Users+n, n, r.Records()
	}
	return nil
}

// remember puts a user of BEFORE into memory.
func (j *join) remember(u *snapshot.User, id identity) error {
	if i := j.users.find(id); i >= 0 {
		first := j.users.at(i)
		first.before++
		j.before.twice++
		id = id.repeated(first.before)
	}
	i := j.users.add(id, u.Row)
	j.resolve(j.before, u)
	for k := range u.Assignments {
		f := j.flagOf(j.before, u.Assignments[k].Flag)
		j.bytes += f.codes.set(i, j.code(f, f.current))
	}
	if j.users.bytes+j.bytes+j.interned.bytes > j.o.Memory {
		return errMemory
	}
	return nil
}

// resolve makes the user at hand the current one of their flags.
func (j *join) resolve(s *side, u *snapshot.User) {
	j.serial++
	twice := false
	for k := range u.Assignments {
		a := &u.Assignments[k]
		f := j.flagOf(s, a.Flag)
		if f.seen == j.serial { // the first counts
			twice = true
			continue
		}
		f.seen, f.current = j.serial, j.lookup(s, a)
	}
	if twice && (s.number == 0 || j.counting) {
		s.repeated++
	}
}

// now is what the user at hand has of a flag.
func (j *join) now(f *flag) state {
	if f.seen == j.serial {
		return f.current
	}
	return state{}
}

// compare holds a user of AFTER against BEFORE.
func (j *join) compare(u *snapshot.User, id identity) error {
	i := j.users.find(id)
	if i >= 0 {
		first := j.users.at(i)
		first.after++
		if n := first.after &^ changedBit; n > 1 {
			if j.counting {
				j.after.twice++
			}
			if i = j.users.find(id.repeated(n)); i >= 0 {
				j.users.at(i).after++
			}
		}
	}
	j.resolve(j.after, u)
	if i < 0 {
		return j.add(u)
	}
	if j.counting {
		j.both++
		different := false
		for _, f := range j.order {
			was, is := f.states[f.codes.get(i)], j.now(f)
			if was == is {
				if is.variant != 0 {
					j.transition(f, is, is)
				}
				continue
			}
			j.transition(f, was, is)
			if f.notAsked != "" {
				continue // what the run would have answered is not known
			}
			different = true
			f.changed++
			switch whatChanged(was, is) {
			case PayloadChanged:
				f.payload++
			case ExperimentChanged:
				f.experiment++
			}
		}
		if different {
			j.changed++
			j.users.at(i).after |= changedBit
		}
		if j.distinct > maxTransitions {
			return fmt.Errorf("users go from and to more than %d different variants", maxTransitions)
		}
	}
	if changed := j.users.at(i).after&changedBit != 0; j.telling && (changed || j.oneSided) {
		return j.tell(u, i, changed)
	}
	return nil
}

// add counts, or tells of, a user who is not in BEFORE.
func (j *join) add(u *snapshot.User) error {
	if j.counting {
		j.added++
		for _, f := range j.order {
			if st := j.now(f); st.variant != 0 {
				f.added[st.variant]++
			}
		}
	}
	if !j.telling || j.o.Each == nil {
		return nil
	}
	none := true
	for k := range u.Assignments {
		a := &u.Assignments[k]
		f := j.flagOf(j.after, a.Flag)
		if f.seen != j.serial || f.current.variant == 0 {
			continue
		}
		none = false
		c := Change{UserID: u.UserID, DeviceID: u.DeviceID, AfterRow: u.Row, Flag: f.name, What: UserAdded,
			Before: Side{Outcome: Absent}, After: j.side(j.after, f, f.current, string(canonical(a.Payload)))}
		f.seen = 0 // once
		if err := j.o.Each(&c); err != nil {
			return err
		}
	}
	if none {
		return j.o.Each(&Change{UserID: u.UserID, DeviceID: u.DeviceID, AfterRow: u.Row, What: UserAdded,
			Before: Side{Outcome: Absent}, After: Side{Outcome: NotAssigned}})
	}
	return nil
}

// whatChanged is the first thing that did.
func whatChanged(was, is state) string {
	switch {
	case was.variant != is.variant:
		return VariantChanged
	case was.payload != is.payload:
		return PayloadChanged
	}
	return ExperimentChanged
}

func (j *join) transition(f *flag, was, is state) {
	key := uint64(was.variant)<<32 | uint64(is.variant)
	n := len(f.transitions)
	f.transitions[key]++
	j.distinct += len(f.transitions) - n
}

// side is one side of a change. The payload is a text where its number has none.
func (j *join) side(s *side, f *flag, st state, payload string) Side {
	out := Side{Outcome: Assigned, Variant: j.names.variant(st.variant), ExperimentKey: j.names.texts[st.experiment]}
	if st.payload != 0 && j.payloads {
		out.Payload = payload
	}
	if st.variant == 0 {
		out.Outcome = j.nothing(s, f)
	}
	return out
}

// nothing is the outcome of users who have no variant of a flag in a snapshot.
func (j *join) nothing(s *side, f *flag) string {
	switch {
	case s == j.before && f.notAsked == NotAskedBefore, s == j.after && f.notAsked == NotAskedAfter:
		return NotAsked
	case s.has[f.name]:
		return NotAssigned
	}
	return Absent
}

// tell tells of a user who is in both, and has changed or has a flag that only one run asked for, and counts the causes.
func (j *join) tell(u *snapshot.User, i int, changed bool) error {
	if j.o.Each == nil && j.crossed == nil {
		return nil
	}
	var cross crossed
	if j.crossed != nil && changed {
		var err error
		if cross, err = j.crossed(u); err != nil {
			return err
		}
	}
	for _, f := range j.order {
		was, is := f.states[f.codes.get(i)], j.now(f)
		if was == is {
			continue
		}
		payload := ""
		for k := range u.Assignments {
			if j.flagOf(j.after, u.Assignments[k].Flag) == f {
				payload = string(canonical(u.Assignments[k].Payload))
				break
			}
		}
		cause, what := CauseUnknown, whatChanged(was, is)
		switch {
		case f.notAsked != "":
			what = FlagNotAsked
		case j.crossed != nil:
			cause = j.cause(f, i, is, payload, &cross)
			f.causes[cause]++
		}
		if j.o.Each == nil {
			continue
		}
		c := Change{UserID: u.UserID, DeviceID: u.DeviceID, BeforeRow: j.users.at(i).row, AfterRow: u.Row, Flag: f.name, What: what,
			Before: j.side(j.before, f, was, j.interned.text(was.payload)), After: j.side(j.after, f, is, payload), Cause: cause}
		if err := j.o.Each(&c); err != nil {
			return err
		}
	}
	return nil
}

// tellRemoved tells of the users of BEFORE who are not in AFTER.
func (j *join) tellRemoved(ctx context.Context) error {
	i := -1
	return j.read(ctx, j.before, func(u *snapshot.User, _ identity) error {
		i++ // users have their numbers in the order in which they were read
		if i >= j.users.n {
			return fmt.Errorf("%s changed while it was read", j.before.Path)
		}
		if j.users.at(i).after&^changedBit != 0 {
			return nil
		}
		none := true
		for _, f := range j.order {
			was := f.states[f.codes.get(i)]
			if was.variant == 0 {
				continue
			}
			none = false
			c := Change{UserID: u.UserID, DeviceID: u.DeviceID, BeforeRow: u.Row, Flag: f.name, What: UserRemoved,
				Before: j.side(j.before, f, was, j.interned.text(was.payload)), After: Side{Outcome: Absent}}
			if err := j.o.Each(&c); err != nil {
				return err
			}
		}
		if none {
			return j.o.Each(&Change{UserID: u.UserID, DeviceID: u.DeviceID, BeforeRow: u.Row, What: UserRemoved,
				Before: Side{Outcome: NotAssigned}, After: Side{Outcome: Absent}})
		}
		return nil
	})
}
