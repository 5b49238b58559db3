package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// errNobody ends a run of which no user was answered.
var errNobody = errors.New("no user was answered")

// minUsers is how many users must be answered for the run to be published: --min-users, or 1. Only an input without
// users that replaces nothing needs none: its outputs are valid and empty. One that came empty because something else
// has failed must not replace what the last run has left.
func (s *snapshotRun) minUsers() (n int64, hint string, err error) {
	if s.o.shard.of > 0 {
		return 0, "", nil // merge knows all users
	}
	if s.o.minUsersSet {
		return s.o.minUsers, "nothing was published; is the input complete?", nil
	}
	if s.in.total > 0 {
		return 1, "nothing was published; --min-users 0 publishes the error records alone", nil
	}
	if s.o.overwrite {
		for _, path := range append(s.o.files(), s.o.sideFiles()...) {
			if exists, err := s.files.Exists(path); exists || err != nil {
				return 1, text.Clean(path) + " was not replaced; --min-users 0 replaces it with no users", err
			}
		}
	}
	return 0, "", nil
}

// checkInputUsers refuses an input with too few users that can be asked about, before anything is sent.
func (s *snapshotRun) checkInputUsers(found *findings) error {
	least, hint, err := s.minUsers()
	if err != nil {
		return err
	}
	bad, kinds := found.badRows()
	usable := s.in.total - bad
	if usable >= least {
		return nil
	}
	why := fmt.Sprintf("the input has %s, and --min-users is %s", text.Count(usable, "user"), text.Thousands(least))
	if bad > 0 {
		why = fmt.Sprintf("%s of %s can be used (%s), and --min-users is %s", text.Thousands(usable),
			text.Count(s.in.total, "row"),
			kinds, text.Thousands(least))
	}
	if near := found.suggest(s.in.total); near != "" {
		hint = near
	}
	return pipeline.WithHint(errors.New(why+"; nothing was sent"), hint)
}

// checkAnswered refuses to publish a run of which too few users were answered.
func (s *snapshotRun) checkAnswered(first *firstFailure) error {
	least, hint, err := s.minUsers()
	answered := s.tally.Answered
	switch {
	case err != nil || answered >= least:
		return err
	case answered == 0:
		err = fmt.Errorf("%w: %s", errNobody, describeFailures(s.tally.Failed, first))
	default:
		err = fmt.Errorf("%s answered, and --min-users is %s", text.CountIs(answered, "user", "was", "were"),
			text.Thousands(least))
	}
	return pipeline.WithHint(err, hint)
}

// firstFailure is a sink that remembers the first user that failed.
type firstFailure struct {
	row int64
	err *pipeline.UserError
}

func (f *firstFailure) Write(o *pipeline.Outcome) error {
	f.record(o.Row.Number, o.Err)
	return nil
}

// record looks at one more user; err is nil if it did not fail.
func (f *firstFailure) record(row int64, err *pipeline.UserError) {
	if err != nil && f.err == nil {
		kept := *err
		f.row, f.err = row, &kept
	}
}

// String is where it failed, and why.
func (f *firstFailure) String() string {
	if strings.HasPrefix(f.err.Message, "line ") {
		return fmt.Sprintf("row %d, %s", f.row, text.Clean(f.err.Message))
	}
	return fmt.Sprintf("row %d: %s", f.row, text.Clean(f.err.Message))
}

// describeFailures is how many users failed in which ways, and the first of them: "20 bad_row; the first: row 6: …".
// first may be nil.
func describeFailures(byKind map[pipeline.Kind]int64, first *firstFailure) string {
	var kinds []string
	for _, kind := range pipeline.Kinds {
		if n := byKind[kind]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %s", text.Thousands(n), kind))
		}
	}
	why := strings.Join(kinds, ", ")
	if first != nil && first.err != nil {
		why += "; the first: " + first.String()
	}
	return why
}

func (f *firstFailure) Close() error { return nil }
