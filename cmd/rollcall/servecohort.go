package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// serveCohorts makes the cohorts of the server, by the ids that flags use. Their files are read again for each client.
func serveCohorts(ctx context.Context, set *cohort.Set) (map[string]*evalserver.Cohort, error) {
	served := map[string]*evalserver.Cohort{}
	for _, c := range set.All() {
		modified := c.LastModified
		if modified == 0 {
			info, err := os.Stat(c.Path)
			if err != nil {
				return nil, err
			}
			modified = info.ModTime().UnixMilli()
		}
		served[c.ID] = &evalserver.Cohort{ID: c.ID, Size: int64(c.Size()), LastModified: modified,
			Members: func(yield func(string) error) error { return eachMember(ctx, c, yield) }}
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

// addCohorts sets in which of the cohorts a user is. What the request says of other cohorts stays. As with Amplitude's
// clients, users who have only a device id are in none.
func addCohorts(set *cohort.Set, u *pipeline.User) {
	if u.UserID == "" {
		return
	}
	const field = "cohort_ids"
	i, sent := slices.BinarySearchFunc(u.Context, field, func(m pipeline.Member, name string) int {
		return strings.Compare(m.Name, name)
	})
	var ids []pipeline.Member
	if sent {
		v := u.Context[i].Value
		if v.Kind == pipeline.String {
			v, _ = pipeline.ParseJSON(v.Text) // what is not a list names no cohort
		}
		if v.Kind == pipeline.List {
			ids = slices.DeleteFunc(v.Members, func(m pipeline.Member) bool {
				return slices.ContainsFunc(set.All(), func(c *cohort.Cohort) bool { return c.ID == m.Value.Text })
			})
		}
	}
	for _, c := range set.All() {
		if _, ok := c.Lookup([]byte(u.UserID)); ok {
			ids = append(ids, pipeline.Member{Value: pipeline.StringValue(c.ID)})
		}
	}
	list := pipeline.Member{Name: field, Value: pipeline.Value{Kind: pipeline.List, Members: ids}}
	if sent {
		u.Context[i] = list
	} else {
		u.Context = slices.Insert(u.Context, i, list)
	}
}
