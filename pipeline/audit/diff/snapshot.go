package diff

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Snapshot is one of the two, and whether it can be trusted.
type Snapshot struct {
	Path        string    `json:"path"`
	Manifest    string    `json:"manifest"` // "" where there is none
	RunID       string    `json:"run_id"`
	StartedAt   time.Time `json:"started_at"`
	FinishedAt  time.Time `json:"finished_at"`
	Users       int64     `json:"users"` // in the file; rows where Report.Unit is that
	Distinct    int64     `json:"distinct_users"`
	Estimated   bool      `json:"estimated"` // Distinct is
	Failed      int64     `json:"failed"`
	Assignments int64     `json:"assignments"` // of a variant
	Complete    bool      `json:"complete"`
	Problems    []string  `json:"problems"` // why it is not to be trusted

	Retries []string `json:"retries,omitempty"` // outputs of runs that asked again about its failed users; they count as part of it
}

// side is one of the two snapshots, as it is read.
type side struct {
	*Snapshot
	number   int // 0: before, 1: after
	manifest *snapshot.Manifest
	keys     *snapshot.Keys
	names    []uint32        // the number of each key; ^0: not known yet
	flags    []*flag         // the flag of each key; nil: not known yet
	has      map[string]bool // flags
	escaped  bool
	asked    bool // each answered user has all flags, or a row
	wide     bool
	payloads bool

	recent      map[string]uint32 // numbers of payloads
	recentBytes int

	first   bool // the first time that it is read: everything is counted
	ids     stats.Distinct
	inFile  int64
	records int64
	counted

	// retries are the runs that asked again about the failed users of this one. Their users are part of it, and come
	// after its own. A retry has keys, path, manifest, what its file is like, and what was counted of that; the rest is
	// this side's.
	retries []*side
}

// parts are the files that the side is read from.
func (s *side) parts() []*side { return append([]*side{s}, s.retries...) }

// addRetry makes the run of an output part of the side whose run it completes.
func addRetry(path string, sides ...*side) error {
	for _, s := range sides {
		r, err := open(path, s.number, false)
		if err != nil {
			return err
		}
		if r.manifest == nil || r.manifest.Completes == nil {
			return pipeline.WithHint(fmt.Errorf("%s is not of a run that asked again about another run's failed users", path),
				"name two snapshots, and then such runs alone")
		}
		var manifests []*snapshot.Manifest
		completes := false
		for _, p := range s.parts() {
			manifests = append(manifests, p.manifest)
			completes = completes || p.RunID != "" && p.RunID == r.manifest.Completes.RunID
		}
		if !completes {
			continue
		}
		once, err := snapshot.CountOnce(append(manifests, r.manifest))
		if err != nil {
			return err
		}
		s.Failed = 0
		for _, users := range once {
			s.Failed += users.Failed
		}
		if r.escaped != s.escaped {
			return pipeline.WithHint(fmt.Errorf("%s has formulas escaped, and %s has not", path, s.Path), "name outputs of the same format")
		}
		r.keys = s.keys
		s.retries, s.Retries = append(s.retries, r), append(s.Retries, r.Path)
		s.wide, s.asked, s.payloads = s.wide || r.wide, s.asked && r.asked, s.payloads && r.payloads
		maps.Copy(s.has, r.has)
		return nil
	}
	return pipeline.WithHint(fmt.Errorf("%s asked again about the failed users of another run than these two", path),
		"name the run that it completes as BEFORE or AFTER")
}

// counted is what was seen of a snapshot.
type counted struct {
	disordered int64
	repeated   int64 // users with a flag twice
	differing  int64
	differs    string
	twice      int64 // users with the ids of an earlier one
}

// open finds the manifest of a snapshot, and what flags it has: with scan all, else those of which it is known without
// reading the rows.
func open(path string, number int, scan bool) (*side, error) {
	s := &side{Snapshot: &Snapshot{Path: path, Problems: []string{}}, number: number, keys: &snapshot.Keys{}, has: map[string]bool{}, first: true}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	manifest := path
	if !snapshot.IsManifest(path) {
		manifest, _ = snapshot.FindManifest(path)
	}
	if manifest == "" {
		s.problem("there is no manifest beside it: the run is not finished, or the file was moved alone")
	} else if err := s.readManifest(manifest); err != nil {
		return nil, err
	}
	r, err := s.open(false)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	s.wide, s.payloads = r.Wide, r.Payloads
	s.asked = s.asked || r.Wide
	for _, key := range r.Flags {
		s.has[s.unescape(r.Keys.Name(key))] = true
	}
	if s.manifest != nil || r.Wide || !scan {
		return s, nil
	}
	var u snapshot.User
	var seen []bool // by key
	for {           // only the rows know which flags there are
		if err := r.Next(&u); err == io.EOF {
			return s, nil
		} else if err != nil {
			return nil, err
		}
		for i := range u.Assignments {
			if key := u.Assignments[i].Flag; int(key) >= len(seen) || !seen[key] {
				seen = append(seen, make([]bool, r.Keys.Len()-len(seen))...)
				seen[key] = true
				s.has[s.unescape(r.Keys.Name(key))] = true
			}
		}
	}
}

func (s *side) readManifest(manifest string) error {
	m, err := snapshot.ReadManifest(manifest)
	if err != nil {
		return err
	}
	s.manifest, s.Manifest = m, manifest
	s.RunID, s.StartedAt, s.FinishedAt, s.Failed = m.RunID, m.StartedAt, m.FinishedAt, m.Users.Failed
	s.asked = m.Options["flags"] != "" || m.Options["flags-from"] != ""
	located := snapshot.Locate(manifest, m, nil)
	for i, l := range located {
		last := i == len(located)-1 // the error records
		switch {
		case l.Path == "":
		case last && s.Path == manifest:
			return pipeline.WithHint(fmt.Errorf("%s: no output of this run is a file that can be read", manifest), "name the output")
		case last && same(s.Path, l.Path):
			return pipeline.WithHint(fmt.Errorf("%s holds the error records of a run, not its assignments", s.Path), "name one of its other outputs")
		case s.Path == manifest:
			s.Path = l.Path
		}
	}
	for _, f := range m.Flags {
		s.has[f.Flag] = true
	}
	for _, f := range m.NobodyGot {
		s.has[f] = true
	}
	text := strings.ToLower(s.Path)
	for _, format := range []string{".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".tsv.zst"} {
		s.escaped = s.escaped || m.Options["csv-formulas"] == "escape" && strings.HasSuffix(text, format)
	}
	return nil
}

// open opens the file at its first row.
func (s *side) open(payloads bool) (*snapshot.Reader, error) {
	return snapshot.OpenReader(s.Path, snapshot.Options{Manifest: s.manifest, Keys: s.keys, NoPayloads: !payloads, NoIncluded: true, NoCarried: true})
}

func same(a, b string) bool {
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}

func (s *side) problem(format string, args ...any) {
	s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
}

// check holds what was read against the manifest. got is how many users got which variant of which flag.
func (s *side) check(got func(flag, variant string) int64) {
	if s.disordered > 0 {
		s.problem("%s at or before the user before them by row number: users may stand there twice", s.countOf(s.disordered, "stands", "stand"))
	}
	if s.differing > 0 {
		s.problem("%s records that disagree, in column %s for example", s.countOf(s.differing, "has", "have"), s.differs)
	}
	if s.repeated > 0 {
		s.problem("%s the same flag more than once", s.countOf(s.repeated, "has", "have"))
	}
	defer func() { s.Complete = len(s.Problems) == 0 }()
	if s.manifest == nil {
		return
	}
	type group struct{ flag, variant string }
	var groups []group // in the order of the manifests
	want := map[group]int64{}
	for _, p := range s.parts() {
		s.checkPart(p)
		for _, f := range p.manifest.Flags {
			for _, v := range f.Variants {
				g := group{f.Flag, v.Variant}
				if _, known := want[g]; !known {
					groups = append(groups, g)
				}
				want[g] += v.Users
			}
		}
	}
	const most = 3
	wrong := 0
	for _, g := range groups {
		if n := got(g.flag, g.variant); n != want[g] {
			if wrong++; wrong <= most {
				s.problem("flag %s: it has %s with variant %s, and by its manifest %s", g.flag, s.ids.Unit().Count(n), g.variant, report.Thousands(want[g]))
			}
		}
	}
	if wrong > most {
		s.problem("and %d more variants whose users are not as many as its manifest says", wrong-most)
	}
}

// checkPart checks the numbers of one file of the side against its manifest.
func (s *side) checkPart(p *side) {
	m, it, its := p.manifest, "it", "its"
	if p != s {
		it, its = p.Path, "its retry's"
	}
	listed := false
	for i, l := range snapshot.Locate(p.Manifest, m, []string{p.Path}) {
		if i == len(m.Outputs)-1 || l.Path == "" || !same(l.Path, p.Path) {
			continue
		}
		listed = true
		if l.File.Rows != p.records {
			s.problem("%s has %s records, and by its manifest %s", it, report.Thousands(p.records), report.Thousands(l.File.Rows))
		}
	}
	if !listed {
		s.problem("%s manifest does not list %s", its, it)
	}
	if s.asked && p.inFile != m.Users.Answered || p.inFile > m.Users.Answered {
		s.problem("%s has %s, and by its manifest %s were answered", it, s.ids.Unit().Count(p.inFile), report.Thousands(m.Users.Answered))
	}
}

// everybody reports whether each answered user has a row, also one who got nothing.
func (s *side) everybody() bool {
	return s.asked || !slices.ContainsFunc(s.parts(), func(p *side) bool { return p.manifest == nil || p.inFile != p.manifest.Users.Answered })
}

// only are the names that a has and b has not, sorted.
func only(a, b map[string]bool) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if !b[name] {
			names = append(names, name)
		}
	}
	return names
}

// countOf is a number of users, or rows, with the verb that goes with it.
func (s *side) countOf(n int64, one, many string) string {
	if n == 1 {
		many = one
	}
	return s.ids.Unit().Count(n) + " " + many
}
