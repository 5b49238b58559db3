package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

func verifyCommand(env *env, con *console) *cobra.Command {
	var thorough bool
	var common commonOptions
	cmd := &cobra.Command{
		Use: "verify OUT... [options]", DisableFlagsInUseLine: true,
		Short: "Check finished outputs against their manifest and each other",
		Long: `verify checks the outputs of a finished run. OUT is an output, or the manifest
of the run (FIRST_OUT.manifest.json); all outputs of the run are checked then.
Checksums come first. Then each file is read whole: columns, rows, order, each
flag of a user once, counts as in the manifest, nobody both answered and failed,
the same values in all formats. A second, unrelated implementation of Parquet
reads the schema and the counts of every row group, and the values of eight: the
first, the last, and others at equal distances; with --thorough, of all.
Of a run and one that asked again about its failed users, nobody is in both.
It names files, rows and columns, and never a user's id. It ends with 4 if
something is not as it was written.`,
		Example: `  rollcall verify assignments.parquet
  rollcall verify copied/assignments.csv.manifest.json
  rollcall verify assignments.csv --format json`,
		Args: checkArgs(cobra.MinimumNArgs(1), "name an output, or its manifest"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := common.start(cmd, env, con); err != nil {
				return err
			}
			for _, arg := range args { // one whose manifest is there is a finding
				if _, err := snapshot.FindManifest(env.Files, arg); err != nil && !snapshot.IsManifest(env.Files, arg) {
					if _, err := env.Files.Stat(arg); err != nil {
						return err
					}
				}
			}
			verdicts := []*snapshot.Verdict{}
			var named [][]string
			for _, run := range runsOf(env.Files, args) {
				verdict := run.verdict
				if verdict == nil {
					var err error
					if verdict, err = snapshot.Verify(env.Soft, env.Files, run.manifest,
						snapshot.VerifyOptions{Named: run.outputs, Thorough: thorough}); err != nil {
						return err
					}
				}
				verdicts, named = append(verdicts, verdict), append(named, run.outputs)
			}
			if err := snapshot.VerifyRetries(env.Soft, env.Files, verdicts, named); err != nil {
				return err
			}
			return printVerdicts(env.Stdout, common.format, common.quiet, verdicts)
		},
	}
	options := cmd.Flags()
	group(options, "Options", func() {
		common.defineFormat(options, "text", "json")
		options.BoolVar(&thorough, "thorough", false, "have the second implementation read all values")
		common.define(options)
	})
	return cmd
}

// verifyRun is a run to verify, and which of its outputs were named.
type verifyRun struct {
	manifest string
	outputs  []string
	verdict  *snapshot.Verdict // of an output without a manifest
}

// runsOf sorts the arguments by the runs that they are of.
func runsOf(files *blob.Files, args []string) []*verifyRun {
	var runs []*verifyRun
	add := func(manifest string, outputs ...string) {
		i := slices.IndexFunc(runs, func(r *verifyRun) bool { return r.manifest == manifest })
		if i < 0 {
			i = len(runs)
			runs = append(runs, &verifyRun{manifest: manifest})
		}
		runs[i].outputs = append(runs[i].outputs, outputs...)
	}
	lost := map[string]error{} // outputs without a manifest beside them
	for _, arg := range args {
		if snapshot.IsManifest(files, arg) {
			add(arg)
		} else if manifest, err := snapshot.FindManifest(files, arg); err == nil {
			add(manifest, arg)
		} else {
			lost[arg] = err
		}
	}
	for _, arg := range args {
		err := lost[arg]
		if err == nil {
			continue
		}
		if i := slices.IndexFunc(runs, func(r *verifyRun) bool {
			return r.verdict == nil &&
				snapshot.Lists(files, r.manifest, arg)
		}); i >= 0 {
			runs[i].outputs = append(runs[i].outputs, arg)
			continue
		}
		example := err.Error()
		if hint := pipeline.Hint(err); hint != "" {
			example += "; " + hint
		}
		runs = append(runs, &verifyRun{verdict: &snapshot.Verdict{Notes: []string{}, Checks: []*snapshot.Check{{
			Name: "manifest", File: arg, Status: snapshot.StatusFailed, Findings: 1, Examples: []string{example},
			Problems: []snapshot.Finding{{Code: snapshot.NoManifest, Text: example}},
		}}}})
	}
	return runs
}

// verifyResult is what was found, for a program.
type verifyResult struct {
	OK   bool                `json:"ok"`
	Runs []*snapshot.Verdict `json:"runs"`
}

// printVerdicts says what was found, and returns the error that the command ends with.
func printVerdicts(w io.Writer, format string, quiet bool, verdicts []*snapshot.Verdict) error {
	var findings int64
	files := int64(0)
	for _, v := range verdicts {
		for _, c := range v.Checks {
			findings += c.Findings
			if c.Name == "checksum" {
				files++
			}
		}
	}
	output := verdictText(verdicts)
	verdict := fmt.Sprintf("OK: %s, complete and unchanged\n", text.Count(files, "file"))
	if findings > 0 {
		verdict = fmt.Sprintf("NOT OK: %s\n", text.Count(findings, "finding"))
	}
	if format == "json" {
		data, err := marshalResult(verifyResult{findings == 0, verdicts})
		if err != nil {
			return err
		}
		output, verdict = string(data), ""
	}
	var failed, printed error
	if findings > 0 {
		failed = &exitError{fmt.Errorf("the outputs are not what a finished run leaves: %s", text.Count(findings, "finding")),
			exitNotHeld}
	}
	if !quiet || findings > 0 || format == "json" {
		_, printed = io.WriteString(w, output+verdict)
	}
	return keepVerdict(failed, printed)
}

// verdictText is the checks under the names of their files, a line each, with the first findings of each below it.
func verdictText(verdicts []*snapshot.Verdict) string {
	p := text.Printer{Width: 80, Whole: true}
	for _, v := range verdicts {
		file := ""
		for i, c := range v.Checks {
			if c.File != file || i == 0 {
				if file = c.File; file == "" {
					p.Line("all files")
				} else {
					p.Line("%s", text.Clean(file))
				}
			}
			detail, status := c.Detail, map[string]string{snapshot.StatusOK: "ok", snapshot.StatusFailed: "FAIL",
				snapshot.StatusSkipped: "skip"}[c.Status]
			if c.Status == snapshot.StatusFailed {
				detail = text.Count(c.Findings, "finding")
			}
			p.Hang(fmt.Sprintf("  %-5s %-12s ", status, c.Name), detail)
			for _, example := range c.Examples {
				p.Hang("        - ", example)
			}
			if more := c.Findings - int64(len(c.Examples)); more > 0 {
				p.Line("        - and %s more", text.Thousands(more))
			}
		}
		for _, note := range v.Notes {
			p.Hang("  note  ", note)
		}
	}
	return p.String()
}
