package main

import (
	"fmt"
	"log/slog"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// warning is something that the user should know and the run goes on with, as the manifest and --format json have it.
type warning struct {
	Code     warningCode `json:"code"`
	Message  string      `json:"message"` // for a person; it may change from version to version
	Hint     string      `json:"hint,omitempty"`
	Subjects []string    `json:"subjects,omitempty"` // columns, flags, cohorts or files: the first 100
	Count    int64       `json:"count,omitempty"`    // of users, rows or cells, where it is about some
	Times    int         `json:"times"`              // how often it was said
}

// about is what a warning says for a program.
type about struct {
	code     warningCode
	subjects []string
	count    int64
}

// warningCode says which warning it is. A code keeps its meaning from version to version.
type warningCode string

// The codes of warnings.
const (
	warnOther            warningCode = "other"             // one without a code of its own
	warnMore             warningCode = "more"              // Count warnings that are not listed
	warnNoLocation       warningCode = "no_location"       // no column says where users are
	warnHeaderIsUser     warningCode = "header_is_user"    // the header of the only column looks like an id
	warnUnseenColumns    warningCode = "unseen_columns"    // that the options name and no row has
	warnFoldedColumns    warningCode = "folded_columns"    // that were taken although their case is another
	warnLeftOutColumns   warningCode = "left_out_columns"  // by --properties all
	warnUnusedColumns    warningCode = "unused_columns"    // that are neither sent nor carried
	warnDamagedIDs       warningCode = "damaged_ids"       // Count rows
	warnRaggedRows       warningCode = "ragged_rows"       // Count rows
	warnOddFlagKeys      warningCode = "odd_flag_keys"     //
	warnNobodyGot        warningCode = "nobody_got"        // flags
	warnFlagsChanged     warningCode = "flags_changed"     // while the run went on
	warnUnasked          warningCode = "unasked_flags"     // Count assignments were dropped
	warnOtherSemantics   warningCode = "other_semantics"   // would give users another variant of these flags
	warnConfigProblems   warningCode = "config_problems"   // parts of flag configurations that have no effect
	warnUnanswered       warningCode = "unanswered_flags"  //
	warnUnknowable       warningCode = "unknowable"        // flags that the API may answer otherwise
	warnAbsentFields     warningCode = "absent_fields"     // that flags look at and no user has
	warnEmptyCohorts     warningCode = "empty_cohorts"     // without a member among the users
	warnUnknownCohorts   warningCode = "unknown_cohorts"   // that count as empty
	warnFlagMode         warningCode = "flag_mode"         // --flag-mode all found no more flags
	warnUnprovenNoTrack  warningCode = "no_track_unproven" // the server may track
	warnNewKey           warningCode = "new_key"           // --accept-new-key
	warnKeyFile          warningCode = "key_file_readable" // by others
	warnBelowRate        warningCode = "below_rate"        // --rate was not reached
	warnHalfSurrogates   warningCode = "half_surrogates"   // Count cells
	warnFormulas         warningCode = "formulas"          // Count cells
	warnCrossCheckFailed warningCode = "cross_check_failed"
	warnCrossCheckMany   warningCode = "cross_check_differs"
	warnGivenUp          warningCode = "run_given_up"    // an unfinished one
	warnUnfinished       warningCode = "unfinished_runs" // of other outputs
	warnInherited        warningCode = "inherited_options"
	warnPauses           warningCode = "api_pauses"      // the API asks for them
	warnOutage           warningCode = "api_outage"      //
	warnConnections      warningCode = "api_connections" // the server does not keep them
	warnMetrics          warningCode = "metrics"         // they cannot be written
	warnHiddenLeft       warningCode = "hidden_files_left"
	warnNotRemoved       warningCode = "not_removed" // by clean
	warnCohortsOfRequest warningCode = "cohorts_of_request"
	warnReload           warningCode = "reload_failed" // of serve
	warnUnevenShards     warningCode = "uneven_shards" // of plan
)

// maxSubjects is how many subjects a warning has.
const maxSubjects = 100

// Warn says what the user should know and the run goes on with. A hint may be "". At most one about says for a program
// what it is; without one, the code is [warnOther].
func (c *console) Warn(message, hint string, a ...about) {
	what := about{code: warnOther}
	if len(a) > 0 {
		what = a[0]
	}
	args := []any{"code", string(what.code)}
	if hint != "" {
		args = append(args, "hint", hint)
	}
	if n := min(len(what.subjects), maxSubjects); n > 0 {
		args = append(args, "subjects", what.subjects[:n])
	}
	if what.count > 0 {
		args = append(args, "count", what.count)
	}
	c.Log.Warn(message, args...)
}

// isAbout reports whether an attribute of a warning is for programs.
func isAbout(a slog.Attr) bool { return a.Key == "code" || a.Key == "subjects" || a.Key == "count" }

// newWarning is the warning of a record of the log.
func newWarning(r slog.Record) warning {
	w := warning{Code: warnOther, Message: r.Message, Times: 1}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "code":
			w.Code = warningCode(a.Value.String())
		case "hint":
			w.Hint = a.Value.String()
		case "subjects":
			w.Subjects, _ = a.Value.Any().([]string)
		case "count":
			w.Count = a.Value.Int64()
		}
		return true
	})
	return w
}

// Warnings are those that there were so far, each once.
func (c *console) Warnings() []warning {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := append([]warning{}, c.warnings...)
	if c.others > 0 {
		list = append(list, warning{Code: warnMore, Message: "and " + text.Count(int64(c.others), "more warning"),
			Count: int64(c.others), Times: 1})
	}
	return list
}

// warningTexts are warnings as the manifest has them.
func warningTexts(warnings []warning) []string {
	lines := []string{}
	for _, w := range warnings {
		line := w.Message
		if w.Times > 1 {
			line += fmt.Sprintf(" (%s times)", text.Thousands(int64(w.Times)))
		}
		lines = append(lines, line)
	}
	return lines
}
