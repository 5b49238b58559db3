package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/load"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

func loadCommand(env *env, con *console) *cobra.Command {
	var o load.Options
	var common commonOptions
	cmd := &cobra.Command{
		Use: "load OUT --for DATABASE [options]", DisableFlagsInUseLine: true,
		Short: "Print the SQL that loads an output into a database",
		Long: `load prints the statements that load an output of a finished run: the table
with the types and comments of all columns, and the rows of the run, in place of
those that were loaded of it before. OUT is an output, or the manifest of the
run; then it is the output that the database reads best. It connects to nothing.
DATABASE is ` + strings.Join(load.Databases(), " ") + `.`,
		Example: `  rollcall load assignments.parquet --for duckdb | duckdb analysis.db
  rollcall load assignments.csv --for postgres --table exp.assignments | psql
  rollcall load a.parquet --for bigquery --from gs://bucket/exp/ | bq query`,
		Args: checkArgs(cobra.ExactArgs(1), "name an output, or its manifest"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := common.start(cmd, env, con); err != nil {
				return err
			}
			if o.Database == "" {
				return usageErrorf("--for says for which database: %s", strings.Join(load.Databases(), " "))
			}
			if !slices.Contains(load.Databases(), o.Database) {
				return pipeline.WithHint(usageErrorf("--for %q is not known: it is one of %s", o.Database,
					strings.Join(load.Databases(), " ")), pipeline.Suggest(o.Database, load.Databases()))
			}
			return printLoad(env, args[0], o)
		},
	}
	options := cmd.Flags()
	group(options, "Options", func() {
		options.StringVar(&o.Database, "for", "", "`DATABASE` one of those above")
		options.StringVar(&o.Table, "table", "assignments", "`NAME` of the table, as schema.assignments [assignments]")
		options.StringVar(&o.From, "from", "", "`URL` of the file, or of its directory, as s3://b/dir/ [path]")
		common.define(options)
	})
	return cmd
}

// printLoad prints the statements that load a run.
func printLoad(env *env, path string, o load.Options) error {
	run, err := snapshot.Open(env.Files, path)
	if err != nil {
		return err
	}
	if run.Manifest == nil {
		return run.MissingManifest
	}
	outputs := snapshot.Locate(env.Files, run.ManifestPath, run.Manifest, nil)
	outputs = outputs[:max(len(outputs)-1, 0)] // the last one is the error records
	if !snapshot.IsManifest(env.Files, path) {
		outputs = slices.DeleteFunc(outputs, func(l snapshot.Located) bool { return run.Listed == nil || l.File != *run.Listed })
		for i := range outputs {
			outputs[i].Path = run.Path
		}
	}
	var b bytes.Buffer
	if err := load.Statements(&b, run.Manifest, outputs, o); err != nil {
		return err
	}
	_, err = env.Stdout.Write(b.Bytes())
	return err
}
