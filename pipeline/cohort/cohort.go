package cohort

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Cohort is a set of users. It is safe for concurrent use.
type Cohort struct {
	Name         string // what reports and rules call it
	ID           string // what flags call it; the name where that is not known
	Path         string // its file
	SHA256       string // of the file
	LastModified int64  // milliseconds since 1970, according to the file; 0: not known

	column  string
	files   *blob.Files
	members *table
}

// Size is how many members it has.
func (c *Cohort) Size() int { return c.members.n }

// Lookup reports whether a user is a member. index tells members apart; it is less than [Cohort.Indexes].
func (c *Cohort) Lookup(userID []byte) (index int, ok bool) {
	if len(userID) == 0 {
		return 0, false
	}
	return c.members.lookup(userID)
}

// Indexes is the length of a slice that the indexes of Lookup can be used with.
func (c *Cohort) Indexes() int { return len(c.members.slots) }

// Each calls each for every member, in the order of the file, which is read again. An id that is in the file several
// times is given several times. The id is valid during the call.
func (c *Cohort) Each(ctx context.Context, each func(id []byte) error) error {
	return readFile(ctx, c.files, c.Path, c.column, &document{}, each)
}

// Set is the cohorts that were given, in the order of their names. The nil Set is empty.
type Set struct{ cohorts []*Cohort }

// All are the cohorts.
func (s *Set) All() []*Cohort {
	if s == nil {
		return nil
	}
	return s.cohorts
}

// Get is the cohort of a name, or else of an id; nil if there is none.
func (s *Set) Get(name string) *Cohort {
	for _, nameOf := range []func(*Cohort) string{func(c *Cohort) string { return c.Name },
		func(c *Cohort) string { return c.ID }} {
		if i := slices.IndexFunc(s.All(), func(c *Cohort) bool { return nameOf(c) == name }); i >= 0 {
			return s.cohorts[i]
		}
	}
	return nil
}

// Names are the names of all cohorts.
func (s *Set) Names() (names []string) {
	for _, c := range s.All() {
		names = append(names, c.Name)
	}
	return names
}

// Options say which files to read.
type Options struct {
	In     *blob.Files       // where the files are; nil: on this machine
	Dir    string            // a directory of files, each named after its cohort; "": none
	Files  map[string]string // by name
	IDs    map[string]string // by name: the id that flags use
	Column string            // of CSV, TSV and Parquet files; "": user_id, or the only one

	MaxSize int // of a cohort; 0: DefaultMaxSize
}

// DefaultMaxSize is how many members a cohort may have: as many as Amplitude's local evaluation takes.
const DefaultMaxSize = 50_000_000

// Load reads cohorts. Its errors name the file.
func Load(ctx context.Context, o Options) (*Set, error) {
	s := &Set{}
	files := map[string]string{}
	if o.Dir != "" {
		names, err := o.In.Names(o.Dir)
		if err != nil {
			return nil, err
		}
		dir := o.Dir
		if blob.IsURL(dir) {
			dir = strings.TrimSuffix(dir, "/")
		}
		for _, file := range names {
			if strings.HasPrefix(file, ".") {
				continue
			}
			path := blob.Join(dir, file)
			format, _ := formatOf(path)
			if format == "" {
				return nil, unknownFormat(path)
			}
			name, _, _ := strings.Cut(strings.ToLower(file), "."+format)
			name = file[:len(name)]
			if files[name] != "" {
				return nil, fmt.Errorf("%s and %s are both cohort %s", files[name], path, name)
			}
			files[name] = path
		}
	}
	for name, path := range o.Files {
		if files[name] != "" {
			return nil, fmt.Errorf("%s and %s are both cohort %s", files[name], path, name)
		}
		files[name] = path
	}
	for name := range o.IDs {
		if files[name] == "" {
			return nil, pipeline.WithHint(fmt.Errorf("an id is given for cohort %q, and no file", name),
				pipeline.Suggest(name, namesOf(files)))
		}
	}
	for _, name := range namesOf(files) {
		c, err := load(ctx, name, files[name], &o)
		if err != nil {
			return nil, err
		}
		if other := s.Get(c.ID); other != nil {
			return nil, fmt.Errorf("%s and %s are both cohort %s", other.Path, c.Path, c.ID)
		}
		s.cohorts = append(s.cohorts, c)
	}
	return s, nil
}

func namesOf(files map[string]string) (names []string) {
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func load(ctx context.Context, name, path string, o *Options) (*Cohort, error) {
	most := o.MaxSize
	if most == 0 {
		most = DefaultMaxSize
	}
	c := &Cohort{Name: name, ID: name, Path: path, column: o.Column, files: o.In, members: newTable(0)}
	var doc document
	err := readFile(ctx, o.In, path, o.Column, &doc, func(id []byte) error {
		if c.members.n == 0 {
			c.members = newTable(doc.expected(most))
		}
		if c.members.insert(id); c.members.n > most {
			return fmt.Errorf("%s: cohort %s has more than %d members", path, name, most)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.SHA256, c.LastModified = doc.sha256, doc.LastModified
	switch {
	case doc.Size != nil && *doc.Size != int64(doc.ids):
		return nil, pipeline.WithHint(fmt.Errorf("%s: it has %d members, and says that they are %d", path, doc.ids, *doc.Size),
			"the file is not whole: download it again")
	case o.IDs[name] != "":
		c.ID = o.IDs[name]
	case doc.CohortID != "":
		c.ID = doc.CohortID
	}
	return c, nil
}
