package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
	"github.com/rollcall-cli/rollcall/sinks"
	"github.com/rollcall-cli/rollcall/sources"
)

func snapshotCommand(env *env, con *console) *cobra.Command {
	var o snapshotOptions
	cmd := &cobra.Command{
		Use: "snapshot INPUT... --out FILE [options]", DisableFlagsInUseLine: true,
		Short: "Ask for every user of a file, and write the assignments down",
		Long: `snapshot reads users from INPUT (a path, a glob, s3://.., - for standard input),
asks which variants each of them gets, and writes assignments and error records.
Columns named user_id, device_id, country, platform, version, user_properties.X,
groups.T, context, ... are sent as that, others not. "help stores": buckets.`,
		Example: `  rollcall snapshot users.csv --out assignments.parquet
  rollcall snapshot users.csv --out a.csv --flags checkout --map user_id=uid
  rollcall snapshot users.csv --out a.csv --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var s *snapshotRun
			con.ending = func() []any { return s.ending() }
			began := time.Now()
			if err := o.start(cmd, env, con); err != nil {
				return err
			}
			if o.format == "json" {
				if slices.Contains(o.outs, "-") {
					con.result = func(error, int) error { return nil } // whoever reads it wants data
					return pipeline.WithHint(usageErrorf("--format json and --out - do not go together: "+
						"both print to standard output"), "--summary FILE.json writes the result to a file")
				}
				con.result = func(err error, code int) error { return s.printResult(env.Stdout, con, began, err, code) }
			}
			inherited, hint, err := inheritOptions(env, cmd.Flags(), args,
				o.inputFormat)
			if err != nil {
				return err
			}
			if env.Grace != nil {
				env.Grace.Store(int64(o.grace))
			}
			o.server.stores = env.Stores
			o.minUsersSet = cmd.Flags().Changed("min-users")
			if !cmd.Flags().Changed("rate") && o.server.embedded() || o.local() && o.crossCheck == 0 {
				o.rate = 0
			}
			if cmd.Flags().Changed("flags") && len(o.flagList) == 0 {
				return pipeline.WithHint(usageErrorf("--flags names no flag"),
					"leave it out to ask for all flags of the deployment")
			}
			if err := o.checkShard(env.Soft, env, args); err != nil {
				return err
			}
			if err := o.check(env.Soft, args); err != nil {
				return err
			}
			if !o.local() && !o.server.embedded() { // where a configuration decides which flags there are, it has decided
				warnOfOddKeys(con, o.flags)
			}
			if hint != "" {
				con.Warn(inherited, hint, about{code: warnInherited})
			} else if inherited != "" {
				con.Log.Info(inherited)
			}
			s = &snapshotRun{env: env, con: con, o: &o, began: began, options: collectOptions(cmd.Flags()),
				typed: collectTypedOptions(cmd.Flags())}
			return s.run(args)
		},
	}
	o.define(cmd.Flags())
	return cmd
}

// snapshotRun is one run of the command. What its steps have taken is in the structs of their names; see run.
type snapshotRun struct {
	env     *env
	con     *console
	o       *snapshotOptions
	options map[string]string   // all of them
	typed   snapshot.RunOptions // and with their types, for the manifest
	began   time.Time           // this process
	started time.Time           // the run, which an earlier process may have begun
	runID   string
	resumes int
	newKey  bool // it resumes a run with another key

	files *staging.Files // that it writes

	preflight
	claim
	evaluation
	metrics *metrics // nil: nobody wants to know

	published *snapshot.Manifest // nil: nothing was
}

// preflight is what a run reads and decides before it writes anything.
type preflight struct {
	unfinished *unfinished // an earlier run of these outputs, whose lock keeps other runs off; nil: there is none
	in         *input
	remote     *connection          // who is asked; nil: nobody is
	local      *localEvaluator      // what evaluates in this process instead
	cross      *crossCheck          // with which the local answers are compared; nil: with none
	cohorts    *cohort.Set          // that files give
	others     *local.Disagreements // of Amplitude's engines, where the answers are made in this process
	found      *findings
	absent     []string            // what the flags read and no user has
	memberless []*cohort.Cohort    // of which no user is a member
	posts      int64               // users who go by POST
	completes  *snapshot.Completes // the run that this one completes; nil: it is a run of its own

	bound   map[string]string // the options that the journal is bound to
	binding journal.Header    // what it is bound to in all
	earlier *unfinished       // the unfinished run, if this one resumes it
	givenUp *unfinished       // the unfinished run, if this one does not
	why     string            // it does not

	restoreMemory func() // see tuneMemory
}

// Close ends the connection, closes the input, and leaves the unfinished run's journal as it is, if it is still there
// and nobody has resumed it.
func (p *preflight) Close() error {
	if p.restoreMemory != nil {
		p.restoreMemory()
	}
	if p.remote != nil {
		p.remote.Close()
	}
	if p.cross != nil {
		p.cross.conn.Close()
	}
	if p.in != nil {
		p.in.Close()
	}
	if p.unfinished != nil {
		return p.unfinished.reader.Close()
	}
	return nil
}

// claim is what keeps other runs off the outputs.
type claim struct {
	journal   *journal.Writer // of the first output; nil until it is created or resumed
	holder    *journal.Holder // of leases, of outputs in stores; nil: none was asked for
	locks     []*journal.Lock // of the other outputs
	made      []string        // the directories that were made for outputs, the outermost first
	committed bool            // the journal may hold the list of what to publish

	committedParts map[string][]string // by output, the files that an unfinished run has committed: see partsBefore
}

// Close gives the outputs back. It leaves the journal for the run that resumes this one, which ends with err, or
// removes it where there is nothing to resume.
func (c *claim) Close(s *snapshotRun, err error) error {
	return errors.Join(s.endJournal(err), c.unlock()) // of a run that has no journal yet
}

// evaluation is what a run writes, and what it counts.
type evaluation struct {
	outputs   []runOutput     // temporary files; the error records are the last
	stream    *sinks.Output   // of these, the one that is standard output, or nil
	streamCut atomic.Bool     // its reader has closed it
	layout    snapshot.Layout // of the outputs
	tally     *snapshot.Tally
	first     firstFailure
	noTrack   amplitude.NoTrack
	changes   *snapshot.FlagChanges // of the flags while the run went on; nil: not compared

	flagsAfter pipeline.FlagVersions // after the last user

	// Of the users in the journal.
	replayedAttempts, replayedRetries int64
	replayedStatuses                  map[string]int64
	lastRow                           int64

	posted int64 // users who were asked about by POST, in all processes
}

// outputSinks is the outputs behind one sink.
func (e *evaluation) outputSinks() sinks.Multi {
	var m sinks.Multi
	for _, out := range e.outputs {
		m = append(m, out)
	}
	return m
}

// Close discards the outputs. Those that are published are no longer among them.
func (e *evaluation) Close() error { return e.outputSinks().Discard() }

// run is the whole run, in four steps: it checks everything that can be checked, claims the outputs, evaluates, and
// publishes all files or none. What a step has taken is undone at the end, however far it came.
func (s *snapshotRun) run(args []string) (err error) {
	s.files = staging.New(s.env.Hard, s.env.Stores, s.o.overwrite)
	s.started = clock()
	s.runID = newRunID(s.started)
	if err = s.expandNames(s.values()); err != nil {
		return err
	}
	if s.bound, err = bindingOptions(s.env.Soft, s.options, s.o); err != nil {
		return err
	}
	if s.metrics, err = startMetrics(s); err != nil {
		return err
	}
	s.con.onEnd = s.metrics.finish
	defer func() { err = s.undo(err) }()
	if s.o.dryRun {
		return s.dryRun(args)
	}
	if err := s.prepare(args); err != nil {
		return err
	}
	s.metrics.describeRun()
	if finished, err := s.claimOutputs(); finished || err != nil {
		return err
	}
	if err := s.evaluate(); err != nil {
		return s.explainStop(err)
	}
	return s.publish()
}

// undo closes what the steps have taken, the last step first, and returns the error with which the run ends. The order
// is what a crash at any point relies on:
//
//  1. The outputs are discarded while the journal is there and locked: as long as it is, the next run of these outputs
//     removes what is left of them, and no run can begin to write them.
//  2. The journal is closed or removed, and the locks of the other outputs are given back. If the journal goes, it is
//     the last of the hidden files to go.
//  3. The connection ends, and the input is closed. Its copy, if it was standard input, has its own lock until then.
//  4. The reader of an unfinished run's journal is closed, with the lock that it has held since before the input was
//     opened, unless the journal was resumed or removed.
func (s *snapshotRun) undo(err error) error {
	err = errors.Join(err, s.evaluation.Close())
	err = errors.Join(err, s.claim.Close(s, err))
	return errors.Join(err, s.preflight.Close())
}

// prepare is the preflight: it finds what is wrong before anything is written or, but for flag configurations that are
// downloaded, sent.
func (s *snapshotRun) prepare(args []string) error {
	err := s.checkDirectories()
	if err != nil {
		return err
	}
	if s.unfinished, err = s.findUnfinished(); err != nil {
		return stoppedIfLocked(err)
	}
	if err := s.openInput(args, s.unfinished); err != nil {
		return err
	}
	if err := s.o.expandCarryAll(s.in); err != nil {
		return err
	}
	if s.o.local() {
		s.local, err = newLocal(s)
	} else {
		if err := s.loadCohorts(nil); err != nil {
			return err
		}
		s.o.server.cohorts = s.cohorts
		s.remote, err = s.o.server.dial(s.env, s.con, s.o.clientConfig())
	}
	if err != nil {
		return err
	}
	if s.o.crossCheck > 0 {
		if s.cross, err = newCrossCheck(s); err != nil {
			return err
		}
	}
	switch {
	case s.local != nil:
		s.others = s.local.Others
	case s.remote.eng != nil:
		if s.others, err = local.NewDisagreements(s.remote.eng, s.o.flags,
			local.NewMembership(s.cohorts, s.remote.eng.Cohorts(s.o.flags))); err != nil {
			return err
		}
	}
	s.tuneMemory()
	if s.local != nil {
		s.absent = s.local.eng.Reads(s.o.flags)
		if err := readFields(s.in, s.local.eng); err != nil {
			return err
		}
	} else if s.remote.eng != nil {
		if err := readFields(s.in, s.remote.eng); err != nil {
			return err
		}
		s.absent = s.remote.eng.Reads(s.o.flags)
	}
	s.setNonce()
	var isPosted func(*pipeline.User) bool
	if s.o.method != "get" {
		isPosted = s.remote.IsPosted
	}
	users := newSurvey(s.absent, s.usedCohorts(), isPosted)
	users.partitions = s.o.newPartitionSurvey()
	if s.found, err = s.in.preflight(s.env.Soft, users.inspectRow, nil); err != nil {
		return err
	}
	s.absent, s.memberless, s.posts = *users.absent.left.Load(), *users.memberless.left.Load(), users.posts.Load()
	if s.local != nil {
		if err := s.local.checkCohorts(s.con, s.o, s.found, s.absent); err != nil {
			return err
		}
	} else if s.remote.eng != nil {
		if err := checkEmbeddedCohorts(s); err != nil {
			return err
		}
		s.absent = nil // what an API would add is no concern of the embedded one
	}
	s.completes = s.found.completes()
	if err := s.o.errLine.check(s.found, s.in.total); err != nil {
		return err
	}
	if err := errors.Join(s.o.checkPartitionColumns(s.o.carryColumns(s.found.carry)), users.partitions.check()); err != nil {
		return err
	}
	var key amplitude.Key
	if s.remote != nil {
		key = s.remote.key
	}
	s.binding = s.header(key)
	if s.unfinished == nil {
		return nil
	}
	if s.why, err = s.decideResume(s.unfinished, s.binding, key); err != nil {
		return err
	}
	if s.why != "" {
		s.givenUp = s.unfinished
		return nil
	}
	s.earlier = s.unfinished
	h := s.earlier.reader.Header()
	s.runID, s.started, s.resumes = h.RunID, h.StartedAt, s.earlier.reader.Resumes()+1
	s.setNonce()
	if err := s.expandNames(s.values()); err != nil {
		return err
	}
	return s.checkDirectories() // the names may be of another day
}

// setNonce makes the run's id the nonce of --fresh-answers. A run that goes on keeps it, so what it has the answers to
// are still the same requests.
func (s *snapshotRun) setNonce() {
	if s.o.freshOnly && s.remote != nil {
		s.remote.SetNonce(s.runID)
	}
}

// The memory of a run. A limit is a soft one, for the collector to work harder. What is live is 35 MB in most runs, but
// more where answers are large: a limit near to that would do nothing but collect.
const (
	memoryLimitBytes = 90 << 20 // beside what is in use before the run, such as flag configurations
	followEvery      = 100 * time.Millisecond

	// What the limit leaves above what is live. A local run makes many small objects, which the collector has to look at
	// one by one; what is live in a remote one are texts, which it does not look into.
	localHeadroomBytes  = 72 << 20
	remoteHeadroomBytes = 36 << 20
)

// tuneMemory trades memory for time, as a batch job may: with the default of 100 the collector costs a tenth of the run.
func (s *snapshotRun) tuneMemory() {
	percent, stop := -1, func() {}
	if _, set := s.env.LookupEnv("GOGC"); !set {
		percent = debug.SetGCPercent(400)
	}
	if _, set := s.env.LookupEnv("GOMEMLIMIT"); !set {
		headroom := int64(remoteHeadroomBytes)
		if s.local != nil {
			headroom = localHeadroomBytes
		}
		stop = followLiveHeap(memoryLimitBytes+measureLiveHeap(), headroom)
	}
	s.restoreMemory = func() {
		stop()
		if percent >= 0 {
			debug.SetGCPercent(percent)
		}
	}
}

// followLiveHeap sets the memory limit: least, or what is live and the headroom where that is more. The returned function
// ends that.
func followLiveHeap(least, headroom int64) (stop func()) {
	before, limit := debug.SetMemoryLimit(least), least
	live := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticker, done, stopped := time.NewTicker(followEvery), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			runtimemetrics.Read(live)
			now := int64(live[0].Value.Uint64())
			wanted := max(least, now+headroom)
			if wanted > limit || wanted < limit-headroom/4 {
				limit = wanted
				debug.SetMemoryLimit(limit)
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
		<-stopped
		debug.SetMemoryLimit(before)
	}
}

// measureLiveHeap returns how many bytes are in use.
func measureLiveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// claimOutputs locks the outputs, first finishes what an earlier run of them had completed, and creates the journal.
// The run is finished if that earlier run was the same one.
func (s *snapshotRun) claimOutputs() (finished bool, err error) {
	if err := s.lockOutputs(); err != nil {
		return false, stoppedIfLocked(err)
	}
	if s.earlier != nil {
		if err := s.claimNames(); err != nil {
			return false, stoppedIfLocked(err)
		}
	}
	if s.earlier != nil && s.earlier.reader.Committed() != nil {
		if finished, err := s.finishEarlier(s.earlier); finished || err != nil {
			return finished, err
		}
	}
	if s.givenUp != nil && s.givenUp.reader.Committed() != nil {
		if published, err := s.publishEarlier(s.givenUp); err != nil {
			return false, err
		} else if published {
			s.givenUp = nil
		}
	}
	if err := s.checkPaths(); err != nil {
		return false, err
	}
	if err := s.checkInputUsers(s.found); err != nil {
		return false, err
	}
	if s.givenUp != nil {
		if err := s.giveUp(s.givenUp, s.why); err != nil {
			return false, err
		}
	}
	if s.earlier == nil {
		s.readFlagsBefore()
		place, err := s.journalPlace()
		if err != nil {
			return false, err
		}
		if s.journal, err = journal.CreateIn(place, s.binding); err != nil {
			return false, stoppedIfLocked(err)
		}
		if err := s.claimNames(); err != nil {
			return false, stoppedIfLocked(err)
		}
	}
	return false, errors.Join(s.removeStale(), s.in.keepSpool())
}

// stoppedIfLocked gives err the exit code of a run that can be repeated, if another run is in its way.
func stoppedIfLocked(err error) error {
	if errors.Is(err, durable.ErrLocked) || errors.Is(err, journal.ErrExists) {
		return stopped(err)
	}
	return err
}

// endJournal leaves the journal for the run that resumes it, or removes it where there is nothing to resume: all is
// published, or nothing in it is worth keeping.
func (s *snapshotRun) endJournal(err error) error {
	if s.journal == nil {
		return nil
	}
	worthless := (s.local != nil || s.tally == nil || s.tally.Read == 0) && !s.committed || errors.Is(err, errHopeless) ||
		errors.Is(err, errNobody) || errors.Is(err, errFlagsChanged) || isChanged(err)
	if err == nil || errors.Is(err, errSomeFailed) {
		s.removeHidden(s.journal.Remove)
		return nil
	}
	if worthless {
		return errors.Join(s.removeOwnStale(), s.unlock(), s.removeSpool(), s.journal.Remove())
	}
	if _, terminal := s.con.Terminal(); !terminal || !errors.Is(err, errQuiet) {
		s.logKept()
	}
	return errors.Join(s.unlock(), s.journal.Close())
}

// isChanged reports whether the input was another when it was read again. What was asked belongs to neither then.
func isChanged(err error) bool {
	_, ok := errors.AsType[*sources.ChangedError](err)
	return ok
}

// warnOfInput says what an analyst should know of the input before the run.
func (s *snapshotRun) warnOfInput(found *findings, absent []string) {
	if s.local != nil {
		s.local.warn(s.con, s.o.flags, absent)
	} else if !found.hasLocation && !s.o.server.embedded() {
		s.con.Warn("no location column: the API will locate every user where this machine is",
			"map country, region, city, dma or ip_address if a flag targets by location", about{code: warnNoLocation})
	}
	if s.posts > 0 {
		s.con.Log.Info(text.CountIs(s.posts, "user", "goes", "go") + " by POST /sdk/v2/vardata (--method " + s.o.method + ")")
	}
	found.ids.warn(s.con, s.in.total)
	s.warnOfCohorts()
	found.warnRagged(s.con, s.o.ragged == "pad")
	if len(found.columns) == 1 && sources.LooksLikeID(found.columns[0].Name) && !s.o.noHeader {
		s.con.Warn("the name of the only column looks like an id, and a header is not a user",
			"if it is a list of ids without a header: --no-header --map user_id=c1", about{code: warnHeaderIsUser})
	}
	if len(found.unseen) > 0 {
		s.con.Warn("columns that no row has: "+text.List(found.unseen, 10), "are they spelled as in the input?",
			about{code: warnUnseenColumns, subjects: found.unseen})
	}
	var unsent, folded, foldedNames, leftOut, leftOutNames []string
	for _, c := range found.columns {
		if c.Folded != "" {
			folded, foldedNames = append(folded, c.Name+" as "+c.Folded), append(foldedNames, c.Name)
		}
		if c.LeftOut != "" {
			leftOut, leftOutNames = append(leftOut, c.Name+" ("+c.LeftOut+")"), append(leftOutNames, c.Name)
			continue
		}
		if c.Target == "" && !c.Carried {
			unsent = append(unsent, c.Name)
		}
	}
	if len(folded) > 0 {
		s.con.Warn("columns taken although they are spelled in another case: "+text.List(folded, 10),
			"--map says which column is which field", about{code: warnFoldedColumns, subjects: foldedNames})
	}
	if len(leftOut) > 0 {
		s.con.Warn("columns that --properties all leaves out: "+text.List(leftOut, 10),
			"--properties all,-COLUMN leaves it out without this warning",
			about{code: warnLeftOutColumns, subjects: leftOutNames})
	}
	if len(unsent) > 0 {
		not := "not sent"
		if s.local != nil {
			not = "not used"
		}
		s.con.Warn("columns that are "+not+": "+text.List(unsent, 10),
			"--properties sends columns as user_properties, --map as something else",
			about{code: warnUnusedColumns, subjects: unsent})
	}
}

// createOutputs creates the temporary files of the outputs. Where one fails, undo discards the others.
func (s *snapshotRun) createOutputs(carry []pipeline.Column) error {
	options, err := json.Marshal(s.options)
	if err != nil {
		return err
	}
	spec := s.o.spec()
	spec.Carry = carry
	if s.layout, err = describeLayout(&spec); err != nil {
		return err
	}
	spec.RunID, spec.Files = s.runID, s.files
	spec.Meta = map[string]string{"rollcall.run_id": s.runID, "rollcall.options": string(options)}
	for _, path := range s.o.outs {
		var out runOutput
		switch {
		case path == "-":
			s.stream, err = sinks.NewStream(streamWriter{s}, s.o.outFormat, spec)
			out = s.stream
		case s.o.isPartitioned(path):
			out, err = sinks.CreatePartitioned(s.env.Soft, path, spec, s.o.partitioning())
		default:
			out, err = sinks.Create(path, spec)
		}
		if err != nil {
			return err
		}
		s.outputs = append(s.outputs, out)
	}
	out, err := sinks.CreateErrors(s.o.errorsFile, spec)
	if err != nil {
		return err
	}
	s.outputs = append(s.outputs, out)
	return nil
}

// evaluate creates the outputs and fills them.
func (s *snapshotRun) evaluate() error {
	s.warnUnfinished()
	s.warnOfInput(s.found, s.absent)
	if err := s.createOutputs(s.o.carryColumns(s.found.carry)); err != nil {
		return err
	}
	if err := s.tryFiles(); err != nil {
		return err
	}
	err := s.runPipeline()
	if err == nil && s.cross != nil {
		err = s.cross.ask(s)
	}
	if err == nil || s.isStoppedSoftly(err) {
		s.compareFlags(err != nil)
	}
	if err != nil {
		return err
	}
	if err := s.finishCrossCheck(); err != nil {
		return err
	}
	return s.refuseChangedFlags()
}

// runPipeline runs the pipeline from the first row to the last, or from the one after those that an earlier run has in
// its journal.
func (s *snapshotRun) runPipeline() error {
	src, err := s.in.Open()
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only read
	rows := s.o.carryCohorts(s.in.Select(src))
	s.tally = snapshot.NewTally(s.o.flags)
	if s.local != nil && s.o.flags == nil {
		s.tally = snapshot.NewTally(s.local.Answerable())
	}
	guard := &guard{tally: s.tally, first: &s.first, limit: s.o.errLine, total: s.in.total}
	sink := sinks.Multi{guard, stoppable{s.outputSinks()}}
	if s.local == nil && s.others != nil { // also the users of an earlier process are compared
		sink = append(sink, s.others)
	}
	if s.earlier != nil {
		if err := s.resume(s.earlier, rows, sink); err != nil {
			if _, changed := src.ReadRest(); isChanged(changed) {
				return changed // and so the journal is of other users
			}
			return err
		}
	}
	asked, left := s.remote, s.tally.Read < s.in.total
	if s.cross != nil {
		asked, left = s.cross.conn, true
		sink = append(sink, s.cross)
	}
	if asked != nil {
		if err := s.checkTracking(asked, left); err != nil {
			return err
		}
	}
	progress := startProgress(s.con, s.o.progress, s.in.total, s.tally)
	defer progress.Close() //nolint:errcheck // never fails
	if s.metrics != nil {
		sink = append(sink, s.metrics)
	}
	before := s.tally.Read
	p := pipeline.Pipeline{
		Source:      rows,
		Stop:        s.env.Soft.Done(),
		Sink:        append(sink, progress),
		WindowBytes: windowBytes,
		Flags:       s.o.flags,
		Now:         clock,
	}
	if s.local != nil { // no journal: evaluating again is cheaper than reading the results
		p.Evaluator, p.Workers, p.Batch = s.local, runtime.GOMAXPROCS(0), localBatch
		p.Window = 4 * p.Workers * p.Batch
		p.AnswerBytes = int64(len(s.tally.Flags())) * pipeline.AssignmentBytes
	} else {
		p.Evaluator, p.Workers = s.remote, s.o.concurrency
		p.Window = max(min(16*p.Workers, 1024), minWindow) // one user's retries must not hold up the others
		p.AnswerBytes = windowBytes / 1024
		if s.o.rate == 0 { // requests that are all sent at once
			p.AnswerBytes = windowBytes / 64
		}
		p.Sink = append(sinks.Multi{stoppable{&journalSink{s.journal, s.remote.Replay(), &s.posted}}}, p.Sink)
		if s.stream != nil {
			p.Sink = sinks.Multi{p.Sink, stoppable{flusher{s.stream}}}
		}
	}
	stats, err := s.stopSoftly(&p, s.remote)
	if err != nil {
		return err
	}
	if before+stats.Answered+stats.Failed < s.in.total && s.env.Soft.Err() != nil {
		return context.Cause(s.env.Soft)
	}
	read := before + stats.Read
	if _, err := src.ReadRest(); err != nil { // what was read is what preflight has read, or this fails
		return err
	}
	if read != s.in.total {
		return fmt.Errorf("internal error: the input had %d rows in one pass, and %d in the next", s.in.total, read)
	}
	if stats.Answered+stats.Failed != stats.Read || s.tally.Read != read || s.tally.Answered+
		s.tally.FailedUsers() != read {
		return fmt.Errorf("internal error: %+v and %d users in the tally do not add up", stats, s.tally.Read)
	}
	return s.checkAnswered(&s.first)
}

// stopSoftly runs p. After the first signal nobody more is asked, and it says what it still waits for.
func (s *snapshotRun) stopSoftly(p *pipeline.Pipeline, asked *connection) (pipeline.Stats, error) {
	if asked == nil {
		return p.Run(s.env.Hard)
	}
	said := make(chan struct{})
	unsaid := context.AfterFunc(s.env.Soft, func() {
		defer close(said)
		if n := asked.Stop(); n > 0 {
			s.con.Log.Info(fmt.Sprintf("interrupted: finishing the %s in flight, at most %v; again to end at once",
				text.Count(int64(n), "request"), s.o.grace))
		}
	})
	defer func() {
		if !unsaid() {
			<-said // before the run says how it ended
		}
	}()
	return p.Run(s.env.Hard)
}

// embedded is the [amplitude.NoTrack] of a server in this process, which tracks nothing.
const embedded amplitude.NoTrack = "embedded"

// checkTracking refuses a server that records an assignment for every user, and warns of one that may. left says that
// there are users to ask about.
func (s *snapshotRun) checkTracking(c *connection, left bool) error {
	switch {
	case s.o.server.embedded():
		s.noTrack = embedded
		return nil
	case s.in.total == 0:
		return nil
	case !left && !c.Documented(): // an earlier process of this run asked everybody: its verdict is not known here
		s.noTrack = amplitude.Unproven
		return nil
	}
	t, err := c.Preflight(s.env.Soft, s.posts > 0)
	if err != nil {
		return err
	}
	s.noTrack = t.NoTrack
	unproven := fmt.Sprintf("could not tell whether this server honours no-track (%s)", t.Seen)
	switch {
	case s.o.server.allowTracking:
		return nil
	case t.NoTrack == amplitude.Ignored:
		return pipeline.WithHint(&amplitude.TrackingError{Answers: t.Seen}, "--allow-tracking, if that is what you want")
	case t.NoTrack == amplitude.Unproven && s.o.server.strict:
		return pipeline.WithHint(errors.New(unproven), "--strict refuses such a server; leave it out once you know that "+
			"the server is not Amplitude's self-hosted proxy")
	case t.NoTrack == amplitude.Unproven:
		s.con.Warn(unproven, "Amplitude's self-hosted proxy does not, and records an assignment for every user: find out "+
			"what this server is. "+
			"--strict refuses a server that may be it, --allow-tracking asks any server without this warning",
			about{code: warnUnprovenNoTrack})
	}
	return nil
}

// windowBytes is how much memory the rows that are read and not yet written, with their answers, may take: 256 requests
// in flight have room for answers of 100 kB.
const windowBytes = 32 << 20

// minWindow is how many rows may be read and not yet written, at least.
const minWindow = 256

// resume replays the journal of an earlier run, and goes on with it.
func (s *snapshotRun) resume(earlier *unfinished, rows pipeline.Source, sink pipeline.Sink) error {
	var err error
	if s.local != nil { // it had committed, and its journal holds no answers
		s.journal, err = earlier.reader.Resume()
		return stopped(err)
	}
	s.con.Log.Info(fmt.Sprintf("resuming the run of %s: %s of %s users are in its journal",
		s.started.Local().Format("2006-01-02 15:04"),
		text.Thousands(earlier.records), text.Thousands(s.in.total)))
	if file := s.o.files()[0]; file != s.o.anchor() {
		s.con.Log.Info("its outputs have the names of when it began: " + text.Clean(file))
	}
	start := time.Now()
	if torn := earlier.reader.Torn(); torn > 0 {
		s.con.Log.Info(fmt.Sprintf("the last %d bytes of the journal were not written whole: whoever was in them is asked "+
			"again", torn))
	}
	if err := earlier.reader.Rewind(); err != nil {
		return err
	}
	if err := s.replay(earlier, rows, sink, s.remote.Client); err != nil {
		return err
	}
	s.con.Log.Info(fmt.Sprintf("replayed in %s; going on after row %s", roundDuration(time.Since(start)),
		text.Thousands(s.lastRow)))
	if s.newKey {
		s.journal, err = earlier.reader.ResumeWithKey(journal.NewKey(s.remote.key.Secret()))
	} else {
		s.journal, err = earlier.reader.Resume()
	}
	if s.newKey || earlier.reader.NewKeys() > 0 {
		s.con.Warn("users of this run were asked about with more than one deployment key (--accept-new-key)", "",
			about{code: warnNewKey})
	}
	return stopped(err)
}

// isStoppedSoftly reports whether err is that of a run that a signal ended.
func (s *snapshotRun) isStoppedSoftly(err error) bool {
	return s.env.Soft.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(s.env.Soft)))
}

// explainStop turns the error that ended the run into the one that is reported.
func (s *snapshotRun) explainStop(err error) error {
	if s.isStoppedSoftly(err) {
		hint := "run the same command again: it goes on from there"
		if s.local != nil {
			hint = "run the same command again"
		}
		return pipeline.WithHint(fmt.Errorf("%w after %s of %s users; nothing was published", context.Cause(s.env.Soft),
			text.Thousands(s.tally.Read), text.Thousands(s.in.total)), hint)
	}
	if s.streamCut.Load() { // nothing says whether the reader of --out - has seen enough, or has died
		if _, terminal := s.con.Terminal(); !terminal { // a person knows what was closed; a log does not
			s.con.Log.Info("standard output was closed before all was written to it")
		}
		return errQuiet
	}
	return err
}

// manifest is the record of the run. It warns of what can only be known at the end.
func (s *snapshotRun) manifest() *snapshot.Manifest {
	t := s.tally
	s.reportUnasked()
	if t.Failed[pipeline.KindRequestTooLong] > 0 && s.o.method == "get" {
		s.con.Log.Info("--method auto sends such users by POST whose URL is too long")
	}
	m := &snapshot.Manifest{
		Format: snapshot.ManifestFormat, RunID: s.runID, Version: version(), StartedAt: s.started.UTC(),
		FinishedAt: clock().UTC(), Resumes: s.resumes,
		Completes: s.completes, Inputs: s.in.report, Assignments: t.Assignments, Flags: t.Flags(), NobodyGot: t.Nobody(),
		Unasked: t.Unasked, UnaskedFlags: t.UnaskedFlags(),
		Users: snapshot.Users{Read: t.Read, Answered: t.Answered, Failed: t.FailedUsers(), FailedByKind: t.Failed},
	}
	if slices.Contains(s.o.include, "cache") {
		m.Caches = &t.Caches
	}
	if s.o.shard.of > 0 {
		m.Shard = &snapshot.Shard{Number: s.o.shard.number, Of: s.o.shard.of, Flags: s.binding.Flags}
	}
	m.Layout = s.layout
	m.Options = s.typed
	var stats amplitude.Stats
	if s.remote != nil {
		stats = s.remote.Stats()
	} else {
		if file := s.o.flagsFile(); file != "" {
			s.local.file.Path = file
		}
		m.FlagConfigs, m.FlagSource = s.local.file, s.local.source
	}
	m.Cohorts = s.describeCohorts()
	if message, hint := describeShortfall(s.o, &stats); message != "" {
		s.con.Warn(message, hint, about{code: warnBelowRate})
	}
	m.NoTrack = string(s.noTrack)
	m.FlagChanges = s.changes
	if s.cross != nil {
		stats, m.CrossCheck = s.cross.conn.Stats(), &s.cross.result
	}
	if s.others != nil {
		m.Semantics, m.Disagreements = s.o.server.semantics, describeDisagreements(s.others)
	}
	m.Requests = summarizeRequests(stats)
	if s.o.method != "get" {
		m.Requests.Method, m.Requests.Posted = s.o.method, s.posted
	}
	m.Requests.Sent += s.replayedAttempts
	m.Requests.Retries += s.replayedRetries
	for status, n := range s.replayedStatuses {
		m.Requests.Statuses[status] += n
	}
	var formulas int64
	for _, out := range s.outputs {
		info := out.Info()
		formulas = max(formulas, info.Formulas)
		if info.LoneSurrogates > 0 {
			s.con.Warn(fmt.Sprintf("%s: %s half of a surrogate pair, which is written as \\ufffd; the first is of row %d",
				text.Clean(info.Path),
				text.CountIs(info.LoneSurrogates, "cell", "holds", "hold"), info.FirstLoneSurrogate),
				"somebody cut a text in the middle of an emoji; CSV and Parquet keep it as it was answered",
				about{code: warnHalfSurrogates, subjects: []string{info.Path}, count: info.LoneSurrogates})
		}
		m.Outputs = append(m.Outputs, s.o.describeOutput(out))
	}
	if formulas > 0 && s.o.formulas != "escape" {
		s.con.Warn(text.CountIs(formulas, "cell", "begins", "begin")+
			" with = + - or @, which a spreadsheet may run as a formula",
			"--csv-formulas escape writes a ' before them", about{code: warnFormulas, count: formulas})
	}
	m.Warnings = warningTexts(s.con.Warnings()) // the next ones are in FlagChanges, Disagreements and NobodyGot
	s.warnOfChangedFlags()
	if s.others != nil {
		warnOfDisagreements(s.con, s.others)
	}
	if nobody := m.NobodyGot; len(nobody) > 0 {
		hint := "off, not targeted at these users, not deployed, or a typo: the API does not tell which"
		if s.local != nil {
			hint = "off, not targeted at these users, or not deployed: `rollcall explain` tells which"
		}
		s.con.Warn("flags that nobody got: "+text.List(nobody, 10), hint, about{code: warnNobodyGot, subjects: nobody})
	}
	return m
}

// reportUnasked says which flags came that were not asked for. The self-hosted proxy and Amplitude's SDKs also answer
// the flags that the asked ones depend on: those are no sign of the wrong --flag-param, for which all flags come.
func (s *snapshotRun) reportUnasked() {
	flags := s.tally.UnaskedFlags()
	if s.tally.Unasked == 0 {
		return
	}
	isNeeded, known := s.neededFlags()
	others := slices.DeleteFunc(slices.Clone(flags), isNeeded)
	other := map[string]string{"flag_keys": "flag_key", "flag_key": "flag_keys"}[s.o.server.flagParam]
	dropped := text.Plural(s.tally.Unasked, "assignment of a flag that was not asked for was",
		"assignments of flags that were not asked for were") + " dropped"
	switch {
	case known && len(others) == 0:
		s.con.Log.Info(dropped + "; the asked flags depend on " + text.List(flags, 10))
		return
	case !known && len(flags) <= 2*len(s.o.flags)+2:
		s.con.Log.Info(dropped + "; the asked flags may depend on " + cmp.Or(text.List(flags, 10), "them") +
			" (if not, try --flag-param " + other + ")")
		return
	}
	s.con.Warn(dropped+": "+text.List(others, 10),
		"this server may not know --flag-param "+s.o.server.flagParam+": try --flag-param "+other,
		about{code: warnUnasked, subjects: others, count: s.tally.Unasked})
}

// neededFlags returns a function that reports whether an asked flag depends on a flag. known is false unless the server
// gave the flag configurations of all asked flags.
func (s *snapshotRun) neededFlags() (isNeeded func(flag string) bool, known bool) {
	var versions map[string]pipeline.FlagVersion // of the asked flags, and of those that they depend on
	if s.binding.Flags != nil {
		versions = s.binding.Flags.Flags
	}
	isNeeded = func(flag string) bool {
		_, ok := versions[flag]
		return ok
	}
	return isNeeded, !slices.ContainsFunc(s.o.flags, func(asked string) bool { return !isNeeded(asked) })
}

func summarizeRequests(stats amplitude.Stats) snapshot.Requests {
	r := snapshot.Requests{Sent: stats.Requests, Retries: stats.Retries, Pauses: stats.Pauses,
		PerSecond: stats.EffectiveRate, FoundRate: math.Round(stats.FoundRate*10) / 10, Statuses: map[string]int64{}}
	for status, n := range stats.Statuses {
		r.Statuses[fmt.Sprint(status)] = n
	}
	for class, n := range stats.TransportErrors {
		r.Statuses[class] = n
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r.Latency = snapshot.Latency{P50: ms(stats.P50), P90: ms(stats.P90), P99: ms(stats.P99), Max: ms(stats.Max)}
	return r
}

// stoppable is a sink whose errors are the machine's, not the run's: a full disk, say. The run can be repeated.
type stoppable struct{ pipeline.Sink }

func (s stoppable) Write(o *pipeline.Outcome) error { return stopped(s.Sink.Write(o)) }

// Encode has the sink encode the outcomes.
func (s stoppable) Encode(outcomes []pipeline.Outcome) pipeline.Encoded {
	return stoppableEncoded{pipeline.Encode(s.Sink, outcomes)}
}

type stoppableEncoded struct{ pipeline.Encoded }

func (s stoppableEncoded) Write(outcomes []pipeline.Outcome) error {
	return stopped(s.Encoded.Write(outcomes))
}

// streamWriter is standard output as the run's data go to it.
type streamWriter struct{ s *snapshotRun }

func (w streamWriter) Write(p []byte) (int, error) {
	n, err := w.s.env.Stdout.Write(p)
	if errors.Is(err, errQuiet) {
		w.s.streamCut.Store(true)
	}
	return n, err
}

// flusher is a sink that passes on what was written to a stream, after each row: its reader has it before the next
// request, and one that leaves costs no more requests than those that are in flight.
type flusher struct{ stream *sinks.Output }

func (f flusher) Write(*pipeline.Outcome) error { return f.stream.Flush() }

func (f flusher) Close() error { return nil }

// stopped is err with the exit code that says so; nil stays nil.
func stopped(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{err, exitStopped}
}

// ofServer are the kinds of failure that a server's answers cause.
var ofServer = []pipeline.Kind{pipeline.KindRejected, pipeline.KindBadAnswer, pipeline.KindUnavailable}

// hopeless is how many users may all fail at the start before the run is given up. Users that the server was not asked
// about do not count: rows without an id, say, which a warehouse sorts to the front.
const hopeless = 50

var errHopeless = fmt.Errorf("the first %d users all failed", hopeless)

// guard is a sink that counts users, and ends the run when too many fail.
type guard struct {
	tally *snapshot.Tally
	first *firstFailure
	limit errorLimit
	total int64
}

// Encode counts the outcomes.
func (g *guard) Encode(outcomes []pipeline.Outcome) pipeline.Encoded {
	return guardEncoded{g, g.tally.Encode(outcomes)}
}

type guardEncoded struct {
	guard *guard
	tally pipeline.Encoded
}

// Write adds what was counted. Where users have failed, the counts end with the one who ends the run.
func (g guardEncoded) Write(outcomes []pipeline.Outcome) error {
	if !slices.ContainsFunc(outcomes, func(o pipeline.Outcome) bool { return o.Err != nil }) {
		return g.tally.Write(outcomes)
	}
	for i := range outcomes {
		if err := g.guard.Write(&outcomes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) Write(o *pipeline.Outcome) error {
	_ = g.tally.Write(o) // neither fails
	_ = g.first.Write(o)
	if o.Err == nil {
		return nil
	}
	failed := g.tally.FailedUsers()
	if slices.Contains(ofServer, o.Err.Kind) && g.tally.Answered == 0 && g.failedAtServer() == hopeless {
		return pipeline.WithHint(fmt.Errorf("%w, the last one with %w", errHopeless, o.Err),
			"it is the request or the input that is wrong, not the users; --dry-run shows a request")
	}
	if g.limit.set && failed > g.limit.most(g.total) {
		return pipeline.WithHint(fmt.Errorf("%s failed, more than %s: %s", text.Count(failed, "user"),
			g.limit.allows(g.total),
			describeFailures(g.tally.Failed, g.first)),
			"nothing was published; a higher --max-errors goes on from there")
	}
	return nil
}

func (g *guard) failedAtServer() (n int64) {
	for _, kind := range ofServer {
		n += g.tally.Failed[kind]
	}
	return n
}

func (g *guard) Close() error { return nil }

// collectOptions returns all options with their values, for the manifest. The key is not an option.
func collectOptions(options *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	options.VisitAll(func(o *pflag.Flag) {
		if o.Name == "help" || o.Hidden {
			return
		}
		values[o.Name] = o.Value.String()
		if list, ok := o.Value.(pflag.SliceValue); ok {
			values[o.Name] = strings.Join(list.GetSlice(), ",")
		}
	})
	return values
}

// collectTypedOptions returns the options that are numbers, booleans or lists, with their values.
func collectTypedOptions(options *pflag.FlagSet) map[string]any {
	values := map[string]any{}
	options.VisitAll(func(o *pflag.Flag) {
		if o.Name == "help" || o.Hidden {
			return
		}
		values[o.Name] = o.Value.String()
		if list, ok := o.Value.(pflag.SliceValue); ok {
			values[o.Name] = nonNil(list.GetSlice())
			return
		}
		switch o.Value.Type() {
		case "bool":
			values[o.Name] = o.Value.String() == "true"
		case "int", "int64", "float64":
			if n, err := strconv.ParseFloat(o.Value.String(), 64); err == nil {
				values[o.Name] = n
			}
		}
	})
	return values
}
