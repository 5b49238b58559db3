package snapshot

import (
	"fmt"
	"maps"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Completes says which run's failed users a run asked about again. It is an earlier run than the one of the manifest.
type Completes struct {
	RunID        string                  `json:"run_id"`
	FailedByKind map[pipeline.Kind]int64 `json:"failed_by_kind"` // how these users had failed there
}

// Users is how many users were asked about again.
func (c *Completes) Users() int64 {
	var n int64
	for _, users := range c.FailedByKind {
		n += users
	}
	return n
}

// CountOnce returns the users of each of runs such that their sum counts nobody twice: a user who failed in one run,
// and was asked about again by another one of them, counts in the latter only. A run may be nil; it has no users.
//
// It is an error if two of the runs asked again about the failed users of a third, because nothing tells whether they
// are the same users; and if a run completes one that is not among several runs, because nothing tells whether a third
// is the one between them.
func CountOnce(runs []*Manifest) ([]Users, error) {
	counts := make([]Users, len(runs))
	at := map[string]int{}
	for i, m := range runs {
		if m == nil {
			continue
		}
		counts[i] = m.Users
		counts[i].FailedByKind = maps.Clone(m.Users.FailedByKind)
		at[m.RunID] = i
	}
	retries := map[string]string{}
	for _, m := range runs {
		if m == nil || m.Completes == nil {
			continue
		}
		failed, listed := at[m.Completes.RunID]
		if !listed {
			if len(runs) == 1 {
				continue
			}
			return nil, pipeline.WithHint(fmt.Errorf("run %s asked again about the failed users of run %s, which is not named",
				m.RunID, m.Completes.RunID), "name an output of that run, too, or the output of run "+m.RunID+" alone")
		}
		if other, twice := retries[m.Completes.RunID]; twice {
			return nil, pipeline.WithHint(fmt.Errorf("runs %s and %s both asked again about the failed users of run %s", other,
				m.RunID,
				m.Completes.RunID), "name one of the two")
		}
		retries[m.Completes.RunID] = m.RunID
		count := &counts[failed]
		for kind, users := range m.Completes.FailedByKind {
			if users > count.FailedByKind[kind] {
				return nil, fmt.Errorf("run %s asked again about %d users who failed with %s, but in run %s only %d did", m.RunID,
					users, kind,
					m.Completes.RunID, count.FailedByKind[kind])
			}
			if count.FailedByKind[kind] -= users; count.FailedByKind[kind] == 0 {
				delete(count.FailedByKind, kind)
			}
			count.Read -= users
			count.Failed -= users
		}
	}
	return counts, nil
}
