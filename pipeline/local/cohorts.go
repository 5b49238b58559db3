package local

import (
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// CohortField is the field of a user that holds the ids of the user's cohorts.
const CohortField = "cohort_ids"

// Membership tells users' cohorts, as Amplitude's SDKs with cohort sync do: of those that flags name and whose members
// are known. The nil Membership knows of none. It is safe for concurrent use.
type Membership struct {
	cohorts []*cohort.Cohort // sorted by id
}

// Scratch is what [Membership.Tell] needs. The user that it returns is valid until it is called again.
type Scratch struct {
	user    pipeline.User
	context []pipeline.Member
	ids     []pipeline.Member
	key     []byte
}

// NewMembership returns the cohorts of a set that uses name; nil if there are none.
func NewMembership(set *cohort.Set, uses []engine.CohortUse) *Membership {
	return newMembership(slices.DeleteFunc(slices.Clone(set.All()), func(c *cohort.Cohort) bool {
		return !slices.ContainsFunc(uses, func(u engine.CohortUse) bool { return u.GroupType == "" && u.ID == c.ID })
	}))
}

// AllCohorts returns all cohorts of a set, for flags that may change; nil if there are none.
func AllCohorts(set *cohort.Set) *Membership { return newMembership(slices.Clone(set.All())) }

func newMembership(cohorts []*cohort.Cohort) *Membership {
	if len(cohorts) == 0 {
		return nil
	}
	slices.SortFunc(cohorts, func(a, b *cohort.Cohort) int { return strings.Compare(a.ID, b.ID) })
	return &Membership{cohorts}
}

// Cohorts returns the cohorts. The caller must not change them.
func (m *Membership) Cohorts() []*cohort.Cohort {
	if m == nil {
		return nil
	}
	return m.cohorts
}

// Knows reports whether the members of a cohort are known.
func (m *Membership) Knows(u engine.CohortUse) bool {
	return m != nil && u.GroupType == "" && m.find(u.ID) != nil
}

func (m *Membership) find(id string) *cohort.Cohort {
	if i := slices.IndexFunc(m.cohorts, func(c *cohort.Cohort) bool { return c.ID == id }); i >= 0 {
		return m.cohorts[i]
	}
	return nil
}

// Tell returns u with the cohorts that it is in. The input's own cohort_ids stay where no file says more. Only a user id
// is looked up: a user with a device id alone is in no cohort. u is not changed.
func (m *Membership) Tell(u *pipeline.User, s *Scratch) *pipeline.User {
	if m == nil || u.UserID == "" {
		return u
	}
	s.context, s.ids, s.key = s.context[:0], s.ids[:0], append(s.key[:0], u.UserID...)
	for _, c := range m.cohorts {
		if _, ok := c.Lookup(s.key); ok {
			s.ids = append(s.ids, pipeline.Member{Value: pipeline.StringValue(c.ID)})
		}
	}
	at := len(u.Context)
	for i := range u.Context {
		switch {
		case u.Context[i].Name == CohortField:
			for _, id := range u.Context[i].Value.Members {
				if m.find(id.Value.Text) == nil {
					s.ids = append(s.ids, id)
				}
			}
			continue
		case at == len(u.Context) && u.Context[i].Name > CohortField:
			at = len(s.context)
		}
		s.context = append(s.context, u.Context[i])
	}
	list := pipeline.Member{Name: CohortField, Value: pipeline.Value{Kind: pipeline.List, Members: s.ids}}
	s.context = slices.Insert(s.context, min(at, len(s.context)), list)
	s.user = pipeline.User{UserID: u.UserID, DeviceID: u.DeviceID, Context: s.context}
	return &s.user
}
