package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// manifestFile is where the manifest goes: "" when there is only standard output and no --manifest.
func (o *snapshotOptions) manifestFile() string {
	if o.manifest != "" {
		return o.manifest
	}
	for _, out := range o.outs {
		if out != "-" {
			return out + ".manifest.json"
		}
	}
	return ""
}

// manifestStem is what the names of the run's other files begin with that hold no assignments; "" without a manifest.
func (o *snapshotOptions) manifestStem() string {
	return strings.TrimSuffix(strings.TrimSuffix(o.manifestFile(), ".json"), ".manifest")
}

// writtenNames are the finalNames and the file of --latest.
func (o *snapshotOptions) writtenNames() []string {
	names := o.finalNames()
	if o.latest != "" {
		names = append(names, o.latest)
	}
	return names
}

// checkManifest checks --manifest and --latest. They lead to the outputs, and, because anybody may have written them, to
// nothing that is not below their directories: so the outputs have to be there.
func (o *snapshotOptions) checkManifest() error {
	if o.latest != "" && o.manifestFile() == "" {
		return pipeline.WithHint(usageErrorf("--latest is a copy of the manifest, which this run does not write"), "name one with --manifest")
	}
	names := o.finalNames()
	for _, given := range []struct{ option, file string }{{"--manifest", o.manifest}, {"--latest", o.latest}} {
		if given.file == "" {
			continue
		}
		if !strings.HasSuffix(given.file, ".json") {
			return pipeline.WithHint(usageErrorf("%s %s: it is written as JSON", given.option, text.Clean(given.file)),
				"name a file that ends in .json, as assignments.manifest.json")
		}
		if others := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return name == given.file && given.option == "--manifest"
		}); slices.Contains(others, given.file) {
			return usageErrorf("%s %s is a file that the run writes anyway", given.option, text.Clean(given.file))
		}
		for _, name := range names {
			rel, err := blob.Rel(blob.Dir(given.file), name)
			if err != nil || !filepath.IsLocal(rel) {
				return pipeline.WithHint(usageErrorf("%s %s: %s is not in its directory, or below it", given.option,
					text.Clean(given.file), text.Clean(name)), "it leads to nothing that is elsewhere: put it into a directory that all "+
					"files of the run are in, or below")
			}
		}
	}
	return nil
}

// checkLatest refuses to replace a file that no --latest has written, without --overwrite.
func (s *snapshotRun) checkLatest() error {
	if s.o.latest == "" || s.o.overwrite {
		return nil
	}
	exists, err := s.files.Exists(s.o.latest)
	if !exists || err != nil {
		return err
	}
	if m, err := snapshot.ReadManifest(s.env.Files, s.o.latest); err != nil || !m.Latest {
		return pipeline.WithHint(fmt.Errorf("%s exists, and --latest has not written it", text.Clean(s.o.latest)),
			"name another file, or replace it: --overwrite")
	}
	return nil
}

// publishLatest replaces the file of --latest by a copy of the manifest, which is published. It is the last that a run
// does before its journal goes: a rerun does it again.
func (s *snapshotRun) publishLatest(m *snapshot.Manifest) error {
	if s.o.latest == "" {
		return nil
	}
	if err := s.checkLatest(); err != nil {
		return err
	}
	latest := *m
	latest.Path, latest.Latest = s.o.latest, true
	data, err := latest.Marshal()
	if err != nil {
		return err
	}
	if !s.files.InStore(s.o.latest) { // a store replaces it in one step
		unlock, err := s.lockLatest()
		if err != nil {
			return stopped(err)
		}
		defer unlock()
		if err := s.files.RemoveStale(s.o.latest); err != nil {
			return stopped(err)
		}
	}
	return stopped(s.files.Replace(s.o.latest, data))
}

// lockLatest keeps other runs off the file of --latest, whose outputs have other names.
func (s *snapshotRun) lockLatest() (unlock func(), err error) {
	if _, _, isTemplate := cutTemplate(s.o.given.latest); isTemplate {
		return func() {}, nil // it is locked: see claimNames
	}
	lock, err := journal.LockIn(journal.OnDisk(journal.PathFor(s.o.latest)))
	if err != nil {
		return nil, fmt.Errorf("another run is replacing %s: %w", text.Clean(s.o.latest), err)
	}
	return func() { _ = lock.Close() }, nil // what is left of it is no journal
}

// publishEarlierLatest is publishLatest for an earlier run, which has published its manifest.
func (s *snapshotRun) publishEarlierLatest() (m *snapshot.Manifest, err error) {
	file := s.o.manifestFile()
	if file == "" {
		return nil, nil
	}
	if m, err = snapshot.ReadManifest(s.env.Files, file); err != nil {
		return nil, err
	}
	return m, s.publishLatest(m)
}
