package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// publication is a complete file of the run under its temporary name, and the name that it gets.
type publication struct {
	temp, final string
	sha256      string // in hex
	bytes       int64
}

// finalNames are the names of all files of the run, in the order in which they are published: outputs, error
// records, summary, flag configurations that were downloaded, what a cross-check found, and the manifest last.
func (s *snapshotRun) finalNames() []string { return append(s.o.files(), s.o.sideFiles()...) }

// publish gives the complete files their names, the manifest last. Once the journal has the list of them, the run is
// finished, whatever happens: a rerun only has to finish the renames.
func (s *snapshotRun) publish() error {
	if err := s.outputSinks().Close(); err != nil {
		return s.explainStop(stopped(err))
	}
	if err := s.checkPaths(); err != nil { // somebody else may have written there meanwhile
		return err
	}
	m := s.manifest()
	list, err := s.completeFiles(m)
	if err != nil {
		return stopped(errors.Join(err, s.removeStale()))
	}
	// from here on they belong to the journal, which may hold the list even if writing it fails
	s.outputs, s.committed = nil, true
	if err := s.journal.Commit(committedFiles(list)); err != nil {
		return stopped(err)
	}
	if err := s.publishList(list); err != nil {
		return err
	}
	return s.summarize(m)
}

// completeFiles is what to publish, in the order of finalNames. It writes the files that hold no rows under their
// temporary names, and lists them in the manifest.
func (s *snapshotRun) completeFiles(m *snapshot.Manifest) ([]publication, error) {
	var list []publication
	write := func(file string, data []byte) (snapshot.File, error) {
		temp, err := durable.WriteTemp(file, data)
		if err != nil {
			return snapshot.File{}, err
		}
		sum := sha256.Sum256(data)
		f := snapshot.File{Path: file, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
		list = append(list, publication{temp.Name(), file, f.SHA256, f.Bytes})
		return f, nil
	}
	for _, out := range s.outputs {
		if info := out.Info(); info.Temp != "" {
			list = append(list, publication{info.Temp, info.Path, info.SHA256, info.Bytes})
		}
	}
	if s.o.summary != "" {
		data, err := summaryJSON(m)
		if err != nil {
			return nil, err
		}
		f, err := write(s.o.summary, data)
		if err != nil {
			return nil, err
		}
		m.SideFiles = append(m.SideFiles, f)
	}
	if file := s.o.flagsFile(); file != "" {
		f, err := write(file, s.local.configs)
		if err != nil {
			return nil, err
		}
		f.Rows = s.local.file.Rows
		m.SideFiles = append(m.SideFiles, f)
	}
	if s.cross != nil {
		f, err := write(s.cross.result.File, s.cross.file)
		if err != nil {
			return nil, err
		}
		f.Rows = s.cross.result.Listed
		m.SideFiles = append(m.SideFiles, f)
	}
	if file := s.o.manifestFile(); file != "" {
		data, err := m.Marshal()
		if err != nil {
			return nil, err
		}
		if _, err := write(file, data); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// committedFiles returns the list as the journal has it: names without directories, because the directories may be
// elsewhere when it is read again, and because no file may say where to write.
func committedFiles(list []publication) []journal.CommittedFile {
	var files []journal.CommittedFile
	for _, p := range list {
		files = append(files, journal.CommittedFile{Temp: filepath.Base(p.temp), Final: filepath.Base(p.final),
			SHA256: p.sha256, Bytes: p.bytes})
	}
	return files
}

// publishList gives the files of a commit their final names. What has a final name meanwhile is replaced with
// --overwrite only.
func (s *snapshotRun) publishList(waiting []publication) error {
	manifest := s.o.manifestFile()
	for _, p := range waiting {
		if err := s.checkReplace(p.final); err != nil {
			return err
		}
		if p.final == manifest && s.o.overwrite {
			// Where a manifest stands, its outputs are complete: the one of an earlier run goes before they do.
			err := errors.Join(durable.Inherit(p.temp, manifest), durable.Remove(manifest), durable.SyncDir(manifest))
			if err != nil {
				return stopped(err)
			}
		}
	}
	for _, p := range waiting {
		err := durable.Publish(p.temp, p.final, s.o.overwrite)
		if errors.Is(err, fs.ErrExist) {
			return errExists(p.final)
		}
		if err != nil {
			return stopped(err)
		}
	}
	return nil
}

// checkReplace refuses a name that is taken, without --overwrite.
func (s *snapshotRun) checkReplace(path string) error {
	exists, err := durable.Exists(path)
	if err == nil && exists && !s.o.overwrite {
		return errExists(path)
	}
	return err
}

// finishEarlier publishes what an earlier run had completed when it died. It reports false where some of that is gone
// or changed: then the run goes on from its journal as one that had not come so far, and writes all files again.
func (s *snapshotRun) finishEarlier(u *unfinished) (bool, error) {
	waiting, published, lost, err := s.findCommitted(u.reader.Committed())
	if err != nil {
		return false, stopped(err)
	}
	if lost == "" && slices.Contains(s.o.outs, "-") {
		lost = "standard output" // whoever reads it now has nothing yet
	}
	if lost != "" {
		s.con.Log.Info(fmt.Sprintf("an earlier run had finished asking, but what it had written to %s is gone or changed: "+
			"everything is written again", text.Clean(lost)))
		return false, stopped(s.withdrawPublished(published))
	}
	for _, p := range published {
		if err := durable.SyncDir(p.final); err != nil {
			return false, stopped(err)
		}
	}
	if err := s.publishList(waiting); err != nil {
		return false, err
	}
	s.removeHidden(u.reader.Remove)
	s.con.Log.Info("an earlier run had finished asking; its outputs are published now")
	manifestFile := s.o.manifestFile()
	if manifestFile == "" {
		return true, nil
	}
	m, err := snapshot.ReadManifest(manifestFile)
	if err != nil {
		return true, err
	}
	return true, s.summarize(m)
}

// findCommitted finds the files of a commit, by the names that this command's options give them: those that wait for
// their final names, and those that have them. lost is the first that is neither, or "".
func (s *snapshotRun) findCommitted(files []journal.CommittedFile) (waiting, published []publication, lost string,
	err error) {
	for i, final := range s.finalNames() {
		if i >= len(files) || filepath.Base(files[i].Final) != filepath.Base(final) {
			if lost == "" {
				lost = final
			}
			continue
		}
		temp := filepath.Base(files[i].Temp)
		p := publication{filepath.Join(filepath.Dir(final), temp), final, files[i].SHA256, files[i].Bytes}
		waits := false
		if durable.IsTemp(temp, final) {
			if waits, err = s.hasContent(p.temp, p); err != nil {
				return nil, nil, "", err
			}
		}
		if waits {
			waiting = append(waiting, p)
			continue
		}
		has, err := s.hasContent(final, p)
		if err != nil {
			return nil, nil, "", err
		}
		if has {
			published = append(published, p)
		} else if lost == "" {
			lost = final
		}
	}
	return waiting, published, lost, nil
}

// hasContent reports whether the file of that name has the content that was committed. A temporary one must be ours.
func (s *snapshotRun) hasContent(path string, p publication) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() != p.bytes) {
		return false, nil
	}
	if err == nil && path == p.temp && durable.CheckOurs(path, info) != nil {
		return false, nil
	}
	if err != nil {
		return false, durable.WrapError("look at", path, err)
	}
	sum, _, err := hashFile(s.env.Soft, path)
	return sum == p.sha256, err
}

// withdrawPublished takes the final names from files of a run that is not complete, so that they can be written again.
// With
// --overwrite they are replaced; where a manifest stands, they belong to that.
func (s *snapshotRun) withdrawPublished(published []publication) error {
	if s.o.overwrite {
		return nil
	}
	if manifest := s.o.manifestFile(); manifest != "" {
		if exists, err := durable.Exists(manifest); exists || err != nil {
			return err
		}
	}
	for _, p := range published {
		if err := errors.Join(durable.Remove(p.final), durable.SyncDir(p.final)); err != nil {
			return err
		}
	}
	return nil
}

// removeHidden removes the hidden files of a run that has published, the journal last: as long as it is there, a rerun
// clears up. What cannot be removed is said, and changes nothing about the outputs.
func (s *snapshotRun) removeHidden(removeJournal func() error) {
	if err := errors.Join(s.unlock(), durable.Remove(spoolFile(s.o)), removeJournal()); err != nil {
		s.con.Warn(fmt.Sprintf("the outputs are published, but hidden files are left: %v", err),
			"the next run of these outputs removes them")
	}
}

// checkDirectories refuses outputs in directories that do not exist, two names of one file, and files that the run
// reads.
func (s *snapshotRun) checkDirectories() error {
	files := s.finalNames()
	directories := make([]fs.FileInfo, len(files))
	for i, path := range files {
		var err error
		if directories[i], err = os.Stat(filepath.Dir(path)); err != nil {
			return durable.WrapError("create", path, err)
		}
		for j, other := range files[:i] {
			if filepath.Base(path) == filepath.Base(other) && os.SameFile(directories[i], directories[j]) {
				return usageErrorf("%s and %s are the same file", text.Clean(other), text.Clean(path))
			}
		}
		for _, read := range []struct{ option, file string }{
			{"--flag-configs", s.o.server.flagConfigs}, {"--flags-from", s.o.flagsFrom}, {"--key-file", s.o.server.keyFile},
			{"--config", s.options["config"]},
		} {
			if sameFile(path, read.file) {
				return usageErrorf("%s is the file of %s, and would be replaced", text.Clean(path), read.option)
			}
		}
	}
	return nil
}

// sameFile reports whether both names are there and lead to one file.
func sameFile(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// checkPaths refuses outputs that would replace something: an input always, anything else without --overwrite.
func (s *snapshotRun) checkPaths() error {
	for _, path := range s.finalNames() {
		for _, f := range s.in.files {
			if sameFile(path, f.Path) {
				return usageErrorf("%s is an input, and would be replaced", text.Clean(path))
			}
		}
		if err := s.checkReplace(path); err != nil {
			return err
		}
	}
	return nil
}

// tryFiles finds out before the first request whether the files that hold no rows can be written where they are to
// go. The outputs are created before it, too.
func (s *snapshotRun) tryFiles() error {
	for _, path := range s.o.sideFiles() {
		if err := durable.CheckWritable(path); err != nil {
			return err
		}
	}
	return nil
}
