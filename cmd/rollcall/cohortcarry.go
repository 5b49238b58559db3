package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
)

// cohortPrefix begins the names of carried columns that say who is in a cohort.
const cohortPrefix = "cohort."

// carriedCohort is a carried column of true and false: whether the user is in a cohort. It is null for a user without a
// user id, who cannot be looked up.
type carriedCohort struct {
	at     int // among the carried columns
	name   string
	cohort *cohort.Cohort // once it is loaded
}

// splitCarry takes the cohorts out of --carry.
func (o *snapshotOptions) splitCarry() (columns []string) {
	o.carriedCohorts = nil
	for i, name := range o.carry {
		if rest, ok := strings.CutPrefix(name, cohortPrefix); ok && o.cohorts.given() {
			o.carriedCohorts = append(o.carriedCohorts, carriedCohort{at: i, name: rest})
			continue
		}
		columns = append(columns, name)
	}
	return columns
}

// findCarried finds the cohorts that are carried.
func (o *snapshotOptions) findCarried(set *cohort.Set) error {
	for i := range o.carriedCohorts {
		c := &o.carriedCohorts[i]
		if c.cohort = set.Get(c.name); c.cohort == nil {
			return pipeline.WithHint(usageErrorf("--carry %s%s: there is no such cohort", cohortPrefix, c.name),
				pipeline.Suggest(c.name, set.Names()))
		}
	}
	return nil
}

// carryColumns adds the cohorts to the carried columns of the input.
func (o *snapshotOptions) carryColumns(columns []pipeline.Column) []pipeline.Column {
	columns = slices.Clone(columns)
	for _, c := range o.carriedCohorts {
		columns = slices.Insert(columns, c.at, pipeline.Column{Name: cohortPrefix + c.name, Type: pipeline.TypeBool})
	}
	return columns
}

// carryCohorts is src with the values of the carried cohorts.
func (o *snapshotOptions) carryCohorts(src pipeline.Source) pipeline.Source {
	if len(o.carriedCohorts) == 0 {
		return src
	}
	return &cohortSource{Source: src, carried: o.carriedCohorts}
}

type cohortSource struct {
	pipeline.Source
	carried []carriedCohort
	key     []byte
}

// Next adds whether the user is in each of the cohorts.
func (s *cohortSource) Next(row *pipeline.Row) error {
	if err := s.Source.Next(row); err != nil {
		return err
	}
	s.key = append(s.key[:0], row.User.UserID...)
	for _, c := range s.carried {
		var v pipeline.Value
		if len(s.key) > 0 {
			_, in := c.cohort.Lookup(s.key)
			v = pipeline.BoolValue(in)
		}
		if c.at > len(row.Carry) {
			return fmt.Errorf("internal error: row %d has %d carried values", row.Number, len(row.Carry))
		}
		row.Carry = slices.Insert(row.Carry, c.at, v)
	}
	return nil
}
