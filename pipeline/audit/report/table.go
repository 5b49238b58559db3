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
	maxVariants   = 20 // of a flag that are printed, also in each slice: the most frequent ones
	labelWidth    = 28
)

// Table is the report for a terminal of that many columns: the verdict and the findings first.
func (r *Report) Table(width int) string {
	p := &printer{text.Printer{Width: max(width, minWidth)}, r.Unit}
	p.Wrap(strings.ToUpper(string(r.Verdict.Severity))+"  ", 7, r.Verdict.Text)
	for _, said := range r.CrossChecks() {
		p.Wrap("       ", 7, said)
	}
	if len(r.Findings) > 0 {
		p.Line("")
		for i := range r.Findings {
			f := &r.Findings[i]
			p.Wrap(fmt.Sprintf("  %-6s", f.Severity), 8, f.Text())
		}
	}
	for i := range r.Cohorts {
		c := &r.Cohorts[i]
		p.Line("")
		p.Wrap("Cohort ", 2, c.Name)
		p.Wrap("  ", 2, c.FoundText())
		p.Wrap("  ", 2, c.ExposedText(r.Unit))
		if c.Found > 0 && len(c.Flags) > 0 {
			p.printTable(2, 0, labelWidth, c.Rows(r.Unit))
		}
	}
	for i := range r.Snapshots {
		p.printSnapshot(&r.Snapshots[i])
	}
	if len(r.Snapshots) > 1 {
		p.Line("")
		p.Wrap("All together: ", 2, countsText(r.Unit, &r.Users.Users))
	}
	for i := range r.Columns {
		p.printColumn(&r.Columns[i])
	}
	for _, f := range r.ByVerdict() {
		p.printFlag(f)
	}
	p.printOverlaps(r.Overlaps)
	p.Line("")
	for _, n := range append(slices.Clone(r.Notes), r.Reading()) {
		p.Wrap("", 0, n)
	}
	return p.String()
}

// Reading is how to read the figures, in a sentence or two.
func (r *Report) Reading() string {
	said := "Shares are of the " + r.Unit.Noun(2) + map[bool]string{false: " who",
		true: " that"}[r.Unit == stats.UnitRows] + " got a variant, with their 95 % interval (Wilson)."
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
	return said + fmt.Sprintf(". Below %v is an alert, below %v a warning. w is Cohen's effect size.", stats.AlertBelow,
		stats.WarnBelow)
}

var familyWords = map[string]string{
	FamilySplit: "of flags' splits", FamilyAllocation: "of who gets a flag", FamilySlices: "of slices",
	FamilyOverlaps: "of pairs of flags",
	FamilyFailing:  "of who failed",
}

// ByVerdict are the flags, those with alerts first, then those with warnings, those that were not tested, and the
// others; each by key.
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

func (p *printer) printSnapshot(s *Snapshot) {
	p.Line("")
	p.Wrap("Snapshot ", 2, s.Path)
	state := "complete, according to its manifest"
	if s.Checksum {
		state += " and checksum"
	}
	if !s.Complete {
		state = "not to be trusted: see the findings"
	}
	p.Wrap("  ", 2, state)
	if s.Manifest != "" {
		for _, said := range s.describe(p.unit) {
			p.Wrap("  ", 2, said)
		}
	} else {
		p.Wrap("  ", 2, p.unit.Count(s.InFile)+" in the file")
	}
}

// CrossChecks say, for each snapshot that was compared with the API, how far its answers are the API's.
func (r *Report) CrossChecks() (said []string) {
	for i := range r.Snapshots {
		s := &r.Snapshots[i]
		if s.CrossCheck == nil {
			continue
		}
		of := ""
		if len(r.Snapshots) > 1 {
			of = " of " + s.Path
		}
		said = append(said, "cross-check"+of+": "+s.CrossCheck.String())
	}
	return said
}

// describe says which run it was, and how many users it had.
func (s *Snapshot) describe(unit stats.Unit) []string {
	return nonEmpty(s.runText(), s.TrackingText(), s.ChangesText(), s.usersText(unit))
}

// runText is which run it was, and when.
func (s *Snapshot) runText() string {
	said := fmt.Sprintf("run %s, %s to %s UTC", s.RunID, text.Minute(s.StartedAt), text.Minute(s.FinishedAt))
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

// ChangesText says that nobody knows whether flags changed while the run went on; "" where it is known, or the manifest
// does not say. What changed is a finding.
func (s *Snapshot) ChangesText() string {
	if s.FlagChanges == nil || s.FlagChanges.State != snapshot.FlagsUnknown {
		return ""
	}
	return "whether flags changed meanwhile is not known: " + s.FlagChanges.Reason
}

// countsText is how many users were read, answered and failed.
func countsText(unit stats.Unit, u *snapshot.Users) string {
	said := fmt.Sprintf("%s: %s answered, %s failed", unit.Count(u.Read), text.Thousands(u.Answered),
		text.Thousands(u.Failed))
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

// printTable prints rows, the first one in capital letters from the column caps on. The first left columns are names.
func (p *printer) printTable(left, caps, width int, rows [][]string) {
	for i := caps; i < len(rows[0]); i++ {
		rows[0][i] = strings.ToUpper(rows[0][i])
	}
	for _, row := range rows {
		for i := range left {
			row[i] = text.Shorten(row[i], width)
		}
	}
	p.Table(left, rows)
}

// rows are the table of a column, its head first.
func (c *Column) rows(unit stats.Unit) [][]string {
	rows := [][]string{{c.Name, unit.Noun(2), "failed"}}
	for _, s := range c.Slices {
		rows = append(rows, []string{s.Label, text.Thousands(s.Users), text.Thousands(s.Failed)})
	}
	return rows
}

// variantRows are the table of a flag's variants, its head first, and how many more there are.
func (f *Flag) variantRows(unit stats.Unit) (rows [][]string, more string) {
	known := len(f.Expected.Variants) > 0
	rows = [][]string{{"variant", unit.Noun(2), "share", "95 % interval", choose(known, "expected", "")}}
	shown, left, rest := f.ShownVariants(maxVariants)
	for _, i := range shown {
		v := &f.Variants[i]
		expected := choose(known, "none", "")
		if v.Expected != nil {
			expected = text.Percent(*v.Expected)
		}
		rows = append(rows, []string{v.Key, text.Thousands(v.Users), text.Percent(v.Split.Share), v.Split.Interval(),
			expected})
	}
	if left > 0 {
		more = fmt.Sprintf("%s with %s", text.Count(int64(left), "more variant"), unit.Count(rest))
	}
	return rows, more
}

// overlapRows are the table of pairs of flags, its head first.
func overlapRows(unit stats.Unit, list []Overlap) [][]string {
	rows := [][]string{{"", "", "", unit.Noun(2), "by chance"}}
	for i := range list {
		o := &list[i]
		rows = append(rows, []string{o.verdictWord(), o.A, o.B, text.Thousands(o.Treatments),
			text.Thousands(int64(o.Independent + 0.5))})
	}
	return rows
}

func (p *printer) printColumn(c *Column) {
	p.Line("")
	p.Wrap("Slices by ", 2, c.Name)
	p.printTable(1, 1, labelWidth, c.rows(p.unit))
	if c.Folded > 0 {
		p.Line("  (other): %s values or more", text.Thousands(c.Folded))
	}
	p.Wrap("  failing: ", 2, c.FailingResult.String())
}

func (p *printer) printFlag(f *Flag) {
	p.Line("")
	p.Wrap("Flag ", 2, f.Key)
	p.Wrap("  ", 2, f.reachText(p.unit))
	if len(f.Variants) == 0 {
		return
	}
	rows, more := f.variantRows(p.unit)
	p.printTable(1, 0, labelWidth, rows)
	if more != "" {
		p.Line("  and %s", more)
	}
	for _, said := range f.Words() {
		p.Wrap("  ", 2, said)
	}
	p.printSlices(f)
}

// Words are what the tests of the flag found, among all users.
func (f *Flag) Words() []string { return nonEmpty(f.Result.String(), f.AllocationResult.String()) }

func nonEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}

// reachText is how many users got a variant.
func (f *Flag) reachText(unit stats.Unit) string {
	if f.Assigned == 0 {
		return fmt.Sprintf("none of %s got a variant", unit.Count(f.Users))
	}
	said := fmt.Sprintf("%s of %s got a variant: %s [%s]", text.Thousands(f.Assigned), unit.Count(f.Users),
		text.Percent(f.Reach.Share), f.Reach.Interval())
	if f.LeftOut > 0 {
		said += fmt.Sprintf("; %s not by chance, and left out of tests", text.Thousands(f.LeftOut))
	}
	return said
}

// ShownVariants are the variants that are printed if most are allowed: see [stats.MostFrequent]; more is how many more
// there are, with how many users.
func (c *Counts) ShownVariants(most int) (shown []int, more int, rest int64) {
	shown, rest = stats.MostFrequent(len(c.Variants), most, func(i int) int64 { return c.Variants[i].Users })
	return shown, len(c.Variants) - len(shown), rest
}

// Interval is "49.1 to 51.2".
func (s Share) Interval() string {
	return fmt.Sprintf("%.1f to %.1f", 100*s.Low, 100*s.High)
}

// printSlices prints the slices of a flag: for each column of the input a table with a column for each variant, and
// further tables where they are too many for one.
func (p *printer) printSlices(f *Flag) {
	var columns []string
	for i := range f.Slices {
		if !slices.Contains(columns, f.Slices[i].Column) {
			columns = append(columns, f.Slices[i].Column)
		}
	}
	var variants []int
	if len(f.Variants) > 1 { // else all who got one got this
		variants, _, _ = f.ShownVariants(maxVariants)
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
			begin = append(begin, []string{s.verdictWord(), text.Shorten(s.Label, labelWidth)})
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

// verdictWord is the verdict of a slice in a word.
func (s *FlagSlice) verdictWord() string {
	switch s.Verdict {
	case SliceNotTested:
		return "-"
	case SliceShares:
		return "as all"
	}
	return string(s.Verdict)
}

func (p *printer) printOverlaps(list []Overlap) {
	if len(list) == 0 {
		return
	}
	p.Line("")
	p.Line("Users in a treatment of two flags")
	name := (p.Width - 7 - 2*2 - 2*13) / 2
	p.printTable(3, 0, name, overlapRows(p.unit, list[:min(len(list), tableOverlaps)]))
	if len(list) > tableOverlaps {
		p.Line("  and %s", text.Count(int64(len(list)-tableOverlaps), "pair"))
	}
}

// verdictWord is what was found about a pair; "" is nothing.
func (o *Overlap) verdictWord() string {
	switch {
	case o.breaksGroup():
		return string(Alert)
	case found(o.Test):
		return "depends"
	}
	return ""
}
