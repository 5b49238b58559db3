package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// dryRun says what a run would do, and sends nothing: how the columns map, how many users and bad rows there
// are, how long it takes at least, and one request in full.
func (s *snapshotRun) dryRun(args []string) error {
	ctx, o := s.env.Soft, s.o
	in, err := openInput(ctx, s.env, s.con, o, args, "")
	if err != nil {
		return err
	}
	s.in = in
	if err := o.expandCarryAll(in); err != nil {
		return err
	}
	if o.local() {
		return s.dryRunLocal()
	}
	config := o.clientConfig()
	// No request is sent, so no key and no server is needed.
	if config.Key, err = amplitude.NewKey("none"); err != nil {
		return err
	}
	if o.server.embedded() {
		config.BaseURL = "http://127.0.0.1"
		data, err := o.server.readConfigs(ctx)
		if err != nil {
			return err
		}
		if _, err := o.server.parseFlagConfigs(o.server.flagConfigs, data, o.flags, s.con); err != nil {
			return err
		}
	} else {
		if config.BaseURL, err = amplitude.BaseURL(o.server.server, o.server.allowHTTP); err != nil {
			return err
		}
	}
	config.FlagParam, config.UserAgent = o.server.flagParam, "rollcall/"+version()
	if o.freshOnly {
		config.Nonce = s.runID
	}
	client, err := amplitude.New(config)
	if err != nil {
		return err
	}
	defer client.Close()

	var longest int
	var longestRow, requests, posts int64
	request := ""
	tooLong := map[pipeline.Kind]int64{}
	found, err := in.preflight(ctx, nil, func(row *pipeline.Row) {
		if row.Err != nil {
			return
		}
		n := client.URLLength(&row.User)
		posted := client.IsPosted(&row.User)
		if posted {
			posts++
		}
		if n > amplitude.MaxURLBytes && !posted {
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

	found.bad[pipeline.KindRequestTooLong] += tooLong[pipeline.KindRequestTooLong]
	var earlier *snapshot.Requests
	if !o.server.embedded() && requests > 0 {
		earlier = readEarlier(s.env.Files, cmp.Or(o.latest, o.manifestFile())) // the name of today's has no run yet
	}
	if o.format == "json" {
		r := s.newDryRunResult(found)
		r.Requests = dryRunRequests{Users: requests, ByPost: posts, First: strings.ReplaceAll(request, "\r\n", "\n")}
		if !o.server.embedded() {
			r.Requests.estimate(o, earlier)
		}
		if longest > 0 && o.method != "post" {
			r.Requests.Longest = &dryRunLongest{longest, longestRow, amplitude.MaxURLBytes}
		}
		return printJSON(s.env.Stdout, r)
	}
	var b strings.Builder
	s.describeInput(&b, found, "(not sent)")
	fmt.Fprintf(&b, "Requests:     %s", text.Thousands(requests))
	if !o.server.embedded() && requests > 0 {
		b.WriteString(estimateTime(o, requests, earlier))
	}
	if posts > 0 {
		fmt.Fprintf(&b, "\nBy POST:      %s", text.Count(posts, "user"))
	}
	if tooLong[pipeline.KindRequestTooLong] > 0 {
		b.WriteString("\n              --method auto sends users whose URL is too long by POST")
	}
	if longest > 0 && o.method != "post" {
		fmt.Fprintf(&b, "\nLongest URL:  %s bytes (row %d; the limit is %s)", text.Thousands(int64(longest)), longestRow,
			text.Thousands(amplitude.MaxURLBytes))
	}
	if request != "" {
		fmt.Fprintf(&b, "\n\nThe first request:\n%s", indentRequest(request))
	}
	b.WriteString("\nNothing was sent.\n")
	_, err = fmt.Fprint(s.env.Stdout, text.CleanLines(b.String()))
	return err
}

// readEarlier returns the requests of the run that made the current outputs; nil if no run shows how fast the API is.
func readEarlier(files *blob.Files, manifest string) *snapshot.Requests {
	if manifest == "" {
		return nil
	}
	m, err := snapshot.ReadManifest(files, manifest)
	if err != nil || m.Requests.PerSecond <= 0 || m.NoTrack == string(embedded) ||
		requestTime(m.Requests.Sent, m.Requests.PerSecond) < minRated*time.Second {
		return nil
	}
	return &m.Requests
}

// estimateTime says how long requests take at least, and how long at the rate that an earlier run reached. nil: there
// was none, and what only a run can find out is named.
func estimateTime(o *snapshotOptions, requests int64, earlier *snapshot.Requests) string {
	line := ""
	if o.ownRate() > 0 {
		line = fmt.Sprintf("; at most %g/s, so at least %s", o.ownRate(),
			roundDuration(requestTime(max(requests-int64(o.burst), 0), o.ownRate())))
	}
	const indent = "\n              "
	if earlier == nil {
		return line + indent + "not known before a run: how fast the API answers and what rate it takes"
	}
	reached := earlier.PerSecond
	line += fmt.Sprintf("%sthe last run of these outputs reached %s/s, and an answer took %s", indent,
		formatRate(reached), roundDuration(time.Duration(earlier.Latency.P50*float64(time.Millisecond))))
	if earlier.FoundRate > 0 {
		line += fmt.Sprintf("%sthe API took about %s/s", indent, formatRate(earlier.FoundRate))
	}
	if o.ownRate() > 0 {
		reached = min(reached, o.ownRate())
	}
	return line + fmt.Sprintf("%sat %s/s: about %s", indent, formatRate(reached),
		roundDuration(requestTime(requests, reached)))
}

// dryRunLocal is dryRun where there are no requests, but for one where the flag configurations are to be downloaded.
func (s *snapshotRun) dryRunLocal() error {
	var absent []string
	requests := "none; the flags are evaluated on this machine"
	if s.o.server.flagConfigs == "fetch" {
		requests = "for the flag configurations, before and after; the flags are evaluated on this machine"
	} else {
		var err error
		if s.local, err = newLocal(s); err != nil {
			return err
		}
		absent = s.local.eng.Reads(s.o.flags)
		if err := readFields(s.in, s.local.eng); err != nil {
			return err
		}
	}
	users := newSurvey(absent, nil, nil)
	found, err := s.in.preflight(s.env.Soft, users.inspectRow, nil)
	if err != nil {
		return err
	}
	absent = *users.absent.left.Load()
	if s.local != nil {
		if err := s.local.checkCohorts(s.con, s.o, found, absent); err != nil {
			return err
		}
		s.local.warn(s.con, s.o.flags, absent)
	}
	if s.o.format == "json" {
		r := s.newDryRunResult(found)
		r.Requests = dryRunRequests{FlagConfigs: s.local == nil, CrossCheck: min(s.o.crossCheck, s.in.total)}
		return printJSON(s.env.Stdout, r)
	}
	var b strings.Builder
	s.describeInput(&b, found, "(not used)")
	if n := min(s.o.crossCheck, s.in.total); n > 0 {
		requests += fmt.Sprintf("\n              %s about users, to cross-check", text.Thousands(n))
	}
	fmt.Fprintf(&b, "Requests:     %s\n\nNothing was sent.\n", requests)
	_, err = fmt.Fprint(s.env.Stdout, text.CleanLines(b.String()))
	return err
}

// describeInput says how the columns map, and how many users there are and cannot be used.
func (s *snapshotRun) describeInput(b *strings.Builder, found *findings, unused string) {
	b.WriteString("Columns:\n")
	var rows [][]string
	for _, c := range found.columns {
		use := c.Target
		if use == "" {
			use = unused
		}
		if c.LeftOut != "" {
			use = "(left out: " + c.LeftOut + ")"
		}
		if c.Carried {
			use += ", carried"
		}
		rows = append(rows, []string{text.Clean(c.Name), text.Clean(use)})
	}
	for _, line := range text.Align(2, rows) {
		fmt.Fprintln(b, "  "+line)
	}

	fmt.Fprintf(b, "\nUsers:        %s\n", text.Thousands(s.in.total))
	for _, kind := range pipeline.Kinds {
		if n := found.bad[kind]; n > 0 {
			fmt.Fprintf(b, "  will fail:  %s %s\n", text.Thousands(n), kind)
		}
	}
	if found.first.err != nil {
		fmt.Fprintf(b, "  the first:  %s\n", found.first.String())
	}
	if bad, _ := found.badRows(); s.o.errLine.set && bad > s.o.errLine.most(s.in.total) {
		fmt.Fprintf(b, "  A run would stop: these are more than %s.\n", s.o.errLine.allows(s.in.total))
	}
	if found.ragged.n > 0 {
		fmt.Fprintf(b, "  ragged:     %s (row %d)\n", text.Thousands(found.ragged.n), found.ragged.first)
	}
	for _, line := range found.ids.lines(s.in.total) {
		fmt.Fprintf(b, "  odd ids:    %s\n", line)
	}
}

// indentRequest indents a request as the API gets it, whose lines end as those of HTTP do.
func indentRequest(request string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(strings.ReplaceAll(request, "\r\n", "\n")), "\n", "\n  ") + "\n"
}
