package snapshot

import (
	"fmt"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// Problem is something about an output that is not as a finished run wrote it, or not as its manifest says.
type Problem struct {
	Code    Code
	Flag    string // of the codes WrongAssigned to UnknownFlag
	Variant string // of WrongVariant and UnknownVariant
	Column  string // of Disagreeing: an example
	Got     int64  // how many there are: users, rows or bytes, as the code says
	Want    int64  // how many there are according to the manifest
}

// Code says which problem it is.
type Code string

// The codes of problems.
const (
	NoManifest     Code = "no_manifest"
	NotListed      Code = "not_listed"      // in the manifest
	WrongSize      Code = "wrong_size"      // bytes
	WrongChecksum  Code = "wrong_checksum"  //
	WrongRows      Code = "wrong_rows"      // rows
	WrongUsers     Code = "wrong_users"     // users of the output; Want were answered
	Disordered     Code = "disordered"      // users who do not come after the user before them
	Disagreeing    Code = "disagreeing"     // users whose rows differ in a column in which they should not
	RepeatedFlag   Code = "repeated_flag"   // users who have a flag more than once
	WrongAssigned  Code = "wrong_assigned"  // users with a variant of the flag
	WrongOthers    Code = "wrong_others"    // users without one
	WrongVariant   Code = "wrong_variant"   // users with the variant
	UnknownVariant Code = "unknown_variant" // users with a variant that the manifest does not have
	UnknownFlag    Code = "unknown_flag"    // users with a flag that the manifest does not have
)

// String is the problem as a sentence about the output, "it", without a full stop.
func (p Problem) String() string {
	users := text.Count(p.Got, "user")
	want := text.Thousands(p.Want)
	switch p.Code {
	case NoManifest:
		return "there is no manifest beside it: the run is not finished, or the file was moved alone"
	case NotListed:
		return "the manifest does not list it"
	case WrongSize:
		return fmt.Sprintf("it has %s, the manifest says %s", text.Count(p.Got, "byte"), want)
	case WrongChecksum:
		return "its checksum is not the one in the manifest: it was changed after the run"
	case WrongRows:
		return fmt.Sprintf("it has %s, the manifest says %s", text.Count(p.Got, "row"), want)
	case WrongUsers:
		return fmt.Sprintf("it has %s, the manifest says that %s were answered", users, want)
	case Disordered:
		return text.CountIs(p.Got, "user", "is", "are") + " not sorted by row number, and may be duplicated"
	case Disagreeing:
		return fmt.Sprintf("%s rows that disagree, for example in column %s", text.CountIs(p.Got, "user", "has", "have"),
			show(p.Column))
	case RepeatedFlag:
		return text.CountIs(p.Got, "user", "has", "have") + " the same flag more than once"
	case WrongAssigned:
		return fmt.Sprintf("flag %s: %s assigned, the manifest says %s", show(p.Flag),
			text.CountIs(p.Got, "user", "is", "are"), want)
	case WrongOthers:
		return fmt.Sprintf("flag %s: %s not assigned, the manifest says %s", show(p.Flag),
			text.CountIs(p.Got, "user", "is", "are"), want)
	case WrongVariant:
		return fmt.Sprintf("flag %s, variant %s: %s, the manifest says %s", show(p.Flag), show(p.Variant), users, want)
	case UnknownVariant:
		return fmt.Sprintf("flag %s, variant %s: %s, the manifest has no such variant", show(p.Flag), show(p.Variant), users)
	case UnknownFlag:
		return fmt.Sprintf("flag %s: %s, the manifest has no such flag", show(p.Flag), users)
	}
	return string(p.Code)
}

// Describe makes a sentence of each problem. Of those that are about flags it takes the first three, and says how many
// more there are.
func Describe(problems []Problem) []string {
	const most = 3
	texts, ofFlags := []string{}, 0
	for _, p := range problems {
		if p.Flag != "" {
			if ofFlags++; ofFlags > most {
				continue
			}
		}
		texts = append(texts, p.String())
	}
	if more := int64(ofFlags - most); more > 0 {
		texts = append(texts, text.Count(more, "more difference")+" from the counts in the manifest")
	}
	return texts
}
