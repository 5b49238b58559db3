package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
	"github.com/rollcall-cli/rollcall/sources"
)

// planOptions are the options of `rollcall plan`: those of snapshot that decide where a row ends, and its own.
type planOptions struct {
	snapshotOptions
	shards int
	out    string
}

func (o *planOptions) define(options *pflag.FlagSet) {
	snapshot := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.snapshotOptions.define(snapshot)
	group(options, "Options", func() {
		options.IntVar(&o.shards, "shards", 0, "`N` into how many parts the input is divided")
		options.StringVarP(&o.out, "out", "o", "", "`FILE` .json: the plan")
		for _, name := range []string{"input-format", "delimiter", "no-header", "overwrite"} {
			option := snapshot.Lookup(name)
			option.Annotations = nil // the heading is another
			options.AddFlag(option)
		}
		options.Lookup("overwrite").Usage = "replace an existing plan"
		o.commonOptions.define(options)
	})
}

func planCommand(env *env, con *console) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use: "plan INPUT... --shards N --out FILE [options]", DisableFlagsInUseLine: true,
		Short: "Divide an input among the shards of a job",
		Long: `plan divides an input into N parts of about the same size, and writes down where
each begins and which numbers its rows have: one reading for all shards. Then N
processes, on as many machines, run snapshot with --shard I/N --plan FILE, each
of which reads its own part, and merge makes one run of theirs. A part begins
where a row begins, in text, or with a row group, in Parquet; a compressed file
is not divided. Options that say how the input is read are those of the shards.`,
		Example: `  rollcall plan 's3://bucket/users/*.csv' --shards 24 --out s3://bucket/plan.json
  rollcall snapshot 's3://bucket/users/*.csv' --shard 3/24 \
    --plan s3://bucket/plan.json --out 's3://bucket/out/part-{shard}.parquet'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.start(cmd, env, con); err != nil {
				return err
			}
			switch {
			case len(args) == 0:
				return pipeline.WithHint(usageErrorf("no INPUT given"), "name files of users, or a glob")
			case slices.Contains(args, "-"):
				return pipeline.WithHint(usageErrorf("standard input (-) cannot be divided"), "write it to a file")
			case o.out == "":
				return pipeline.WithHint(usageErrorf("no --out given"), "for example --out plan.json")
			case o.shards < 1 || o.shards > maxShards:
				return pipeline.WithHint(usageErrorf("--shards is from 1 to %s", text.Thousands(maxShards)),
					"for example --shards 24")
			}
			if err := o.checkMapping(); err != nil {
				return err
			}
			return o.run(env, con, args)
		},
	}
	o.define(cmd.Flags())
	return cmd
}

func (o *planOptions) run(env *env, con *console, args []string) error {
	files := staging.New(env.Soft, env.Stores, o.overwrite)
	if exists, err := files.Exists(o.out); err != nil {
		return err
	} else if exists && !o.overwrite {
		return errExists(o.out)
	}
	in := &input{options: o.inputOptions()}
	defer in.Close()
	if err := in.openFiles(env.Soft, env, args); err != nil {
		return err
	}
	p, err := newPlan(env.Soft, in, o.shards)
	if err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := writeWhole(files, o.out, append(data, '\n')); err != nil {
		return err
	}
	least, most := int64(math.MaxInt64), int64(0)
	for _, parts := range p.Shards {
		rows := int64(0)
		for _, part := range parts {
			rows += part.Rows
		}
		least, most = min(least, rows), max(most, rows)
	}
	con.Log.Info(fmt.Sprintf("%s: %s of %s, in %s of %s to %s rows", text.Clean(o.out), text.Count(p.Rows, "row"),
		text.Count(int64(len(p.Files)), "file"), text.Count(int64(o.shards), "shard"), text.Thousands(least),
		text.Thousands(most)))
	if most > 2*(p.Rows/int64(o.shards)+1) {
		con.Warn("the shards are not even: compressed files and row groups are not divided",
			"more files, smaller row groups, or fewer shards make them so", about{code: warnUnevenShards})
	}
	return nil
}

// newPlan divides the input.
func newPlan(ctx context.Context, in *input, shards int) (*plan, error) {
	division, err := sources.Divide(ctx, in.files, in.options, shards, 0)
	if err != nil {
		return nil, err
	}
	p := &plan{Plan: planFormat, CreatedAt: clock().UTC(), Version: version(), InputFormat: in.options.Format,
		NoHeader: in.options.NoHeader, Rows: division.Rows, Shards: division.Parts}
	if in.options.Delimiter != 0 {
		p.Delimiter = string(in.options.Delimiter)
	}
	rows := make([]int64, len(in.files))
	for _, parts := range division.Parts {
		for _, part := range parts {
			rows[part.File] += part.Rows
		}
	}
	for i, f := range in.files {
		p.Files = append(p.Files, snapshot.File{Path: f.String(), Rows: rows[i], Bytes: division.Sums[i].Bytes,
			SHA256: division.Sums[i].SHA256})
	}
	return p, nil
}

// writeWhole writes a file that appears whole or not at all, on disk or in a store.
func writeWhole(files *staging.Files, path string, data []byte) error {
	f, err := files.WriteTemp(path, data)
	if err != nil {
		return err
	}
	err = files.Publish(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		err = errExists(path)
	}
	return errors.Join(err, f.Remove()) // which does nothing, once it is published
}
