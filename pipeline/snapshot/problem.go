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

// The codes of what [Verify] alone finds. Of the others it has some, too.
const (
	Unreadable        Code = "unreadable"          // a file cannot be read, or what it holds
	Inconsistent      Code = "inconsistent"        // the manifest does not agree with itself
	UnlistedFile      Code = "unlisted_file"       // in the directory of an output, which readers would read
	MissingFile       Code = "missing_file"        //
	NotRegular        Code = "not_regular"         // not a regular file
	WrongColumns      Code = "wrong_columns"       // not those that the manifest has, or in another order
	WrongType         Code = "wrong_type"          // of a column
	WrongFormat       Code = "wrong_format"        // delimiter, byte order mark, or who created it
	OtherRun          Code = "other_run"           // the file, or a row, is of another run
	BadRowNumber      Code = "bad_row_number"      //
	RepeatedRow       Code = "repeated_row"        //
	MissingRow        Code = "missing_row"         // one output has it, and another does not
	Differing         Code = "differing"           // two outputs, or two readers of one, have different values
	MissingFlag       Code = "missing_flag"        // that was asked for
	UnaskedFlag       Code = "unasked_flag"        //
	BadOutcome        Code = "bad_outcome"         // what a row says of a flag contradicts itself
	HalfSurrogate     Code = "half_surrogate"      // for which other readers refuse the file
	UnknownKind       Code = "unknown_kind"        // of failure
	WrongFailures     Code = "wrong_failures"      // by kind
	AnsweredAndFailed Code = "answered_and_failed" // a user is in the outputs and in the error records
	RetriedTwice      Code = "retried_twice"       // the failed users of a run
	NotFailed         Code = "not_failed"          // who was asked about again
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
