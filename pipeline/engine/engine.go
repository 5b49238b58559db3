package engine

import (
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Engine is a compiled set of flag configurations. It is made by [Parse] and never changes.
type Engine struct {
	semantics  Semantics
	rules      *rules // of the semantics
	flags      []flag // in the order of the configurations
	index      map[string]int32
	selectors  []selector
	variants   []*Variant
	warnings   []*ConfigError
	unanswered []*ConfigError
	all        *Plan
	states     sync.Pool
}

// Flag describes a flag, without evaluating it.
type Flag struct {
	Key            string
	Variants       []string // their keys, sorted
	Dependencies   []string // as configured
	FlagType       string   // release, experiment, holdout-group, mutual-exclusion-group, release-group
	EvaluationMode string   // local or remote
	ExperimentKey  string
	Deployed       bool // false only if the configuration says so
}

// Variant is one possible answer for one flag: one of its variants, as a segment of the flag gives it. [Parse] makes
// all of them. Those that Evaluate returns are shared and must not be changed.
//
// The embedded [pipeline.Variant] is what a client of the v1 API reads in an answer with this variant, byte for
// byte: a variant without a key has its name as Key, Payload and Metadata are JSON without white space, Value is
// the variant's value, as JSON text if it is not a string. Metadata is merged: the flag's, over that the segment's,
// over that the variant's; ExperimentKey is taken from it.
type Variant struct {
	pipeline.Variant
	ID        int    // position in [Engine.Variants]
	Name      string // what the flag calls the variant; its Key may differ
	ValueJSON string // the value as JSON text; "" is absent
	FlagType  string // of the metadata
	Default   bool   // according to the metadata, users who are not assigned get it
	Deployed  bool   // false only if the metadata says so

	answered bool
	tree     pipeline.Value // the merged variant as a JSON value, for selectors that start with result
}

// Answered reports whether the v1 API would list the variant. It leaves out defaults, what is not deployed, and
// the groups (mutual exclusion, holdout, release) that exist for other flags to depend on.
func (v *Variant) Answered() bool { return v.answered }

type flag struct {
	info         Flag
	config       []byte // as it was read
	dependencies []int32
	segments     []segment
	variants     [2]int32 // those of Engine.variants that are the flag's: from, to
}

type segment struct {
	name       string        // for explanations
	always     bool          // no conditions: all users match
	conditions [][]condition // of one of the lists, all must hold
	bucket     *bucket       // nil: no bucketing
	variant    result        // used where the bucket does not decide; 0: none
}

type bucket struct {
	selector    int32
	salt        saltHash
	allocations []allocation // as configured
	percents    steps        // of hash % 100: to rows
	rows        []row        // nil: too many distributions; use the allocations
	config      *bucketConfig
}

// row holds the results for some percents, by hash / 100.
type row struct {
	steps
	results []result // one more than steps
}

// allocation is a range [start, end) of hash % 100.
type allocation struct {
	start, end    uint32
	distributions []distribution
}

// distribution is a range [start, end) of hash / 100.
type distribution struct {
	start, end uint32
	variant    result // 0: the flag does not have the named one
}

// Semantics returns those that the engine was compiled for.
func (e *Engine) Semantics() Semantics { return e.semantics }

// Flags lists the flags in the order of the configurations.
func (e *Engine) Flags() []Flag {
	flags := make([]Flag, len(e.flags))
	for i := range e.flags {
		flags[i] = e.flags[i].info
	}
	return flags
}

// Configs returns the configurations of the named flags and of those they depend on, as a JSON array in the order in
// which [Parse] read them; nil means all. It is what GET /v1/flags answers, and Parse reads it back.
func (e *Engine) Configs(flagKeys []string) []byte {
	wanted := slices.Clone(e.Plan(flagKeys).order)
	slices.Sort(wanted)
	dst := []byte{'['}
	for i, f := range wanted {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e.flags[f].config...)
	}
	return append(dst, ']')
}

// Variants returns all variants that an evaluation may return, in the order of their ID.
func (e *Engine) Variants() []*Variant { return e.variants }

// Warnings returns what the reference silently ignores: unknown operators (they never match), and dependencies and
// variants that do not exist.
func (e *Engine) Warnings() []*ConfigError { return e.warnings }

// Unanswered returns which flags [ParseLenient] could not compile, and why, in the order of the configurations: a
// [RegexError], or an [UnansweredError] for those that depend on them. No user gets a variant of them.
func (e *Engine) Unanswered() []*ConfigError { return e.unanswered }

// Plan says which flags to evaluate, and in which order. It is safe for concurrent use.
type Plan struct {
	engine *Engine
	order  []int32 // dependencies first
	asked  []int32 // sorted by key, without duplicates
}

// Plan prepares the evaluation of the named flags; nil means all, and names that do not exist are ignored. Keep
// the plan if the same flags are evaluated for many users.
func (e *Engine) Plan(flagKeys []string) *Plan {
	if flagKeys == nil {
		return e.all
	}
	asked := make([]int32, 0, len(flagKeys))
	for _, key := range flagKeys {
		if i, ok := e.index[key]; ok {
			asked = append(asked, i)
		}
	}
	return e.newPlan(asked)
}

// newPlan orders the flags as the reference's topologicalSort does: as asked, each after its dependencies.
func (e *Engine) newPlan(asked []int32) *Plan {
	p := &Plan{engine: e, asked: asked}
	seen := make([]bool, len(e.flags))
	var visit func(i int32)
	visit = func(i int32) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, d := range e.flags[i].dependencies {
			visit(d)
		}
		p.order = append(p.order, i)
	}
	for _, i := range asked {
		visit(i)
	}
	slices.SortFunc(p.asked, func(a, b int32) int { return strings.Compare(e.flags[a].info.Key, e.flags[b].info.Key) })
	p.asked = slices.Compact(p.asked)
	return p
}

// Evaluate returns the variants that the user gets, sorted by flag key. It is Append of a new plan.
func (e *Engine) Evaluate(u *pipeline.User, flagKeys []string) []*Variant {
	return e.Plan(flagKeys).Append(nil, u)
}

// Append evaluates the flags for u and appends the variants, sorted by flag key, to dst. A flag that gives the
// user no variant adds none. Variants marked as default or as not deployed are included: the caller decides.
func (p *Plan) Append(dst []*Variant, u *pipeline.User) []*Variant {
	st := p.engine.states.Get().(*state)
	st.evaluate(p, u, len(p.order))
	for _, i := range p.asked {
		if r := st.results[i]; r != 0 {
			dst = append(dst, p.engine.variants[r-1])
		}
	}
	st.reset(p)
	p.engine.states.Put(st)
	return dst
}

// evaluate evaluates the first n flags of the plan. The results are in st.results until reset.
func (st *state) evaluate(p *Plan, u *pipeline.User, n int) {
	st.begin(p, u)
	flags, results := st.engine.flags, st.results
	for k, i := range p.order[:n] {
		st.done = k
		results[i] = flags[i].evaluate(st)
	}
	st.done = n
}

// begin makes st ready to evaluate flags of the plan for u.
func (st *state) begin(p *Plan, u *pipeline.User) {
	st.number++
	st.plan, st.user, st.done, st.odd = p, u, 0, false
}

func (st *state) reset(p *Plan) {
	for _, i := range p.order {
		st.results[i] = 0
	}
	st.plan, st.user = nil, nil
}

// A result is what a flag has given: the ID of a variant plus 1, or 0 for none. Copying it is cheaper than a pointer,
// which needs the garbage collector's write barrier.
type result = int32

func resultOf(v *Variant) result {
	if v == nil {
		return 0
	}
	return result(v.ID + 1)
}

func (f *flag) evaluate(st *state) result {
	for i := range f.segments {
		s := &f.segments[i]
		if !s.always && !s.matches(st) {
			continue
		}
		if r := s.pickVariant(st); r != 0 {
			return r
		}
	}
	return 0
}

// matches reports whether all conditions of one of the lists hold.
func (s *segment) matches(st *state) bool {
	for i := range s.conditions {
		if matchAll(st, s.conditions[i]) {
			return true
		}
	}
	return false
}

func matchAll(st *state, list []condition) bool {
	for i := range list {
		if c := &list[i]; !c.holds(st) {
			return false
		}
	}
	return true
}

// pickVariant returns the variant of a segment that matches: the bucket's, or the segment's own where the bucket does
// not decide. 0: the segment gives none, and the next one is tried.
func (s *segment) pickVariant(st *state) result {
	b := s.bucket
	if b == nil {
		return s.variant
	}
	value := st.loadSlot(b.selector).asBucketing(st.engine.rules)
	if value == "" {
		return s.variant
	}
	hash := b.salt.hashValue(value)
	percent, position := hash%100, hash/100
	r := result(0)
	if b.rows != nil {
		row := &b.rows[b.percents.countUpTo(percent)]
		r = row.results[row.countUpTo(position)]
	} else {
		r = b.findResult(percent, position)
	}
	if r == noBucket {
		return s.variant
	}
	return r
}

// noBucket is the result if no distribution contains the user. If one does but names no variant, the result is 0.
const noBucket result = -1

// findResult returns the variant of the first distribution that contains the user.
func (b *bucket) findResult(percent, position uint32) result {
	for i := range b.allocations {
		a := &b.allocations[i]
		if percent < a.start || percent >= a.end {
			continue
		}
		for j := range a.distributions {
			if d := &a.distributions[j]; position >= d.start && position < d.end {
				return d.variant
			}
		}
	}
	return noBucket
}

// maxDistributions is how many distributions a bucket with rows may have; real ones have a few.
const maxDistributions = 64

// compileRows converts findResult to steps, which are counted. Which user is in which bucket is as good as random, so a
// processor that predicts comparisons would be wrong half of the time.
func (b *bucket) compileRows() {
	percents, positions := []uint32{0}, []uint32{0}
	for i := range b.allocations {
		a := &b.allocations[i]
		percents = append(percents, a.start, a.end)
		for j := range a.distributions {
			positions = append(positions, a.distributions[j].start, a.distributions[j].end)
		}
	}
	if len(percents) > 2*maxDistributions || len(positions) > 2*maxDistributions {
		return
	}
	ordered := func(list []uint32, end uint32) []uint32 {
		slices.Sort(list)
		return slices.DeleteFunc(slices.Compact(list), func(n uint32) bool { return n >= end })
	}
	positions = ordered(positions, math.MaxUint32/100+1)
	for _, percent := range ordered(percents, 100) {
		var next row
		for _, position := range positions {
			r := b.findResult(percent, position)
			if n := len(next.results); n == 0 || next.results[n-1] != r {
				next.results = append(next.results, r)
				if n > 0 {
					next.steps = append(next.steps, position)
				}
			}
		}
		b.rows = append(b.rows, next)
		if percent > 0 {
			b.percents = append(b.percents, percent)
		}
	}
}

// steps are numbers in ascending order.
type steps []uint32

// countUpTo counts the steps up to n, without a branch.
func (s steps) countUpTo(n uint32) int {
	i := uint64(0)
	for _, step := range s {
		i += 1 - (uint64(n)-uint64(step))>>63
	}
	return int(i)
}

// state is what one evaluation needs. It is pooled, and used by one goroutine at a time.
type state struct {
	engine  *Engine
	user    *pipeline.User
	number  uint64 // of the evaluation: slots with another number are stale
	slots   []slot
	results []result // by flag
	plan    *Plan
	done    int  // how many of the plan's flags are evaluated
	odd     bool // a value was read on which any condition may differ between the semantics

	properties   *pipeline.Value // the user's user_properties
	propertiesOf uint64          // the number of the evaluation that they are of

	marks []uint64 // countDistinct's: for each member of the set, the count at which it was last seen
	count uint64
}

func (e *Engine) newState() *state {
	return &state{engine: e, slots: make([]slot, len(e.selectors)), results: make([]result, len(e.flags))}
}

// countDistinct counts the members of the set that are in the list, each once, and reports whether the list has other
// elements too.
func (st *state) countDistinct(set *valueSet, list []string, canon func(string) string) (found int, others bool) {
	if len(st.marks) < set.size {
		st.marks = append(st.marks, make([]uint64, set.size-len(st.marks))...)
	}
	st.count++
	for _, s := range list {
		switch i := set.indexOf(canon(s)); {
		case i < 0:
			others = true
		case st.marks[i] != st.count:
			st.marks[i] = st.count
			found++
		}
	}
	return found, others
}
