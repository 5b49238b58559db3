package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sources"
)

// notInherited are the options that a retry does not take from the run that it completes: those which are about that
// run's files and its console, and those which decide where the key comes from and who gets it. The manifest lies
// beside the input, where somebody else may have put it.
var notInherited = []string{
	"input-format", "delimiter", "limit", "sample", "out", "out-format", "errors", "summary", "overwrite", "max-errors",
	"manifest", "latest", "work-dir", "csv-bom", "out-delimiter",
	"concurrency",
	"fresh", "resume", "min-users", "accept-new-key", "no-header", "ragged", "dry-run", "progress", "metrics", "metrics-listen", "config", "quiet",
	"log-format", "key-file", "api-key-file", "secret-key-file", "allow-http", "allow-tracking", "help",
}

// inheritOptions gives the options of the run that a retry completes to those options that were not given: whoever asks
// again about the users of OUT.errors.jsonl wants the same flags and columns as before. It returns how the input's run
// and what was taken from it are to be said; "" where the inputs are not the error records of a run whose manifest is
// beside them.
func inheritOptions(env *env, options *pflag.FlagSet, inputs []string,
	format string) (said, hint string, err error) {
	files, err := sources.ExpandPaths(env.Soft, env.Stores, inputs)
	if _, ok := errors.AsType[*blob.Error](err); ok { // after all its attempts, which are not made twice
		return "", "", err
	}
	if err != nil || len(files) == 0 || slices.Contains(inputs, "-") {
		return "", "", nil // what is wrong with the inputs is said by whoever opens them
	}
	runID, err := sources.FailedRun(files[0], sources.Options{Format: format})
	if err != nil || runID == "" {
		return "", "", nil
	}
	m := snapshot.FindRun(env.Files, blob.Dir(files[0].Path), runID)
	if err := env.Files.Err(); err != nil {
		return "", "", err
	}
	if m == nil {
		return "these users failed in run " + text.Clean(runID) + ", whose manifest is not beside " + text.Clean(files[0].Path),
			"give the options of that run again: --flags, --map, ...", nil
	}
	var taken []string
	local := m.Options.Text("evaluator") == "local" || m.Options.Text("server") == "embedded"
	options.VisitAll(func(o *pflag.Flag) {
		value := m.Options.Text(o.Name)
		if err != nil || o.Changed || o.Hidden || slices.Contains(notInherited, o.Name) || value == "" ||
			value == o.Value.String() {
			return
		}
		if o.Name == "rate" && local { // it is 0 there, which means something else to an API
			return
		}
		if o.Name == "server" && !slices.Contains([]string{"us", "eu", "embedded"}, value) {
			err = pipeline.WithHint(usageErrorf("these users failed in run %s, which asked a server of its own",
				text.Clean(runID)),
				"say --server "+text.Clean(value)+" if it is that one: who gets the key is not read from a file")
			return
		}
		if list, ok := o.Value.(pflag.SliceValue); ok { // whose items may hold commas
			o.Changed = true
			err = list.Replace(m.Options.List(o.Name))
		} else {
			err = setOption(options, o, value, "the manifest of run "+text.Clean(runID))
		}
		taken = append(taken, "--"+o.Name+" "+text.Clean(value))
	})
	if err != nil {
		return "", "", err
	}
	said = fmt.Sprintf("these users failed in run %s: this run completes it", text.Clean(runID))
	if len(taken) > 0 {
		said += ", with its options " + strings.Join(taken, " ")
	}
	return said, "", nil
}
