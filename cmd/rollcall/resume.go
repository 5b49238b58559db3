package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
)

// What --resume takes.
const (
	resumeAuto   = "auto"   // resume where inputs and options are the same, else begin anew
	resumeAlways = "always" // fail where there is one that cannot be resumed
	resumeNever  = "never"  // begin anew
)

// maxDifferences bounds what is said of why a run is not resumed: an input may be thousands of files.
const maxDifferences = 5

// decideResume decides whether this run goes on with an unfinished one of its outputs, or begins anew: then it returns
// why, in lines.
func (s *snapshotRun) decideResume(u *unfinished, h journal.Header, key amplitude.Key) (why string, err error) {
	was := u.reader.Header()
	newKey := !was.Key.Matches(key.Secret())
	diff := was.Diff(h.Inputs, h.Options)
	if len(diff) == 0 && (!newKey || s.o.acceptNewKey) {
		s.newKey = newKey
		return "", nil
	}
	const refused = "an unfinished run of these outputs cannot be resumed:\n"
	if len(diff) == 0 {
		return "", pipeline.WithHint(errors.New(refused+"the deployment key is another"),
			"--accept-new-key goes on if it is a new key of the same deployment; --resume never asks about all users again")
	}
	if newKey && !s.o.acceptNewKey {
		diff = append(diff, "the deployment key is another")
	}
	if len(diff) > maxDifferences {
		diff = append(diff[:maxDifferences], fmt.Sprintf("and %d more", len(diff)-maxDifferences))
	}
	why = strings.Join(diff, "\n")
	if s.o.resume == resumeAlways {
		return "", pipeline.WithHint(errors.New(refused+why),
			"run it with what it began with, or give it up: --resume auto or never")
	}
	return why, nil
}

// openInput opens the input, and first removes copies of standard input that killed runs have left. An empty standard
// input never ends an unfinished run that had one: somebody who has no data a second time says so, and a job whose
// data did not come must not publish those of yesterday.
func (s *snapshotRun) openInput(args []string, earlier *unfinished) (err error) {
	keep := spoolFile(s.o)
	if keep != "" {
		if err := removeSpools(keep); err != nil {
			return err
		}
	}
	if keep != "" && earlier == nil { // whatever is kept belongs to no run
		if _, err := removeUnlocked(keep); err != nil {
			return err
		}
	}
	if s.in, err = openInput(s.env.Soft, s.env, s.con, s.o, args, keep); err != nil {
		return stoppedIfLocked(err)
	}
	if !s.in.empty || earlier == nil {
		return nil
	}
	name := s.in.files[0].Name
	if keep == "" {
		inputs := earlier.reader.Header().Inputs
		if len(inputs) != 1 || inputs[0].Name != name || inputs[0].Bytes == 0 {
			return nil
		}
		s.in.Close()
		return pipeline.WithHint(fmt.Errorf("%s is empty, and an unfinished run of these outputs had users there",
			text.Clean(name)), "give it the same users again: with outputs in a store, only --work-dir keeps what was read; "+
			"--resume never forgets the run")
	}
	if exists, err := durable.Exists(keep); !exists {
		return err
	}
	if s.o.resume == resumeAlways {
		return s.in.useKept(s.env.Soft)
	}
	s.in.Close()
	return pipeline.WithHint(fmt.Errorf("%s is empty, and an unfinished run of these outputs has kept what it read from it", text.Clean(name)),
		"--resume always goes on with what was kept; --resume never forgets it")
}

// giveUp removes the journal of an unfinished run, right before this run creates its own, and says what that costs.
func (s *snapshotRun) giveUp(u *unfinished, why string) error {
	if u.records > 0 {
		s.con.Warn(fmt.Sprintf("an unfinished run of %s is given up, with %s:\n%s",
			u.reader.Header().StartedAt.Local().Format("2006-01-02 15:04"),
			text.Plural(u.records, "user that was asked about", "users that were asked about"), why),
			"--resume always refuses in such a case", about{code: warnGivenUp, count: u.records})
	}
	return errors.Join(s.removeDated(u.reader.Header()), s.removeSpool(), u.reader.Remove())
}

// publishEarlier publishes what a run that is not resumed had completed when it died: nothing was missing but names.
// This run then finds its outputs there, as it would if the other had not died. It reports false where files are
// missing.
func (s *snapshotRun) publishEarlier(u *unfinished) (bool, error) {
	h := u.reader.Header()
	if err := s.expandNames(nameValues{h.StartedAt, h.RunID}); err != nil {
		return false, nil
	}
	published, err := s.publishComplete(u)
	err = errors.Join(err, s.expandNames(s.values()))
	if !published || err != nil {
		return false, err
	}
	s.con.Log.Info("an earlier run had finished asking; its outputs are published now")
	return true, errors.Join(s.removeDated(h), s.removeSpool(), u.reader.Remove())
}

// publishComplete publishes the files of a commit, unless some are missing.
func (s *snapshotRun) publishComplete(u *unfinished) (bool, error) {
	waiting, _, lost, err := s.findCommitted(u.reader.Committed())
	if lost != "" || err != nil {
		return false, stopped(err)
	}
	if err := s.publishList(waiting); err != nil {
		return false, err
	}
	if s.o.latest == "" {
		return true, nil
	}
	_, err = s.publishEarlierLatest()
	return err == nil, err
}
