package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Names of outputs may hold placeholders, {date} for example, and are templates then. A run has the values of when it
// began; one that resumes it, on another day, has the same. So everything by which an unfinished run is found, and by
// which runs keep off each other, is named after the template: see fixedName. Directories after the first placeholder of
// a local name are made, and removed again where a run leaves nothing in them.

// outputNames are the names of what a run writes.
type outputNames struct {
	outs       []string
	errorsFile string
	summary    string
	manifest   string // "": beside the first output that is a file
	latest     string // "": none
}

// nameValues are the values of the placeholders.
type nameValues struct {
	started time.Time
	runID   string
}

// placeholders are what names can hold.
var placeholders = []string{"{date}", "{hour}", "{run_id}"}

// expand returns a name with the values in place of the placeholders.
func (v nameValues) expand(name string) string {
	at := v.started.UTC()
	return strings.NewReplacer("{date}", at.Format(time.DateOnly), "{hour}", at.Format("15"), "{run_id}", v.runID).Replace(name)
}

// check refuses values that are not of rollcall: a run's id comes from a journal.
func (v nameValues) check() error {
	if v.runID == "" || strings.ContainsFunc(v.runID, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return fmt.Errorf("the run id %q is not one of rollcall", v.runID)
	}
	if year := v.started.UTC().Year(); year < 1970 || year > 9999 {
		return fmt.Errorf("the run began in %d, which is not a valid year", year)
	}
	return nil
}

// expand returns the names with the values in place of the placeholders.
func (n outputNames) expand(v nameValues) outputNames {
	n.outs = slices.Clone(n.outs)
	for i := range n.outs {
		n.outs[i] = v.expand(n.outs[i])
	}
	n.errorsFile, n.summary = v.expand(n.errorsFile), v.expand(n.summary)
	n.manifest, n.latest = v.expand(n.manifest), v.expand(n.latest)
	return n
}

// files are the outputs that are files, the error records included and last.
func (n outputNames) files() []string {
	files := slices.DeleteFunc(slices.Clone(n.outs), func(out string) bool { return out == "-" })
	return append(files, n.errorsFile)
}

// checkNames refuses names with placeholders that are not known, or that cannot be where they are.
func (o *snapshotOptions) checkNames() error {
	for _, out := range o.outs {
		if err := checkTemplate("--out", out); err != nil {
			return err
		}
	}
	return errors.Join(checkTemplate("--errors", o.errorsFile), checkTemplate("--summary", o.summary),
		checkTemplate("--manifest", o.manifest), checkTemplate("--latest", o.latest))
}

func checkTemplate(option, name string) error {
	for rest := name; ; {
		_, after, found := strings.Cut(rest, "{")
		inside, behind, closed := strings.Cut(after, "}")
		if !found || !closed {
			break
		}
		rest = behind
		placeholder := "{" + inside + "}"
		if placeholder == "{shard}" { // with --shard, checkShard has put the number in its place
			return usageErrorf("%s %s: {shard} is for a run with --shard", option, text.Clean(name))
		}
		if !slices.Contains(placeholders, placeholder) {
			return pipeline.WithHint(usageErrorf("%s %s: %s is not a placeholder that names can have", option, text.Clean(name),
				text.Clean(placeholder)), "they are "+strings.Join(placeholders, " ")+": of when the run began, in UTC")
		}
	}
	base, rest, isTemplate := cutTemplate(name)
	switch {
	case isTemplate && slices.Contains(strings.Split(rest, "/"), ".."):
		return usageErrorf("%s %s: .. cannot come after a placeholder", option, text.Clean(name))
	case isTemplate && strings.HasSuffix(base, "://"):
		return usageErrorf("%s %s: the bucket cannot have a placeholder", option, text.Clean(name))
	}
	return nil
}

// cutTemplate divides a name that has a placeholder: base is the directory before the first element that has one, with
// its slash.
func cutTemplate(name string) (base, rest string, isTemplate bool) {
	first := len(name)
	for _, p := range placeholders {
		if i := strings.Index(name, p); i >= 0 {
			first = min(first, i)
		}
	}
	if first == len(name) {
		return "", name, false
	}
	at := strings.LastIndexByte(name[:first], '/') + 1
	return name[:at], name[at:], true
}

// fixedName returns the name by which an output is known on every day: one that has placeholders is in the directory
// before the first of them, and has the rest of the template as its name.
func fixedName(name string) string {
	base, rest, isTemplate := cutTemplate(name)
	if !isTemplate {
		return name
	}
	return base + strings.NewReplacer("%", "%25", "/", "%2F").Replace(rest)
}

// templateOf returns the template that fixedName has made the name of a file of; false if it is that of no template.
func templateOf(fixed string) (template string, ok bool) {
	template = strings.NewReplacer("%2F", "/", "%25", "%").Replace(fixed)
	base, _, isTemplate := cutTemplate(template)
	return template, isTemplate && base == "" && checkTemplate("", template) == nil && fixedName(template) == fixed
}

// expandNames gives the outputs the names that a run of these values has.
func (s *snapshotRun) expandNames(v nameValues) error {
	if err := v.check(); err != nil && slices.ContainsFunc(s.templates(), isTemplate) {
		return err
	}
	s.o.outputNames = s.o.given.expand(v)
	return nil
}

// isTemplate reports whether a name has a placeholder.
func isTemplate(name string) bool {
	_, _, is := cutTemplate(name)
	return is
}

// values are those of this run.
func (s *snapshotRun) values() nameValues { return nameValues{s.started, s.runID} }

// namesWith are the names of all files that a run of these values writes.
func (s *snapshotRun) namesWith(v nameValues) []string {
	o := *s.o
	o.outputNames = o.given.expand(v)
	return o.writtenNames()
}

// templates are the writtenNames as they were given.
func (s *snapshotRun) templates() []string {
	o := *s.o
	o.outputNames = o.given
	return o.writtenNames()
}

// datedName is a name with a placeholder, expanded.
type datedName struct {
	path    string
	parts   bool     // it is an output that is several files
	inStore bool     // there are no directories, and an object that is written meanwhile is found when this one is
	dirs    []string // from the first placeholder on, the outermost first
}

// datedNames are the names of a run that have placeholders.
func (s *snapshotRun) datedNames(v nameValues) (dated []datedName, err error) {
	names, outs := s.namesWith(v), s.o.given.expand(v).outs
	p := s.o.partitioning()
	for i, template := range s.templates() {
		base, _, isTemplate := cutTemplate(template)
		if !isTemplate {
			continue
		}
		d := datedName{path: names[i], inStore: s.files.InStore(template),
			parts: p.Enabled() && slices.Contains(outs, names[i])}
		if !d.inStore {
			if d.dirs, err = durable.DirsBelow(filepath.Dir(base+"x"), filepath.Dir(d.path)); err != nil {
				return nil, err
			}
		}
		dated = append(dated, d)
	}
	return dated, nil
}

// claimNames makes the directories of the names that have placeholders, and locks these names: a run whose outputs have
// such a name without a placeholder has the same locks. The caller holds the journal, so that what a run which is killed
// has made is found.
func (s *snapshotRun) claimNames() error {
	dated, err := s.datedNames(s.values())
	if err != nil {
		return err
	}
	for _, d := range dated {
		if d.inStore {
			continue
		}
		for _, dir := range d.dirs {
			made, err := durable.MakeDir(dir)
			if made || s.earlier != nil { // an earlier process of this run has made it
				s.made = append(s.made, dir)
			}
			if err != nil {
				return err
			}
		}
		if err := s.lockOutput(d.path); err != nil {
			return err
		}
	}
	return nil
}

// removeDated removes the hidden files that an unfinished run of these outputs has left under other names than this
// run's, and the directories that are empty then. The caller holds its journal.
func (s *snapshotRun) removeDated(h *journal.Header) error {
	then := nameValues{h.StartedAt, h.RunID}
	if then.check() != nil {
		return nil
	}
	dated, err := s.datedNames(then)
	if err != nil {
		return err
	}
	own := s.o.writtenNames()
	for _, d := range dated {
		switch {
		case slices.Contains(own, d.path):
		case d.inStore:
			err = errors.Join(err, s.removeStaleOf(&d))
		default:
			err = errors.Join(err, removeHiddenOf(d.path), removeEmptyDirs(d.dirs))
		}
	}
	return err
}

// removeOwnStale removes temporary files that could not be removed before: no later run has their names.
func (s *snapshotRun) removeOwnStale() error {
	dated, err := s.datedNames(s.values())
	for _, d := range dated {
		if info, serr := os.Stat(filepath.Dir(d.path)); d.inStore || serr == nil && info.IsDir() {
			err = errors.Join(err, s.removeStaleOf(&d))
		}
	}
	return err
}

// removeStaleOf removes the temporary files of an output, which may be several files.
func (s *snapshotRun) removeStaleOf(d *datedName) error {
	if d.parts {
		return s.files.RemoveStaleBelow(d.path, func(below string) bool { return snapshot.IsPart(d.path, below) })
	}
	return s.files.RemoveStale(d.path)
}

// removeHiddenOf removes the temporary files and the lock of an output, unless a run is writing it.
func removeHiddenOf(path string) error {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return nil
	}
	lock, err := durable.OpenLog(journal.PathFor(path), true)
	if errors.Is(err, durable.ErrLocked) || errors.Is(err, durable.ErrNotOurs) {
		return nil
	}
	if err != nil {
		return err
	}
	if size, err := lock.Size(); err != nil || size > 0 { // the journal of another run
		return errors.Join(err, lock.Close())
	}
	return errors.Join(durable.RemoveStale(path), lock.Remove(), lock.Close())
}

// removeEmptyDirs removes the directories, the last ones first, as far as they are empty.
func removeEmptyDirs(dirs []string) (err error) {
	for _, dir := range slices.Backward(dirs) {
		_, rerr := durable.RemoveEmptyDir(dir)
		err = errors.Join(err, rerr)
	}
	return err
}
