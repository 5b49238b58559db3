package main

import (
	"maps"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sources"
)

// dryRunResult is what a run would do, for a program.
type dryRunResult struct {
	Status  dryRunStatus   `json:"status"`
	Columns []dryRunColumn `json:"columns"`
	Users   dryRunUsers    `json:"users"`

	RaggedRows *dryRunRows  `json:"ragged_rows,omitempty"` // that lack cells at the end
	DamagedIDs []dryRunRows `json:"damaged_ids"`           // rows whose ids a tool has damaged, by damage

	Requests dryRunRequests `json:"requests"`
	Warnings []warning      `json:"warnings"`
}

// dryRunStatus tells the result from that of a run.
type dryRunStatus string

const dryRunDone dryRunStatus = "dry_run"

// dryRunColumn is a column of the input.
type dryRunColumn struct {
	Column  string `json:"column"`
	Target  string `json:"target"` // the field that it is; "": none
	Carried bool   `json:"carried"`
	LeftOut string `json:"left_out,omitempty"` // why --properties all leaves it out
}

// dryRunUsers are the users of the input.
type dryRunUsers struct {
	Read         int64                   `json:"read"`
	Failed       int64                   `json:"failed"` // those who will fail, whatever the API says
	FailedByKind map[pipeline.Kind]int64 `json:"failed_by_kind"`
	FirstFailure string                  `json:"first_failure,omitempty"`
	TooMany      bool                    `json:"too_many"` // more than --max-errors allows: a run would stop
}

// dryRunRows are rows that something is the matter with.
type dryRunRows struct {
	Damage   string `json:"damage,omitempty"`
	Rows     int64  `json:"rows"`
	FirstRow int64  `json:"first_row"`
}

// dryRunRequests are the requests that a run would send.
type dryRunRequests struct {
	Users       int64 `json:"users"`         // requests about users
	ByPost      int64 `json:"users_by_post"` // of them
	FlagConfigs bool  `json:"flag_configs"`  // flag configurations are downloaded, before and after
	CrossCheck  int64 `json:"cross_check"`   // users asked about for --cross-check

	AtLeast  *float64       `json:"at_least_s,omitempty"` // at --rate
	Estimate *float64       `json:"estimate_s,omitempty"` // at the rate that the earlier run reached
	Earlier  *dryRunEarlier `json:"earlier_run,omitempty"`
	Longest  *dryRunLongest `json:"longest_url,omitempty"`
	First    string         `json:"first,omitempty"` // the first request, as HTTP/1.1, without the key
}

// dryRunEarlier is what the run that made the current outputs found out about the API.
type dryRunEarlier struct {
	PerSecond float64 `json:"per_second"`
	Latency   float64 `json:"latency_ms_p50"`
	FoundRate float64 `json:"found_rate,omitempty"`
}

// dryRunLongest is the longest URL. Users whose URL is longer than the limit fail, unless --method sends them by POST.
type dryRunLongest struct {
	Bytes int   `json:"bytes"`
	Row   int64 `json:"row"`
	Limit int   `json:"limit"`
}

// newDryRunResult returns what is known of the input.
func (s *snapshotRun) newDryRunResult(found *findings) *dryRunResult {
	r := &dryRunResult{Status: dryRunDone, Columns: []dryRunColumn{}, DamagedIDs: []dryRunRows{},
		Warnings: s.con.Warnings(),
		Users:    dryRunUsers{Read: s.in.total, FailedByKind: map[pipeline.Kind]int64{}}}
	for _, c := range found.columns {
		r.Columns = append(r.Columns, dryRunColumn{c.Name, c.Target, c.Carried, c.LeftOut})
	}
	r.Users.Failed, _ = found.badRows()
	maps.Copy(r.Users.FailedByKind, found.bad)
	maps.DeleteFunc(r.Users.FailedByKind, func(_ pipeline.Kind, n int64) bool { return n == 0 })
	if found.first.err != nil {
		r.Users.FirstFailure = found.first.String()
	}
	r.Users.TooMany = s.o.errLine.set && r.Users.Failed > s.o.errLine.most(s.in.total)
	if found.ragged.n > 0 {
		r.RaggedRows = &dryRunRows{Rows: found.ragged.n, FirstRow: found.ragged.first}
	}
	for _, damage := range sources.Damages {
		if rows := found.ids[damage]; rows != nil {
			r.DamagedIDs = append(r.DamagedIDs, dryRunRows{damage.String(), rows.n, rows.first})
		}
	}
	return r
}

// estimate says how long the requests take; earlier may be nil.
func (r *dryRunRequests) estimate(o *snapshotOptions, earlier *snapshot.Requests) {
	if o.ownRate() > 0 {
		seconds := requestTime(max(r.Users-int64(o.burst), 0), o.ownRate()).Seconds()
		r.AtLeast = &seconds
	}
	if earlier == nil {
		return
	}
	r.Earlier = &dryRunEarlier{earlier.PerSecond, earlier.Latency.P50, earlier.FoundRate}
	reached := earlier.PerSecond
	if o.ownRate() > 0 {
		reached = min(reached, o.ownRate())
	}
	seconds := requestTime(r.Users, reached).Seconds()
	r.Estimate = &seconds
}
