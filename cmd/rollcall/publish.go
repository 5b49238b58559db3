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
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

// publication is a complete file of the run under its temporary name, and the name that it gets.
type publication struct {
	temp, final string
	sha256      string // in hex
	bytes       int64

	output, below string // it is a file of this output, with that path below its directory; "": it is a file of its own
	remove        bool   // it is a file of the run that is replaced, and goes
}

// finalNames are the names of all files of the run, in the order in which they are published: outputs, error
// records, summary, flag configurations that were downloaded, what a cross-check found, and the manifest last.
func (s *snapshotRun) finalNames() []string { return s.o.finalNames() }

func (o *snapshotOptions) finalNames() []string { return append(o.files(), o.sideFiles()...) }

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
	if err := s.confirmLocks(); err != nil {
		return stopped(err)
	}
	// from here on they belong to the journal, which may hold the list even if writing it fails
	s.outputs, s.committed = nil, true
	if err := s.journal.Commit(s.committedFiles(list)); err != nil {
		return stopped(err)
	}
	if err := s.publishList(list); err != nil {
		return err
	}
	if err := s.publishLatest(m); err != nil {
		return err
	}
	return s.summarize(m)
}

// completeFiles is what to publish, in the order of finalNames. It writes the files that hold no rows under their
// temporary names, and lists them in the manifest.
func (s *snapshotRun) completeFiles(m *snapshot.Manifest) ([]publication, error) {
	var list []publication
	write := func(file string, data []byte) (snapshot.File, error) {
		temp, err := s.files.WriteTemp(file, data)
		if err != nil {
			return snapshot.File{}, err
		}
		sum := sha256.Sum256(data)
		f := snapshot.File{Path: file, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
		list = append(list, publication{temp: temp.Name(), final: file, sha256: f.SHA256, bytes: f.Bytes})
		return f, nil
	}
	for _, out := range s.outputs {
		for _, info := range out.Files() {
			p := publication{temp: info.Temp, final: info.Path, sha256: info.SHA256, bytes: info.Bytes}
			if info.Below != "" {
				p.output, p.below = out.Info().Path, info.Below
			}
			list = append(list, p)
		}
	}
	list, err := s.addPartsToRemove(list)
	if err != nil {
		return nil, err
	}
	if s.o.summary != "" {
		data, err := s.newRunResult(m).marshal()
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
		s.files.WillRetire(file)
		m.Path = s.o.manifest // "" where it is beside the first output, as readers expect
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
func (s *snapshotRun) committedFiles(list []publication) []journal.CommittedFile {
	var files []journal.CommittedFile
	for _, p := range list {
		f := journal.CommittedFile{Temp: s.files.JournalName(p.temp, p.final), Final: staging.Base(p.final), SHA256: p.sha256,
			Bytes: p.bytes, Remove: p.remove}
		if p.remove {
			f.Temp = ""
		}
		if p.output != "" {
			f.Final, f.Output = p.below, 1+slices.Index(s.o.outs, p.output)
		}
		files = append(files, f)
	}
	return files
}

// publishList gives the files of a commit their final names. What has a final name meanwhile is replaced with
// --overwrite only.
func (s *snapshotRun) publishList(waiting []publication) error {
	manifest := s.o.manifestFile()
	for _, p := range waiting {
		if p.remove {
			continue
		}
		if err := s.checkReplace(p.final); err != nil {
			return err
		}
		if p.final == manifest && s.o.overwrite {
			// Where a manifest stands, its outputs are complete: the one of an earlier run goes before they do.
			if err := s.files.Retire(p.temp, manifest); err != nil {
				return stopped(err)
			}
		}
	}
	for _, p := range waiting {
		if p.remove {
			if err := s.removeFile(p); err != nil {
				return stopped(err)
			}
		}
	}
	for _, p := range waiting {
		if p.remove {
			continue
		}
		err := s.publishFile(p)
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
	exists, err := s.files.Exists(path)
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
		s.noteCommittedParts(u.reader.Committed())
		return false, stopped(s.withdrawPublished(published))
	}
	for _, p := range published {
		if err := s.files.SyncName(p.final); err != nil {
			return false, stopped(err)
		}
	}
	if err := s.publishList(waiting); err != nil {
		return false, err
	}
	m, err := s.publishEarlierLatest()
	if err != nil && s.o.latest != "" {
		return false, err
	}
	s.removeHidden(u.reader.Remove)
	s.con.Log.Info("an earlier run had finished asking; its outputs are published now")
	if m == nil {
		return true, err
	}
	return true, s.summarize(m)
}

// findCommitted finds the files of a commit, by the names that this command's options give them: those that wait for
// their final names, and those that have them. lost is the first that is neither, or "".
func (s *snapshotRun) findCommitted(files []journal.CommittedFile) (waiting, published []publication, lost string,
	err error) {
	if manifest := s.o.manifestFile(); manifest != "" {
		s.files.WillRetire(manifest)
	}
	rest := files
	for _, final := range s.finalNames() {
		if s.o.isPartitioned(final) {
			parts, left := takeParts(rest, 1+slices.Index(s.o.outs, final))
			rest = left
			wait, have, ok, err := s.findParts(final, parts)
			if err != nil {
				return nil, nil, "", err
			}
			waiting, published = append(waiting, wait...), append(published, have...)
			if !ok && lost == "" {
				lost = final
			}
			continue
		}
		state := staging.Lost
		p := publication{final: final}
		if len(rest) > 0 && staging.Base(rest[0].Final) == staging.Base(final) {
			p.sha256, p.bytes = rest[0].SHA256, rest[0].Bytes
			state, p.temp, err = s.files.Find(s.env.Soft, rest[0].Temp, final, p.bytes, p.sha256)
			if err != nil {
				return nil, nil, "", err
			}
		}
		if len(rest) > 0 {
			rest = rest[1:]
		}
		if i := slices.Index(s.o.outs, final); i >= 0 { // files of a run before whose output was several
			parts, left := takeParts(rest, 1+i)
			rest = left
			gone, _, _, err := s.findParts(final, parts)
			if err != nil {
				return nil, nil, "", err
			}
			waiting = append(waiting, gone...)
		}
		switch {
		case state == staging.Waiting:
			waiting = append(waiting, p)
		case state == staging.Published:
			published = append(published, p)
		case lost == "":
			lost = final
		}
	}
	return waiting, published, lost, nil
}

// withdrawPublished takes the final names from files of a run that is not complete, so that they can be written again.
// With --overwrite they are replaced; where a manifest stands, they belong to that.
func (s *snapshotRun) withdrawPublished(published []publication) error {
	if s.o.overwrite {
		return nil
	}
	if manifest := s.o.manifestFile(); manifest != "" {
		if exists, err := s.files.Exists(manifest); exists || err != nil {
			return err
		}
	}
	for _, p := range published {
		if err := s.removeFile(p); err != nil {
			return err
		}
	}
	return nil
}

// removeHidden removes the hidden files of a run that has published, the journal last: as long as it is there, a rerun
// clears up. What cannot be removed is said, and changes nothing about the outputs.
func (s *snapshotRun) removeHidden(removeJournal func() error) {
	if err := errors.Join(s.unlock(), s.removeSpool(), removeJournal()); err != nil {
		s.con.Warn(fmt.Sprintf("the outputs are published, but hidden files are left: %v", err),
			"the next run of these outputs removes them", about{code: warnHiddenLeft})
	}
}

// checkDirectories refuses outputs in directories or buckets that do not exist, two names of one file, and files that the
// run reads.
func (s *snapshotRun) checkDirectories() error {
	files, templates := s.o.writtenNames(), s.templates()
	for i, path := range files {
		place := path
		if base, _, isTemplate := cutTemplate(templates[i]); isTemplate && !s.files.InStore(path) {
			place = base + filepath.Base(path) // the directories after base are made
		}
		if err := s.files.CheckPlace(place); err != nil {
			return err
		}
		for _, other := range files[:i] {
			if s.sameName(path, other) {
				return usageErrorf("%s and %s are the same file", text.Clean(other), text.Clean(path))
			}
		}
		for _, read := range []struct{ option, file string }{
			{"--flag-configs", s.o.server.flagConfigs}, {"--flags-from", s.o.flagsFrom}, {"--key-file", s.o.server.keyFile},
			{"--config", s.options["config"]},
		} {
			if s.isSame(path, read.file) {
				return usageErrorf("%s is the file of %s, and would be replaced", text.Clean(path), read.option)
			}
		}
	}
	return nil
}

// sameName reports whether both are names of one file, which need not be there.
func (s *snapshotRun) sameName(a, b string) bool {
	if s.files.InStore(a) || s.files.InStore(b) {
		return a == b
	}
	dirA, restA := findNearestDir(a)
	dirB, restB := findNearestDir(b)
	return restA == restB && dirA != nil && dirB != nil && os.SameFile(dirA, dirB)
}

// findNearestDir returns the innermost directory of a path that is there, and the path in it.
func findNearestDir(path string) (dir fs.FileInfo, rest string) {
	for path = filepath.Clean(path); ; path = filepath.Dir(path) {
		rest = filepath.Join(filepath.Base(path), rest)
		if info, err := os.Stat(filepath.Dir(path)); err == nil || filepath.Dir(path) == path {
			return info, rest
		}
	}
}

// isSame reports whether the output is a file that is read.
func (s *snapshotRun) isSame(output, read string) bool {
	return s.files.InStore(output) && output == read || sameFile(output, read)
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
	for _, path := range s.o.writtenNames() {
		for _, f := range s.in.files {
			if s.isSame(path, f.Path) {
				return usageErrorf("%s is an input, and would be replaced", text.Clean(path))
			}
		}
	}
	for _, path := range s.finalNames() {
		if err := s.checkReplace(path); err != nil {
			return err
		}
	}
	if err := s.checkLatest(); err != nil {
		return err
	}
	return s.checkParts()
}

// tryFiles finds out before the first request whether the files that hold no rows can be written where they are to
// go. The outputs are created before it, too.
func (s *snapshotRun) tryFiles() error {
	names := s.o.writtenNames()
	for _, path := range names[len(s.o.files()):] {
		if err := s.files.CheckWritable(path); err != nil {
			return err
		}
	}
	return nil
}
