package diff

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// side is one of the two snapshots while it is read.
type side struct {
	*Snapshot
	number   int             // 0: before, 1: after
	files    []*file         // the output, and those of runs that asked again about its failed users, which come after it
	keys     *snapshot.Keys  // of both sides
	flags    map[string]bool // that it has
	byKey    []*flag         // nil: not known yet
	asked    bool            // each answered user has all flags, or a row
	wide     bool
	payloads bool

	recent      map[string]uint32 // numbers of payloads
	recentBytes int

	first      bool // this is the first reading, in which users are counted
	ids        stats.Distinct
	duplicates int64 // users with the ids of an earlier one
}

// file is one output of a side.
type file struct {
	*snapshot.Run
	reader *snapshot.Reader
	users  int64 // that were read
}

// openReader opens a file at its first user. With count, what is wrong with it becomes known at its end.
func (s *side) openReader(f *file, payloads, count bool) (err error) {
	f.reader, err = f.Users(snapshot.Options{Keys: s.keys, NoPayloads: !payloads, NoIncluded: true, NoCarried: true,
		Uncounted: !count})
	return err
}

// openSide opens a snapshot, and finds which flags it has: with scan all, else those that are known without reading the
// rows.
func openSide(ctx context.Context, files *blob.Files, path string, number int, keys *snapshot.Keys, scan bool) (*side, error) {
	s := &side{Snapshot: &Snapshot{Problems: []string{}}, number: number, keys: keys, flags: map[string]bool{},
		payloads: true, asked: true, first: true}
	f, err := s.openFile(ctx, files, path, scan)
	if err != nil {
		return nil, err
	}
	s.addFile(f)
	s.Path, s.Manifest = f.Path, f.ManifestPath
	if m := f.Manifest; m != nil {
		s.RunID, s.StartedAt, s.FinishedAt, s.Failed = m.RunID, m.StartedAt, m.FinishedAt, m.Users.Failed
	}
	return s, nil
}

// openFile opens the output of a run for its schema, and notes its flags.
func (s *side) openFile(ctx context.Context, files *blob.Files, path string, scan bool) (f *file, err error) {
	run, err := snapshot.Open(files, path)
	if err != nil {
		return nil, err
	}
	f = &file{Run: run}
	if err := s.openReader(f, false, false); err != nil {
		return nil, err
	}
	defer f.reader.Close() //nolint:errcheck // only read
	for _, key := range f.reader.Flags {
		s.flags[s.keys.Name(key)] = true
	}
	if m := run.Manifest; m != nil {
		for _, flag := range m.Flags {
			s.flags[flag.Flag] = true
		}
		for _, flag := range m.NobodyGot {
			s.flags[flag] = true
		}
		return f, nil
	}
	if f.reader.Wide || !scan {
		return f, nil
	}
	// Only the rows know which flags there are.
	return f, f.reader.Each(ctx, func(u *snapshot.User) error {
		for i := range u.Assignments {
			s.flags[s.keys.Name(u.Assignments[i].Flag)] = true
		}
		return nil
	})
}

// addFile makes a file that was opened a part of the side.
func (s *side) addFile(f *file) {
	s.files = append(s.files, f)
	s.wide = s.wide || f.reader.Wide
	s.payloads = s.payloads && f.reader.Payloads
	s.asked = s.asked && (f.reader.Wide || f.Layout.Everybody())
}

// addRetry makes the run of an output part of the side whose run it completes.
func addRetry(ctx context.Context, files *blob.Files, path string, sides ...*side) error {
	for _, s := range sides {
		f, err := s.openFile(ctx, files, path, false)
		if err != nil {
			return err
		}
		if f.Manifest == nil || f.Manifest.Completes == nil {
			return pipeline.WithHint(fmt.Errorf("%s is not of a run that asked again about another run's failed users", path),
				"name two snapshots, and then such runs alone")
		}
		manifests := []*snapshot.Manifest{f.Manifest}
		completes := false
		for _, part := range s.files {
			m := part.Manifest
			manifests = append(manifests, m)
			completes = completes || m != nil && m.RunID == f.Manifest.Completes.RunID
		}
		if !completes {
			continue
		}
		once, err := snapshot.CountOnce(manifests)
		if err != nil {
			return err
		}
		s.Failed = 0
		for _, users := range once {
			s.Failed += users.Failed
		}
		s.addFile(f)
		s.Retries = append(s.Retries, f.Path)
		return nil
	}
	return pipeline.WithHint(fmt.Errorf("%s asked again about the failed users of another run than these two", path),
		"name the run that it completes as BEFORE or AFTER")
}

// answered is how many users the snapshot should have, 0 if that is not known.
func (s *side) answered() int64 {
	if m := s.files[0].Manifest; m != nil {
		return m.Users.Answered
	}
	return 0
}

// everybody reports whether each answered user has a row, also one who got nothing.
func (s *side) everybody() bool {
	return s.asked || !slices.ContainsFunc(s.files, func(f *file) bool {
		return f.Manifest == nil || f.users != f.Manifest.Users.Answered
	})
}

// disordered reports whether the users are not in the order of the input.
func (s *side) disordered() bool {
	return slices.ContainsFunc(s.files[0].Problems, func(p snapshot.Problem) bool { return p.Code == snapshot.Disordered })
}

// finish fills in what is known of a snapshot after it was read.
func (s *side) finish() {
	s.Distinct, s.Estimated = s.ids.Users(), !s.ids.Exact()
	for i, f := range s.files {
		for _, text := range snapshot.Describe(f.Problems) {
			if i > 0 {
				text = f.Path + ": " + text
			}
			s.Problems = append(s.Problems, text)
		}
	}
	s.Complete = len(s.Problems) == 0
}

// flagsOnlyIn are the flags that a has and b has not, sorted.
func flagsOnlyIn(a, b *side) []string {
	only := slices.Sorted(maps.Keys(a.flags))
	return append([]string{}, slices.DeleteFunc(only, func(name string) bool { return b.flags[name] })...)
}
