package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// cohortField is the field of a user that holds the ids of the user's cohorts.
const cohortField = "cohort_ids"

// membership tells users' cohorts, as Amplitude's SDKs with cohort sync do: of those that flags name and whose members
// are known. The nil membership knows of none.
type membership struct {
	cohorts []*cohort.Cohort // sorted by id
}

// membershipScratch is what [membership.tell] needs. The user that it returns is valid until it is called again.
type membershipScratch struct {
	user    pipeline.User
	context []pipeline.Member
	ids     []pipeline.Member
	key     []byte
}

// newMembership returns the cohorts of a set that uses name; nil if there are none.
func newMembership(set *cohort.Set, uses []engine.CohortUse) *membership {
	var m membership
	for _, c := range set.All() {
		if slices.ContainsFunc(uses, func(u engine.CohortUse) bool { return u.GroupType == "" && u.ID == c.ID }) {
			m.cohorts = append(m.cohorts, c)
		}
	}
	if len(m.cohorts) == 0 {
		return nil
	}
	slices.SortFunc(m.cohorts, func(a, b *cohort.Cohort) int { return strings.Compare(a.ID, b.ID) })
	return &m
}

// knows reports whether the members of a cohort are known.
func (m *membership) knows(u engine.CohortUse) bool {
	return m != nil && u.GroupType == "" && m.find(u.ID) != nil
}

func (m *membership) find(id string) *cohort.Cohort {
	if i := slices.IndexFunc(m.cohorts, func(c *cohort.Cohort) bool { return c.ID == id }); i >= 0 {
		return m.cohorts[i]
	}
	return nil
}

// tell returns u with the cohorts that it is in. The input's own cohort_ids stay where no file says more. Only a user id
// is looked up: a user with a device id alone is in no cohort. u is not changed.
func (m *membership) tell(u *pipeline.User, s *membershipScratch) *pipeline.User {
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
		case u.Context[i].Name == cohortField:
			for _, id := range u.Context[i].Value.Members {
				if m.find(id.Value.Text) == nil {
					s.ids = append(s.ids, id)
				}
			}
			continue
		case at == len(u.Context) && u.Context[i].Name > cohortField:
			at = len(s.context)
		}
		s.context = append(s.context, u.Context[i])
	}
	list := pipeline.Member{Name: cohortField, Value: pipeline.Value{Kind: pipeline.List, Members: s.ids}}
	s.context = slices.Insert(s.context, min(at, len(s.context)), list)
	s.user = pipeline.User{UserID: u.UserID, DeviceID: u.DeviceID, Context: s.context}
	return &s.user
}

// loadCohorts reads the cohorts that the options give, and finds those that are carried. eng is what evaluates in this
// process; nil if nothing does.
func (s *snapshotRun) loadCohorts(eng *engine.Engine) (err error) {
	if s.o.cohorts.fetches() {
		if err := s.fetchCohorts(eng); err != nil {
			return err
		}
	}
	if s.cohorts, err = s.o.cohorts.load(s.env.Soft); err != nil {
		return err
	}
	return s.o.findCarried(s.cohorts)
}

// usedCohorts returns the cohorts that the run looks users up in: those that its flags name, and carried ones.
func (s *snapshotRun) usedCohorts() (used []*cohort.Cohort) {
	var named *membership // by the flags
	if s.local != nil {
		named = s.local.members
	} else if s.others != nil {
		named = s.others.members
	}
	for _, c := range s.cohorts.All() {
		if named != nil && slices.Contains(named.cohorts, c) ||
			slices.ContainsFunc(s.o.carriedCohorts, func(carried carriedCohort) bool { return carried.cohort == c }) {
			used = append(used, c)
		}
	}
	return used
}

// hasMember reports whether the user with that id is a member of a cohort.
func hasMember(c *cohort.Cohort, userID string) bool {
	_, ok := c.Lookup([]byte(userID))
	return ok
}

// warnOfCohorts warns of cohorts without a member among the users: the ids of the two may be of different kinds.
func (s *snapshotRun) warnOfCohorts() {
	var names []string
	for _, c := range s.memberless {
		names = append(names, fmt.Sprintf("%s (%s)", c.Name, text.Count(int64(c.Size()), "member")))
	}
	if len(names) > 0 && s.in.total > 0 {
		s.con.Warn("cohorts with no member among the users: "+text.List(names, 5),
			"are their ids those of user_id? --cohorts-column names another column of the file")
	}
}

// describeCohorts is what the manifest says of the cohorts that the run used.
func (s *snapshotRun) describeCohorts() (list []snapshot.Cohort) {
	for _, c := range s.usedCohorts() {
		list = append(list, describeCohort(c))
	}
	return list
}

func describeCohort(c *cohort.Cohort) snapshot.Cohort {
	one := snapshot.Cohort{ID: c.ID, Size: int64(c.Size()), LastModified: c.LastModified, SHA256: c.SHA256}
	if c.Name != c.ID {
		one.Name = c.Name
	}
	return one
}

// The values of --unknown-cohorts.
const (
	unknownFail  = "fail"
	unknownEmpty = "empty"
	unknownSkip  = "skip"
)

// unknownCohorts returns the cohorts that flags name and whose members nobody knows: neither m, nor the input, which has
// the fields that has reports.
func unknownCohorts(eng *engine.Engine, flags []string, m *membership, has func(field string) bool) (
	unknown []engine.CohortUse) {
	for _, use := range eng.Cohorts(flags) {
		field := cohortField
		if use.GroupType != "" {
			field = "group_cohort_ids." + use.GroupType
		}
		if !m.knows(use) && !has(field) {
			unknown = append(unknown, use)
		}
	}
	return unknown
}

// checkKnownCohorts decides about flags that name cohorts of which nobody knows the members. It returns the flags that
// are to be left unanswered.
func (o *cohortOptions) checkKnownCohorts(con *console, eng *engine.Engine, flags []string, m *membership,
	has func(field string) bool) (skipped []string, err error) {
	unknown := unknownCohorts(eng, flags, m, has)
	if len(unknown) == 0 {
		return nil, nil
	}
	var names []string
	column := cohortField // a column that would say it
	for _, use := range unknown {
		name := "flag " + use.Flag + " names cohort " + use.ID
		if use.GroupType != "" {
			name += " of groups of type " + use.GroupType
			column = "group_cohort_ids." + use.GroupType
		}
		names = append(names, name)
	}
	switch o.unknown {
	case unknownEmpty:
		con.Warn("cohorts whose members are not known count as empty: "+text.List(names, 5),
			"--cohorts DIR or --cohort NAME=FILE gives their members")
		return nil, nil
	case unknownSkip:
		names := map[string]bool{}
		for _, use := range unknown {
			names[use.Flag] = true
		}
		skipped = eng.Dependents(func(flag string) bool { return names[flag] })
		con.Warn("flags that are left unanswered: "+text.List(skipped, 10),
			"they, or what they depend on, name cohorts whose members are not known")
		return skipped, nil
	}
	return nil, pipeline.WithHint(usageErrorf("cohorts whose members are not known: %s", text.List(names, 5)),
		"--cohorts DIR|fetch or --cohort NAME=FILE gives the members; a column "+column+" says it of each user; "+
			"--unknown-cohorts empty takes them as empty, skip leaves such flags unanswered")
}
