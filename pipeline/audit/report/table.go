package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	minWidth      = 60
	tableOverlaps = 20 // pairs that a table lists

	// Of a flag with many variants, the most frequent ones are printed: so many, and so many for each slice.
	maxVariants      = 20
	maxSliceVariants = 20

	labelWidth = 28
)

// Table is the report for a person at a terminal that is so many columns wide: the verdict and the findings first.
func (r *Report) Table(width int) string {
	p := &printer{text.Printer{Width: max(width, minWidth)}, r.Unit}
	p.Wrap(strings.ToUpper(string(r.Verdict.Severity))+"  ", 7, r.Verdict.Text)
	if len(r.Findings) > 0 {
		p.Line("")
		for i := range r.Findings {
			f := &r.Findings[i]
			p.Wrap(fmt.Sprintf("  %-6s", f.Severity), 8, f.Text())
		}
	}
	for i := range r.Snapshots {
		p.snapshot(&r.Snapshots[i])
	}
	if len(r.Snapshots) > 1 {
		p.Line("")
		p.Wrap("All together: ", 2, countsText(r.Unit, &r.Users.Users))
	}
	for i := range r.Columns {
		p.column(&r.Columns[i])
	}
	for _, f := range r.ByVerdict() {
		p.flag(f)
	}
	p.overlaps(r.Overlaps)
	p.Line("")
	for _, n := range append(slices.Clone(r.Notes), r.Reading()) {
		p.Wrap("", 0, n)
	}
	return p.String()
}

// Reading is how to read the figures, in a sentence or two.
func (r *Report) Reading() string {
	said := "Shares are of the " + r.Unit.Noun(2) + map[bool]string{false: " who", true: " that"}[r.Unit == stats.UnitRows] + " got a variant, with their 95 % interval (Wilson)."
	if r.Tests == 0 {
		return said
	}
	said += " p is of a chi-squared test"
	var families []string
	for _, f := range r.Families {
		if f.Tests > 1 {
			families = append(families, fmt.Sprintf("%s %s", text.Thousands(int64(f.Tests)), familyWords[f.Name]))
		}
	}
	if len(families) > 0 {
		said += "; a corrected p is corrected (Holm) for all tests of its family: " + strings.Join(families, ", ")
	}
	return said + fmt.Sprintf(". Below %v is an alert, below %v a warning. w is Cohen's effect size.", stats.AlertBelow, stats.WarnBelow)
}

var familyWords = map[string]string{
	FamilySplit: "of flags' splits", FamilyAllocation: "of who gets a flag", FamilySlices: "of slices", FamilyOverlaps: "of pairs of flags",
	FamilyFailing: "of who failed",
}

// ByVerdict are the flags, those with alerts first, then those with warnings, those that were not tested, and the others;
// each by key.
func (r *Report) ByVerdict() []*Flag {
	var list []*Flag
	for i := range r.Flags {
		list = append(list, &r.Flags[i])
	}
	order := []Severity{Alert, Warn, NotTested, OK}
	slices.SortStableFunc(list, func(a, b *Flag) int {
		return cmp.Compare(slices.Index(order, a.Verdict), slices.Index(order, b.Verdict))
	})
	return list
}

type printer struct {
	text.Printer
	unit stats.Unit
}

func (p *printer) snapshot(s *Snapshot) {
	p.Line("")
	p.Wrap("Snapshot ", 2, s.Path)
	state := "complete, by its manifest"
	if s.Checksum {
		state += " and checksum"
	}
	if !s.Complete {
		state = "not to be trusted: see the findings"
	}
	p.Wrap("  ", 2, state)
	if s.Manifest != "" {
		p.Wrap("  ", 2, s.runText())
		if tracking := s.TrackingText(); tracking != "" {
			p.Wrap("  ", 2, tracking)
		}
		p.Wrap("  ", 2, s.usersText(p.unit))
	} else {
		p.Wrap("  ", 2, p.unit.Count(s.InFile)+" in the file")
	}
}

const minute = "2006-01-02 15:04"

// runText is which run it was, and when.
func (s *Snapshot) runText() string {
	said := fmt.Sprintf("run %s, %s to %s UTC", s.RunID, s.StartedAt.UTC().Format(minute), s.FinishedAt.UTC().Format(minute))
	if s.Resumes > 0 {
		said += ", resumed " + text.Count(int64(s.Resumes), "time")
	}
	if s.Completes != "" {
		said += "; it asked again about the failed users of run " + s.Completes
	}
	return said
}

// TrackingText is what the run may have changed in the customer's analytics; "" is nothing.
func (s *Snapshot) TrackingText() string {
	switch s.NoTrack {
	case "unproven":
		return "no-track unproven: the server may have recorded an assignment for every user"
	case "ignored":
		return "no-track ignored: the server recorded an assignment for every user"
	}
	return ""
}

// countsText is how many users were read, answered and failed.
func countsText(unit stats.Unit, u *snapshot.Users) string {
	said := fmt.Sprintf("%s: %s answered, %s failed", unit.Count(u.Read), text.Thousands(u.Answered), text.Thousands(u.Failed))
	if kinds := KindsText(u); kinds != "" {
		said += " (" + kinds + ")"
	}
	return said
}

// usersText is how many users there are.
func (s *Snapshot) usersText(unit stats.Unit) string {
	said := countsText(unit, &s.Users)
	if s.InFile != s.Users.Answered {
		said += fmt.Sprintf("; %s in the file", text.Thousands(s.InFile))
	}
	return said
}

func (p *printer) column(c *Column) {
	p.Line("")
	p.Wrap("Slices by ", 2, c.Name)
	rows := [][]string{{text.Shorten(c.Name, labelWidth), strings.ToUpper(p.unit.Noun(2)), "FAILED"}}
	for _, s := range c.Slices {
		rows = append(rows, []string{text.Shorten(s.Label, labelWidth), text.Thousands(s.Users), text.Thousands(s.Failed)})
	}
	p.Table(1, rows)
	if c.Folded > 0 {
		p.Line("  (other): %s values or more", text.Thousands(c.Folded))
	}
	p.Wrap("  failing: ", 2, c.FailingResult.String())
}

func (p *printer) flag(f *Flag) {
	p.Line("")
	p.Wrap("Flag ", 2, f.Key)
	p.Wrap("  ", 2, f.reachText(p.unit))
	if len(f.Variants) == 0 {
		return
	}
	rows := [][]string{{"VARIANT", strings.ToUpper(p.unit.Noun(2)), "SHARE", "95 % INTERVAL"}}
	expected := len(f.Expected.Variants) > 0
	if expected {
		rows[0] = append(rows[0], "EXPECTED")
	}
	shown, more, rest := f.ShownVariants(maxVariants)
	for _, i := range shown {
		v := &f.Variants[i]
		row := []string{text.Shorten(v.Key, labelWidth), text.Thousands(v.Users), text.Percent(v.Split.Share), v.Split.interval()}
		if expected {
			row = append(row, v.expected())
		}
		rows = append(rows, row)
	}
	p.Table(1, rows)
	if more > 0 {
		p.Line("  and %s with %s", text.Count(int64(more), "more variant"), p.unit.Count(rest))
	}
	for _, said := range []string{f.Result.String(), f.AllocationResult.String()} {
		if said != "" {
			p.Wrap("  ", 2, said)
		}
	}
	p.slices(f)
}

// reachText is how many users got a variant.
func (f *Flag) reachText(unit stats.Unit) string {
	if f.Assigned == 0 {
		return fmt.Sprintf("none of %s got a variant", unit.Count(f.Users))
	}
	said := fmt.Sprintf("%s of %s got a variant: %s [%s]", text.Thousands(f.Assigned), unit.Count(f.Users), text.Percent(f.Reach.Share), f.Reach.interval())
	if f.LeftOut > 0 {
		said += fmt.Sprintf("; %s not by chance, and left out of tests", text.Thousands(f.LeftOut))
	}
	return said
}

// ShownVariants are the variants that are printed where at most so many are: all in their order, or the most frequent ones
// first, and how many more there are, with how many users.
func (c *Counts) ShownVariants(most int) (shown []int, more int, rest int64) {
	for i := range c.Variants {
		shown = append(shown, i)
	}
	if len(shown) <= most {
		return shown, 0, 0
	}
	slices.SortStableFunc(shown, func(a, b int) int { return cmp.Compare(c.Variants[b].Users, c.Variants[a].Users) })
	for _, i := range shown[most:] {
		rest += c.Variants[i].Users
	}
	return shown[:most], len(shown) - most, rest
}

func (v *Variant) expected() string {
	if v.Expected == nil {
		return "none"
	}
	return text.Percent(*v.Expected)
}

// interval is "49.1 to 51.2".
func (s Share) interval() string {
	return fmt.Sprintf("%.1f to %.1f", 100*s.Low, 100*s.High)
}

// slices prints the slices of a flag: for each column of the input a table with a column for each variant, and further
// tables where they are too many for one.
func (p *printer) slices(f *Flag) {
	var columns []string
	for i := range f.Slices {
		if !slices.Contains(columns, f.Slices[i].Column) {
			columns = append(columns, f.Slices[i].Column)
		}
	}
	var variants []int
	if len(f.Variants) > 1 { // else all who got one got this
		variants, _, _ = f.ShownVariants(maxSliceVariants)
	}
	few, shares := false, false
	for _, column := range columns {
		begin := [][]string{{"", text.Shorten(column, labelWidth)}}
		counts := [][]string{{strings.ToUpper(p.unit.Noun(2)), "REACH"}}
		var list []*FlagSlice
		for i := range f.Slices {
			s := &f.Slices[i]
			if s.Column != column {
				continue
			}
			list = append(list, s)
			few, shares = few || s.Test != nil && !s.Test.Tested(), shares || s.Verdict == SliceShares
			begin = append(begin, []string{s.mark(), text.Shorten(s.Label, labelWidth)})
			counts = append(counts, []string{text.Thousands(s.Users), text.Percent(s.Reach.Share)})
		}
		rows := joinColumns(begin, counts)
		for _, k := range variants {
			cells := variantColumn(&f.Variants[k], k, list)
			wider := joinColumns(rows, cells)
			if !p.Fits(wider) && len(rows[0]) > len(begin[0]) {
				p.Line("")
				p.Table(2, rows)
				wider = joinColumns(begin, cells)
			}
			rows = wider
		}
		p.Line("")
		p.Table(2, rows)
	}
	if more := len(f.Variants) - len(variants); len(variants) > 0 && more > 0 && len(columns) > 0 {
		p.Line("  and %s that are more rare", text.Count(int64(more), "variant"))
	}
	if few {
		p.Line("  -: too few %s to be tested", p.unit.Noun(2))
	}
	if shares {
		p.Line("  as all: it shares what is off among all %s", p.unit.Noun(2))
	}
}

// variantColumn is who got a variant in each slice: how many, and which share of those who got one.
func variantColumn(v *Variant, k int, list []*FlagSlice) [][]string {
	wide := 0
	for _, s := range list {
		wide = max(wide, len(text.Thousands(s.Variants[k].Users)))
	}
	cells := [][]string{{text.Shorten(v.Key, 2*labelWidth/3)}}
	for _, s := range list {
		said := "-"
		if s.Assigned > 0 {
			said = fmt.Sprintf("%*s  %7s", wide, text.Thousands(s.Variants[k].Users), text.Percent(s.Variants[k].Split.Share))
		}
		cells = append(cells, []string{said})
	}
	return cells
}

// joinColumns puts the columns of two tables beside each other.
func joinColumns(a, b [][]string) [][]string {
	rows := make([][]string, len(a))
	for i := range a {
		rows[i] = slices.Concat(a[i], b[i])
	}
	return rows
}

// mark is the verdict of a slice in a word.
func (s *FlagSlice) mark() string {
	switch s.Verdict {
	case SliceNotTested:
		return "-"
	case SliceShares:
		return "as all"
	}
	return string(s.Verdict)
}

func (p *printer) overlaps(list []Overlap) {
	if len(list) == 0 {
		return
	}
	p.Line("")
	p.Line("Users in a treatment of two flags")
	name := (p.Width - 7 - 2*2 - 2*13) / 2
	rows := [][]string{{"", "", "", strings.ToUpper(p.unit.Noun(2)), "BY CHANCE"}}
	for i := range list[:min(len(list), tableOverlaps)] {
		o := &list[i]
		rows = append(rows, []string{o.mark(), text.Shorten(o.A, name), text.Shorten(o.B, name), text.Thousands(o.Treatments), text.Thousands(int64(o.Independent + 0.5))})
	}
	p.Table(3, rows)
	if len(list) > tableOverlaps {
		p.Line("  and %s", text.Count(int64(len(list)-tableOverlaps), "pair"))
	}
}

// mark is what is the matter with a pair; "" is nothing.
func (o *Overlap) mark() string {
	switch {
	case o.breaksGroup():
		return string(Alert)
	case found(o.Test):
		return "depends"
	}
	return ""
}
