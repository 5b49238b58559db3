package diff

import (
	"context"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
)

// Options say what to compare. Only Before and After are needed.
type Options struct {
	Before, After string      // outputs of finished runs, or their manifests
	Files         *blob.Files // where they are; nil: on this machine

	// Retries are outputs of runs that asked again about the failed users of one of the two. They are read as parts of it.
	Retries []string

	// Only are cohorts whose members alone are compared, by their user ids; nil: all users are.
	Only []*cohort.Cohort

	Memory int64 // bytes that the comparison may use; 0: DefaultMemory
	Limit  *Limit

	// Each is called with every change: first those of users in AFTER, in its order, then those of users who are not. With
	// several passes, that is so in each of them. The Change is valid during the call.
	Each func(*Change) error
}

// DefaultMemory is what a comparison may use.
const DefaultMemory = 1 << 30

// Limit is how many users may have changed.
type Limit struct {
	Users   int64
	Share   float64 // of the users in both; instead of Users where IsShare is set
	IsShare bool
	Text    string // as it was asked for
}

// Outcomes of a [Change] and a [Transition].
const (
	Assigned    = "assigned"
	NotAssigned = "not_assigned"
	Absent      = "absent"    // the flag, or the user, is not in that snapshot
	NotAsked    = "not_asked" // the run did not ask for the flag: what it would have answered is not known
)

// The kinds of a [Change].
const (
	VariantChanged    = "variant"
	PayloadChanged    = "payload"        // and the same variant
	ExperimentChanged = "experiment_key" // and the same variant and payload
	UserAdded         = "user_added"
	UserRemoved       = "user_removed"
	FlagNotAsked      = "not_asked" // one run did not ask for the flag, and the user has a variant in the other: no change
)

// Change is one flag of one user that changed, or that only one of the runs asked for.
type Change struct {
	UserID, DeviceID    []byte // empty: null
	BeforeRow, AfterRow int64  // row_number; 0: the user is not in that snapshot
	Flag                string // "": the user has no flag at all
	What                string
	Before, After       Side
	Cause               Cause
}

// Side is what a user had of a flag before, or has after.
type Side struct {
	Outcome       string
	Variant       string // "": null
	Payload       string // JSON; "": null
	ExperimentKey string // "": null
}

// Compare compares two snapshots. Its errors are about what cannot be read; what is wrong with a snapshot is in the
// Report.
func Compare(ctx context.Context, o Options) (*Report, error) {
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	c, err := newComparison(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer c.reruns.unpin()
	configs, err := c.compareConfigs(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.comparePasses(ctx); err != nil {
		return nil, err
	}
	if err := o.Files.Err(); err != nil {
		return nil, err // it is not what a snapshot lacks
	}
	return c.makeReport(configs), nil
}
