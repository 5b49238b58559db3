package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sources"
)

// shard is one of several runs that evaluate an input together, each a part of it. The zero shard is a run of all.
type shard struct {
	number, of int // from 1
	plan       *plan
	planFile   string
}

// maxShards bounds --shard and --shards: the files of that many runs can still be listed.
const maxShards = 99_999

// shardVariables are where the platforms that start a process for each shard say which it is, from 0, and how many there
// are.
var shardVariables = [][2]string{
	{"JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"},
	{"AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"},
	{"CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"},
}

// parseShard parses --shard.
func parseShard(value string, lookup func(string) (string, bool)) (shard, error) {
	if value != "auto" {
		number, of, ok := strings.Cut(value, "/")
		i, errI := strconv.Atoi(number)
		n, errN := strconv.Atoi(of)
		if !ok || errI != nil || errN != nil || i < 1 || n > maxShards || i > n {
			return shard{}, pipeline.WithHint(usageErrorf("--shard %q is not I/N with I from 1 to N", value),
				fmt.Sprintf("for example --shard 3/24, or --shard auto; N is at most %d", maxShards))
		}
		return shard{number: i, of: n}, nil
	}
	var missing []string
	for _, v := range shardVariables {
		index, hasIndex := lookup(v[0])
		count, hasCount := lookup(v[1])
		switch {
		case !hasIndex:
			continue
		case !hasCount:
			missing = append(missing, v[0]+" without "+v[1])
			continue
		}
		i, errI := strconv.Atoi(index)
		n, errN := strconv.Atoi(count)
		if errI != nil || errN != nil || i < 0 || i >= n || n > maxShards {
			return shard{}, usageErrorf("--shard auto: %s=%q and %s=%q are not a number from 0 and how many there are", v[0], index,
				v[1], count)
		}
		return shard{number: i + 1, of: n}, nil
	}
	err := usageErrorf("--shard auto: the environment does not say which shard this is")
	if len(missing) > 0 {
		err = usageErrorf("--shard auto: the environment has %s", strings.Join(missing, ", "))
	}
	return shard{}, pipeline.WithHint(err, "it needs JOB_COMPLETION_INDEX and JOB_COMPLETIONS, "+
		"AWS_BATCH_JOB_ARRAY_INDEX and .._SIZE, or CLOUD_RUN_TASK_INDEX and .._COUNT; or give --shard I/N")
}

// name is what {shard} is in names: the number from 0, with five digits, as query engines number files.
func (s shard) name() string { return fmt.Sprintf("%05d", s.number-1) }

// String returns the shard as --shard is written.
func (s shard) String() string { return fmt.Sprintf("%d/%d", s.number, s.of) }

// checkShard parses --shard and --plan, and refuses options that would mean something else for a shard than for all.
func (o *snapshotOptions) checkShard(ctx context.Context, env *env, inputs []string) (err error) {
	if o.shardOf == "" {
		if o.planFile != "" {
			return usageErrorf("--plan is for --shard")
		}
		return nil
	}
	if o.shard, err = parseShard(o.shardOf, env.LookupEnv); err != nil {
		return err
	}
	// The number is known before the run begins, unlike the values of other placeholders: each shard has its own journal.
	for _, name := range append([]*string{&o.errorsFile, &o.summary, &o.manifest}, pointers(o.outs)...) {
		*name = strings.ReplaceAll(*name, "{shard}", o.shard.name())
	}
	for _, refused := range []struct {
		given        bool
		option, hint string
	}{
		{o.latest != "", "--latest", "it would be of one shard; `rollcall merge` writes a manifest of all"},
		{o.limit > 0, "--limit", "it would be the first rows of each shard; limit the input instead"},
		{o.sample > 0, "--sample", "it would be a sample of each shard; sample the input instead"},
		{o.maxErrors != "", "--max-errors", "it is about all users: give it to `rollcall merge`"},
		{o.minUsersSet, "--min-users", "it is about all users: give it to `rollcall merge`"},
		{o.crossCheck > 0, "--cross-check", "it would be a sample of each shard; cross-check a run of a sample"},
		{slices.Contains(inputs, "-"), "standard input", "every shard reads the same files; write it to one"},
	} {
		if refused.given {
			return pipeline.WithHint(usageErrorf("--shard and %s do not go together", refused.option), refused.hint)
		}
	}
	if o.planFile == "" {
		return nil
	}
	o.shard.planFile = o.planFile
	o.shard.plan, err = readPlan(ctx, env, o.planFile)
	return err
}

func pointers[T any](list []T) (all []*T) {
	for i := range list {
		all = append(all, &list[i])
	}
	return all
}

// ownRate is the most requests that this process sends in a second: --rate is that of all shards together.
func (o *snapshotOptions) ownRate() float64 { return o.rate / float64(max(1, o.shard.of)) }

// divide makes the input the part of the shard.
func (in *input) divide(ctx context.Context, con *console, s shard) error {
	if s.of == 0 {
		return nil
	}
	if s.plan != nil {
		return in.usePlan(s)
	}
	if s.number > 1 {
		con.Log.Info(fmt.Sprintf("shard %s reads what is before it, to count the rows; `rollcall plan` does that once for all "+
			"shards", s))
	}
	division, err := sources.Divide(ctx, in.files, in.options, s.of, s.number)
	if err != nil {
		return err
	}
	in.options.Parts = division.Parts[s.number-1]
	return nil
}

// plan is how an input is divided into shards.
type plan struct {
	Plan      int       `json:"rollcall_plan"` // the version of the format
	CreatedAt time.Time `json:"created_at"`
	Version   string    `json:"version"` // of rollcall

	// How the files are read, which decides where a row ends.
	InputFormat string `json:"input_format"`
	Delimiter   string `json:"delimiter"`
	NoHeader    bool   `json:"no_header"`

	Files  []snapshot.File  `json:"files"`
	Rows   int64            `json:"rows"`
	Shards [][]sources.Part `json:"shards"`
}

const (
	planFormat   = 1
	maxPlanBytes = 256 << 20
)

func readPlan(ctx context.Context, env *env, path string) (*plan, error) {
	data, err := readStored(ctx, env.Stores, path, maxPlanBytes)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	var p plan
	if err := json.Unmarshal(data, &p); err != nil || p.Plan == 0 {
		return nil, pipeline.WithHint(usageErrorf("%s is not a plan", text.Clean(path)), "`rollcall plan` writes one")
	}
	if p.Plan != planFormat {
		return nil, pipeline.WithHint(usageErrorf("%s is a plan of format %d, and this version of rollcall knows format %d",
			text.Clean(path), p.Plan, planFormat), "plan again with this version")
	}
	return &p, nil
}

// usePlan makes the input the part that the plan gives the shard.
func (in *input) usePlan(s shard) error {
	p, name := s.plan, text.Clean(s.planFile)
	delimiter := ""
	if in.options.Delimiter != 0 {
		delimiter = string(in.options.Delimiter)
	}
	switch {
	case len(p.Shards) != s.of:
		return pipeline.WithHint(usageErrorf("--shard %s, but %s has %s", s, name, text.Count(int64(len(p.Shards)), "shard")),
			"all shards of a plan have its number of them")
	case p.InputFormat != in.options.Format || p.Delimiter != delimiter || p.NoHeader != in.options.NoHeader:
		return pipeline.WithHint(usageErrorf("%s was made with other --input-format, --delimiter or --no-header", name),
			"give the shards the same ones")
	case len(p.Files) != len(in.files):
		return pipeline.WithHint(usageErrorf("%s is of %s, and the input has %d", name,
			text.Count(int64(len(p.Files)), "file"), len(in.files)), "plan again")
	}
	for i, f := range in.files {
		size, err := f.Size()
		if err != nil {
			return err
		}
		if size != p.Files[i].Bytes {
			return newPlanError(f, name+" was made")
		}
	}
	parts := p.Shards[s.number-1]
	for i, part := range parts {
		if part.File < 0 || part.File >= len(in.files) || i > 0 && part.File <= parts[i-1].File || part.From < 0 ||
			part.To >= 0 && part.To < part.From || part.Row < 0 || part.Rows < 0 {
			return usageErrorf("%s is damaged: shard %d has a part that cannot be", name, s.number)
		}
	}
	if len(parts) == 0 {
		return usageErrorf("%s is damaged: shard %d has no part", name, s.number)
	}
	in.options.Parts = parts
	return nil
}

// newPlanError is the error of a file that is not as it was when the plan was made.
func newPlanError(f sources.File, plan string) error {
	return pipeline.WithHint(fmt.Errorf("%s has changed since %s", text.Clean(f.String()), plan),
		"plan again, and run all shards again: their parts do not fit together")
}

// describePart is what the manifest says of the i-th part of a file, which was read whole: that many rows. It is an error
// if the plan, or who counted the rows, has seen another file.
func (in *input) describePart(i int, rows int64, sum sources.Sum) (*snapshot.InputPart, error) {
	part := in.options.Parts[i]
	f := in.files[part.File]
	if part.SHA256 != "" && part.SHA256 != sum.SHA256 || part.Rows != rows {
		return nil, newPlanError(f, "its shards were planned")
	}
	size, err := f.Size()
	return &snapshot.InputPart{File: part.File, From: part.From, To: part.From + sum.Bytes, Row: part.Row, FileBytes: size,
		FileVersion: f.Version()}, err
}
