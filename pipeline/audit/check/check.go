package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Options say what to check. Only Snapshots is needed.
type Options struct {
	// Snapshots are outputs of finished runs, one of each run, or their manifests. Runs are added up.
	Snapshots []string
	Files     *blob.Files // where they are; nil: on this machine

	Cohorts *cohort.Set // that checks may name; nil: none

	IDs bool      // examples with the users' ids
	Now time.Time // what younger is measured from; zero: the clock's
}

// Run checks snapshots. An [*Error] is a mistake in the rules file; every other error is about a snapshot that cannot
// be read, or is not what its manifest says. The results of the checks are in the Report.
func Run(ctx context.Context, f *File, o Options) (_ *Report, err error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	runs, err := openRuns(o.Files, o.Snapshots, snapshot.Options{
		NoPayloads: !slices.ContainsFunc(f.Checks, func(c *Check) bool { return c.Kind == Payload }),
		NoCarried:  !slices.ContainsFunc(f.Checks, func(c *Check) bool { return c.Where != "" || len(c.By) > 0 }),
	})
	defer func() { err = errors.Join(err, closeRuns(runs)) }()
	if err != nil {
		return nil, err
	}
	p, err := newPass(f, &o, runs)
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		if err := p.countRun(ctx, r); err != nil {
			return nil, err
		}
	}
	return p.judgeAll(), nil
}

// openRun is a finished run and the reader of its users.
type openRun struct {
	*snapshot.Run
	users *snapshot.Reader
}

// openRuns opens snapshots, each of another run. The readers share their keys.
func openRuns(files *blob.Files, paths []string, o snapshot.Options) (runs []*openRun, err error) {
	all, err := snapshot.OpenAll(files, paths)
	if err != nil {
		return nil, err
	}
	o.Keys, o.NoIncluded = &snapshot.Keys{}, true
	for _, r := range all {
		if r.Manifest != nil && (r.Manifest.RunID == "" || r.Manifest.StartedAt.IsZero()) {
			return runs, pipeline.WithHint(fmt.Errorf("%s is not complete: it lacks the run's id or start", r.ManifestPath),
				"`rollcall verify` says more")
		}
		if err := errors.Join(r.CheckSize(), problemOf(r)); err != nil {
			return runs, err
		}
		users, err := r.Users(o)
		if err != nil {
			return runs, err
		}
		runs = append(runs, &openRun{Run: r, users: users})
	}
	return runs, nil
}

func closeRuns(runs []*openRun) error {
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.users.Close())
	}
	return errors.Join(errs...)
}

// problemOf is the first problem of a run as an error.
func problemOf(r *snapshot.Run) error {
	switch {
	case r.MissingManifest != nil:
		return r.MissingManifest
	case len(r.Problems) > 0:
		return pipeline.WithHint(fmt.Errorf("%s is not what its manifest says: %s", r.Path, r.Problems[0]),
			"`rollcall verify` says more")
	}
	return nil
}

// eachUser calls each for every user, and then reports what is wrong with the output.
func (r *openRun) eachUser(ctx context.Context, each func(*snapshot.User) error) error {
	if err := r.users.Each(ctx, each); err != nil {
		return err
	}
	return problemOf(r.Run)
}

// flagCounts are the users of each variant of each flag in all runs. Flags that nobody got have no variants.
func flagCounts(runs []*openRun) map[string]map[string]int64 {
	counts := map[string]map[string]int64{}
	variantsOf := func(flag string) map[string]int64 {
		if counts[flag] == nil {
			counts[flag] = map[string]int64{}
		}
		return counts[flag]
	}
	for _, r := range runs {
		for _, f := range r.Manifest.Flags {
			variants := variantsOf(f.Flag)
			for _, v := range f.Variants {
				variants[v.Variant] += v.Users
			}
		}
		for _, flag := range r.Manifest.NobodyGot {
			variantsOf(flag)
		}
		for _, key := range r.users.Flags {
			variantsOf(r.users.Keys.Name(key))
		}
	}
	return counts
}
