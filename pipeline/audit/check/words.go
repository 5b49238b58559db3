package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// All sentences about checks and their results, for every format.

const (
	maxSplit   = 20 // variants of a ratio that are listed, the most frequent ones
	maxDetails = 20 // lines of details of a check
	maxValue   = 60 // characters of a column's value
)

// defaultName says what a check asserts.
func (c *Check) defaultName() string {
	name := ""
	switch c.Kind {
	case Share, Count:
		name = fmt.Sprintf("%s: %s of %s", c.Flag, c.Kind, strings.Join(c.Variants, ", "))
		if c.Of == ofAssigned {
			name += " among the assigned"
		}
	case Exposed:
		name = c.Flag + ": nobody exposed"
		if c.Everybody {
			name = c.Flag + ": everybody exposed"
		}
	case Exclusive:
		name = "nobody in two of " + strings.Join(c.Flags, ", ")
	case Holdout:
		name = c.Flag + ": holdout intact"
	case Ratio:
		name = c.Flag + ": sample ratio"
		if len(c.By) > 0 {
			name += " by " + strings.Join(c.By, ", ")
		}
	case Payload:
		name = c.Flag + ": payload"
		if len(c.Variants) > 0 {
			name += " of " + strings.Join(c.Variants, ", ")
		}
	case Failed:
		name = "failed users"
	case Users:
		name = "answered users"
	case Flags:
		name = "flags present"
	case Younger:
		name = "age of the snapshot"
	case Unchanged:
		name = "flags unchanged"
	case Seen:
		return "cohort " + strings.Join(c.Cohorts, ", ") + ": members seen"
	}
	return name + c.condition()
}

// condition is " in cohort … where …", or nothing.
func (c *Check) condition() (s string) {
	if c.Cohorts != nil {
		s += " in cohort " + strings.Join(c.Cohorts, " or ")
	}
	if c.NotCohorts != nil {
		s += " not in cohort " + strings.Join(c.NotCohorts, " or ")
	}
	if c.Where != "" {
		s += " where " + c.Where
	}
	return s
}

// Verdict is the report in a sentence.
func (r *Report) Verdict() string {
	n := len(r.Checks)
	switch {
	case r.OK && n == 1:
		return "the check holds"
	case r.OK:
		return fmt.Sprintf("all %d checks hold", n)
	case r.Failed == 0:
		return fmt.Sprintf("%d of %d checks cannot be decided", r.Errors, n)
	case r.Errors > 0:
		return fmt.Sprintf("%d of %d checks fail, and %d cannot be decided", r.Failed, n, r.Errors)
	}
	return fmt.Sprintf("%d of %d checks fail", r.Failed, n)
}

// users is how many users there are, and in how many rows.
func (r *Report) users() string { return stats.UsersInRows(r.Users, r.Rows, r.Estimated) }

// warning says that users have different answers in different rows; "" where none has.
func (r *Report) warning() string {
	if r.Differing == 0 {
		return ""
	}
	return stats.DifferingText(r.Differing, r.Estimated)
}

// String says which list of members a cohort is.
func (c *Cohort) String() string {
	return fmt.Sprintf("cohort %s: %s, %s, SHA-256 %.12s", c.Name, text.Count(int64(c.Members), "member"), c.File, c.SHA256)
}

// noun is what the counts are of: users or rows.
func (r *Report) noun() string { return r.Unit.Noun(2) }

// subjects are the users whom a check is about.
func (r *Report) subjects(c *Check) string {
	switch {
	case c.Of == ofAssigned, c.Kind == Ratio && !slices.ContainsFunc(c.Weights,
		func(w Weight) bool { return w.Variant == NotAssigned }):
		return "assigned " + r.noun() + c.condition()
	case c.Kind == Payload && len(c.Variants) > 0:
		return r.noun() + " with " + strings.Join(c.Variants, " or ") + c.condition()
	}
	return r.noun() + c.condition()
}

// expected says what a check asserts, in full.
func (r *Report) expected(c *Check) string {
	who := r.subjects(c)
	variants, flags, treatments := strings.Join(c.Variants, " or "), strings.Join(c.Flags, ", "), "a treatment"
	if c.Treatments != nil {
		treatments = strings.Join(c.Treatments, " or ")
	}
	switch c.Kind {
	case Share, Count:
		return fmt.Sprintf("%s of the %s have %s of %s", c.limits(), who, variants, c.Flag)
	case Exposed:
		if c.Everybody {
			return fmt.Sprintf("all %s are in %s of %s", who, treatments, c.Flag)
		}
		return fmt.Sprintf("none of the %s is in %s of %s", who, treatments, c.Flag)
	case Exclusive:
		what := "has a variant"
		if c.Who == whoExposed {
			what = "is exposed to " + treatments
		}
		return fmt.Sprintf("none of the %s %s of two of %s", who, what, flags)
	case Holdout:
		return fmt.Sprintf("nobody who has %s of %s is in %s of %s%s", variants, c.Flag, treatments, flags, c.condition())
	case Ratio:
		return fmt.Sprintf("%s: %s of the %s; fails below p = %s", c.Flag, c.weights(), who,
			strconv.FormatFloat(c.Alert, 'g', -1, 64))
	case Payload:
		return fmt.Sprintf("the payloads of %s conform to the schema, for all %s", c.Flag, who)
	case Failed:
		return c.limits() + " of the " + who + " failed"
	case Users:
		return c.limits() + " answered users"
	case Flags:
		return "somebody got a variant of each of " + flags
	case Seen:
		return c.limits() + " of the members of cohort " + c.Cohorts[0] + " are among the answered users"
	case Unchanged:
		return "no flag changed while the run went on"
	}
	return "the run began less than " + formatAge(c.Younger) + " ago"
}

// limits is "at least 45 %", "45 % to 55 %".
func (c *Check) limits() string {
	format := func(f float64) string {
		if c.Shares {
			return strconv.FormatFloat(float64(int64(f*1e8+0.5))/1e6, 'f', -1, 64) + " %"
		}
		return text.Thousands(int64(f))
	}
	switch {
	case c.Max == nil:
		return "at least " + format(*c.Min)
	case c.Min == nil && *c.Max == 0:
		return "none"
	case c.Min == nil:
		return "at most " + format(*c.Max)
	case *c.Min == *c.Max:
		return "exactly " + format(*c.Min)
	}
	return format(*c.Min) + " to " + format(*c.Max)
}

// weights is "control 50.00 %, treatment 50.00 %".
func (c *Check) weights() string {
	var sum float64
	for _, w := range c.Weights {
		sum += w.Weight
	}
	var parts []string
	for _, w := range c.Weights[:min(len(c.Weights), maxSplit)] {
		parts = append(parts, w.Variant+" "+text.PercentDigits(w.Weight/sum, 2))
	}
	if more := len(c.Weights) - maxSplit; more > 0 {
		parts = append(parts, text.Count(int64(more), "more variant"))
	}
	return strings.Join(parts, ", ")
}

// found says what the snapshots have in place of what was expected.
func (r *Report) found(res *Result) string {
	if res.Status == Undecided {
		return r.note(res, &res.Reason)
	}
	hits, all := text.Thousands(res.Hits), r.Unit.Count(res.Users)
	share := func(n int64) string { return text.PercentDigits(float64(n)/float64(res.Users), 2) }
	are := text.CountIs(res.Users, r.Unit.Noun(1), "is", "are")
	found := ""
	switch res.Kind {
	case Share:
		low, high := stats.Wilson(res.Hits, res.Users)
		return fmt.Sprintf("%s, %s of %s (95 %% interval %s to %s)", share(res.Hits), hits, all,
			text.PercentDigits(low, 2), text.PercentDigits(high, 2))
	case Count:
		return hits + " of " + all
	case Exposed:
		return fmt.Sprintf("%s of %s exposed (%s)", hits, are, share(res.Hits))
	case Exclusive:
		found = hits + " of " + all
		if res.Hits == 0 {
			found = "none of " + all
		}
	case Holdout:
		heldOut := text.Count(res.Users, "held-out "+r.Unit.Noun(1))
		found = fmt.Sprintf("%s of %s are exposed", hits, heldOut)
		if res.Hits == 0 {
			found = fmt.Sprintf("none of %s is exposed", heldOut)
		}
	case Ratio:
		if found = res.split(&res.Split.All); res.Split.All.Test.Tested() {
			found += "; " + res.Split.All.Test.PText()
		}
		if res.Split.Untested > 0 {
			found += fmt.Sprintf("; %d of %d slices not tested, too few %s", res.Split.Untested, res.Split.Tested+
				res.Split.Untested, r.noun())
		}
	case Payload:
		found = fmt.Sprintf("%s of %s with a payload that does not conform", hits, all)
		if res.Hits == 0 {
			found = "all " + text.Thousands(res.Users) + " conform"
		}
		if res.Absent > 0 {
			found += fmt.Sprintf("; %s without a payload", r.Unit.Count(res.Absent))
		}
	case Failed:
		return fmt.Sprintf("%s of %s (%s)", hits, all, share(res.Hits))
	case Seen:
		return fmt.Sprintf("%s of %s (%s)", hits, text.Count(res.Users, "member"), share(res.Hits))
	case Users:
		return r.users()
	case Flags:
		var absent []string
		for _, n := range res.Notes {
			absent = append(absent, n.Subject)
		}
		if len(absent) == 0 {
			return "somebody got each"
		}
		return "nobody got " + strings.Join(absent, ", ")
	case Younger:
		return res.Run.text()
	case Unchanged:
		if n := len(res.Notes); n > 0 {
			return text.Count(int64(n), "flag") + " changed"
		}
		return "no flag changed"
	}
	if res.Differing > 0 {
		found += "; row by row: " + text.CountIs(res.Differing, "user", "has", "have") +
			" different variants of such flags in different rows"
	}
	return found
}

// note is a reason or a detail of a result as a sentence; "" is none.
func (r *Report) note(res *Result, n *Note) string {
	switch n.Code {
	case NoUsers:
		return vacuous("there are no " + r.subjects(res.Check))
	case NobodyAnswered:
		return vacuous("nobody was answered")
	case NobodyHeldOut:
		return vacuous("nobody is held out")
	case NoOtherFlag:
		if n.Subject == "" {
			return vacuous("none of these " + r.noun() + " has any of the flags")
		}
		return vacuous("none of these " + r.noun() + " has any of the flags but " + n.Subject)
	case NoVariant:
		return vacuous("none of the " + r.noun() + res.condition() + " has a variant of the flag")
	case NoPayload:
		return vacuous("none of the " + r.noun() + res.condition() + " has a payload")
	case ColumnsUnknown, IDsUnknown:
		what := map[NoteCode]string{ColumnsUnknown: "columns", IDsUnknown: "ids"}[n.Code]
		return "not known: " + r.Unit.Count(n.N) + " got no variant of any flag and are not in the file, so their " + what +
			" are not known; `rollcall snapshot --flags` and `--layout wide` write all"
	case NoMembers:
		return vacuous("the cohort has no members")
	case TooManyValues:
		return fmt.Sprintf("not tested: column %s has more than %s values", n.Subject, text.Thousands(maxSlices))
	case NotTested:
		return fmt.Sprintf("not tested: %s (%s)", n.Subject, res.split(&res.Split.All))
	case NoSliceTested:
		return fmt.Sprintf("not tested: no slice by %s has enough %s", strings.Join(res.By, ", "), r.noun())
	case FlagUsers:
		return n.Subject + ": " + r.Unit.Count(n.N)
	case NotInFile:
		return r.Unit.Count(n.N) + " of them got no variant of any flag, and are not in the file"
	case AskedAgain:
		return "some of the failed users of " + n.Subject + " were asked about again, and nothing says which"
	case RecordsUnknown:
		return "which ones is not known: the error records of " + n.Subject + " cannot be read"
	case ChangesUnknown:
		if n.Subject != "" {
			return "not known of " + n.Subject + ": " + n.Hint
		}
		return "not known: " + n.Hint
	case FlagChanged:
		if n.Hint != "" {
			return n.Hint + ": " + n.Subject
		}
		return n.Subject
	case NobodyGot:
		if n.Hint != "" {
			return n.Subject + ": " + n.Hint
		}
	}
	return ""
}

func vacuous(why string) string { return "vacuous: " + why + ", so this says nothing" }

// details are the lines below what was found.
func (r *Report) details(res *Result) []string {
	lines := []string{}
	for i := range res.Notes {
		if line := r.note(res, &res.Notes[i]); line != "" {
			lines = append(lines, line)
		}
	}
	if s := res.Split; s != nil && res.Reason.Code != NotTested {
		if len(res.By) > 0 {
			line := text.Count(int64(s.Tested), "slice") + " tested; their p-values are corrected for all of them"
			if s.AllOff {
				line += ", and they are off only if they are also unlike all others"
			}
			lines = append(lines, line)
		}
		if len(s.All.Unweighted) > 0 {
			lines = append(lines, "all: "+res.split(&s.All)+"; without a weight: "+strings.Join(s.All.Unweighted, ", ")+
				res.misspelling())
		} else if s.AllOff {
			lines = append(lines, "all: "+res.split(&s.All)+"; "+s.All.Test.PText())
		}
		for i := range s.Off {
			lines = append(lines, s.Off[i].label()+": "+res.split(&s.Off[i])+"; "+s.Off[i].Test.PText())
		}
	}
	if len(lines) > maxDetails {
		lines = append(lines[:maxDetails-1], fmt.Sprintf("and %d more", len(lines)-maxDetails+1))
	}
	return lines
}

// misspelling suggests which variant without a weight is meant by one that nobody has; "" if none is similar.
func (res *Result) misspelling() string {
	for i, w := range res.Weights {
		if res.Split.All.Counts[i] > 0 {
			continue
		}
		if hint := pipeline.Suggest(w.Variant, res.Split.All.Unweighted); hint != "" {
			return " (" + w.Variant + ": " + hint + ")"
		}
	}
	return ""
}

func (s *Slice) label() string {
	if s.Null {
		return s.Column + " = (none)"
	}
	return s.Column + " = " + text.Shorten(s.Value, maxValue)
}

// split is who got what: "control 50.10 % (501), treatment 49.90 % (499)".
func (res *Result) split(s *Slice) string {
	var total int64
	for _, n := range s.Counts {
		total += n
	}
	var parts []string
	list := func(name string, n int64) {
		parts = append(parts, fmt.Sprintf("%s %s (%s)", name, text.PercentDigits(float64(n)/float64(max(total, 1)), 2),
			text.Thousands(n)))
	}
	listed, rest := stats.MostFrequent(len(res.Weights), maxSplit, func(i int) int64 { return s.Counts[i] })
	for _, i := range listed {
		list(res.Weights[i].Variant, s.Counts[i])
	}
	if more := len(res.Weights) - maxSplit; more > 0 {
		list("and "+text.Count(int64(more), "more variant"), rest)
	}
	if n := s.countUnweighted(); n > 0 {
		list("others", n)
	}
	return strings.Join(parts, ", ")
}

func (a *RunAge) text() string {
	at := a.Began.UTC().Format(time.RFC3339)
	found := "it began " + formatAge(a.Age) + " ago, at " + at
	if a.Age < 0 {
		found = "it began " + formatAge(-a.Age) + " in the future, at " + at
	}
	if a.Path != "" {
		found = a.Path + ": " + found
	}
	return found
}

// formatAge is a duration in its two largest units: 3d4h, 3h20m, 40s.
func formatAge(d time.Duration) string {
	units := []struct {
		name  string
		least time.Duration // that is written in the unit
		size  time.Duration
	}{{"d", 48 * time.Hour, 24 * time.Hour}, {"h", time.Hour, time.Hour}, {"m", time.Minute, time.Minute},
		{"s", 0, time.Second}}
	for i, u := range units {
		if d < u.least {
			continue
		}
		text := strconv.FormatInt(int64(d/u.size), 10) + u.name
		if d %= u.size; i+1 < len(units) && d >= units[i+1].size {
			text += strconv.FormatInt(int64(d/units[i+1].size), 10) + units[i+1].name
		}
		return text
	}
	return ""
}

// exampleRows are the examples as texts; those of which only the row is said are put together.
func (r *Report) exampleRows(res *Result) []string {
	var texts []string
	details := func(row Row) (text string) {
		if row.UserID != "" {
			text += ", user_id " + row.UserID
		}
		if row.DeviceID != "" {
			text += ", device_id " + row.DeviceID
		}
		if row.Note != "" {
			text += ": " + row.Note
		}
		return text
	}
	for rest := res.Examples; len(rest) > 0; {
		first, n := rest[0], 1
		for details(first) == "" && n < len(rest) && rest[n].Snapshot == first.Snapshot && details(rest[n]) == "" {
			n++
		}
		label, numbers := "row ", []string{}
		if n > 1 {
			label = "rows "
		}
		if len(r.Snapshots) > 1 {
			label = first.Snapshot + " " + label
		}
		for _, row := range rest[:n] {
			numbers = append(numbers, strconv.FormatInt(row.Row, 10))
		}
		texts = append(texts, label+strings.Join(numbers, ", ")+details(first))
		rest = rest[n:]
	}
	return texts
}
