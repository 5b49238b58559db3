package check

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// maxSplit is how many variants of a ratio are listed, the most frequent ones.
const maxSplit = 20

// maxDetails is how many lines of details a check has.
const maxDetails = 20

// clockSkew is how far in the future a run may have begun by the clock of another machine.
const clockSkew = 5 * time.Minute

// judgement makes results of what was counted.
type judgement struct {
	*counting
	all   []*openRun
	users snapshot.Users // of all snapshots; rows where users are repeated
	unit  stats.Unit
}

func (j *judgement) noun() string { return j.unit.Noun(2) }

// answered is how many different users were answered.
func (j *judgement) answered() int64 { return j.users.Answered - j.ids.Rows() + j.ids.Users() }

func judge(c *counting, all []*openRun) *Report {
	j := &judgement{counting: c, all: all, unit: c.ids.Unit()}
	r := &Report{Format: Format, Rules: c.file.Path, Snapshots: []string{}, Checks: []Result{}}
	for _, s := range all {
		r.Snapshots = append(r.Snapshots, s.path)
		j.users.Read += s.once.Read
		j.users.Answered += s.once.Answered
		j.users.Failed += s.once.Failed
	}
	r.Unit, r.Users, r.Rows, r.Estimated, r.Differing = j.unit, j.answered(), j.users.Answered, !c.ids.Exact(), c.ids.Differing(0)
	for _, s := range c.states {
		res := Result{Name: s.Name, Kind: s.Kind, Line: s.Line, Flag: s.Flag, Where: s.Where, Status: Held, Users: s.users, Details: []string{}, Examples: []Row{}}
		j.judge(s, &res)
		if res.Status == Held {
			res.Violations, res.Examples = 0, []Row{}
		}
		switch res.Status {
		case Held:
			r.Held++
		case NotHeld:
			r.Failed++
		default:
			r.Errors++
		}
		if len(res.Details) > maxDetails {
			more := fmt.Sprintf("and %d more", len(res.Details)-maxDetails+1)
			res.Details = append(res.Details[:maxDetails-1], more)
		}
		r.Checks = append(r.Checks, res)
	}
	r.OK = r.Held == len(r.Checks)
	return r
}

// fail has the check not hold if it should not.
func (res *Result) fail(when bool, examples []Row) {
	if when {
		res.Status = NotHeld
		res.Examples = append(res.Examples, examples...)
	}
}

// undecided has the check be an error.
func (res *Result) undecided(format string, args ...any) {
	res.Status, res.Found = Undecided, fmt.Sprintf(format, args...)
	res.Violations, res.Examples = 0, []Row{}
}

// vacuous has the check be an error because nobody is there whom it is about.
func (res *Result) vacuous(who string) {
	res.undecided("vacuous: %s, so this says nothing", who)
}

func (j *judgement) judge(s *state, res *Result) {
	if s.Where != "" {
		// Of users who are not in a file the columns are not known.
		needsAll := s.Kind == Share && s.Of == ofUsers || s.Kind == Count && s.set.none || s.Kind == Exposed && s.Everybody || s.Kind == Ratio && s.nobody >= 0
		if needsAll && j.notInFile(s, res) {
			return
		}
	}
	switch s.Kind {
	case Share, Count:
		j.judgeLimits(s, res)
	case Exposed:
		j.judgeExposed(s, res)
	case Exclusive:
		j.judgeExclusive(s, res)
	case Holdout:
		j.judgeHoldout(s, res)
	case Ratio:
		j.judgeRatio(s, res)
	case Payload:
		j.judgePayload(s, res)
	case Failed:
		j.judgeFailed(s, res)
	case Users:
		res.Users, res.Expected = j.answered(), limits(s.Rule)+" answered users"
		res.Found = stats.UsersInRows(j.answered(), j.users.Answered, !j.ids.Exact())
		res.fail(outside(s.Rule, float64(j.answered())) != 0, nil)
		if j.users.Answered == 0 {
			res.vacuous("nobody was answered")
		}
	case Flags:
		j.judgeFlags(s, res)
	case Younger:
		j.judgeYounger(s, res)
	}
}

// notInFile reports whether a check on some of the users cannot be decided, because not all are in the files.
func (j *judgement) notInFile(s *state, res *Result) bool {
	if j.missing <= 0 {
		return false
	}
	res.Expected = s.Name
	res.undecided("not known: %s got no variant of any flag and are not in the file, so their columns are not known; "+
		"`rollcall snapshot --flags` and `--layout wide` write all", j.count(j.missing))
	return true
}

// everyone is the users that a check without a condition is about, and the ones among them who are not in the files.
func (j *judgement) everyone(s *state) (total, missing int64) {
	if s.Where != "" {
		return s.users, 0
	}
	return s.users + j.missing, j.missing
}

// group is "users" or "users where …".
func group(s *state, who string) string {
	if s.Where != "" {
		return who + " where " + s.Where
	}
	return who
}

func (j *judgement) judgeLimits(s *state, res *Result) {
	total, who := s.users, group(s, j.noun())
	hits := s.hits
	if s.Of == ofAssigned {
		who = group(s, "assigned "+j.noun())
	} else {
		var missing int64
		total, missing = j.everyone(s)
		if s.set.none {
			hits += missing
		}
	}
	res.Users = total
	variants := strings.Join(s.Variants, " or ")
	res.Expected = limits(s.Rule) + " of the " + who + " with " + variants + " of " + s.Flag
	if total == 0 {
		res.vacuous("there are no " + who)
		return
	}
	value := float64(hits)
	res.Found = thousands(hits) + " of " + j.count(total)
	if s.Kind == Share {
		value = float64(hits) / float64(total)
		low, high := stats.Wilson(hits, total)
		res.Found = fmt.Sprintf("%s, %s of %s (95 %% interval %s to %s)", percent(value, 2), thousands(hits), j.count(total), percent(low, 2), percent(high, 2))
	}
	switch outside(s.Rule, value) {
	case 1:
		res.Violations = hits
		res.fail(true, s.with)
	case -1:
		res.Violations = total - hits
		res.fail(true, s.without)
	}
}

// outside is 1 above the largest value that holds, -1 below the smallest one.
func outside(r *Rule, value float64) int {
	switch {
	case r.Max != nil && value > *r.Max:
		return 1
	case r.Min != nil && value < *r.Min:
		return -1
	}
	return 0
}

// limits is "at least 45 %", "45 % to 55 %".
func limits(r *Rule) string {
	show := func(f float64) string {
		if r.Shares {
			return strconv.FormatFloat(float64(int64(f*1e8+0.5))/1e6, 'f', -1, 64) + " %"
		}
		return thousands(int64(f))
	}
	switch {
	case r.Max == nil:
		return "at least " + show(*r.Min)
	case r.Min == nil && *r.Max == 0:
		return "none"
	case r.Min == nil:
		return "at most " + show(*r.Max)
	case *r.Min == *r.Max:
		return "exactly " + show(*r.Min)
	}
	return show(*r.Min) + " to " + show(*r.Max)
}

func (j *judgement) judgeExposed(s *state, res *Result) {
	total, missing := j.everyone(s)
	res.Users = total
	who := group(s, j.noun())
	res.Expected = "none of the " + who + " " + treatment(s) + " of " + s.Flag
	if s.Everybody {
		res.Expected = "all " + who + " " + treatment(s) + " of " + s.Flag
	}
	if total == 0 {
		res.vacuous("there are no " + who)
		return
	}
	res.Found = fmt.Sprintf("%s of %s exposed (%s)", thousands(s.hits), j.are(total), percent(float64(s.hits)/float64(total), 2))
	if s.Everybody {
		res.Violations = total - s.hits
		res.fail(res.Violations > 0, s.without)
		if missing > 0 && res.Status == NotHeld {
			res.Details = append(res.Details, j.count(missing)+" of them got no variant of any flag, and are not in the file")
		}
		return
	}
	res.Violations = s.hits
	res.fail(s.hits > 0, s.with)
}

// treatment is what being exposed means for a check.
func treatment(s *state) string {
	if s.Treatments == nil {
		return "in a treatment"
	}
	return "in " + strings.Join(s.Treatments, " or ")
}

func (j *judgement) judgeExclusive(s *state, res *Result) {
	what := "a variant"
	if s.Who == whoExposed {
		what = "exposed to a treatment"
		if s.Treatments != nil {
			what = "exposed to " + strings.Join(s.Treatments, " or ")
		}
	}
	verb := map[bool]string{true: "is ", false: "has "}[s.Who == whoExposed]
	res.Expected = "none of the " + group(s, j.noun()) + " " + verb + what + " of two of " + strings.Join(s.Flags, ", ")
	var there []string
	for i, n := range s.inFlags {
		if n > 0 {
			there = append(there, s.Flags[i])
		}
	}
	if len(there) < 2 {
		who := "nobody of these " + j.noun() + " has any of the flags"
		if len(there) == 1 {
			who = "of these " + j.noun() + " nobody has another of the flags than " + there[0]
		}
		res.vacuous(who)
		return
	}
	res.Violations = s.hits
	res.Users, _ = j.everyone(s)
	res.Found = "nobody of " + j.count(res.Users)
	if s.hits > 0 {
		res.Found = thousands(s.hits) + " of " + j.count(res.Users)
	}
	for i, flag := range s.Flags {
		res.Details = append(res.Details, flag+": "+j.count(s.inFlags[i]))
	}
	res.fail(s.hits > 0, s.with)
	j.together(res)
}

// together says, of a check that looks at which flags a user has together, that it sees one row at a time, where users have
// different variants of such flags in different rows.
func (j *judgement) together(res *Result) {
	if n := j.ids.Differing(1); n > 0 {
		res.Found += "; row by row: " + stats.UnitUsers.Count(n) + map[bool]string{true: " has", false: " have"}[n == 1] +
			" different variants of such flags in different rows"
	}
}

func (j *judgement) judgeHoldout(s *state, res *Result) {
	res.Expected = fmt.Sprintf("whoever has %s of %s is in no treatment of %s", strings.Join(s.Variants, " or "), s.Flag, strings.Join(s.Flags, ", "))
	if s.Treatments != nil {
		res.Expected = strings.Replace(res.Expected, "in no treatment", "not in "+strings.Join(s.Treatments, " or "), 1)
	}
	if s.Where != "" {
		res.Expected += ", where " + s.Where
	}
	if s.users == 0 {
		res.vacuous("nobody is held out")
		return
	}
	res.Violations = s.hits
	res.Found = fmt.Sprintf("%s of %s held out exposed", thousands(s.hits), j.are(s.users))
	if s.hits == 0 {
		res.Found = fmt.Sprintf("none of %s held out exposed", j.are(s.users))
	}
	res.fail(s.hits > 0, s.with)
	j.together(res)
}

// slice is a test of a ratio.
type slice struct {
	label  string
	cell   *cell
	test   stats.Test
	others bool // the test is against all others, and not against the weights
}

// The families of tests of a ratio: each is corrected for itself.
const (
	familyAll    = "all"
	familySlices = "slices"
)

func (j *judgement) judgeRatio(s *state, res *Result) {
	var weights []float64
	var want []string
	var sum float64
	for _, w := range s.Weights {
		weights = append(weights, w.Weight)
		sum += w.Weight
	}
	for _, w := range s.Weights[:min(len(s.Weights), maxSplit)] {
		want = append(want, w.Variant+" "+percent(w.Weight/sum, 2))
	}
	if more := len(s.Weights) - maxSplit; more > 0 {
		want = append(want, plural(int64(more), "more variant"))
	}
	who := "assigned " + j.noun()
	if s.nobody >= 0 {
		who = j.noun()
	}
	res.Expected = fmt.Sprintf("%s: %s of the %s; fails below p = %s", s.Flag, strings.Join(want, ", "), group(s, who),
		strconv.FormatFloat(s.Alert, 'g', -1, 64))
	if s.nobody >= 0 {
		if len(s.by) > 0 && j.notInFile(s, res) {
			return
		}
		if _, missing := j.everyone(s); missing > 0 {
			s.all.counts[s.nobody] += missing
			res.Users += missing
		}
	}
	if res.Users == 0 {
		res.vacuous("none of the " + group(s, j.noun()) + " has a variant of the flag")
		return
	}
	parts, ok := j.slices(s, res)
	if !ok {
		return
	}
	// All users are tested alone: what is found among them does not depend on how many slices there are.
	all := &parts[0]
	all.test = stats.Ratio(all.cell.counts[:len(weights)], weights)
	stats.Correct(familyAll, []*stats.Test{&all.test})
	res.Found = split(s, all.cell)
	if !all.test.Tested() && all.strange() == 0 {
		res.undecided("not tested: %s (%s)", all.test.None, split(s, all.cell))
		return
	}
	off := all.test.Tested() && all.test.Corrected < s.Alert
	if all.test.Tested() {
		res.Found += "; " + pText(&all.test)
	}
	var tests []*stats.Test
	for i := range parts[1:] {
		p := &parts[1+i]
		p.test = stats.Ratio(p.cell.counts[:len(weights)], weights)
		if off {
			p.test, p.others = stats.Apart(p.test, p.cell.counts[:len(weights)], all.cell.counts[:len(weights)])
		}
		tests = append(tests, &p.test)
	}
	tested := stats.Correct(familySlices, tests)
	var bad []*slice
	if all.strange() > 0 || off {
		bad = append(bad, all)
	}
	small := 0
	for i := range parts[1:] {
		p := &parts[1+i]
		switch {
		case !p.test.Tested():
			small++
		case p.test.Corrected < s.Alert:
			bad = append(bad, p)
		}
	}
	if len(s.by) > 0 {
		res.Details = append(res.Details, plural(int64(tested), "slice")+" tested; their p-values are corrected for all of them")
		if off {
			res.Details[0] += ", and they are off only if they are also unlike all others"
		}
		if small > 0 {
			res.Found += fmt.Sprintf("; %d of %d slices not tested, too few "+j.noun(), small, len(parts)-1)
		}
		if tested == 0 && len(bad) == 0 {
			res.undecided("not tested: no slice by %s has enough "+j.noun(), strings.Join(s.By, ", "))
			return
		}
	}
	if len(bad) == 0 {
		return
	}
	rest := bad
	if bad[0] == all {
		rest = bad[1:]
	}
	slices.SortStableFunc(rest, func(a, b *slice) int { return cmp.Compare(a.test.P, b.test.P) })
	for _, p := range bad {
		text := p.label + ": " + split(s, p.cell)
		if p == all && p.strange() > 0 {
			var names []string
			for _, key := range p.cell.strange {
				names = append(names, j.keys.Name(key))
			}
			text += "; without a weight: " + strings.Join(names, ", ")
			for _, w := range s.Weights {
				if p.cell.counts[s.weights.places[w.Variant]] > 0 {
					continue
				}
				if hint := pipeline.Suggest(w.Variant, names); hint != "" {
					text += " (" + w.Variant + ": " + hint + ")"
					break
				}
			}
		} else {
			text += "; " + pText(&p.test)
		}
		res.Details = append(res.Details, text)
	}
	worst := bad[0]
	res.fail(true, worst.examples(weights, sum))
	res.Violations = worst.strange()
}

// strange is how many users have a variant without a weight.
func (p *slice) strange() int64 { return p.cell.counts[len(p.cell.counts)-1] }

// examples are users who have the variant of which there are too many.
func (p *slice) examples(weights []float64, sum float64) []Row {
	if p.strange() > 0 {
		return p.cell.examples[len(weights)]
	}
	worst, most := 0, 0.0
	for i, w := range weights {
		if over := float64(p.cell.counts[i])/float64(p.test.N) - w/sum; over > most {
			worst, most = i, over
		}
	}
	return p.cell.examples[worst]
}

// slices are all tests of a ratio: all users, and those with each value of a column.
func (j *judgement) slices(s *state, res *Result) ([]slice, bool) {
	list := []slice{{label: "all", cell: s.all}}
	for _, by := range s.by {
		if by.full {
			res.undecided("not tested: column %s has more than %s values", by.column, thousands(maxSlices))
			return nil, false
		}
		for _, value := range slices.Sorted(maps.Keys(by.cells)) {
			list = append(list, slice{label: by.column + " = " + short(value), cell: by.cells[value]})
		}
		if by.none != nil {
			list = append(list, slice{label: by.column + " = (none)", cell: by.none})
		}
	}
	return list, true
}

// short is a text that comes from outside, on one line and not too long.
func short(text string) string {
	const most = 60
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// split is who got what: "control 50.10 % (501), treatment 49.90 % (499)".
func split(s *state, c *cell) string {
	var total int64
	for _, n := range c.counts {
		total += n
	}
	var parts []string
	shown := make([]int, len(s.Weights))
	for i := range shown {
		shown[i] = i
	}
	if len(shown) > maxSplit {
		slices.SortStableFunc(shown, func(a, b int) int { return cmp.Compare(c.counts[b], c.counts[a]) })
		shown = shown[:maxSplit]
	}
	rest := total - c.counts[len(s.Weights)]
	for _, i := range shown {
		rest -= c.counts[i]
		parts = append(parts, fmt.Sprintf("%s %s (%s)", s.Weights[i].Variant, percent(float64(c.counts[i])/float64(max(total, 1)), 2), thousands(c.counts[i])))
	}
	if more := len(s.Weights) - maxSplit; more > 0 {
		parts = append(parts, fmt.Sprintf("and %s %s (%s)", plural(int64(more), "more variant"), percent(float64(rest)/float64(max(total, 1)), 2), thousands(rest)))
	}
	if n := c.counts[len(s.Weights)]; n > 0 {
		parts = append(parts, fmt.Sprintf("others %s (%s)", percent(float64(n)/float64(total), 2), thousands(n)))
	}
	return strings.Join(parts, ", ")
}

func (j *judgement) judgePayload(s *state, res *Result) {
	who := group(s, j.noun())
	if len(s.Variants) > 0 {
		who = j.noun() + " with " + strings.Join(s.Variants, " or ")
		who = group(s, who)
	}
	res.Expected = fmt.Sprintf("the payloads of %s conform to the schema, for all %s", s.Flag, who)
	if s.users == 0 {
		if s.absent > 0 {
			res.vacuous("no user has a payload")
		} else {
			res.vacuous("no user has a variant")
		}
		return
	}
	res.Violations = s.hits
	res.Found = fmt.Sprintf("%s of %s with a payload that does not conform", thousands(s.hits), j.count(s.users))
	if s.hits == 0 {
		res.Found = fmt.Sprintf("all %s conform", thousands(s.users))
	}
	if s.absent > 0 {
		res.Found += fmt.Sprintf("; %s without a payload", j.count(s.absent))
	}
	res.fail(s.hits > 0, s.with)
}

func (j *judgement) judgeFailed(s *state, res *Result) {
	res.Users, res.Expected = j.users.Read, limits(s.Rule)+" of the "+j.noun()+" failed"
	if j.users.Read == 0 {
		res.vacuous("there are no " + j.noun())
		return
	}
	value := float64(j.users.Failed)
	share := value / float64(j.users.Read)
	if s.Shares {
		value = share
	}
	res.Found = fmt.Sprintf("%s of %s (%s)", thousands(j.users.Failed), j.count(j.users.Read), percent(share, 2))
	if outside(s.Rule, value) == 0 {
		return
	}
	res.Violations = j.users.Failed
	res.fail(true, nil)
	for _, snap := range j.all {
		if snap.once.Failed == 0 || j.o.FailedRows == nil {
			continue
		}
		if snap.once.Failed != snap.m.Users.Failed {
			res.Details = append(res.Details, "some of the failed users of "+snap.path+" were asked about again, and nothing says which")
			continue
		}
		var rows []int64
		err := fs.ErrNotExist
		if snap.errors != "" {
			rows, err = j.o.FailedRows(snap.errors, MaxExamples-len(res.Examples))
		}
		if err != nil {
			res.Details = append(res.Details, "which ones is not known: the error records of "+snap.path+" cannot be read")
			continue
		}
		for _, row := range rows[:min(len(rows), MaxExamples-len(res.Examples))] {
			res.Examples = append(res.Examples, Row{Snapshot: snap.path, Row: row})
		}
	}
}

func (j *judgement) judgeFlags(s *state, res *Result) {
	res.Users, res.Expected = j.users.Answered, "somebody got a variant of each of "+strings.Join(s.Flags, ", ")
	if j.users.Answered == 0 {
		res.vacuous("nobody was answered")
		return
	}
	var names []string
	for _, f := range j.flags {
		if f.users > 0 {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	var absent []string
	for i, slot := range s.slots {
		if j.flags[slot].users > 0 {
			continue
		}
		absent = append(absent, s.Flags[i])
		if hint := pipeline.Suggest(s.Flags[i], names); hint != "" {
			res.Details = append(res.Details, s.Flags[i]+": "+hint)
		}
	}
	res.Found = "somebody got each"
	if len(absent) > 0 {
		res.Found = "nobody got " + strings.Join(absent, ", ")
	}
	res.fail(len(absent) > 0, nil)
}

func (j *judgement) judgeYounger(s *state, res *Result) {
	oldest := j.all[0]
	for _, snap := range j.all {
		if snap.m.StartedAt.Before(oldest.m.StartedAt) {
			oldest = snap
		}
	}
	res.Users = j.users.Answered
	age := j.o.Now.Sub(oldest.m.StartedAt)
	res.Expected = "the run began less than " + duration(s.Younger) + " ago"
	res.Found = "it began " + duration(age) + " ago, at " + oldest.m.StartedAt.UTC().Format(time.RFC3339)
	if age < 0 {
		res.Found = "it began " + duration(-age) + " in the future, at " + oldest.m.StartedAt.UTC().Format(time.RFC3339)
	}
	if len(j.all) > 1 {
		res.Found = oldest.path + ": " + res.Found
	}
	res.fail(age >= s.Younger || age < -clockSkew, nil)
}

// duration is a time as a person says it: 3d4h, 3h20m, 40s.
func duration(d time.Duration) string {
	text := func(n int64, unit string, rest int64, restUnit string) string {
		s := strconv.FormatInt(n, 10) + unit
		if rest > 0 {
			s += strconv.FormatInt(rest, 10) + restUnit
		}
		return s
	}
	seconds := int64(d / time.Second)
	switch {
	case seconds < 60:
		return text(seconds, "s", 0, "")
	case seconds < 3600:
		return text(seconds/60, "m", seconds%60, "s")
	case seconds < 48*3600:
		return text(seconds/3600, "h", seconds%3600/60, "m")
	}
	return text(seconds/86400, "d", seconds%86400/3600, "h")
}

// count is "1,234 users", or rows where users are repeated.
func (j *judgement) count(n int64) string { return j.unit.Count(n) }

func (j *judgement) are(n int64) string {
	if n == 1 {
		return j.count(n) + " is"
	}
	return j.count(n) + " are"
}

// thousands is a count with separators.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	if n < 0 {
		return "-" + thousands(-n)
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// percent is a share as a percentage.
func percent(share float64, digits int) string {
	return strconv.FormatFloat(100*share, 'f', digits, 64) + " %"
}

// pText is the p-value of a test, and says whether it is corrected.
func pText(t *stats.Test) string {
	if t.Tests > 1 {
		return "corrected p = " + pValue(t.Corrected)
	}
	return "p = " + pValue(t.Corrected)
}

// plural is a count with its noun.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

// pValue is a p-value as a person reads it.
func pValue(p float64) string {
	if p < 0.001 {
		return strconv.FormatFloat(p, 'e', 0, 64)
	}
	return strconv.FormatFloat(p, 'f', 3, 64)
}
