package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// anchor is the output beside which the journal stands: the first that is a file, as it was given. Its name may have
// placeholders: it is fixedName that makes the journal's name.
func (o *snapshotOptions) anchor() string { return o.given.files()[0] }

// journalPlace is where the journal of this run is: beside the anchor, or in --work-dir.
func (s *snapshotRun) journalPlace() (journal.Place, error) {
	if s.o.workDir != "" {
		return journal.OnDisk(s.o.workPath()), nil
	}
	return s.placeBeside(fixedName(s.o.anchor()))
}

// placeBeside is where the journal of a run is whose first output has that name.
func (s *snapshotRun) placeBeside(path string) (journal.Place, error) {
	if !s.env.Stores.Knows(path) {
		return journal.OnDisk(journal.PathFor(path)), nil
	}
	if s.holder == nil {
		s.holder = journal.NewHolder(s.env.Hard, func(message string) { s.con.Log.Info(text.Clean(message)) })
	}
	return placeInStore(s.env, s.holder, journal.PathFor(path))
}

// placeInStore is the place of the journal with that URL.
func placeInStore(env *env, holder *journal.Holder, url string) (journal.Place, error) {
	b, key, err := env.Stores.Bucket(env.Hard, url)
	if err != nil {
		return nil, err
	}
	return &journal.InBucket{Holder: holder, Bucket: b, Key: key, URL: url}, nil
}

// workPath is the path of the journal in --work-dir. Its name has a hash of the whole name of the anchor, because
// outputs of one name in several directories share the directory.
func (o *snapshotOptions) workPath() string {
	full := o.anchor()
	if abs, err := filepath.Abs(full); err == nil && !o.server.stores.Knows(full) {
		full = abs
	}
	sum := sha256.Sum256([]byte(full))
	return journal.PathFor(filepath.Join(o.workDir, path.Base(filepath.ToSlash(full))+"-"+hex.EncodeToString(sum[:8])))
}

// unfinished is a run of the same outputs that has not published yet, as its journal tells.
type unfinished struct {
	reader  *journal.Reader
	records int64
}

// findUnfinished opens the journal of an unfinished run, and so keeps other runs off; nil if there is none. It reads
// all of it, so whatever is wrong with it is found before anything else is done.
func (s *snapshotRun) findUnfinished() (*unfinished, error) {
	place, err := s.journalPlace()
	if err == nil && s.o.workDir != "" {
		_, err = os.Stat(s.o.workDir)
		err = durable.WrapError("create", s.o.workPath(), err)
	}
	if err != nil {
		return nil, err
	}
	if s.o.resume == resumeNever {
		if err := errors.Join(s.forgetDated(place), journal.DiscardIn(place), s.removeSpool()); err != nil {
			return nil, err
		}
	}
	r, err := journal.OpenIn(place)
	if errors.Is(err, journal.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	u := &unfinished{reader: r}
	if u.records, err = r.Count(); err != io.EOF {
		return nil, errors.Join(err, r.Close())
	}
	if u.records == 0 && r.Committed() == nil && r.Header().Options["evaluator"] == "local" {
		return nil, errors.Join(s.removeDated(r.Header()), r.Remove()) // a local run was killed: nothing to go on from
	}
	return u, nil
}

// forgetDated is removeDated for a journal that is about to be forgotten, unless it cannot be read.
func (s *snapshotRun) forgetDated(place journal.Place) error {
	if dated, err := s.datedNames(s.values()); len(dated) == 0 {
		return err
	}
	r, err := journal.OpenIn(place)
	if err != nil {
		return nil // journal.DiscardIn says what is wrong with it
	}
	return errors.Join(s.removeDated(r.Header()), r.Close())
}

// lockOutputs keeps runs off that share an output whose lock is not this run's journal: any but the first, and also that
// with --work-dir.
func (s *snapshotRun) lockOutputs() error {
	for _, path := range s.o.given.files() {
		if path == s.o.anchor() && s.o.workDir == "" {
			continue
		}
		if err := s.lockOutput(fixedName(path)); err != nil {
			return err
		}
	}
	return nil
}

// lockOutput keeps runs off that write a file of this name: its lock is what its own journal would be.
func (s *snapshotRun) lockOutput(path string) error {
	place, err := s.placeBeside(path)
	if err != nil {
		return err
	}
	lock, err := journal.LockIn(place)
	switch {
	case errors.Is(err, journal.ErrLocked):
		return pipeline.WithHint(fmt.Errorf("another run is writing %s: %w", text.Clean(path), err),
			"wait until it has ended, or name another output")
	case errors.Is(err, journal.ErrExists) && path == fixedName(s.o.anchor()):
		return pipeline.WithHint(fmt.Errorf("an unfinished run of these outputs has its journal beside %s",
			text.Clean(s.o.anchor())), "finish it without --work-dir, or forget it: rollcall clean "+text.Clean(s.o.anchor()))
	case errors.Is(err, journal.ErrExists):
		return pipeline.WithHint(fmt.Errorf("an unfinished run has %s as its first output", text.Clean(path)),
			"finish it, or forget it: rollcall clean "+text.Clean(path))
	case err != nil:
		return err
	}
	s.locks = append(s.locks, lock)
	return nil
}

// confirmLocks makes sure that no other run has taken an output over.
func (c *claim) confirmLocks() error {
	for _, lock := range c.locks {
		if err := lock.Confirm(); err != nil {
			return err
		}
	}
	return nil
}

// unlock gives the locks back, and removes directories that were made for names with placeholders and are empty.
func (c *claim) unlock() error {
	var errs []error
	for _, lock := range c.locks {
		errs = append(errs, lock.Close())
	}
	errs = append(errs, removeEmptyDirs(c.made))
	c.locks, c.made = nil, nil
	return errors.Join(errs...)
}

// header is what binds the journal to this run.
func (s *snapshotRun) header(key amplitude.Key) journal.Header {
	h := journal.Header{RunID: s.runID, StartedAt: s.started.UTC(), Version: version(), Options: s.bound,
		Key: journal.NewKey(key.Secret())}
	for _, f := range s.in.report {
		h.Inputs = append(h.Inputs, journal.Input{Name: f.Path, Bytes: f.Bytes, SHA256: f.SHA256})
	}
	return h
}

// freeOptions are the options that a run may change when it resumes another, with the reason. All others bind it,
// because they may change an answer or the shape of an output.
var freeOptions = map[string]string{
	"flags":            "bound as the list of flags, see bindingOptions",
	"flags-from":       "bound as the list of flags",
	"flag-configs":     "bound by its content",
	"skip-unsupported": "without it, a flag that it leaves out ends the run before it begins",
	"api-key-file":     "of cohorts, which are bound by the run's manifest",
	"secret-key-file":  "of cohorts, too",
	"key-file":         "bound by the key; --accept-new-key lets another one resume",
	"accept-new-key":   "it is what lets such a run resume",

	"rate": "how fast it asks", "burst": "how fast it asks", "concurrency": "how fast it asks",
	"timeout": "how long it waits", "grace": "how long it waits", "max-attempts": "how long it waits", "max-outage": "how long it waits",
	"allow-http": "whether it asks at all", "allow-tracking": "whether it asks at all", "strict": "whether it publishes",
	"max-cohort-size": "whether it runs at all", "unknown-cohorts": "for a local run, which resumes nothing",
	"latest":     "what is replaced once it has published",
	"max-errors": "whether it publishes", "min-users": "whether it publishes",
	"max-disagreement": "whether it publishes", "overwrite": "whether it publishes",
	"resume": "whether it resumes", "fresh": "whether it resumes", "dry-run": "a dry run resumes nothing",

	"work-dir": "where the journal is: without it, or with another, no run finds it",
	"plan":     "bound by the parts of the inputs that it gives",
	"config":   "its options count, wherever they were given",
	"quiet":    "what it prints", "log-format": "what it prints", "format": "what it prints", "progress": "what it prints",
	"metrics": "what it tells Prometheus", "metrics-listen": "what it tells Prometheus",
}

// bindingOptions are the options that bind a run: one that resumes another has the same.
func bindingOptions(ctx context.Context, all map[string]string, o *snapshotOptions) (map[string]string, error) {
	bound := map[string]string{}
	for name, value := range all {
		if freeOptions[name] == "" {
			bound[name] = value
		}
	}
	if o.shard.of > 0 {
		bound["shard"] = o.shard.String() // auto is another one in each process
	}
	bound["flags"] = strings.Join(o.flags, ",") // those of --flags-from included
	if !o.local() && !o.server.embedded() {
		delete(bound, "semantics") // the API has its own
	}
	if o.server.flagConfigs != "" && o.server.flagConfigs != "fetch" {
		data, err := o.server.readConfigs(ctx)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		bound["flag-configs"] = "SHA-256 " + hex.EncodeToString(sum[:]) // a pipe has another name each time
	}
	return bound, nil
}

// replay writes the journaled outcomes to sink, and leaves src at the first row that has none.
func (s *snapshotRun) replay(u *unfinished, src pipeline.Source, sink pipeline.Sink, client *amplitude.Client) error {
	requests, asked := client.Replay(), pipeline.IndexFlags(s.o.flags)
	var rec journal.Record
	var o pipeline.Outcome
	for n := range u.records {
		if n%1024 == 0 {
			if err := context.Cause(s.env.Soft); err != nil {
				return err
			}
		}
		if err := u.reader.Next(&rec); err != nil {
			return err
		}
		if err := src.Next(&o.Row); err != nil {
			return pipeline.WithHint(fmt.Errorf("the journal knows more rows than the input has: %w", err),
				"--fresh asks about all users again")
		}
		var request [16]byte
		if o.Row.Err == nil {
			request = requests.Request(&o.Row.User)
			if rec.Attempts > 0 && requests.Posted() {
				s.posted++
			}
		}
		if rec.Row != o.Row.Number || rec.Request != request {
			return pipeline.WithHint(fmt.Errorf("row %d: the request is not the one that the journal has the answer to",
				o.Row.Number),
				"this version of rollcall may ask differently; --fresh asks about all users again")
		}
		if rec.Err != nil {
			o.SetError(rec.Err, rec.At)
		} else {
			variants, err := requests.Decode(rec.Body)
			if err != nil {
				return pipeline.WithHint(fmt.Errorf("row %d: the answer in the journal cannot be used: %w", o.Row.Number, err),
					"--fresh asks about all users again")
			}
			o.SetAnswer(pipeline.Answer{Variants: variants, Body: rec.Body, At: rec.At, Attempts: rec.Attempts,
				Cache: rec.Cache}, asked)
			if !s.newKey { // nobody was answered with this key yet
				requests.NoteAnswered()
			}
		}
		s.lastRow = rec.Row
		s.replayedAttempts += int64(rec.Attempts)
		s.replayedRetries += int64(max(rec.Attempts-1, 0))
		s.countStatuses(&rec)
		if err := sink.Write(&o); err != nil {
			return err
		}
	}
	if err := u.reader.Next(&rec); err != io.EOF {
		return fmt.Errorf("the journal has changed while it was read: %w", err)
	}
	return nil
}

// countStatuses counts what the attempts for a user in the journal were answered. It knows the last one's status only.
func (s *snapshotRun) countStatuses(rec *journal.Record) {
	if rec.Attempts == 0 {
		return
	}
	if s.replayedStatuses == nil {
		s.replayedStatuses = map[string]int64{}
	}
	last := snapshot.StatusUnknown
	switch {
	case rec.Err == nil:
		last = strconv.Itoa(http.StatusOK)
	case rec.Err.HTTPStatus != 0:
		last = strconv.Itoa(rec.Err.HTTPStatus)
	}
	s.replayedStatuses[last]++
	if rec.Attempts > 1 {
		s.replayedStatuses[snapshot.StatusUnknown] += int64(rec.Attempts - 1)
	}
}

// journalSink is the sink that keeps the result of each row.
type journalSink struct {
	*journal.Writer
	requests *amplitude.Replay
	posted   *int64 // counts users who were asked about by POST
}

// Write keeps one outcome. It is on the disk a second later.
func (j *journalSink) Write(o *pipeline.Outcome) error {
	rec := journal.Record{Row: o.Row.Number, Attempts: o.Attempts, At: o.At, Body: o.Body, Cache: o.Cache, Err: o.Err}
	if o.Row.Err == nil {
		rec.Request = j.requests.Request(&o.Row.User)
		if o.Attempts > 0 && j.requests.Posted() {
			*j.posted++
		}
	}
	return j.Append(&rec)
}

// spoolFile is where standard input is kept while its run is unfinished: beside the journal. It is "" where that is in a
// store: then whoever resumes the run gives the same input again.
func spoolFile(o *snapshotOptions) string {
	switch {
	case o.workDir != "":
		return o.workPath() + ".stdin"
	case o.server.stores.Knows(o.anchor()):
		return ""
	}
	return journal.PathFor(fixedName(o.anchor())) + ".stdin"
}

// removeSpool removes what is kept of standard input.
func (s *snapshotRun) removeSpool() error {
	if file := spoolFile(s.o); file != "" {
		return durable.Remove(file)
	}
	return nil
}

// logKept says, when the run has ended early, what a rerun will not ask again.
func (s *snapshotRun) logKept() {
	if s.tally == nil || s.tally.Read == 0 {
		return
	}
	if place, err := s.journalPlace(); err == nil {
		s.con.Log.Info(fmt.Sprintf("%s of %s users are kept in %s; the same command goes on from there",
			text.Thousands(s.tally.Read), text.Thousands(s.in.total), text.Clean(place.String())))
	}
}

// removeStale removes the temporary files that a killed run of these outputs has left. The caller holds the locks.
func (s *snapshotRun) removeStale() error {
	for _, path := range s.finalNames() {
		if err := s.removeStaleFile(path); err != nil {
			return err
		}
	}
	return nil
}
