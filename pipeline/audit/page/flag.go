package page

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

const (
	openSlices  = 8  // of one column; those that are off are never folded
	maxVariants = 20 // of a flag, the most frequent ones
)

type (
	// section is about one flag.
	section struct {
		ID, Key  string
		Mark     mark
		Reach    string // who got a variant
		Percent  string
		Whole    *bar // who got a variant, of all
		Split    *bar // which, of those
		Caption  string
		Expected *bar
		Variants []variant
		More     string // the variants that are not shown
		Any      bool   // an expected share is known
		Words    []string
		Pairs    []finding // about it and another flag
		Legend   string    // of the line in the bars of slices
		Groups   []group
		looks    []string
		shown    []int // variants, by index
		unit     stats.Unit
		ofFlag   *report.Flag
	}
	variant struct {
		*report.Variant
		Look string
	}
	group struct {
		Name       string // of the column
		Open, More []slice
	}
	slice struct {
		Mark                       mark
		Label, Users, Reach, Words string
		Bar                        *bar
		Shares                     []share
	}
	share struct{ Look, Percent string }
)

// addFlags makes the sections of the flags, the worst first.
func (v *reportView) addFlags(r *report.Report) {
	worst := map[string]mark{} // of the findings of each flag
	for i := range r.Findings {
		f := &r.Findings[i]
		for _, key := range []string{f.Flag, f.Other} {
			if m, seen := worst[key]; seen {
				worst[key] = worse(m, markOf(f.Severity))
			} else {
				worst[key] = markOf(f.Severity)
			}
		}
	}
	for i, f := range r.ByVerdict() {
		s := newSection(f, r.Unit)
		s.ID = "flag-" + strconv.Itoa(i+1)
		if m, seen := worst[f.Key]; seen {
			s.Mark = worse(s.Mark, m)
		}
		v.Flags = append(v.Flags, s)
	}
}

func newSection(f *report.Flag, unit stats.Unit) *section {
	s := &section{ofFlag: f, unit: unit, Key: f.Key, Mark: worse(testMark(f.Test), testMark(f.Allocation)),
		Percent: text.Percent(f.Reach.Share),
		Any:     len(f.Expected.Variants) > 0, Reach: "None of " + unit.Count(f.Users) + " got a variant."}
	var more int
	var rest int64
	s.shown, more, rest = f.ShownVariants(maxVariants)
	slices.SortStableFunc(s.shown, func(a, b int) int { // bars begin with the controls
		switch f.Variants[b].Treatment {
		case f.Variants[a].Treatment:
			return 0
		case true:
			return -1
		}
		return 1
	})
	if more > 0 {
		s.More = fmt.Sprintf("And %s with %s.", text.Count(int64(more), "more variant"), unit.Count(rest))
	}
	var treatments []bool
	for _, at := range s.shown {
		treatments = append(treatments, f.Variants[at].Treatment)
	}
	s.looks = looksOf(treatments)
	for i, at := range s.shown {
		s.Variants = append(s.Variants, variant{&f.Variants[at], s.looks[i]})
	}
	if f.Assigned > 0 {
		s.Reach = fmt.Sprintf("%s of %s got a variant: %s (%s).", text.Thousands(f.Assigned), unit.Count(f.Users), s.Percent,
			f.Reach.Interval())
	}
	if f.LeftOut > 0 {
		s.Reach += " " + text.Plural(f.LeftOut, "did not get it by chance, and is left out of tests.",
			"did not get it by chance, and are left out of tests.")
	}
	s.Words = f.Words()
	s.Whole = s.wholeBar(&f.Counts)
	split := len(s.shown) > 1 && f.Assigned > 0
	var ends []template.CSS
	if split {
		s.Caption = "Variants of the " + unit.Count(f.Assigned) +
			map[bool]string{false: " who", true: " that"}[unit == stats.UnitRows] + " got one"
		s.Split = s.splitBar("Split: ", &f.Counts)
		ends = s.lines(&f.Counts)
		if s.Any {
			s.Expected = s.expectedBar(&f.Counts)
		}
	}
	switch {
	case split && len(ends) > 0 && s.Any || !split && f.ExpectedReach != nil:
		s.Legend = "expected"
	case len(ends) > 0:
		s.Legend = "all " + unit.Noun(2)
	}
	if f.Assigned > 0 {
		s.addSlices(split)
	}
	return s
}

func (s *section) addSlices(split bool) {
	off := int64(0)
	for i := range s.ofFlag.Slices {
		fs := &s.ofFlag.Slices[i]
		at := slices.IndexFunc(s.Groups, func(g group) bool { return g.Name == fs.Column })
		if at < 0 {
			at, s.Groups = len(s.Groups), append(s.Groups, group{Name: fs.Column})
		}
		g := &s.Groups[at]
		c := s.newSlice(fs, split)
		if c.Mark.bad() || c.Mark == differs {
			off++
			g.Open = append(g.Open, c)
		} else if len(g.Open) < openSlices {
			g.Open = append(g.Open, c)
		} else {
			g.More = append(g.More, c)
		}
	}
	if off > 0 {
		all := text.Count(int64(len(s.ofFlag.Slices)), "slice")
		s.Words = append(s.Words, text.Plural(off, "of "+all+" is off", "of "+all+" are off"))
	}
	for i := range s.Groups {
		unfoldFew(&s.Groups[i].Open, &s.Groups[i].More)
	}
}

func (s *section) newSlice(fs *report.FlagSlice, split bool) slice {
	out := slice{Label: fs.Label, Users: s.unit.Count(fs.Users), Mark: markOf(fs.Verdict),
		Reach: text.Percent(fs.Reach.Share)}
	switch {
	case fs.Assigned == 0:
		out.Mark, out.Words = none, "nobody here got a variant"
		return out
	case split:
		out.Bar = s.splitBar("", &fs.Counts)
		out.Bar.Lines = s.lines(&fs.Counts)
		for i, at := range s.shown {
			if v := &fs.Variants[at]; v.Users > 0 || v.Expected != nil {
				out.Shares = append(out.Shares, share{s.looks[i], text.Percent(v.Split.Share)})
			}
		}
	default:
		out.Bar = s.wholeBar(&fs.Counts)
	}
	var words []string
	if result := fs.Result.String(); (testMark(fs.Test) != ok || out.Mark == shares) && result != "" {
		words = append(words, result)
	}
	if m := testMark(fs.Allocation); m.bad() || m == ok && fs.AllocationAgainst == report.AgainstOthers {
		words = append(words, fs.AllocationResult.String())
	}
	out.Words = strings.Join(words, "; ")
	return out
}

// wholeBar is who got which variant, of all users, and how many of all should have one.
func (s *section) wholeBar(c *report.Counts) *bar {
	b := newBar("", s.shares(c, func(i int) float64 { return c.Variants[i].OfUsers }), c.Reach.Share)
	b.Name = "With a variant " + text.Percent(c.Reach.Share)
	if c.ExpectedReach != nil {
		b.Name += ", expected " + text.Percent(*c.ExpectedReach)
		b.Lines = []template.CSS{template.CSS("left:" + cssPercent(*c.ExpectedReach))}
	}
	return b
}

// splitBar is who got which variant, of those who got one.
func (s *section) splitBar(head string, c *report.Counts) *bar {
	return newBar(head, s.shares(c, func(i int) float64 { return c.Variants[i].Split.Share }), 1)
}

// expectedBar is which of the users who got a variant should have got which.
func (s *section) expectedBar(c *report.Counts) *bar {
	known := s.shares(c, func(i int) float64 {
		if c.Variants[i].ExpectedUsers == nil {
			return -1
		}
		return expectedShare(c, i)
	})
	return newBar("Expected: ", slices.DeleteFunc(known, func(l labelled) bool { return l.share < 0 }), 0)
}

func (s *section) shares(c *report.Counts, share func(i int) float64) (list []labelled) {
	for i, at := range s.shown {
		list = append(list, labelled{s.looks[i], c.Variants[at].Key, share(at)})
	}
	return list
}

// expectedShare is the share of the users who got a variant that should have the i-th. Those who are left out of tests
// should have what they have.
func expectedShare(c *report.Counts, i int) float64 {
	if c.Variants[i].ExpectedUsers == nil || c.Assigned == 0 {
		return 0
	}
	return *c.Variants[i].ExpectedUsers / float64(c.Assigned)
}

// lines are where in a bar the variants should end: as expected of these users, or as with all users of the flag.
func (s *section) lines(c *report.Counts) (lines []template.CSS) {
	sum := 0.0
	for i, at := range s.shown {
		if s.Any {
			sum += expectedShare(c, at)
		} else {
			sum += s.ofFlag.Variants[at].Split.Share
		}
		if sum > 0 && sum < 1-1e-9 && i < len(s.shown)-1 {
			lines = append(lines, template.CSS("left:"+cssPercent(sum)))
		}
	}
	return slices.Compact(lines)
}
