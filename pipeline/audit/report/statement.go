package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
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

// sentences are those of all codes, and of codes and what was compared with, where that makes a difference.
var sentences = map[Code]string{
	Quoted:   "$text",
	Untested: "not tested: $text",

	SplitUnknown: "no expected split is known",
	SplitNone:    "$none",
	SplitHolds:   "split as expected, $p",
	SplitOff:     "not split as expected: $name $share instead of $expected, $effect",
	SplitOffHere: "not split as expected, and unlike all others: $name $share, elsewhere $expected, $effect",
	SplitsOff:    "the split is off in $n more slices",
	Unexpected:   "$has variant $name, which $other does not provide for",
	Targeting:    "the targeting may be the reason",

	SplitHolds + AgainstOthers: "split like all others, $p",
	SplitOff + AgainstOthers:   "split unlike all others: $name $share, elsewhere $expected, $effect",

	ReachHolds:   "$share of $count$id have a variant, as expected ($expected), $p",
	ReachOff:     "$share of $count$id have a variant instead of $expected, $effect",
	ReachMissing: "$has no variant, and all should",
	NobodyGot:    "nobody got a variant: it is off, targets none of these users, is not deployed, or its name is misspelt",

	ReachHolds + AgainstOthers: "$share of $count$id have a variant, like all others, $p",
	ReachOff + AgainstOthers:   "$share of $count$id have a variant instead of $expected, and unlike all others, $effect",

	FailingAlike: "$users of all slices fail alike, $p",
	FailingMore:  "of the $users with $name = $other, $share failed, of all $expected; $effect",
	FailingShare: "$share failed, of all $expected; $effect",
	Failed:       "$is without an answer ($share): $kinds",

	Together:       "$is in a treatment of both",
	ExclusionHolds: "nobody is in both, as group $name demands",
	ExclusionBroken: "$has a variant of both, $other a treatment of both, although group $name makes them exclude each " +
		"other",
	GroupShared: "$is in a treatment of both; they share group $name",
	SlotShared:  "$is in a treatment of both; they share group $name, and a slot of it",
	HoldoutShared: "$is in a treatment of both; they share group $name, which keeps the same users out of both and does " +
		"not separate them",
	Depends:    "which variant of one a user gets depends on the other: $is in a treatment of both; $effect",
	SaltShared: "do they share a salt?",

	Warned:       "the run warned: $text",
	FlagsChanged: "flags changed while the run went on, so some users have the old answer and others the new one: $text",
	FlagsOld:     "flags changed while the run went on, so all users have the old answer: $text",
	Resumed:      "the run was resumed $n times",
	LongSpan:     "between the first answer and the last are $n hours, in which flags may have changed",
	NobodyAsked:  "nobody was asked about: the input had no users",
	ConfigsOther: "the run evaluated other flag configurations than $name has now, so the expected shares may not be its " +
		"own",
	Repeated: "$rows: each row counts as an independent one, so the true intervals are wider and the true p-values " +
		"larger",
	Differing: "$differing",
}

func (s Statement) sentence() string {
	count := func(singular, plural string) string { return text.CountIs(s.N, s.Unit.Noun(1), singular, plural) }
	words := map[string]string{
		"text": s.Text, "name": s.Name, "other": s.Other, "n": strconv.FormatInt(s.N, 10), "count": s.Unit.Count(s.N),
		"users": s.Unit.Noun(2), "is": count("is", "are"), "has": count("has", "have"),
		"share": text.Percent(s.Share), "expected": text.Percent(s.Expected),
		"id": map[string]string{byUserID: " with a user id", byDeviceID: " with a device id"}[s.BucketBy],
	}
	if s.NoSplit != nil {
		words["none"] = noSplitText(s.NoSplit)
	}
	if s.Test != nil {
		words["p"], words["effect"] = s.Test.PText(), effect(s.Test)
	}
	if u := s.Users; u != nil {
		words["kinds"], words["rows"], words["differing"] = KindsText(&u.Users),
			stats.UsersInRows(u.Distinct, u.InFile, u.Estimated), stats.DifferingText(u.Differing, u.Estimated)
	}
	return text.Fill(cmp.Or(sentences[s.Code+Code(s.Against)], sentences[s.Code]), words)
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

// ExpectedSplit is an [Expectation] as JSON.
type ExpectedSplit struct {
	Source   string          `json:"source"`
	None     string          `json:"none"`     // why there is no split, as a sentence
	Assigned *float64        `json:"assigned"` // the share of the users who have a variant; null: it is not known
	Variants []engine.Weight `json:"variants"`
}

// MarshalJSON says why there is no split as a sentence.
func (e Expectation) MarshalJSON() ([]byte, error) {
	return json.Marshal(ExpectedSplit{e.Source, noSplitText(&e.None), e.Assigned, e.Variants})
}
