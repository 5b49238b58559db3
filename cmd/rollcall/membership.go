package main

import (
	"fmt"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// loadCohorts reads the cohorts that the options give, and finds those that are carried. eng is what evaluates in this
// process; nil if nothing does.
func (s *snapshotRun) loadCohorts(eng *engine.Engine) (err error) {
	if s.o.cohorts.fetches() {
		if err := s.fetchCohorts(eng); err != nil {
			return err
		}
	}
	if s.cohorts, err = s.o.cohorts.load(s.env); err != nil {
		return err
	}
	return s.o.findCarried(s.cohorts)
}

// usedCohorts returns the cohorts that the run looks users up in: those that its flags name, and carried ones.
func (s *snapshotRun) usedCohorts() (used []*cohort.Cohort) {
	var named []*cohort.Cohort // by the flags
	if s.others != nil {
		named = s.others.Members.Cohorts()
	}
	for _, c := range s.cohorts.All() {
		if slices.Contains(named, c) ||
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
	var names, cohorts []string
	for _, c := range s.memberless {
		cohorts = append(cohorts, c.Name)
		names = append(names, fmt.Sprintf("%s (%s)", c.Name, text.Count(int64(c.Size()), "member")))
	}
	if len(names) > 0 && s.in.total > 0 {
		s.con.Warn("cohorts with no member among the users: "+text.List(names, 5),
			"are their ids those of user_id? --cohorts-column names another column of the file",
			about{code: warnEmptyCohorts, subjects: cohorts})
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
func unknownCohorts(eng *engine.Engine, flags []string, m *local.Membership, has func(field string) bool) (
	unknown []engine.CohortUse) {
	for _, use := range eng.Cohorts(flags) {
		field := local.CohortField
		if use.GroupType != "" {
			field = "group_cohort_ids." + use.GroupType
		}
		if !m.Knows(use) && !has(field) {
			unknown = append(unknown, use)
		}
	}
	return unknown
}

// checkKnownCohorts decides about flags that name cohorts of which nobody knows the members. It returns the flags that
// are to be left unanswered.
func (o *cohortOptions) checkKnownCohorts(con *console, eng *engine.Engine, flags []string, m *local.Membership,
	has func(field string) bool) (skipped []string, err error) {
	unknown := unknownCohorts(eng, flags, m, has)
	if len(unknown) == 0 {
		return nil, nil
	}
	var names, cohorts []string
	column := local.CohortField // a column that would say it
	for _, use := range unknown {
		if !slices.Contains(cohorts, use.ID) {
			cohorts = append(cohorts, use.ID)
		}
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
			"--cohorts DIR or --cohort NAME=FILE gives their members",
			about{code: warnUnknownCohorts, subjects: cohorts})
		return nil, nil
	case unknownSkip:
		names := map[string]bool{}
		for _, use := range unknown {
			names[use.Flag] = true
		}
		skipped = eng.Dependents(func(flag string) bool { return names[flag] })
		con.Warn("flags that are left unanswered: "+text.List(skipped, 10),
			"they, or what they depend on, name cohorts whose members are not known",
			about{code: warnUnanswered, subjects: skipped})
		return skipped, nil
	}
	return nil, pipeline.WithHint(usageErrorf("cohorts whose members are not known: %s", text.List(names, 5)),
		"--cohorts DIR|fetch or --cohort NAME=FILE gives the members; a column "+column+" says it of each user; "+
			"--unknown-cohorts empty takes them as empty, skip leaves such flags unanswered")
}
