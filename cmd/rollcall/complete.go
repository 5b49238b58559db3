package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/load"
	"github.com/rollcall-cli/rollcall/sources"
)

// optionValues are the values of options that have few, for the shell to complete.
var optionValues = map[string][]string{
	"input-format": {"csv", "csv.gz", "csv.zst", "tsv", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"},
	"out-format":   {"csv", "tsv", "jsonl", "parquet"},
	"ragged":       {"fail", "pad"}, "missing": {"null", "empty"}, "layout": {"long", "wide"},
	"include":      {"metadata", "evaluation_id", "value", "payload", "cache"},
	"column-names": {"keep", "snake"}, "csv-formulas": {"keep", "escape"}, "evaluator": {"remote", "local"},
	"server": {"us", "eu", "embedded"}, "flag-mode": {"local", "all"}, "flag-param": {"flag_keys", "flag_key"},
	"semantics": {"hosted", "node"}, "unknown-cohorts": {"fail", "empty", "skip"}, "method": {"get", "post", "auto"},
	"resume": {"auto", "always", "never"}, "progress": {"auto", "bar", "lines", "none"}, "log-format": {"text", "json"},
	"for": load.Databases(),
}

// columnOptions are the options that name columns of the input.
var columnOptions = []string{"carry", "properties", "by"}

// completeValues lets the shell complete the values of a command's options.
func completeValues(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(o *pflag.Flag) {
		name, values := o.Name, valuesOf(o)
		var complete cobra.CompletionFunc
		switch {
		case len(values) > 0:
			complete = func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				return completeItem(typed, values), cobra.ShellCompDirectiveNoFileComp
			}
		case name == "flags":
			complete = func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				return completeItem(typed, flagsOfConfigs(cmd)), cobra.ShellCompDirectiveNoFileComp
			}
		case slices.Contains(columnOptions, name):
			complete = func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
				return completeItem(typed, columnsOf(args)), cobra.ShellCompDirectiveNoFileComp
			}
		default:
			return
		}
		_ = cmd.RegisterFlagCompletionFunc(name, complete) // fails for a name that is registered, which none is
	})
}

// valuesOf returns the values of an option that has few.
func valuesOf(o *pflag.Flag) []string {
	if o.Name == "format" { // they are in its help
		_, list, _ := strings.Cut(strings.TrimPrefix(o.Usage, "`"), "` ")
		return strings.Fields(list[:max(strings.IndexByte(list, '['), 0)])
	}
	return optionValues[o.Name]
}

// completeItem returns the values that the last item of a list may become, each with the items before it.
func completeItem(typed string, values []string) (completed []string) {
	at := strings.LastIndexByte(typed, ',') + 1
	for _, v := range values {
		if strings.HasPrefix(v, typed[at:]) {
			completed = append(completed, typed[:at]+v)
		}
	}
	return completed
}

// flagsOfConfigs returns the flags of the file that --flag-configs names; nil if it cannot be read.
func flagsOfConfigs(cmd *cobra.Command) []string {
	file, err := cmd.Flags().GetString("flag-configs")
	if err != nil {
		return nil
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil // a shell that completes must not wait for a pipe
	}
	data, err := readFile(cmd.Context(), file, maxConfigBytes)
	if err != nil {
		return nil
	}
	eng, err := engine.ParseLenient(data, engine.Hosted)
	if err != nil {
		return nil
	}
	var keys []string
	for _, f := range eng.Flags() {
		keys = append(keys, f.Key)
	}
	return keys
}

// columnsOf returns the columns of the first input; nil if it cannot be read.
func columnsOf(args []string) (names []string) {
	if len(args) == 0 {
		return nil
	}
	in, err := sources.Open([]sources.File{{Path: args[0]}}, sources.Options{})
	if err != nil {
		return nil
	}
	defer in.Close() //nolint:errcheck // only read
	for _, c := range in.Columns() {
		names = append(names, c.Name)
	}
	return names
}
