package main

import (
	"cmp"
	"errors"
	"math"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/diff"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
	"github.com/rollcall-cli/rollcall/sinks"
)

func diffCommand(env *env, con *console) *cobra.Command {
	var html pageOptions
	var out, maxChanged, memory string
	var overwrite bool
	var cohorts cohortOptions
	var only []string
	var common commonOptions
	cmd := &cobra.Command{
		Use: "diff BEFORE AFTER [RETRY...] [options]", DisableFlagsInUseLine: true,
		Short: "What changed between two snapshots",
		Long: `diff compares two finished snapshots, user by user: who gets another variant of
which flag, another payload or experiment key, who was added, and who was
removed. Users are the same where user id and device id are. Format, layout and
order may differ; row numbers, times and evaluation ids are never differences. A
flag that one of the runs did not ask for is not compared, and --max-changed
does not count it; --out lists who has a variant of it, as not_asked. Nothing is
sent.

--only cohort.vip compares the members of a cohort alone, by user id: the
verdict, --max-changed and --out are about them.

BEFORE and AFTER are outputs of runs, or their manifests; RETRY is an output of
a run that asked again about the failed users of one of them, and is part of it.
Where both runs evaluated flag configurations on this machine (--evaluator
local), diff says which of them changed. Where their inputs are unchanged, too,
it evaluates the users who changed again, and says whether the new configuration
or the user's new properties caused it.`,
		Example: `  rollcall diff monday.parquet tuesday.parquet
  rollcall diff before.csv after.parquet --out changed.csv
  rollcall diff monday.parquet tuesday.parquet --max-changed 1%
  rollcall diff monday.csv tuesday.csv --cohort vip=vips.csv --only cohort.vip`,
		Args: checkArgs(cobra.MinimumNArgs(2), "name the outputs of two runs, for example monday.parquet tuesday.parquet"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := common.start(cmd, env, con); err != nil {
				return err
			}
			o := diff.Options{Before: args[0], After: args[1], Files: env.Files, Retries: args[2:]}
			if maxChanged != "" {
				o.Limit = &diff.Limit{Text: maxChanged}
				if o.Limit.Users, o.Limit.Share, o.Limit.IsShare, err = parseLimit("--max-changed", maxChanged); err != nil {
					return err
				}
			}
			if o.Only, err = cohorts.findOnly(env, only); err != nil {
				return err
			}
			if o.Memory, err = parseMemory(memory); err != nil {
				return err
			}
			// The tables hold no pointers: to collect more often than Go would costs little, and keeps to the size.
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(o.Memory + o.Memory/8 + 256<<20))
			html.overwrite = overwrite
			if out != "" && filepath.Clean(out) == filepath.Clean(html.file) {
				return usageErrorf("--out and --html name the same file, %s", out)
			}
			if err := html.check(env, args...); err != nil {
				return err
			}
			var changes *changeList
			if out != "" {
				if changes, err = createChanges(env, out, overwrite, args); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, changes.out.Discard()) }()
				o.Each = changes.write
			}
			r, err := diff.Compare(env.Soft, o)
			if err != nil {
				return err
			}
			if changes != nil {
				if err := changes.publish(env, overwrite); err != nil {
					return err
				}
			}
			if err := html.writeDiff(env, r); err != nil {
				return err
			}
			var verdict error
			if !r.Verdict.OK {
				verdict = &exitError{errors.New(r.Verdict.Text), exitNotHeld}
			}
			return keepVerdict(verdict, printResult(env.Stdout, common.format, r))
		},
	}
	options := cmd.Flags()
	group(options, "Options", func() {
		options.StringVarP(&out, "out", "o", "", "`FILE` each change: .csv .tsv .jsonl (.gz .zst) .parquet")
		options.StringVar(&html.file, "html", "", "`FILE` write the diff as one HTML page, too")
		options.BoolVar(&overwrite, "overwrite", false, "replace an existing --out or --html")
		options.StringVar(&maxChanged, "max-changed", "", "`N|P%` exit 4 if more users of both changed")
		defineList(options, &only, "only", "`cohort.NAME,..` compare the members of these cohorts alone")
		cohorts.define(options)
		options.StringVar(&memory, "memory", "1GiB", "`SIZE` for the users; beyond it, several passes [1GiB]")
		common.defineFormat(options, "table", "json", "markdown")
		common.define(options)
	})
	return cmd
}

// findOnly reads the cohorts that --only names. None are needed without it.
func (o *cohortOptions) findOnly(env *env, only []string) (list []*cohort.Cohort, err error) {
	set, err := o.load(env)
	if err != nil {
		return nil, err
	}
	if set != nil && len(only) == 0 {
		return nil, pipeline.WithHint(usageErrorf("cohorts are given, and --only names none of them"),
			"for example --only cohort."+strings.Join(set.Names()[:min(1, len(set.Names()))], ""))
	}
	for _, text := range only {
		name, ok := strings.CutPrefix(text, "cohort.")
		if !ok {
			return nil, pipeline.WithHint(usageErrorf("--only %q is not a cohort", text), "for example --only cohort.vip")
		}
		c := set.Get(name)
		if c == nil {
			return nil, pipeline.WithHint(usageErrorf("--only names cohort %q, which is not given", name),
				cmp.Or(pipeline.Suggest(name, set.Names()), "give it: --cohort "+name+"=FILE"))
		}
		list = append(list, c)
	}
	return list, nil
}

// parseMemory parses a size such as 512MiB.
func parseMemory(text string) (int64, error) {
	bad := pipeline.WithHint(usageErrorf("--memory %q is not a size", text), "for example --memory 512MiB")
	number := strings.TrimRight(text, "KMGTiBkb ")
	units := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20,
		"GIB": 1 << 30, "TIB": 1 << 40}
	unit, known := units[strings.ToUpper(strings.TrimSpace(text[len(number):]))]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || !(n > 0) || n*unit > 1<<50 {
		return 0, bad
	}
	if size := int64(math.Ceil(n * unit)); size >= 1<<20 {
		return size, nil
	}
	return 0, usageErrorf("--memory %s is too little: it is at least 1MiB", text)
}

// changeList is the file that lists the changes.
type changeList struct {
	files   *staging.Files
	out     *sinks.Output
	path    string
	outcome pipeline.Outcome
}

// changeColumns are its columns.
var changeColumns = []pipeline.Column{
	{Name: "user_id"}, {Name: "device_id"}, {Name: "flag_key"}, {Name: "change"},
	{Name: "outcome_before"}, {Name: "outcome_after"}, {Name: "variant_before"}, {Name: "variant_after"},
	{Name: "payload_before", Type: pipeline.TypeJSON}, {Name: "payload_after", Type: pipeline.TypeJSON},
	{Name: "experiment_key_before"}, {Name: "experiment_key_after"}, {Name: "cause"},
	{Name: "row_number_before", Type: pipeline.TypeInt}, {Name: "row_number_after", Type: pipeline.TypeInt},
}

// createChanges creates the list of changes between snapshots, which it may not replace.
func createChanges(env *env, path string, overwrite bool, snapshots []string) (*changeList, error) {
	if _, err := sinks.Format(path); err != nil {
		return nil, &exitError{err, exitUsage}
	}
	err := checkReplace(env, "--out", path, overwrite, snapshots)
	if err != nil {
		return nil, err
	}
	l := &changeList{path: path, files: env.newFiles(overwrite)}
	l.out, err = sinks.CreateRows(path, changeColumns, sinks.Spec{Version: version(), Files: l.files})
	return l, err
}

// write writes one change.
func (l *changeList) write(c *diff.Change) error {
	text := func(s string) pipeline.Value {
		if s == "" {
			return pipeline.Value{}
		}
		return pipeline.StringValue(s)
	}
	payload := func(s string) pipeline.Value {
		if v, err := pipeline.ParseJSON(s); err == nil || s == "" {
			return v
		}
		return pipeline.StringValue(s) // it was no JSON in the snapshot either
	}
	number := func(n int64) pipeline.Value {
		if n == 0 {
			return pipeline.Value{}
		}
		return pipeline.IntValue(n)
	}
	l.outcome.Row.Carry = append(l.outcome.Row.Carry[:0], text(string(c.UserID)), text(string(c.DeviceID)), text(c.Flag),
		text(c.What),
		text(c.Before.Outcome), text(c.After.Outcome), text(c.Before.Variant), text(c.After.Variant),
		payload(c.Before.Payload), payload(c.After.Payload), text(c.Before.ExperimentKey), text(c.After.ExperimentKey),
		text(string(c.Cause)),
		number(c.BeforeRow), number(c.AfterRow))
	return l.out.Write(&l.outcome)
}

// publish gives the complete file its name.
func (l *changeList) publish(env *env, overwrite bool) error {
	if err := errors.Join(l.out.Close(), checkReplace(env, "--out", l.path, overwrite, nil)); err != nil {
		return err
	}
	return publishFile(l.files, l.out.Info().Temp, l.path, l.out.Discard)
}
