package report

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	// Bins is how many bins numbers and dates are put into, and TopValues how many other values have a slice of their
	// own.
	Bins      = 5
	TopValues = 20

	maxExact  = 24      // more different numbers than that are put into bins
	maxValues = 1024    // that are counted at a time
	minValues = 64      // likewise, where there are very many flags
	maxText   = 256     // bytes of a value; longer ones are counted as other
	maxGone   = 1 << 16 // values that were given up and are remembered as such
)

// The first places of a dimension. All others stand for a value, or a range of numbers.
const (
	placeMissing = iota
	placeOther
	firstPlace
)

// dimension finds the place of a user in one column: a small number that counters can be indexed by. Which places will
// be slices is decided by makeGroups, when all users are counted.
//
// It starts with a place for each value. If the values turn out to be numbers or dates, and many, places become ranges
// that are fine and round: two significant digits, or a day, and coarser if they become too many. If they are many
// and something else, the rarest half is given up to placeOther for good, so that each value which has a place at the
// end has had it from the beginning and is counted whole.
type dimension struct {
	name   string
	scale  scale
	limit  int              // values, or ranges, that are counted at a time
	index  map[string]int32 // of values
	ranges map[int64]int32  // of numbers, by ordinal >> shift
	shift  uint
	places []place
	gone   map[uint64]struct{} // hashes of values that were given up
	folded int64               // values in placeOther, at least
	seed   maphash.Seed
	text   []byte
	cohort *members // of a cohort: true for its members, false for everybody else; nil: of a column
}

type scale uint8

const (
	scaleValues scale = iota
	scaleNumbers
	scaleDates
)

// place is what is known of one place, and how many users are in it.
type place struct {
	text     string
	scalar   [3]float64 // of the value, by scale: a number, or a day since 1970; or NaN
	min, max float64    // of a range
	ordinal  int64      // of a range
	counters
}

// n is how many users are in the place, failed ones too.
func (p *place) n() int64 { return p.users + p.failed }

func newDimension(name string) *dimension {
	return &dimension{name: name, limit: maxValues, index: map[string]int32{}, places: make([]place, firstPlace),
		seed: maphash.MakeSeed()}
}

// countersOf returns the counters of the place of a value, until the next place is looked for.
func (d *dimension) countersOf(v *snapshot.Value) *counters {
	i := d.findPlace(v)
	return &d.places[i].counters
}

func (d *dimension) findPlace(v *snapshot.Value) int32 {
	if v.Kind == pipeline.Null {
		return placeMissing
	}
	if d.scale != scaleValues {
		x := scalars[d.scale](v)
		if math.IsNaN(x) {
			if len(d.textOf(v)) == 0 {
				return placeMissing
			}
			return placeOther
		}
		return d.rangeOf(x)
	}
	text := d.textOf(v)
	switch {
	case len(text) == 0:
		return placeMissing
	case len(text) > maxText:
		return placeOther
	}
	if i, ok := d.index[string(text)]; ok {
		return i
	}
	if len(d.index) >= maxExact && len(d.index)%8 == 0 && d.useRanges() {
		return d.findPlace(v)
	}
	if d.gone != nil {
		if _, ok := d.gone[maphash.Bytes(d.seed, text)]; ok || len(d.gone) >= maxGone {
			return placeOther
		}
	}
	if len(d.index) >= d.limit {
		d.dropRarest()
	}
	i := int32(len(d.places))
	p := place{text: string(text), scalar: [3]float64{scaleNumbers: numberOf(v), scaleDates: dayOf(v)}}
	d.places = append(d.places, p)
	d.index[p.text] = i
	return i
}

func (d *dimension) textOf(v *snapshot.Value) []byte {
	if v.Kind == pipeline.String || v.Kind == pipeline.Number {
		return v.Text
	}
	d.text = v.AppendText(d.text[:0])
	return d.text
}

// scalars are the values as numbers, by scale.
var scalars = [3]func(*snapshot.Value) float64{scaleNumbers: numberOf, scaleDates: dayOf}

// numberOf is the value as a number, or NaN.
func numberOf(v *snapshot.Value) float64 {
	switch v.Kind {
	case pipeline.Int:
		return float64(v.Num)
	case pipeline.Float:
		return finite(math.Float64frombits(uint64(v.Num)))
	case pipeline.Number, pipeline.String:
		if len(v.Text) == 0 || len(v.Text) > 40 || v.Text[0] > '9' { // nor inf, nan, 0x1p-2
			return math.NaN()
		}
		f, err := strconv.ParseFloat(string(v.Text), 64)
		if err != nil || strings.ContainsAny(string(v.Text), "xX_") {
			return math.NaN()
		}
		return finite(f)
	}
	return math.NaN()
}

func finite(f float64) float64 {
	if math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

// dayOf is the day of a date or a time, since 1970, or NaN.
func dayOf(v *snapshot.Value) float64 {
	switch v.Kind {
	case pipeline.Date:
		return float64(v.Num)
	case pipeline.Timestamp:
		return math.Floor(float64(v.Num) / (86400 * 1e6))
	case pipeline.String:
		if len(v.Text) < len(time.DateOnly) || v.Text[4] != '-' || len(v.Text) > 40 {
			return math.NaN()
		}
		text := string(v.Text)
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t, err = time.Parse(time.RFC3339Nano, text)
		}
		if err != nil {
			return math.NaN()
		}
		return math.Floor(float64(t.Unix()) / 86400)
	}
	return math.NaN()
}

// useRanges makes ranges of the values, if nearly all are numbers, or dates.
func (d *dimension) useRanges() bool {
	for _, scale := range []scale{scaleNumbers, scaleDates} {
		n := 0
		for i := range d.places[firstPlace:] {
			if !math.IsNaN(d.places[firstPlace+i].scalar[scale]) {
				n++
			}
		}
		if n < len(d.index)*9/10 {
			continue
		}
		d.scale, d.index, d.ranges, d.gone = scale, nil, map[int64]int32{}, nil
		d.rebuild(func(p *place) int32 {
			if x := p.scalar[scale]; !math.IsNaN(x) {
				return d.rangeOf(x)
			}
			d.folded++
			return placeOther
		})
		return true
	}
	return false
}

// rebuild empties the places, and adds the users of each of a value or a range to the place that find returns.
func (d *dimension) rebuild(find func(p *place) int32) {
	old := d.places
	d.places = append(make([]place, 0, len(old)), old[:firstPlace]...)
	for i := firstPlace; i < len(old); i++ {
		to := find(&old[i])
		d.places[to].merge(&old[i].counters)
	}
}

// rangeOf is the place of the range that x is in.
func (d *dimension) rangeOf(x float64) int32 {
	o := d.ordinal(x) >> d.shift
	if _, ok := d.ranges[o]; !ok && len(d.ranges) >= d.limit {
		d.coarsen()
		return d.rangeOf(x)
	}
	return d.addRange(o, x)
}

// addRange is the place of a range, which it gets if it has none, and which x is in.
func (d *dimension) addRange(ordinal int64, x float64) int32 {
	i, ok := d.ranges[ordinal]
	if !ok {
		i = int32(len(d.places))
		d.ranges[ordinal] = i
		d.places = append(d.places, place{ordinal: ordinal, min: x, max: x})
	}
	p := &d.places[i]
	p.min, p.max = min(p.min, x), max(p.max, x)
	return i
}

// ordinal numbers the ranges of two significant digits in ascending order: 0, …, 1.0, 1.1, …, 9.9, 10, 11, …; days as
// they are.
func (d *dimension) ordinal(x float64) int64 {
	if d.scale == scaleDates {
		return int64(x)
	}
	if x == 0 {
		return 0
	}
	a := math.Abs(x)
	exponent := math.Floor(math.Log10(a))
	mantissa := math.Floor(a / math.Pow(10, exponent-1) * (1 + 1e-12))
	switch { // the logarithm of a power of ten may be off by a bit
	case math.IsInf(mantissa, 0) || math.IsNaN(mantissa): // below all that is normal
		mantissa = 10
	case mantissa < 10:
		mantissa = 10
	case mantissa > 99:
		exponent, mantissa = exponent+1, 10
	}
	o := (int64(exponent)+400)*90 + int64(mantissa) - 10 + 1
	if x < 0 {
		return -o
	}
	return o
}

// coarsen makes each range twice as wide.
func (d *dimension) coarsen() {
	d.shift++
	d.ranges = map[int64]int32{}
	d.rebuild(func(p *place) int32 {
		to := d.addRange(p.ordinal>>1, p.min)
		d.places[to].max = max(d.places[to].max, p.max)
		return to
	})
}

// dropRarest counts the rarer half of the values as other from now on.
func (d *dimension) dropRarest() {
	order := slices.Clone(d.places[firstPlace:])
	slices.SortStableFunc(order, func(a, b place) int { return cmp.Compare(b.n(), a.n()) })
	if d.gone == nil {
		d.gone = map[uint64]struct{}{}
	}
	for i := range order[len(order)/2:] {
		d.gone[maphash.String(d.seed, order[len(order)/2+i].text)] = struct{}{}
		d.folded++
	}
	clear(d.index)
	d.rebuild(func(p *place) int32 {
		if _, gone := d.gone[maphash.String(d.seed, p.text)]; gone {
			return placeOther
		}
		to := int32(len(d.places))
		d.index[p.text] = to
		d.places = append(d.places, place{text: p.text, scalar: p.scalar})
		return to
	})
}

// group is a slice to be, and the places in it.
type group struct {
	label  string
	kind   string
	places []int32
	n      int64
	users  *counters // when they are counted
}

// makeGroups makes slices of the places: ranges ascending, values by users, then those without a value and all others.
func (d *dimension) makeGroups() []group {
	var order []int32
	for i := firstPlace; i < len(d.places); i++ {
		order = append(order, int32(i))
	}
	at := func(i int32) *place { return &d.places[i] }
	var groups []group
	other := group{"(other)", SliceOther, []int32{placeOther}, at(placeOther).n(), nil}
	every := func(scale scale) bool {
		return !slices.ContainsFunc(order, func(i int32) bool { return math.IsNaN(at(i).scalar[scale]) })
	}
	switch {
	case d.scale != scaleValues:
		slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(at(a).ordinal, at(b).ordinal) })
		groups = d.makeBins(order)
	case len(order) <= maxExact && (every(scaleNumbers) || every(scaleDates)): // few: each as it is, in its order
		of := scaleNumbers
		if !every(of) {
			of = scaleDates
		}
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(at(a).scalar[of], at(b).scalar[of]) })
		for _, i := range order {
			groups = append(groups, group{at(i).text, SliceValue, []int32{i}, at(i).n(), nil})
		}
	default:
		slices.SortFunc(order, func(a, b int32) int {
			return cmp.Or(cmp.Compare(at(b).n(), at(a).n()), cmp.Compare(at(a).text, at(b).text))
		})
		for k, i := range order {
			if k < TopValues || len(order) == TopValues+1 && other.n == 0 {
				groups = append(groups, group{at(i).text, SliceValue, []int32{i}, at(i).n(), nil})
				continue
			}
			other.places, other.n = append(other.places, i), other.n+at(i).n()
			d.folded++
		}
	}
	if n := at(placeMissing).n(); n > 0 {
		groups = append(groups, group{"(none)", SliceMissing, []int32{placeMissing}, n, nil})
	}
	if other.n > 0 {
		groups = append(groups, other)
	}
	return groups
}

// makeBins joins ranges, so that each bin has about the same number of users.
func (d *dimension) makeBins(order []int32) []group {
	var total int64
	for _, i := range order {
		total += d.places[i].n()
	}
	var groups []group
	last, sum := -1, int64(0)
	var low, high float64
	label := func() {
		if last >= 0 {
			groups[len(groups)-1].label = d.rangeLabel(low, high)
		}
	}
	for _, i := range order {
		p := &d.places[i]
		bin := min(Bins-1, int((float64(sum)+float64(p.n())/2)*Bins/float64(max(total, 1))))
		sum += p.n()
		if bin != last {
			label()
			groups, low = append(groups, group{kind: SliceRange}), p.min
			last = bin
		}
		g := &groups[len(groups)-1]
		g.places, g.n, high = append(g.places, i), g.n+p.n(), p.max
	}
	label()
	return groups
}

func (d *dimension) rangeLabel(low, high float64) string {
	text := func(x float64) string {
		if d.scale == scaleDates {
			return time.Unix(int64(x)*86400, 0).UTC().Format(time.DateOnly)
		}
		if a := math.Abs(x); a != 0 && (a < 1e-4 || a >= 1e15) {
			return strconv.FormatFloat(x, 'g', -1, 64)
		}
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	if low == high {
		return text(low)
	}
	return fmt.Sprintf("%s to %s", text(low), text(high))
}
