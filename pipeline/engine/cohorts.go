package engine

import (
	"cmp"
	"slices"
)

// CohortUse is a cohort that a flag names.
type CohortUse struct {
	Flag      string
	ID        string
	GroupType string // of a cohort of groups; "" for one of users
}

// Cohorts returns the cohorts that the named flags (nil: all) and their dependencies name, sorted by id, group type and
// flag: the values of conditions whose selector is ["context","user","cohort_ids"] or
// ["context","groups",TYPE,"cohort_ids"]. (none), which means that there are none, is not a cohort.
func (e *Engine) Cohorts(flagKeys []string) []CohortUse {
	var list []CohortUse
	for _, i := range e.Plan(flagKeys).order {
		f := &e.flags[i]
		for _, s := range f.segments {
			for _, all := range s.conditions {
				for j := range all {
					groupType, ok := e.selectors[all[j].selector].cohorts()
					for _, id := range all[j].values {
						if ok && id != "(none)" {
							list = append(list, CohortUse{f.info.Key, id, groupType})
						}
					}
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b CohortUse) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.GroupType, b.GroupType), cmp.Compare(a.Flag, b.Flag))
	})
	return slices.Compact(list)
}

// cohorts reports whether s selects cohorts, and of which type of groups; "" is those of users.
func (s *selector) cohorts() (groupType string, ok bool) {
	switch s.root {
	case rootField:
		return "", s.name == "cohort_ids"
	case rootGroup:
		return s.name, len(s.path) > 0 && s.path[0] == "cohort_ids"
	}
	return "", false
}

// Dependents returns the flags for which is returns true, and all that depend on them, sorted.
func (e *Engine) Dependents(is func(flag string) bool) []string {
	var keys []string
	marked := make([]bool, len(e.flags))
	for _, i := range e.Plan(nil).order { // dependencies come first
		f := &e.flags[i]
		marked[i] = is(f.info.Key) || slices.ContainsFunc(f.dependencies, func(d int32) bool { return marked[d] })
		if marked[i] {
			keys = append(keys, f.info.Key)
		}
	}
	slices.Sort(keys)
	return keys
}
