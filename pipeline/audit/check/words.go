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

// sentences are about checks of each kind: its name where the file has none, what it expects in full, and what
// snapshots have in place of that.
var sentences = map[Kind]struct{ name, expected, found string }{
	Share: {"$flag: share of $variants$among$where", "$limits of the $who have $anyOf of $flag",
		"$share, $hits of $all (95 % interval $low to $high)"},
	Count: {"$flag: count of $variants$where", "$limits of the $who have $anyOf of $flag", "$hits of $all"},
	Exposed: {"$flag: $whom exposed$where", "$each in $treatments of $flag",
		"$hits of $are exposed ($share)"},
	Exclusive: {"nobody in two of $flags$where", "none of the $who $has of two of $flags", "$some of $all$differing"},
	Holdout: {"$flag: holdout intact$where", "nobody who has $anyOf of $flag is in $treatments of $flags$where",
		"$some of $heldOut $be exposed$differing"},
	Ratio: {"$flag: sample ratio$by$where", "$flag: $weights of the $who; fails below p = $alert", "$split$p$untested"},
	Payload: {"$flag: payload$of$where", "the payloads of $flag conform to the schema, for all $who",
		"$conforming$absent"},
	Failed:    {"failed users", "$limits of the $who failed", "$hits of $all ($share)"},
	Users:     {"answered users", "$limits answered users", "$answered"},
	Flags:     {"flags present", "somebody got a variant of each of $flags", "$got"},
	Younger:   {"age of the snapshot", "the run began less than $younger ago", "$age"},
	Unchanged: {"flags unchanged", "no flag changed while the run went on", "$changed"},
	Seen: {"cohort $cohorts: members seen", "$limits of the members of cohort $cohorts are among the answered users",
		"$hits of $members ($share)"},
}

// defaultName says what a check asserts.
func (c *Check) defaultName() string { return text.Fill(sentences[c.Kind].name, c.words()) }

// words are those of the sentences that say what a check asserts.
func (c *Check) words() map[string]string {
	words := map[string]string{
		"flag": c.Flag, "flags": strings.Join(c.Flags, ", "), "variants": strings.Join(c.Variants, ", "),
		"anyOf": strings.Join(c.Variants, " or "), "of": joinAfter(" of ", c.Variants), "by": joinAfter(" by ", c.By),
		"cohorts": strings.Join(c.Cohorts, ", "), "where": c.condition(), "weights": c.weights(),
		"among": map[string]string{ofAssigned: " among the assigned"}[c.Of], "whom": nobody, "treatments": "a treatment",
		"alert": strconv.FormatFloat(c.Alert, 'g', -1, 64), "younger": formatAge(c.Younger), "has": "has a variant",
	}
	if c.Everybody {
		words["whom"] = everybody
	}
	if c.Treatments != nil {
		words["treatments"] = strings.Join(c.Treatments, " or ")
	}
	if c.Who == whoExposed {
		words["has"] = "is exposed to " + words["treatments"]
	}
	if c.Min != nil || c.Max != nil {
		words["limits"] = c.limits()
	}
	return words
}

// joinAfter is a list after some words, or nothing.
func joinAfter(words string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return words + strings.Join(list, ", ")
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
	return fmt.Sprintf("cohort %s: %s, %s, SHA-256 %.12s", c.Name, text.Count(int64(c.Members), "member"), c.File,
		c.SHA256)
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
	words, who := c.words(), r.subjects(c)
	words["who"], words["each"] = who, "none of the "+who+" is"
	if c.Everybody {
		words["each"] = "all " + who + " are"
	}
	return text.Fill(sentences[c.Kind].expected, words)
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
	low, high := stats.Wilson(res.Hits, res.Users)
	words := map[string]string{
		"hits": hits, "some": hits, "be": "are", "all": all, "are": text.CountIs(res.Users, r.Unit.Noun(1), "is", "are"),
		"share": text.PercentDigits(float64(res.Hits)/float64(res.Users), 2), "low": text.PercentDigits(low, 2),
		"high": text.PercentDigits(high, 2), "members": text.Count(res.Users, "member"), "answered": r.users(),
		"heldOut": text.Count(res.Users, "held-out "+r.Unit.Noun(1)), "got": "somebody got each",
		"changed": "no flag changed", "conforming": hits + " of " + all + " with a payload that does not conform",
		"absent": "", "differing": "", "p": "", "untested": "",
	}
	if res.Hits == 0 {
		words["some"], words["be"], words["conforming"] = "none", "is", "all "+text.Thousands(res.Users)+" conform"
	}
	if res.Absent > 0 {
		words["absent"] = "; " + r.Unit.Count(res.Absent) + " without a payload"
	}
	if s := res.Split; s != nil {
		if words["split"] = res.split(&s.All); s.All.Test.Tested() {
			words["p"] = "; " + s.All.Test.PText()
		}
		if s.Untested > 0 {
			words["untested"] = fmt.Sprintf("; %d of %d slices not tested, too few %s", s.Untested, s.Tested+s.Untested,
				r.noun())
		}
	}
	var subjects []string
	for _, n := range res.Notes {
		subjects = append(subjects, n.Subject)
	}
	if n := len(subjects); n > 0 {
		words["got"], words["changed"] = "nobody got "+strings.Join(subjects, ", "), text.Count(int64(n), "flag")+" changed"
	}
	if res.Run != nil {
		words["age"] = res.Run.text()
	}
	if res.Differing > 0 {
		words["differing"] = "; row by row: " + text.CountIs(res.Differing, "user", "has", "have") +
			" different variants of such flags in different rows"
	}
	return text.Fill(sentences[res.Kind].found, words)
}

// noteSentences are the reasons and the details of results.
var noteSentences = map[NoteCode]string{
	NoUsers:        vacuous("there are no $subjects"),
	NobodyAnswered: vacuous("nobody was answered"),
	NobodyHeldOut:  vacuous("nobody is held out"),
	NoOtherFlag:    vacuous("none of these $noun has any of the flags$but"),
	NoVariant:      vacuous("none of the $noun$where has a variant of the flag"),
	NoPayload:      vacuous("none of the $noun$where has a payload"),
	NoMembers:      vacuous("the cohort has no members"),
	ColumnsUnknown: notInFile("columns"),
	IDsUnknown:     notInFile("ids"),
	TooManyValues:  "not tested: column $subject has more than $most values",
	NotTested:      "not tested: $subject ($split)",
	NoSliceTested:  "not tested: no slice by $by has enough $noun",
	FlagUsers:      "$subject: $count",
	NotInFile:      "$count of them got no variant of any flag, and are not in the file",
	AskedAgain:     "some of the failed users of $subject were asked about again, and nothing says which",
	RecordsUnknown: "which ones is not known: the error records of $subject cannot be read",
	ChangesUnknown: "not known$of: $hint",
	FlagChanged:    "$in$subject",
	NobodyGot:      "$subject: $hint",
}

func vacuous(why string) string { return "vacuous: " + why + ", so this says nothing" }

func notInFile(what string) string {
	return "not known: $count got no variant of any flag and are not in the file, so their " + what +
		" are not known; `rollcall snapshot --flags` and `--layout wide` write all"
}

// note is a reason or a detail of a result as a sentence; "" is none.
func (r *Report) note(res *Result, n *Note) string {
	if n.Code == NobodyGot && n.Hint == "" {
		return ""
	}
	words := map[string]string{"subjects": r.subjects(res.Check), "noun": r.noun(), "where": res.condition(),
		"subject": n.Subject, "count": r.Unit.Count(n.N), "hint": n.Hint, "by": strings.Join(res.By, ", "),
		"most": text.Thousands(maxSlices), "but": "", "of": "", "in": ""}
	if n.Subject != "" {
		words["but"], words["of"] = " but "+n.Subject, " of "+n.Subject
	}
	if n.Hint != "" {
		words["in"] = n.Hint + ": "
	}
	if res.Split != nil {
		words["split"] = res.split(&res.Split.All)
	}
	return text.Fill(noteSentences[n.Code], words)
}

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
