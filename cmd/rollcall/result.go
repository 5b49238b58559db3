package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// runResult is how a run ended, for a program: --format json prints it, and --summary writes it.
type runResult struct {
	Status   runStatus    `json:"status"`
	ExitCode int          `json:"exit_code"`
	Error    *resultError `json:"error,omitempty"` // why it failed, stopped or was interrupted

	RunID      string    `json:"run_id"` // "": it failed before a run began
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Seconds    float64   `json:"duration_s"` // from the one to the other
	Resumes    int       `json:"resumes"`

	Users       snapshot.Users  `json:"users"`
	Assignments int64           `json:"assignments"`
	Requests    resultRequests  `json:"requests"`
	Flags       []resultFlag    `json:"flags"`   // of a run that has published
	Outputs     []snapshot.File `json:"outputs"` // published, with rows; the last one is the error records

	// Manifest is the record of the run, which has more. "": it has none, because nothing was published or because
	// standard output was the only output.
	Manifest string `json:"manifest"`

	Warnings []warning `json:"warnings"`
}

// runStatus says how a run ended.
type runStatus string

// The statuses. A run that was not published has published nothing.
const (
	runPublished   runStatus = "published"
	runFailed      runStatus = "failed"
	runStopped     runStatus = "stopped"     // the same command goes on from there
	runInterrupted runStatus = "interrupted" // by a signal; the same command goes on from there
)

// resultError is an error and what to do about it.
type resultError struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// resultRequests counts the requests of a run, as in the manifest.
type resultRequests struct {
	Sent      int64   `json:"sent"`
	Retries   int64   `json:"retries"`
	Pauses    int64   `json:"pauses"`
	PerSecond float64 `json:"per_second"`
}

// resultFlag is who got what of a flag.
type resultFlag struct {
	Flag     string          `json:"flag"`
	Variants []resultVariant `json:"variants"`
}

// resultVariant is who got a variant.
type resultVariant struct {
	Variant *string `json:"variant"` // null: not assigned
	Users   int64   `json:"users"`
	Share   float64 `json:"share"` // of the answered users
}

// newRunResult returns the result of a run that has published, or is about to.
func (s *snapshotRun) newRunResult(m *snapshot.Manifest) *runResult {
	r := &runResult{
		Status: runPublished, ExitCode: exitCode(s.judgeFailures(m)), RunID: m.RunID, StartedAt: m.StartedAt,
		FinishedAt: m.FinishedAt, Resumes: m.Resumes, Users: m.Users, Assignments: m.Assignments,
		Requests: newResultRequests(&m.Requests), Flags: []resultFlag{}, Outputs: m.Outputs, Manifest: s.o.manifestFile(),
		Warnings: s.con.Warnings(),
	}
	if r.Users.FailedByKind == nil {
		r.Users.FailedByKind = map[pipeline.Kind]int64{}
	}
	said := warningTexts(r.Warnings)
	for _, text := range m.Warnings { // those of an earlier process
		if !slices.Contains(said, text) {
			r.Warnings = append(r.Warnings, warning{Code: warnOther, Message: text, Times: 1})
		}
	}
	for _, f := range m.Flags {
		one := resultFlag{Flag: f.Flag}
		for _, v := range f.Variants {
			one.Variants = append(one.Variants, resultVariant{&v.Variant, v.Users, share(v.Users, m.Users.Answered) / 100})
		}
		one.Variants = append(one.Variants, resultVariant{nil, f.NotAssigned, share(f.NotAssigned, m.Users.Answered) / 100})
		r.Flags = append(r.Flags, one)
	}
	return r
}

func newResultRequests(r *snapshot.Requests) resultRequests {
	return resultRequests{Sent: r.Sent, Retries: r.Retries, Pauses: r.Pauses, PerSecond: r.PerSecond}
}

// newFailedResult returns the result of a run that has published nothing. s is nil where no run began.
func (s *snapshotRun) newFailedResult(con *console, began time.Time, code int) *runResult {
	r := &runResult{Status: runFailed, ExitCode: code, StartedAt: began.UTC(), FinishedAt: time.Now().UTC(),
		Users: snapshot.Users{FailedByKind: map[pipeline.Kind]int64{}}, Flags: []resultFlag{}, Outputs: []snapshot.File{},
		Warnings: con.Warnings()}
	switch {
	case code == exitStopped:
		r.Status = runStopped
	case code >= exitInterrupted:
		r.Status = runInterrupted
	}
	if s != nil {
		var requests snapshot.Requests
		r.RunID, r.StartedAt, r.Resumes = s.runID, s.started.UTC(), s.resumes
		r.Users, requests = s.countSoFar()
		r.Requests = newResultRequests(&requests)
		if s.tally != nil {
			r.Assignments = s.tally.Assignments
		}
	}
	return r
}

// marshal returns the result as JSON.
func (r *runResult) marshal() ([]byte, error) {
	r.Seconds = float64(r.FinishedAt.Sub(r.StartedAt).Milliseconds()) / 1000
	return marshalResult(r)
}

// marshalResult returns what a command prints with --format json.
func marshalResult(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return b.Bytes(), nil
}

// printJSON prints what a command has found, as --format json asks for.
func printJSON(w io.Writer, v any) error {
	data, err := marshalResult(v)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// printResult prints how a run ended: err and code are those of the process. A dry run that went well has printed
// something else. s is nil where no run began.
func (s *snapshotRun) printResult(w io.Writer, con *console, began time.Time, err error, code int) error {
	if s != nil && s.o.dryRun && err == nil {
		return nil
	}
	var r *runResult
	if s != nil && s.published != nil {
		r = s.newRunResult(s.published)
		r.ExitCode = code
	} else {
		r = s.newFailedResult(con, began, code)
	}
	if err != nil && code != exitSomeFailed {
		r.Error = &resultError{err.Error(), pipeline.Hint(err)}
	}
	data, err := r.marshal()
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
