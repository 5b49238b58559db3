package report

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Options say which snapshots to report on, and what is known beside them. Only Snapshots is needed.
type Options struct {
	// Snapshots are outputs of finished runs, one of each run, or their manifests. Runs are added up: several are parts
	// of one whole, such as a run for each region.
	Snapshots []string

	By       []string // carried columns to slice by, as they are called in the output or in the input
	Controls []string // variants that are no treatment, whatever the case; nil: DefaultControls

	Expectations []Expectation // at most one for each flag
	Groups       []engine.Group

	// Failures calls each for every error record in the file that has its original row, with the values of the columns
	// in it, Null where there is none. nil: error records are not looked at.
	Failures func(file string, columns []string, each func(values []pipeline.Value)) error

	Checksums bool // compare the files' checksums, too

	// Configs is the file of flag configurations that Expectations are from; its Path and SHA256 count. nil: there is none.
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
	manifest *snapshot.Manifest
	once     snapshot.Users // Users, less those whom another of the snapshots asked about again
	errors   string         // the file of error records; "" is none
	failing  string         // why they could not be read
	input    []string       // what Options.By is called in the input
	wide     bool
	asked    bool // flags were asked for: each answered user has all of them
}

// Build reads the snapshots and reports on them. Its errors are about what cannot be read, or was asked for and is not
// there; what is wrong with a snapshot is in the Report.
func Build(ctx context.Context, o Options) (*Report, error) {
	keys := &snapshot.Keys{}
	c := newCollector(keys, &o)
	var all []*source
	runs := map[string]string{}
	for _, path := range o.Snapshots {
		s, err := open(path)
		if err != nil {
			return nil, err
		}
		if first, twice := runs[s.RunID]; twice && s.RunID != "" {
			return nil, pipeline.WithHint(fmt.Errorf("%s and %s are of the same run, and its users would count twice", first, s.Path),
				"name one output of each run")
		}
		runs[s.RunID] = s.Path
		all = append(all, s)
	}
	manifests := make([]*snapshot.Manifest, len(all))
	for i, s := range all {
		manifests[i] = s.manifest
	}
	once, err := snapshot.CountOnce(manifests)
	if err != nil {
		return nil, err
	}
	for i, s := range all {
		s.once = once[i]
		if err := c.read(ctx, s, &o); err != nil {
			return nil, err
		}
	}
	if err := c.checkExpected(all, &o); err != nil {
		return nil, err
	}
	if err := c.checkControls(&o); err != nil {
		return nil, err
	}
	return analyze(c, all, &o), nil
}

// open finds the manifest of a snapshot.
func open(path string) (*source, error) {
	s := &source{}
	s.Path, s.Problems, s.Warnings = path, []string{}, []string{}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	manifest := path
	if !snapshot.IsManifest(path) {
		var err error
		if manifest, err = snapshot.FindManifest(path); err != nil {
			s.problem("there is no manifest beside it: the run is not finished, or the file was moved alone")
			return s, nil
		}
	}
	m, err := snapshot.ReadManifest(manifest)
	if err != nil {
		return nil, err
	}
	s.manifest, s.Manifest = m, manifest
	s.RunID, s.Version, s.StartedAt, s.FinishedAt, s.Resumes, s.Users = m.RunID, m.Version, m.StartedAt, m.FinishedAt, m.Resumes, m.Users
	s.NoTrack = m.NoTrack
	s.Warnings = append(s.Warnings, m.Warnings...)
	if m.Completes != nil {
		s.Completes = m.Completes.RunID
	}
	s.asked = m.Options["flags"] != "" || m.Options["flags-from"] != ""
	located := snapshot.Locate(manifest, m, nil)
	for i, l := range located {
		last := i == len(located)-1 // the error records
		switch {
		case l.Path == "":
		case last:
			s.errors = l.Path
			if s.Path == manifest {
				return nil, pipeline.WithHint(fmt.Errorf("%s: no output of this run is a file that can be read", manifest), "name the output")
			}
			if same(s.Path, l.Path) {
				return nil, pipeline.WithHint(fmt.Errorf("%s holds the error records of a run, not its assignments", path), "name one of its other outputs")
			}
		case s.Path == manifest:
			s.Path = l.Path
		}
	}
	return s, nil
}

func same(a, b string) bool {
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}

func (s *source) problem(format string, args ...any) {
	s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
}

// read counts the users of one snapshot.
func (c *collector) read(ctx context.Context, s *source, o *Options) (err error) {
	r, err := snapshot.OpenReader(s.Path, snapshot.Options{
		Manifest: s.manifest, Keys: c.keys, NoPayloads: true, NoIncluded: true, NoCarried: len(o.By) == 0,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s.wide = r.Wide
	for _, flag := range r.Flags {
		c.flag(flag)
	}
	var carry []int
	input := s.carried(r.Carry)
	for _, name := range o.By {
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
	before := c.snapshot()
	var u snapshot.User
	var row, disordered, differing int64
	var differs string
	first, last := int64(0), int64(0)
	for {
		if err := r.Next(&u); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if s.InFile++; s.InFile%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if u.Row <= row {
			disordered++
		}
		row = u.Row
		if u.Differs != "" {
			differing, differs = differing+1, u.Differs
		}
		if first == 0 || u.EvaluatedAt < first {
			first = u.EvaluatedAt
		}
		last = max(last, u.EvaluatedAt)
		if c.add(&u, carry); s.InFile%1024 == 0 && c.full() {
			return pipeline.WithHint(fmt.Errorf("%s has more flags and variants than can be counted by %s at once", s.Path, text.Count(int64(len(o.By)), "column")),
				"slice by fewer columns, or none")
		}
	}
	s.Records = r.Records()
	if s.InFile > 0 {
		s.First, s.Last = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	}
	if disordered > 0 {
		s.problem("%s at or before the user before them by row number: users may stand there twice", text.CountIs(disordered, c.ids.Unit().Noun(1), "stands", "stand"))
	}
	if differing > 0 {
		s.problem("%s records that disagree, in column %s for example", text.CountIs(differing, c.ids.Unit().Noun(1), "has", "have"), differs)
	}
	if n := c.repeated - before.repeated; n > 0 {
		s.problem("%s the same flag more than once", text.CountIs(n, c.ids.Unit().Noun(1), "has", "have"))
	}
	s.Everybody = s.wide || s.asked
	if s.manifest != nil {
		s.Everybody = s.InFile == s.Users.Answered
		c.compare(s, before)
		if o.Checksums {
			if err := s.checksum(ctx); err != nil {
				return err
			}
		}
	}
	s.Complete = len(s.Problems) == 0
	c.readFailures(s, o)
	return nil
}

// carried is how the carried columns are called in the input: the output's names may be others.
func (s *source) carried(columns []snapshot.CarriedColumn) []string {
	if s.manifest != nil {
		if names := s.manifest.List("carry"); len(names) == len(columns) {
			return names
		}
	}
	var names []string
	for _, col := range columns {
		names = append(names, col.Name)
	}
	return names
}

func missingColumn(path, name string, carried []snapshot.CarriedColumn) error {
	var names []string
	for _, col := range carried {
		names = append(names, col.Name)
	}
	hint := pipeline.Suggest(name, names)
	if hint == "" {
		hint = "`rollcall snapshot --carry " + name + "` copies a column of the input to the output"
	}
	return pipeline.WithHint(&OptionError{fmt.Errorf("%s has no carried column %q", path, name)}, hint)
}

// OptionError is a name in [Options] that the snapshots do not have: the command was called wrongly.
type OptionError struct{ Err error }

func (e *OptionError) Error() string { return e.Err.Error() }

// Unwrap is what is wrong.
func (e *OptionError) Unwrap() error { return e.Err }

// counted is what was counted before a snapshot.
type counted struct {
	counts   [][]int64
	repeated int64
}

func (c *collector) snapshot() counted {
	before := counted{repeated: c.repeated}
	for _, f := range c.flags {
		before.counts = append(before.counts, slices.Clone(f.counts))
	}
	return before
}

// compare holds what was counted against the manifest.
func (c *collector) compare(s *source, before counted) {
	m := s.manifest
	listed := false
	for i, l := range snapshot.Locate(s.Manifest, m, []string{s.Path}) {
		if i == len(m.Outputs)-1 || l.Path == "" || !same(l.Path, s.Path) {
			continue
		}
		listed = true
		if l.File.Rows != s.Records {
			s.problem("it has %d records, and by its manifest %d", s.Records, l.File.Rows)
		}
	}
	if !listed {
		s.problem("its manifest does not list it")
	}
	if (s.wide || s.asked) && s.InFile != m.Users.Answered || s.InFile > m.Users.Answered {
		s.problem("it has %s, and by its manifest %d were answered", c.ids.Unit().Count(s.InFile), m.Users.Answered)
	}
	const most = 3
	wrong := 0
	for _, want := range m.Flags {
		got := map[string]int64{}
		if key, ok := c.keys.Find(want.Flag); ok && int(key) < len(c.at) && c.at[key] != 0 {
			at := c.at[key] - 1
			f := c.flags[at]
			for v := range f.counts {
				n := f.counts[v]
				if int(at) < len(before.counts) && v < len(before.counts[at]) {
					n -= before.counts[at][v]
				}
				got[c.keys.Name(f.variants[v].key)] = n
			}
		}
		for _, v := range want.Variants {
			if got[v.Variant] != v.Users {
				if wrong++; wrong <= most {
					s.problem("flag %s: it has %s with variant %s, and by its manifest %d", want.Flag, c.ids.Unit().Count(got[v.Variant]), v.Variant, v.Users)
				}
			}
		}
	}
	if wrong > most {
		s.problem("and %d more variants whose users are not as many as its manifest says", wrong-most)
	}
}

// checksum compares the file's checksum.
func (s *source) checksum(ctx context.Context) error {
	for i, l := range snapshot.Locate(s.Manifest, s.manifest, []string{s.Path}) {
		if i == len(s.manifest.Outputs)-1 || l.Path == "" || !same(l.Path, s.Path) {
			continue
		}
		f, err := snapshot.OpenOutput(s.Path)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, &canceled{ctx, f})
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		s.Checksum = true
		if hex.EncodeToString(h.Sum(nil)) != l.File.SHA256 {
			s.problem("its checksum is not that of its manifest: it was changed after the run")
		}
	}
	return nil
}

// canceled is a reader that ends with its context.
type canceled struct {
	ctx context.Context
	r   io.Reader
}

func (c *canceled) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// readFailures counts the failed users by slice.
func (c *collector) readFailures(s *source, o *Options) {
	switch {
	case s.manifest == nil || s.once.Failed == 0 || len(o.By) == 0:
		return
	case s.once.Failed != s.Users.Failed:
		s.failing = "some of the failed users were asked about again, and nothing says which"
		return
	case o.Failures == nil || s.errors == "":
		s.failing = "the error records were not read"
		return
	}
	var n int64
	err := o.Failures(s.errors, s.input, func(values []pipeline.Value) {
		n++
		c.fail(values)
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.failing = "the error records are not there"
	case err != nil:
		s.failing = err.Error()
	case n != s.Users.Failed:
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
		if s.manifest != nil {
			for _, f := range s.manifest.Flags {
				known = append(known, f.Flag)
			}
			known = append(known, s.manifest.NobodyGot...)
		}
	}
	for _, e := range o.Expectations {
		if e.Source == SourceExpect && !slices.Contains(known, e.Flag) {
			return pipeline.WithHint(&OptionError{fmt.Errorf("%s names flag %q, which no snapshot has", SourceExpect, e.Flag)}, pipeline.Suggest(e.Flag, known))
		}
	}
	return nil
}

// checkControls refuses a control that is not a variant of any flag: with it misspelt, the real one would be a treatment.
// It may be one that nobody got, if an expectation has it.
func (c *collector) checkControls(o *Options) error {
	seen := map[string]bool{}
	var known []string
	learn := func(variant string) {
		if !seen[variant] {
			seen[variant] = true
			known = append(known, variant)
		}
	}
	for _, name := range DefaultControls {
		learn(name)
	}
	for _, e := range o.Expectations {
		for _, w := range e.Variants {
			learn(w.Variant)
		}
	}
	for _, f := range c.flags {
		for _, v := range f.variants {
			learn(c.keys.Name(v.key))
		}
	}
	for _, control := range o.Controls {
		if !slices.ContainsFunc(known, func(name string) bool { return strings.EqualFold(name, control) }) {
			hint := pipeline.Suggest(control, known)
			if hint == "" {
				hint = "leave it out if nobody has it"
			}
			return pipeline.WithHint(&OptionError{fmt.Errorf("--controls names variant %q, which nobody has of any flag", control)}, hint)
		}
	}
	return nil
}

// SourceExpect is the Source of an [Expectation] that somebody wrote by hand: its flag has to be there.
const SourceExpect = "--expect"
