package page

import (
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

const (
	openOfFlag = 3 // findings of one flag, so that others have a place on the first screen too
	openRows   = 6 // of a table of users by slice, where failing does not depend on it
)

type (
	reportView struct {
		frame
		Snapshots   []snapshotView
		Columns     []column
		Cohorts     []cohort
		Flags       []*section
		Pairs, More []pair
		Matrix      *matrix
	}

	column struct {
		*report.Column
		Mark mark
		Off  bool
		Fold bool
	}

	cohort struct {
		*report.Cohort
		ID, Exposed string
		Fold        bool
		Rows        [][]string // without the head
	}
)

// Report is a report as one HTML file.
func Report(r *report.Report, o Origin) ([]byte, error) {
	return execute("report.html", newReportView(r, o))
}

func newReportView(r *report.Report, o Origin) *reportView {
	var paths, runs []string
	for i := range r.Snapshots {
		paths = append(paths, filepath.Base(r.Snapshots[i].Path))
		if id := r.Snapshots[i].RunID; id != "" {
			runs = append(runs, id)
		}
	}
	v := &reportView{frame: newFrame("Exposure report", text.List(paths, 3), r.Unit, markOf(r.Verdict.Severity),
		r.Verdict.Text, r.Files, o)}
	v.About = []string{r.Unit.Count(r.Users.Read), text.Count(int64(len(r.Flags)), "flag")}
	if span := spanOf(r.Snapshots); span != "" {
		v.About = append(v.About, span)
	}
	if len(runs) > 0 {
		v.About = append(v.About, "run "+text.List(runs, 3))
	}
	v.About = append(v.About, r.CrossChecks()...)
	for i := range r.Snapshots {
		s := &r.Snapshots[i]
		v.Snapshots = append(v.Snapshots, newReportSnapshot(s, v.Units))
		v.addRun(s.RunID, s.Path, s.Version, s.StartedAt, s.FinishedAt)
	}
	for i := range r.Columns {
		c := column{Column: &r.Columns[i], Mark: testMark(r.Columns[i].Failing)}
		c.Off = c.Mark.bad()
		c.Fold = len(c.Slices) > openRows && !c.Off
		v.Columns = append(v.Columns, c)
	}
	v.addFlags(r)
	v.addFindings(r)
	v.addCohorts(r)
	v.addOverlaps(r)
	v.Notes = append(slices.Clone(r.Notes), r.Reading())
	return v
}

// addCohorts adds the cohorts; those that somebody named have a place on the first screen, before the findings.
func (v *reportView) addCohorts(r *report.Report) {
	var named []finding
	for i := range r.Cohorts {
		c := cohort{Cohort: &r.Cohorts[i], ID: "cohort-" + strconv.Itoa(i+1), Exposed: r.Cohorts[i].ExposedText(r.Unit)}
		if c.Found > 0 {
			c.Rows = c.Cohort.Rows(r.Unit)[1:]
			c.Fold = len(c.Rows) > openRows*openRows
		}
		v.Cohorts = append(v.Cohorts, c)
		if c.Named {
			named = append(named, finding{Mark: mark{"note", "●", "cohort"},
				Text: []part{{Name: c.Name, Link: c.ID}, {Text: ": " + c.FoundText() + "; " + c.Exposed}}})
		}
	}
	v.Findings = append(named, v.Findings...)
}

// spanOf is from when to when the runs were.
func spanOf(list []report.Snapshot) string {
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
	return formatSpan(first, last)
}

func newReportSnapshot(s *report.Snapshot, noun string) snapshotView {
	v := newSnapshotView(s.Path, s.Complete, s.Problems)
	inFile := []fact{{"in the file", text.Thousands(s.InFile)}, {"records", text.Thousands(s.Records)}}
	if s.Manifest == "" {
		inFile[0].Name = noun + " in the file"
		v.Figures = inFile
		return v
	}
	v.Figures = append([]fact{
		{noun + " read", text.Thousands(s.Users.Read)},
		{"answered", text.Thousands(s.Users.Answered)},
		{"failed", text.Thousands(s.Users.Failed)},
	}, inFile...)
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{name, value})
		}
	}
	switch {
	case !s.Complete:
		add("Checked", "not what the manifest says")
	case s.Checksum:
		add("Checked", "counts and checksum agree with the manifest")
	default:
		add("Checked", "counts agree with the manifest; checksum not compared")
	}
	if kinds := report.KindsText(&s.Users); kinds != "" {
		add("Failed", text.Percent(ratio(s.Users.Failed, s.Users.Read))+": "+kinds)
	}
	add("Run", formatSpan(s.StartedAt, s.FinishedAt))
	if s.Completes != "" {
		add("Asked again", "about the failed users of run "+s.Completes)
	}
	add("Answers", formatSpan(s.First, s.Last))
	if s.Resumes > 0 {
		add("Resumed", text.Count(int64(s.Resumes), "time"))
	}
	add("Tracking", s.TrackingText())
	add("Flags", s.ChangesText())
	for _, w := range s.Warnings {
		add("Warning", w)
	}
	return v
}

func failedShare(s report.Slice) string { return text.Percent(ratio(s.Failed, s.Users+s.Failed)) }

// addFindings adds the findings, to the sections of pairs of flags too.
func (v *reportView) addFindings(r *report.Report) {
	ids := map[string]string{}
	for _, f := range v.Flags {
		ids[f.Key] = f.ID
	}
	ofFlag := map[string]int{}
	for i := range r.Findings {
		rf := &r.Findings[i]
		f := newFinding(rf, ids)
		before := rf.Severity != report.Note || len(v.Folded) == 0 // no note comes before a folded alert
		if before && len(v.Findings) < openFindings && (rf.Flag == "" || ofFlag[rf.Flag] < openOfFlag) {
			ofFlag[rf.Flag]++
			v.Findings = append(v.Findings, f)
		} else {
			v.Folded = append(v.Folded, f)
		}
		for _, flag := range v.Flags {
			if rf.Other != "" && (flag.Key == rf.Flag || flag.Key == rf.Other) {
				flag.Pairs = append(flag.Pairs, f)
			}
		}
	}
	unfoldFew(&v.Findings, &v.Folded)
}

// newFinding sets the names of what a finding is about apart: see [report.Finding.Parts].
func newFinding(f *report.Finding, ids map[string]string) finding {
	out := finding{Mark: markOf(f.Severity)}
	for _, p := range f.Parts() {
		piece := part{Text: p.Text, Name: p.Name}
		if p.IsFlag {
			piece.Link = ids[p.Name]
		}
		out.Text = append(out.Text, piece)
	}
	out.Text[0].Text = text.Capitalize(out.Text[0].Text)
	return out
}
