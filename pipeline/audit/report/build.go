package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Options say which snapshots to report on, and what is known beside them. Only Snapshots is needed.
type Options struct {
	// Snapshots are outputs of finished runs, one of each run, or their manifests. Runs are added up: several are parts
	// of one whole, such as a run for each region.
	Snapshots []string
	Files     *blob.Files // where they are; nil: on this machine

	By       []string // carried columns to slice by, as they are called in the output or in the input
	Controls []string // variants that are no treatment, whatever the case; nil: DefaultControls

	Expectations []Expectation // at most one for each flag
	Groups       []engine.Group

	Checksums bool // compare the files' checksums, too

	// Cohorts are looked for among the users, by user id. By can name them: cohort.NAME. Named are those that somebody asked
	// for by name, which have a place on the first screen of the page.
	Cohorts *cohort.Set
	Named   []string

	// Configs is the file of flag configurations that Expectations are from; its Path and SHA256 count. nil: there is
	// none.
	Configs *snapshot.File
}

// DefaultControls are the variants that are no treatment: a user who gets one of them sees what everybody saw before.
var DefaultControls = []string{"control", "off", "default"}

// What a flag can bucket by.
const (
	byUserID   = "user_id"
	byDeviceID = "device_id"
)

// source is one of the snapshots, opened.
type source struct {
	Snapshot
	run     *snapshot.Run
	failing string   // why the failed users were not counted by slice
	unread  bool     // the error records could not be read
	input   []string // what Options.By is called in the input
	full    bool     // the layout has each answered user
}

// Build reads the snapshots and reports on them. Its errors are about what cannot be read, or was asked for and is not
// there; what is wrong with a snapshot is in the Report.
func Build(ctx context.Context, o Options) (*Report, error) {
	runs, err := snapshot.OpenAll(o.Files, o.Snapshots)
	if err != nil {
		return nil, err
	}
	c := newCollector(&snapshot.Keys{}, &o)
	var all []*source
	for _, run := range runs {
		s := &source{run: run, Snapshot: Snapshot{Path: run.Path, Manifest: run.ManifestPath, Warnings: []string{}}}
		if m := run.Manifest; m != nil {
			s.RunID, s.Version, s.StartedAt, s.FinishedAt, s.Resumes = m.RunID, m.Version, m.StartedAt, m.FinishedAt, m.Resumes
			s.Users, s.NoTrack, s.Warnings = m.Users, m.NoTrack, append(s.Warnings, m.Warnings...)
			s.FlagChanges, s.Local, s.CrossCheck = m.FlagChanges, m.FlagConfigs != nil, m.CrossCheck
			if m.Completes != nil {
				s.Completes = m.Completes.RunID
			}
		}
		all = append(all, s)
		if err := c.countSnapshot(ctx, s, &o); err != nil {
			return nil, err
		}
	}
	if err := o.Files.Err(); err != nil {
		return nil, err // it is not what a snapshot lacks
	}
	if err := c.checkExpected(all, &o); err != nil {
		return nil, err
	}
	if err := c.checkControls(&o); err != nil {
		return nil, err
	}
	r := analyze(c, all, &o)
	for _, run := range runs {
		r.Files = append(r.Files, run.Files()...)
	}
	for _, c := range o.Cohorts.All() {
		r.Files = append(r.Files, snapshot.File{Path: c.Path, SHA256: c.SHA256})
	}
	if o.Configs != nil {
		r.Files = append(r.Files, *o.Configs)
	}
	return r, nil
}

// countSnapshot counts the users of one snapshot, and finds whether it can be trusted.
func (c *collector) countSnapshot(ctx context.Context, s *source, o *Options) error {
	if err := c.countUsers(ctx, s, o); err != nil {
		return err
	}
	if s.run.Manifest != nil {
		s.Everybody = s.InFile == s.Users.Answered
	}
	if o.Checksums {
		var err error
		if s.Checksum, err = s.run.Checksum(ctx); err != nil {
			return err
		}
	}
	s.Problems = snapshot.Describe(s.run.Problems)
	s.Complete = len(s.Problems) == 0
	c.countFailed(s, o)
	return nil
}

func (c *collector) countUsers(ctx context.Context, s *source, o *Options) (err error) {
	r, err := s.run.Users(snapshot.Options{Keys: c.keys, NoPayloads: true, NoIncluded: true, NoCarried: len(o.By) == 0})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s.full = r.Wide || s.run.Layout.Everybody()
	s.Everybody = s.full
	for _, flag := range r.Flags {
		c.flagIndex(flag)
	}
	var carry []int
	input := s.run.Layout.InputNames(r.Carry)
	for i, name := range o.By {
		if c.dimensions[i].cohort != nil {
			carry, s.input = append(carry, 0), append(s.input, "")
			continue
		}
		at := slices.IndexFunc(r.Carry, func(col snapshot.CarriedColumn) bool { return col.Name == name })
		if at < 0 {
			at = slices.Index(input, name)
		}
		if at < 0 && len(r.Columns) > 0 {
			return missingColumn(s.Path, name, r.Carry)
		}
		if carry = append(carry, at); at >= 0 {
			name = input[at]
		}
		s.input = append(s.input, name)
	}
	carry = append(carry, make([]int, len(c.dimensions)-len(o.By))...) // of cohorts
	var first, last int64
	err = r.Each(ctx, func(u *snapshot.User) error {
		if first == 0 || u.EvaluatedAt < first {
			first = u.EvaluatedAt
		}
		last = max(last, u.EvaluatedAt)
		c.countUser(u, carry)
		if s.InFile++; s.InFile%1024 == 0 && c.isFull() {
			return pipeline.WithHint(fmt.Errorf("%s has more flags and variants than can be counted by %s at once", s.Path,
				text.Count(int64(len(o.By)), "column")), "slice by fewer columns, or none")
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Records = r.Records()
	if s.InFile > 0 {
		s.First, s.Last = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	}
	return nil
}

func missingColumn(path, name string, carried []snapshot.CarriedColumn) error {
	var names []string
	for _, col := range carried {
		names = append(names, col.Name)
	}
	if list, ok := strings.CutPrefix(name, "cohort."); ok {
		return optionError("give its members: --cohort "+list+"=FILE", "%s has no carried column %q, and no cohort %q is given",
			path, name, list)
	}
	return optionError(cmp.Or(pipeline.Suggest(name, names), "`rollcall snapshot --carry "+name+
		"` copies a column of the input to the output"),
		"%s has no carried column %q", path, name)
}

// OptionError is a name in [Options] that the snapshots do not have: the command was called wrongly.
type OptionError struct{ Err error }

func (e *OptionError) Error() string { return e.Err.Error() }

// Unwrap is what is wrong.
func (e *OptionError) Unwrap() error { return e.Err }

func optionError(hint, format string, args ...any) error {
	return pipeline.WithHint(&OptionError{fmt.Errorf(format, args...)}, hint)
}

const failedAgain = "some of the failed users were asked about again, and nothing says which"

// countFailed counts the failed users by slice, and marks those who are members of cohorts.
func (c *collector) countFailed(s *source, o *Options) {
	retried := s.run.Once.Failed != s.Users.Failed
	switch {
	case s.run.Once.Failed == 0 || len(c.dimensions) == 0:
		return
	case retried && len(c.cohorts) == 0:
		s.failing = failedAgain
		return
	case s.run.ErrorRecords == "":
		s.failing, s.unread = "the error records were not read", true
		return
	}
	var n int64
	err := s.run.EachFailed(s.input, func(_ int64, userID []byte, values []pipeline.Value) bool {
		for _, m := range c.cohorts {
			m.markIn(m.failed, userID)
		}
		if values != nil && !retried {
			n++
			c.countFailedUser(userID, values)
		}
		return true
	})
	s.unread = err != nil
	switch {
	case retried:
		s.failing = failedAgain
	case errors.Is(err, fs.ErrNotExist):
		s.failing = "the error records are not there"
	case err != nil:
		s.failing = err.Error()
	case n != s.Users.Failed && len(o.By) > 0:
		s.failing = fmt.Sprintf("%d of %d error records do not have their original row", s.Users.Failed-n, s.Users.Failed)
	}
}

// checkExpected refuses what was expected of flags that the snapshots do not have.
func (c *collector) checkExpected(all []*source, o *Options) error {
	var known []string
	for _, f := range c.flags {
		known = append(known, f.key)
	}
	for _, s := range all {
		if s.run.Manifest != nil {
			for _, f := range s.run.Manifest.Flags {
				known = append(known, f.Flag)
			}
		}
	}
	for _, e := range o.Expectations {
		if e.Source == SourceExpect && !slices.Contains(known, e.Flag) {
			return optionError(pipeline.Suggest(e.Flag, known), "%s names flag %q, which no snapshot has", SourceExpect, e.Flag)
		}
	}
	return nil
}

// checkControls refuses a control that is not a variant of any flag: with it misspelt, the real one would be a
// treatment. It may be one that nobody got, if an expectation has it.
func (c *collector) checkControls(o *Options) error {
	known := slices.Clone(DefaultControls)
	for _, e := range o.Expectations {
		for _, w := range e.Variants {
			known = append(known, w.Variant)
		}
	}
	for _, f := range c.flags {
		for _, v := range f.variants {
			known = append(known, v.name)
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for _, control := range o.Controls {
		if !slices.ContainsFunc(known, func(name string) bool { return strings.EqualFold(name, control) }) {
			return optionError(cmp.Or(pipeline.Suggest(control, known), "leave it out if nobody has it"),
				"--controls names variant %q, which nobody has of any flag", control)
		}
	}
	return nil
}

// SourceExpect is the Source of an [Expectation] that somebody wrote by hand: its flag has to be there.
const SourceExpect = "--expect"
