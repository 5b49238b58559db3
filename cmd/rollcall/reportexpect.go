package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// What of a flag's configuration says how users are split. The engine has checked all of it.
type (
	splitFlag struct {
		Key          string                    `json:"key"`
		Variants     map[string]jsontext.Value `json:"variants"`
		Segments     []splitSegment            `json:"segments"`
		Dependencies []string                  `json:"dependencies"`
	}
	splitSegment struct {
		Bucket     *splitBucket              `json:"bucket"`
		Conditions [][]splitCondition        `json:"conditions"`
		Variant    *string                   `json:"variant"`
		Metadata   map[string]jsontext.Value `json:"metadata"`
	}
	splitBucket struct {
		Selector    []string          `json:"selector"`
		Allocations []splitAllocation `json:"allocations"`
	}
	splitAllocation struct {
		Range         []float64 `json:"range"`
		Distributions []struct {
			Variant *string   `json:"variant"`
			Range   []float64 `json:"range"`
		} `json:"distributions"`
	}
	splitCondition struct {
		Selector []string `json:"selector"`
		Op       string   `json:"op"`
		Values   []string `json:"values"`
	}
)

// expectations says of each flag how its users should be split, and which flags are in a group.
//
// A report sees who got what, and not which segment gave it. So there is an expected split only if it is the same
// whichever segment it was: all segments that assign users at random do it with the same weights, by the same id, and
// no other segment gives a variant, but to users whom it names one by one. Where a segment lets some of its users on to
// the next one, what those get depends on both.
func expectations(file string, eng *engine.Engine) ([]report.Expectation, []report.Group, error) {
	var flags []splitFlag
	if err := json.Unmarshal(eng.Configs(nil), &flags, jsontext.AllowDuplicateNames(true)); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	types := map[string]string{}
	for _, f := range eng.Flags() {
		types[f.Key] = f.FlagType
	}
	// The engine's variants are those of each flag, segment by segment, by name: see its compiler.
	variants := eng.Variants()
	var list []report.Expectation
	groups := map[string]*report.Group{}
	var order []string
	for i := range flags {
		f := &flags[i]
		var given []map[string]*engine.Variant // by segment and name
		for range f.Segments {
			here := map[string]*engine.Variant{}
			for range f.Variants {
				if len(variants) > 0 && variants[0].FlagKey == f.Key && here[variants[0].Name] == nil {
					here[variants[0].Name], variants = variants[0], variants[1:]
				}
			}
			given = append(given, here)
		}
		e := f.expectation(given)
		e.Flag, e.Source = f.Key, file
		list = append(list, e)
		for _, d := range f.Dependencies {
			if types[d] != report.MutualExclusion && types[d] != report.Holdout {
				continue
			}
			if groups[d] == nil {
				groups[d] = &report.Group{Key: d, Type: types[d]}
				order = append(order, d)
			}
			groups[d].Flags = append(groups[d].Flags, report.Member{Flag: f.Key, Slots: f.slots(d, given)})
		}
	}
	var all []report.Group
	for _, key := range order {
		all = append(all, *groups[key])
	}
	return list, all, nil
}

// answered is the key of a variant that a segment gives, if users see it.
func answered(given map[string]*engine.Variant, name *string) (key string, ok bool) {
	if name == nil || given[*name] == nil || !given[*name].Answered() {
		return "", false
	}
	return given[*name].Key, true
}

// slots are the variants of a group that let users into the flag: its first segments turn all others away.
func (f *splitFlag) slots(group string, given []map[string]*engine.Variant) []string {
	for i, s := range f.Segments {
		if _, ok := answered(given[i], s.Variant); ok || s.Bucket != nil || len(s.Conditions) != 1 {
			continue
		}
		for _, c := range s.Conditions[0] {
			if c.Op == "is not" && slices.Equal(c.Selector, []string{"result", group, "key"}) {
				return c.Values
			}
		}
	}
	return nil
}

// part is what a segment gives the users that it matches, by variant; onward is the share that it lets on.
type part struct {
	name   string
	shares map[string]float64 // of variants that users see
	onward float64
	vast   bool // more ranges than anybody makes: not worked out
}

// maxCuts bounds the ranges of a bucket that are worked out; those that people make have a few.
const maxCuts = 1024

func (f *splitFlag) expectation(given []map[string]*engine.Variant) (e report.Expectation) {
	var chance []part // segments that leave it to chance
	var by []string
	alone := true // no condition has turned anybody away yet
	clustered := false
	none := func(format string, args ...any) report.Expectation {
		return report.Expectation{Clustered: clustered, None: fmt.Sprintf(format, args...)}
	}
	for i := range f.Segments {
		if b := f.Segments[i].Bucket; b != nil && !bucketsUsers(b.Selector) {
			clustered = true
		}
	}
	for i := range f.Segments {
		s := &f.Segments[i]
		p := s.part(given[i])
		if name, err := jsontext.AppendUnquote(nil, s.Metadata["segmentName"]); err == nil {
			p.name = string(name)
		}
		if p.name == "" {
			p.name = fmt.Sprintf("segment %d", i+1)
		}
		always := s.Conditions == nil
		userIDs, deviceIDs, named := s.names()
		switch {
		case p.vast:
			return none("no split is expected: %q has more ranges than are worked out", p.name)
		case s.Bucket == nil && named:
			e.NamedUserIDs, e.NamedDeviceIDs = append(e.NamedUserIDs, userIDs...), append(e.NamedDeviceIDs, deviceIDs...)
			continue
		case s.Bucket == nil && len(p.shares) > 0:
			return none("no one split is expected: %q gives everybody whom it matches %s", p.name, oneKey(p.shares))
		case len(p.shares) > 0:
			if len(chance) > 0 && chance[len(chance)-1].onward > 0 {
				return none("no one split is expected: %q lets some of its users on to %q", chance[len(chance)-1].name, p.name)
			}
			if by != nil && !slices.Equal(by, s.Bucket.Selector) {
				return none("no one split is expected: segments bucket by different ids")
			}
			by = s.Bucket.Selector
			if len(chance) > 0 && !sameSplit(chance[0].shares, p.shares) {
				return none("no one split is expected: %q has %s, %q has %s", chance[0].name, splitText(chance[0].shares), p.name, splitText(p.shares))
			}
			chance = append(chance, p)
			if alone && always && p.onward == 0 {
				assigned := total(p.shares)
				e.Assigned = &assigned
			}
		}
		if always && p.onward == 0 {
			break
		}
		alone = false
	}
	if len(chance) == 0 {
		return report.Expectation{}
	}
	selector := strings.Join(by, ".")
	if e.BucketBy = strings.TrimPrefix(selector, "context.user."); !bucketsUsers(by) {
		return none("not tested: users are bucketed by %s, and those who have it in common get the same", selector)
	}
	for key, share := range chance[0].shares {
		e.Weights = append(e.Weights, report.Weight{Variant: key, Share: share})
	}
	slices.SortFunc(e.Weights, func(a, b report.Weight) int { return strings.Compare(a.Variant, b.Variant) })
	return e
}

// bucketsUsers reports whether the selector is one that hardly any two users have in common.
func bucketsUsers(selector []string) bool {
	path := strings.Join(selector, ".")
	return path == "context.user.user_id" || path == "context.user.device_id"
}

// part works out what share of the users whom the segment matches gets which variant.
func (s *splitSegment) part(given map[string]*engine.Variant) part {
	p := part{shares: map[string]float64{}}
	give := func(name *string, share float64) {
		if name == nil || given[*name] == nil {
			p.onward += share
		} else if key, ok := answered(given, name); ok {
			p.shares[key] += share
		}
	}
	if s.Bucket == nil {
		give(s.Variant, 1)
		return p
	}
	// A user has a percent, hash % 100, and a position, hash / 100 of 32 bits: the first allocation and distribution that
	// hold both decide.
	const positions = (1 << 32) / 100.
	cuts := []float64{0, positions}
	for _, a := range s.Bucket.Allocations {
		for _, d := range a.Distributions {
			cuts = append(cuts, min(max(math.Ceil(d.Range[0]), 0), positions), min(max(math.Ceil(d.Range[1]), 0), positions))
		}
	}
	slices.Sort(cuts)
	if cuts = slices.Compact(cuts); len(cuts) > maxCuts || len(s.Bucket.Allocations) > maxCuts {
		p.vast = true
		return p
	}
	for percent := range 100 {
		for i := range cuts[1:] {
			name, share := s.Variant, (cuts[i+1]-cuts[i])/positions/100
		find:
			for _, a := range s.Bucket.Allocations {
				if float64(percent) < a.Range[0] || float64(percent) >= a.Range[1] {
					continue
				}
				for _, d := range a.Distributions {
					// The last position is one that few hashes have, and ranges end there.
					if cuts[i] >= math.Ceil(d.Range[0]) && cuts[i] < math.Ceil(d.Range[1]) || cuts[i] >= 42949672 && d.Range[1] >= 42949672 {
						name = d.Variant
						break find
					}
				}
			}
			give(name, share)
		}
	}
	if p.onward < 1e-6 {
		p.onward = 0
	}
	return p
}

// names are the users whom the segment names one by one, if it does nothing else.
func (s *splitSegment) names() (userIDs, deviceIDs []string, ok bool) {
	if len(s.Conditions) == 0 {
		return nil, nil, false
	}
	for _, list := range s.Conditions {
		named := false
		for _, c := range list {
			if c.Op != "is" && c.Op != "set contains any" {
				continue
			}
			switch strings.Join(c.Selector, ".") {
			case "context.user.user_id":
				userIDs, named = append(userIDs, c.Values...), true
			case "context.user.device_id":
				deviceIDs, named = append(deviceIDs, c.Values...), true
			}
		}
		if !named || slices.Contains(userIDs, "(none)") || slices.Contains(deviceIDs, "(none)") {
			return nil, nil, false
		}
	}
	return userIDs, deviceIDs, true
}

func total(shares map[string]float64) (sum float64) {
	for _, s := range shares {
		sum += s
	}
	if sum > 1-1e-9 {
		return 1
	}
	return sum
}

// sameSplit reports whether the shares are the same among those who get one.
func sameSplit(a, b map[string]float64) bool {
	if len(a) != len(b) {
		return false
	}
	for key := range a {
		if math.Abs(a[key]/total(a)-b[key]/total(b)) > 1e-6 {
			return false
		}
	}
	return true
}

func splitText(shares map[string]float64) string {
	var parts []string
	for key, s := range shares {
		parts = append(parts, fmt.Sprintf("%s %s", key, report.Percent(s/total(shares))))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func oneKey(shares map[string]float64) string {
	for key := range shares {
		return key
	}
	return ""
}
