package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/report"
	"github.com/rollcall-cli/rollcall/sinks"
)

func snapshotCommand(env *env, con *console) *cobra.Command {
	var o snapshotOptions
	cmd := &cobra.Command{
		Use: "snapshot INPUT... --out FILE [options]", DisableFlagsInUseLine: true,
		Short: "Ask for every user of a file, and write the assignments down",
		Long: `snapshot reads users from INPUT (a path, a glob, or - for standard input), asks
which variants each of them gets, and writes assignments and error records.
Columns named user_id, device_id, country, platform, version, user_properties.X,
groups.T, context, ... are sent as that; all others are not sent.`,
		Example: `  rollcall snapshot users.csv --out assignments.parquet
  rollcall snapshot users.csv --out a.csv --flags checkout --map user_id=uid
  rollcall snapshot users.csv --out a.csv --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applyConfig(cmd, env); err != nil {
				return err
			}
			if err := con.Configure(o.quiet, o.logFormat); err != nil {
				return err
			}
			if !cmd.Flags().Changed("rate") && o.server.embedded() {
				o.rate = 0
			}
			if err := o.check(cmd, args); err != nil {
				return err
			}
			s := &snapshot{env: env, con: con, o: &o, started: time.Now(), options: optionValues(cmd.Flags())}
			return s.run(args)
		},
	}
	o.define(cmd.Flags())
	return cmd
}

// snapshot is one run of the command.
type snapshot struct {
	env     *env
	con     *console
	o       *snapshotOptions
	options map[string]string
	started time.Time
	runID   string

	in      *input
	tally   *report.Tally
	outputs sinks.Multi // the error records are the last
}

// run is the whole run: check everything that can be checked, evaluate, and publish all files or none.
func (s *snapshot) run(args []string) (err error) {
	o := s.o
	// A batch job trades memory for time: with the default of 100 the collector costs a tenth of the run. The limit
	// is a soft one, for the collector to work harder; the live heap is about 35 MB, whatever the input.
	if _, set := s.env.LookupEnv("GOGC"); !set {
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	if _, set := s.env.LookupEnv("GOMEMLIMIT"); !set {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(90 << 20))
	}
	s.runID = s.started.UTC().Format("20060102T150405Z-") + strings.ToLower(rand.Text()[:8])

	if s.in, err = openInput(s.env.Soft, s.env, o, args); err != nil {
		return err
	}
	defer s.in.Close()
	config := amplitude.Config{
		FlagKeys: o.flags, Rate: o.rate, Burst: o.burst, Concurrency: o.concurrency, MaxAttempts: o.maxAttempts, MaxOutage: o.maxOutage,
	}
	if o.dryRun {
		return dryRun(s.env.Soft, s.env, o, s.in, config)
	}
	if err := s.checkPaths(); err != nil {
		return err
	}
	client, hangUp, err := o.server.dial(s.env, s.con, config)
	if err != nil {
		return err
	}
	defer hangUp()
	found, err := s.in.preflight(s.env.Soft, nil)
	if err != nil {
		return err
	}
	s.warnOf(found)
	if err := s.createOutputs(found.carry); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.outputs.Discard()) }()
	if !o.server.allowTracking && s.in.total > 0 {
		if err := client.Preflight(s.env.Soft); err != nil {
			return err
		}
	}
	if err := s.evaluate(client); err != nil {
		return s.explainStop(err)
	}
	return s.publish(client)
}

// checkPaths refuses outputs that would replace something: an input always, anything else without --overwrite.
func (s *snapshot) checkPaths() error {
	for _, path := range append(slices.Clone(s.o.outs), s.o.errorsFile, s.o.manifestFile()) {
		if path == "-" || path == "" {
			continue
		}
		exists, err := sinks.Exists(path)
		if err != nil {
			return err
		}
		if !exists {
			continue
		}
		out, err := os.Stat(path)
		for _, f := range s.in.files {
			if in, inErr := os.Stat(f.Path); err == nil && inErr == nil && os.SameFile(in, out) {
				return usageErrorf("%s is an input, and would be replaced", path)
			}
		}
		if !s.o.overwrite {
			return errExists(path)
		}
	}
	return nil
}

// warnOf says what an analyst should know of the input before the run.
func (s *snapshot) warnOf(found *findings) {
	if !found.hasLocation && !s.o.server.embedded() {
		s.con.Warn("no location column: the API will locate every user where this machine is",
			"map country, region, city, dma or ip_address if a flag targets by location")
	}
	if len(found.unseen) > 0 {
		s.con.Warn("columns that no row has: "+list(found.unseen, 10), "are they spelled as in the input?")
	}
	var unsent []string
	for _, c := range found.columns {
		if c.Target == "" && !c.Carried {
			unsent = append(unsent, c.Name)
		}
	}
	if len(unsent) > 0 {
		s.con.Warn("columns that are not sent: "+list(unsent, 10), "--properties sends columns as user_properties, --map as something else")
	}
}

// list joins names, the first few of them.
func list(names []string, most int) string {
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (s *snapshot) createOutputs(carry []pipeline.Column) (err error) {
	options, err := json.Marshal(s.options)
	if err != nil {
		return err
	}
	spec := sinks.Spec{
		Carry: carry, Version: version(), EscapeFormulas: s.o.formulas == "escape",
		Meta: map[string]string{"rollcall.run_id": s.runID, "rollcall.options": string(options)},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.outputs.Discard())
		}
	}()
	for _, path := range s.o.outs {
		var out *sinks.Output
		if path == "-" {
			out, err = sinks.Stream(s.env.Stdout, s.o.outFormat, spec)
		} else {
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

// evaluate runs the pipeline from the first row to the last.
func (s *snapshot) evaluate(client *amplitude.Client) error {
	src, err := s.in.Open()
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only read
	s.tally = report.NewTally(s.o.flags)
	progress := startProgress(s.con, s.o.progress, s.in.total)
	defer progress.Close() //nolint:errcheck // never fails
	p := pipeline.Pipeline{
		Source:    pipeline.Until(s.in.Select(src), s.env.Soft.Done()),
		Evaluator: client,
		Sink:      fanOut{s.tally, &guard{tally: s.tally, limit: s.o.errLine, total: s.in.total}, stoppable{s.outputs}, progress},
		Flags:     s.o.flags,
		Workers:   s.o.concurrency,
		Window:    min(max(16*s.o.concurrency, 256), 4096), // one user's retries must not hold up the others
	}
	stats, err := p.Run(s.env.Hard)
	if err != nil {
		return err
	}
	if stats.Read < s.in.total && s.env.Soft.Err() != nil {
		return context.Cause(s.env.Soft)
	}
	if stats.Read != s.in.total {
		return fmt.Errorf("the input changed while it was read: it had %d rows, then %d", s.in.total, stats.Read)
	}
	if stats.Answered+stats.Failed != stats.Read || s.tally.Answered != stats.Answered || s.tally.FailedUsers() != stats.Failed {
		return fmt.Errorf("internal error: %+v does not add up", stats)
	}
	return nil
}

// explainStop makes of the error that ended the run the one that is said.
func (s *snapshot) explainStop(err error) error {
	if s.env.Soft.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(s.env.Soft))) {
		return pipeline.WithHint(fmt.Errorf("%w after %s of %s users; nothing was published", context.Cause(s.env.Soft),
			thousands(s.tally.Read), thousands(s.in.total)), "run the same command again")
	}
	if errors.Is(err, syscall.EPIPE) && slices.Contains(s.o.outs, "-") && len(s.o.outs) == 1 {
		return errQuiet
	}
	return err
}

// publish gives the complete files their names, the manifest last.
func (s *snapshot) publish(client *amplitude.Client) error {
	if err := s.outputs.Close(); err != nil {
		return s.explainStop(stopped(err))
	}
	m := s.manifest(client.Stats())
	manifestFile := s.o.manifestFile()
	if manifestFile != "" {
		// Where a manifest stands, its outputs are complete: the one of an earlier run goes before they do.
		if err := os.Remove(manifestFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("replace manifest: %w", err)
		}
	}
	if err := s.outputs.Publish(); err != nil {
		return stopped(err)
	}
	if manifestFile != "" {
		data, err := m.Marshal()
		if err != nil {
			return err
		}
		if err := sinks.WriteFile(manifestFile, data); err != nil {
			return stopped(err)
		}
	}
	summarize(s.con, m)
	if m.Users.Failed > 0 {
		return errSomeFailed
	}
	return nil
}

// manifest is the record of the run. It warns of what can only be known at the end.
func (s *snapshot) manifest(stats amplitude.Stats) *report.Manifest {
	t := s.tally
	if nobody := t.Nobody(); len(nobody) > 0 {
		s.con.Warn("flags that nobody got: "+list(nobody, 10), "off, not targeted at these users, not deployed, or a typo: the API does not tell which")
	}
	if t.Unasked > 0 {
		other := map[string]string{"flag_keys": "flag_key", "flag_key": "flag_keys"}[s.o.server.flagParam]
		s.con.Warn(plurals(t.Unasked, "assignment of a flag that was not asked for was", "assignments of flags that were not asked for were")+" dropped",
			"this server may not know --flag-param "+s.o.server.flagParam+": try "+other)
	}
	m := &report.Manifest{
		Format: report.ManifestFormat, RunID: s.runID, Version: version(), StartedAt: s.started.UTC(), FinishedAt: time.Now().UTC(),
		Options: s.options, Inputs: s.in.report, Assignments: t.Assignments, Flags: t.Flags(), NobodyGot: t.Nobody(), Unasked: t.Unasked,
		Users:    report.Users{Read: t.Read, Answered: t.Answered, Failed: t.FailedUsers(), FailedByKind: t.Failed},
		Requests: requests(stats),
	}
	var formulas int64
	for _, out := range s.outputs {
		info := out.Info()
		formulas = max(formulas, info.Formulas)
		m.Outputs = append(m.Outputs, report.File{Path: info.Path, Bytes: info.Bytes, Rows: info.Rows, SHA256: info.SHA256})
	}
	if formulas > 0 && s.o.formulas != "escape" {
		s.con.Warn(plurals(formulas, "cell begins", "cells begin")+" with = + - or @, which a spreadsheet may run as a formula",
			"--csv-formulas escape writes a ' before them")
	}
	m.Warnings = s.con.Warnings()
	return m
}

func requests(stats amplitude.Stats) report.Requests {
	r := report.Requests{Sent: stats.Requests, Retries: stats.Retries, Pauses: stats.Pauses, PerSecond: stats.EffectiveRate, Statuses: map[string]int64{}}
	for status, n := range stats.Statuses {
		r.Statuses[fmt.Sprint(status)] = n
	}
	for class, n := range stats.TransportErrors {
		r.Statuses[class] = n
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r.Latency = report.Latency{P50: ms(stats.P50), P90: ms(stats.P90), P99: ms(stats.P99), Max: ms(stats.Max)}
	return r
}

// fanOut is several sinks behind one.
type fanOut []pipeline.Sink

func (f fanOut) Write(o *pipeline.Outcome) error {
	for _, sink := range f {
		if err := sink.Write(o); err != nil {
			return err
		}
	}
	return nil
}

func (f fanOut) Close() error { return nil } // the command closes each itself

// stoppable is a sink whose errors are the machine's, not the run's: a full disk, say. The run can be repeated.
type stoppable struct{ pipeline.Sink }

func (s stoppable) Write(o *pipeline.Outcome) error { return stopped(s.Sink.Write(o)) }

// stopped is err with the exit code that says so; nil stays nil.
func stopped(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{err, exitStopped}
}

// hopeless is how many users may all fail at the start before the run is given up.
const hopeless = 50

// guard is a sink that ends the run when too many users fail. It looks at tally, which comes before it.
type guard struct {
	tally *report.Tally
	limit errorLimit
	total int64
}

func (g *guard) Write(o *pipeline.Outcome) error {
	if o.Err == nil {
		return nil
	}
	failed := g.tally.FailedUsers()
	if failed == hopeless && g.tally.Read == hopeless {
		return pipeline.WithHint(fmt.Errorf("the first %d users all failed, the last one with %w", hopeless, o.Err),
			"it is the request or the input that is wrong, not the users; --dry-run shows a request")
	}
	if g.limit.set && failed > g.limit.most(g.total) {
		return pipeline.WithHint(fmt.Errorf("%s users failed, more than --max-errors allows; row %d: %w", thousands(failed), o.Row.Number, o.Err),
			"nothing was published")
	}
	return nil
}

func (g *guard) Close() error { return nil }

// optionValues are all options with their values, for the manifest. The key is none of them.
func optionValues(options *pflag.FlagSet) map[string]string {
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
