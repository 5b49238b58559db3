package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// flagInfo is one flag, as `rollcall flags` lists it.
type flagInfo struct {
	Flag          string   `json:"flag"`
	Type          string   `json:"type"`
	Mode          string   `json:"evaluation_mode"`
	Deployed      bool     `json:"deployed"`
	Variants      []string `json:"variants"`
	ExperimentKey string   `json:"experiment_key"`
	Dependencies  []string `json:"dependencies"`
}

func flagsCommand(env *env, con *console) *cobra.Command {
	var server serverOptions
	var save string
	var overwrite bool
	var common commonOptions
	cmd := &cobra.Command{
		Use: "flags [options]", DisableFlagsInUseLine: true,
		Short: "The flags of a deployment, and their configurations",
		Long: `flags lists the flags of a deployment, or of a file of flag configurations.
--save keeps the configurations, for --server embedded and rollcall serve.`,
		Example: `  rollcall flags
  rollcall flags --save flags.json
  rollcall flags --flag-configs flags.json --format csv`,
		Args: checkArgs(cobra.NoArgs, "a file of flag configurations is named with --flag-configs"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := common.start(cmd, env, con); err != nil {
				return err
			}
			var data []byte
			var err error
			from := server.flagConfigs
			switch {
			case server.flagConfigs != "" && server.flagConfigs != "fetch":
				if err = server.checkFlagMode(); err == nil {
					data, err = readFlagConfigs(env.Soft, env.Stores, server.flagConfigs)
				}
			case server.embedded():
				err = usageErrorf("--server embedded needs --flag-configs FILE")
			default:
				server.flagConfigs = "fetch"
				if err = server.check(true); err != nil {
					break
				}
				var f *fetched
				if f, err = server.fetchFlags(env.Soft, env, con, time.Minute); err == nil {
					data, from = f.Data, f.name
				}
			}
			if err != nil {
				return err
			}
			eng, parseErr := engine.Parse(data, engine.Hosted)
			if save != "" { // also what the engine does not take: it is what the API answered
				if exists, err := env.newFiles(overwrite).Exists(save); err != nil {
					return err
				} else if exists && !overwrite {
					return errExists(save)
				}
				if err := env.writeFile(save, data, overwrite); err != nil {
					return err
				}
			}
			if parseErr != nil {
				return fmt.Errorf("%s: %w", text.Clean(from), parseErr)
			}
			warnOfConfigs(from, eng, con)
			if save != "" {
				con.Log.Info(fmt.Sprintf("saved %d flags to %s", len(eng.Flags()), text.Clean(save)))
				return nil
			}
			infos := []flagInfo{}
			for _, f := range eng.Flags() {
				infos = append(infos, flagInfo{Flag: f.Key, Type: f.FlagType, Mode: f.EvaluationMode, Deployed: f.Deployed,
					Variants: nonNil(f.Variants), ExperimentKey: f.ExperimentKey, Dependencies: nonNil(f.Dependencies)})
			}
			return printFlags(env.Stdout, common.format, infos)
		},
	}
	options := cmd.Flags()
	group(options, "Options", func() {
		common.defineFormat(options, "table", "json", "jsonl", "csv")
		options.StringVar(&save, "save", "", "`FILE` keep the configurations there")
		options.BoolVar(&overwrite, "overwrite", false, "replace an existing file")
		server.define(options)
		common.define(options)
	})
	return cmd
}

// nonNil is list, or an empty one: a list is never null in JSON.
func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// errExists refuses to replace a file.
func errExists(path string) error {
	return pipeline.WithHint(fmt.Errorf("%s exists", text.Clean(path)), "--overwrite replaces it")
}

func printFlags(w io.Writer, format string, infos []flagInfo) error {
	switch format {
	case "json":
		return printJSON(w, infos)
	case "jsonl":
		enc := json.NewEncoder(w)
		for _, f := range infos {
			if err := enc.Encode(f); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		out := csv.NewWriter(w)
		err := out.Write([]string{"flag", "type", "evaluation_mode", "deployed", "variants", "experiment_key",
			"dependencies"})
		for _, f := range infos {
			err = errors.Join(err, out.Write([]string{f.Flag, f.Type, f.Mode, strconv.FormatBool(f.Deployed),
				strings.Join(f.Variants, " "), f.ExperimentKey, strings.Join(f.Dependencies, " ")}))
		}
		out.Flush()
		return errors.Join(err, out.Error())
	}
	rows := [][]string{{"FLAG", "TYPE", "MODE", "VARIANTS"}}
	for _, f := range infos {
		kind := f.Type
		if !f.Deployed {
			kind += " (not deployed)"
		}
		rows = append(rows, []string{text.Shorten(f.Flag, 30), text.Clean(kind), text.Clean(f.Mode),
			text.Shorten(strings.Join(f.Variants, " "), 30)})
	}
	_, err := fmt.Fprintln(w, strings.Join(text.Align(4, rows), "\n"))
	return err
}
