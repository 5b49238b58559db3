package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/check"
)

func checkCommand(env *env, con *console) *cobra.Command {
	var ids, first bool
	var cohorts cohortOptions
	var common commonOptions
	cmd := &cobra.Command{
		Use: "check RULES.yaml SNAPSHOT... [options]", DisableFlagsInUseLine: true,
		Short: "Check snapshots against a rules file",
		Long: `check reads finished snapshots, and says which checks in a rules file hold. The
file is kept beside the experiment's code. The exit code is 0 if all checks
hold, and 4 if one does not. SNAPSHOT is an output of a run, or its manifest.
Several runs are added up.

  version: 1
  flag: checkout-redesign                # of checks without a flag
  checks:
    - variant: treatment
      where: country == "DE" and plan != "free"    # over --carry columns
      share: {min: 45%, max: 55%}        # or count: {min: 100}
    - exposed: nobody                    # or everybody
      where: plan == "enterprise"
    - ratio: {control: 50, treatment: 50}
      by: [country]                      # and alert: 0.001
    - exclusive: [checkout-redesign, pricing-test]
    - {holdout: holdout-2026, variant: holdout, flags: [checkout-redesign]}
    - {payload: checkout.schema.json, variant: treatment}
    - failed: {max: 1%}
    - users: {min: 1000}
    - flags: [checkout-redesign, pricing-test]
    - younger: 24h
    - unchanged: true                    # no flag was edited meanwhile
    - {exposed: nobody, cohort: vip}     # or not_cohort; --cohort vip=FILE
    - {cohort: vip, seen: {min: 95%}}    # members among the answered users

The README explains all keys. --init prints a first file from what a snapshot
shows.`,
		Example: `  rollcall check --init assignments.parquet > checkout.rules.yaml
  rollcall check checkout.rules.yaml assignments.parquet
  rollcall check checkout.rules.yaml eu.csv us.csv --format junit > junit.xml`,
		Args: func(cmd *cobra.Command, args []string) error {
			n, hint := 2, "name a rules file and the output of a run; `rollcall check --init SNAPSHOT` prints a first rules file"
			if first {
				n, hint = 1, "name the output of a run, for example assignments.parquet"
			}
			return checkArgs(cobra.MinimumNArgs(n), hint)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := common.start(cmd, env, con); err != nil {
				return err
			}
			set, err := cohorts.load(env)
			if err != nil {
				return err
			}
			if first {
				text, err := check.Init(env.Soft, check.Options{Snapshots: args, Files: env.Files, Cohorts: set})
				if err != nil {
					return err
				}
				_, err = io.WriteString(env.Stdout, text)
				return err
			}
			return runCheck(env, args, common.format, check.Options{IDs: ids, Cohorts: set})
		},
	}
	options := cmd.Flags()
	group(options, "Options", func() {
		common.defineFormat(options, "table", "json", "junit", "markdown")
		options.BoolVar(&ids, "ids", false, "show the ids of the example rows, too")
		options.BoolVar(&first, "init", false, "print a first rules file for SNAPSHOT")
		cohorts.define(options)
		common.define(options)
	})
	return cmd
}

func runCheck(env *env, args []string, format string, o check.Options) error {
	path := args[0]
	o.Snapshots, o.Files, o.Now = args[1:], env.Files, clock()
	data := []string{".csv", ".tsv", ".jsonl", ".parquet", ".gz", ".zst"}
	if strings.HasSuffix(path, ".manifest.json") || slices.ContainsFunc(data,
		func(ext string) bool { return strings.HasSuffix(path, ext) }) {
		return pipeline.WithHint(usageErrorf("%s is not a rules file", path),
			"put the rules file before the snapshots: rollcall check RULES.yaml SNAPSHOT...")
	}
	file, err := await(env.Soft, func() (*check.File, error) { return check.Load(env.Files, path) }) // and the schemas that it names
	if err != nil {
		return pipeline.WithHint(usageErrorf("%w", err), pipeline.Hint(err))
	}
	r, err := check.Run(env.Soft, file, o)
	if err != nil {
		if _, ok := errors.AsType[*check.Error](err); ok {
			return pipeline.WithHint(usageErrorf("%w", err), pipeline.Hint(err))
		}
		return err
	}
	var verdict error
	if !r.OK {
		verdict = &exitError{fmt.Errorf("%s: %s", path, r.Verdict()), exitNotHeld}
	}
	return keepVerdict(verdict, printResult(env.Stdout, format, r))
}
