package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// counter counts who got what of every flag, and knows what the user at hand got. It is used from one goroutine.
type counter struct {
	keys  *snapshot.Keys
	slots []int32 // by report.Key: 1 and the flag's slot; 0: not known
	names map[string]int32
	flags []*flagCount // by slot

	// Of the user at hand, by slot: the variant, NoKey: none; and the payload.
	got     []snapshot.Key
	payload [][]byte

	user     int64
	ids      stats.Distinct // users, and whether they have the same answers in all rows
	apart    []bool         // by slot: a check looks whether users have this flag and others; the second kind of answers
	repeated int64          // users who have a flag twice
	odd      int64          // assigned, and no variant
}

// flagCount counts the variants of one flag.
type flagCount struct {
	name  string
	few   []variantCount // the first ones: to look through them is faster than a map
	many  map[snapshot.Key]int64
	users int64 // who have a variant
	last  int   // the last user's, a guess at the next one's
	seen  int64 // the user who had the flag last
}

type variantCount struct {
	key   snapshot.Key
	users int64
}

const fewVariants = 8

func newCounter(keys *snapshot.Keys) *counter {
	return &counter{keys: keys, names: map[string]int32{}}
}

// slot is the slot of a flag by its name, which it gets if it has none.
func (c *counter) slot(name string) int {
	if at, ok := c.names[name]; ok {
		return int(at)
	}
	at := int32(len(c.flags))
	c.names[name] = at
	c.flags = append(c.flags, &flagCount{name: name})
	c.got, c.payload = append(c.got, snapshot.NoKey), append(c.payload, nil)
	return int(at)
}

// keepApart says that a check looks at which of these flags a user has together.
func (c *counter) keepApart(slots ...int) {
	for _, slot := range slots {
		for len(c.apart) <= slot {
			c.apart = append(c.apart, false)
		}
		c.apart[slot] = true
	}
}

func (c *counter) slotOf(key snapshot.Key) int32 {
	if int(key) < len(c.slots) && c.slots[key] != 0 {
		return c.slots[key] - 1
	}
	at := int32(c.slot(c.keys.Name(key)))
	if n := c.keys.Len(); n > len(c.slots) {
		c.slots = append(c.slots, make([]int32, max(n, 2*len(c.slots))-len(c.slots))...)
	}
	c.slots[key] = at + 1
	return at
}

// add takes in what a user got.
func (c *counter) add(u *snapshot.User) {
	c.user++
	user, sampled := c.ids.CountRow(u.UserID, u.DeviceID)
	var answers [2]uint64
	for i := range u.Assignments {
		a := &u.Assignments[i]
		at := c.slotOf(a.Flag)
		f := c.flags[at]
		if f.seen == c.user {
			c.repeated++
			continue
		}
		f.seen = c.user
		if !a.Assigned {
			continue
		}
		if a.Variant == snapshot.NoKey {
			c.odd++
			continue
		}
		c.got[at], c.payload[at] = a.Variant, a.Payload
		f.count(a.Variant)
		if sampled {
			x := (uint64(at)<<32 | uint64(uint32(a.Variant))) * 0x9e3779b97f4a7c15
			x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
			answers[0] += x ^ x>>32
			if int(at) < len(c.apart) && c.apart[at] {
				answers[1] += x ^ x>>32
			}
		}
	}
	if sampled {
		c.ids.CompareAnswers(user, answers)
	}
}

// forget ends the user at hand.
func (c *counter) forget(u *snapshot.User) {
	for i := range u.Assignments {
		c.got[c.slotOf(u.Assignments[i].Flag)] = snapshot.NoKey
	}
}

func (f *flagCount) count(key snapshot.Key) {
	f.users++
	if f.last < len(f.few) && f.few[f.last].key == key {
		f.few[f.last].users++
		return
	}
	for i := range f.few {
		if f.few[i].key == key {
			f.last = i
			f.few[i].users++
			return
		}
	}
	if len(f.few) < fewVariants {
		f.last = len(f.few)
		f.few = append(f.few, variantCount{key, 1})
		return
	}
	if f.many == nil {
		f.many = map[snapshot.Key]int64{}
	}
	f.many[key]++
}

// variants are the users of each variant.
func (f *flagCount) variants(keys *snapshot.Keys) map[string]int64 {
	counts := map[string]int64{}
	for _, v := range f.few {
		counts[keys.Name(v.key)] = v.users
	}
	for key, users := range f.many {
		counts[keys.Name(key)] = users
	}
	return counts
}

// counting counts for all checks together.
type counting struct {
	*counter
	file *File
	o    *Options
	keys *snapshot.Keys

	states     []*state // of the checks, in their order
	wheres     []*where // each text once
	holds      []bool   // of the user at hand, by where
	treatments []bool   // by report.Key: it is not a control
	path       string   // of the snapshot at hand
	missing    int64    // answered users who are not in a file, because they got nothing
}

// state is what was counted for one check.
type state struct {
	*Rule
	where   int // in counting.wheres; -1: all users
	slot    int
	slots   []int // of Flags
	set     set   // variants that count: named ones, or treatments
	held    set   // of Holdout: the variants that hold a user out
	weights set   // of Ratio
	nobody  int   // of Ratio: the place of not_assigned among the weights; -1: it is not there

	users, hits   int64
	with, without []Row // examples of hits, and of the others
	inFlags       []int64
	all           *cell
	by            []*slicing
	payloads      payloads
	absent        int64 // users without a payload
}

// slicing is the cells of one column.
type slicing struct {
	column string
	at     int // in the carried columns of the snapshot at hand
	cells  map[string]*cell
	none   *cell // users without a value
	full   bool  // there are more values than maxSlices
	text   []byte
}

// maxSlices bounds the values of a column by which a ratio is tested.
const maxSlices = 1000

// cell counts variants by weight; the last count is of variants without a weight.
type cell struct {
	counts   []int64
	examples map[int][]Row
	strange  []snapshot.Key // the first variants without a weight
}

func newCell(n int) *cell { return &cell{counts: make([]int64, n+1), examples: map[int][]Row{}} }

// set is a set of variants by name, or all treatments.
type set struct {
	names      []string
	places     map[string]int       // of the names
	keys       map[snapshot.Key]int // of the names that somebody has: their places
	treatments bool
	any        bool // all variants
	none       bool // not having any is in the set

	last   snapshot.Key // that at was asked for
	lastAt int
}

func setOf(names []string) set {
	s := set{names: names, places: make(map[string]int, len(names)), keys: map[snapshot.Key]int{}, none: slices.Contains(names, NotAssigned)}
	for i, name := range names {
		s.places[name] = i
	}
	return s
}

// at is the place of a variant among the names, or -1.
func (s *set) at(key snapshot.Key) int {
	if key == s.last && key != snapshot.NoKey {
		return s.lastAt
	}
	at, ok := s.keys[key]
	if !ok {
		at = -1
	}
	s.last, s.lastAt = key, at
	return at
}

func (c *counting) in(s *set, key snapshot.Key) bool {
	switch {
	case key == snapshot.NoKey:
		return s.none
	case s.any:
		return true
	case s.treatments:
		return c.treatments[key]
	}
	return s.at(key) >= 0
}

// learn takes note of keys that are new: which flags and variants of the rules they are.
func (c *counting) learn() {
	for key := snapshot.Key(len(c.treatments)); int(key) < c.keys.Len(); key++ {
		name := c.keys.Name(key)
		controls := c.file.Controls
		if controls == nil {
			controls = DefaultControls
		}
		c.treatments = append(c.treatments, key != snapshot.NoKey &&
			!slices.ContainsFunc(controls, func(control string) bool { return strings.EqualFold(control, name) }))
		if key == snapshot.NoKey {
			continue
		}
		for _, s := range c.states {
			for _, set := range []*set{&s.set, &s.held, &s.weights} {
				if i, ok := set.places[name]; ok {
					set.keys[key] = i
					set.last = snapshot.NoKey
				}
			}
		}
	}
}

// read counts the users of one snapshot.
func (c *counting) read(ctx context.Context, s *openRun) error {
	c.path = s.path
	c.place(s)
	before := c.user
	err := c.counter.read(ctx, s, func(u *snapshot.User) error {
		if c.keys.Len() > len(c.treatments) {
			c.learn()
		}
		for i, w := range c.wheres {
			var err error
			if c.holds[i], err = w.holds(u.Carry); err != nil {
				return fmt.Errorf("row %d: %w", u.Row, err)
			}
		}
		for _, st := range c.states {
			if st.where < 0 || c.holds[st.where] {
				c.count(st, u)
			}
		}
		return nil
	})
	c.missing += s.m.Users.Answered - (c.user - before)
	return err
}

// read reads a snapshot to its end, and holds it against its manifest.
func (c *counter) read(ctx context.Context, s *openRun, each func(*snapshot.User) error) error {
	before := map[string]map[string]int64{}
	for _, f := range c.flags {
		before[f.name] = f.variants(c.keys)
	}
	c.repeated, c.odd = 0, 0
	var u snapshot.User
	var last, disordered, differing int64
	for {
		if err := s.r.Next(&u); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if s.inFile++; s.inFile%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if u.Row <= last {
			disordered++
		}
		last = u.Row
		if u.Differs != "" {
			differing++
		}
		c.add(&u)
		if err := each(&u); err != nil {
			if _, ok := errors.AsType[*Error](err); ok {
				return err
			}
			return fmt.Errorf("%s: %w", s.path, err)
		}
		c.forget(&u)
	}
	everybody := s.r.Wide || s.m.Options["flags"] != "" || s.m.Options["flags-from"] != ""
	switch answered := s.m.Users.Answered; {
	case s.r.Records() != s.listed.Rows:
		return s.tampered("it has %d records, and by its manifest %d", s.r.Records(), s.listed.Rows)
	case everybody && s.inFile != answered, s.inFile > answered:
		return s.tampered("it has %d users, and by its manifest %d were answered", s.inFile, answered)
	case disordered > 0:
		return s.tampered("%d users are not sorted by row number", disordered)
	case differing > 0:
		return s.tampered("%d users have records that disagree", differing)
	case c.repeated > 0:
		return s.tampered("flags stand there twice for the same user, %d times", c.repeated)
	case c.odd > 0:
		return s.tampered("%d users are assigned and have no variant", c.odd)
	}
	for _, f := range c.flags {
		want := map[string]int64{}
		if i := slices.IndexFunc(s.m.Flags, func(m snapshot.FlagCount) bool { return m.Flag == f.name }); i >= 0 {
			for _, v := range s.m.Flags[i].Variants {
				want[v.Variant] = v.Users
			}
		}
		got := f.variants(c.keys)
		for v := range got {
			got[v] -= before[f.name][v]
		}
		for v := range want {
			got[v] += 0
		}
		for _, v := range slices.Sorted(maps.Keys(got)) {
			if got[v] != want[v] {
				return s.tampered("flag %s, variant %s: %d users, and by its manifest %d", f.name, v, got[v], want[v])
			}
		}
	}
	for _, m := range s.m.Flags {
		if _, ok := c.names[m.Flag]; !ok && m.Assigned > 0 {
			return s.tampered("flag %s is missing, and by its manifest %d users have it", m.Flag, m.Assigned)
		}
	}
	return nil
}

// example is the user at hand.
func (c *counting) example(u *snapshot.User, note string) Row {
	row := Row{Snapshot: c.path, Row: u.Row, Note: note}
	if c.o.IDs {
		row.UserID, row.DeviceID = string(u.UserID), string(u.DeviceID)
	}
	return row
}

func (c *counting) keep(rows *[]Row, u *snapshot.User) {
	if len(*rows) < MaxExamples {
		*rows = append(*rows, c.example(u, ""))
	}
}

// count counts the user at hand for one check.
func (c *counting) count(s *state, u *snapshot.User) {
	switch s.Kind {
	case Share, Count, Exposed:
		got := c.got[s.slot]
		if s.Of == ofAssigned && got == snapshot.NoKey {
			return
		}
		s.users++
		if c.in(&s.set, got) {
			s.hits++
			c.keep(&s.with, u)
		} else {
			c.keep(&s.without, u)
		}
	case Exclusive:
		s.users++
		n := 0
		for i, slot := range s.slots {
			if got := c.got[slot]; got != snapshot.NoKey && c.in(&s.set, got) {
				s.inFlags[i]++
				n++
			}
		}
		if n > 1 {
			s.hits++
			c.keepWith(s, u)
		}
	case Holdout:
		if !c.in(&s.held, c.got[s.slot]) {
			return
		}
		s.users++
		for _, slot := range s.slots {
			if c.in(&s.set, c.got[slot]) {
				s.hits++
				c.keepWith(s, u)
				break
			}
		}
	case Ratio:
		got := c.got[s.slot]
		place := s.nobody
		if got != snapshot.NoKey {
			if place = s.weights.at(got); place < 0 {
				place = len(s.Weights)
			}
		}
		if place < 0 {
			return
		}
		s.users++
		c.tell(s.all, place, got, u)
		for _, by := range s.by {
			if cell := by.cell(&u.Carry[by.at], len(s.Weights)); cell != nil {
				c.tell(cell, place, got, u)
			}
		}
	case Payload:
		got := c.got[s.slot]
		if got == snapshot.NoKey || len(s.set.names) > 0 && !c.in(&s.set, got) {
			return
		}
		payload, wrong := c.payload[s.slot], "no payload"
		switch {
		case len(payload) > 0:
			wrong = s.payloads.wrong(payload)
		case s.Optional:
			s.absent++
			return
		}
		s.users++
		if wrong != "" {
			s.hits++
			if len(s.with) < MaxExamples {
				s.with = append(s.with, c.example(u, wrong))
			}
		}
	}
}

// keepWith keeps an example that says which variants of the check's flags the user has.
func (c *counting) keepWith(s *state, u *snapshot.User) {
	if len(s.with) == MaxExamples {
		return
	}
	var has []string
	for i, slot := range s.slots {
		if got := c.got[slot]; got != snapshot.NoKey && c.in(&s.set, got) {
			has = append(has, s.Flags[i]+" "+c.keys.Name(got))
		}
	}
	s.with = append(s.with, c.example(u, strings.Join(has, ", ")))
}

// tell counts a user in a cell.
func (c *counting) tell(cell *cell, place int, got snapshot.Key, u *snapshot.User) {
	cell.counts[place]++
	if place == len(cell.counts)-1 && len(cell.strange) < MaxExamples && !slices.Contains(cell.strange, got) {
		cell.strange = append(cell.strange, got)
	}
	if rows := cell.examples[place]; len(rows) < MaxExamples {
		cell.examples[place] = append(rows, c.example(u, ""))
	}
}

// cell is that of a value; nil where there are too many.
func (b *slicing) cell(v *snapshot.Value, n int) *cell {
	text := v.Text
	if v.Kind == pipeline.Null {
		if b.none == nil {
			b.none = newCell(n)
		}
		return b.none
	}
	if v.Kind != pipeline.String && v.Kind != pipeline.Number {
		b.text = v.AppendText(b.text[:0])
		text = b.text
	}
	if found, ok := b.cells[string(text)]; ok {
		return found
	}
	if b.full = b.full || len(b.cells) >= maxSlices || len(text) > maxFile; b.full {
		return nil
	}
	made := newCell(n)
	b.cells[string(text)] = made
	return made
}
