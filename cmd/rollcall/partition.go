package main

import (
	"fmt"
	"slices"
	"sync"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
	"github.com/rollcall-cli/rollcall/sinks"
)

// runOutput is an output of a run: a [sinks.Output], or a [sinks.Partitioned], which is several files.
type runOutput interface {
	pipeline.Sink
	Discard() error
	Info() sinks.Info
	Files() []sinks.Info // to publish
}

// partitioning is how the outputs are divided into files.
func (o *snapshotOptions) partitioning() sinks.Partitioning {
	return sinks.Partitioning{By: o.partitionBy, RowsPerFile: o.rowsPerFile}
}

// isPartitioned reports whether a path is that of an output that is several files.
func (o *snapshotOptions) isPartitioned(path string) bool {
	p := o.partitioning()
	return p.Enabled() && slices.Contains(o.outs, path)
}

// checkPartitioning checks what can be known of --partition-by before the input is read.
func (o *snapshotOptions) checkPartitioning() error {
	if o.rowsPerFile < 0 {
		return usageErrorf("--rows-per-file cannot be %d", o.rowsPerFile)
	}
	if p := o.partitioning(); p.Enabled() && slices.Contains(o.outs, "-") {
		return usageErrorf("--out - is one stream: --partition-by and --rows-per-file are for files")
	}
	return nil
}

// checkPartitionColumns refuses columns by which the outputs cannot be partitioned. carry are the carried ones.
func (o *snapshotOptions) checkPartitionColumns(carry []pipeline.Column) error {
	p, spec := o.partitioning(), o.spec()
	spec.Carry = carry
	if !p.Enabled() {
		return nil
	}
	if err := p.Check(&spec); err != nil {
		return &exitError{fmt.Errorf("--partition-by: %w", err), exitUsage}
	}
	return nil
}

// partitionSurvey counts the partitions by the carried columns, of which there are as many at least, before anything is
// sent: a run that has asked everybody should not end because there are too many. It is safe for concurrent use.
type partitionSurvey struct {
	columns []int // of the carried values
	names   []string

	mu      sync.Mutex
	seen    map[string]bool
	buf     []byte
	longest int // bytes of a directory's name
}

// newPartitionSurvey returns nil where no carried column is one to partition by.
func (o *snapshotOptions) newPartitionSurvey() *partitionSurvey {
	p := &partitionSurvey{seen: map[string]bool{}}
	for _, name := range o.partitionBy {
		if i := slices.Index(o.mapped.Carry, name); i >= 0 {
			p.columns, p.names = append(p.columns, i), append(p.names, name)
		}
	}
	if len(p.columns) == 0 {
		return nil
	}
	return p
}

func (p *partitionSurvey) inspectRow(row *pipeline.Row) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) > sinks.MaxPartitions {
		return
	}
	p.buf = p.buf[:0]
	for i, at := range p.columns {
		if at >= len(row.Carry) {
			return
		}
		before := len(p.buf)
		p.buf = pipeline.AppendPartition(p.buf, p.names[i], string(row.Carry[at].AppendText(nil)))
		p.longest = max(p.longest, len(p.buf)-before)
		p.buf = append(p.buf, '/')
	}
	if !p.seen[string(p.buf)] {
		p.seen[string(p.buf)] = true
	}
}

// check refuses an input with too many partitions, or with values that are too long for a name.
func (p *partitionSurvey) check() error {
	switch {
	case p == nil:
		return nil
	case len(p.seen) > sinks.MaxPartitions:
		return pipeline.WithHint(fmt.Errorf("there would be more than %s partitions by %s; nothing was sent",
			text.Thousands(sinks.MaxPartitions), text.List(p.names, 10)), "partition by columns with fewer values")
	case p.longest > sinks.MaxPartitionName:
		return pipeline.WithHint(fmt.Errorf("a value of %s takes %d bytes in the name of a directory, which has %d at most; "+
			"nothing was sent", text.List(p.names, 10), p.longest, sinks.MaxPartitionName), "leave it out of --partition-by")
	}
	return nil
}

// describeOutput is what the manifest says of an output.
func (o *snapshotOptions) describeOutput(out runOutput) snapshot.File {
	info := out.Info()
	f := snapshot.File{Path: info.Path, Bytes: info.Bytes, Rows: info.Rows, SHA256: info.SHA256}
	if _, ok := out.(*sinks.Partitioned); ok {
		f.Partitioned = &snapshot.Partitioned{By: nonNil(o.partitionBy), Files: []snapshot.PartitionFile{}}
		for _, part := range out.Files() {
			f.Partitioned.Files = append(f.Partitioned.Files, snapshot.PartitionFile{Path: part.Below, Bytes: part.Bytes,
				Rows: part.Rows, SHA256: part.SHA256})
		}
	}
	return f
}

// partsBefore are, by output, the files that an earlier run has left for it, by their paths below its directory: those
// that its manifest lists, and those that an unfinished run had committed.
func (s *snapshotRun) partsBefore() (map[string][]string, error) {
	before := map[string][]string{}
	for output, parts := range s.committedParts {
		before[output] = slices.Clone(parts)
	}
	manifest := s.o.manifestFile()
	if manifest == "" {
		return before, nil
	}
	if exists, err := s.files.Exists(manifest); !exists || err != nil {
		return before, err
	}
	m, err := s.readManifest(manifest)
	if err != nil { // somebody else's, which --overwrite replaces
		return before, nil
	}
	for _, l := range s.locate(manifest, m) {
		i := slices.IndexFunc(s.o.outs, func(out string) bool { return l.Path != "" && s.sameName(l.Path, out) })
		switch p := l.File.Partitioned; {
		case i < 0:
		case p == nil && s.o.isPartitioned(s.o.outs[i]):
			before[s.o.outs[i]] = append(before[s.o.outs[i]], staging.Base(s.o.outs[i]))
		case p != nil && p.Check(s.o.outs[i]) == nil:
			for _, f := range p.Files {
				before[s.o.outs[i]] = append(before[s.o.outs[i]], f.Path)
			}
		}
	}
	return before, nil
}

// readManifest reads the current manifest, which the run replaces.
func (s *snapshotRun) readManifest(path string) (*snapshot.Manifest, error) {
	return snapshot.ReadManifest(blob.NewFiles(s.env.Soft, s.env.Stores), path)
}

func (s *snapshotRun) locate(manifest string, m *snapshot.Manifest) []snapshot.Located {
	return snapshot.Locate(blob.NewFiles(s.env.Soft, s.env.Stores), manifest, m, s.o.outs)
}

// checkParts refuses files that would be read as files of a partitioned output and are not: with --overwrite, those that
// no earlier run of the output has left.
func (s *snapshotRun) checkParts() error {
	var before map[string][]string
	for _, out := range s.o.outs {
		if !s.o.isPartitioned(out) {
			continue
		}
		found, err := s.files.Below(s.env.Soft, out, snapshot.IsPartition)
		if err != nil {
			return err
		}
		found = slices.DeleteFunc(found, func(below string) bool { return !snapshot.IsPart(out, below) })
		if len(found) > 0 && !s.o.overwrite {
			return errExists(staging.PathBelow(out, found[0]))
		}
		if before == nil {
			if before, err = s.partsBefore(); err != nil {
				return err
			}
		}
		for _, below := range found {
			if !slices.Contains(before[out], below) {
				return pipeline.WithHint(fmt.Errorf("%s has the name of a file of this output, and no earlier run's manifest lists "+
					"it", text.Clean(staging.PathBelow(out, below))), "remove it, or name another output")
			}
		}
	}
	return nil
}

// addPartsToRemove adds the files that earlier runs have left for each output, and that this one does not replace, after
// the files of the output in the list.
func (s *snapshotRun) addPartsToRemove(list []publication) ([]publication, error) {
	if !s.o.overwrite {
		return list, nil
	}
	before, err := s.partsBefore()
	if err != nil || len(before) == 0 {
		return list, err
	}
	kept := map[string]bool{}
	for _, p := range list {
		kept[p.final] = true
	}
	at := 0 // after the files of the outputs so far
	for _, out := range s.o.outs {
		for i, p := range list {
			if p.output == out || p.final == out {
				at = i + 1
			}
		}
		var gone []publication
		for _, below := range slices.Compact(slices.Sorted(slices.Values(before[out]))) {
			if final := staging.PathBelow(out, below); !kept[final] {
				gone = append(gone, publication{final: final, output: out, below: below, remove: true})
			}
		}
		list = slices.Insert(list, at, gone...)
		at += len(gone)
	}
	return list, nil
}

// takeParts takes the files of an output from the beginning of what is left of a commit.
func takeParts(rest []journal.CommittedFile, output int) (parts, left []journal.CommittedFile) {
	n := 0
	for n < len(rest) && rest[n].Output == output {
		n++
	}
	return rest[:n], rest[n:]
}

// findParts finds the files of a partitioned output that was committed, and those to remove of any output. ok says that
// all are there.
func (s *snapshotRun) findParts(out string, parts []journal.CommittedFile) (waiting, published []publication, ok bool,
	err error) {
	list := &snapshot.Partitioned{By: s.o.partitionBy}
	ok = true
	for _, f := range parts {
		p := publication{final: staging.PathBelow(out, f.Final), output: out, below: f.Final, sha256: f.SHA256, bytes: f.Bytes,
			remove: f.Remove}
		if f.Remove {
			if s.o.overwrite && (snapshot.IsPart(out, f.Final) || f.Final == staging.Base(out)) {
				waiting = append(waiting, p)
			}
			continue
		}
		list.Files = append(list.Files, snapshot.PartitionFile{Path: f.Final})
		if !s.o.isPartitioned(out) || list.Check(out) != nil { // no file may say where to write
			return waiting, published, false, nil
		}
		var state staging.State
		state, p.temp, err = s.files.FindBelow(s.env.Soft, f.Temp, out, f.Final, f.Bytes, f.SHA256)
		switch {
		case err != nil:
			return nil, nil, false, err
		case state == staging.Waiting:
			waiting = append(waiting, p)
		case state == staging.Published:
			published = append(published, p)
		default:
			ok = false
		}
	}
	return waiting, published, ok, nil
}

// noteCommittedParts keeps which files an unfinished run had committed: where it has published some, this run replaces
// them.
func (s *snapshotRun) noteCommittedParts(files []journal.CommittedFile) {
	for _, f := range files {
		if f.Output < 1 || f.Output > len(s.o.outs) || !snapshot.IsPart(s.o.outs[f.Output-1], f.Final) {
			continue
		}
		if s.committedParts == nil {
			s.committedParts = map[string][]string{}
		}
		out := s.o.outs[f.Output-1]
		s.committedParts[out] = append(s.committedParts[out], f.Final)
	}
}

// publishFile gives one file its final name.
func (s *snapshotRun) publishFile(p publication) error {
	if p.output == "" {
		return s.files.Publish(p.temp, p.final)
	}
	return s.files.PublishBelow(p.temp, p.output, p.below)
}

// removeFile removes a published file.
func (s *snapshotRun) removeFile(p publication) error {
	if p.output == "" {
		return s.files.Remove(p.final)
	}
	return s.files.RemoveBelow(p.output, p.below)
}

// removeStaleFile removes what a killed run has left of a file or of an output.
func (s *snapshotRun) removeStaleFile(path string) error {
	if s.o.isPartitioned(path) {
		return s.files.RemoveStaleBelow(path, func(below string) bool { return snapshot.IsPart(path, below) })
	}
	return s.files.RemoveStale(path)
}
