package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groupKey is the annotation that says under which heading an option stands in the help.
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

// optionHelp is the options of a command under their headings, a line each, within 80 columns.
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
			fmt.Fprintf(&b, "\n%s:\n", heading)
		}
		value, usage := pflag.UnquoteUsage(o)
		if o.Value.Type() == "bool" {
			value = ""
		}
		name := "    --" + o.Name
		if o.Shorthand != "" {
			name = "-" + o.Shorthand + ", --" + o.Name
		}
		left := strings.TrimSpace(name + " " + value)
		if o.Shorthand == "" {
			left = "    " + left
		}
		if def := o.DefValue; def != "" && def != "0" && def != "[]" && def != "false" && !strings.Contains(usage, "default") {
			usage += fmt.Sprintf(" (default %s)", def)
		}
		fmt.Fprintf(&b, "  %-27s %s\n", left, usage)
	})
	return b.String()
}

func init() {
	cobra.AddTemplateFunc("optionHelp", optionHelp)
}

const helpTemplate = `{{with (or .Long .Short)}}{{.}}

{{end}}{{.UsageString}}`

const usageTemplate = `Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{else}}
  {{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}

` + "`{{.CommandPath}} COMMAND --help`" + ` says more. Exit codes: 0 all users answered,
1 failed and nothing published, 3 published but some users failed, 64 usage,
75 stopped by an outage, 130 and 143 interrupted.{{else}}
{{optionHelp .Flags}}{{end}}
`
