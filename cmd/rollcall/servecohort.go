package main

import (
	"context"
	"errors"

	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// serveCohorts makes the cohorts of the server, by the ids that flags use. Their files are read again for each client.
func serveCohorts(env *env, set *cohort.Set) (map[string]*evalserver.Cohort, error) {
	served := map[string]*evalserver.Cohort{}
	for _, c := range set.All() {
		modified := c.LastModified
		if modified == 0 {
			info, err := env.Files.Stat(c.Path)
			if err != nil {
				return nil, err
			}
			modified = info.ModTime().UnixMilli()
		}
		served[c.ID] = &evalserver.Cohort{ID: c.ID, Size: int64(c.Size()), LastModified: modified,
			Members: func(yield func(string) error) error { return eachMember(env.Soft, c, yield) }}
	}
	return served, nil
}

var errCohortChanged = errors.New("the file of the cohort has changed since it was loaded")

// eachMember yields each member once, although the file may have it several times.
func eachMember(ctx context.Context, c *cohort.Cohort, yield func(string) error) error {
	seen, n := make([]uint64, c.Indexes()/64+1), 0
	err := c.Each(ctx, func(id []byte) error {
		i, ok := c.Lookup(id)
		if !ok {
			return errCohortChanged
		}
		if seen[i/64]>>(i%64)&1 == 1 {
			return nil
		}
		seen[i/64] |= 1 << (i % 64)
		n++
		return yield(string(id))
	})
	if err == nil && n != c.Size() {
		err = errCohortChanged
	}
	return err
}
