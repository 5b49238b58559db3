package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

const (
	// AlertBelow and WarnBelow are the corrected p-values below which a test is a finding.
	AlertBelow = 0.001
	WarnBelow  = 0.01

	// MinExpected is the expected count below which nothing is tested: Cochran's rule ("Some methods for strengthening
	// the common χ² tests", Biometrics 10, 1954), in its stricter form that no cell may be smaller.
	MinExpected = 5

	// exactBelow is the expected count below which an exact test has to agree, because the tail of chi-squared is too thin
	// at the p-values that a correction for many tests asks for: where 5 are expected, 15 have p = 1e-5 according to
	// chi-squared, and 2e-4 in truth.
	exactBelow = 1000
)

// Verdict is what a [Test] says.
type Verdict string

// The verdicts.
const (
	None  Verdict = "none"  // nothing was tested
	OK    Verdict = "ok"    // nothing was found
	Warn  Verdict = "warn"  // corrected p below WarnBelow
	Alert Verdict = "alert" // corrected p below AlertBelow
)

// The methods of a [Test].
const (
	ChiSquared = "chi-squared"
	// Exact is each category's binomial or hypergeometric tails, times the number of categories (Bonferroni), and at most
	// WarnBelow, where it takes over from chi-squared.
	Exact = "exact"
)

// Test is one test. Where None is set nothing was tested, and P, Corrected, Chi2 and W have no meaning.
type Test struct {
	Verdict   Verdict `json:"verdict"`
	P         float64 `json:"p"`           // of this test alone
	Corrected float64 `json:"p_corrected"` // for all tests of the family, see [Correct]; the Verdict is based on it
	Family    string  `json:"family"`      // the tests that it was corrected with; "": none yet
	Tests     int     `json:"tests"`       // the number of tests in the family
	Method    string  `json:"method"`      // the method that P is from: the one with the larger P
	Chi2      float64 `json:"chi2"`
	DF        int     `json:"df"`
	N         int64   `json:"n"` // users

	// W is Cohen's effect size, which does not depend on the number of users; 0.1 is what Cohen calls small.
	W float64 `json:"effect_w"`

	// Worst is the category with the largest deviation, and Deviation is its share less the share that it should have:
	// 0.02 is two percentage points too many.
	Worst     int     `json:"worst"`
	Deviation float64 `json:"deviation"`

	MinExpected float64 `json:"min_expected"`   // the smallest expected count
	None        string  `json:"none,omitempty"` // why nothing was tested
}

// Tested reports whether there was a test.
func (t *Test) Tested() bool { return t.None == "" }

// PText is the p-value, and says whether it is corrected: "p = 0.042", "corrected p = 0.042".
func (t *Test) PText() string {
	if t.Tests > 1 {
		return "corrected " + text.PValue(t.Corrected)
	}
	return text.PValue(t.Corrected)
}

// Ratio tests whether counts are split by weights, whose sum may be anything. Categories with a count and a weight of 0
// are ignored.
func Ratio(observed []int64, weights []float64) Test {
	t := Test{Verdict: None, P: 1, Corrected: 1}
	var sum float64
	for i, w := range weights {
		t.N += observed[i]
		sum += w
	}
	categories := 0
	t.MinExpected = math.Inf(1)
	impossible := false
	for i, w := range weights {
		if w <= 0 {
			impossible = impossible || observed[i] > 0
			continue
		}
		categories++
		expected := float64(t.N) * w / sum
		t.MinExpected = min(t.MinExpected, expected)
		t.Chi2 += (float64(observed[i]) - expected) * (float64(observed[i]) - expected) / expected
		t.recordDeviation(i, float64(observed[i])/float64(t.N)-w/sum)
	}
	switch {
	case t.N == 0:
		return untested("there are no users")
	case impossible:
		return untested("there are users where there should be none")
	case categories < 2:
		return untested("there is only one variant")
	case t.MinExpected < MinExpected:
		return t.tooSmall()
	}
	t.computeP(categories, func() float64 {
		p := 1.0
		for i, w := range weights {
			if w > 0 {
				p = min(p, binomial(observed[i], t.N, w/sum))
			}
		}
		return p
	})
	return t
}

// Homogeneity tests whether a group is split as the others are. Categories that are empty in both are ignored.
func Homogeneity(group, others []int64) Test {
	t := Test{Verdict: None, P: 1, Corrected: 1}
	var n, m int64
	for i := range group {
		n += group[i]
		m += others[i]
	}
	t.N = n
	all := float64(n + m)
	categories := 0
	t.MinExpected = math.Inf(1)
	for i := range group {
		total := float64(group[i] + others[i])
		if total == 0 {
			continue
		}
		categories++
		for _, c := range [2]struct{ observed, size int64 }{{group[i], n}, {others[i], m}} {
			expected := total * float64(c.size) / all
			t.MinExpected = min(t.MinExpected, expected)
			t.Chi2 += (float64(c.observed) - expected) * (float64(c.observed) - expected) / expected
		}
		t.recordDeviation(i, float64(group[i])/float64(n)-float64(others[i])/float64(m))
	}
	switch {
	case n == 0 || m == 0:
		return untested("there are no users to compare")
	case categories < 2:
		return untested("there is only one variant")
	case t.MinExpected < MinExpected:
		return t.tooSmall()
	}
	t.N = n + m // what W is relative to
	t.computeP(categories, func() float64 {
		p := 1.0
		for i := range group {
			if total := group[i] + others[i]; total > 0 {
				p = min(p, hypergeometric(group[i], n, total, n+m))
			}
		}
		return p
	})
	t.N = n
	return t
}

// Apart tests a slice of users where the users as a whole are not split as expected: observed are the counts of the
// slice, all those of all users, and expected is the slice's [Ratio]. Most slices deviate as all users do, and a
// finding for each would repeat the same thing. So a slice is off only if it is neither as expected nor as all others
// are, and its test is the one of the two with the larger p-value: others reports whether that is the comparison with
// the others. Its chance of a false alarm is at most that of either of them.
func Apart(expected Test, observed, all []int64) (t Test, others bool) {
	if !expected.Tested() {
		return expected, false
	}
	rest := make([]int64, len(all))
	for i := range all {
		rest[i] = all[i] - observed[i]
	}
	if t := Homogeneity(observed, rest); !t.Tested() || t.P > expected.P {
		return t, true
	}
	return expected, false
}

func untested(why string) Test { return Test{Verdict: None, P: 1, Corrected: 1, None: why} }

// recordDeviation keeps the largest deviation; of two alike the positive one.
func (t *Test) recordDeviation(i int, deviation float64) {
	switch more := math.Abs(deviation) - math.Abs(t.Deviation); {
	case more > 1e-12, more > -1e-12 && deviation > 0 && t.Deviation < 0:
		t.Worst, t.Deviation = i, deviation
	}
}

func (t Test) tooSmall() Test {
	t.None = fmt.Sprintf("too few users: %.1f expected in the smallest group, %d are needed", t.MinExpected, MinExpected)
	t.Chi2 = 0
	return t
}

// computeP sets the p-value. exact returns the smallest exact p-value of the categories.
func (t *Test) computeP(categories int, exact func() float64) {
	t.DF, t.Method, t.Verdict = categories-1, ChiSquared, OK
	t.W = math.Sqrt(t.Chi2 / float64(t.N))
	t.P = mathext.GammaIncRegComp(float64(t.DF)/2, t.Chi2/2)
	if t.P < WarnBelow && t.MinExpected < exactBelow { // no finding by the approximation alone
		p := exact()
		if categories > 2 { // of two, both have the same p-value
			p *= float64(categories)
		}
		if p = min(p, WarnBelow); p > t.P {
			t.P, t.Method = p, Exact
		}
	}
	t.Corrected = t.P
}

// binomial is the two-sided p-value of x successes among n with probability p.
func binomial(x, n int64, p float64) float64 {
	// P(X ≥ x) is the regularized incomplete beta function I_p(x, n-x+1); Abramowitz and Stegun 26.5.24.
	upper, lower := 1.0, 1.0
	if x > 0 {
		upper = mathext.RegIncBeta(float64(x), float64(n-x+1), p)
	}
	if x < n {
		lower = mathext.RegIncBeta(float64(n-x), float64(x+1), 1-p)
	}
	return min(1, 2*min(upper, lower))
}

// hypergeometric is the two-sided p-value of x marked ones among n that were drawn from all.
func hypergeometric(x, n, marked, all int64) float64 {
	choose := func(n, k int64) float64 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		return a - b - c
	}
	at := math.Exp(choose(marked, x) + choose(all-marked, n-x) - choose(all, n))
	up, down := at, at
	for k, p := x, at; k < min(n, marked) && p > up*1e-17; k++ {
		p *= float64(marked-k) * float64(n-k) / (float64(k+1) * float64(all-marked-n+k+1))
		up += p
	}
	for k, p := x, at; k > max(0, n+marked-all) && p > down*1e-17; k-- {
		p *= float64(k) * float64(all-marked-n+k) / (float64(marked-k+1) * float64(n-k+1))
		down += p
	}
	return min(1, 2*min(up, down))
}

// Wilson is the 95 % interval of the share n of a whole; from 0 to 1 where the whole is 0.
func Wilson(n, of int64) (low, high float64) {
	if of <= 0 {
		return 0, 1
	}
	const z = 1.959963984540054 // the 0.975 quantile of the normal distribution
	p, m := float64(n)/float64(of), float64(of)
	middle := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	low, high = max(0, (middle-half)/scale), min(1, (middle+half)/scale)
	if n <= 0 { // exactly, whatever rounding does
		low = 0
	}
	if n >= of {
		high = 1
	}
	return low, high
}

// Holm corrects p-values for their number, in place: "A simple sequentially rejective multiple test procedure",
// Scandinavian Journal of Statistics 6, 1979. The chance that any of them falls below a limit by luck is at
// most that limit, however they depend on each other.
func Holm(ps []float64) {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ps[a], ps[b]) })
	largest := 0.0
	for rank, i := range order {
		largest = max(largest, min(1, ps[i]*float64(len(ps)-rank)))
		ps[i] = largest
	}
}

// MostFrequent returns which of n counts are shown where most have room: all in their order, or the largest first. rest
// is the sum of the others.
func MostFrequent(n, most int, count func(i int) int64) (shown []int, rest int64) {
	for i := range n {
		shown = append(shown, i)
	}
	if n <= most {
		return shown, 0
	}
	slices.SortStableFunc(shown, func(a, b int) int { return cmp.Compare(count(b), count(a)) })
	for _, i := range shown[most:] {
		rest += count(i)
	}
	return shown[:most], rest
}

// Correct corrects the p-values of a family of tests for their number, sets the verdict of each, and returns how many
// there were.
func Correct(family string, tests []*Test) (tested int) {
	var ps []float64
	for _, t := range tests {
		if t.Tested() {
			ps = append(ps, t.P)
		}
	}
	Holm(ps)
	for _, t := range tests {
		t.Family = family
		if !t.Tested() {
			continue
		}
		t.Tests = len(ps)
		t.Corrected = ps[tested]
		t.Verdict = verdictOf(t.Corrected)
		tested++
	}
	return tested
}

func verdictOf(p float64) Verdict {
	switch {
	case p < AlertBelow:
		return Alert
	case p < WarnBelow:
		return Warn
	}
	return OK
}
