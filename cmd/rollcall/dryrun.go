package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
)

// dryRun says what a run would do, and sends nothing: how the columns map, how many users and bad rows there
// are, how long it takes, and one request in full.
func dryRun(ctx context.Context, env *env, o *snapshotOptions, in *input, config amplitude.Config) error {
	var err error
	// No request is sent, so no key and no server is needed.
	if config.Key, err = amplitude.NewKey("none"); err != nil {
		return err
	}
	if config.BaseURL = "http://127.0.0.1"; !o.server.embedded() {
		if config.BaseURL, err = amplitude.BaseURL(o.server.server, o.server.allowHTTP); err != nil {
			return err
		}
	}
	config.FlagParam, config.UserAgent = o.server.flagParam, "rollcall/"+version()
	client, err := amplitude.New(config)
	if err != nil {
		return err
	}
	defer client.Close()

	var longest int
	var longestRow, requests int64
	request := ""
	tooLong := map[pipeline.Kind]int64{}
	found, err := in.preflight(ctx, func(row *pipeline.Row) {
		if row.Err != nil {
			return
		}
		n := client.URLLength(&row.User)
		if n > amplitude.MaxURLBytes {
			tooLong[pipeline.KindRequestTooLong]++
		} else {
			requests++
		}
		if n > longest {
			longest, longestRow = n, row.Number
		}
		if request == "" {
			request = client.Describe(&row.User)
		}
	})
	if err != nil {
		return err
	}

	var b strings.Builder
	b.WriteString("Columns:\n")
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range found.columns {
		use := c.Target
		if use == "" {
			use = "(not sent)"
		}
		if c.Carried {
			use += ", carried"
		}
		fmt.Fprintf(table, "  %s\t%s\n", c.Name, use)
	}
	_ = table.Flush() // to a strings.Builder

	fmt.Fprintf(&b, "\nUsers:        %s\n", thousands(in.total))
	found.bad[pipeline.KindRequestTooLong] += tooLong[pipeline.KindRequestTooLong]
	for _, kind := range pipeline.Kinds {
		if n := found.bad[kind]; n > 0 {
			fmt.Fprintf(&b, "  will fail:  %s %s\n", thousands(n), kind)
		}
	}
	fmt.Fprintf(&b, "Requests:     %s", thousands(requests))
	if o.rate > 0 {
		fmt.Fprintf(&b, ", about %s at %g/s", roundDuration(requestTime(requests, o.rate)), o.rate)
	}
	if longest > 0 {
		fmt.Fprintf(&b, "\nLongest URL:  %s bytes (row %d; the limit is %s)", thousands(int64(longest)), longestRow, thousands(amplitude.MaxURLBytes))
	}
	if request != "" {
		fmt.Fprintf(&b, "\n\nThe first request:\n%s", indent(request))
	}
	b.WriteString("\nNothing was sent.\n")
	_, err = fmt.Fprint(env.Stdout, b.String())
	return err
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), "\n", "\n  ") + "\n"
}
