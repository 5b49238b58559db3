package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groupKey is the annotation that says under which heading the help lists an option.
const groupKey = "group"

// group puts the options that define adds under one heading of the help, in their order.
func group(options *pflag.FlagSet, heading string, define func()) {
	options.SortFlags = false
	known := map[string]bool{}
	options.VisitAll(func(o *pflag.Flag) { known[o.Name] = true })
	define()
	options.VisitAll(func(o *pflag.Flag) {
		if !known[o.Name] {
			if o.Annotations == nil {
				o.Annotations = map[string][]string{}
			}
			o.Annotations[groupKey] = []string{heading}
		}
	})
}

// optionHelp is the options of a command under their headings, a line each, within 80 columns. The usage text of
// an option that takes a value begins with the value's name in backquotes.
func optionHelp(options *pflag.FlagSet) string {
	var b strings.Builder
	heading := ""
	options.VisitAll(func(o *pflag.Flag) {
		groups := o.Annotations[groupKey]
		if o.Hidden || len(groups) == 0 {
			return
		}
		if groups[0] != heading {
			heading = groups[0]
			fmt.Fprintf(&b, "%s:\n", heading)
		}
		left, usage := describeOption(o)
		fmt.Fprintf(&b, "  %-22s %s\n", left, usage)
	})
	return b.String()
}

// describeOption returns an option with the name of its value, and what it is for.
func describeOption(o *pflag.Flag) (left, usage string) {
	left, usage = "--"+o.Name, o.Usage
	if value, rest, ok := strings.Cut(strings.TrimPrefix(usage, "`"), "`"); ok {
		left, usage = left+" "+value, strings.TrimSpace(rest)
	}
	if o.Shorthand != "" {
		left = "-" + o.Shorthand + " " + left
	}
	return left, usage
}

func init() {
	cobra.EnableCommandSorting = false // they are listed in the order in which they are used
	cobra.AddTemplateFunc("optionHelp", optionHelp)
}

const helpTemplate = `{{with (or .Long .Short)}}{{.}}

{{end}}{{if .Runnable}}{{.UsageString}}{{end}}`

const usageTemplate = `Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{else}}
  {{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}

Topics, with ` + "`{{.CommandPath}} help TOPIC`" + `:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}

` + "`{{.CommandPath}} COMMAND --help`" + ` says more. Exit codes: 0 all users answered,
or as many as --max-errors asks, 1 failed and nothing published, 3 published
but some users failed, 4 a check does not hold, 64 usage, 75 stopped by an
outage, 130 and 143 interrupted, 141 standard output closed.
{{else}}

{{optionHelp .Flags}}{{end}}`
