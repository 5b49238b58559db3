package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// pass reads all snapshots once, and counts for all checks together. It is used from one goroutine.
type pass struct {
	file    *File
	o       *Options
	runs    []*openRun
	flags   map[string]map[string]int64 // users by flag and variant, according to the manifests
	checks  []*checkCounts              // in the order of the file
	wheres  []*where                    // each text once
	cohorts []*cohort.Cohort            // that checks name, each once

	user       user
	holds      []bool // of wheres, for the current user
	members    []int  // of cohorts: which member the current user is; -1: none
	treatments []bool // by variant: it is not a control
	path       string // of the current snapshot
	ids        stats.Distinct
	together   []bool // by flag: a check looks at whether users have it and another one. The second kind of answers of ids
	missing    int64  // answered users who are not in a file, because they got no variant

	users snapshot.Users // of all snapshots; rows where users are repeated
}

// user is what the current user got, by flag.
type user struct {
	keys    *snapshot.Keys
	got     []snapshot.Key // NoKey: no variant
	payload [][]byte
}

// assign takes over what a user got.
func (u *user) assign(assignments []snapshot.Assignment) {
	if n := u.keys.Len(); n > len(u.got) {
		u.got = append(u.got, make([]snapshot.Key, n-len(u.got))...)
		u.payload = append(u.payload, make([][]byte, n-len(u.payload))...)
	}
	for i := range assignments {
		if a := &assignments[i]; a.Assigned {
			u.got[a.Flag], u.payload[a.Flag] = a.Variant, a.Payload
		}
	}
}

// clear forgets what a user got.
func (u *user) clear(assignments []snapshot.Assignment) {
	for i := range assignments {
		u.got[assignments[i].Flag] = snapshot.NoKey
	}
}

// checkCounts are the counts of one check.
type checkCounts struct {
	Result
	where     int    // in pass.wheres; -1: all users
	in, notIn []int  // in pass.cohorts
	seen      []bool // of Seen: which members
	flag      snapshot.Key
	flags     []snapshot.Key
	variants  variantSet // that count: named ones, or treatments
	held      variantSet // of Holdout: the variants that hold a user out
	weights   variantSet // of Ratio
	nobody    int        // of Ratio: the place of not_assigned among the weights; -1: it is not there

	with, without []Row // examples of hits, and of the others
	inFlags       []int64
	all           *cell
	by            []*columnCells
	payloads      payloadChecker
}

// columnCells are the cells of one column.
type columnCells struct {
	column string
	index  int // in the carried columns of the current snapshot
	cells  map[string]*cell
	none   *cell // users without a value
	full   bool  // there are more values than maxSlices
	text   []byte
}

// maxSlices bounds the values of a column by which a ratio is tested.
const maxSlices = 1000

// cell counts variants by weight; the last count is of variants without a weight.
type cell struct {
	counts     []int64
	examples   [][]Row
	unweighted []snapshot.Key // the first variants without a weight
}

func newCell(weights int) *cell {
	return &cell{counts: make([]int64, weights+1), examples: make([][]Row, weights+1)}
}

// variantSet is a set of variants by name, or of all treatments, or of all variants.
type variantSet struct {
	places     map[snapshot.Key]int // of the names
	treatments bool
	any        bool
	none       bool // not having a variant is in the set
}

// contains reports whether a variant, or NoKey, is in a set.
func (p *pass) contains(s *variantSet, variant snapshot.Key) bool {
	switch {
	case variant == snapshot.NoKey:
		return s.none
	case s.any:
		return true
	case s.treatments:
		return p.isTreatment(variant)
	}
	_, ok := s.places[variant]
	return ok
}

func (p *pass) isTreatment(variant snapshot.Key) bool {
	for int(variant) >= len(p.treatments) {
		name := p.user.keys.Name(snapshot.Key(len(p.treatments)))
		isControl := slices.ContainsFunc(p.file.Controls,
			func(control string) bool { return strings.EqualFold(control, name) })
		p.treatments = append(p.treatments, !isControl)
	}
	return p.treatments[variant]
}

// newPass checks the names in a rules file against the snapshots, and prepares to count.
func newPass(f *File, o *Options, runs []*openRun) (*pass, error) {
	p := &pass{file: f, o: o, runs: runs, flags: flagCounts(runs)}
	if len(runs) > 0 {
		p.user.keys = runs[0].users.Keys
	}
	b := newBinder(f, p.flags, runs)
	if err := b.checkFile(f); err != nil {
		return nil, err
	}
	wheres := map[string]int{}
	for _, check := range f.Checks {
		if err := b.checkNames(check); err != nil {
			return nil, err
		}
		c, err := p.newCounts(check)
		if err != nil {
			return nil, err
		}
		p.checks = append(p.checks, c)
		if c.in, err = p.findCohorts(b, check, "cohort", check.Cohorts); err != nil {
			return nil, err
		}
		if c.notIn, err = p.findCohorts(b, check, "not_cohort", check.NotCohorts); err != nil {
			return nil, err
		}
		if check.Kind == Seen {
			c.seen = make([]bool, p.cohorts[c.in[0]].Indexes())
		}
		if check.Where == "" || !b.rows {
			continue
		}
		index, ok := wheres[check.Where]
		if !ok {
			w, err := b.compileWhere(check)
			if err != nil {
				return nil, err
			}
			index = len(p.wheres)
			wheres[check.Where], p.wheres = index, append(p.wheres, w)
		}
		c.where = index
	}
	p.holds, p.members = make([]bool, len(p.wheres)), make([]int, len(p.cohorts))
	return p, nil
}

// newCounts prepares the counts of a check.
func (p *pass) newCounts(check *Check) (c *checkCounts, err error) {
	key := func(name string) (key snapshot.Key) {
		if err == nil {
			key, err = p.user.keys.Intern(name)
		}
		return key
	}
	set := func(names []string) variantSet {
		s := variantSet{places: map[snapshot.Key]int{}, none: slices.Contains(names, NotAssigned)}
		for i, name := range names {
			s.places[key(name)] = i
		}
		return s
	}
	c = &checkCounts{Result: Result{Check: check, Status: Held}, where: -1, nobody: -1,
		inFlags: make([]int64, len(check.Flags))}
	if check.Flag != "" {
		c.flag = key(check.Flag)
	}
	for _, flag := range check.Flags {
		c.flags = append(c.flags, key(flag))
	}
	switch check.Kind {
	case Share, Count, Payload:
		c.variants = set(check.Variants)
	case Exposed, Holdout, Exclusive:
		c.variants = set(check.Treatments)
		c.variants.treatments = check.Treatments == nil
		c.variants.any = check.Kind == Exclusive && check.Who == ofAssigned
		c.held = set(check.Variants)
	case Ratio:
		var names []string
		for _, w := range check.Weights {
			names = append(names, w.Variant)
		}
		c.weights, c.nobody, c.all = set(names), slices.Index(names, NotAssigned), newCell(len(names))
		for _, column := range check.By {
			c.by = append(c.by, &columnCells{column: column, cells: map[string]*cell{}})
		}
	}
	c.payloads.schema = check.schema
	if check.Kind == Holdout || check.Kind == Exclusive {
		p.together = append(p.together, make([]bool, p.user.keys.Len()-len(p.together))...)
		for _, flag := range append(c.flags, c.flag) { // of Exclusive that is NoKey
			p.together[flag] = true
		}
	}
	return c, err
}

// countRun counts the users of one snapshot.
func (p *pass) countRun(ctx context.Context, r *openRun) error {
	p.path = r.Path
	for _, w := range p.wheres {
		for i, name := range w.columns {
			w.indexes[i] = columnIndex(r, name)
		}
	}
	for _, c := range p.checks {
		for _, by := range c.by {
			by.index = columnIndex(r, by.column)
		}
	}
	before := p.ids.Rows()
	err := r.eachUser(ctx, func(u *snapshot.User) error {
		p.user.assign(u.Assignments)
		p.countAnswers(u)
		for i, w := range p.wheres {
			var err error
			if p.holds[i], err = w.evaluate(u.Carry); err != nil {
				return fmt.Errorf("%s: row %d: %w", r.Path, u.Row, err)
			}
		}
		for i, c := range p.cohorts {
			if member, ok := c.Lookup(u.UserID); ok {
				p.members[i] = member
			} else {
				p.members[i] = -1
			}
		}
		for _, c := range p.checks {
			if p.isAbout(c) {
				p.count(c, u)
			}
		}
		p.user.clear(u.Assignments)
		return nil
	})
	p.missing += r.Manifest.Users.Answered - (p.ids.Rows() - before)
	return err
}

// findCohorts are the places of cohorts in p.cohorts. One that was not given is an error.
func (p *pass) findCohorts(b *binder, check *Check, key string, names []string) (places []int, err error) {
	for _, name := range names {
		c := p.o.Cohorts.Get(name)
		if c == nil {
			return nil, b.missingCohort(check.line(key), name, p.o.Cohorts.Names())
		}
		at := slices.Index(p.cohorts, c)
		if at < 0 {
			at = len(p.cohorts)
			p.cohorts = append(p.cohorts, c)
		}
		places = append(places, at)
	}
	return places, nil
}

// isAbout reports whether a check is about the current user.
func (p *pass) isAbout(c *checkCounts) bool {
	isMember := func(cohort int) bool { return p.members[cohort] >= 0 }
	return (c.where < 0 || p.holds[c.where]) && (c.in == nil || slices.ContainsFunc(c.in, isMember)) &&
		!slices.ContainsFunc(c.notIn, isMember)
}

// countAnswers counts the different users, and notes whether their rows have the same answers.
func (p *pass) countAnswers(u *snapshot.User) {
	id, sampled := p.ids.CountRow(u.UserID, u.DeviceID)
	if !sampled {
		return
	}
	var answers [2]uint64
	for i := range u.Assignments {
		a := &u.Assignments[i]
		if !a.Assigned {
			continue
		}
		h := a.Hash()
		answers[0] += h
		if int(a.Flag) < len(p.together) && p.together[a.Flag] {
			answers[1] += h
		}
	}
	p.ids.CompareAnswers(id, answers)
}

// keepExample keeps the current user as an example.
func (p *pass) keepExample(rows *[]Row, u *snapshot.User, note string) {
	if len(*rows) == MaxExamples {
		return
	}
	row := Row{Snapshot: p.path, Row: u.Row, Note: note}
	if p.o.IDs {
		row.UserID, row.DeviceID = string(u.UserID), string(u.DeviceID)
	}
	*rows = append(*rows, row)
}

// count counts the current user for one check.
func (p *pass) count(c *checkCounts, u *snapshot.User) {
	got := p.user.got[c.flag]
	switch c.Kind {
	case Share, Count, Exposed:
		if c.Of == ofAssigned && got == snapshot.NoKey {
			return
		}
		c.Users++
		if p.contains(&c.variants, got) {
			c.Hits++
			p.keepExample(&c.with, u, "")
		} else {
			p.keepExample(&c.without, u, "")
		}
	case Exclusive, Holdout:
		if c.Kind == Holdout && !p.contains(&c.held, got) {
			return
		}
		c.Users++
		n := 0
		for i, flag := range c.flags {
			if p.contains(&c.variants, p.user.got[flag]) {
				c.inFlags[i]++
				n++
			}
		}
		if n > 1 || n > 0 && c.Kind == Holdout {
			c.Hits++
			p.keepVariants(c, u)
		}
	case Seen:
		if member := p.members[c.in[0]]; !c.seen[member] {
			c.seen[member] = true
			c.Hits++
		}
	case Ratio:
		place := c.nobody
		if got != snapshot.NoKey {
			var ok bool
			if place, ok = c.weights.places[got]; !ok {
				place = len(c.Weights)
			}
		}
		if place < 0 {
			return
		}
		c.Users++
		p.countInCell(c.all, place, got, u)
		for _, by := range c.by {
			if cell := by.findCell(&u.Carry[by.index], len(c.Weights)); cell != nil {
				p.countInCell(cell, place, got, u)
			}
		}
	case Payload:
		if got == snapshot.NoKey || len(c.Variants) > 0 && !p.contains(&c.variants, got) {
			return
		}
		payload, wrong := p.user.payload[c.flag], "no payload"
		switch {
		case len(payload) > 0:
			wrong = c.payloads.findError(payload)
		case c.Optional:
			c.Absent++
			return
		}
		c.Users++
		if wrong != "" {
			c.Hits++
			p.keepExample(&c.with, u, wrong)
		}
	}
}

// keepVariants keeps an example that says which variants of the check's flags the user has.
func (p *pass) keepVariants(c *checkCounts, u *snapshot.User) {
	if len(c.with) == MaxExamples {
		return
	}
	var has []string
	for i, flag := range c.flags {
		if got := p.user.got[flag]; p.contains(&c.variants, got) {
			has = append(has, c.Flags[i]+" "+p.user.keys.Name(got))
		}
	}
	p.keepExample(&c.with, u, strings.Join(has, ", "))
}

func (p *pass) countInCell(cell *cell, place int, got snapshot.Key, u *snapshot.User) {
	cell.counts[place]++
	if place == len(cell.counts)-1 && len(cell.unweighted) < MaxExamples && !slices.Contains(cell.unweighted, got) {
		cell.unweighted = append(cell.unweighted, got)
	}
	p.keepExample(&cell.examples[place], u, "")
}

// findCell returns the cell of a value; nil if there are too many values.
func (b *columnCells) findCell(v *snapshot.Value, weights int) *cell {
	if v.Kind == pipeline.Null {
		if b.none == nil {
			b.none = newCell(weights)
		}
		return b.none
	}
	b.text = v.AppendText(b.text[:0])
	if found, ok := b.cells[string(b.text)]; ok {
		return found
	}
	if b.full = b.full || len(b.cells) >= maxSlices || len(b.text) > maxFile; b.full {
		return nil
	}
	made := newCell(weights)
	b.cells[string(b.text)] = made
	return made
}
