package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// foldAll folds the values as a collector does, and counts users by the slice's label.
func foldAll(values []snapshot.Value) (labels []string, users map[string]int64, d *dimension) {
	d = newDimension("column")
	for i := range values {
		d.countersOf(&values[i]).users++
	}
	users = map[string]int64{}
	for _, g := range d.makeGroups() {
		label := g.label
		if g.kind == SliceMissing || g.kind == SliceOther { // a value may be called "(none)"
			label = g.kind
		}
		labels = append(labels, label)
		for _, p := range g.places {
			users[label] += d.places[p].users
		}
		if users[label] != g.n {
			panic(fmt.Sprintf("slice %s has %d users by the counters, %d by the dimension", label, users[label], g.n))
		}
	}
	return labels, users, d
}

func texts(list ...string) (values []snapshot.Value) {
	for _, s := range list {
		v := snapshot.Value{Kind: pipeline.String, Text: []byte(s)}
		if s == "" {
			v = snapshot.Value{}
		}
		values = append(values, v)
	}
	return values
}

func TestFold(t *testing.T) {
	var many, cities, sorted, numbers, dates, mixed, few []string
	for i := range 3000 {
		many = append(many, fmt.Sprint("v", i%40))
		cities = append(cities, fmt.Sprint("city", i), "Berlin")
		sorted = append(sorted, fmt.Sprintf("c%04d", i))
		numbers = append(numbers, strconv.Itoa(i+1))
		dates = append(dates, fmt.Sprintf("20%02d-%02d-%02dT10:00:00Z", i%25, i%12+1, i%28+1))
		mixed = append(mixed, []string{strconv.Itoa(i), strconv.Itoa(-i), "0.5", "n/a"}[i%4])
		few = append(few, strconv.Itoa(i%3*5))
	}
	for range 500 { // after 3000 that come once
		sorted = append(sorted, "late")
	}
	for _, test := range []struct {
		name   string
		values []snapshot.Value
		labels []string // nil: see count
		count  int
		users  map[string]int64
		folded int64
	}{
		{"nothing", nil, nil, 0, nil, 0},
		{"missing", texts("", "", "a"), []string{"a", SliceMissing}, 0, map[string]int64{"a": 1, SliceMissing: 2}, 0},
		{"values by users", texts("b", "a", "b", "c", "a", "b"), []string{"b", "a", "c"}, 0, map[string]int64{"b": 3}, 0},
		{"a value called none", texts("(none)", ""), []string{"(none)", SliceMissing}, 0, nil, 0},
		{"few numbers", texts(few...), []string{"0", "5", "10"}, 0, map[string]int64{"5": 1000}, 0},
		{"many values", texts(many...), nil, TopValues + 1, map[string]int64{SliceOther: 20 * 75, "v0": 75}, 20},
		{"one more than there is room for", texts(many[:21]...), nil, TopValues + 1, nil, 0},
		{"more values than are counted", texts(cities...), nil, TopValues + 1, map[string]int64{"Berlin": 3000},
			3000 - TopValues + 1},
		{"sorted", texts(sorted...), nil, TopValues + 1, map[string]int64{"late": 500}, 3001 - TopValues},
		{"numbers", texts(numbers...), nil, Bins, map[string]int64{"1 to 599": 599}, 0},
		{"dates", texts(dates...), nil, Bins, nil, 0},
		{"numbers and others", texts(mixed...), nil, Bins + 1, map[string]int64{SliceOther: 750}, 1},
		{"booleans", []snapshot.Value{{Kind: pipeline.Bool, Num: 1}, {Kind: pipeline.Bool}}, []string{"false", "true"}, 0,
			nil, 0},
		{"long texts", texts(strings.Repeat("x", 257), strings.Repeat("y", 1000), "a"), []string{"a", SliceOther}, 0, nil, 0},
		{"NaN", []snapshot.Value{{Kind: pipeline.Float, Num: int64(math.Float64bits(math.NaN()))},
			{Kind: pipeline.Int, Num: 3}}, []string{"3", "NaN"}, 0, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			labels, users, d := foldAll(test.values)
			if test.labels != nil && !slices.Equal(labels, test.labels) || test.labels == nil && len(labels) != test.count {
				t.Errorf("%s: slices %q, want %q, %d", test.name, labels, test.labels, test.count)
			}
			for label, want := range test.users {
				if users[label] != want {
					t.Errorf("%s: %d users in slice %q, want %d; all: %v", test.name, users[label], label, want, users)
				}
			}
			if d.folded != test.folded {
				t.Errorf("%s: %d values in other, want %d", test.name, d.folded, test.folded)
			}
			var total int64
			for _, n := range users {
				total += n
			}
			if total != int64(len(test.values)) {
				t.Errorf("%s: the slices have %d users, want %d", test.name, total, len(test.values))
			}
		})
	}
}

// TestBinsAreQuantiles: each bin of continuous numbers has about as many users, however they are spread.
func TestBinsAreQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func() float64{
		"uniform": r.Float64, "lognormal": func() float64 { return math.Exp(4 * r.NormFloat64()) }, "normal": r.NormFloat64,
		"tiny": func() float64 { return r.Float64() * 1e-300 }, "huge": func() float64 { return r.Float64() * 1e300 },
	} {
		t.Run(name, func(t *testing.T) {
			var values []snapshot.Value
			for range 5000 {
				values = append(values, snapshot.Value{Kind: pipeline.Float, Num: int64(math.Float64bits(draw()))})
			}
			labels, users, _ := foldAll(values)
			if len(labels) != Bins {
				t.Errorf("%s: slices %q, want %d", name, labels, Bins)
			}
			for label, n := range users {
				if n < 750 || n > 1250 {
					t.Errorf("%s: %d users in %s, want about 1000", name, n, label)
				}
			}
		})
	}
}

// TestOrdinal: larger numbers have larger ordinals, and the same two digits the same.
func TestOrdinal(t *testing.T) {
	d := &dimension{scale: scaleNumbers}
	numbers := []float64{-math.MaxFloat64, -1e20, -110, -100, -99, -10, -9.9, -1, -0.5, -1e-200, 0,
		math.SmallestNonzeroFloat64, 1e-200, 0.1, 0.11, 0.99, 1, 1.1, 9.9, 10, 11, 99,
		100, 110, 1000, 12000, 1e15, math.MaxFloat64}
	for i := range numbers[1:] {
		if a, b := d.ordinal(numbers[i]), d.ordinal(numbers[i+1]); a >= b {
			t.Errorf("ordinal(%v) = %d, ordinal(%v) = %d, want less", numbers[i], a, numbers[i+1], b)
		}
	}
	for _, same := range [][2]float64{{101, 109}, {1.5, 1.59}, {0.0123, 0.0124}, {-15.1, -15.9}} {
		if a, b := d.ordinal(same[0]), d.ordinal(same[1]); a != b {
			t.Errorf("ordinal(%v) = %d, ordinal(%v) = %d, want the same", same[0], a, same[1], b)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		a, b := math.Exp(20*r.NormFloat64()), math.Exp(20*r.NormFloat64())
		if a > b {
			a, b = b, a
		}
		if d.ordinal(a) > d.ordinal(b) {
			t.Fatalf("ordinal(%v) = %d > ordinal(%v) = %d", a, d.ordinal(a), b, d.ordinal(b))
		}
	}
}

// TestFoldProperties: whatever the values, no user is lost, no value with a slice of its own is counted short, and what
// is held does not grow with them.
func TestFoldProperties(t *testing.T) {
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 8))
		distinct := 1 << r.IntN(14)
		kind := r.IntN(4)
		var values []snapshot.Value
		want := map[string]int64{}
		for range 5000 {
			k := int(float64(distinct) * math.Pow(r.Float64(), 3))
			var s string
			switch kind {
			case 0:
				s = fmt.Sprint("v", k)
			case 1:
				s = strconv.Itoa(k - distinct/2)
			case 2:
				s = strconv.FormatFloat(math.Exp(float64(k%600)-300), 'g', -1, 64)
			case 3:
				s = []string{"", "x", strconv.Itoa(k)}[r.IntN(3)]
			}
			values = append(values, texts(s)...)
			want[s]++
		}
		labels, users, d := foldAll(values)
		var total int64
		for _, n := range users {
			total += n
		}
		if total != 5000 || len(labels) > TopValues+3 || len(d.places) > maxValues+firstPlace+1 ||
			!cmp.Equal(len(users), len(labels)) {
			t.Errorf("seed %d: %d users in %d slices of %d places", seed, total, len(labels), len(d.places))
		}
		for _, g := range d.makeGroups() {
			if n, known := want[g.label]; known && g.kind == SliceValue && n != users[g.label] {
				t.Errorf("seed %d: slice %q has %d users, want %d", seed, g.label, users[g.label], n)
			}
		}
	}
}
