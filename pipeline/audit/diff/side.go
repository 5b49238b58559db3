package diff

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// side is one of the two snapshots while it is read.
type side struct {
	*Snapshot
	number   int             // 0: before, 1: after
	files    []*file         // the output, and those of runs that asked again about its failed users, which come after it
	file     *file           // the one that is being read
	flags    map[string]bool // that it has
	asked    bool            // each answered user has all flags, or a row
	wide     bool
	payloads bool

	recent      map[string]uint32 // numbers of payloads
	recentBytes int

	first      bool // this is the first reading, in which users are counted
	ids        stats.Distinct
	duplicates int64 // users with the ids of an earlier one
}

// file is one output of a side. Its keys are those of one file because a text may be escaped in one and not in another.
type file struct {
	*snapshot.Run
	reader *snapshot.Reader
	keys   snapshot.Keys
	flags  []*flag  // by key; nil: not known yet
	names  []uint32 // the number of each key's text, by key; unknownName: not known yet
	users  int64    // that were read
}

const unknownName = ^uint32(0)

// openReader opens the file at its first user. With count, what is wrong with it becomes known at its end.
func (f *file) openReader(payloads, count bool) (err error) {
	f.reader, err = f.Users(snapshot.Options{Keys: &f.keys, NoPayloads: !payloads, NoIncluded: true, NoCarried: true,
		Uncounted: !count})
	return err
}

// unescape is an id without what escaped formulas have before them.
func (f *file) unescape(id []byte) []byte {
	if len(id) > 0 && id[0] == '\'' {
		return []byte(f.reader.Unescape(string(id)))
	}
	return id
}

// openSide opens a snapshot, and finds which flags it has: with scan all, else those that are known without reading the
// rows.
func openSide(path string, number int, scan bool) (*side, error) {
	s := &side{Snapshot: &Snapshot{Problems: []string{}}, number: number, flags: map[string]bool{}, payloads: true,
		asked: true, first: true}
	f, err := s.openFile(path, scan)
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
func (s *side) openFile(path string, scan bool) (f *file, err error) {
	run, err := snapshot.Open(path)
	if err != nil {
		return nil, err
	}
	f = &file{Run: run}
	if err := f.openReader(false, false); err != nil {
		return nil, err
	}
	defer f.reader.Close() //nolint:errcheck // only read
	for _, key := range f.reader.Flags {
		s.flags[f.reader.Text(key)] = true
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
	var u snapshot.User
	var seen []bool // by key
	for {           // only the rows know which flags there are
		if err := f.reader.Next(&u); err == io.EOF {
			return f, nil
		} else if err != nil {
			return nil, err
		}
		for i := range u.Assignments {
			if key := u.Assignments[i].Flag; int(key) >= len(seen) || !seen[key] {
				seen = append(seen, make([]bool, f.keys.Len()-len(seen))...)
				seen[key] = true
				s.flags[f.reader.Text(key)] = true
			}
		}
	}
}

// addFile makes a file that was opened a part of the side.
func (s *side) addFile(f *file) {
	s.files = append(s.files, f)
	s.wide = s.wide || f.reader.Wide
	s.payloads = s.payloads && f.reader.Payloads
	s.asked = s.asked && (f.reader.Wide || f.Layout.Everybody())
}

// addRetry makes the run of an output part of the side whose run it completes.
func addRetry(path string, sides ...*side) error {
	for _, s := range sides {
		f, err := s.openFile(path, false)
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
