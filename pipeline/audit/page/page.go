package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	openFindings = 8  // more are folded
	openOfFlag   = 3  // of them of one flag, that others have a place on the first screen, too
	openSlices   = 8  // of one column; those that are off are never folded
	openRows     = 6  // of a table of users by slice, where failing does not depend on it
	fewMore      = 2  // take no more room than what would unfold them
	openPairs    = 10 // pairs of flags
	matrixFlags  = 12 // as many as a phone has room for
	looks        = 8  // colours and patterns of variants
	nameLength   = 60 // of a name inside an accessible name
	maxVariants  = 20 // of a flag, the most frequent ones
)

var (
	//go:embed *.html
	files embed.FS
	//go:embed page.css
	pageCSS string

	templates = template.Must(template.ParseFS(files, "*.html"))
)

// Origin is what the footer says beside the report.
type Origin struct {
	Made    time.Time
	Version string          // of rollcall
	Files   []snapshot.File // what the report was made of, with checksums where they are known
}

// HTML is the report as one file.
func HTML(r *report.Report, o Origin) ([]byte, error) {
	return execute("page.html", newView(r, o))
}

func execute(name string, view any) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, view); err != nil {
		return nil, fmt.Errorf("make the page: %w", err)
	}
	return b.Bytes(), nil
}

// What the template prints.
type (
	// frame is what every page has: a head with the verdict, and a foot.
	frame struct {
		CSS          template.CSS
		Kind         string
		Unit, Units  string // what is counted: "Users", "users"
		Title        string // of the window
		Names        string // of the snapshots
		About        []string
		Verdict      mark
		Sentence     string
		Findings     []finding
		Folded       []finding
		MoreFindings string
		Notes        []string
		Footer       footer
	}

	view struct {
		frame
		Snapshot  []snapshotView
		Columns   []column
		Flags     []*section
		Pairs     []pair
		More      []pair
		MorePairs string
		Matrix    *matrix
	}

	// mark is a verdict: a class for its colour, a sign and a word.
	mark struct{ Class, Sign, Word string }

	finding struct {
		Mark mark
		Text []part
	}
	// part is a piece of a sentence. Names are set apart, because their writing direction may be another one.
	part struct{ Text, Name, Link string }

	fact struct{ Name, Value string }

	snapshotView struct {
		Name     string
		Mark     mark
		Figures  []fact
		Facts    []fact
		Problems []string
	}

	column struct {
		Name, Words string
		Off         *mark
		Other       string // what is in (other)
		Rows        []columnRow
		Fold        string // what unfolds the rows; "": they are not folded
	}
	columnRow struct{ Label, Users, Failed, Share string }

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
		More     string // how many variants are not shown
		Any      bool   // an expected share is known
		Words    []string
		Pairs    []finding // about it and another flag
		Legend   string    // of the line in the bars of slices
		Groups   []group
	}
	variant struct {
		Look                                   string
		Key, Users, OfAll, Share, CI, Expected string
		Control                                bool
	}
	group struct {
		Name       string
		Open, More []slice
	}
	slice struct {
		Mark   mark
		Label  string
		Users  string
		Bar    *bar
		Shares []share
		Reach  string
		Words  string
	}
	share struct{ Look, Percent string }

	// bar is a stacked bar.
	bar struct {
		Name  string // its accessible name
		Parts []segment
		Lines []template.CSS // where shares should end
	}
	segment struct {
		Look  string
		Style template.CSS
	}

	pair struct {
		Mark                        mark
		A, B, Users, Chance, Shares string
		Words                       string
	}
	matrix struct {
		Columns []string
		Rows    []matrixRow
		Left    string // which flags are not in it
	}
	matrixRow struct {
		Name  string
		Cells []cell
	}
	cell struct {
		Class, Text, Name string
		None              bool // the other half
	}

	footer struct {
		Made  string
		Runs  []fact
		Files []fact
	}
)

// The marks.
var (
	alert   = mark{"alert", "▲", "alert"}
	warn    = mark{"warn", "◆", "warning"}
	note    = mark{"note", "●", "note"}
	ok      = mark{"ok", "✓", "ok"}
	differs = mark{"note", "●", "differs"}
	shares  = mark{"note", "●", "as all"} // it shares what is off among all
	none    = mark{"none", "–", "not tested"}
)

var sliceMarks = map[report.SliceVerdict]mark{
	report.SliceAlert: alert, report.SliceWarn: warn, report.SliceDiffers: differs, report.SliceShares: shares,
	report.SliceOK: ok, report.SliceNotTested: none, "": none,
}

func severityMark(s report.Severity) mark {
	switch s {
	case report.Alert:
		return alert
	case report.Warn:
		return warn
	case report.OK:
		return ok
	}
	return note
}

func newView(r *report.Report, o Origin) *view {
	v := &view{frame: frame{CSS: template.CSS(pageCSS), Kind: "Exposure report", Units: r.Unit.Noun(2), Verdict: severityMark(r.Verdict.Severity), Sentence: capital(clean(r.Verdict.Text))}}
	v.Unit = capital(v.Units)
	var paths, runs []string
	for i := range r.Snapshots {
		s := &r.Snapshots[i]
		paths = append(paths, clean(filepath.Base(s.Path)))
		if s.RunID != "" {
			runs = append(runs, clean(s.RunID))
		}
		v.Snapshot = append(v.Snapshot, newSnapshot(s, v.Units))
	}
	v.Names = few(paths)
	v.Title = fmt.Sprintf("Exposure report: %s (%s)", v.Names, v.Verdict.Word)
	v.About = []string{r.Unit.Count(r.Users.Read), count(int64(len(r.Flags)), "flag")}
	if when := span(r.Snapshots); when != "" {
		v.About = append(v.About, when)
	}
	if len(runs) > 0 {
		v.About = append(v.About, "run "+few(runs))
	}
	for i := range r.Columns {
		v.Columns = append(v.Columns, newColumn(&r.Columns[i]))
	}
	v.flags(r)
	ids := map[string]string{}
	for _, f := range v.Flags {
		ids[f.Key] = f.ID
	}
	about := map[string]int{} // how many are there already of a flag
	for i := range r.Findings {
		f := newFinding(&r.Findings[i], ids, v.Units)
		worse := r.Findings[i].Severity != report.Note || len(v.Folded) == 0 // no note stands before a folded alert
		if key := r.Findings[i].Flag; worse && len(v.Findings) < openFindings && (key == "" || about[key] < openOfFlag) {
			about[key]++
			v.Findings = append(v.Findings, f)
		} else {
			v.Folded = append(v.Folded, f)
		}
		if other := r.Findings[i].Other; other != "" {
			for _, flag := range v.Flags {
				if flag.Key == clean(r.Findings[i].Flag) || flag.Key == clean(other) {
					flag.Pairs = append(flag.Pairs, f)
				}
			}
		}
	}
	v.fold()
	v.overlaps(r)
	for _, n := range append(slices.Clone(r.Notes), r.Reading()) {
		v.Notes = append(v.Notes, clean(n))
	}
	v.Footer = newFooter(r, o)
	return v
}

// fold ends the findings.
func (f *frame) fold() {
	if len(f.Folded) <= fewMore {
		f.Findings, f.Folded = append(f.Findings, f.Folded...), nil
	}
	f.MoreFindings = count(int64(len(f.Folded)), "more finding")
}

// clean is text without what is none: broken UTF-8, control characters, overrides of the writing direction.
func clean(s string) string { return report.Printable(strings.ToValidUTF8(s, "\uFFFD")) }

// short is a name inside of an accessible name, which repeats it for each bar.
func short(s string) string {
	s = clean(s)
	if r := []rune(s); len(r) > nameLength {
		return string(r[:nameLength-1]) + "…"
	}
	return s
}

// unbroken is where a line should not break, inside of what reports say.
var unbroken = regexp.MustCompile(`\d %|\b[pw] [=<] \d(\.\d+)?(e-\d+)?|\d points`)

// prose is a sentence: "p = 4e-07" stays on one line, and is written with a minus sign.
func prose(s string) string {
	return unbroken.ReplaceAllStringFunc(clean(s), func(m string) string {
		return strings.NewReplacer(" ", "\u00a0", "e-", "e\u2212").Replace(m)
	})
}

// capital is a sentence of a report's words.
func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return report.Thousands(n) + " " + noun + "s"
}

func few(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most-1], ", "), len(names)-most+1)
	}
	return strings.Join(names, ", ")
}

const minute = "2006-01-02 15:04"

// span is from when to when the runs were.
func span(list []report.Snapshot) string {
	var first, last time.Time
	for i := range list {
		s := &list[i]
		if s.StartedAt.IsZero() {
			continue
		}
		if first.IsZero() || s.StartedAt.Before(first) {
			first = s.StartedAt
		}
		if s.FinishedAt.After(last) {
			last = s.FinishedAt
		}
	}
	return between(first, last)
}

func between(first, last time.Time) string {
	if first.IsZero() {
		return ""
	}
	from, to := first.UTC().Format(minute), last.UTC().Format(minute)
	switch {
	case last.IsZero() || from == to:
		return from + " UTC"
	case from[:10] == to[:10]:
		to = to[11:]
	}
	return from + " to " + to + " UTC"
}

// newFinding sets the names at the beginning of a finding apart: see [exposure.Finding].
func newFinding(f *report.Finding, ids map[string]string, noun string) finding {
	out := finding{Mark: severityMark(f.Severity)}
	rest := f.Text
	take := func(before, name string, link bool) bool {
		after, found := strings.CutPrefix(rest, before+name)
		if !found || name == "" {
			return false
		}
		p := part{Text: before, Name: clean(name)}
		if link {
			p.Link = ids[p.Name]
		}
		out.Text, rest = append(out.Text, p), after
		return true
	}
	if take("", f.Flag, true) {
		take(" and ", f.Other, true)
		if take(", where ", f.Column, false) {
			take(" = ", f.Slice, false)
		}
	} else if take("failing depends on ", f.Column, false) && take(": of the "+noun+" with ", f.Column, false) {
		take(" = ", f.Slice, false)
	}
	out.Text = append(out.Text, part{Text: prose(rest)})
	return out
}

func newSnapshot(s *report.Snapshot, noun string) snapshotView {
	out := snapshotView{Name: clean(filepath.Base(s.Path)), Mark: mark{"ok", "✓", "complete"}}
	if !s.Complete {
		out.Mark = mark{"alert", "▲", "not to be trusted"}
	}
	for _, p := range s.Problems {
		out.Problems = append(out.Problems, capital(clean(p)))
	}
	if filepath.Base(s.Path) != s.Path {
		out.Facts = append(out.Facts, fact{"File", clean(s.Path)})
	}
	if s.Manifest == "" {
		out.Figures = []fact{{noun + " in the file", report.Thousands(s.InFile)}, {"records", report.Thousands(s.Records)}}
		return out
	}
	out.Figures = []fact{
		{noun + " read", report.Thousands(s.Users.Read)},
		{"answered", report.Thousands(s.Users.Answered)},
		{"failed", report.Thousands(s.Users.Failed)},
		{"in the file", report.Thousands(s.InFile)},
		{"records", report.Thousands(s.Records)},
	}
	checked := "counts agree with the manifest; checksum not compared"
	switch {
	case !s.Complete:
		checked = "not what the manifest says"
	case s.Checksum:
		checked = "counts and checksum agree with the manifest"
	}
	out.Facts = append(out.Facts, fact{"Checked", checked})
	var kinds []string
	for _, kind := range pipeline.Kinds {
		if n := s.Users.FailedByKind[kind]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %s", report.Thousands(n), kind))
		}
	}
	if len(kinds) > 0 {
		out.Facts = append(out.Facts, fact{"Failed", fmt.Sprintf("%s: %s", report.Percent(ratio(s.Users.Failed, s.Users.Read)), strings.Join(kinds, ", "))})
	}
	out.Facts = append(out.Facts, fact{"Run", between(s.StartedAt, s.FinishedAt)})
	if s.Completes != "" {
		out.Facts = append(out.Facts, fact{"Asked again", "about the failed users of run " + clean(s.Completes)})
	}
	if !s.First.IsZero() {
		out.Facts = append(out.Facts, fact{"Answers", between(s.First, s.Last)})
	}
	if s.Resumes > 0 {
		out.Facts = append(out.Facts, fact{"Resumed", count(int64(s.Resumes), "time")})
	}
	if text := s.TrackingText(); text != "" {
		out.Facts = append(out.Facts, fact{"Tracking", text})
	}
	for _, w := range s.Warnings {
		out.Facts = append(out.Facts, fact{"Warning", clean(w)})
	}
	return out
}

func ratio(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func newColumn(c *report.Column) column {
	out := column{Name: clean(c.Name), Words: "Failing: " + prose(c.FailingWords)}
	if c.Failing != nil {
		if m := testMark(c.Failing); m == alert || m == warn {
			out.Off = &m
		}
	}
	if c.Folded > 0 {
		out.Other = count(c.Folded, "value") + " or more are in (other)."
	}
	for i := range c.Slices {
		s := &c.Slices[i]
		out.Rows = append(out.Rows, columnRow{clean(s.Label), report.Thousands(s.Users), report.Thousands(s.Failed), report.Percent(ratio(s.Failed, s.Users+s.Failed))})
	}
	if len(out.Rows) > openRows && out.Off == nil {
		out.Fold = count(int64(len(out.Rows)), "slice")
	}
	return out
}

// testMark is what a test says; a nil one says nothing.
func testMark(t *stats.Test) mark {
	switch {
	case t == nil || !t.Tested():
		return none
	case t.Verdict == stats.Alert:
		return alert
	case t.Verdict == stats.Warn:
		return warn
	}
	return ok
}

// marks are in the order of how bad they are.
var marks = []mark{alert, warn, differs, note, shares, ok, none}

func worse(a, b mark) mark {
	if slices.Index(marks, b) < slices.Index(marks, a) {
		return b
	}
	return a
}

func newFooter(r *report.Report, o Origin) footer {
	f := o.footer()
	for i := range r.Snapshots {
		s := &r.Snapshots[i]
		f.run(s.RunID, s.Path, s.Version, s.StartedAt, s.FinishedAt)
	}
	return f
}

// run adds the run of a snapshot.
func (f *footer) run(id, path, version string, from, to time.Time) {
	if id == "" {
		return
	}
	text := clean(path) + ", " + between(from, to)
	if version != "" {
		text += ", by rollcall " + clean(version)
	}
	f.Runs = append(f.Runs, fact{clean(id), text})
}

// footer is a footer without runs.
func (o *Origin) footer() footer {
	var f footer
	f.Made = "Made by rollcall"
	if o.Version != "" {
		f.Made += " " + clean(o.Version)
	}
	if !o.Made.IsZero() {
		f.Made += ", " + o.Made.UTC().Format(minute) + " UTC"
	}
	f.Made += "."
	for _, file := range o.Files {
		sum := file.SHA256
		if sum == "" {
			sum = "not known"
		}
		f.Files = append(f.Files, fact{clean(file.Path), clean(sum)})
	}
	return f
}
