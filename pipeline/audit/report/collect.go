package report

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	// maxPaired is how many flags are looked at in pairs: the counters of all pairs of them take 50 MiB.
	maxPaired = 512

	// maxRows is how many places the flags have together, more or less, and maxHeld how many bytes their counters take: a
	// bound for files that are damaged or hostile.
	maxRows = 1 << 20
	maxHeld = 160 << 20
)

// collector counts users. It is used from one goroutine.
type collector struct {
	keys       *snapshot.Keys
	dimensions []*dimension
	controls   []string
	expected   map[string]*Expectation

	cohorts []*members // of the options, in their order

	flags []*flagCounts // in the order in which they were found
	at    []int32       // by snapshot.Key: 1 and the position in flags; 0: not known
	ids   stats.Distinct
	all   counters // of all users

	named map[string][]int32 // ids that flags' configurations name: the flags, by position and for device ids -1-position

	current  []*counters // that the current user counts in: those of all, and of a place of each dimension
	assigned []pairing
}

// pairing is a flag that the current user has a variant of.
type pairing struct {
	flag      int32
	treatment int32 // 0 or 1
}

// flagCounts are the counters of one flag.
type flagCounts struct {
	key      string
	bucketBy string // "user_id", "device_id" or "": it does not matter
	variants []variantOf
	pairs    [][4]int64
	at       []int32 // by snapshot.Key: 1 and the position in variants; 0: not known
}

type variantOf struct {
	name      string
	treatment int32
}

// counters count users: all of them, or those in one place of a dimension.
type counters struct {
	users, failed        int64
	noUserID, noDeviceID int64   // of users
	flags                []cells // by position
}

// cells are the counters of one flag.
type cells struct {
	counts []int64 // assigned users by variant
	left   []int64 // of these, the ones whose variant is not left to chance; nil: none
	named  int64   // users named in the configuration who have the id, whatever they got
}

// flag returns the cells of the flag at a position.
func (c *counters) flag(at int32) *cells {
	if int(at) >= len(c.flags) {
		c.flags = growTo(c.flags, int(at)+1)
	}
	return &c.flags[at]
}

// merge adds the users of another place.
func (c *counters) merge(other *counters) {
	c.users, c.failed = c.users+other.users, c.failed+other.failed
	c.noUserID, c.noDeviceID = c.noUserID+other.noUserID, c.noDeviceID+other.noDeviceID
	for at := range other.flags {
		a, b := c.flag(int32(at)), &other.flags[at]
		a.counts, a.left, a.named = addCounts(a.counts, b.counts), addCounts(a.left, b.left), a.named+b.named
	}
}

// addCounts adds b to a, which may be shorter.
func addCounts(a, b []int64) []int64 {
	a = growTo(a, len(b))
	for i := range b {
		a[i] += b[i]
	}
	return a
}

func newCollector(keys *snapshot.Keys, o *Options) *collector {
	c := &collector{keys: keys, controls: o.Controls, expected: map[string]*Expectation{}, named: map[string][]int32{}}
	if c.controls == nil {
		c.controls = DefaultControls
	}
	for i := range o.Expectations {
		c.expected[o.Expectations[i].Flag] = &o.Expectations[i]
	}
	columns := slices.Clone(o.By)
	for _, list := range o.Cohorts.All() {
		m := newMembers(list)
		if m.dimension = slices.Index(columns, m.column()); m.dimension < 0 { // it is counted, and is none of the slices
			m.dimension = len(columns)
			columns = append(columns, m.column())
		}
		c.cohorts = append(c.cohorts, m)
	}
	for _, name := range columns {
		c.dimensions = append(c.dimensions, newDimension(name))
	}
	for _, m := range c.cohorts {
		c.dimensions[m.dimension].cohort = m
	}
	return c
}

// growTo makes room for n counters.
func growTo[T any](s []T, n int) []T {
	if n > len(s) {
		s = append(s, make([]T, max(n, 2*len(s))-len(s))...)
	}
	return s
}

// isFull reports whether the counters may take more memory than they should: a flag has some for each place and variant.
func (c *collector) isFull() bool {
	var places, bytes int64
	for _, d := range c.dimensions {
		places += int64(len(d.places))
	}
	for _, f := range c.flags {
		if n := int64(len(f.variants)); n > 0 {
			bytes += int64(unsafe.Sizeof(cells{})) + 2*8*n // growTo makes room for up to twice as many
		}
	}
	return places*bytes > maxHeld
}

// flagIndex is the position of a flag, which it gets if it has none.
func (c *collector) flagIndex(key snapshot.Key) int32 {
	if int(key) < len(c.at) && c.at[key] != 0 {
		return c.at[key] - 1
	}
	return c.addFlag(key)
}

func (c *collector) addFlag(key snapshot.Key) int32 {
	c.at = growTo(c.at, c.keys.Len())
	at := int32(len(c.flags))
	f := &flagCounts{key: c.keys.Name(key)}
	if at < maxPaired {
		f.pairs = make([][4]int64, at)
	}
	if e := c.expected[f.key]; e != nil {
		f.bucketBy = e.BucketBy
		for _, id := range e.NamedUserIDs {
			c.named[id] = append(c.named[id], at)
		}
		for _, id := range e.NamedDeviceIDs {
			c.named[id] = append(c.named[id], -1-at)
		}
	}
	c.flags = append(c.flags, f)
	c.at[key] = at + 1
	for _, d := range c.dimensions {
		d.limit = min(maxValues, max(minValues, maxRows/(len(c.flags)*len(c.dimensions))))
	}
	return at
}

// variantIndex is the position of a variant in f, which it gets if it has none.
func (f *flagCounts) variantIndex(c *collector, key snapshot.Key) int32 {
	if int(key) < len(f.at) && f.at[key] != 0 {
		return f.at[key] - 1
	}
	f.at = growTo(f.at, int(key)+1)
	i := int32(len(f.variants))
	f.at[key] = i + 1
	f.addVariant(c, c.keys.Name(key))
	return i
}

func (f *flagCounts) addVariant(c *collector, name string) {
	v := variantOf{name: name}
	if !c.isControl(name) {
		v.treatment = 1
	}
	f.variants = append(f.variants, v)
}

func (c *collector) isControl(variant string) bool {
	return slices.ContainsFunc(c.controls, func(name string) bool { return strings.EqualFold(name, variant) })
}

// countUser counts one user. carry are the positions of the dimensions' columns in u.Carry.
func (c *collector) countUser(u *snapshot.User, carry []int) {
	noUserID, noDeviceID := len(u.UserID) == 0, len(u.DeviceID) == 0
	if user, sampled := c.ids.CountRow(u.UserID, u.DeviceID); sampled {
		c.ids.CompareAnswers(user, [2]uint64{answers(u)})
	}
	c.current = append(c.current[:0], &c.all)
	for i, d := range c.dimensions {
		var v *snapshot.Value
		if d.cohort != nil {
			v = d.cohort.markIn(d.cohort.found, u.UserID)
		} else {
			v = &u.Carry[carry[i]]
		}
		c.current = append(c.current, d.countersOf(v))
	}
	for _, place := range c.current {
		place.users++
		if noUserID {
			place.noUserID++
		}
		if noDeviceID {
			place.noDeviceID++
		}
	}
	// Flags that name this user must be known before it is looked for.
	c.assigned = c.assigned[:0]
	for i := range u.Assignments {
		a := &u.Assignments[i]
		at := c.flagIndex(a.Flag)
		f := c.flags[at]
		if !a.Assigned {
			continue
		}
		v := f.variantIndex(c, a.Variant)
		leftOut := f.bucketBy != "" && (noUserID && f.bucketBy == byUserID || noDeviceID && f.bucketBy == byDeviceID)
		if !leftOut && len(c.named) > 0 {
			leftOut = c.isNamed(u, at)
		}
		for _, place := range c.current {
			cell := place.flag(at)
			if int(v) >= len(cell.counts) {
				cell.counts = growTo(cell.counts, len(f.variants))
			}
			cell.counts[v]++
			if leftOut {
				cell.left = growTo(cell.left, len(cell.counts))
				cell.left[v]++
			}
		}
		if at < maxPaired {
			c.assigned = append(c.assigned, pairing{at, f.variants[v].treatment})
		}
	}
	if len(c.named) > 0 {
		c.countNamed(u, noUserID, noDeviceID)
	}
	c.countPairs()
}

// answers is a hash of the variants that a user has, whatever their order.
func answers(u *snapshot.User) (h uint64) {
	for i := range u.Assignments {
		if a := &u.Assignments[i]; a.Assigned {
			h += a.Hash()
		}
	}
	return h
}

// countPairs counts the pairs of flags that the current user has variants of.
func (c *collector) countPairs() {
	for i := range c.assigned {
		a := c.assigned[i]
		for _, b := range c.assigned[:i] {
			x, y := a, b // the one that was found later has the counters
			if x.flag < y.flag {
				x, y = y, x
			}
			if x.flag != y.flag {
				c.flags[x.flag].pairs[y.flag][x.treatment*2+y.treatment]++
			}
		}
	}
}

// isNamed reports whether the configuration of the flag names the user.
func (c *collector) isNamed(u *snapshot.User, flag int32) bool {
	return slices.Contains(c.named[string(u.UserID)], flag) || slices.Contains(c.named[string(u.DeviceID)], -1-flag)
}

// countNamed counts the user for each flag whose configuration names it, and which could have bucketed it.
func (c *collector) countNamed(u *snapshot.User, noUserID, noDeviceID bool) {
	count := func(flag int32) {
		f := c.flags[flag]
		if noUserID && f.bucketBy == byUserID || noDeviceID && f.bucketBy == byDeviceID {
			return // left out already
		}
		for _, place := range c.current {
			place.flag(flag).named++
		}
	}
	byUser := c.named[string(u.UserID)]
	for _, flag := range byUser {
		if flag >= 0 {
			count(flag)
		}
	}
	for _, flag := range c.named[string(u.DeviceID)] {
		if flag < 0 && !slices.Contains(byUser, -1-flag) {
			count(-1 - flag)
		}
	}
}

// countFailedUser counts one user who failed. columns are the dimensions' columns in the original row.
func (c *collector) countFailedUser(userID []byte, values []pipeline.Value) {
	var scratch [64]byte
	for i, d := range c.dimensions[:len(values)] {
		v := snapshot.Value{Kind: values[i].Kind, Num: values[i].Num}
		switch v.Kind {
		case pipeline.Timestamp, pipeline.Date, pipeline.Int, pipeline.Float, pipeline.Bool, pipeline.Null:
		case pipeline.List, pipeline.Object:
			v.Text = values[i].AppendJSON(scratch[:0])
		default:
			v.Text = values[i].AppendText(scratch[:0])
		}
		if d.cohort != nil {
			v = *d.cohort.markIn(d.cohort.failed, userID)
		}
		d.countersOf(&v).failed++
	}
}
