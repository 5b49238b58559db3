package snapshot

import "github.com/rollcall-cli/rollcall/pipeline/audit/text"

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

// sentences are about the output, "it", without a full stop.
var sentences = map[Code]string{
	NoManifest:     "there is no manifest beside it: the run is not finished, or the file was moved alone",
	NotListed:      "the manifest does not list it",
	WrongSize:      "it has $bytes, the manifest says $want",
	WrongChecksum:  "its checksum is not the one in the manifest: it was changed after the run",
	WrongRows:      "it has $rows, the manifest says $want",
	WrongUsers:     "it has $users, the manifest says that $want were answered",
	Disordered:     "$are not sorted by row number, and may be duplicated",
	Disagreeing:    "$have rows that disagree, for example in column $column",
	RepeatedFlag:   "$have the same flag more than once",
	WrongAssigned:  "flag $flag: $are assigned, the manifest says $want",
	WrongOthers:    "flag $flag: $are not assigned, the manifest says $want",
	WrongVariant:   "flag $flag, variant $variant: $users, the manifest says $want",
	UnknownVariant: "flag $flag, variant $variant: $users, the manifest has no such variant",
	UnknownFlag:    "flag $flag: $users, the manifest has no such flag",
}

// String is the problem as a sentence.
func (p Problem) String() string {
	return text.Fill(sentences[p.Code], map[string]string{
		"bytes": text.Count(p.Got, "byte"), "rows": text.Count(p.Got, "row"), "users": text.Count(p.Got, "user"),
		"are": text.CountIs(p.Got, "user", "is", "are"), "have": text.CountIs(p.Got, "user", "has", "have"),
		"want": text.Thousands(p.Want), "flag": show(p.Flag), "variant": show(p.Variant), "column": show(p.Column),
	})
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
