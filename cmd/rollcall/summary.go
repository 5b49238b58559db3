package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// summarize says at the end what the run came to, and returns the error with which it ends: that users failed is one,
// unless --max-errors said how many may.
func (s *snapshotRun) summarize(m *snapshot.Manifest) error {
	s.published = m
	width, terminal := s.con.Terminal()
	if !terminal {
		width = 80
	}
	held := s.maxErrorsHolds(m)
	failed := ""
	if m.Users.Failed > 0 {
		failed = "failed: " + describeFailures(m.Users.FailedByKind, &s.first)
		if held {
			failed += fmt.Sprintf("\n--max-errors held: no more failed than %s", s.o.errLine.allows(m.Users.Read))
		}
	}
	s.con.Print(summaryText(m, failed, time.Since(s.began), width))
	return s.judgeFailures(m)
}

// maxErrorsHolds reports whether --max-errors was given, and no more users failed than it allows. An earlier process
// may have allowed more.
func (s *snapshotRun) maxErrorsHolds(m *snapshot.Manifest) bool {
	return s.o.errLine.set && m.Users.Failed <= s.o.errLine.most(m.Users.Read)
}

// judgeFailures returns the error with which a run that has published ends: that users failed is one, unless
// --max-errors said how many may.
func (s *snapshotRun) judgeFailures(m *snapshot.Manifest) error {
	if m.Users.Failed > 0 && !s.maxErrorsHolds(m) {
		return errSomeFailed
	}
	return nil
}

// ending is what the last line of a log in JSON says beside the event: what the run came to so far. s is nil where no
// run began.
func (s *snapshotRun) ending() []any {
	if s == nil {
		return []any{"run_id", "", "published", false, "users", 0, "answered", 0, "failed", 0, "outputs", []string{}}
	}
	outputs := append([]string{}, s.finalNames()...) // a list in JSON, if it is empty, too
	attrs := []any{"run_id", s.runID, "published", s.published != nil, "outputs", outputs}
	if m := s.published; m != nil {
		if c := m.FlagChanges; c != nil {
			attrs = append(attrs, "flags_changed", len(c.Changed))
		}
		if c := m.CrossCheck; c != nil {
			attrs = append(attrs, "cross_check_answered", c.Answered, "cross_check_agreed", c.Agreed)
		}
		return append(attrs, "users", m.Users.Read, "answered", m.Users.Answered, "failed", m.Users.Failed, "failed_by_kind",
			m.Users.FailedByKind,
			"assignments", m.Assignments, "requests", m.Requests.Sent, "retries", m.Requests.Retries, "pauses",
			m.Requests.Pauses, "per_second", m.Requests.PerSecond,
			"flags", mostFrequent(m.Flags), "resumes", m.Resumes)
	}
	users, r := s.countSoFar()
	if s.first.err != nil {
		attrs = append(attrs, "first_failure", s.first.String())
	}
	return append(attrs, "users", users.Read, "answered", users.Answered, "failed", users.Failed, "failed_by_kind",
		users.FailedByKind,
		"requests", r.Sent, "retries", r.Retries, "pauses", r.Pauses, "resumes", s.resumes)
}

// countSoFar returns the users and the requests of a run that has not published.
func (s *snapshotRun) countSoFar() (snapshot.Users, snapshot.Requests) {
	users := snapshot.Users{FailedByKind: map[pipeline.Kind]int64{}}
	var r snapshot.Requests
	if s.tally != nil {
		users.Read, users.Answered, users.Failed = s.tally.Read, s.tally.Answered, s.tally.FailedUsers()
		maps.Copy(users.FailedByKind, s.tally.Failed)
	}
	if s.remote != nil {
		r = summarizeRequests(s.remote.Stats())
	}
	r.Sent, r.Retries = r.Sent+s.replayedAttempts, r.Retries+s.replayedRetries
	return users, r
}

// summaryText is the closing summary of a run whose last process took that long. failed is what it says of the users
// that failed, or "". Its table is at most width columns wide: names that are too long are cut.
func summaryText(m *snapshot.Manifest, failed string, took time.Duration, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %s answered, %s failed, in %s\n", text.Count(m.Users.Read, "user"),
		text.Thousands(m.Users.Answered), text.Thousands(m.Users.Failed),
		roundDuration(took))
	if failed != "" {
		fmt.Fprintln(&b, failed)
	}
	fmt.Fprint(&b, text.Count(m.Assignments, "assignment"))
	if m.FlagConfigs != nil {
		fmt.Fprintf(&b, " by %s of %s", text.Count(m.FlagConfigs.Rows, "flag"), text.Clean(m.FlagConfigs.Path))
		if c := m.CrossCheck; c == nil {
			b.WriteString("; nothing was sent\n")
		} else {
			b.WriteString("\n" + crossCheckText(c, width))
		}
	} else {
		fmt.Fprintf(&b, ", %s (%.1f/s), %s\n", text.Count(m.Requests.Sent, "request"), m.Requests.PerSecond,
			text.Plural(m.Requests.Retries, "retry", "retries"))
	}
	if m.Caches != nil {
		fmt.Fprintln(&b, describeCaches(m.Caches))
	}
	if m.Requests.Pauses > 0 {
		fmt.Fprintln(&b, describePauses(&m.Requests))
	}

	if len(m.Flags) > 0 {
		b.WriteByte('\n')
		names := max(width-len("    999,999,999  100.0 %"), 20)
		rows := [][]string{{"FLAG", "VARIANT", fmt.Sprintf("%9s", "USERS"), fmt.Sprintf("%7s", "SHARE")}}
		for _, f := range mostFrequent(m.Flags) {
			name := f.Flag
			for _, v := range append(f.Variants, snapshot.VariantCount{Variant: "(not assigned)", Users: f.NotAssigned}) {
				if v.Users == 0 && f.Assigned > 0 {
					continue
				}
				rows = append(rows, []string{text.Shorten(name, names*3/5), text.Shorten(v.Variant, names*2/5),
					text.Thousands(v.Users),
					fmt.Sprintf("%.1f %%", share(v.Users, m.Users.Answered))})
				name = ""
			}
		}
		for _, line := range text.Align(2, rows) {
			fmt.Fprintln(&b, line)
		}
		if more := len(m.Flags) - maxSummaryFlags; more > 0 {
			fmt.Fprintf(&b, "and %s; the manifest has all\n", text.Count(int64(more), "more flag"))
		}
	}

	b.WriteString("\nwritten:\n")
	var rows [][]string
	for _, f := range m.Outputs {
		rows = append(rows, []string{text.Clean(f.Path), fmt.Sprintf("%12s rows", text.Thousands(f.Rows)),
			fmt.Sprintf("%10s", formatBytes(f.Bytes))})
	}
	for _, line := range text.Align(1, rows) {
		fmt.Fprintln(&b, "  "+line)
	}
	return b.String()
}

// crossCheckText says how far the answers are the API's, and of which flags they are not.
func crossCheckText(c *snapshot.CrossCheck, width int) string {
	p := text.Printer{Width: width, Whole: true}
	p.Wrap("cross-check: ", 2, c.String())
	differing := c.Differing()
	for i, f := range differing {
		if i == maxSummaryDiffering {
			p.Wrap("  ", 2, "and "+text.Count(int64(len(differing)-i), "more flag")+"; the manifest has all")
			break
		}
		p.Wrap("  "+text.Shorten(f.Flag, width/2)+": ", 4, f.String())
	}
	if c.Listed > 0 {
		p.Wrap("  ", 2, "each answer that differs is in "+c.File)
	}
	return p.String()
}

// How many flags the summary has at most, and how many variants of each: those that most users got.
const (
	maxSummaryFlags    = 50
	maxSummaryVariants = 20

	maxSummaryDiffering = 10 // flags of which a cross-check found other answers
)

// mostFrequent are the flags and variants that a summary has. Of what is left out it says how many variants that are.
func mostFrequent(flags []snapshot.FlagCount) []snapshot.FlagCount {
	flags = slices.Clone(flags)
	if len(flags) > maxSummaryFlags {
		slices.SortStableFunc(flags, func(a, b snapshot.FlagCount) int { return cmp.Compare(b.Assigned, a.Assigned) })
		flags = flags[:maxSummaryFlags]
	}
	for i := range flags {
		f := &flags[i]
		f.Variants = slices.Clone(f.Variants)
		if len(f.Variants) <= maxSummaryVariants {
			continue
		}
		slices.SortStableFunc(f.Variants, func(a, b snapshot.VariantCount) int { return cmp.Compare(b.Users, a.Users) })
		rest := snapshot.VariantCount{Variant: fmt.Sprintf("(%s more)",
			text.Thousands(int64(len(f.Variants)-maxSummaryVariants)))}
		for _, v := range f.Variants[maxSummaryVariants:] {
			rest.Users += v.Users
		}
		f.Variants = append(f.Variants[:maxSummaryVariants], rest)
	}
	return flags
}

// describePauses says how often the API asked for a pause, and how many requests it takes.
func describePauses(r *snapshot.Requests) string {
	asked := "the API asked for " + text.Count(r.Pauses, "pause")
	if r.FoundRate == 0 {
		return asked
	}
	return asked + "; it takes about " + formatRate(r.FoundRate) + " requests/s"
}

// formatRate is a number of requests a second as a person says it.
func formatRate(perSecond float64) string {
	if perSecond >= 10 {
		return text.Thousands(int64(math.Round(perSecond)))
	}
	return strconv.FormatFloat(perSecond, 'g', 2, 64)
}

// minRated is how many seconds of requests a run has to have before its rate says anything.
const minRated = 10

// describeShortfall says that a run did not reach its rate, and why; "" if it did, or if pauses and outages explain it.
func describeShortfall(o *snapshotOptions, stats *amplitude.Stats) (message, hint string) {
	if o.rate <= 0 || o.autoRate || stats.EffectiveRate >= 0.95*o.ownRate() || stats.Pauses > 0 || stats.Outages > 0 ||
		stats.Last.Sub(stats.First) < minRated*time.Second {
		return "", ""
	}
	message = fmt.Sprintf("%.1f requests/s were sent, not the %g of --rate", stats.EffectiveRate, o.ownRate())
	if stats.MostInFlight < o.concurrency {
		return message + ": this machine, its network or the input is not faster", "more CPU, or a nearer machine, may help"
	}
	return message + fmt.Sprintf(": an answer takes %s, and %s were in flight",
			stats.P50.Round(10*time.Millisecond), text.Count(int64(stats.MostInFlight), "request")), "a higher --concurrency helps " +
			"if the API can take it"
}

// describeCaches says how many answers a cache gave, and how old the oldest is.
func describeCaches(c *snapshot.Caches) string {
	oldest := ""
	if c.MaxAge != nil {
		oldest = fmt.Sprintf("; the oldest is %v old", time.Duration(*c.MaxAge)*time.Second)
	}
	return fmt.Sprintf("answers: %s from a cache, %s not, %s that do not tell%s", text.Thousands(c.Hit),
		text.Thousands(c.Miss), text.Thousands(c.Unknown), oldest)
}

func share(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

// formatBytes is a number of bytes as a person says it.
func formatBytes(bytes int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	n, i := float64(bytes), 0
	for n >= 1000 && i < len(units)-1 {
		n, i = n/1000, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

// requestTime is how long requests take.
func requestTime(requests int64, perSecond float64) time.Duration {
	return time.Duration(float64(requests) / perSecond * float64(time.Second))
}
