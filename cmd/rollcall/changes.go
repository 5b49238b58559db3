package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// A run takes hours, and a flag that is edited meanwhile gives one half of the users the old answer. So the flag
// configurations are downloaded before the first user and after the last, and compared. That is for the record alone:
// a server that gives none, or is out at that moment, never fails the run.

// How long downloading the configurations may take in all, and after a signal, when somebody waits.
const (
	flagsTime        = 10 * time.Second
	flagsTimeStopped = 3 * time.Second
)

// maxFlagVersions bounds the versions that the journal keeps, in bytes.
const maxFlagVersions = 4 << 20

// maxChangedFlags is how many flags a message names.
const maxChangedFlags = 10

var errFlagsChanged = errors.New("flags changed while the run went on")

// newFlagVersions returns the versions of the named flags, and of those that they depend on (nil: of all).
func newFlagVersions(f amplitude.FlagConfigs, flags []string) pipeline.FlagVersions {
	versions, err := engine.FlagVersions(f.Data, flags)
	if err != nil {
		return pipeline.FlagVersions{Unknown: err.Error()}
	}
	size := 0
	for key := range versions {
		size += len(key) + 100
	}
	if size > maxFlagVersions {
		return pipeline.FlagVersions{Unknown: fmt.Sprintf("%d flags are too many to compare", len(versions))}
	}
	return pipeline.FlagVersions{Flags: versions, From: f.From, Partial: f.RemoteMode == amplitude.RemoteRefused}
}

// downloadFlagVersions asks the server of the run for the versions of flags. It has a client of its own: what it meets
// does not count as requests of the run, and is no reason to pause it.
func (s *snapshotRun) downloadFlagVersions(flags []string, within time.Duration, remoteMode bool) pipeline.FlagVersions {
	ctx, cancel := context.WithTimeout(s.env.Hard, within)
	defer cancel()
	config := s.o.server.dialed
	config.FlagKeys = s.o.flags
	config.Rate, config.Burst, config.Concurrency, config.Logger = 100, 1, 1, nil
	config.MaxAttempts, config.MaxOutage, config.Timeout = 2, within/4, min(config.Timeout, within/2)
	client, err := amplitude.New(config)
	if err != nil {
		return pipeline.FlagVersions{Unknown: err.Error()}
	}
	defer client.Close()
	f, err := client.FlagConfigs(ctx, amplitude.FlagConfigsRequest{
		RemoteMode: remoteMode, Fresh: true})
	if err != nil {
		return pipeline.FlagVersions{Unknown: text.Clean(err.Error())}
	}
	return newFlagVersions(f, flags)
}

// readFlagsBefore puts the versions of the flags before the first user into the journal's header.
func (s *snapshotRun) readFlagsBefore() {
	switch {
	case s.in.total == 0 || s.givenConfigs() != "":
	case s.local != nil:
		s.binding.Flags = &s.local.versions
	default:
		before := s.downloadFlagVersions(s.o.flags, flagsTime, true)
		s.binding.Flags = &before
	}
}

// givenConfigs is the file of the flag configurations that are evaluated; "" where a server gives them.
func (s *snapshotRun) givenConfigs() string {
	if s.o.server.flagConfigs == "fetch" {
		return ""
	}
	return s.o.server.flagConfigs
}

// compareFlags compares the flags with those from before the first user, of a run that is complete or was stopped by a
// signal.
func (s *snapshotRun) compareFlags(stopped bool) {
	switch {
	case s.in.total == 0: // nobody was asked about
		return
	case stopped && (s.local != nil || s.tally == nil): // a rerun begins anew
		return
	}
	if file := s.givenConfigs(); file != "" { // read once, and its checksum is in the manifest
		s.changes = &snapshot.FlagChanges{State: snapshot.FlagsUnchanged, From: []string{file}}
		return
	}
	var before, after pipeline.FlagVersions
	if s.earlier != nil {
		s.binding.Flags = s.earlier.reader.Header().Flags
	}
	if s.binding.Flags != nil {
		before = *s.binding.Flags
	}
	if before.Flags != nil {
		within := flagsTime
		if stopped {
			within = flagsTimeStopped
		}
		after = s.downloadFlagVersions(nil, within, s.local == nil || s.o.server.flagMode == "all")
		s.flagsAfter = after
	}
	var got []string
	for _, f := range s.tally.Flags() {
		if f.Assigned > 0 {
			got = append(got, f.Flag)
		}
	}
	changes := snapshot.CompareFlags(before, after, s.o.flags, got)
	s.changes = &changes
	if stopped {
		s.warnOfChangedFlags()
	}
}

// warnOfChangedFlags names the flags that changed, with both versions.
func (s *snapshotRun) warnOfChangedFlags() {
	if s.changes == nil || s.changes.State != snapshot.FlagsChanged {
		return
	}
	hint := "some users have the old answer, others the new one; run it again, or with --strict, which publishes " +
		"nothing in such a case"
	if s.local != nil {
		hint = "all users have the old answer; run it again"
	}
	var flags []string
	for _, c := range s.changes.Changed {
		flags = append(flags, c.Flag)
	}
	s.con.Warn("flags that changed while the run went on: "+s.changes.Text(maxChangedFlags), hint,
		about{code: warnFlagsChanged, subjects: flags})
}

// refuseChangedFlags is what --strict makes of flags that changed.
func (s *snapshotRun) refuseChangedFlags() error {
	if !s.o.server.strict || s.changes == nil || s.changes.State != snapshot.FlagsChanged {
		return nil
	}
	return pipeline.WithHint(stopped(fmt.Errorf("%w: %s; --strict publishes nothing", errFlagsChanged,
		s.changes.Text(maxChangedFlags))), "run the same command again: it asks about all users anew")
}
