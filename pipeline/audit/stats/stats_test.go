package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func near(got, want, tolerance float64) bool {
	return got == want || math.Abs(got-want) <= tolerance*math.Max(math.Abs(got), math.Abs(want))
}

// TestRatioKnown: the first two are the examples of SciPy's documentation of scipy.stats.chisquare, with its results.
// Of two categories p is erfc(sqrt(chi2/2)), of three exp(-chi2/2): both computed with Python's math.
func TestRatioKnown(t *testing.T) {
	for _, test := range []struct {
		name     string
		observed []int64
		weights  []float64
		chi2, p  float64
		method   string
	}{
		{"SciPy, uniform", []int64{16, 18, 16, 14, 12, 12}, []float64{1, 1, 1, 1, 1, 1}, 2, 0.84914503608460956, ChiSquared},
		{"SciPy, weighted", []int64{16, 18, 16, 14, 12, 12}, []float64{16, 16, 16, 16, 16, 8}, 3.5, 0.62338762774958223,
			ChiSquared},
		{"two", []int64{5200, 4800}, []float64{50, 50}, 16, 6.334248366623996e-05, ChiSquared},
		{"two, the other way around", []int64{4800, 5200}, []float64{0.5, 0.5}, 16, 6.334248366623996e-05, ChiSquared},
		{"three", []int64{4915, 5000, 5085}, []float64{1, 1, 1}, 2.89, 0.2357460766555, ChiSquared},
		{"an empty one without a weight", []int64{1000, 0, 1000}, []float64{2, 0, 2}, 0, 1, ChiSquared},
		// Of 500 users 5 are expected in the first: chi-squared says 7.1e-06, twice the exact tail 4.1e-04.
		{"few expected", []int64{15, 485}, []float64{1, 99}, 20.202020202020204, 0.0004113557296400682, Exact},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Ratio(test.observed, test.weights)
			if !got.Tested() || !near(got.Chi2, test.chi2, 1e-12) || !near(got.P, test.p, 1e-6) || got.Method != test.method {
				t.Errorf("Ratio(%v, %v) = %+v, want chi2 %v p %v by %s", test.observed, test.weights, got, test.chi2, test.p,
					test.method)
			}
		})
	}
}

func TestRatioEffect(t *testing.T) {
	got := Ratio([]int64{5200, 4800}, []float64{50, 50})
	// w = sqrt(sum((o-e)^2/e)) of the shares: (0.02² / 0.5 × 2) = 0.0016.
	if !near(got.W, 0.04, 1e-12) || got.Worst != 0 || !near(got.Deviation, 0.02, 1e-9) {
		t.Errorf("Ratio of 52 to 48 %% = %+v, want w 0.04, the first 0.02 too large", got)
	}
	got = Ratio([]int64{100, 200, 700}, []float64{10, 25, 65})
	if got.Worst != 1 && got.Worst != 2 || !near(math.Abs(got.Deviation), 0.05, 1e-9) {
		t.Errorf("Ratio of 10, 20, 70 against 10, 25, 65 %% = %+v, want a deviation of 0.05", got)
	}
}

func TestNoTest(t *testing.T) {
	for _, test := range []struct {
		name     string
		observed []int64
		weights  []float64
		none     string
	}{
		{"nobody", []int64{0, 0}, []float64{1, 1}, "there are no users"},
		{"one variant", []int64{10}, []float64{1}, "there is only one variant"},
		{"one variant with a weight", []int64{10, 0}, []float64{1, 0}, "there is only one variant"},
		{"users of a weight of 0", []int64{10, 10, 1}, []float64{1, 1, 0}, "there are users where there should be none"},
		{"few users", []int64{4, 5}, []float64{1, 1}, "too few users: 4.5 expected in the smallest group, 5 are needed"},
		{"no variants", nil, nil, "there are no users"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Ratio(test.observed, test.weights)
			if got.Tested() || got.None != test.none || got.Verdict != None || got.P != 1 {
				t.Errorf("Ratio(%v, %v) = %+v, want no test: %s", test.observed, test.weights, got, test.none)
			}
		})
	}
	if got := Homogeneity([]int64{3, 3}, []int64{3, 3}); got.Tested() {
		t.Errorf("Homogeneity of 12 users = %+v, want no test", got)
	}
	if got := Homogeneity([]int64{0, 0}, []int64{30, 30}); got.Tested() {
		t.Errorf("Homogeneity of nobody = %+v, want no test", got)
	}
}

// TestHomogeneityKnown: the first is the example of SciPy's documentation of scipy.stats.chi2_contingency.
func TestHomogeneityKnown(t *testing.T) {
	got := Homogeneity([]int64{10, 10, 20}, []int64{20, 20, 20})
	if !near(got.Chi2, 2.7777777777777777, 1e-12) || !near(got.P, 0.24935220877729619, 1e-12) || got.DF != 2 ||
		got.N != 40 {
		t.Errorf("Homogeneity = %+v, want chi2 2.7778, p 0.249352 of 2 degrees of freedom", got)
	}
}

// TestTails: twice the smaller tail, summed up as fractions:
//
//	from fractions import Fraction as F; from math import comb
//	def binom(x, n, p):
//	    pm = lambda k: comb(n, k) * p**k * (1-p)**(n-k)
//	    return float(min(F(1), 2*min(sum(map(pm, range(x, n+1))), sum(map(pm, range(x+1))))))
//	def hyper(x, n, K, N):
//	    pm = lambda k: F(comb(K, k) * comb(N-K, n-k), comb(N, n))
//	    return float(min(F(1), 2*min(sum(map(pm, range(max(0, n+K-N), x+1))), sum(map(pm, range(x, min(n, K)+1))))))
func TestTails(t *testing.T) {
	for _, test := range []struct {
		x, n    int64
		p, want float64
	}{{15, 500, 0.01, 0.0004113557296400682}, {0, 10, 0.5, 0.001953125}, {60, 100, 0.5, 0.05688793364098079},
		{30, 1000, 0.05, 0.0025541358349596747}, {5, 5, 1. / 3, 0.00823045267489712}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			if got := binomial(test.x, test.n, test.p); !near(got, test.want, 1e-9) {
				t.Errorf("binomial(%d, %d, %v) = %v, want %v", test.x, test.n, test.p, got, test.want)
			}
		})
	}
	for _, test := range []struct {
		x, n, marked, all int64
		want              float64
	}{{15, 100, 50, 1000, 8.40025421319235e-05}, {0, 20, 30, 100, 0.0006040657699536241},
		{9, 10, 40, 100, 0.001993493342382848}, {200, 1000, 1500, 10000, 7.927442882824783e-06}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			if got := hypergeometric(test.x, test.n, test.marked, test.all); !near(got, test.want, 1e-9) {
				t.Errorf("hypergeometric(%d, %d, %d, %d) = %v, want %v", test.x, test.n, test.marked, test.all, got, test.want)
			}
		})
	}
}

// TestWilson: table I of Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine
// 17, 1998, method 3, to its four digits.
func TestWilson(t *testing.T) {
	for _, test := range []struct {
		n, of     int64
		low, high float64
	}{{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			if low, high := Wilson(test.n, test.of); math.Abs(low-test.low) > 5e-5 || math.Abs(high-test.high) > 5e-5 {
				t.Errorf("Wilson(%d, %d) = %v, %v, want %v, %v", test.n, test.of, low, high, test.low, test.high)
			}
		})
	}
	if low, high := Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("Wilson(0, 0) = %v, %v, want 0, 1", low, high)
	}
	for of := int64(1); of < 60; of++ { // the interval holds the share, mirrors, and grows with it
		before := -1.0
		for n := range of + 1 {
			low, high := Wilson(n, of)
			p := float64(n) / float64(of)
			l2, h2 := Wilson(of-n, of)
			if low > p || high < p || low < 0 || high > 1 || low < before || math.Abs(low+h2-1) > 1e-12 ||
				math.Abs(high+l2-1) > 1e-12 {
				t.Errorf("Wilson(%d, %d) = %v, %v; mirrored %v, %v; the one before began at %v", n, of, low, high, l2, h2, before)
			}
			before = low
		}
	}
}

// TestHolm: the example of R's documentation: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm").
func TestHolm(t *testing.T) {
	ps := []float64{0.03, 0.01, 0.05, 0.02, 0.04}
	Holm(ps)
	for i, want := range []float64{0.09, 0.05, 0.09, 0.08, 0.09} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			if !near(ps[i], want, 1e-12) {
				t.Errorf("Holm: p[%d] = %v, want %v", i, ps[i], want)
			}
		})
	}
	Holm(nil)
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 { // never smaller than it was or than Bonferroni allows, and in the same order
		raw := make([]float64, 1+r.IntN(40))
		for i := range raw {
			raw[i] = math.Pow(r.Float64(), 4)
		}
		corrected := slices.Clone(raw)
		Holm(corrected)
		for i := range raw {
			if corrected[i] < raw[i] || corrected[i] > min(1, raw[i]*float64(len(raw)))+1e-15 &&
				corrected[i] > slices.Max(corrected) {
				t.Fatalf("Holm(%v)[%d] = %v", raw, i, corrected[i])
			}
			for j := range raw {
				if raw[i] < raw[j] && corrected[i] > corrected[j] {
					t.Fatalf("Holm(%v) turns %d and %d around: %v", raw, i, j, corrected)
				}
			}
		}
	}
}

func TestCorrect(t *testing.T) {
	a := Ratio([]int64{52000, 48000}, []float64{1, 1}) // p about 1e-36
	b := Ratio([]int64{5000, 5000}, []float64{1, 1})
	c := Ratio([]int64{1, 1}, []float64{1, 1})
	d := Ratio([]int64{5155, 4845}, []float64{1, 1}) // p = 0.0019: nothing among four, a warning among one
	if n := Correct("one", []*Test{&a, &b, &c, &d}); n != 3 || a.Verdict != Alert || b.Verdict != OK ||
		c.Verdict != None || d.Verdict != Warn {
		t.Errorf("Correct = %d: %+v %+v %+v %+v, want 3: alert ok none warn", n, a, b, c, d)
	}
	many := []*Test{&d}
	for range 9 {
		many = append(many, &Test{P: 1})
	}
	if Correct("many", many); d.Verdict != OK || !near(d.Corrected, 10*d.P, 1e-12) || d.Tests != 10 || d.Family != "many" {
		t.Errorf("one of ten = %+v, want ok, corrected 10 × p for 10 tests of the family many", d)
	}
}

// TestMonotone: the further from the weights, the smaller p; the order of the categories does not matter.
func TestMonotone(t *testing.T) {
	for _, n := range []int64{40, 400, 4000, 400_000, 40_000_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			before := 2.0
			for d := int64(0); d <= n/2; d += max(1, n/200) {
				got, mirrored := Ratio([]int64{n/2 + d, n/2 - d}, []float64{3, 3}), Ratio([]int64{n/2 - d, n/2 + d}, []float64{3, 3})
				if got.P > before || got.P < 0 || math.IsNaN(got.P) || !near(got.P, mirrored.P, 1e-9) {
					t.Fatalf("Ratio of %d users, %d off: p %v, mirrored %v, one step nearer %v", n, d, got.P, mirrored.P, before)
				}
				before = got.P
			}
		})
	}
	for _, n := range []int64{100, 10_000, 1_000_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			before := 2.0
			for d := int64(0); d <= n/2; d += max(1, n/100) {
				got := Homogeneity([]int64{n/2 + d, n/2 - d}, []int64{5 * n, 5 * n})
				if got.P > before || got.P < 0 || math.IsNaN(got.P) {
					t.Fatalf("Homogeneity of %d users, %d off: p %v, one step nearer %v", n, d, got.P, before)
				}
				before = got.P
			}
		})
	}
}

// TestFalseAlarms: of 4000 healthy splits each, skewed and small ones among them, no more are below a limit than
// the limit promises (and four standard deviations).
func TestFalseAlarms(t *testing.T) {
	const runs = 4000
	for i, test := range []struct {
		n       int64
		weights []float64
	}{{40, []float64{1, 1}}, {500, []float64{1, 99}}, {600, []float64{1, 33, 66}}, {800, []float64{1, 2, 3, 4}}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			var sum float64
			for _, w := range test.weights {
				sum += w
			}
			below := map[float64]int{}
			for range runs {
				counts := make([]int64, len(test.weights))
				for range test.n {
					x, k := r.Float64()*sum, 0
					for x >= test.weights[k] && k < len(counts)-1 {
						x -= test.weights[k]
						k++
					}
					counts[k]++
				}
				p := Ratio(counts, test.weights).P
				for _, limit := range []float64{WarnBelow, AlertBelow, 1e-4} {
					if p < limit {
						below[limit]++
					}
				}
			}
			for _, limit := range []float64{WarnBelow, AlertBelow, 1e-4} {
				if most := runs*limit + 4*math.Sqrt(runs*limit); float64(below[limit]) > most {
					t.Errorf("%d users by %v: %d of %d p-values below %v, want at most %.0f", test.n, test.weights, below[limit], runs,
						limit, most)
				}
			}
		})
	}
}

// TestApart: a slice of users who are off as a whole is tested by what says less.
func TestApart(t *testing.T) {
	half := []float64{1, 1}
	for _, test := range []struct {
		name          string
		observed, all []int64
		others        bool
		verdict       Verdict
	}{
		{"shares what is off", []int64{600, 400}, []int64{6000, 4000}, true, OK},
		{"as expected", []int64{500, 500}, []int64{6000, 4000}, false, OK},
		{"off by itself", []int64{200, 800}, []int64{6000, 4000}, false, Alert},
		{"off by itself, less unlike the others", []int64{700, 300}, []int64{6000, 4000}, true, Alert},
		{"all users", []int64{6000, 4000}, []int64{6000, 4000}, true, None},
		{"few users", []int64{2, 3}, []int64{6000, 4000}, false, None},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, others := Apart(Ratio(test.observed, half), test.observed, test.all)
			Correct("slices", []*Test{&got})
			if others != test.others || got.Verdict != test.verdict {
				t.Errorf("Apart(%v of %v) is %+v against others %v, want %s against others %v", test.observed, test.all, got,
					others, test.verdict, test.others)
			}
		})
	}
}
