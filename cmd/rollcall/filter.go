package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/sources"
)

// pipeOptions are the options of `rollcall pipe`: those of snapshot that say how a line is a user and which flags are
// evaluated, and its own.
type pipeOptions struct {
	snapshotOptions
	include []string
}

// pipeParts are the values of --include: what an answer has of each variant beside its key.
var pipeParts = []struct {
	name, member string
	text         func(v *pipeline.Variant) string
	isJSON       bool
}{
	{"payload", "payloads", func(v *pipeline.Variant) string { return v.Payload }, true},
	{"experiment_key", "experiment_keys", func(v *pipeline.Variant) string { return v.ExperimentKey }, false},
	{"value", "values", func(v *pipeline.Variant) string { return v.Value }, false},
	{"metadata", "metadata", func(v *pipeline.Variant) string { return v.Metadata }, true},
}

func (o *pipeOptions) define(options *pflag.FlagSet) {
	snapshot := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.snapshotOptions.define(snapshot)
	share := func(names ...string) {
		for _, name := range names {
			option := snapshot.Lookup(name)
			option.Annotations = nil // the heading is another
			options.AddFlag(option)
		}
	}
	group(options, "Input", func() { share("map", "properties", "types", "trim") })
	group(options, "Output", func() {
		defineList(options, &o.include, "include", "`A,..` also payload experiment_key value metadata")
		share("carry")
		options.Lookup("carry").Usage = "`NAME,..` members of the line to copy to the answer"
	})
	group(options, "Flags", func() {
		options.StringVar(&o.server.flagConfigs, "flag-configs", "", "`FILE` flag configurations, or fetch: download them")
		share("flags", "flags-from", "semantics", "skip-unsupported", "server", "key-file", "timeout", "allow-http")
	})
	group(options, "Cohorts", func() {
		share("cohorts", "cohort", "cohort-id", "cohorts-column", "max-cohort-size", "unknown-cohorts")
	})
	group(options, "Other", func() { o.commonOptions.define(options) })
}

func pipeCommand(env *env, con *console) *cobra.Command {
	var o pipeOptions
	cmd := &cobra.Command{
		Use: "pipe --flag-configs FILE [options]", DisableFlagsInUseLine: true,
		Short: "A filter: a user a line in, an answer a line out",
		Long: `pipe reads JSON objects from standard input, one a line, evaluates the flags for
each user on this machine, and writes JSON objects to standard output: in the
same order, one for each line, also for a line that is not a user.

  {"user_id":"u1","country":"DE"}
  {"user_id":"u1","device_id":null,"variants":{"checkout":"on"},"error":null}

A line has the members that a snapshot's input has as columns. With --flags, the
variants have each of these flags; null is a user who did not get it. An answer
is written before pipe waits for a line, so that a caller can wait for it. Failed
users are in the answers: at the end of its input pipe exits with 0. It is a
filter for Spark's pipe, ClickHouse's executable functions and the like.`,
		Example: `  rollcall pipe --flag-configs flags.json < users.jsonl > answers.jsonl
  rollcall pipe --flag-configs flags.json --flags checkout --include payload`,
		Args: checkArgs(cobra.NoArgs, "users come from standard input; `rollcall snapshot` reads files"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.start(cmd, env, con); err != nil {
				return err
			}
			o.server.stores = env.Stores
			if o.server.flagConfigs == "" {
				return pipeline.WithHint(usageErrorf("pipe needs --flag-configs"),
					"a FILE of flag configurations, or fetch, which downloads them")
			}
			for _, name := range o.include {
				if !slices.Contains(pipePartNames(), name) {
					return pipeline.WithHint(usageErrorf("--include %q is not known: it is one of %s", name,
						strings.Join(pipePartNames(), " ")), pipeline.Suggest(name, pipePartNames()))
				}
			}
			if err := errors.Join(o.checkFlags(env.Soft), o.checkMapping(), o.server.check(true), o.cohorts.check()); err != nil {
				return err
			}
			f, err := o.newFilter(env, con)
			if err != nil {
				return err
			}
			err = f.run(env.Soft, env.Stdin)
			con.Log.Info(fmt.Sprintf("%s: %s answered, %s failed", text.Count(f.lines, "line"),
				text.Thousands(f.lines-f.failed), text.Thousands(f.failed)))
			return err
		},
	}
	o.define(cmd.Flags())
	return cmd
}

func pipePartNames() (names []string) {
	for _, p := range pipeParts {
		names = append(names, p.name)
	}
	return names
}

// newFilter reads what the answers are made from.
func (o *pipeOptions) newFilter(env *env, con *console) (*filter, error) {
	if o.carryAll || len(o.carriedCohorts) > 0 {
		return nil, usageErrorf("--carry names members of a line: all and cohort.NAME are for `rollcall snapshot`")
	}
	decoder, err := sources.NewLineDecoder(o.mapped)
	if err != nil {
		return nil, &exitError{err, exitUsage}
	}
	from, data, err := o.server.loadConfigs(env, con)
	if err != nil {
		return nil, err
	}
	eng, err := o.server.parseFlagConfigs(from, data, o.flags, con)
	if err != nil {
		return nil, err
	}
	set, err := o.cohorts.load(env)
	if err != nil {
		return nil, err
	}
	f := &filter{options: o, decoder: decoder, out: env.Stdout, asked: pipeline.IndexFlags(o.flags)}
	if f.evaluator, err = local.New(local.Config{Engine: eng, Flags: o.flags, Cohorts: set, Now: clock}); err != nil {
		return nil, err
	}
	skipped, err := o.cohorts.checkKnownCohorts(con, eng, o.flags, f.evaluator.Members, func(field string) bool {
		return o.mapped.Map[field] != "" // nobody knows what the lines will have
	})
	f.evaluator.Skip(skipped)
	return f, err
}

// filter answers lines, in one goroutine: who wants more of them at a time starts more processes.
type filter struct {
	options   *pipeOptions
	decoder   *sources.LineDecoder
	evaluator *local.Evaluator
	asked     *pipeline.FlagIndex
	out       io.Writer

	lines, failed int64
	outcome       pipeline.Outcome
	answers       []byte // that were not written yet
}

// maxAnswers is how many bytes of answers are collected while there are further lines.
const maxAnswers = 64 << 10

// run answers all lines of in. When ctx ends, it writes the answers of the lines that it has read, and returns.
func (f *filter) run(ctx context.Context, in io.Reader) error {
	r := &waitingReader{ctx: ctx, in: in, flush: f.flush}
	done := make(chan error, 1)
	go func() {
		r.working.Lock()
		defer r.working.Unlock()
		done <- f.answerLines(bufio.NewReaderSize(r, 64<<10))
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		r.working.Lock() // until it has written what it has, and waits for its next line
		return context.Cause(ctx)
	}
}

// waitingReader writes the answers before it waits for more lines.
type waitingReader struct {
	ctx     context.Context
	in      io.Reader
	flush   func() error
	working sync.Mutex // held by the filter, but while it waits
}

func (r *waitingReader) Read(p []byte) (int, error) {
	if err := r.flush(); err != nil {
		return 0, err
	}
	r.working.Unlock()
	n, err := r.in.Read(p)
	r.working.Lock()
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return n, err
}

func (f *filter) answerLines(in *bufio.Reader) error {
	var long []byte // a line that is longer than the buffer
	for {
		part, err := in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			if len(long) <= sources.MaxLine { // what is longer is an error
				long = append(long, part...)
			}
			continue
		}
		if err != nil && err != io.EOF {
			return err
		}
		if line := part; len(long)+len(line) > 0 {
			if len(long) > 0 {
				long = append(long, part...)
				line, long = long, nil
			}
			if err := f.answerLine(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return f.flush()
		}
	}
}

func (f *filter) flush() error {
	if len(f.answers) == 0 {
		return nil
	}
	_, err := f.out.Write(f.answers)
	f.answers = f.answers[:0]
	return err
}

func (f *filter) answerLine(line []byte) error {
	o := &f.outcome
	f.decoder.Decode(line, &o.Row)
	f.lines++
	o.Row.Number = f.lines
	if o.Row.Err != nil {
		o.SetError(o.Row.Err, clock())
	} else if answer, err := f.evaluator.Evaluate(context.Background(), &o.Row.User); err == nil {
		o.SetAnswer(answer, f.asked)
	} else if failed, ok := errors.AsType[*pipeline.UserError](err); ok {
		o.SetError(failed, clock())
	} else {
		return err
	}
	if o.Err != nil {
		f.failed++
	}
	f.answers = f.appendAnswer(f.answers, o)
	if len(f.answers) >= maxAnswers {
		return f.flush()
	}
	return nil
}

// appendAnswer appends the line of an outcome.
func (f *filter) appendAnswer(dst []byte, o *pipeline.Outcome) []byte {
	dst = appendText(append(dst, `{"user_id":`...), o.Row.User.UserID)
	dst = appendText(append(dst, `,"device_id":`...), o.Row.User.DeviceID)
	if len(o.Row.Carry) > 0 {
		dst = append(dst, `,"carry":`...)
		for i := range o.Row.Carry {
			dst = appendName(dst, i, f.options.mapped.Carry[i])
			dst = o.Row.Carry[i].AppendJSON(dst)
		}
		dst = append(dst, '}')
	}
	dst = f.appendVariants(append(dst, `,"variants":`...), o, false, func(v *pipeline.Variant) string { return v.Key })
	for _, p := range pipeParts {
		if slices.Contains(f.options.include, p.name) {
			dst = append(append(append(dst, `,"`...), p.member...), `":`...)
			dst = f.appendVariants(dst, o, p.isJSON, p.text)
		}
	}
	dst = append(dst, `,"error":`...)
	if o.Err == nil {
		return append(dst, "null}\n"...)
	}
	dst = appendText(append(dst, `{"kind":`...), string(o.Err.Kind))
	dst = appendText(append(dst, `,"message":`...), o.Err.Message)
	return append(dst, "}}\n"...)
}

// appendVariants appends an object with something of each variant, by flag; null where a variant does not have it.
func (f *filter) appendVariants(dst []byte, o *pipeline.Outcome, isJSON bool, of func(*pipeline.Variant) string) []byte {
	if len(o.Assignments) == 0 {
		return append(dst, "{}"...)
	}
	for i := range o.Assignments {
		a := &o.Assignments[i]
		dst = appendName(dst, i, a.FlagKey)
		if s := of(&a.Variant); isJSON && s != "" {
			s, _ = pipeline.MendSurrogates(s) // as in JSONL outputs
			dst = append(dst, s...)
		} else {
			dst = appendText(dst, s)
		}
	}
	return append(dst, '}')
}

// appendName appends the name of the i-th member of an object.
func appendName(dst []byte, i int, name string) []byte {
	if i == 0 {
		dst = append(dst, '{')
	} else {
		dst = append(dst, ',')
	}
	return append(pipeline.AppendJSONString(dst, name), ':')
}

// appendText appends a text, or null for none.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return pipeline.AppendJSONString(dst, s)
}
