package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

func manCommand(con *console) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", DisableFlagsInUseLine: true, Short: "Write the manual pages",
		Long: `man writes a manual page for each command and topic to DIR, from the text of the
help: rollcall.1, rollcall-snapshot.1, rollcall-files.7 and so on.`,
		Example: `  rollcall man ~/.local/share/man/man1`,
		Args:    checkArgs(cobra.ExactArgs(1), "name a directory that exists"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
				if c.Name() == "help" {
					continue
				}
				file := filepath.Join(args[0], manName(c)+"."+manSection(c))
				if err := durable.WriteFile(file, []byte(manPage(c))); err != nil {
					return err
				}
			}
			con.Log.Info("the manual pages are in " + args[0])
			return nil
		},
	}
}

// manName is the name of a command's page.
func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manSection is 1 for commands, and 7 for topics.
func manSection(c *cobra.Command) string {
	if c.IsAdditionalHelpTopicCommand() {
		return "7"
	}
	return "1"
}

// manPage is the page of a command or a topic, in the macros of man(7).
func manPage(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s %s \"\" \"rollcall %s\" \"rollcall\"\n", strings.ToUpper(manName(c)), manSection(c),
		escapeRoff(version()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escapeRoff(manName(c)), escapeRoff(c.Short))
	if c.Runnable() {
		fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", escapeRoff(c.UseLine()))
	}
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", escapeRoff(long))
	heading := ""
	c.Flags().VisitAll(func(o *pflag.Flag) {
		groups := o.Annotations[groupKey]
		if o.Hidden || len(groups) == 0 {
			return
		}
		if heading == "" {
			b.WriteString(".SH OPTIONS\n")
		}
		if groups[0] != heading {
			heading = groups[0]
			fmt.Fprintf(&b, ".SS %s\n", escapeRoff(heading))
		}
		left, usage := describeOption(o)
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", escapeRoff(left), escapeRoff(usage))
	})
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", escapeRoff(c.Example))
	}
	var others []string
	for _, other := range c.Root().Commands() {
		if c.HasParent() && manSection(other) == "7" && other != c || !c.HasParent() && other.Name() != "help" {
			others = append(others, fmt.Sprintf("%s(%s)", manName(other), manSection(other)))
		}
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", escapeRoff(strings.Join(others, ", ")))
	return b.String()
}

// escapeRoff escapes what roff would take as its own.
func escapeRoff(s string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
