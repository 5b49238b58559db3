package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// ShardRun is a shard that was merged.
type ShardRun struct {
	Number   int    `json:"number"` // from 1
	RunID    string `json:"run_id"`
	Manifest string `json:"manifest"` // its name
}

// Part is one shard for [Merge]: its manifest, and where that is.
type Part struct {
	Path     string
	Manifest *Manifest
}

// MergeError says why shards are not one job.
type MergeError struct {
	Of      int
	Missing []int    // numbers of shards, from 1
	Reasons []string // anything else
}

func (e *MergeError) Error() string {
	reasons := slices.Clone(e.Reasons)
	if len(e.Missing) > 0 {
		var names []string
		for _, n := range e.Missing {
			names = append(names, fmt.Sprintf("%d/%d", n, e.Of))
		}
		reasons = append([]string{text.CountIs(int64(len(names)), "shard", "is", "are") + " missing: " + text.List(names, 20)},
			reasons...)
	}
	more := len(reasons) - maxReasons
	if more > 0 {
		reasons = append(reasons[:maxReasons], fmt.Sprintf("and %d more reasons", more))
	}
	return "the shards are not one job: " + strings.Join(reasons, "; ")
}

// maxReasons is how many reasons an error has.
const maxReasons = 5

// maxWarnings is how many warnings a merged manifest has, beside those of all shards.
const maxWarnings = 20

// isMerged are the options that may differ between the shards of a job, beside those that free names.
var isMerged = []string{"shard", "out", "errors", "summary", "manifest", "latest"}

// Merge returns the manifest of the job that the shards are, for the file out: its counts are the sums of theirs, and its
// outputs the files of all of them, which stay where they are. It is a [*MergeError] if one is missing or duplicated,
// if they were not called alike (free are the options that change no answer), if they evaluated other flags, or
// if their rows are not those of the whole input. errorRecords is the output that has the error records of all.
func Merge(files *blob.Files, parts []Part, out string, free func(option string) bool, runID string,
	errorRecords File) (*Manifest, error) {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b Part) int { return cmp.Compare(number(a), number(b)) })
	c := &merger{files: files, parts: parts, free: free, err: &MergeError{}}
	if c.checkShards(); len(c.err.Reasons)+len(c.err.Missing) > 0 {
		return nil, c.err
	}
	c.checkAlike()
	inputs := c.joinInputs()
	m := c.sum()
	m.RunID, m.Inputs, m.Outputs = runID, inputs, append(c.joinOutputs(out), errorRecords)
	if len(c.err.Reasons) > 0 {
		return nil, c.err
	}
	return m, nil
}

func number(p Part) int {
	if p.Manifest.Shard == nil {
		return 0
	}
	return p.Manifest.Shard.Number
}

type merger struct {
	files *blob.Files
	parts []Part
	free  func(option string) bool
	err   *MergeError
}

func (c *merger) fail(format string, args ...any) {
	c.err.Reasons = append(c.err.Reasons, fmt.Sprintf(format, args...))
}

// checkShards makes sure that each shard is there once.
func (c *merger) checkShards() {
	for _, p := range c.parts {
		if p.Manifest.Shard == nil {
			c.fail("%s is not the manifest of a shard", p.Path)
			return
		}
		c.err.Of = max(c.err.Of, p.Manifest.Shard.Of)
	}
	for i, p := range c.parts {
		if of := p.Manifest.Shard.Of; of != c.err.Of {
			c.fail("%s is one of %d shards, others are of %d", p.Path, of, c.err.Of)
		}
		if i > 0 && number(p) == number(c.parts[i-1]) {
			c.fail("shard %d/%d is duplicated: %s and %s", number(p), c.err.Of, c.parts[i-1].Path, p.Path)
		}
	}
	for n := 1; n <= c.err.Of; n++ {
		if !slices.ContainsFunc(c.parts, func(p Part) bool { return number(p) == n }) {
			c.err.Missing = append(c.err.Missing, n)
		}
	}
}

// checkAlike makes sure that the shards were called with the same options, and evaluated the same flags.
func (c *merger) checkAlike() {
	first := c.parts[0]
	differ := func(p Part, what string, a, b any) {
		c.fail("shard %d has %s %v, shard %d has %v", number(first), what, a, number(p), b)
	}
	a := first.Manifest
	for _, p := range c.parts[1:] {
		b := p.Manifest
		if a.Version != b.Version {
			differ(p, "the version of rollcall", a.Version, b.Version)
		}
		names := maps.Clone(a.Options)
		maps.Copy(names, b.Options)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if slices.Contains(isMerged, name) || c.free(name) && name != "flags" && name != "allow-tracking" {
				continue
			}
			if x, y := a.Options.Text(name), b.Options.Text(name); x != y {
				differ(p, "--"+name, strconv.Quote(x), strconv.Quote(y))
			}
		}
		if x, y := sumOf(a.FlagConfigs), sumOf(b.FlagConfigs); x != y {
			differ(p, "flag configurations with the SHA-256", x, y)
		}
		if x, y := fmt.Sprint(a.Cohorts), fmt.Sprint(b.Cohorts); x != y {
			c.fail("shards %d and %d have other members of cohorts", number(first), number(p))
		}
		if a.Semantics != b.Semantics {
			differ(p, "the semantics", a.Semantics, b.Semantics)
		}
		if x, y := a.Shard.Flags, b.Shard.Flags; x != nil && y != nil {
			for _, key := range slices.Sorted(maps.Keys(x.Flags)) {
				if was, is := x.Flags[key], y.Flags[key]; was != is {
					c.fail("flag %s was edited between shards %d and %d", show(key), number(first), number(p))
				}
			}
		}
		if fmt.Sprintf("%+v", a.Layout) != fmt.Sprintf("%+v", b.Layout) {
			c.fail("shards %d and %d do not have the same columns", number(first), number(p))
		}
		if len(a.Outputs) != len(b.Outputs) {
			differ(p, "outputs", len(a.Outputs), len(b.Outputs))
		}
	}
}

func sumOf(f *File) string {
	if f == nil {
		return "none"
	}
	return f.SHA256[:min(len(f.SHA256), 16)] + "…"
}

// joinInputs returns the files that the shards have read parts of, and makes sure that all of them were read once.
func (c *merger) joinInputs() []File {
	var all []File // the parts, in the order of the rows
	for _, p := range c.parts {
		for _, f := range p.Manifest.Inputs {
			if f.Part == nil {
				c.fail("%s does not say which part of %s it has read", p.Path, f.Path)
				return nil
			}
			if f.Part.From < f.Part.To || f.Rows > 0 {
				all = append(all, f)
			}
		}
	}
	var inputs []File
	var row int64
	for i := range all {
		f, part := &all[i], all[i].Part
		begins := i == 0 || part.File != all[i-1].Part.File
		switch {
		case part.Row != row:
			c.fail("rows %d to %d of the input are in no shard, or in two", min(row, part.Row)+1, max(row, part.Row))
			return nil
		case begins && part.From != 0, !begins && part.From != all[i-1].Part.To:
			c.fail("the parts of %s do not fit together at byte %d", f.Path, part.From)
			return nil
		case begins && i > 0 && part.File < all[i-1].Part.File:
			c.fail("the shards have read the files in another order")
			return nil
		case !begins && (part.FileBytes != all[i-1].Part.FileBytes || part.FileVersion != all[i-1].Part.FileVersion):
			c.fail("%s was replaced between two shards", f.Path)
			return nil
		}
		ends := i == len(all)-1 || all[i+1].Part.File != part.File
		if ends && part.To != part.FileBytes {
			c.fail("the shards have read %d of %d bytes of %s", part.To, part.FileBytes, f.Path)
			return nil
		}
		if begins {
			inputs = append(inputs, File{Path: f.Path, Bytes: part.FileBytes})
		}
		inputs[len(inputs)-1].Rows += f.Rows
		row += f.Rows
	}
	return inputs
}

// joinOutputs returns the outputs of the job: each is the files of the shards.
func (c *merger) joinOutputs(out string) []File {
	var outputs []File
	for k := range c.parts[0].Manifest.Outputs[:max(0, len(c.parts[0].Manifest.Outputs)-1)] {
		joined := File{Partitioned: &Partitioned{By: []string{}}}
		for _, p := range c.parts {
			l := Locate(c.files, p.Path, p.Manifest, nil)[k]
			switch {
			case l.Path == "":
				c.fail("an output of %s went to standard output", p.Path)
				return nil
			case l.File.Partitioned != nil:
				c.fail("%s is partitioned: such shards cannot be merged", l.Path)
				return nil
			case blob.Dir(l.Path) != blob.Dir(out):
				c.fail("%s is not in the directory of %s", l.Path, out)
				return nil
			}
			base := path.Base(l.Path)
			name, ext := cutFormat(base)
			name, numbered := strings.CutSuffix(name, fmt.Sprintf("-%05d", number(p)-1))
			whole := blob.Join(blob.Dir(out), name+ext)
			if !numbered || joined.Path != "" && joined.Path != whole {
				c.fail("%s is not named as shard %d: with {shard} in --out it is", l.Path, number(p))
				return nil
			}
			if info, err := c.files.Stat(l.Path); err != nil {
				c.fail("%v", err)
				return nil
			} else if info.Size() != l.File.Bytes {
				c.fail("%s has %d bytes, its manifest says %d", l.Path, info.Size(), l.File.Bytes)
				return nil
			}
			joined.Path = whole
			joined.Bytes += l.File.Bytes
			joined.Rows += l.File.Rows
			joined.Partitioned.Files = append(joined.Partitioned.Files, PartitionFile{Path: base, Bytes: l.File.Bytes,
				Rows: l.File.Rows, SHA256: l.File.SHA256})
		}
		joined.SHA256 = joined.Partitioned.sum()
		outputs = append(outputs, joined)
	}
	return outputs
}

// sum returns the manifest with the counts of all shards.
func (c *merger) sum() *Manifest {
	m := *c.parts[0].Manifest
	m.Shard, m.SideFiles, m.CrossCheck = nil, nil, nil
	m.Path, m.Latest = "", false // it is beside the outputs
	m.Users = Users{FailedByKind: map[pipeline.Kind]int64{}}
	m.Assignments, m.Unasked, m.Resumes, m.Warnings = 0, 0, 0, []string{}
	m.Requests = Requests{Statuses: map[string]int64{}, Method: m.Requests.Method}
	flags, nobody, unasked := map[string]map[string]int64{}, map[string]bool{}, map[string]bool{}
	disagree := map[string]int64{}
	for _, p := range c.parts {
		of := p.Manifest
		m.Shards = append(m.Shards, ShardRun{Number: number(p), RunID: of.RunID, Manifest: path.Base(p.Path)})
		if of.StartedAt.Before(m.StartedAt) {
			m.StartedAt = of.StartedAt
		}
		if of.FinishedAt.After(m.FinishedAt) {
			m.FinishedAt = of.FinishedAt
		}
		m.Resumes += of.Resumes
		m.Users.Read += of.Users.Read
		m.Users.Answered += of.Users.Answered
		m.Users.Failed += of.Users.Failed
		for kind, n := range of.Users.FailedByKind {
			m.Users.FailedByKind[kind] += n
		}
		m.Assignments += of.Assignments
		m.Unasked += of.Unasked
		for _, f := range of.Flags {
			if flags[f.Flag] == nil {
				flags[f.Flag] = map[string]int64{}
			}
			for _, v := range f.Variants {
				flags[f.Flag][v.Variant] += v.Users
			}
		}
		for _, flag := range of.NobodyGot {
			nobody[flag] = true
		}
		for _, flag := range of.UnaskedFlags {
			unasked[flag] = true
		}
		m.Requests.add(&of.Requests)
		m.NoTrack = worstNoTrack(m.NoTrack, of.NoTrack)
		m.FlagChanges = joinChanges(m.FlagChanges, of.FlagChanges)
		if of.Disagreements != nil {
			for _, f := range of.Disagreements.Flags {
				disagree[f.Flag] += f.Users
			}
		}
	}
	m.Caches, m.Warnings = c.sumCaches(), c.joinWarnings()
	m.Flags, m.NobodyGot = []FlagCount{}, []string{}
	for _, flag := range slices.Sorted(maps.Keys(flags)) {
		f := FlagCount{Flag: flag, Variants: []VariantCount{}}
		for _, variant := range slices.Sorted(maps.Keys(flags[flag])) {
			f.Variants = append(f.Variants, VariantCount{variant, flags[flag][variant]})
			f.Assigned += flags[flag][variant]
		}
		f.NotAssigned = m.Users.Answered - f.Assigned
		m.Flags = append(m.Flags, f)
		if f.Assigned > 0 {
			delete(nobody, flag)
		}
	}
	m.NobodyGot = append(m.NobodyGot, slices.Sorted(maps.Keys(nobody))...)
	m.UnaskedFlags = slices.Sorted(maps.Keys(unasked))
	m.UnaskedFlags = m.UnaskedFlags[:min(len(m.UnaskedFlags), maxUnasked)]
	if m.Disagreements != nil {
		d := *m.Disagreements
		d.Flags = []FlagUsers{}
		for _, flag := range slices.Sorted(maps.Keys(disagree)) {
			d.Flags = append(d.Flags, FlagUsers{flag, disagree[flag]})
		}
		slices.SortStableFunc(d.Flags, func(a, b FlagUsers) int { return cmp.Compare(b.Users, a.Users) })
		m.Disagreements = &d
	}
	return &m
}

// add adds the requests of a shard. The rate is that of all together, if they ran at the same time; the latency is the
// worst.
func (r *Requests) add(of *Requests) {
	r.Sent += of.Sent
	r.Retries += of.Retries
	r.Pauses += of.Pauses
	for status, n := range of.Statuses {
		r.Statuses[status] += n
	}
	r.PerSecond += of.PerSecond
	r.FoundRate += of.FoundRate
	r.Posted += of.Posted
	r.Latency = Latency{P50: math.Max(r.Latency.P50, of.Latency.P50), P90: math.Max(r.Latency.P90, of.Latency.P90),
		P99: math.Max(r.Latency.P99, of.Latency.P99), Max: math.Max(r.Latency.Max, of.Latency.Max)}
}

// worstNoTrack returns the one of two values of [Manifest].NoTrack that says less.
func worstNoTrack(a, b string) string {
	order := []string{"", "local", "embedded", "honoured", "unproven", "ignored"}
	if slices.Index(order, a) >= slices.Index(order, b) {
		return a
	}
	return b
}

// joinChanges returns what is known of flags that changed while two shards ran.
func joinChanges(a, b *FlagChanges) *FlagChanges {
	order := []FlagState{FlagsUnchanged, FlagsUnknown, FlagsChanged}
	switch {
	case a == nil || b == nil:
		return nil
	case a.State == FlagsChanged && b.State == FlagsChanged:
		joined := *a
		joined.Changed = slices.Clone(a.Changed)
		for _, change := range b.Changed {
			if !slices.ContainsFunc(joined.Changed, func(c FlagChange) bool { return c.Flag == change.Flag }) {
				joined.Changed = append(joined.Changed, change)
			}
		}
		slices.SortFunc(joined.Changed, func(a, b FlagChange) int { return strings.Compare(a.Flag, b.Flag) })
		return &joined
	case slices.Index(order, a.State) >= slices.Index(order, b.State):
		return a
	}
	return b
}

// joinWarnings returns the warnings of all shards once, and those of some with their numbers.
func (c *merger) joinWarnings() []string {
	shards := map[string]int{} // by warning
	for _, p := range c.parts {
		for _, w := range p.Manifest.Warnings {
			shards[w]++
		}
	}
	joined, more := []string{}, 0
	for _, p := range c.parts {
		for _, w := range p.Manifest.Warnings {
			switch {
			case shards[w] >= len(c.parts):
				if !slices.Contains(joined, w) {
					joined = append(joined, w)
				}
			case len(joined) < maxWarnings:
				joined = append(joined, fmt.Sprintf("shard %d: %s", number(p), w))
			default:
				more++
			}
		}
	}
	if more > 0 {
		joined = append(joined, text.Count(int64(more), "more warning")+" of shards")
	}
	return joined
}

func (c *merger) sumCaches() *Caches {
	if c.parts[0].Manifest.Caches == nil {
		return nil
	}
	sum := &Caches{}
	for _, p := range c.parts {
		of := p.Manifest.Caches
		if of == nil {
			continue
		}
		sum.Hit += of.Hit
		sum.Miss += of.Miss
		sum.Unknown += of.Unknown
		if of.MaxAge != nil && (sum.MaxAge == nil || *of.MaxAge > *sum.MaxAge) {
			sum.MaxAge = of.MaxAge
		}
	}
	return sum
}

// isOfRun reports whether a file with that run id is of the run, or of one of its shards.
func (m *Manifest) isOfRun(id string) bool {
	return id == m.RunID || slices.ContainsFunc(m.Shards, func(s ShardRun) bool { return s.RunID == id })
}
