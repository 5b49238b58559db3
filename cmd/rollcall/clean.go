package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

func cleanCommand(env *env, con *console) *cobra.Command {
	var olderThan string
	var dryRun bool
	var common commonOptions
	cmd := &cobra.Command{
		Use: "clean [DIR|OUT...] [options]", DisableFlagsInUseLine: true,
		Short: "Remove what unfinished runs have left",
		Long: `clean removes the hidden files of unfinished runs: journals, locks, copies of
standard input, and outputs that were never complete. DIR is a directory, in
which all are removed [the current one]; OUT is the first output of a run as it
was given: "out/dt={date}/a.csv". Both can be in a store, where journals, leases
and uploads are removed. The users that such a run has asked about are asked
again by the next one. What a run is using stays, and so does what another user
owns.`,
		Example: `  rollcall clean --dry-run
  rollcall clean s3://bucket/nightly/
  rollcall clean /data/nightly --older-than 7d
  rollcall clean assignments.parquet`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := common.start(cmd, env, con); err != nil {
				return err
			}
			age, err := parseAge(olderThan)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			c := &cleaner{env: env, con: con, before: time.Now().Add(-age), dryRun: dryRun, quiet: common.quiet}
			var errs []error
			for _, arg := range args {
				errs = append(errs, c.clean(arg))
			}
			if c.removed == 0 && !common.quiet {
				_, err = fmt.Fprintln(env.Stdout, "nothing to remove")
			}
			return errors.Join(append(errs, err)...)
		},
	}
	options := cmd.Flags()
	group(options, "Options", func() {
		options.StringVar(&olderThan, "older-than", "0", "`TIME` only what was last written before: 7d, 12h [0]")
		options.BoolVar(&dryRun, "dry-run", false, "say what would be removed; remove nothing")
		common.define(options)
	})
	return cmd
}

// parseAge reads a time span, in days too.
func parseAge(s string) (time.Duration, error) {
	var age time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		age = time.Duration(n) * 24 * time.Hour
	} else if s != "0" {
		age, err = time.ParseDuration(s)
	}
	if err != nil || age < 0 {
		return 0, pipeline.WithHint(usageErrorf("--older-than %q is not a time span", s), "for example 7d or 12h")
	}
	return age, nil
}

// leftover is a hidden file that a run has left or is using.
type leftover struct {
	path   string
	output string // the hidden name of its output, without the directory
	temp   bool   // an output that was not complete; else a journal or lock, or a copy of standard input
	info   fs.FileInfo
}

// isJournal reports whether it is a journal, or the lock of an output that is not the first.
func (l *leftover) isJournal() bool { return filepath.Base(l.path) == l.output+".rollcall" }

// leftoverName is how the hidden files of an output are called: see durable.Hidden, journal.PathFor and spoolFile.
var leftoverName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(\..+)\.rollcall(?:\.stdin(?:-[a-z0-9]+)?|(-[a-z2-7]{10}\.tmp))?$`)
})

// findLeftovers lists the hidden files in a directory, sorted by name.
func findLeftovers(dir string) ([]leftover, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, durable.WrapError("look at", dir, err)
	}
	var found []leftover
	for _, e := range entries {
		m := leftoverName().FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, durable.WrapError("look at", filepath.Join(dir, e.Name()), err)
		}
		found = append(found, leftover{filepath.Join(dir, e.Name()), m[1], m[2] != "", info})
	}
	return found, nil
}

// cleaner removes leftovers.
type cleaner struct {
	env     *env
	con     *console
	before  time.Time // what was written later stays
	dryRun  bool
	quiet   bool
	removed int
}

// clean removes the leftovers in a directory, or those of one output.
func (c *cleaner) clean(arg string) error {
	if c.env.Stores.Knows(arg) {
		return c.cleanStore(arg)
	}
	dir, only := arg, []string(nil)
	if info, err := os.Stat(arg); err != nil || !info.IsDir() {
		if err := checkTemplate("OUT", arg); err != nil {
			return err
		}
		dir = filepath.Dir(fixedName(arg))
		for _, name := range outputFamily(arg) {
			only = append(only, filepath.Base(durable.Hidden(fixedName(name))))
		}
	}
	return c.cleanDirectory(dir, only)
}

// cleanDirectory removes the leftovers in a directory; if only is not nil, those of outputs with these hidden names.
func (c *cleaner) cleanDirectory(dir string, only []string) error {
	found, err := findLeftovers(dir)
	if err != nil {
		return err
	}
	outputs := map[string][]leftover{}
	var order []string
	for _, l := range found {
		if only != nil && !slices.Contains(only, l.output) {
			continue
		}
		if outputs[l.output] == nil {
			order = append(order, l.output)
		}
		outputs[l.output] = append(outputs[l.output], l)
	}
	errs := []error{c.cleanDated(dir, found, only)}
	for _, output := range order {
		errs = append(errs, c.cleanOutput(filepath.Join(dir, output), outputs[output]))
	}
	return errors.Join(errs...)
}

// cleanDated removes what runs have left under names that hold when they began. Their journals, which are among found,
// tell when that was.
func (c *cleaner) cleanDated(dir string, found []leftover, only []string) error {
	var began []nameValues
	var templates []string
	for _, l := range found {
		template, ok := templateOf(strings.TrimPrefix(l.output, "."))
		if !ok || !l.isJournal() || l.info.ModTime().After(c.before) || only != nil && !slices.Contains(only, l.output) {
			continue
		}
		templates = append(templates, template)
		if r, err := journal.Open(l.path); err == nil { // else it is in use, or whoever removes it says what is wrong
			v := nameValues{r.Header().StartedAt, r.Header().RunID}
			if v.check() == nil {
				began = append(began, v)
			}
			if err := r.Close(); err != nil {
				return err
			}
		}
	}
	var errs []error
	for _, v := range began {
		for _, template := range templates {
			for _, name := range outputFamily(template) {
				errs = append(errs, c.cleanName(dir, filepath.Join(dir, v.expand(name))))
			}
		}
	}
	return errors.Join(errs...)
}

// cleanName removes the leftovers of an output, and the directories below base in which nothing is left.
func (c *cleaner) cleanName(base, path string) error {
	dir := filepath.Dir(path)
	dirs, err := durable.DirsBelow(base, dir)
	if info, serr := os.Stat(dir); serr != nil || !info.IsDir() || err != nil {
		return err
	}
	if err = c.cleanDirectory(dir, []string{filepath.Base(durable.Hidden(path))}); err == nil && !c.dryRun {
		err = removeEmptyDirs(dirs)
	}
	return err
}

// cleanOutput removes the leftovers of one output, with its journal locked: so no run can begin to use them.
func (c *cleaner) cleanOutput(hidden string, files []leftover) error {
	for _, l := range files { // a run is as old as its youngest file
		if l.info.ModTime().After(c.before) {
			return nil
		}
	}
	lock, err := durable.OpenLog(hidden+".rollcall", false)
	switch {
	case errors.Is(err, durable.ErrLocked):
		c.con.Log.Info("a run is using " + text.Clean(hidden+".rollcall"))
		return nil
	case errors.Is(err, durable.ErrNotOurs):
		c.con.Warn("not removed: "+err.Error(), pipeline.Hint(err), about{code: warnNotRemoved})
		return nil
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		defer lock.Close() //nolint:errcheck // nothing was written
		if ok, err := beginsAsJournal(lock); err != nil || !ok {
			c.con.Warn("not removed: "+text.Clean(hidden+".rollcall")+" is not a journal of rollcall", "",
				about{code: warnNotRemoved, subjects: []string{hidden + ".rollcall"}})
			return err
		}
	}
	var errs []error
	for _, l := range files {
		if !l.isJournal() {
			errs = append(errs, c.remove(l, lock != nil))
		}
	}
	if lock != nil && errors.Join(errs...) == nil { // the journal goes last: as long as it is there, the rest is found
		i := slices.IndexFunc(files, func(l leftover) bool { return l.isJournal() })
		if i < 0 {
			return nil // it was created just now
		}
		errs = append(errs, c.removeFile(files[i], lock.Remove))
	}
	return errors.Join(errs...)
}

// settled is how old a temporary file without a journal or a lock must be. Such files are the small ones of a run,
// which have their names within a moment.
const settled = time.Hour

// remove removes a leftover that is not the journal.
func (c *cleaner) remove(l leftover, locked bool) error {
	if l.temp {
		if !locked && time.Since(l.info.ModTime()) < settled {
			return nil
		}
		if err := durable.CheckOurs(l.path, l.info); err != nil {
			c.con.Warn("not removed: "+err.Error(), pipeline.Hint(err), about{code: warnNotRemoved})
			return nil
		}
		return c.removeFile(l, func() error { return durable.Remove(l.path) })
	}
	log, err := durable.OpenLog(l.path, false) // a copy of standard input has a lock of its own
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, durable.ErrLocked):
		c.con.Log.Info("a run is using " + text.Clean(l.path))
		return nil
	case errors.Is(err, durable.ErrNotOurs):
		c.con.Warn("not removed: "+err.Error(), pipeline.Hint(err), about{code: warnNotRemoved})
		return nil
	case err != nil:
		return err
	}
	return errors.Join(c.removeFile(l, log.Remove), log.Close())
}

// removeFile removes a file, unless this is a dry run, and says so.
func (c *cleaner) removeFile(l leftover, remove func() error) error {
	done := "would remove"
	if !c.dryRun {
		if err := remove(); err != nil {
			return err
		}
		done = "removed"
	}
	c.removed++
	if c.quiet {
		return nil
	}
	_, err := fmt.Fprintf(c.env.Stdout, "%s %s (%s, last written %s)\n", done, text.Clean(l.path),
		formatBytes(l.info.Size()),
		l.info.ModTime().Format("2006-01-02 15:04"))
	return err
}

// beginsAsJournal reports whether a file is empty, as locks are, or begins as a journal of any version does.
func beginsAsJournal(log *durable.Log) (bool, error) {
	n, err := log.Size()
	if err != nil || n == 0 {
		return err == nil, err
	}
	head := make([]byte, min(n, journal.MagicLen))
	if _, err := log.ReadAt(head, 0); err != nil {
		return false, err
	}
	return journal.HasMagic(head), nil
}

// warnUnfinished says where unfinished runs of other outputs are, in the directory of this one's: outputs that have a
// date in their names leave one for each night that was interrupted, and nobody looks for hidden files. One that was
// written to within the hour may be going on.
func (s *snapshotRun) warnUnfinished() {
	place, err := s.journalPlace()
	if err != nil {
		return
	}
	dir := strings.TrimSuffix(place.String(), staging.Base(place.String()))
	var others []string
	if _, onDisk := place.(journal.OnDisk); onDisk {
		dir = filepath.Dir(place.String())
		others, err = s.findUnfinishedOnDisk(dir, place.String())
	} else {
		others, err = findUnfinishedInStore(s.env, dir)
		others = slices.DeleteFunc(others, func(url string) bool { return url == place.String() })
	}
	if err != nil {
		return // what is wrong with the directory is said by whoever writes there
	}
	if len(others) > 0 {
		s.con.Warn("unfinished runs beside this one: "+text.List(others, 3),
			"the command that began one goes on from there; `rollcall clean "+text.Clean(dir)+
				" --older-than 7d` removes old ones", about{code: warnUnfinished, subjects: others})
	}
}

// findUnfinishedOnDisk lists the journals of other runs in a directory that nobody has written to for an hour.
func (s *snapshotRun) findUnfinishedOnDisk(dir, ownJournal string) (others []string, err error) {
	found, err := findLeftovers(dir)
	own := []string{strings.TrimSuffix(filepath.Base(ownJournal), ".rollcall")}
	for _, path := range s.templates() {
		own = append(own, filepath.Base(durable.Hidden(fixedName(path))))
	}
	for _, l := range found {
		if l.temp || l.info.Size() == 0 || slices.Contains(own, l.output) || time.Since(l.info.ModTime()) < settled {
			continue
		}
		if durable.CheckOurs(l.path, l.info) == nil {
			own = append(own, l.output) // one file of a run is enough
			others = append(others, text.Clean(l.path))
		}
	}
	return others, err
}
