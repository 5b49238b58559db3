package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
)

// flags makes the sections of the flags, the worst first.
func (v *view) flags(r *report.Report) {
	found := map[string]mark{}
	for i := range r.Findings {
		f := &r.Findings[i]
		for _, key := range []string{f.Flag, f.Other} {
			if key == "" {
				continue
			}
			if m, seen := found[key]; seen {
				found[key] = worse(m, severityMark(f.Severity))
			} else {
				found[key] = severityMark(f.Severity)
			}
		}
	}
	for _, f := range r.ByVerdict() {
		out := newFlag(f, r.Unit)
		if m, seen := found[f.Key]; seen {
			out.Mark = worse(out.Mark, m)
		}
		v.Flags = append(v.Flags, out)
	}
	for i, f := range v.Flags {
		f.ID = "flag-" + strconv.Itoa(i+1)
	}
}

// shownVariants are the variants that the page shows: the most frequent ones, what is no treatment first, where bars begin.
func shownVariants(c *report.Counts) (shown []int, more int, rest int64) {
	shown, more, rest = c.ShownVariants(maxVariants)
	slices.SortStableFunc(shown, func(a, b int) int {
		switch x, y := c.Variants[a].Treatment, c.Variants[b].Treatment; {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	})
	return shown, more, rest
}

// pick is the counts with these variants alone.
func pick(c report.Counts, shown []int) report.Counts {
	all := c.Variants
	c.Variants = make([]report.Variant, len(shown))
	for i, at := range shown {
		c.Variants[i] = all[at]
	}
	return c
}

func newFlag(f *report.Flag, unit stats.Unit) *section {
	shown, more, rest := shownVariants(&f.Counts)
	ordered := *f
	ordered.Counts = pick(f.Counts, shown)
	f = &ordered
	out := &section{Key: clean(f.Key), Mark: worse(testMark(f.Test), testMark(f.Allocation)), Percent: report.Percent(f.Reach.Share)}
	if f.Assigned == 0 {
		out.Reach = "None of " + unit.Count(f.Users) + " got a variant."
	} else {
		out.Reach = fmt.Sprintf("%s of %s got a variant: %s (%s).", report.Thousands(f.Assigned), unit.Count(f.Users), report.Percent(f.Reach.Share), interval(f.Reach))
	}
	if f.LeftOut > 0 {
		out.Reach += fmt.Sprintf(" %s not by chance, and left out of tests.", report.Thousands(f.LeftOut))
	}
	for _, words := range []string{f.Words, f.AllocationWords} {
		if words != "" {
			out.Words = append(out.Words, capital(prose(words))+".")
		}
	}
	looks := looksOf(f.Variants)
	out.Whole = wholeBar(&f.Counts, looks)
	out.Any = len(f.Expected.Variants) > 0
	for i := range f.Variants {
		x := &f.Variants[i]
		row := variant{Look: looks[i], Key: clean(x.Key), Control: !x.Treatment, Users: report.Thousands(x.Users), OfAll: report.Percent(x.OfUsers),
			Share: report.Percent(x.Split.Share), CI: interval(x.Split), Expected: "none"}
		if x.Expected != nil {
			row.Expected = report.Percent(*x.Expected)
		}
		out.Variants = append(out.Variants, row)
	}
	if more > 0 {
		out.More = fmt.Sprintf("And %s with %s.", count(int64(more), "more variant"), unit.Count(rest))
	}
	split := len(f.Variants) > 1 && f.Assigned > 0
	var ends []template.CSS
	if split {
		out.Caption = "Variants of the " + unit.Count(f.Assigned) + map[bool]string{false: " who", true: " that"}[unit == stats.UnitRows] + " got one"
		out.Split = splitBar("Split", &f.Counts, looks, nil)
		ends = lines(&f.Counts, f)
		if out.Any {
			out.Expected = expectedBar(&f.Counts, looks)
		}
	}
	switch {
	case split && len(ends) > 0 && out.Any || !split && f.ExpectedReach != nil:
		out.Legend = "expected"
	case len(ends) > 0:
		out.Legend = "all " + unit.Noun(2)
	}
	off := 0
	for i := range f.Slices {
		if f.Assigned == 0 {
			break
		}
		s := &f.Slices[i]
		name := clean(s.Column)
		at := slices.IndexFunc(out.Groups, func(g group) bool { return g.Name == name })
		if at < 0 {
			at, out.Groups = len(out.Groups), append(out.Groups, group{Name: name})
		}
		g := &out.Groups[at]
		ordered := *s
		ordered.Counts = pick(s.Counts, shown)
		c := newSlice(unit, &ordered, f, looks, split)
		bad := c.Mark == alert || c.Mark == warn || c.Mark == differs
		if bad {
			off++
		}
		if bad || len(g.Open) < openSlices {
			g.Open = append(g.Open, c)
		} else {
			g.More = append(g.More, c)
		}
	}
	if off > 0 {
		verb := "are"
		if off == 1 {
			verb = "is"
		}
		out.Words = append(out.Words, fmt.Sprintf("%d of %s %s off.", off, count(int64(len(f.Slices)), "slice"), verb))
	}
	for i := range out.Groups {
		if g := &out.Groups[i]; len(g.More) <= fewMore {
			g.Open, g.More = append(g.Open, g.More...), nil
		}
	}
	return out
}

func newSlice(unit stats.Unit, s *report.FlagSlice, f *report.Flag, looks []string, split bool) slice {
	out := slice{Label: clean(s.Label), Users: unit.Count(s.Users), Mark: sliceMarks[s.Verdict], Reach: report.Percent(s.Reach.Share)}
	switch {
	case s.Assigned == 0:
		out.Mark, out.Words = none, "nobody here got a variant"
		return out
	case split:
		out.Bar = splitBar("", &s.Counts, looks, lines(&s.Counts, f))
		for i := range s.Variants {
			if s.Variants[i].Users > 0 || s.Variants[i].Expected != nil {
				out.Shares = append(out.Shares, share{looks[i], report.Percent(s.Variants[i].Split.Share)})
			}
		}
	default:
		out.Bar = wholeBar(&s.Counts, looks)
	}
	var words []string
	if m := testMark(s.Test); (m != ok || out.Mark == shares) && s.Words != "" {
		words = append(words, prose(s.Words))
	}
	if m := testMark(s.Allocation); m == alert || m == warn || m == ok && s.AllocationAgainst == report.AgainstOthers {
		words = append(words, prose(s.AllocationWords))
	}
	out.Words = strings.Join(words, "; ")
	return out
}

// looksOf are the variants' colours and patterns: the control grey and plain, all others another one.
func looksOf(variants []report.Variant) []string {
	names := make([]string, len(variants))
	next, control := 0, false
	for i := range variants {
		if !variants[i].Treatment && !control {
			control, names[i] = true, "v0"
			continue
		}
		names[i] = "v" + strconv.Itoa(1+next%(looks-1))
		next++
	}
	return names
}

func interval(s report.Share) string { return fmt.Sprintf("%.1f to %.1f", 100*s.Low, 100*s.High) }

// percent is a share as a length of CSS.
func percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e4)/100, 'f', -1, 64) + "%"
}

func (b *bar) add(look string, share float64) {
	if share > 0 {
		b.Parts = append(b.Parts, segment{look, template.CSS("width:" + percent(share))})
	}
}

// wholeBar is who got which variant, of all users, and how many of all should have one.
func wholeBar(c *report.Counts, looks []string) *bar {
	b := &bar{Name: "With a variant " + report.Percent(c.Reach.Share)}
	if c.ExpectedReach != nil {
		b.Name += ", expected " + report.Percent(*c.ExpectedReach)
		b.Lines = []template.CSS{template.CSS("left:" + percent(*c.ExpectedReach))}
	}
	rest := c.Reach.Share
	for i := range c.Variants {
		b.add(looks[i], c.Variants[i].OfUsers)
		rest -= c.Variants[i].OfUsers
	}
	b.others(rest)
	return b
}

// others adds the variants that are not shown.
func (b *bar) others(share float64) (some bool) {
	if share < 1e-6 {
		return false
	}
	b.add("rest", share)
	return true
}

// splitBar is who got which variant, of those who got one.
func splitBar(name string, c *report.Counts, looks []string, lines []template.CSS) *bar {
	b := &bar{Lines: lines}
	var said []string
	rest := 1.0
	for i := range c.Variants {
		v := &c.Variants[i]
		b.add(looks[i], v.Split.Share)
		said = append(said, short(v.Key)+" "+report.Percent(v.Split.Share))
		rest -= v.Split.Share
	}
	if b.others(rest) {
		said = append(said, "others "+report.Percent(rest))
	}
	b.Name = strings.Join(said, ", ")
	if name != "" {
		b.Name = name + ": " + b.Name
	}
	return b
}

// expectedBar is which of the users who got a variant should have got which.
func expectedBar(c *report.Counts, looks []string) *bar {
	b := &bar{}
	var said []string
	for i := range c.Variants {
		if c.Variants[i].ExpectedUsers != nil {
			share := shouldHave(c, i)
			b.add(looks[i], share)
			said = append(said, short(c.Variants[i].Key)+" "+report.Percent(share))
		}
	}
	b.Name = "Expected: " + strings.Join(said, ", ")
	return b
}

// shouldHave is the share of the users who got a variant that should have the i-th: those who are left out of tests
// should have what they have.
func shouldHave(c *report.Counts, i int) float64 {
	if c.Variants[i].ExpectedUsers == nil || c.Assigned == 0 {
		return 0
	}
	return *c.Variants[i].ExpectedUsers / float64(c.Assigned)
}

// lines are where in a bar the variants should end: as expected of these users, or as with all users of the flag.
func lines(c *report.Counts, f *report.Flag) (out []template.CSS) {
	sum := 0.0
	for i := range c.Variants {
		if len(f.Expected.Variants) > 0 {
			sum += shouldHave(c, i)
		} else {
			sum += f.Variants[i].Split.Share
		}
		if sum > 0 && sum < 1-1e-9 && i < len(c.Variants)-1 {
			out = append(out, template.CSS("left:"+percent(sum)))
		}
	}
	return slices.Compact(out)
}
