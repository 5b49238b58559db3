package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// schemaFiles are the schemas of what rollcall writes, made of its types by TestSchemas, and that of rules files.
//
//go:embed schemas/*.json
var schemaFiles embed.FS

// schemaNames are the schemas that there are, in the order of the help.
var schemaNames = []string{"config", "rules", "manifest", "snapshot", "dry-run", "verify", "explain", "flags", "report",
	"check", "diff", "version"}

func schemaCommand(env *env) *cobra.Command {
	return &cobra.Command{
		Use: "schema NAME [COMMAND]", DisableFlagsInUseLine: true,
		Short: "Print a JSON Schema: of config and rules files, and of JSON output",
		Long: `schema prints a JSON Schema (draft 2020-12). NAME is

config [COMMAND]  the file of --config of a command; without one, of snapshot
rules             the rules file of check
manifest          OUT.manifest.json
snapshot          what snapshot prints with --format json, and --summary writes
dry-run           what snapshot --dry-run prints with --format json
verify explain flags report check diff version
                  what that command prints with --format json

Editors complete and check YAML by the first two. With the YAML language server,
the first line of such a file is
  # yaml-language-server: $schema=rollcall.config.schema.json
Later versions may add members to JSON output, and codes to warnings and
findings; they do not rename or remove any.`,
		Example: `  rollcall schema config > rollcall.config.schema.json
  rollcall schema config report > rollcall.report.schema.json
  rollcall schema snapshot`,
		Args: checkArgs(cobra.RangeArgs(1, 2), "NAME is one of "+strings.Join(schemaNames, " ")),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return schemaNames, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if !slices.Contains(schemaNames, name) {
				return pipeline.WithHint(usageErrorf("schema %q is not known: it is one of %s", name, strings.Join(schemaNames,
					" ")),
					pipeline.Suggest(name, schemaNames))
			}
			if name == "config" {
				of := append(args, "snapshot")[1]
				configured, _, err := cmd.Root().Find([]string{of})
				if err != nil || configured.Flags().Lookup("config") == nil {
					return usageErrorf("%q is not a command that has --config", of)
				}
				return printJSON(env.Stdout, configSchema(configured))
			}
			if len(args) > 1 {
				return usageErrorf("only config is of a COMMAND")
			}
			data, err := schemaFiles.ReadFile("schemas/" + name + ".schema.json")
			if err != nil {
				return err
			}
			_, err = env.Stdout.Write(data)
			return err
		},
	}
}

// jsonSchema is a JSON Schema, as far as those of config files go.
type jsonSchema struct {
	Schema               string                 `json:"$schema,omitempty"`
	Title                string                 `json:"title,omitempty"`
	Description          string                 `json:"description,omitempty"`
	Type                 any                    `json:"type,omitempty"` // a name, or a list of names
	Enum                 []any                  `json:"enum,omitempty"`
	Pattern              string                 `json:"pattern,omitempty"`
	Examples             []any                  `json:"examples,omitempty"`
	Default              any                    `json:"default,omitempty"`
	Items                *jsonSchema            `json:"items,omitempty"`
	AnyOf                []*jsonSchema          `json:"anyOf,omitempty"`
	Properties           map[string]*jsonSchema `json:"properties,omitempty"`
	AdditionalProperties *bool                  `json:"additionalProperties,omitempty"`
}

// configSchema is the schema of the --config file of a command. It is made of the options, as their help is.
func configSchema(cmd *cobra.Command) *jsonSchema {
	no := false
	s := &jsonSchema{Schema: "https://json-schema.org/draft/2020-12/schema", Title: "Options of " + cmd.CommandPath(),
		Description: "The file of --config: a mapping of options to values.", Type: []string{"object", "null"},
		Properties: map[string]*jsonSchema{}, AdditionalProperties: &no}
	cmd.Flags().VisitAll(func(o *pflag.Flag) {
		if !o.Hidden && !notConfigurable[o.Name] && o.Name != "config" {
			s.Properties[o.Name] = optionSchema(o)
		}
	})
	return s
}

// anyScalar are the types of a value that is taken as text.
var anyScalar = []string{"string", "number", "boolean"}

// optionSchema is the schema of the value of an option.
func optionSchema(o *pflag.Flag) *jsonSchema {
	value, usage := "", o.Usage
	if left, rest, ok := strings.Cut(strings.TrimPrefix(usage, "`"), "`"); ok {
		value, usage = left, strings.TrimSpace(rest)
	}
	s := &jsonSchema{Description: usage}
	if value != "" && value != "F" && value != "M" && value != "MODE" {
		s.Description = value + ": " + usage
	}
	if list, ok := o.Value.(pflag.SliceValue); ok {
		item := &jsonSchema{Type: anyScalar}
		if items := closedValues[o.Name]; items {
			item = &jsonSchema{Enum: anySlice(valuesOf(o))}
		}
		if l, ok := list.(*listValue); ok && !l.whole || !ok {
			s.AnyOf = []*jsonSchema{{Type: "array", Items: item}, {Type: anyScalar}}
		} else {
			s.AnyOf = []*jsonSchema{{Type: "array", Items: item}, item}
		}
		return s
	}
	switch kind := o.Value.Type(); {
	case kind == "bool":
		s.Type = "boolean"
		return s
	case o.Name == "rate":
		s.AnyOf = []*jsonSchema{{Type: "number"}, {Enum: []any{"auto"}}}
	case strings.HasPrefix(kind, "int"):
		s.Type = "integer"
	case strings.HasPrefix(kind, "float"):
		s.Type = "number"
	case kind == "duration":
		s.Type, s.Pattern = "string", `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`
	case closedValues[o.Name]:
		s.Enum = anySlice(valuesOf(o))
	default:
		s.Type, s.Examples = anyScalar, anySlice(valuesOf(o))
	}
	if o.DefValue != "" && o.DefValue != "0" { // 0 stands for a default that depends on something
		s.Default = o.DefValue
		if n, err := strconv.ParseFloat(o.DefValue, 64); err == nil && s.Type != "string" {
			s.Default = json.Number(fmt.Sprint(n))
		}
	}
	return s
}

// closedValues are the options that take no other values than those of [valuesOf].
var closedValues = map[string]bool{"ragged": true, "missing": true, "layout": true, "include": true,
	"column-names": true,
	"csv-formulas": true, "evaluator": true, "flag-mode": true, "flag-param": true, "semantics": true,
	"unknown-cohorts": true, "method": true, "resume": true, "progress": true, "log-format": true, "for": true,
	"format": true}

func anySlice(values []string) (list []any) {
	for _, v := range values {
		list = append(list, v)
	}
	return list
}
