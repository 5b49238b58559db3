package diff

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// comparison is one call of [Compare].
type comparison struct {
	o             *Options
	before, after *side
	keys          *snapshot.Keys // of both; emptyKey is ""
	flags         map[string]*flag
	order         []*flag
	oneSided      bool // only one of the runs asked for some flag

	wide, payloads, experiments bool // what both sides have

	// Of one pass.
	lo, hi   uint64 // the range of identities
	users    *users
	interned *payloads
	bytes    int64 // of states and codes
	hasher   hasher

	both, added, removed, changed int64 // users
	transitions                   int   // different ones, of all flags
	passes                        int
	current                       int64 // number of the current user
	counting, listing             bool  // what AFTER is read for

	causes    bool   // AFTER is read a second time, for the causes, and changes are listed only then
	causeNote string // why causes are not known
	configs   [2][]byte
	reruns    reruns
}

// errMemory ends a pass that needs more memory than it may use.
var errMemory = errors.New("more than --memory allows")

const (
	maxPasses      = 1 << 14
	maxTransitions = 1 << 20
)

// newComparison opens both snapshots.
func newComparison(ctx context.Context, o *Options) (*comparison, error) {
	c := &comparison{o: o, keys: &snapshot.Keys{}, flags: map[string]*flag{}}
	if _, err := c.keys.Intern(""); err != nil {
		return nil, err
	}
	var err error
	if c.before, err = openSide(ctx, o.Files, o.Before, 0, c.keys, o.Each != nil); err != nil {
		return nil, err
	}
	if c.after, err = openSide(ctx, o.Files, o.After, 1, c.keys, o.Each != nil); err != nil {
		return nil, err
	}
	if m := c.after.files[0].Manifest; m != nil && m.Completes != nil && m.Completes.RunID == c.before.RunID {
		return nil, pipeline.WithHint(fmt.Errorf("%s asked again about the failed users of %s: together they are one snapshot",
			o.After, o.Before), "name another snapshot to compare with, before it: rollcall diff BEFORE "+o.Before+" "+o.After)
	}
	for _, path := range o.Retries {
		if err := addRetry(ctx, o.Files, path, c.after, c.before); err != nil {
			return nil, err
		}
	}
	c.wide = c.before.wide || c.after.wide
	c.payloads = c.before.payloads && c.after.payloads
	c.experiments = !c.wide
	for _, s := range c.sides() {
		for _, name := range slices.Sorted(maps.Keys(s.flags)) {
			c.addFlag(name)
		}
	}
	return c, nil
}

func (c *comparison) sides() []*side { return []*side{c.before, c.after} }

// addFlag is the flag of that name, which is added if it is not known.
func (c *comparison) addFlag(name string) *flag {
	f := c.flags[name]
	if f == nil {
		f = &flag{name: name, index: map[state]uint32{}, states: make([]state, 1), seen: -1,
			transitions: map[uint64]int64{}, causes: map[Cause]int64{}}
		switch {
		case c.before.asked && !c.before.flags[name]:
			f.notAsked = NotAskedBefore
		case c.after.asked && !c.after.flags[name]:
			f.notAsked = NotAskedAfter
		}
		c.oneSided = c.oneSided || f.notAsked != ""
		c.flags[name] = f
		c.order = append(c.order, f)
	}
	return f
}

// flagOf is the flag that a key stands for, which is one of that side.
func (c *comparison) flagOf(s *side, key snapshot.Key) *flag {
	for len(s.byKey) <= int(key) {
		s.byKey = append(s.byKey, nil)
	}
	if s.byKey[key] == nil {
		name := c.keys.Name(key)
		s.flags[name] = true
		s.byKey[key] = c.addFlag(name)
	}
	return s.byKey[key]
}

// comparePasses compares all users: those of one range of identities in each pass, as many as fit into memory.
func (c *comparison) comparePasses(ctx context.Context) error {
	width := uint64(math.MaxUint64) // of a pass, less 1
	need := c.expectedUsers() * int64(userBytes+12+len(c.order))
	for n := need / c.o.Memory; n > 0 && width > math.MaxUint64/maxPasses; n /= 2 {
		width /= 2
	}
	for {
		if c.hi = c.lo + width; c.hi < c.lo {
			c.hi = math.MaxUint64
		}
		duplicates := c.before.duplicates
		switch err := c.comparePass(ctx); {
		case errors.Is(err, errMemory): // while BEFORE was read, so nothing else was counted
			c.before.duplicates = duplicates
			if width /= 2; width < math.MaxUint64/maxPasses {
				return pipeline.WithHint(fmt.Errorf("the comparison takes %w", err), "give it more")
			}
		case err != nil:
			return err
		default:
			c.passes++
			if c.hi == math.MaxUint64 {
				return nil
			}
			c.lo = c.hi + 1
		}
	}
}

// comparePass compares the users of one range of identities: it stores those of BEFORE, compares those of AFTER with
// them, and counts those of BEFORE that AFTER does not have.
func (c *comparison) comparePass(ctx context.Context) error {
	expected := int64(float64(c.expectedUsers()) * (float64(c.hi-c.lo) / math.MaxUint64) * 1.02)
	c.users = newUsers(min(expected, c.o.Memory/userBytes))
	c.interned = &payloads{index: map[identity]uint32{}, keep: c.o.Each != nil}
	c.bytes = 0
	for _, f := range c.order {
		f.codes, f.evaluated = codes{}, codes{}
		clear(f.index)
		f.states = f.states[:1]
	}
	c.before.clearPayloads()
	c.after.clearPayloads()
	if err := c.readUsers(ctx, c.before, c.storeUser); err != nil {
		return err
	}
	c.counting, c.listing = true, !c.causes && c.o.Each != nil
	changed := c.changed
	if err := c.readUsers(ctx, c.after, c.compareUser); err != nil {
		return err
	}
	if c.causes {
		if err := c.findCauses(ctx, c.changed > changed); err != nil {
			return err
		}
	}
	if c.countRemoved() == 0 || c.o.Each == nil {
		return nil
	}
	return c.listRemoved(ctx)
}

// readUsers reads a snapshot, and calls each with the users of the pass.
func (c *comparison) readUsers(ctx context.Context, s *side, each func(*snapshot.User, identity) error) error {
	if s.first { // once more, if memory did not suffice
		s.ids, s.Users = stats.Distinct{}, 0
	}
	for _, f := range s.files {
		if s.first {
			f.users = 0
		}
		if err := c.readFile(ctx, s, f, each); err != nil {
			return err
		}
	}
	s.first = false
	return nil
}

func (c *comparison) readFile(ctx context.Context, s *side, f *file,
	each func(*snapshot.User, identity) error) (err error) {
	if err := s.openReader(f, c.payloads, s.first); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.reader.Close()) }()
	return f.reader.Each(ctx, func(u *snapshot.User) error {
		if s.first {
			f.users++
		}
		if !c.isCompared(u) {
			return nil
		}
		id := c.hasher.identify(u.UserID, u.DeviceID)
		if s.first {
			s.Users++
			s.ids.CountHash(id.hi)
		}
		if id.hi < c.lo || id.hi > c.hi {
			return nil
		}
		return each(u, id)
	})
}

// isCompared reports whether a user is one of those who are compared.
func (c *comparison) isCompared(u *snapshot.User) bool {
	return c.o.Only == nil || slices.ContainsFunc(c.o.Only, func(members *cohort.Cohort) bool {
		_, ok := members.Lookup(u.UserID)
		return ok
	})
}

// expectedUsers is how many users of BEFORE are compared, at most; 0 if that is not known.
func (c *comparison) expectedUsers() int64 {
	n := c.before.answered()
	if c.o.Only == nil {
		return n
	}
	var members int64
	for _, only := range c.o.Only {
		members += int64(only.Size())
	}
	return min(n, members)
}

// storeUser puts a user of BEFORE into memory.
func (c *comparison) storeUser(u *snapshot.User, id identity) error {
	if i := c.users.findUser(id); i >= 0 {
		first := c.users.user(i)
		first.before++
		c.before.duplicates++
		id = id.repeated(first.before)
	}
	i := c.users.insertUser(id, u.Row)
	c.setCurrent(c.before, u)
	for k := range u.Assignments {
		f := c.flagOf(c.before, u.Assignments[k].Flag)
		c.bytes += f.codes.set(i, c.codeOf(f, f.current))
	}
	if c.users.bytes+c.bytes+c.interned.bytes > c.o.Memory {
		return errMemory
	}
	return nil
}

// setCurrent makes u the current user, and notes what they have of each flag.
func (c *comparison) setCurrent(s *side, u *snapshot.User) {
	c.current++
	for k := range u.Assignments {
		a := &u.Assignments[k]
		if f := c.flagOf(s, a.Flag); f.seen != c.current { // the first one of a flag counts
			f.seen, f.current = c.current, c.stateOf(s, a)
		}
	}
}

// currentState is what the current user has of a flag.
func (c *comparison) currentState(f *flag) state {
	if f.seen == c.current {
		return f.current
	}
	return state{}
}

// compareUser compares a user of AFTER with the same user of BEFORE.
func (c *comparison) compareUser(u *snapshot.User, id identity) error {
	i := c.matchUser(id)
	c.setCurrent(c.after, u)
	if i < 0 {
		if c.counting {
			c.countAdded()
		}
		if c.listing && c.o.Each != nil {
			return c.listAdded(u)
		}
		return nil
	}
	if c.counting {
		c.countUser(i)
		if c.transitions > maxTransitions {
			return fmt.Errorf("users go from and to more than %d different variants", maxTransitions)
		}
	}
	if changed := c.users.user(i).changed(); c.listing && (changed || c.oneSided) {
		return c.listChanges(u, i, changed)
	}
	return nil
}

// matchUser finds the user of BEFORE with that identity, and marks them as matched; -1 if there is none. Of users who
// share it, the second of AFTER is matched with the second of BEFORE.
func (c *comparison) matchUser(id identity) int {
	i := c.users.findUser(id)
	if i < 0 {
		return i
	}
	first := c.users.user(i)
	first.after++
	if n := first.matches(); n > 1 {
		if c.counting {
			c.after.duplicates++
		}
		if i = c.users.findUser(id.repeated(n)); i >= 0 {
			c.users.user(i).after++
		}
	}
	return i
}

// countUser counts the current user of AFTER, who is the i-th of BEFORE.
func (c *comparison) countUser(i int) {
	c.both++
	different := false
	for _, f := range c.order {
		was, is := f.states[f.codes.get(i)], c.currentState(f)
		if was != is || is.variant != 0 {
			c.countTransition(f, was.variant, is.variant)
		}
		if was == is || f.notAsked != "" { // what a run would have answered that did not ask is not known
			continue
		}
		different = true
		f.changed++
		switch kindOf(was, is) {
		case PayloadChanged:
			f.payload++
		case ExperimentChanged:
			f.experiment++
		}
	}
	if different {
		c.changed++
		c.users.user(i).after |= changedBit
	}
}

func (c *comparison) countTransition(f *flag, was, is uint32) {
	key := uint64(was)<<32 | uint64(is)
	n := len(f.transitions)
	f.transitions[key]++
	c.transitions += len(f.transitions) - n
}

// countAdded counts the current user of AFTER, who is not in BEFORE.
func (c *comparison) countAdded() {
	c.added++
	for _, f := range c.order {
		if st := c.currentState(f); st.variant != 0 {
			c.countTransition(f, absentUser, st.variant)
		}
	}
}

// countRemoved counts the users of the pass who are not in AFTER.
func (c *comparison) countRemoved() (removed int64) {
	for i := range c.users.n {
		if c.users.user(i).matches() != 0 {
			continue
		}
		removed++
		for _, f := range c.order {
			if st := f.states[f.codes.get(i)]; st.variant != 0 {
				c.countTransition(f, st.variant, absentUser)
			}
		}
	}
	c.removed += removed
	return removed
}

// kindOf is the kind of a change: the first thing that differs.
func kindOf(was, is state) string {
	switch {
	case was.variant != is.variant:
		return VariantChanged
	case was.payload != is.payload:
		return PayloadChanged
	}
	return ExperimentChanged
}
