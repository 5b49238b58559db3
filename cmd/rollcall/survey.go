package main

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
)

// survey is what preflight finds out about the users of an input, besides what is wrong with them. Its inspectRow is
// safe for concurrent use, and the order of the rows does not matter.
type survey struct {
	absent     missing[string]         // fields that no user has
	memberless missing[*cohort.Cohort] // cohorts that no user is a member of
	posts      atomic.Int64            // users who go by POST
	partitions *partitionSurvey        // nil: none are counted
	isPosted   func(*pipeline.User) bool
}

// newSurvey looks for these fields and cohorts. isPosted may be nil.
func newSurvey(reads []string, cohorts []*cohort.Cohort, isPosted func(*pipeline.User) bool) *survey {
	v := &survey{isPosted: isPosted}
	v.absent.left.Store(&reads)
	v.memberless.left.Store(&cohorts)
	return v
}

func (v *survey) inspectRow(row *pipeline.Row) {
	if row.Err != nil {
		return
	}
	if v.partitions != nil {
		v.partitions.inspectRow(row)
	}
	v.absent.remove(func(field string) bool { return hasField(&row.User, field) })
	if row.User.UserID != "" {
		v.memberless.remove(func(c *cohort.Cohort) bool { return hasMember(c, row.User.UserID) })
	}
	if v.isPosted != nil && v.isPosted(&row.User) {
		v.posts.Add(1)
	}
}

// missing is what is looked for and was not found so far. It is safe for concurrent use.
type missing[T any] struct {
	left atomic.Pointer[[]T] // not nil; what it points to does not change
	mu   sync.Mutex          // for the one who changes left
}

// remove removes what isFound reports.
func (m *missing[T]) remove(isFound func(T) bool) {
	if !slices.ContainsFunc(*m.left.Load(), isFound) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(*m.left.Load()), isFound)
	m.left.Store(&left)
}
