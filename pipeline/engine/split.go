package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Split is how the configuration of a flag splits its users, as far as that is known before looking at them.
//
// The results of a run do not show which segment gave a variant. So a flag has one split only if all segments that
// assign users at random do so with the same weights, by the same id, and no other segment gives a variant, except to
// users that it names one by one. If a segment lets some of its users on to the next one, their variant depends on
// both.
type Split struct {
	Flag string

	// Variants are the shares of the users who get a variant, sorted by variant. They add up to 1. If
	// there are none, None may say why.
	Variants []Weight
	None     NoSplit

	// Assigned is the share of users who get a variant, if only the bucket decides that and no conditions. nil:
	// unknown.
	Assigned *float64

	// Clustered means that users are bucketed by something that many of them have in common, such as their organization,
	// and so are not independent of each other.
	Clustered bool

	// user_id or device_id: users without it are not bucketed. "": it does not matter
	BucketBy                     string
	NamedUserIDs, NamedDeviceIDs []string // users that the configuration names, who are not assigned at random
}

// Weight is the share that a variant should have.
type Weight struct {
	Variant string  `json:"variant"`
	Share   float64 `json:"share"`
}

// NoSplit says why a flag does not have one split.
type NoSplit struct {
	Reason   NoSplitReason
	Segments [2]string   // the names of the segments concerned
	Splits   [2][]Weight // for SplitsDiffer: what these segments give
	Variant  string      // for SplitTargeted: what the segment gives
	BucketBy string      // for SplitClustered: the selector
}

// NoSplitReason is the kind of reason; "" means no reason.
type NoSplitReason string

// The reasons.
const (
	SplitTooFine   NoSplitReason = "too_fine"  // a segment has too many ranges to compute
	SplitTargeted  NoSplitReason = "targeted"  // a segment gives all users that it matches one variant
	SplitLetsOn    NoSplitReason = "lets_on"   // a segment lets some of its users on to another
	SplitIDsDiffer NoSplitReason = "ids"       // segments bucket by different ids
	SplitsDiffer   NoSplitReason = "differ"    // segments split differently
	SplitClustered NoSplitReason = "clustered" // see [Split]
)

// The types of a [Group].
const (
	MutualExclusion = "mutual-exclusion-group"
	Holdout         = "holdout-group"
)

// Group is a mutual-exclusion or holdout group, and the flags in it.
type Group struct {
	Key   string
	Type  string
	Flags []Member
}

// Member is a flag of a group. Slots are the group's variants that let a user into the flag; flags without a slot in
// common exclude each other. Empty: unknown, and treated as a slot of its own.
type Member struct {
	Flag  string
	Slots []string
}

// Splits returns how each flag should split its users, in the order of the configurations, and the groups that flags
// are in.
func (e *Engine) Splits() ([]Split, []Group) {
	var splits []Split
	var groups []Group
	for i := range e.flags {
		f := &e.flags[i]
		splits = append(splits, e.splitOf(f))
		for _, d := range f.dependencies {
			group := &e.flags[d].info
			if group.FlagType != MutualExclusion && group.FlagType != Holdout {
				continue
			}
			at := slices.IndexFunc(groups, func(g Group) bool { return g.Key == group.Key })
			if at < 0 {
				at, groups = len(groups), append(groups, Group{Key: group.Key, Type: group.FlagType})
			}
			groups[at].Flags = append(groups[at].Flags, Member{f.info.Key, e.slotsOf(f, group.Key)})
		}
	}
	return splits, groups
}

func (e *Engine) splitOf(f *flag) Split {
	split := Split{Flag: f.info.Key}
	clustered := slices.ContainsFunc(f.segments, func(s segment) bool {
		return s.bucket != nil &&
			!s.bucket.bucketsByUser()
	})
	none := func(why NoSplit) Split { return Split{Flag: f.info.Key, Clustered: clustered, None: why} }
	var by []string
	var first, last share // of the segments that assign at random
	alone := true         // no condition has excluded a user so far
	for i := range f.segments {
		s := &f.segments[i]
		name := cmp.Or(s.name, fmt.Sprintf("segment %d", i+1))
		given, ok := e.shareOf(s)
		given.segment = name
		userIDs, deviceIDs, named := s.namedUsers()
		switch {
		case !ok:
			return none(NoSplit{Reason: SplitTooFine, Segments: [2]string{name}})
		case s.bucket == nil && named:
			split.NamedUserIDs, split.NamedDeviceIDs = append(split.NamedUserIDs, userIDs...),
				append(split.NamedDeviceIDs, deviceIDs...)
			continue
		case s.bucket == nil && len(given.variants) > 0:
			return none(NoSplit{Reason: SplitTargeted, Segments: [2]string{name}, Variant: given.variants[0].Variant})
		case len(given.variants) > 0:
			switch selector := s.bucket.config.Selector; {
			case first.variants == nil:
				first, by = given, selector
			case last.onward > 0:
				return none(NoSplit{Reason: SplitLetsOn, Segments: [2]string{last.segment, name}})
			case !slices.Equal(by, selector):
				return none(NoSplit{Reason: SplitIDsDiffer})
			case !sameSplit(first.variants, given.variants):
				return none(NoSplit{Reason: SplitsDiffer, Segments: [2]string{first.segment, name},
					Splits: [2][]Weight{first.variants, given.variants}})
			}
			if last = given; alone && s.always && given.onward == 0 {
				split.Assigned = &given.assigned
			}
		}
		if s.always && given.onward == 0 {
			break
		}
		alone = false
	}
	if first.variants == nil {
		return Split{Flag: f.info.Key}
	}
	selector := strings.Join(by, ".")
	if selector != pathUserID && selector != pathDeviceID {
		return none(NoSplit{Reason: SplitClustered, BucketBy: selector})
	}
	split.Variants, split.BucketBy = first.variants, strings.TrimPrefix(selector, "context.user.")
	return split
}

// bucketsByUser reports whether the bucket uses an id that hardly any two users have in common.
func (b *bucket) bucketsByUser() bool {
	path := strings.Join(b.config.Selector, ".")
	return path == pathUserID || path == pathDeviceID
}

const (
	pathUserID   = "context.user.user_id"
	pathDeviceID = "context.user.device_id"
)

// slotsOf returns the variants of a group that let users into the flag: its first segments exclude all others.
func (e *Engine) slotsOf(f *flag, group string) []string {
	for i := range f.segments {
		s := &f.segments[i]
		if s.bucket != nil || len(s.conditions) != 1 || s.variant != 0 && e.variants[s.variant-1].Answered() {
			continue
		}
		for _, c := range s.conditions[0] {
			if c.op == opIsNot && slices.Equal(c.config.Selector, []string{"result", group, "key"}) {
				return c.values
			}
		}
	}
	return nil
}

// share is what a segment gives the users that it matches.
type share struct {
	segment  string
	variants []Weight // those that users see, of those who get one; sorted
	assigned float64  // the share of users who get one
	onward   float64  // the share that it lets on
}

// maxCuts bounds the ranges of a bucket that are computed; real ones have a few.
const maxCuts = 1024

// shareOf computes which share of the users that the segment matches gets which variant. ok is false if the bucket has
// too many ranges.
func (e *Engine) shareOf(s *segment) (out share, ok bool) {
	shares := map[string]float64{}
	give := func(r result, share float64) {
		if r == noBucket {
			r = s.variant
		}
		if r == 0 {
			out.onward += share
		} else if v := e.variants[r-1]; v.Answered() {
			shares[v.Key] += share
		}
	}
	if s.bucket == nil {
		give(s.variant, 1)
	} else {
		// A user has a percent, hash % 100, and a position, hash / 100 of 32 bits. Few hashes have the last
		// position, and ranges end there: it counts with the position before it.
		const positions, last = (1 << 32) / 100., (1<<32)/100 - 1
		cuts := []float64{0, positions}
		for _, a := range s.bucket.allocations {
			for _, d := range a.distributions {
				cuts = append(cuts, min(float64(d.start), positions), min(float64(d.end), positions))
			}
		}
		slices.Sort(cuts)
		if cuts = slices.Compact(cuts); len(cuts) > maxCuts || len(s.bucket.allocations) > maxCuts {
			return share{}, false
		}
		for percent := range uint32(100) {
			for i := range cuts[1:] {
				give(s.bucket.findResult(percent, uint32(min(cuts[i], last))), (cuts[i+1]-cuts[i])/positions/100)
			}
		}
	}
	if out.onward < 1e-6 {
		out.onward = 0
	}
	for key, n := range shares {
		out.variants = append(out.variants, Weight{key, n})
	}
	slices.SortFunc(out.variants, func(a, b Weight) int { return strings.Compare(a.Variant, b.Variant) })
	for _, w := range out.variants {
		out.assigned += w.Share
	}
	for i := range out.variants {
		out.variants[i].Share /= out.assigned
	}
	if out.assigned > 1-1e-9 {
		out.assigned = 1
	}
	return out, true
}

// namedUsers returns the users that the segment names one by one; ok is false if it matches other users too.
func (s *segment) namedUsers() (userIDs, deviceIDs []string, ok bool) {
	if len(s.conditions) == 0 {
		return nil, nil, false
	}
	for _, list := range s.conditions {
		named := false
		for _, c := range list {
			if c.op != opIs && c.op != opSetContainsAny {
				continue
			}
			switch strings.Join(c.config.Selector, ".") {
			case pathUserID:
				userIDs, named = append(userIDs, c.values...), true
			case pathDeviceID:
				deviceIDs, named = append(deviceIDs, c.values...), true
			}
		}
		if !named || slices.Contains(userIDs, "(none)") || slices.Contains(deviceIDs, "(none)") {
			return nil, nil, false
		}
	}
	return userIDs, deviceIDs, true
}

// sameSplit reports whether the shares are the same but for rounding.
func sameSplit(a, b []Weight) bool {
	return slices.EqualFunc(a, b, func(a, b Weight) bool {
		return a.Variant == b.Variant &&
			math.Abs(a.Share-b.Share) <= 1e-6
	})
}
