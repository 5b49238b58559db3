package check

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// clockSkew is how far in the future a run may have begun by the clock of another machine.
const clockSkew = 5 * time.Minute

// answered is how many different users were answered.
func (p *pass) answered() int64 { return p.users.Answered - p.ids.Rows() + p.ids.Users() }

// judgeAll makes results of the counts.
func (p *pass) judgeAll() *Report {
	r := &Report{Format: Format, Rules: p.file.Path, Snapshots: []string{}}
	for _, run := range p.runs {
		r.Snapshots = append(r.Snapshots, run.Path)
		p.users.Read += run.Once.Read
		p.users.Answered += run.Once.Answered
		p.users.Failed += run.Once.Failed
	}
	for _, c := range p.cohorts {
		r.Cohorts = append(r.Cohorts, Cohort{c.Name, c.Size(), c.Path, c.SHA256})
	}
	r.Unit, r.Users, r.Rows, r.Estimated, r.Differing = p.ids.Unit(), p.answered(), p.users.Answered, !p.ids.Exact(),
		p.ids.Differing(0)
	for _, c := range p.checks {
		p.judge(c)
		switch c.Status {
		case Held:
			r.Held++
		case NotHeld:
			r.Failed++
		default:
			r.Errors++
		}
		r.Checks = append(r.Checks, c.Result)
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

// emptyReasons say why a check that is about nobody is undecided.
var emptyReasons = map[Kind]NoteCode{Share: NoUsers, Count: NoUsers, Exposed: NoUsers, Failed: NoUsers,
	Users: NobodyAnswered,
	Flags: NobodyAnswered, Holdout: NobodyHeldOut, Seen: NoMembers, Ratio: NoVariant, Payload: NoVariant}

func (p *pass) judge(c *checkCounts) {
	// If the answered users who are not in the files matter, too, their columns have to be known.
	all := c.Kind == Share && c.Of == ofUsers || c.Kind == Count && c.variants.none || c.Kind == Exposed && c.Everybody ||
		c.Kind == Ratio && c.nobody >= 0
	if all && p.missing > 0 && (c.isOfSome() || len(c.by) > 0) {
		c.leaveUndecided(ColumnsUnknown, "")
		if c.Reason.N = p.missing; c.Where == "" && len(c.by) == 0 {
			c.Reason.Code = IDsUnknown
		}
		return
	}
	missing := p.missing
	if c.isOfSome() {
		missing = 0
	}
	p.completeCounts(c, missing)
	if reason := emptyReasons[c.Kind]; reason != "" && c.Users == 0 {
		if c.Absent > 0 {
			reason = NoPayload
		}
		c.leaveUndecided(reason, "")
		return
	}
	switch c.Kind {
	case Share, Count, Users, Failed:
		p.judgeLimits(c)
	case Seen:
		p.judgeSeen(c)
	case Exposed, Holdout, Payload:
		if c.Everybody && c.Hits < c.Users {
			c.fail(c.Users-c.Hits, c.without)
			if missing > 0 {
				c.Notes = append(c.Notes, Note{Code: NotInFile, N: missing})
			}
		} else if !c.Everybody && c.Hits > 0 {
			c.fail(c.Hits, c.with)
		}
	case Exclusive:
		p.judgeExclusive(c)
	case Ratio:
		p.judgeRatio(c)
	case Flags:
		p.judgeFlags(c)
	case Younger:
		p.judgeYounger(c)
	case Unchanged:
		p.judgeUnchanged(c)
	}
}

// completeCounts adds the users who are not in the files, and what is counted in the manifests alone.
func (p *pass) completeCounts(c *checkCounts, missing int64) {
	switch c.Kind {
	case Share, Count, Exposed, Exclusive:
		if c.Of == ofUsers {
			c.Users += missing
		}
		if c.variants.none {
			c.Hits += missing
		}
	case Ratio:
		if c.nobody >= 0 {
			c.all.counts[c.nobody] += missing
			c.Users += missing
		}
	case Seen:
		c.Users = int64(p.cohorts[c.in[0]].Size())
	case Failed:
		c.Users, c.Hits = p.users.Read, p.users.Failed
	case Users:
		c.Users = p.answered()
	case Flags, Younger, Unchanged:
		c.Users = p.users.Answered
	}
	if c.Kind == Exclusive || c.Kind == Holdout {
		c.Differing = p.ids.Differing(1)
	}
}

func (p *pass) judgeLimits(c *checkCounts) {
	value := float64(c.Hits)
	switch {
	case c.Kind == Users:
		value = float64(c.Users)
	case c.Shares:
		value /= float64(c.Users)
	}
	tooMany, tooFew := c.Max != nil && value > *c.Max, c.Min != nil && value < *c.Min
	switch {
	case c.Kind == Users && (tooMany || tooFew):
		c.fail(0, nil)
	case tooMany:
		c.fail(c.Hits, c.with)
	case tooFew:
		c.fail(c.Users-c.Hits, c.without)
	}
	if c.Kind == Failed && tooMany {
		p.listFailed(c)
	}
}

// judgeSeen is judgeLimits, unless the answered users who are not in the files would decide.
func (p *pass) judgeSeen(c *checkCounts) {
	p.judgeLimits(c)
	held := c.Status
	most := *c
	most.Status, most.Hits = Held, min(c.Hits+p.missing, c.Users)
	if p.judgeLimits(&most); most.Status != held {
		c.leaveUndecided(IDsUnknown, "")
		c.Violations, c.Reason.N = 0, p.missing
	}
}

func (p *pass) judgeExclusive(c *checkCounts) {
	var present []string
	for i, n := range c.inFlags {
		c.Notes = append(c.Notes, Note{Code: FlagUsers, Subject: c.Flags[i], N: n})
		if n > 0 {
			present = append(present, c.Flags[i])
		}
	}
	if len(present) < 2 {
		c.Notes = nil
		c.leaveUndecided(NoOtherFlag, strings.Join(present, ""))
	} else if c.Hits > 0 {
		c.fail(c.Hits, c.with)
	}
}

// The families of tests of a ratio: each is corrected by itself.
const (
	familyAll    = "all"
	familySlices = "slices"
)

func (p *pass) judgeRatio(c *checkCounts) {
	parts, full := p.cutSlices(c)
	if full != "" {
		c.leaveUndecided(TooManyValues, full)
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
	c.Split = &Split{All: *all, AllOff: all.Test.Tested() && all.Test.Corrected < c.Alert}
	if !all.Test.Tested() && all.countUnweighted() == 0 {
		c.leaveUndecided(NotTested, all.Test.None)
		return
	}
	var tests []*stats.Test
	for i := range parts[1:] {
		s := &parts[1+i]
		s.Test = stats.Ratio(s.Counts[:len(weights)], weights)
		if c.Split.AllOff {
			s.Test, _ = stats.Apart(s.Test, s.Counts[:len(weights)], all.Counts[:len(weights)])
		}
		tests = append(tests, &s.Test)
	}
	c.Split.Tested = stats.Correct(familySlices, tests)
	c.Split.Untested = len(tests) - c.Split.Tested
	for _, s := range parts[1:] {
		if s.Test.Tested() && s.Test.Corrected < c.Alert {
			c.Split.Off = append(c.Split.Off, s)
		}
	}
	slices.SortStableFunc(c.Split.Off, func(a, b Slice) int { return cmp.Compare(a.Test.P, b.Test.P) })
	switch {
	case c.Split.AllOff || all.countUnweighted() > 0:
		c.fail(all.countUnweighted(), all.examples(weights))
	case len(c.Split.Off) > 0:
		c.fail(c.Split.Off[0].countUnweighted(), c.Split.Off[0].examples(weights))
	case len(c.by) > 0 && c.Split.Tested == 0:
		c.leaveUndecided(NoSliceTested, "")
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
func (p *pass) cutSlices(c *checkCounts) (list []Slice, full string) {
	newSlice := func(column, value string, cell *cell) Slice {
		s := Slice{Column: column, Value: value, Counts: cell.counts, cell: cell}
		for _, key := range cell.unweighted {
			s.Unweighted = append(s.Unweighted, p.user.keys.Name(key))
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

// listFailed lists examples of failed users, whom the outputs do not have.
func (p *pass) listFailed(c *checkCounts) {
	for _, r := range p.runs {
		switch {
		case r.Once.Failed == 0:
			continue
		case r.Once.Failed != r.Manifest.Users.Failed:
			c.Notes = append(c.Notes, Note{Code: AskedAgain, Subject: r.Path})
			continue
		}
		err := r.EachFailed(nil, func(number int64, _ []byte, _ []pipeline.Value) bool {
			if len(c.Examples) < MaxExamples {
				c.Examples = append(c.Examples, Row{Snapshot: r.Path, Row: number})
			}
			return len(c.Examples) < MaxExamples
		})
		if err != nil {
			c.Notes = append(c.Notes, Note{Code: RecordsUnknown, Subject: r.Path})
		}
	}
}

func (p *pass) judgeFlags(c *checkCounts) {
	present := slices.DeleteFunc(slices.Sorted(maps.Keys(p.flags)),
		func(flag string) bool { return len(p.flags[flag]) == 0 })
	for _, flag := range c.Flags {
		if !slices.Contains(present, flag) {
			c.Notes = append(c.Notes, Note{Code: NobodyGot, Subject: flag, Hint: pipeline.Suggest(flag, present)})
			c.Status = NotHeld
		}
	}
}

func (p *pass) judgeYounger(c *checkCounts) {
	oldest := slices.MinFunc(p.runs, func(a, b *openRun) int { return a.Manifest.StartedAt.Compare(b.Manifest.StartedAt) })
	c.Run = &RunAge{Began: oldest.Manifest.StartedAt, Age: p.o.Now.Sub(oldest.Manifest.StartedAt)}
	if len(p.runs) > 1 {
		c.Run.Path = oldest.Path
	}
	if c.Run.Age >= c.Younger || c.Run.Age < -clockSkew {
		c.fail(0, nil)
	}
}

// judgeUnchanged looks whether flags changed while a run went on. One that changed decides; one run of which that is
// not known leaves it undecided.
func (p *pass) judgeUnchanged(c *checkCounts) {
	path := func(r *openRun) string {
		if len(p.runs) == 1 {
			return ""
		}
		return r.Path
	}
	for _, r := range p.runs {
		switch changes := r.Manifest.FlagChanges; {
		case changes == nil:
			c.leaveUndecided(ChangesUnknown, path(r))
			c.Reason.Hint = "the manifest does not say"
		case changes.State == snapshot.FlagsUnknown:
			c.leaveUndecided(ChangesUnknown, path(r))
			c.Reason.Hint = changes.Reason
		case changes.State == snapshot.FlagsChanged:
			for _, change := range changes.Changed {
				c.Notes = append(c.Notes, Note{Code: FlagChanged, Subject: change.String(), Hint: path(r)})
			}
		}
	}
	if len(c.Notes) > 0 {
		c.Status, c.Reason = NotHeld, Note{}
	}
}
