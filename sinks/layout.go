package sinks

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// The columns that --include adds, in the long layout and in the wide one.
var (
	longIncludes = []string{"metadata", "evaluation_id", "value", includeCache}
	wideIncludes = []string{"payload", includeCache}
)

// includeCache is the name in Spec.Include of the columns cache and age_seconds.
const includeCache = "cache"

// Column is a column of the assignments.
type Column struct {
	pipeline.Column
	Required bool // never null
}

// Columns returns the columns of the assignments, in order, or an error if the Spec is not valid.
func (s *Spec) Columns() ([]Column, error) {
	t, err := s.newAssignmentsTable()
	if err != nil {
		return nil, err
	}
	columns := make([]Column, len(t.columns))
	for i, c := range t.columns {
		columns[i] = Column{pipeline.Column{Name: c.name, Type: c.typ, Precision: c.precision, Scale: c.scale}, c.required}
	}
	return columns, nil
}

// newAssignmentsTable returns the layout that the Spec asks for.
func (s *Spec) newAssignmentsTable() (t *table, err error) {
	if err := s.checkInclude(); err != nil {
		return nil, err
	}
	if s.Wide {
		t, err = s.newWideTable()
	} else {
		t = s.newLongTable()
	}
	if err != nil {
		return nil, err
	}
	return t, nameColumns(t.columns, len(t.columns)-len(s.Carry), s.SnakeNames)
}

func (s *Spec) checkInclude() error {
	known, layout := longIncludes, "long"
	if s.Wide {
		known, layout = wideIncludes, "wide"
	}
	for i, name := range s.Include {
		if slices.Contains(s.Include[:i], name) {
			return fmt.Errorf("include %q is duplicated", name)
		}
		if slices.Contains(known, name) {
			continue
		}
		hint := pipeline.Suggest(name, known)
		switch {
		case slices.Contains(wideIncludes, name):
			hint = "the long layout always has that column"
		case slices.Contains(longIncludes, name):
			hint = "leave it out, or use the long layout"
		}
		err := fmt.Errorf("include %q: the %s layout can include %s", name, layout, strings.Join(known, ", "))
		return pipeline.WithHint(err, hint)
	}
	return nil
}

// cacheColumns are the columns that Spec.Include names cache.
func (s *Spec) cacheColumns() []column {
	if !slices.Contains(s.Include, includeCache) {
		return nil
	}
	return []column{{name: "cache"}, {name: "age_seconds", typ: pipeline.TypeInt}}
}

// fillCache sets the cells of cacheColumns, if there are any.
func fillCache(dst []cell, c *pipeline.Cache) {
	if len(dst) > 0 {
		dst[0], dst[1] = newOptionalText(c.State), cell{num: c.Age, null: !c.Aged}
	}
}

func (s *Spec) carriedColumns() []column {
	columns := make([]column, len(s.Carry))
	for i := range s.Carry {
		columns[i] = newCarriedColumn(&s.Carry[i])
	}
	return columns
}

// Both layouts begin with these columns.
const rowNumber, userID, deviceID, userColumns = 0, 1, 2, 3

// newLongTable returns the long layout: a row for each flag of each answered user.
func (s *Spec) newLongTable() *table {
	columns := []column{
		{name: "row_number", typ: pipeline.TypeInt, required: true},
		{name: "user_id"},
		{name: "device_id"},
		{name: "flag_key", required: true, varies: true},
		{name: "outcome", required: true, varies: true},
		{name: "variant", varies: true},
		{name: "payload", typ: pipeline.TypeJSON, varies: true},
		{name: "experiment_key", varies: true},
		{name: "evaluated_at", typ: pipeline.TypeTimestamp, millis: true, required: true},
	}
	evaluatedAt := len(columns) - 1
	for _, name := range s.Include {
		if name == includeCache {
			continue
		}
		c := column{name: name, varies: true}
		if name == "metadata" {
			c.typ = pipeline.TypeJSON
		}
		columns = append(columns, c)
	}
	cache := len(columns)
	columns = append(columns, s.cacheColumns()...)
	carry := len(columns)
	columns = append(columns, s.carriedColumns()...)

	return &table{columns, func(o *pipeline.Outcome, b *block) error {
		b.rows = b.rows[:0]
		if o.Err != nil || len(o.Assignments) == 0 {
			return nil
		}
		b.shared[rowNumber].num = o.Row.Number
		b.shared[userID] = newOptionalText(o.Row.User.UserID)
		b.shared[deviceID] = newOptionalText(o.Row.User.DeviceID)
		b.shared[evaluatedAt].num = o.At.UnixMilli()
		if b.tuples == nil {
			b.tuples = newTupleCache(s.Include)
		}
		b.rows = b.tuples.appendTuples(b.rows, o.Assignments)
		fillCache(b.shared[cache:carry], &o.Cache)
		return fillCarried(b.shared[carry:], s.Carry, &o.Row)
	}}
}

// newWideTable returns the wide layout: a row for each answered user, a column for each flag.
func (s *Spec) newWideTable() (*table, error) {
	if len(s.Flags) == 0 {
		return nil, pipeline.WithHint(errors.New("the wide layout has a column for each flag, but no flags are named"),
			"name them with --flags or --flags-from")
	}
	columns := []column{
		{name: "row_number", typ: pipeline.TypeInt, required: true},
		{name: "user_id"},
		{name: "device_id"},
	}
	payloads := slices.Contains(s.Include, "payload")
	for _, flag := range s.Flags {
		columns = append(columns, column{name: flag})
		if payloads {
			columns = append(columns, column{name: flag + ".payload", typ: pipeline.TypeJSON})
		}
	}
	evaluatedAt := len(columns)
	columns = append(columns, column{name: "evaluated_at", typ: pipeline.TypeTimestamp, millis: true, required: true})
	cache := len(columns)
	columns = append(columns, s.cacheColumns()...)
	carry := len(columns)
	columns = append(columns, s.carriedColumns()...)

	return &table{columns, func(o *pipeline.Outcome, b *block) error {
		b.rows = b.rows[:0]
		if o.Err != nil {
			return nil
		}
		b.rows = append(b.rows, &b.only)
		b.shared[rowNumber].num = o.Row.Number
		b.shared[userID] = newOptionalText(o.Row.User.UserID)
		b.shared[deviceID] = newOptionalText(o.Row.User.DeviceID)
		b.shared[evaluatedAt].num = o.At.UnixMilli()
		next := userColumns
		for i, flag := range s.Flags {
			a := findAssignment(o.Assignments, flag, i)
			b.shared[next] = newOptionalText(a.Key)
			next++
			if payloads {
				b.shared[next] = newOptionalText(a.Payload)
				next++
			}
		}
		fillCache(b.shared[cache:carry], &o.Cache)
		return fillCarried(b.shared[carry:], s.Carry, &o.Row)
	}}, nil
}

// findAssignment returns the assignment of a flag, or an empty one. It looks at index guess first, where the assignment
// is if these flags were requested.
func findAssignment(assignments []pipeline.Assignment, flag string, guess int) *pipeline.Assignment {
	if guess < len(assignments) && assignments[guess].FlagKey == flag {
		return &assignments[guess]
	}
	for i := range assignments {
		if assignments[i].FlagKey == flag {
			return &assignments[i]
		}
	}
	return &pipeline.Assignment{}
}
