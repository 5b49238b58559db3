package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Options say what to check. Only Snapshots is needed.
type Options struct {
	// Snapshots are outputs of finished runs, one of each run, or their manifests. Runs are added up.
	Snapshots []string

	IDs bool      // examples with the users' ids
	Now time.Time // what younger is measured from; zero: the clock's

	// FailedRows are the row numbers of the first few error records in a file. nil: they are not looked at.
	FailedRows func(file string, most int) ([]int64, error)
}

// snapshot is one finished run.
type openRun struct {
	path     string
	manifest string
	m        *snapshot.Manifest
	once     snapshot.Users // m.Users, less those whom another of the snapshots asked about again
	errors   string         // the file of error records; "": not known
	listed   snapshot.File  // what the manifest says of the file at path
	r        *snapshot.Reader
	inFile   int64
}

// Check holds the snapshots against the rules. An [*Error] is a mistake in the rules file; every other error is about a
// snapshot that cannot be read, or is not what its manifest says. What does not hold is in the Report.
func Check(ctx context.Context, f *File, o Options) (_ *Report, err error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	keys := &snapshot.Keys{}
	all, err := openAll(o.Snapshots, keys, func(ro *snapshot.Options) {
		ro.NoPayloads = !slices.ContainsFunc(f.Checks, func(r *Rule) bool { return r.Kind == Payload })
		ro.NoCarried = !slices.ContainsFunc(f.Checks, func(r *Rule) bool { return r.Where != "" || len(r.By) > 0 })
	})
	defer func() { err = errors.Join(err, closeAll(all)) }()
	if err != nil {
		return nil, err
	}
	c := &counting{file: f, o: &o, keys: keys, counter: newCounter(keys)}
	if err := c.bind(all); err != nil {
		return nil, err
	}
	for _, s := range all {
		if err := c.read(ctx, s); err != nil {
			return nil, err
		}
	}
	return judge(c, all), nil
}

// openAll opens snapshots, each of a run of its own.
func openAll(paths []string, keys *snapshot.Keys, set func(*snapshot.Options)) (all []*openRun, err error) {
	runs := map[string]string{}
	for _, path := range paths {
		s, err := open(path)
		if err != nil {
			return all, err
		}
		if first, twice := runs[s.m.RunID]; twice {
			return all, pipeline.WithHint(fmt.Errorf("%s and %s are of the same run, and its users would count twice", first, s.path),
				"name one output of each run")
		}
		runs[s.m.RunID] = s.path
		o := snapshot.Options{Manifest: s.m, Keys: keys, NoIncluded: true}
		set(&o)
		if s.r, err = snapshot.OpenReader(s.path, o); err != nil {
			return all, err
		}
		all = append(all, s)
	}
	manifests := make([]*snapshot.Manifest, len(all))
	for i, s := range all {
		manifests[i] = s.m
	}
	once, err := snapshot.CountOnce(manifests)
	if err != nil {
		return all, err
	}
	for i, s := range all {
		s.once = once[i]
	}
	return all, nil
}

func closeAll(all []*openRun) error {
	var errs []error
	for _, s := range all {
		errs = append(errs, s.r.Close())
	}
	return errors.Join(errs...)
}

// open finds the manifest of a snapshot, or the output of a manifest.
func open(path string) (*openRun, error) {
	s := &openRun{path: path}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	s.manifest = path
	if !snapshot.IsManifest(path) {
		if s.manifest, err = snapshot.FindManifest(path); err != nil {
			return nil, err
		}
	}
	if s.m, err = snapshot.ReadManifest(s.manifest); err != nil {
		return nil, err
	}
	if len(s.m.Outputs) < 2 || s.m.RunID == "" || s.m.StartedAt.IsZero() {
		return nil, pipeline.WithHint(fmt.Errorf("%s is not complete: it does not list the outputs of a run", s.manifest), "`rollcall verify` says more")
	}
	found := false
	for i, l := range snapshot.Locate(s.manifest, s.m, []string{path}) {
		there, err := os.Stat(l.Path)
		last := i == len(s.m.Outputs)-1 // the error records
		switch {
		case l.Path == "" || err != nil:
		case last && os.SameFile(info, there):
			return nil, pipeline.WithHint(fmt.Errorf("%s holds the error records of a run, not its assignments", path), "name one of its other outputs")
		case last:
			s.errors = l.Path
		case !found && (path == s.manifest || os.SameFile(info, there)):
			s.path, s.listed, found = l.Path, l.File, true
			info = there
		}
	}
	switch {
	case !found && path == s.manifest:
		return nil, pipeline.WithHint(fmt.Errorf("%s: no output of this run is a file that can be read", path), "name the output")
	case !found:
		return nil, fmt.Errorf("%s: its manifest %s does not list it", path, s.manifest)
	case info.Size() != s.listed.Bytes:
		return nil, s.tampered("it has %d bytes, and by its manifest %d", info.Size(), s.listed.Bytes)
	}
	return s, nil
}

// tampered is the error of a file that is not the one which the run wrote.
func (s *openRun) tampered(format string, args ...any) error {
	return pipeline.WithHint(fmt.Errorf("%s is not what its manifest says: %s", s.path, fmt.Sprintf(format, args...)), "`rollcall verify` says more")
}
