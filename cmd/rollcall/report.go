package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// reportOptions are what a report on snapshots is made of; check and others take them too.
type reportOptions struct {
	by       []string
	configs  string
	server   serverOptions // for --flag-configs fetch
	expect   []string
	controls []string
	checksum bool
	cohorts  cohortOptions
}

func reportCommand(env *env, con *console) *cobra.Command {
	var o reportOptions
	var html pageOptions
	var missing missingOptions
	var failOn string
	var common commonOptions
	cmd := &cobra.Command{
		Use: "report SNAPSHOT... [options]", DisableFlagsInUseLine: true,
		Short: "Who is exposed to what, and whether the split holds",
		Long: `report reads finished snapshots, and says whether they can be trusted, who got
what, whether the variants are split as they should be, also in each slice of
the users, and who is in two experiments at once. Nothing is sent, but for
--flag-configs fetch, which asks for the flags alone.

SNAPSHOT is an output of a run, or its manifest. Several runs are added up; who
failed in one and was asked about again in another is counted once.
What the split should be is in the flag configurations, or said with --expect.
Slices are by columns that the snapshot was told to --carry, or by cohort.NAME.

Of each cohort it says which members are among the users, and what they got,
beside what everybody got; the HTML page leads with those of --cohort. Members
are found by user id.`,
		Example: `  rollcall report assignments.parquet
  rollcall report out.parquet --flag-configs flags.json --by country,plan
  rollcall report eu.csv us.csv --expect checkout=control:50,treatment:50
  rollcall report out.parquet --cohort vip=vips.csv --missing never-seen.csv
  rollcall report out.parquet --format markdown > report.md`,
		Args: checkArgs(cobra.MinimumNArgs(1), "name the output of a run, for example assignments.parquet"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := common.start(cmd, env, con); err != nil {
				return err
			}
			if !slices.Contains([]string{"", "alert", "warn"}, failOn) {
				return usageErrorf("--fail-on %q is not known: it is alert or warn", failOn)
			}
			cohorts, err := o.cohorts.load(env)
			if err != nil {
				return err
			}
			read := append([]string{o.configs}, args...)
			for _, c := range cohorts.All() {
				read = append(read, c.Path)
			}
			if err := html.check(env, read...); err != nil {
				return err
			}
			if err := missing.check(env, &html, cohorts, read); err != nil {
				return err
			}
			options, err := o.options(env, args, con)
			if err != nil {
				return err
			}
			options.Cohorts, options.Named = cohorts, o.cohorts.named()
			r, err := report.Build(env.Soft, options)
			if _, ok := errors.AsType[*report.OptionError](err); ok {
				return pipeline.WithHint(usageErrorf("%w", err), pipeline.Hint(err))
			}
			if err != nil {
				return err
			}
			if err := missing.write(env, r, html.overwrite); err != nil {
				return err
			}
			if err := html.write(env, r); err != nil {
				return err
			}
			return keepVerdict(failedReport(r, failOn), printResult(env.Stdout, common.format, r))
		},
	}
	options := cmd.Flags()
	group(options, "Options", func() {
		defineList(options, &o.by, "by", "`COL,..` carried columns, or cohort.NAME, to slice the users by")
		options.StringVar(&o.configs, "flag-configs", "", "`FILE` flag configurations, which say what to expect; or fetch")
		o.server.defineFetch(options)
		options.StringArrayVar(&o.expect, "expect", nil, "`FLAG=VARIANT:WEIGHT,..` the split of a flag; may be repeated")
		defineList(options, &o.controls, "controls", "`V,..` variants that are no treatment [control,off,default]")
		options.BoolVar(&o.checksum, "checksums", false, "compare the files' checksums with the manifests'")
		common.defineFormat(options, "table", "json", "markdown")
		options.StringVar(&failOn, "fail-on", "", "`alert|warn` end with 4 if there is an alert; or a warning, too")
		o.cohorts.define(options)
		options.StringVar(&missing.file, "missing", "", "`FILE` CSV of the members that no snapshot has")
		html.define(options)
		common.define(options)
	})
	return cmd
}

// failedReport is the error of a report that is as bad as --fail-on says, or worse; nil if it is not.
func failedReport(r *report.Report, failOn string) error {
	alerts, warnings := r.Count(report.Alert), r.Count(report.Warn)
	if failOn == "" || alerts == 0 && (failOn == "alert" || warnings == 0) {
		return nil
	}
	return &exitError{fmt.Errorf("--fail-on %s: %s and %s", failOn, text.Count(alerts, "alert"),
		text.Count(warnings, "warning")), exitNotHeld}
}

// options returns the options of a report, with the flag configurations read.
func (o *reportOptions) options(env *env, snapshots []string, con *console) (report.Options, error) {
	options := report.Options{Snapshots: snapshots, Files: env.Files, By: o.by, Controls: o.controls,
		Checksums: o.checksum}
	for i, name := range o.by {
		if slices.Contains(o.by[:i], name) {
			return options, usageErrorf("--by names column %q more than once", name)
		}
	}
	if o.configs != "" {
		from, data, err := o.readConfigs(env, con)
		if err != nil {
			return options, err
		}
		eng, err := parseFlagConfigs(from, data, nil, semanticsOf(env.Files, snapshots), true, con)
		if err != nil {
			return options, err
		}
		sum := sha256.Sum256(data)
		options.Configs = &snapshot.File{Path: from, SHA256: hex.EncodeToString(sum[:])}
		splits, groups := eng.Splits()
		for _, split := range splits {
			options.Expectations = append(options.Expectations, report.Expectation{Source: from, Split: split})
		}
		options.Groups = groups
	}
	given := map[string]bool{}
	for _, text := range o.expect {
		e, err := parseExpect(text)
		if err != nil {
			return options, err
		}
		if given[e.Flag] {
			return options, usageErrorf("--expect is given more than once for flag %q", e.Flag)
		}
		given[e.Flag] = true
		// Who is bucketed by what, the configuration still says.
		at := slices.IndexFunc(options.Expectations, func(c report.Expectation) bool { return c.Flag == e.Flag })
		if at < 0 {
			options.Expectations = append(options.Expectations, e)
			continue
		}
		c := &options.Expectations[at]
		c.Source, c.Variants, c.Assigned = e.Source, e.Variants, e.Assigned
		if !c.Clustered {
			c.None = engine.NoSplit{}
		}
	}
	return options, nil
}

// readConfigs reads the flag configurations, or downloads them, and says where they are from.
func (o *reportOptions) readConfigs(env *env, con *console) (from string, data []byte, err error) {
	if o.configs != "fetch" {
		data, err = readFlagConfigs(env.Soft, env.Stores, o.configs)
		return o.configs, data, err
	}
	o.server.flagConfigs = o.configs
	if err := o.server.check(true); err != nil {
		return "", nil, err
	}
	f, err := o.server.fetchFlags(env.Soft, env, con, time.Minute)
	if err != nil {
		return "", nil, err
	}
	return f.name, f.Data, nil
}

// notAssigned is the name of those who got no variant, in --expect.
const notAssigned = "not_assigned"

// parseExpect reads what --expect says: FLAG=VARIANT:WEIGHT,…; not_assigned is a variant, too.
func parseExpect(text string) (report.Expectation, error) {
	bad := func(format string, args ...any) (report.Expectation, error) {
		return report.Expectation{}, pipeline.WithHint(usageErrorf("--expect %q: "+format, append([]any{text}, args...)...),
			"for example --expect checkout=control:50,treatment:50")
	}
	flag, list, ok := strings.Cut(text, "=")
	if flag = strings.TrimFunc(flag, isBlank); !ok || flag == "" {
		return bad("it is not FLAG=VARIANT:WEIGHT,…")
	}
	e := report.Expectation{Source: report.SourceExpect, Split: engine.Split{Flag: flag}}
	var sum, none float64
	seen := map[string]bool{}
	parts, err := splitList(list, ':')
	if err != nil {
		return bad("%w", err)
	}
	if len(parts) == 0 {
		return bad("it is not FLAG=VARIANT:WEIGHT,…")
	}
	for _, part := range parts {
		at := strings.LastIndexByte(part, ':')
		if at <= 0 {
			return bad("%q is not VARIANT:WEIGHT", part)
		}
		variant := part[:at]
		weight, err := strconv.ParseFloat(part[at+1:], 64)
		if err != nil || !(weight >= 0 && weight <= 1e12) {
			return bad("%q is not a valid weight", part[at+1:])
		}
		if seen[variant] {
			return bad("variant %q is duplicated", variant)
		}
		seen[variant] = true
		if variant == notAssigned {
			none = weight
			continue
		}
		sum += weight
		e.Variants = append(e.Variants, engine.Weight{Variant: variant, Share: weight})
	}
	if sum <= 0 {
		return bad("the weights add up to nothing")
	}
	for i := range e.Variants {
		e.Variants[i].Share /= sum
	}
	slices.SortFunc(e.Variants, func(a, b engine.Weight) int { return strings.Compare(a.Variant, b.Variant) })
	if seen[notAssigned] {
		assigned := sum / (sum + none)
		e.Assigned = &assigned
	}
	return e, nil
}
