package report

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Statement is what a report says of something, as data: a code, and the fields that it needs. [Statement.String] is
// the sentence. The zero Statement says nothing.
type Statement struct {
	Code            Code
	Text            string     // of Quoted: the whole sentence; of Untested: why not
	Unit            stats.Unit // what N counts
	N               int64
	Share, Expected float64 // what was found, and what it should be, or is elsewhere
	Name, Other     string  // of a variant, a group, a file; the label of a slice
	BucketBy        string
	Against         string // what Test compared with, see [Counts]
	Test            *stats.Test
	NoSplit         *engine.NoSplit
	Users           *Users
	And             *Statement // what is added, after a semicolon
}

// Code is what kind of statement it is.
type Code string

// The codes.
const (
	Quoted   Code = "" // somebody else's words
	Untested Code = "not_tested"

	SplitUnknown Code = "split_unknown" // nothing is expected
	SplitNone    Code = "split_none"    // and NoSplit says why
	SplitHolds   Code = "split_holds"
	SplitOff     Code = "split_off"
	SplitOffHere Code = "split_off_here" // neither as expected nor as all others are
	SplitsOff    Code = "splits_off"     // in N more slices
	Unexpected   Code = "unexpected"     // a variant that the source of the expectation does not have
	Targeting    Code = "targeting"      // may be the reason

	ReachHolds   Code = "reach_holds"
	ReachOff     Code = "reach_off"
	ReachMissing Code = "reach_missing" // nothing is left to chance, and all should have a variant
	NobodyGot    Code = "nobody_got"

	FailingAlike Code = "failing_alike"
	FailingMore  Code = "failing_more"  // in the slice Other of column Name
	FailingShare Code = "failing_share" // the same of a slice that is named before
	Failed       Code = "failed"

	Together        Code = "together"         // users in a treatment of two flags
	ExclusionHolds  Code = "exclusion_holds"  // nobody is in both
	ExclusionBroken Code = "exclusion_broken" // somebody is
	GroupShared     Code = "group_shared"
	SlotShared      Code = "slot_shared"
	HoldoutShared   Code = "holdout_shared"
	Depends         Code = "depends"
	SaltShared      Code = "salt_shared" // may be the reason

	Warned       Code = "warned"        // the run did
	FlagsChanged Code = "flags_changed" // Text names them
	FlagsOld     Code = "flags_old"     // likewise, and all users have the old answer
	Resumed      Code = "resumed"
	LongSpan     Code = "long_span" // N hours
	NobodyAsked  Code = "nobody_asked"
	ConfigsOther Code = "configs_other" // the run evaluated others than those in file Name
	Repeated     Code = "repeated"
	Differing    Code = "differing"
)

// String is the statement as a sentence, without a capital letter and a full stop.
func (s Statement) String() string {
	said := s.sentence()
	if s.And != nil {
		said += "; " + s.And.String()
	}
	return said
}

// MarshalText makes the JSON of a statement its sentence.
func (s Statement) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText quotes the sentence.
func (s *Statement) UnmarshalText(sentence []byte) error {
	*s = Statement{Text: string(sentence)}
	return nil
}

func (s Statement) sentence() string {
	count := func(singular, plural string) string { return text.CountIs(s.N, s.Unit.Noun(1), singular, plural) }
	others := s.Against == AgainstOthers
	switch s.Code {
	case Untested:
		return "not tested: " + s.Text

	case SplitUnknown:
		return "no expected split is known"
	case SplitNone:
		return noSplitText(s.NoSplit)
	case SplitHolds:
		return choose(others, "split like all others, ", "split as expected, ") + s.Test.PText()
	case SplitOff, SplitOffHere:
		head := choose(others, "split unlike all others", "not split as expected")
		if s.Code == SplitOffHere {
			head = "not split as expected, and unlike all others"
		}
		return fmt.Sprintf("%s: %s %s%s%s, %s", head, s.Name, text.Percent(s.Share),
			choose(others, ", elsewhere ", " instead of "),
			text.Percent(s.Expected), effect(s.Test))
	case SplitsOff:
		return fmt.Sprintf("the split is off in %d more slices", s.N)
	case Unexpected:
		return fmt.Sprintf("%s variant %s, which %s does not provide for", count("has", "have"), s.Name, s.Other)
	case Targeting:
		return "the targeting may be the reason"

	case ReachHolds, ReachOff:
		id := map[string]string{byUserID: " with a user id", byDeviceID: " with a device id"}[s.BucketBy]
		have := fmt.Sprintf("%s of %s%s have a variant", text.Percent(s.Share), s.Unit.Count(s.N), id)
		switch {
		case s.Code == ReachOff:
			return fmt.Sprintf("%s instead of %s%s, %s", have, text.Percent(s.Expected),
				choose(others, ", and unlike all others", ""), effect(s.Test))
		case others:
			return fmt.Sprintf("%s, like all others, %s", have, s.Test.PText())
		}
		return fmt.Sprintf("%s, as expected (%s), %s", have, text.Percent(s.Expected), s.Test.PText())
	case ReachMissing:
		return count("has", "have") + " no variant, and all should"
	case NobodyGot:
		return "nobody got a variant: it is off, targets none of these users, is not deployed, or its name is misspelt"

	case FailingAlike:
		return s.Unit.Noun(2) + " of all slices fail alike, " + s.Test.PText()
	case FailingMore:
		return fmt.Sprintf("of the %s with %s = %s, %s", s.Unit.Noun(2), s.Name, s.Other, s.with(FailingShare))
	case FailingShare:
		return fmt.Sprintf("%s failed, of all %s; %s", text.Percent(s.Share), text.Percent(s.Expected), effect(s.Test))
	case Failed:
		return fmt.Sprintf("%s without an answer (%s): %s", count("is", "are"), text.Percent(s.Share),
			KindsText(&s.Users.Users))

	case Together:
		return count("is", "are") + " in a treatment of both"
	case ExclusionHolds:
		return fmt.Sprintf("nobody is in both, as group %s demands", s.Name)
	case ExclusionBroken:
		return fmt.Sprintf("%s a variant of both, %s a treatment of both, although group %s makes them exclude each other",
			count("has", "have"), s.Other, s.Name)
	case GroupShared:
		return fmt.Sprintf("%s; they share group %s", s.with(Together), s.Name)
	case SlotShared:
		return s.with(GroupShared) + ", and a slot of it"
	case HoldoutShared:
		return s.with(GroupShared) + ", which keeps the same users out of both and does not separate them"
	case Depends:
		return fmt.Sprintf("which variant of one a user gets depends on the other: %s; %s", s.with(Together), effect(s.Test))
	case SaltShared:
		return "do they share a salt?"

	case Warned:
		return "the run warned: " + s.Text
	case FlagsChanged:
		return "flags changed while the run went on, so some users have the old answer and others the new one: " + s.Text
	case FlagsOld:
		return "flags changed while the run went on, so all users have the old answer: " + s.Text
	case Resumed:
		return fmt.Sprintf("the run was resumed %d times", s.N)
	case LongSpan:
		return fmt.Sprintf("between the first answer and the last are %d hours, in which flags may have changed", s.N)
	case NobodyAsked:
		return "nobody was asked about: the input had no users"
	case ConfigsOther:
		return fmt.Sprintf("the run evaluated other flag configurations than %s has now, so the expected shares may not "+
			"be its own", s.Name)
	case Repeated:
		return stats.UsersInRows(s.Users.Distinct, s.Users.InFile, s.Users.Estimated) +
			": each row counts as an independent one, so the true intervals are wider and the true p-values larger"
	case Differing:
		return stats.DifferingText(s.Users.Differing, s.Users.Estimated)
	}
	return s.Text
}

// with is the sentence of the same data with another code.
func (s Statement) with(code Code) string {
	s.Code = code
	return s.sentence()
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// noSplitText says why a flag has no one split.
func noSplitText(n *engine.NoSplit) string {
	switch n.Reason {
	case engine.SplitTooFine:
		return fmt.Sprintf("no split is expected: %q has more ranges than are worked out", n.Segments[0])
	case engine.SplitTargeted:
		return fmt.Sprintf("no one split is expected: %q gives everybody it matches %s", n.Segments[0], n.Variant)
	case engine.SplitLetsOn:
		return fmt.Sprintf("no one split is expected: %q lets some of its users on to %q", n.Segments[0], n.Segments[1])
	case engine.SplitIDsDiffer:
		return "no one split is expected: segments bucket by different ids"
	case engine.SplitsDiffer:
		var splits [2]string
		for i, split := range n.Splits {
			var parts []string
			for _, w := range split {
				parts = append(parts, w.Variant+" "+text.Percent(w.Share))
			}
			splits[i] = strings.Join(parts, ", ")
		}
		return fmt.Sprintf("no one split is expected: %q has %s, %q has %s", n.Segments[0], splits[0], n.Segments[1],
			splits[1])
	case engine.SplitClustered:
		return fmt.Sprintf("not tested: users are bucketed by %s, and those who have it in common get the same", n.BucketBy)
	}
	return ""
}

// KindsText is how many users failed, by kind: "3 rejected, 1 timeout".
func KindsText(u *snapshot.Users) string {
	var kinds []string
	for _, kind := range pipeline.Kinds {
		if n := u.FailedByKind[kind]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %s", text.Thousands(n), kind))
		}
	}
	return strings.Join(kinds, ", ")
}

// effect is the end of a sentence about a test: how large, how sure.
func effect(t *stats.Test) string { return fmt.Sprintf("w = %.3f, %s", t.W, t.PText()) }

// Part is a piece of a sentence, and the name after it; "" is none.
type Part struct {
	Text, Name string
	IsFlag     bool // Name is the key of a flag
}

// Parts is the finding as a sentence, in pieces: the names of what it is about are set apart.
func (f *Finding) Parts() []Part {
	var parts []Part
	switch {
	case f.Flag != "":
		parts = append(parts, Part{Name: f.Flag, IsFlag: true})
		if f.Other != "" {
			parts = append(parts, Part{" and ", f.Other, true})
		}
		if f.Column != "" {
			parts = append(parts, Part{", where ", f.Column, false}, Part{" = ", f.Slice, false})
		}
	case f.Column != "":
		parts = append(parts, Part{"failing depends on ", f.Column, false},
			Part{": of the " + f.Says.Unit.Noun(2) + " with ", f.Column, false}, Part{" = ", f.Slice, false})
		return append(parts, Part{Text: ", " + f.Says.String()})
	case f.Snapshot != "":
		parts = append(parts, Part{Name: f.Snapshot})
	default:
		return []Part{{Text: f.Says.String()}}
	}
	return append(parts, Part{Text: ": " + f.Says.String()})
}

// Text is the finding as a sentence that can be read alone.
func (f *Finding) Text() string {
	var b strings.Builder
	for _, p := range f.Parts() {
		b.WriteString(p.Text + p.Name)
	}
	return b.String()
}

// MarshalJSON adds the sentence.
func (f Finding) MarshalJSON() ([]byte, error) {
	type plain Finding
	return json.Marshal(struct {
		plain
		Text string `json:"text"`
	}{plain(f), f.Text()})
}

// MarshalJSON says why there is no split as a sentence.
func (e Expectation) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Source   string          `json:"source"`
		None     string          `json:"none"`
		Assigned *float64        `json:"assigned"`
		Variants []engine.Weight `json:"variants"`
	}{e.Source, noSplitText(&e.None), e.Assigned, e.Variants})
}
