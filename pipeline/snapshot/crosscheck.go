package snapshot

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// CrossCheck is how far the answers of a local run are those of the API: a random sample of its answered users was asked
// about there, too. Answers agree if they have the same variant and the same payload, or if neither has a variant.
type CrossCheck struct {
	Server string `json:"server"`
	Seed   int64  `json:"seed"` // of the sample: the same input and seed give the same users

	Asked        int64                   `json:"asked"` // users of the sample: Answered + Failed
	Answered     int64                   `json:"answered"`
	Failed       int64                   `json:"failed"` // whom the API did not answer; nothing is said of them
	FailedByKind map[pipeline.Kind]int64 `json:"failed_by_kind,omitempty"`

	// Agreed are the users of whom the answers for all flags agree, with the 95 % interval (Wilson) of their share among
	// the answered ones.
	Agreed int64   `json:"agreed"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`

	Flags []CrossCheckFlag `json:"flags"` // sorted by key

	// File holds what differed, a line for each user and flag, as [Difference]; Listed is how many lines it has.
	File   string `json:"file"`
	Listed int64  `json:"listed"`
}

// CrossCheckFlag is how far the answers for one flag agree.
type CrossCheckFlag struct {
	Flag     string  `json:"flag"`
	Compared int64   `json:"compared"` // users
	Agreed   int64   `json:"agreed"`
	Low      float64 `json:"low"` // the 95 % interval (Wilson) of the share that agrees
	High     float64 `json:"high"`

	// Explanations counts the answers that differ by what can explain them. One may have several explanations.
	Explanations map[Explanation]int64 `json:"explanations,omitempty"`
}

// Explanation is what can make the API answer otherwise.
type Explanation string

// The explanations. Semantics is found by evaluating, Configuration by comparing; the others are what the flag reads and
// the API may know better.
const (
	ByConfiguration Explanation = "configuration"     // the API has another configuration of the flag, or has it alone
	BySemantics     Explanation = "semantics"         // with the other semantics the local answer is the API's
	ByUnsupported   Explanation = "unsupported"       // the flag is left unanswered here: --skip-unsupported
	ByCohort        Explanation = "cohort"            // it reads cohorts
	BySticky        Explanation = "sticky_bucketing"  // it reads which variant the user had before
	ByIdentity      Explanation = "identity"          // it reads the Amplitude id, or an id that the user does not have
	ByStored        Explanation = "stored_properties" // it reads a property that the input does not have of the user
	ByLocation      Explanation = "location"          // it reads a place that the input does not have: from the IP address
	ByFields        Explanation = "rewritten_fields"  // it reads platform, device or language, which the API rewrites
	Unexplained     Explanation = "unexplained"       // none of these
)

// Explanations are all of them, in the order in which they are said.
var Explanations = []Explanation{ByConfiguration, BySemantics, ByUnsupported, ByCohort, BySticky, ByIdentity, ByStored,
	ByLocation, ByFields, Unexplained}

// Difference is a line of [CrossCheck.File]: an answer for a user and a flag that is not the API's.
type Difference struct {
	RowNumber    int64            `json:"row_number"`
	UserID       *string          `json:"user_id"`
	DeviceID     *string          `json:"device_id"`
	Flag         string           `json:"flag_key"`
	Local        *ComparedVariant `json:"local"` // null: no variant
	API          *ComparedVariant `json:"api"`   // likewise
	Explanations []Explanation    `json:"explanations"`
}

// ComparedVariant is a variant, as far as it is compared.
type ComparedVariant struct {
	Variant string          `json:"variant"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// String says how many users agree.
func (c *CrossCheck) String() string {
	said := fmt.Sprintf("%s of %s have the API's answers for all flags", text.Thousands(c.Agreed),
		text.Count(c.Answered, "user"))
	if c.Answered > 0 {
		said += fmt.Sprintf(": %s, 95 %% interval %s to %s", text.PercentDigits(float64(c.Agreed)/float64(c.Answered), 2),
			text.PercentDigits(c.Low, 2), text.PercentDigits(c.High, 2))
	}
	said += fmt.Sprintf(" (seed %d)", c.Seed)
	if c.Failed > 0 {
		said += fmt.Sprintf("; %s of %s not answered", text.Thousands(c.Failed), text.CountIs(c.Asked, "user", "was", "were"))
	}
	return said
}

// Differing are the flags of which answers differ.
func (c *CrossCheck) Differing() (list []CrossCheckFlag) {
	for _, f := range c.Flags {
		if f.Agreed < f.Compared {
			list = append(list, f)
		}
	}
	return list
}

// AddExplanations counts what can explain one answer that differs.
func (f *CrossCheckFlag) AddExplanations(list []Explanation) {
	if f.Explanations == nil {
		f.Explanations = map[Explanation]int64{}
	}
	for _, e := range list {
		f.Explanations[e]++
	}
}

// String says how many answers differ, and what can explain them. It does not name the flag.
func (f *CrossCheckFlag) String() string {
	n := f.Compared - f.Agreed
	said := fmt.Sprintf("%s not the API's: %s, 95 %% interval %s to %s",
		text.CountIs(n, "answer", "is", "are"), text.PercentDigits(float64(n)/float64(max(f.Compared, 1)), 2),
		text.PercentDigits(1-f.High, 2), text.PercentDigits(1-f.Low, 2))
	var parts []string
	for _, e := range Explanations {
		if n := f.Explanations[e]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", text.Thousands(n), strings.ReplaceAll(string(e), "_", " ")))
		}
	}
	if len(parts) > 0 {
		said += "; can be explained by: " + strings.Join(parts, ", ")
	}
	return said
}
