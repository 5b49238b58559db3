package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// applyConfig gives every option that was not set on the command line the value of ROLLCALL_<NAME>, or else
// that of the --config file. An empty variable counts as none. It runs before the command reads its options.
func applyConfig(cmd *cobra.Command, env *env) error {
	options := cmd.Flags()
	fromEnv := func(o *pflag.Flag) error {
		name := "ROLLCALL_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
		value, ok := env.LookupEnv(name)
		if !ok || value == "" || o.Changed || notConfigurable[o.Name] {
			return nil
		}
		values := []string{value}
		if _, list := o.Value.(pflag.SliceValue); list {
			values = strings.Split(value, ",")
		}
		return setOption(options, o, values, name)
	}
	var err error
	options.VisitAll(func(o *pflag.Flag) {
		if err == nil {
			err = fromEnv(o)
		}
	})
	if err != nil {
		return err
	}

	file, err := options.GetString("config")
	if err != nil || file == "" {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return usageErrorf("read --config: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return usageErrorf("read --config %s: %w", file, err)
	}
	if len(doc.Content) == 0 { // an empty file
		return nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return usageErrorf("read --config %s: it is not a mapping of options to values", file)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, node := top.Content[i], top.Content[i+1]
		where := fmt.Sprintf("--config %s line %d", file, key.Line)
		o := options.Lookup(key.Value)
		if o == nil || notConfigurable[key.Value] {
			return pipeline.WithHint(usageErrorf("%s: %q is not an option of %s", where, key.Value, cmd.CommandPath()), pipeline.Suggest(key.Value, optionNames(options)))
		}
		if seen[key.Value] {
			return usageErrorf("%s: %s stands there twice", where, key.Value)
		}
		seen[key.Value] = true
		if o.Changed {
			continue
		}
		var values []string
		switch node.Kind {
		case yaml.ScalarNode:
			values = []string{node.Value}
		case yaml.SequenceNode:
			if err := node.Decode(&values); err != nil {
				return usageErrorf("%s: %s: %w", where, key.Value, err)
			}
		default:
			return usageErrorf("%s: the value of %s is neither a value nor a list", where, key.Value)
		}
		if err := setOption(options, o, values, where); err != nil {
			return err
		}
	}
	return nil
}

// notConfigurable are options that make sense on the command line only.
var notConfigurable = map[string]bool{"help": true}

// setOption sets an option to the values that were found in where.
func setOption(options *pflag.FlagSet, o *pflag.Flag, values []string, where string) error {
	list, isList := o.Value.(pflag.SliceValue)
	if isList {
		o.Changed = true
		return list.Replace(values)
	}
	if len(values) != 1 {
		return usageErrorf("%s: %s takes one value, not a list", where, o.Name)
	}
	if err := options.Set(o.Name, values[0]); err != nil {
		return usageErrorf("%s: %s cannot be %q: %w", where, o.Name, values[0], err)
	}
	return nil
}

func optionNames(options *pflag.FlagSet) []string {
	var names []string
	options.VisitAll(func(o *pflag.Flag) {
		if !o.Hidden {
			names = append(names, o.Name)
		}
	})
	return names
}
