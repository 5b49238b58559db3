package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	maxSliceFindings = 5    // of one flag
	maxOverlaps      = 5000 // pairs that are listed
	manyFailed       = 0.01 // the share of failed users from which on they are a warning,
	tooManyFailed    = 0.1  // and an alert
	longSpan         = 24 * time.Hour
	manyRepeated     = 0.01 // likewise of repeated users
	maxChanged       = 10   // flags that are named as changed
	maxCrossChecked  = 20   // flags of which the API has other answers
)

// analysis makes a report of what was counted.
type analysis struct {
	c      *collector
	o      *Options
	all    []*source
	r      *Report
	groups [][]group // by dimension

	everybody bool // all answered users of all snapshots are in the files
	answered  int64
	unsure    map[string]bool      // flags that not every run knows of
	shares    map[*stats.Test]bool // those of slices that would be off, but that all users are alike

	work []*flagWork // by flag of the report

	tests map[string][]*stats.Test // by family
	after []func()                 // what is said of a test is only known when all of its family are corrected
}

// flagWork is what the report of a flag is made of.
type flagWork struct {
	out   *Flag
	f     *flagCounts
	at    int   // of f among the collector's flags; -1: it is not there, and nobody got it
	order []int // of f.variants, by key
	all   totals
}

func analyze(c *collector, all []*source, o *Options) *Report {
	a := &analysis{c: c, o: o, all: all, everybody: true, unsure: map[string]bool{}, shares: map[*stats.Test]bool{},
		tests: map[string][]*stats.Test{}, r: &Report{
			Format: Format, Findings: []Finding{}, Families: []Family{}, Snapshots: []Snapshot{}, Columns: []Column{},
			Cohorts: []Cohort{},
			Flags:   []Flag{}, Overlaps: []Overlap{}, Notes: []string{},
		}}
	a.r.Unit = c.ids.Unit()
	a.addSnapshots()
	a.addColumns()
	a.addFlags()
	a.addCohorts()
	a.addOverlaps()
	a.correctFamilies(FamilySplit, FamilyAllocation, FamilyOverlaps, FamilyFailing)
	for _, w := range a.work { // what their tests are depends on what was found among all users
		a.addSlices(w)
	}
	a.correctFamilies(FamilySlices)
	a.finish()
	return a.r
}

func (a *analysis) addFinding(f Finding) { a.r.Findings = append(a.r.Findings, f) }

func (a *analysis) addNote(format string, args ...any) {
	a.r.Notes = append(a.r.Notes, fmt.Sprintf(format, args...))
}

// addTest has the test corrected with all others of its family, and calls say when that is done.
func (a *analysis) addTest(family string, t *stats.Test, say func()) {
	a.tests[family] = append(a.tests[family], t)
	a.after = append(a.after, say)
}

// correctFamilies corrects families of tests, each by itself, and calls what waits for the results.
func (a *analysis) correctFamilies(families ...string) {
	for _, family := range families {
		if n := stats.Correct(family, a.tests[family]); n > 0 {
			a.r.Families = append(a.r.Families, Family{family, n})
			a.r.Tests += n
		}
	}
	for _, say := range a.after {
		say()
	}
	a.after = nil
}

// addChanges adds that flags changed while the run went on: then its users do not all have answers of the same flags.
func (a *analysis) addChanges(s *source) {
	if s.FlagChanges == nil || s.FlagChanges.State != snapshot.FlagsChanged {
		return
	}
	finding := Finding{Severity: Alert, Kind: KindChanged, Snapshot: s.Path,
		Says: Statement{Code: FlagsChanged, Text: s.FlagChanges.Text(maxChanged)}}
	if s.Local { // all of one version, which is no longer the current one
		finding.Severity, finding.Says.Code = Warn, FlagsOld
	}
	a.addFinding(finding)
}

// addCrossCheck adds the flags of which the API has other answers. How many users have the same ones for all flags is
// said at the top: see [Report.CrossChecks].
func (a *analysis) addCrossCheck(s *source) {
	if s.CrossCheck == nil {
		return
	}
	for i, f := range s.CrossCheck.Differing() {
		if i == maxCrossChecked {
			break // the manifest has all
		}
		a.addFinding(Finding{Severity: Warn, Kind: KindCrossCheck, Flag: f.Flag,
			Says: Statement{Text: "cross-check: " + f.String()}})
	}
}

// addSnapshots adds the snapshots, and finds whether they can be trusted.
func (a *analysis) addSnapshots() {
	r := a.r
	r.Users.FailedByKind = map[pipeline.Kind]int64{}
	for _, s := range a.all {
		r.Snapshots = append(r.Snapshots, s.Snapshot)
		a.everybody = a.everybody && s.Everybody
		in := s.run.Once
		if s.run.Manifest == nil {
			in.Read, in.Answered = s.InFile, s.InFile
		}
		r.Users.Read += in.Read
		r.Users.Answered += in.Answered
		r.Users.Failed += in.Failed
		r.Users.InFile += s.InFile
		for kind, n := range in.FailedByKind {
			r.Users.FailedByKind[kind] += n
		}
		for _, p := range s.Problems {
			a.addFinding(Finding{Severity: Alert, Kind: KindSnapshot, Snapshot: s.Path, Says: Statement{Text: p}})
		}
		a.addChanges(s)
		a.addCrossCheck(s)
		for _, w := range s.Warnings {
			a.addFinding(Finding{Severity: Note, Kind: KindWarning, Says: Statement{Code: Warned, Text: w}})
		}
		a.compareConfigs(s)
		if s.Resumes > 0 {
			a.addFinding(Finding{Severity: Note, Kind: KindSnapshot, Snapshot: s.Path,
				Says: Statement{Code: Resumed, N: int64(s.Resumes)}})
		}
		unchanged := s.FlagChanges != nil && s.FlagChanges.State == snapshot.FlagsUnchanged
		if span := s.Last.Sub(s.First); span > longSpan && !unchanged {
			a.addFinding(Finding{Severity: Note, Kind: KindSnapshot, Snapshot: s.Path,
				Says: Statement{Code: LongSpan, N: int64(span.Hours())}})
		}
	}
	if r.Users.Read == 0 {
		a.addFinding(Finding{Severity: Warn, Kind: KindSnapshot, Says: Statement{Code: NobodyAsked}})
	}
	a.answered = max(r.Users.Answered, r.Users.InFile)
	a.findRepeated()
	if failed := r.Users.Failed; failed > 0 {
		share := float64(failed) / float64(max(r.Users.Read, 1))
		severity := severityAbove(share, manyFailed)
		if share >= tooManyFailed {
			severity = Alert
		}
		a.addFinding(Finding{Severity: severity, Kind: KindFailed,
			Says: Statement{Code: Failed, Unit: r.Unit, N: failed, Share: share, Users: &r.Users}})
	}
	if slices.ContainsFunc(a.all, func(s *source) bool { return !s.Everybody && !s.full }) {
		a.addNote("Users who got no variant of any flag are not in the file: slices are of the %s who got one. "+
			"`snapshot --flags` and `--layout wide` write all.", r.Unit.Count(r.Users.InFile))
	}
	a.findDifferentFlags()
}

// findRepeated finds whether users have several rows, and different answers in them.
func (a *analysis) findRepeated() {
	u, ids := &a.r.Users, &a.c.ids
	u.Distinct, u.Repeated, u.Differing, u.Estimated = ids.Users(), ids.Repeated(), ids.Differing(0), !ids.Exact()
	if u.Repeated > 0 {
		a.addFinding(Finding{Severity: severityAbove(u.Repeated, manyRepeated), Kind: KindRepeated,
			Says: Statement{Code: Repeated, Users: u}})
	}
	if u.Differing > 0 {
		severity := severityAbove(float64(u.Differing), manyRepeated*float64(u.Distinct))
		a.addFinding(Finding{Severity: severity, Kind: KindDiffering, Says: Statement{Code: Differing, Users: u}})
	}
}

// severityAbove is a note, and from the limit on a warning.
func severityAbove(share, limit float64) Severity {
	if share >= limit {
		return Warn
	}
	return Note
}

// compareConfigs finds whether the expectations are from the configurations that a run evaluated.
func (a *analysis) compareConfigs(s *source) {
	if s.run.Manifest == nil || s.run.Manifest.FlagConfigs == nil {
		return
	}
	evaluated, given := s.run.Manifest.FlagConfigs, a.o.Configs
	switch {
	case given == nil:
		a.addNote("%s evaluated the flag configurations in %s: --flag-configs takes from there how users should be split.",
			s.Path, evaluated.Path)
	case given.SHA256 != evaluated.SHA256:
		a.addFinding(Finding{Severity: Note, Kind: KindSnapshot, Snapshot: s.Path,
			Says: Statement{Code: ConfigsOther, Name: given.Path}})
	}
}

// findDifferentFlags finds the flags that some runs evaluated and others did not.
func (a *analysis) findDifferentFlags() {
	if len(a.all) < 2 {
		return
	}
	runs := map[string]int{}
	for _, s := range a.all {
		if s.run.Manifest == nil {
			continue
		}
		for _, f := range s.run.Manifest.Flags {
			runs[f.Flag]++
		}
	}
	var names []string
	for flag, n := range runs {
		if n < len(a.all) {
			a.unsure[flag] = true
			names = append(names, flag)
		}
	}
	if slices.Sort(names); len(names) > 0 {
		a.addNote("Not all of the runs know these flags, and the other runs' users count as without a variant: %s.",
			strings.Join(names, ", "))
	}
}

// addColumns makes the slices, and tests whether users of some fail more.
func (a *analysis) addColumns() {
	for i, d := range a.c.dimensions[:len(a.o.By)] {
		groups := d.makeGroups()
		a.groups = append(a.groups, groups)
		col := Column{Name: d.name, Slices: []Slice{}, Folded: d.folded}
		for k := range groups {
			g := &groups[k]
			g.users = a.countersOf(i, g.places)
			col.Slices = append(col.Slices, Slice{Label: g.label, Kind: g.kind, Users: g.users.users, Failed: g.users.failed})
		}
		a.r.Columns = append(a.r.Columns, col)
	}
	for i := range a.r.Columns {
		a.testFailing(&a.r.Columns[i])
	}
}

// countersOf are the users in these places of a dimension.
func (a *analysis) countersOf(dimension int, places []int32) *counters {
	if len(places) == 1 {
		return &a.c.dimensions[dimension].places[places[0]].counters
	}
	c := &counters{}
	for _, p := range places {
		c.merge(&a.c.dimensions[dimension].places[p].counters)
	}
	return c
}

func (a *analysis) testFailing(col *Column) {
	none := func(why string) { col.FailingNone, col.FailingResult = why, Statement{Code: Untested, Text: why} }
	if a.r.Users.Failed == 0 {
		none("no user failed")
		return
	}
	for _, s := range a.all {
		if s.failing != "" {
			none(s.failing)
		}
	}
	if col.FailingNone == "" && !a.everybody {
		none("users who got no variant are not in the file, so it is not known how many did not fail")
	}
	if col.FailingNone != "" {
		return
	}
	// Of the failed users, each slice should have its share of all users. (Drawing without putting back would vary less:
	// this errs on the side of no alarm.) Slices too small to be tested alone are tested together.
	var total float64
	order := make([]int, len(col.Slices))
	for i, s := range col.Slices {
		order[i] = i
		total += float64(s.Users + s.Failed)
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Compare(col.Slices[i].Users+col.Slices[i].Failed, col.Slices[j].Users+col.Slices[j].Failed)
	})
	var failed []int64
	var all []float64
	var of []*Slice // nil: several
	for k, i := range order {
		s := &col.Slices[i]
		if k == 0 || all[len(all)-1]*float64(a.r.Users.Failed)/total >= stats.MinExpected {
			failed, all, of = append(failed, 0), append(all, 0), append(of, s)
		} else {
			of[len(of)-1] = nil
		}
		failed[len(failed)-1] += s.Failed
		all[len(all)-1] += float64(s.Users + s.Failed)
	}
	if len(of) < 2 {
		none(text.CountIs(a.r.Users.Failed, a.r.Unit.Noun(1), "is", "are") + " too few to tell")
		if len(col.Slices) < 2 {
			none("there is only one slice")
		}
		return
	}
	t := stats.Ratio(failed, all)
	col.Failing = &t
	a.addTest(FamilyFailing, &t, func() {
		says := Statement{Code: FailingAlike, Unit: a.r.Unit, Test: &t, Text: t.None}
		if !t.Tested() {
			says.Code = Untested
		}
		if col.FailingResult = says; !found(&t) {
			return
		}
		label := "(several small slices)"
		if s := of[t.Worst]; s != nil {
			label = s.Label
		}
		says.Name, says.Other, says.Share, says.Expected = col.Name, label, float64(failed[t.Worst])/all[t.Worst],
			float64(t.N)/total
		says.Code = FailingMore
		col.FailingResult = says
		says.Code = FailingShare
		a.addFinding(Finding{Severity: Severity(t.Verdict), Kind: KindFailed, Column: col.Name, Slice: label, Says: says})
	})
}

func (a *analysis) addFlags() {
	keys := map[string]int{}
	for i, f := range a.c.flags {
		keys[f.key] = i
	}
	for _, s := range a.all { // those that nobody got are not in every layout
		if s.run.Manifest == nil {
			continue
		}
		for _, flag := range s.run.Manifest.NobodyGot {
			if _, ok := keys[flag]; !ok {
				keys[flag] = -1
			}
		}
	}
	for key := range keys {
		a.r.Flags = append(a.r.Flags, Flag{Key: key})
	}
	slices.SortFunc(a.r.Flags, func(x, y Flag) int { return strings.Compare(x.Key, y.Key) })
	for i := range a.r.Flags {
		out := &a.r.Flags[i]
		w := &flagWork{out: out, f: &flagCounts{}, at: keys[out.Key]}
		if w.at >= 0 {
			w.f = a.c.flags[w.at]
		}
		a.addFlag(w)
		if out.Assigned == 0 && out.Users > 0 {
			a.addFinding(Finding{Severity: Warn, Kind: KindNobody, Flag: out.Key, Says: Statement{Code: NobodyGot}})
		}
	}
}

// addFlag adds the report of one flag.
func (a *analysis) addFlag(w *flagWork) {
	out, f := w.out, w.f
	out.Expected, out.Slices = a.expectationOf(out.Key), []FlagSlice{}
	a.work = append(a.work, w)
	for _, e := range out.Expected.Variants {
		if !slices.ContainsFunc(f.variants, func(v variantOf) bool { return v.name == e.Variant }) {
			f.addVariant(a.c, e.Variant) // nobody got it
		}
	}
	for i := range f.variants {
		w.order = append(w.order, i)
	}
	slices.SortFunc(w.order, func(i, j int) int { return strings.Compare(f.variants[i].name, f.variants[j].name) })

	w.all = w.totalsOf(&a.c.all)
	w.all.users = a.answered
	a.fillCounts(&out.Counts, w, &w.all)
	if len(out.Expected.Variants) > 0 {
		a.findUnexpected(w)
	}
	if len(out.Expected.Variants) > 1 && !out.Expected.Clustered {
		test := stats.Ratio(out.observedAndExpected(&w.all, w.order))
		out.Test, out.Against = &test, AgainstExpected
		a.addTest(FamilySplit, out.Test, func() {
			out.saySplit(out)
			if found(out.Test) {
				a.addFinding(Finding{Severity: Severity(out.Test.Verdict), Kind: KindSplit, Flag: out.Key, Says: out.Result})
			}
		})
	} else if out.Expected.None.Reason != "" {
		out.Result = Statement{Code: SplitNone, NoSplit: &out.Expected.None}
	} else if len(w.order) > 1 {
		out.Result = Statement{Code: SplitUnknown}
	}
	a.testAllocation(&out.Counts, w, &w.all, nil)
}

// addSlices adds the slices of a flag.
func (a *analysis) addSlices(w *flagWork) {
	out := w.out
	var parts []totals
	for d := range a.groups {
		for _, g := range a.groups[d] {
			part := w.totalsOf(g.users)
			if part.users == 0 {
				continue // all of them failed
			}
			parts = append(parts, part)
			out.Slices = append(out.Slices, FlagSlice{Column: a.c.dimensions[d].name, Label: g.label, Kind: g.kind})
		}
	}
	for i := range out.Slices {
		s, part := &out.Slices[i], &parts[i]
		a.fillCounts(&s.Counts, w, part)
		switch {
		case out.Expected.Clustered:
		case len(out.Expected.Variants) > 1:
			observed, weights := s.observedAndExpected(part, w.order)
			all, _ := out.observedAndExpected(&w.all, w.order)
			test := stats.Ratio(observed, weights)
			s.Test, s.Against = a.chooseSliceTest(test, out.Test, observed, all)
		case len(w.order) > 1 && len(out.Expected.Variants) == 0:
			t := stats.Homogeneity(part.leftToChance(nil), w.all.leftToChance(part))
			if t.Tested() { // it knows the variants by their first appearance
				t.Worst = slices.Index(w.order, t.Worst)
			}
			s.Test, s.Against = &t, AgainstOthers
		}
		if s.Test != nil {
			a.addTest(FamilySlices, s.Test, func() {})
		}
		a.testAllocation(&s.Counts, w, part, s)
	}
	a.after = append(a.after, func() { a.saySlices(out) })
}

// chooseSliceTest returns what a slice is tested by, where something is expected: against that, and where all users
// are not as expected as [stats.Apart] says.
func (a *analysis) chooseSliceTest(expected stats.Test, overall *stats.Test, observed, all []int64) (t *stats.Test,
	against string) {
	if !found(overall) {
		return &expected, AgainstExpected
	}
	test, others := stats.Apart(expected, observed, all)
	if others {
		a.shares[&test] = expected.P < stats.WarnBelow
		return &test, AgainstOthers
	}
	return &test, AgainstExpected
}

// totals are counters of a flag: of all users, or of one slice.
type totals struct {
	*counters
	users int64
	cells
}

// totalsOf are the counters of the flag among users.
func (w *flagWork) totalsOf(c *counters) totals {
	t := totals{counters: c, users: c.users}
	if w.at >= 0 {
		t.cells = *c.flag(int32(w.at))
	}
	n := len(w.f.variants)
	t.counts, t.left = growTo(t.counts, n)[:n], growTo(t.left, n)[:n]
	return t
}

// leftToChance are the users whose variant is left to chance, without those of another.
func (t *totals) leftToChance(without *totals) []int64 {
	out := make([]int64, len(t.counts))
	for i := range out {
		out[i] = t.counts[i] - t.left[i]
		if without != nil {
			out[i] -= without.counts[i] - without.left[i]
		}
	}
	return out
}

// fillCounts fills in who got what.
func (a *analysis) fillCounts(out *Counts, w *flagWork, t *totals) {
	expected := map[string]*engine.Weight{}
	for i := range w.out.Expected.Variants {
		expected[w.out.Expected.Variants[i].Variant] = &w.out.Expected.Variants[i]
	}
	out.Users, out.Variants = t.users, []Variant{}
	for v := range t.counts {
		out.Assigned += t.counts[v]
		out.LeftOut += t.left[v]
	}
	out.Users = max(out.Users, out.Assigned)
	out.NotAssigned = out.Users - out.Assigned
	out.Reach = newShare(out.Assigned, out.Users)
	for _, i := range w.order {
		v := Variant{Key: w.f.variants[i].name, Treatment: w.f.variants[i].treatment == 1, Users: t.counts[i]}
		if out.Users > 0 {
			v.OfUsers = float64(v.Users) / float64(out.Users)
		}
		v.Split = newShare(v.Users, out.Assigned)
		if e := expected[v.Key]; e != nil {
			share, n := e.Share, e.Share*float64(out.Assigned-out.LeftOut)+float64(t.left[i])
			v.Expected, v.ExpectedUsers = &share, &n
		}
		out.Variants = append(out.Variants, v)
	}
}

func newShare(n, of int64) Share {
	s := Share{}
	s.Low, s.High = stats.Wilson(n, of)
	if of > 0 {
		s.Share = float64(n) / float64(of)
	}
	return s
}

// expectationOf is what is known of how the flag should be split.
func (a *analysis) expectationOf(flag string) Expectation {
	e := Expectation{}
	if known := a.c.expected[flag]; known != nil {
		e = *known
	}
	if e.Variants == nil {
		e.Variants = []engine.Weight{}
	}
	return e
}

// observedAndExpected are the users left to chance by variant, and the expected shares. Variants that should not be
// there are left out: they are a finding of their own.
func (c *Counts) observedAndExpected(t *totals, order []int) (observed []int64, weights []float64) {
	observed, weights = make([]int64, len(order)), make([]float64, len(order))
	chance := t.leftToChance(nil)
	for k, i := range order {
		if c.Variants[k].Expected == nil || *c.Variants[k].Expected == 0 {
			continue
		}
		weights[k], observed[k] = *c.Variants[k].Expected, chance[i]
	}
	return observed, weights
}

// findUnexpected finds variants that should not be there.
func (a *analysis) findUnexpected(w *flagWork) {
	out, chance := w.out, w.all.leftToChance(nil)
	for k, i := range w.order {
		if chance[i] <= 0 || out.Variants[k].Expected != nil && *out.Variants[k].Expected > 0 {
			continue
		}
		a.addFinding(Finding{Severity: Alert, Kind: KindUnexpected, Flag: out.Key,
			Says: Statement{Code: Unexpected, Unit: a.r.Unit, N: chance[i], Name: out.Variants[k].Key,
				Other: out.Expected.Source}})
	}
}

// saySplit says what the test of a flag found, or of one slice of it.
func (c *Counts) saySplit(flag *Flag) {
	t := c.Test
	if t == nil {
		return
	}
	c.Result = Statement{Code: SplitHolds, Against: c.Against, Test: t, Text: t.None}
	switch {
	case !t.Tested():
		c.Result.Code = Untested
		return
	case t.Verdict == stats.OK:
		return
	case c.Against == AgainstOthers && len(flag.Expected.Variants) > 0:
		c.Result.Code = SplitOffHere
	default:
		c.Result.Code = SplitOff
	}
	v := &c.Variants[t.Worst]
	c.Result.Name = v.Key
	if c.Against == AgainstExpected {
		c.Result.Share, c.Result.Expected = *v.Expected+t.Deviation, *v.Expected
	} else {
		c.Result.Share, c.Result.Expected = v.Split.Share, v.Split.Share-t.Deviation
	}
}

// saySlices says what was found in the slices of a flag, puts them in order, and adds findings for those that are off.
func (a *analysis) saySlices(flag *Flag) {
	for i := range flag.Slices {
		s := &flag.Slices[i]
		s.saySplit(flag)
		known := len(flag.Expected.Variants) > 0
		s.Verdict = sliceVerdicts[min(slices.Index(sliceVerdicts, a.verdictOf(s.Test, s.Against == AgainstOthers, known)),
			slices.Index(sliceVerdicts, a.verdictOf(s.Allocation, s.AllocationAgainst == AgainstOthers, true)))]
	}
	slices.SortStableFunc(flag.Slices, func(x, y FlagSlice) int { return cmp.Compare(foundP(x.Test), foundP(y.Test)) })
	more := 0
	worst := Note
	for i := range flag.Slices {
		s := &flag.Slices[i]
		if !found(s.Test) {
			break
		}
		severity := Severity(s.Test.Verdict)
		says := s.Result
		if s.Verdict == SliceDiffers { // the split may be meant to differ
			severity = milder(severity)
			says.And = &Statement{Code: Targeting}
			if flag.Expected.None.Reason != "" {
				severity = Note
			}
		}
		if i >= maxSliceFindings {
			if more++; severity == Alert || severity == Warn && worst != Alert {
				worst = severity
			}
			continue
		}
		a.addFinding(Finding{Severity: severity, Kind: KindSplit, Flag: flag.Key, Column: s.Column, Slice: s.Label,
			Says: says})
	}
	if more > 0 {
		a.addFinding(Finding{Severity: worst, Kind: KindSplit, Flag: flag.Key,
			Says: Statement{Code: SplitsOff, N: int64(more)}})
	}
}

// verdictOf is what one test says of a slice; known is that something is expected of it.
func (a *analysis) verdictOf(t *stats.Test, others, known bool) SliceVerdict {
	switch {
	case t == nil || !t.Tested():
		return SliceNotTested
	case t.Verdict == stats.OK && a.shares[t]:
		return SliceShares
	case t.Verdict == stats.OK:
		return SliceOK
	case others && !known:
		return SliceDiffers
	case t.Verdict == stats.Alert:
		return SliceAlert
	}
	return SliceWarn
}

// testAllocation tests how many users got a variant, where that should be up to the bucket alone.
func (a *analysis) testAllocation(out *Counts, w *flagWork, t *totals, s *FlagSlice) {
	flag := w.out
	want := flag.Expected.Assigned
	if want == nil || flag.Expected.Clustered {
		return
	}
	switch {
	case !a.everybody:
		out.AllocationResult = Statement{Code: Untested, Text: "users who got no variant are not in the file"}
		return
	case a.unsure[flag.Key]:
		out.AllocationResult = Statement{Code: Untested, Text: "not all of the runs know the flag"}
		return
	}
	eligible := t.users - t.named
	switch w.f.bucketBy {
	case byUserID:
		eligible -= t.noUserID
	case byDeviceID:
		eligible -= t.noDeviceID
	}
	assigned := out.Assigned - out.LeftOut
	out.Eligible = eligible
	if out.Users > 0 {
		reach := (*want*float64(eligible) + float64(out.LeftOut)) / float64(out.Users)
		out.ExpectedReach = &reach
	}
	finding := Finding{Severity: Alert, Kind: KindAllocation, Flag: flag.Key}
	if s != nil {
		finding.Column, finding.Slice = s.Column, s.Label
	}
	if *want >= 1 || *want <= 0 { // nothing is left to chance
		if missing := eligible - assigned; *want >= 1 && missing > 0 && s == nil {
			out.AllocationResult = Statement{Code: ReachMissing, Unit: a.r.Unit, N: missing}
			finding.Says = out.AllocationResult
			a.addFinding(finding)
		}
		return
	}
	observed := []int64{assigned, eligible - assigned}
	expected := stats.Ratio(observed, []float64{*want, 1 - *want})
	test, family := &expected, FamilyAllocation
	out.AllocationAgainst = AgainstExpected
	if s != nil {
		all := flag.Assigned - flag.LeftOut
		test, out.AllocationAgainst = a.chooseSliceTest(expected, flag.Allocation, observed,
			[]int64{all, flag.Eligible - all})
		family = FamilySlices
	}
	out.Allocation = test
	a.addTest(family, test, func() {
		says := Statement{Code: ReachHolds, Unit: a.r.Unit, N: eligible, BucketBy: w.f.bucketBy,
			Against: out.AllocationAgainst, Test: test,
			Share: float64(assigned) / float64(eligible), Expected: *want, Text: test.None}
		switch {
		case !test.Tested():
			says.Code = Untested
		case test.Verdict != stats.OK:
			says.Code = ReachOff
			finding.Severity, finding.Says = Severity(test.Verdict), says
			a.addFinding(finding)
		}
		out.AllocationResult = says
	})
}

// finish sorts the findings and makes the verdict.
func (a *analysis) finish() {
	rank := map[Severity]int{Alert: 0, Warn: 1, Note: 2}
	kinds := []string{KindSnapshot, KindChanged, KindCrossCheck, KindExclusion, KindUnexpected, KindSplit, KindAllocation, KindDependence,
		KindDiffering, KindRepeated, KindFailed, KindNobody, KindWarning}
	slices.SortStableFunc(a.r.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(rank[x.Severity], rank[y.Severity]),
			cmp.Compare(slices.Index(kinds, x.Kind), slices.Index(kinds, y.Kind)))
	})
	slices.SortStableFunc(a.r.Overlaps, func(x, y Overlap) int {
		return cmp.Or(trueFirst(x.breaksGroup(), y.breaksGroup()), cmp.Compare(foundP(x.Test), foundP(y.Test)),
			cmp.Compare(y.Treatments, x.Treatments))
	})
	alerts, warnings := a.r.Count(Alert), a.r.Count(Warn)
	worst := map[string]Severity{}   // by flag
	for _, f := range a.r.Findings { // the worst first
		for _, key := range []string{f.Flag, f.Other} {
			if worst[key] == "" && f.Severity != Note {
				worst[key] = f.Severity
			}
		}
	}
	untested := 0
	for i := range a.r.Flags {
		f := &a.r.Flags[i]
		switch f.Verdict = worst[f.Key]; {
		case f.Verdict != "":
		case f.Test != nil && f.Test.Tested() || f.Allocation != nil && f.Allocation.Tested():
			f.Verdict = OK
		default:
			f.Verdict = NotTested
			untested++
		}
	}
	v := &a.r.Verdict
	tests := choose(a.r.Tests > 0, "by "+text.Count(int64(a.r.Tests), "test"), "without any test")
	if untested > 0 {
		tests += fmt.Sprintf("; %d of %s not tested", untested, text.Count(int64(len(a.r.Flags)), "flag"))
	}
	switch {
	case alerts > 0:
		v.Severity, v.Text = Alert, fmt.Sprintf("not as it should be: %s and %s, %s", text.Count(alerts, "alert"),
			text.Count(warnings, "warning"), tests)
	case warnings > 0:
		v.Severity, v.Text = Warn, fmt.Sprintf("to be looked at: %s, %s", text.Count(warnings, "warning"), tests)
	case a.r.Tests == 0:
		known := slices.ContainsFunc(a.r.Flags, func(f Flag) bool { return len(f.Expected.Variants) > 0 })
		v.Severity, v.Text = OK, "nothing found, but nothing was tested either: "+
			choose(known, "there are too few users", "it is not known how users should be split")
	default:
		v.Severity, v.Text = OK, "nothing found "+tests
	}
}

// found reports whether a test found something; a nil one did not.
func found(t *stats.Test) bool {
	return t != nil && (t.Verdict == stats.Warn || t.Verdict == stats.Alert)
}

// foundP is the p-value of a test that found something, for sorting; 1 of all others.
func foundP(t *stats.Test) float64 {
	if !found(t) {
		return 1
	}
	return t.P
}

// milder is one step less.
func milder(s Severity) Severity {
	switch s {
	case Alert:
		return Warn
	case Warn:
		return Note
	}
	return s
}
