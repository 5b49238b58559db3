package check

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// clockSkew is how far in the future a run may have begun by the clock of another machine.
const clockSkew = 5 * time.Minute

// judge makes results of the counts.
type judge struct {
	*pass
	users snapshot.Users // of all snapshots; rows where users are repeated
}

// answered is how many different users were answered.
func (j *judge) answered() int64 { return j.users.Answered - j.ids.Rows() + j.ids.Users() }

func judgeAll(p *pass) *Report {
	j := &judge{pass: p}
	r := &Report{Format: Format, Rules: p.file.Path, Snapshots: []string{}}
	for _, run := range p.runs {
		r.Snapshots = append(r.Snapshots, run.Path)
		j.users.Read += run.Once.Read
		j.users.Answered += run.Once.Answered
		j.users.Failed += run.Once.Failed
	}
	r.Unit, r.Users, r.Rows, r.Estimated, r.Differing = p.ids.Unit(), j.answered(), j.users.Answered, !p.ids.Exact(), p.ids.Differing(0)
	for _, c := range p.checks {
		res := j.judge(c)
		switch res.Status {
		case Held:
			r.Held++
		case NotHeld:
			r.Failed++
		default:
			r.Errors++
		}
		r.Checks = append(r.Checks, *res)
	}
	r.OK = r.Held == len(r.Checks)
	return r
}

// fail makes the check not hold.
func (res *Result) fail(violations int64, examples []Row) {
	res.Status, res.Violations, res.Examples = NotHeld, violations, examples
}

// leaveUndecided makes the check an error.
func (res *Result) leaveUndecided(code NoteCode, subject string) {
	res.Status, res.Reason = Undecided, Note{Code: code, Subject: subject}
}

func (j *judge) judge(c *checkCounts) *Result {
	res := &Result{Check: c.Check, Status: Held, Users: c.users, Hits: c.hits, Absent: c.absent}
	// If the answered users who are not in the files matter, too, their columns have to be known.
	all := c.Kind == Share && c.Of == ofUsers || c.Kind == Count && c.variants.none || c.Kind == Exposed && c.Everybody ||
		c.Kind == Ratio && c.nobody >= 0
	if all && j.missing > 0 && (c.Where != "" || len(c.by) > 0) {
		res.leaveUndecided(ColumnsUnknown, "")
		res.Reason.N = j.missing
		return res
	}
	missing := j.missing
	if c.Where != "" {
		missing = 0
	}
	switch c.Kind {
	case Share, Count:
		j.judgeLimits(c, res, missing)
	case Exposed:
		j.judgeExposed(c, res, missing)
	case Exclusive:
		j.judgeExclusive(c, res, missing)
	case Holdout:
		j.judgeHoldout(c, res)
	case Ratio:
		j.judgeRatio(c, res, missing)
	case Payload:
		j.judgePayload(c, res)
	case Failed:
		j.judgeFailed(c, res)
	case Users:
		res.Users = j.answered()
		if j.users.Answered == 0 {
			res.leaveUndecided(NobodyAnswered, "")
		} else if compareLimits(c.Check, float64(res.Users)) != 0 {
			res.fail(0, nil)
		}
	case Flags:
		j.judgeFlags(c, res)
	case Younger:
		j.judgeYounger(c, res)
	}
	return res
}

// compareLimits is 1 above the largest value that holds, and -1 below the smallest one.
func compareLimits(c *Check, value float64) int {
	switch {
	case c.Max != nil && value > *c.Max:
		return 1
	case c.Min != nil && value < *c.Min:
		return -1
	}
	return 0
}

func (j *judge) judgeLimits(c *checkCounts, res *Result, missing int64) {
	if c.Of == ofUsers {
		res.Users += missing
		if c.variants.none {
			res.Hits += missing
		}
	}
	if res.Users == 0 {
		res.leaveUndecided(NoUsers, "")
		return
	}
	value := float64(res.Hits)
	if c.Shares {
		value /= float64(res.Users)
	}
	switch compareLimits(c.Check, value) {
	case 1:
		res.fail(res.Hits, c.with)
	case -1:
		res.fail(res.Users-res.Hits, c.without)
	}
}

func (j *judge) judgeExposed(c *checkCounts, res *Result, missing int64) {
	res.Users += missing
	switch {
	case res.Users == 0:
		res.leaveUndecided(NoUsers, "")
	case !c.Everybody && res.Hits > 0:
		res.fail(res.Hits, c.with)
	case c.Everybody && res.Hits < res.Users:
		res.fail(res.Users-res.Hits, c.without)
		if missing > 0 {
			res.Notes = append(res.Notes, Note{Code: NotInFile, N: missing})
		}
	}
}

func (j *judge) judgeExclusive(c *checkCounts, res *Result, missing int64) {
	var present []string
	for i, n := range c.inFlags {
		res.Notes = append(res.Notes, Note{Code: FlagUsers, Subject: c.Flags[i], N: n})
		if n > 0 {
			present = append(present, c.Flags[i])
		}
	}
	if len(present) < 2 {
		res.leaveUndecided(NoOtherFlag, "")
		if res.Notes = nil; len(present) == 1 {
			res.Reason.Subject = present[0]
		}
		return
	}
	res.Users += missing
	res.Differing = j.ids.Differing(1)
	if c.hits > 0 {
		res.fail(c.hits, c.with)
	}
}

func (j *judge) judgeHoldout(c *checkCounts, res *Result) {
	if c.users == 0 {
		res.leaveUndecided(NobodyHeldOut, "")
		return
	}
	res.Differing = j.ids.Differing(1)
	if c.hits > 0 {
		res.fail(c.hits, c.with)
	}
}

// The families of tests of a ratio: each is corrected by itself.
const (
	familyAll    = "all"
	familySlices = "slices"
)

func (j *judge) judgeRatio(c *checkCounts, res *Result, missing int64) {
	if c.nobody >= 0 {
		c.all.counts[c.nobody] += missing
		res.Users += missing
	}
	if res.Users == 0 {
		res.leaveUndecided(NoVariant, "")
		return
	}
	parts, full := j.cutSlices(c)
	if full != "" {
		res.leaveUndecided(TooManyValues, full)
		return
	}
	var weights []float64
	for _, w := range c.Weights {
		weights = append(weights, w.Weight)
	}
	// All users are tested alone: the result does not depend on how many slices there are.
	all := &parts[0]
	all.Test = stats.Ratio(all.Counts[:len(weights)], weights)
	stats.Correct(familyAll, []*stats.Test{&all.Test})
	res.Split = &Split{All: *all, AllOff: all.Test.Tested() && all.Test.Corrected < c.Alert}
	if !all.Test.Tested() && all.countUnweighted() == 0 {
		res.leaveUndecided(NotTested, all.Test.None)
		return
	}
	var tests []*stats.Test
	for i := range parts[1:] {
		s := &parts[1+i]
		s.Test = stats.Ratio(s.Counts[:len(weights)], weights)
		if res.Split.AllOff {
			s.Test, _ = stats.Apart(s.Test, s.Counts[:len(weights)], all.Counts[:len(weights)])
		}
		tests = append(tests, &s.Test)
	}
	res.Split.Tested = stats.Correct(familySlices, tests)
	res.Split.Untested = len(tests) - res.Split.Tested
	for _, s := range parts[1:] {
		if s.Test.Tested() && s.Test.Corrected < c.Alert {
			res.Split.Off = append(res.Split.Off, s)
		}
	}
	slices.SortStableFunc(res.Split.Off, func(a, b Slice) int { return cmp.Compare(a.Test.P, b.Test.P) })
	switch {
	case res.Split.AllOff || all.countUnweighted() > 0:
		res.fail(all.countUnweighted(), all.examples(weights))
	case len(res.Split.Off) > 0:
		res.fail(res.Split.Off[0].countUnweighted(), res.Split.Off[0].examples(weights))
	case len(c.by) > 0 && res.Split.Tested == 0:
		res.leaveUndecided(NoSliceTested, "")
	}
}

// countUnweighted is how many users have a variant without a weight.
func (s *Slice) countUnweighted() int64 { return s.Counts[len(s.Counts)-1] }

// examples are users who have the variant of which there are too many.
func (s *Slice) examples(weights []float64) []Row {
	if s.countUnweighted() > 0 {
		return s.cell.examples[len(weights)]
	}
	var sum float64
	for _, w := range weights {
		sum += w
	}
	worst, most := 0, 0.0
	for i, w := range weights {
		if over := float64(s.Counts[i])/float64(s.Test.N) - w/sum; over > most {
			worst, most = i, over
		}
	}
	return s.cell.examples[worst]
}

// cutSlices returns all users, and those with each value of a column; or a column that has too many values.
func (j *judge) cutSlices(c *checkCounts) (list []Slice, full string) {
	newSlice := func(column, value string, cell *cell) Slice {
		s := Slice{Column: column, Value: value, Counts: cell.counts, cell: cell}
		for _, key := range cell.unweighted {
			s.Unweighted = append(s.Unweighted, j.user.keys.Name(key))
		}
		return s
	}
	list = []Slice{newSlice("", "", c.all)}
	for _, by := range c.by {
		if by.full {
			return nil, by.column
		}
		for _, value := range slices.Sorted(maps.Keys(by.cells)) {
			list = append(list, newSlice(by.column, value, by.cells[value]))
		}
		if by.none != nil {
			list = append(list, newSlice(by.column, "", by.none))
			list[len(list)-1].Null = true
		}
	}
	return list, ""
}

func (j *judge) judgePayload(c *checkCounts, res *Result) {
	switch {
	case c.users == 0 && c.absent > 0:
		res.leaveUndecided(NoPayload, "")
	case c.users == 0:
		res.leaveUndecided(NoVariant, "")
	case c.hits > 0:
		res.fail(c.hits, c.with)
	}
}

func (j *judge) judgeFailed(c *checkCounts, res *Result) {
	res.Users, res.Hits = j.users.Read, j.users.Failed
	if res.Users == 0 {
		res.leaveUndecided(NoUsers, "")
		return
	}
	value := float64(res.Hits)
	if c.Shares {
		value /= float64(res.Users)
	}
	if compareLimits(c.Check, value) == 0 {
		return
	}
	res.fail(res.Hits, nil)
	for _, r := range j.runs {
		switch {
		case r.Once.Failed == 0:
			continue
		case r.Once.Failed != r.Manifest.Users.Failed:
			res.Notes = append(res.Notes, Note{Code: AskedAgain, Subject: r.Path})
			continue
		}
		err := r.EachFailed(nil, func(number int64, _ []pipeline.Value) bool {
			if len(res.Examples) < MaxExamples {
				res.Examples = append(res.Examples, Row{Snapshot: r.Path, Row: number})
			}
			return len(res.Examples) < MaxExamples
		})
		if err != nil {
			res.Notes = append(res.Notes, Note{Code: RecordsUnknown, Subject: r.Path})
		}
	}
}

func (j *judge) judgeFlags(c *checkCounts, res *Result) {
	if res.Users = j.users.Answered; res.Users == 0 {
		res.leaveUndecided(NobodyAnswered, "")
		return
	}
	var present []string
	for flag, variants := range j.flags {
		if len(variants) > 0 {
			present = append(present, flag)
		}
	}
	slices.Sort(present)
	for _, flag := range c.Flags {
		if !slices.Contains(present, flag) {
			res.Notes = append(res.Notes, Note{Code: NobodyGot, Subject: flag, Hint: pipeline.Suggest(flag, present)})
			res.Status = NotHeld
		}
	}
}

func (j *judge) judgeYounger(c *checkCounts, res *Result) {
	oldest := slices.MinFunc(j.runs, func(a, b *openRun) int { return a.Manifest.StartedAt.Compare(b.Manifest.StartedAt) })
	res.Users = j.users.Answered
	res.Run = &RunAge{Began: oldest.Manifest.StartedAt, Age: j.o.Now.Sub(oldest.Manifest.StartedAt)}
	if len(j.runs) > 1 {
		res.Run.Path = oldest.Path
	}
	if res.Run.Age >= c.Younger || res.Run.Age < -clockSkew {
		res.fail(0, nil)
	}
}
