package diff

import (
	"context"
	"fmt"

	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// listChanges calls Each with what changed for the current user of AFTER, who is the i-th of BEFORE, and with the flags
// that only one run asked for. It counts the causes.
func (c *comparison) listChanges(u *snapshot.User, i int, changed bool) error {
	var e evaluation
	causes := changed && c.reruns[1] != nil
	if causes {
		var err error
		if e, err = c.reruns[1].evaluate(u.Row); err != nil {
			return err
		}
	}
	for _, f := range c.order {
		was, is := f.states[f.codes.get(i)], c.currentState(f)
		if was == is {
			continue
		}
		change := Change{UserID: u.UserID, DeviceID: u.DeviceID, BeforeRow: c.users.user(i).row, AfterRow: u.Row,
			Flag: f.name, What: kindOf(was, is)}
		payload := c.payloadOf(u, f)
		switch {
		case f.notAsked != "":
			change.What = FlagNotAsked
		case causes:
			change.Cause = c.causeOf(f, i, is, payload, &e)
			f.causes[change.Cause]++
		}
		if c.o.Each == nil {
			continue
		}
		change.Before, change.After = c.newSide(c.before, f, was, c.interned.textOf(was.payload)),
			c.newSide(c.after, f, is, payload)
		if err := c.o.Each(&change); err != nil {
			return err
		}
	}
	return nil
}

// listAdded calls Each with the flags of the current user of AFTER, who is not in BEFORE.
func (c *comparison) listAdded(u *snapshot.User) error {
	change := Change{UserID: u.UserID, DeviceID: u.DeviceID, AfterRow: u.Row, What: UserAdded,
		Before: Side{Outcome: Absent}}
	return c.listAlone(&change, c.after, &change.After,
		func(f *flag) (state, string) { return c.currentState(f), c.payloadOf(u, f) })
}

// listRemoved reads BEFORE again, and calls Each with the flags of the users who are not in AFTER.
func (c *comparison) listRemoved(ctx context.Context) error {
	i := -1
	return c.readUsers(ctx, c.before, func(u *snapshot.User, _ identity) error {
		i++ // users are numbered in the order in which they were read
		if i >= c.users.n {
			return fmt.Errorf("%s changed while it was read", c.before.Path)
		}
		if c.users.user(i).matches() != 0 {
			return nil
		}
		change := Change{UserID: u.UserID, DeviceID: u.DeviceID, BeforeRow: u.Row, What: UserRemoved,
			After: Side{Outcome: Absent}}
		return c.listAlone(&change, c.before, &change.Before, func(f *flag) (state, string) {
			was := f.states[f.codes.get(i)]
			return was, c.interned.textOf(was.payload)
		})
	})
}

// listAlone calls Each with the flags of a user who is in one snapshot alone, s; its side of the change is there.
func (c *comparison) listAlone(change *Change, s *side, there *Side, stateOf func(*flag) (state, string)) error {
	none := true
	for _, f := range c.order {
		st, payload := stateOf(f)
		if st.variant == 0 {
			continue
		}
		none = false
		change.Flag, *there = f.name, c.newSide(s, f, st, payload)
		if err := c.o.Each(change); err != nil {
			return err
		}
	}
	if none {
		there.Outcome = NotAssigned
		return c.o.Each(change)
	}
	return nil
}

// payloadOf is the payload that a user of AFTER has of a flag.
func (c *comparison) payloadOf(u *snapshot.User, f *flag) string {
	for k := range u.Assignments {
		if c.flagOf(c.after, u.Assignments[k].Flag) == f {
			return string(canonicalize(u.Assignments[k].Payload))
		}
	}
	return ""
}

// newSide is one side of a change. payload is its text, because the number of one that only AFTER has says nothing.
func (c *comparison) newSide(s *side, f *flag, st state, payload string) Side {
	out := Side{Outcome: Assigned, Variant: c.variantName(st.variant),
		ExperimentKey: c.keys.Name(snapshot.Key(st.experiment))}
	if st.payload != 0 && c.payloads {
		out.Payload = payload
	}
	if st.variant == 0 {
		out.Outcome = c.noVariant(s, f)
	}
	return out
}

// noVariant is the outcome of users who have no variant of a flag in a snapshot.
func (c *comparison) noVariant(s *side, f *flag) string {
	switch {
	case s == c.before && f.notAsked == NotAskedBefore, s == c.after && f.notAsked == NotAskedAfter:
		return NotAsked
	case s.flags[f.name]:
		return NotAssigned
	}
	return Absent
}
