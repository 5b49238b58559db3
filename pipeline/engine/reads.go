package engine

import (
	"slices"
	"strings"
)

// Unknowable is a flag whose result here may differ from the API's, which knows more about the user than the input
// contains, and why. An input may contain the user's cohorts, Amplitude id or sticky variants (see [Engine.Reads]).
type Unknowable struct {
	Flag string

	Cohorts     bool // it reads the cohorts of the user, or of a group
	AmplitudeID bool // it buckets by Amplitude's own id, or reads it
	Sticky      bool // it reads which variant the user had before
	Remote      bool // it is configured for remote evaluation
}

// Unknowable returns those of the named flags (nil: all) that are unknowable, sorted by key. A reason that applies to a
// flag applies to those that depend on it.
//
// Sticky bucketing is a segment called "sticky-bucketing" that reads the user property "[Experiment] <flag>",
// as in the flags of Amplitude's tests (experiment-js-client, experiment-core's evaluation-integration.test.ts).
func (e *Engine) Unknowable(flagKeys []string) []Unknowable {
	var list []Unknowable
	p := e.Plan(flagKeys)
	all := make([]Unknowable, len(e.flags))
	for _, i := range p.order { // dependencies come first
		f, u := &e.flags[i], &all[i]
		u.Remote = f.info.EvaluationMode == "remote"
		f.eachSelector(func(i int32) {
			switch s := &e.selectors[i]; s.root {
			case rootField:
				u.Cohorts = u.Cohorts || s.name == "cohort_ids"
				u.AmplitudeID = u.AmplitudeID || s.name == "amplitude_id"
			case rootProperty:
				u.Sticky = u.Sticky || strings.HasPrefix(s.name, "[Experiment] ")
			case rootGroup:
				u.Cohorts = u.Cohorts || len(s.path) > 0 && s.path[0] == "cohort_ids"
			}
		})
		for _, d := range f.dependencies {
			u.Cohorts = u.Cohorts || all[d].Cohorts
			u.AmplitudeID = u.AmplitudeID || all[d].AmplitudeID
			u.Sticky = u.Sticky || all[d].Sticky
			u.Remote = u.Remote || all[d].Remote
		}
	}
	for _, asked := range p.asked {
		if u := all[asked]; u != (Unknowable{}) {
			u.Flag = e.flags[asked].info.Key
			list = append(list, u)
		}
	}
	return list
}

// Reads returns which parts of a user the named flags (nil: all) and their dependencies read, sorted, as the names of
// input columns: user_id, country, user_properties.plan, groups.org, group_properties.org.tier,
// cohort_ids, group_cohort_ids.org. The group's name, by which its properties are looked up, is included.
func (e *Engine) Reads(flagKeys []string) []string {
	var list []string
	for _, i := range e.Plan(flagKeys).order {
		e.flags[i].eachSelector(func(i int32) { list = append(list, e.selectors[i].columns()...) })
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// columns returns the input columns that hold what s looks for.
func (s *selector) columns() []string {
	switch s.root {
	case rootUserID:
		return []string{"user_id"}
	case rootDeviceID:
		return []string{"device_id"}
	case rootField:
		return []string{s.name}
	case rootProperty:
		return []string{"user_properties." + s.name}
	case rootGroup:
		columns := []string{"groups." + s.name}
		switch {
		case len(s.path) > 1 && s.path[0] == "group_properties":
			columns = append(columns, "group_properties."+s.name+"."+s.path[1])
		case len(s.path) > 0 && s.path[0] == "cohort_ids":
			columns = append(columns, "group_cohort_ids."+s.name)
		}
		return columns
	}
	return nil
}

// eachSelector calls yield for each selector of the flag, some of them more than once.
func (f *flag) eachSelector(yield func(selector int32)) {
	for i := range f.segments {
		s := &f.segments[i]
		for _, list := range s.conditions {
			for j := range list {
				yield(list[j].selector)
			}
		}
		if s.bucket != nil {
			yield(s.bucket.selector)
		}
	}
}
