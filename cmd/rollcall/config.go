package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// commonOptions are the options that every command has, and --format, where it has that.
type commonOptions struct {
	quiet             bool
	logFormat, format string
	formats           []string
}

// define adds the options to a command.
func (o *commonOptions) define(options *pflag.FlagSet) {
	options.String("config", "", "`FILE` YAML of options; each is also ROLLCALL_<OPTION>")
	options.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing but errors")
	options.StringVar(&o.logFormat, "log-format", "text", "`text|json` on standard error [text]")
}

// defineFormat adds --format, which is the first of the formats if it is not given.
func (o *commonOptions) defineFormat(options *pflag.FlagSet, formats ...string) {
	o.formats = formats
	options.StringVar(&o.format, "format", formats[0], "`F` "+strings.Join(formats, " ")+" ["+formats[0]+"]")
}

// start is what a command does first: it applies its configuration, and checks these options.
func (o *commonOptions) start(cmd *cobra.Command, env *env, con *console) error {
	if err := applyConfig(cmd, env); err != nil {
		return err
	}
	if err := con.Configure(o.quiet, o.logFormat); err != nil {
		return err
	}
	if o.formats != nil && !slices.Contains(o.formats, o.format) {
		return usageErrorf("--format %q is not known: it is one of %s", o.format, strings.Join(o.formats, " "))
	}
	return nil
}

// applyConfig gives every option that was not set on the command line the value of ROLLCALL_<NAME>, or else
// that of the --config file. An empty variable counts as none. It runs before the command reads its options.
func applyConfig(cmd *cobra.Command, env *env) error {
	options := cmd.Flags()
	fromEnv := func(o *pflag.Flag) error {
		name := variableOf(o.Name)
		value, ok := env.LookupEnv(name)
		if !ok || value == "" || o.Changed || notConfigurable[o.Name] {
			return nil
		}
		return setOption(options, o, value, name)
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

	if err := applyFile(env, cmd, options); err != nil {
		return err
	}
	return checkPathNames(cmd, env.Stores)
}

// variableOf is the environment variable of an option.
func variableOf(option string) string {
	return "ROLLCALL_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// applyFile sets the options that the --config file names and that were not set before.
func applyFile(env *env, cmd *cobra.Command, options *pflag.FlagSet) error {
	file, err := options.GetString("config")
	if err != nil || file == "" {
		return err
	}
	if !env.Stores.Knows(file) {
		if err := checkPathName("--config", file, false); err != nil {
			return err
		}
	}
	data, err := readStored(env.Soft, env.Stores, file, maxOptionsBytes)
	if err != nil {
		return usageErrorf("read --config: %w", err)
	}
	top, err := parseConfig(data)
	if err != nil {
		return wrapUsage("read --config "+text.Clean(file), err)
	}
	if top == nil {
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, node := top.Content[i], top.Content[i+1]
		where := fmt.Sprintf("--config %s line %d", text.Clean(file), key.Line)
		if key.Value == "config" {
			return pipeline.WithHint(usageErrorf("%s: a configuration cannot name another one", where),
				"write all options into one file")
		}
		o := options.Lookup(key.Value)
		if o == nil || notConfigurable[key.Value] {
			return pipeline.WithHint(usageErrorf("%s: %q is not an option of %s", where, key.Value, cmd.CommandPath()),
				pipeline.Suggest(key.Value, optionNames(options)))
		}
		if seen[key.Value] {
			return usageErrorf("%s: %s is given twice", where, text.Clean(key.Value))
		}
		seen[key.Value] = true
		if o.Changed {
			continue
		}
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		switch {
		case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
			err = pipeline.WithHint(usageErrorf("%s: %s has no value", where, key.Value),
				"leave the line out, or write a value after the colon; ~ alone is no value in YAML")
		case node.Kind == yaml.ScalarNode:
			err = setOption(options, o, node.Value, where)
		case node.Kind == yaml.SequenceNode:
			err = setItems(o, node, where)
		default:
			err = usageErrorf("%s: the value of %s is neither a value nor a list", where, key.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseConfig is the mapping that a file of options holds; nil where it is empty.
func parseConfig(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, fmt.Errorf("line %d: a second document begins; it would be ignored", more.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return nil, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, pipeline.WithHint(errors.New("it is not a mapping of options to values"),
			"a line of it is, for example, rate: 100")
	}
	return top, nil
}

// notConfigurable are options that make sense on the command line only.
var notConfigurable = map[string]bool{"help": true}

// setOption sets an option to the value that was found in where. That of a list is split.
func setOption(options *pflag.FlagSet, o *pflag.Flag, value, where string) error {
	if list, ok := o.Value.(*listValue); ok {
		o.Changed = true
		return wrapUsage(where+": "+o.Name, list.SetList(value))
	}
	err := options.Set(o.Name, value)
	if err == nil {
		return nil
	}
	err = errors.Unwrap(err) // pflag's words name the option as on the command line
	if number, ok := errors.AsType[*strconv.NumError](err); ok {
		err = number.Err
	}
	err = usageErrorf("%s: %s cannot be %q: %w", where, o.Name, value, err)
	switch kind := o.Value.Type(); {
	case kind == "bool" && slices.Contains([]string{"yes", "y", "on"}, strings.ToLower(value)):
		return pipeline.WithHint(err, "write true")
	case kind == "bool" && slices.Contains([]string{"no", "n", "off"}, strings.ToLower(value)):
		return pipeline.WithHint(err, "write false")
	case kind == "duration":
		return pipeline.WithHint(err, "a time has a unit: 500ms, 15s, 15m, 2h")
	}
	return err
}

// setItems sets an option to the items of a YAML list, as they are.
func setItems(o *pflag.Flag, node *yaml.Node, where string) error {
	list, ok := o.Value.(pflag.SliceValue)
	if !ok {
		return usageErrorf("%s: %s takes one value, not a list", where, o.Name)
	}
	var items []string
	if err := node.Decode(&items); err != nil {
		return usageErrorf("%s: %s: %w", where, o.Name, err)
	}
	o.Changed = true
	return list.Replace(items)
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
