package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// Cohort is which of the members of a list are among the users, and what they got. A user is a member by user id.
type Cohort struct {
	Name    string `json:"name"`
	File    string `json:"file"`
	SHA256  string `json:"sha256"`
	Named   bool   `json:"-"`
	Members int64  `json:"members"`

	// Found are the members who have a row, Failed those who only have an error record, and Missing the members who were
	// never seen.
	Found   int64 `json:"found"`
	Failed  int64 `json:"failed"`
	Missing int64 `json:"missing"`

	Users int64        `json:"users"` // of the report who are members; rows, where some have several
	Flags []CohortFlag `json:"flags"` // sorted by key

	members *members
}

// CohortFlag is what the members of a cohort got of a flag, and everybody beside them.
type CohortFlag struct {
	Flag      string          `json:"flag"`
	Assigned  int64           `json:"assigned"`
	Exposed   int64           `json:"exposed"`   // in a treatment
	Reach     Share           `json:"reach"`     // the members who got a variant
	Everybody float64         `json:"everybody"` // the share of all users who got one
	Variants  []CohortVariant `json:"variants"`  // sorted by key
}

// CohortVariant is which of the members got a variant.
type CohortVariant struct {
	Variant   string  `json:"variant"`
	Treatment bool    `json:"treatment"`
	Users     int64   `json:"users"`
	OfUsers   float64 `json:"of_users"`  // the share of the members among the users
	Everybody float64 `json:"everybody"` // the share of all users
}

// EachMissing calls each for every member who was never seen, once, in the order of the cohort's file, which it reads
// again. The id is valid during the call.
func (c *Cohort) EachMissing(ctx context.Context, each func(id []byte) error) error {
	given := make([]bool, c.members.Indexes())
	return c.members.Each(ctx, func(id []byte) error {
		member, ok := c.members.Lookup(id)
		if !ok {
			return fmt.Errorf("%s has changed since it was read", c.File)
		}
		if c.members.found[member] || c.members.failed[member] || given[member] {
			return nil
		}
		given[member] = true
		return each(id)
	})
}

// members are those of a cohort while the users are counted.
type members struct {
	*cohort.Cohort
	dimension     int    // in which they are "true"
	found, failed []bool // by index
}

func newMembers(c *cohort.Cohort) *members {
	return &members{Cohort: c, found: make([]bool, c.Indexes()), failed: make([]bool, c.Indexes())}
}

// column is the name by which Options.By slices the users by the cohort.
func (m *members) column() string { return "cohort." + m.Name }

var memberValues = map[bool]*snapshot.Value{
	true:  {Kind: pipeline.String, Text: []byte("true")},
	false: {Kind: pipeline.String, Text: []byte("false")},
}

// markIn marks the member in a list, if the user is one, and returns whether that is so, as a carried column has it.
func (m *members) markIn(list []bool, userID []byte) *snapshot.Value {
	index, ok := m.Lookup(userID)
	if ok {
		list[index] = true
	}
	return memberValues[ok]
}

// addCohorts adds the cohorts, when the flags are there.
func (a *analysis) addCohorts() {
	for _, m := range a.c.cohorts {
		c := Cohort{Name: m.Name, File: m.Path, SHA256: m.SHA256, Named: slices.Contains(a.o.Named, m.Name),
			Members: int64(m.Size()), Flags: []CohortFlag{}, members: m}
		for index, found := range m.found {
			if found {
				c.Found++
			} else if m.failed[index] {
				c.Failed++
			}
		}
		c.Missing = c.Members - c.Found - c.Failed
		var places []int32
		if place, ok := a.c.dimensions[m.dimension].index["true"]; ok {
			places = append(places, place)
		}
		users := a.countersOf(m.dimension, places)
		c.Users = users.users
		for _, w := range a.work {
			c.Flags = append(c.Flags, a.newCohortFlag(w, users))
		}
		a.r.Cohorts = append(a.r.Cohorts, c)
	}
	if len(a.r.Cohorts) == 0 {
		return
	}
	if !a.everybody {
		a.addNote("Users who got no variant of any flag are not in the file, so members of a cohort who were never seen may " +
			"be among them.")
	}
	for _, s := range a.all {
		if s.unread {
			a.addNote("The error records of %s were not read, so members of a cohort who failed count as never seen.", s.Path)
		}
	}
}

// newCohortFlag is what users got of a flag.
func (a *analysis) newCohortFlag(w *flagWork, users *counters) CohortFlag {
	var counts Counts
	part := w.totalsOf(users)
	a.fillCounts(&counts, w, &part)
	f := CohortFlag{Flag: w.out.Key, Assigned: counts.Assigned, Reach: counts.Reach, Everybody: w.out.Reach.Share,
		Variants: []CohortVariant{}}
	for i, v := range counts.Variants {
		f.Variants = append(f.Variants, CohortVariant{Variant: v.Key, Treatment: v.Treatment, Users: v.Users,
			OfUsers: v.OfUsers, Everybody: w.out.Variants[i].OfUsers})
		if v.Treatment {
			f.Exposed += v.Users
		}
	}
	return f
}

// FoundText says how many of the members are among the users.
func (c *Cohort) FoundText() string {
	said := fmt.Sprintf("%s of %s found among the users", text.Thousands(c.Found),
		text.CountIs(c.Members, "member", "is", "are"))
	if c.Failed > 0 {
		said += fmt.Sprintf(", %s failed", text.Thousands(c.Failed))
	}
	if c.Missing > 0 {
		said += fmt.Sprintf(", %s never seen", text.Thousands(c.Missing))
	}
	return said
}

// maxExposed is how many flags [Cohort.ExposedText] names.
const maxExposed = 3

// ExposedText says which flags expose members: those with the most first.
func (c *Cohort) ExposedText(unit stats.Unit) string {
	if c.Found == 0 {
		return "no member is found, so nothing is known of them"
	}
	flags := slices.DeleteFunc(slices.Clone(c.Flags), func(f CohortFlag) bool { return f.Exposed == 0 })
	if len(flags) == 0 {
		return "none of them is in a treatment of any flag"
	}
	slices.SortStableFunc(flags, func(a, b CohortFlag) int { return cmp.Compare(b.Exposed, a.Exposed) })
	var parts []string
	for _, f := range flags[:min(len(flags), maxExposed)] {
		parts = append(parts, fmt.Sprintf("%s in a treatment of %s", unit.Count(f.Exposed), f.Flag))
	}
	if more := int64(len(flags) - maxExposed); more > 0 {
		parts = append(parts, "some in "+text.Count(more, "more flag"))
	}
	return strings.Join(parts, ", ")
}

// Rows are the table of what the members got, its head first: who got any variant of a flag, and who got which.
func (c *Cohort) Rows(unit stats.Unit) [][]string {
	rows := [][]string{{"flag", "variant", unit.Noun(2), "of members", "of everybody"}}
	for _, f := range c.Flags {
		rows = append(rows, []string{f.Flag, "any", text.Thousands(f.Assigned), text.Percent(f.Reach.Share),
			text.Percent(f.Everybody)})
		shown, _ := stats.MostFrequent(len(f.Variants), maxVariants, func(i int) int64 { return f.Variants[i].Users })
		for _, i := range shown {
			v := &f.Variants[i]
			rows = append(rows, []string{"", v.Variant, text.Thousands(v.Users), text.Percent(v.OfUsers),
				text.Percent(v.Everybody)})
		}
		if more := int64(len(f.Variants) - len(shown)); more > 0 {
			rows = append(rows, []string{"", "and " + text.Count(more, "more variant"), "", "", ""})
		}
	}
	return rows
}
