// Package cohort knows who the members of cohorts are, from files.
//
// [Load] reads the files, each once and as a stream, and makes a [Set]. A [Cohort] keeps no ids: it looks a user up in a
// table of keyed 128-bit hashes ([Cohort.Lookup]), which takes at most 30 bytes a member. [Cohort.Each] reads the ids from
// the file again. The same tables serve the evaluation of flags, carried columns, and the joins of report, check and diff.
//
// # Files
//
// The extension says the format:
//
//	.json              a cohort as Amplitude's API gives it: cohortId, lastModified, size, memberIds
//	.csv .tsv          the column [Options.Column], or user_id (also "User ID"), or the only one. A first line that is not
//	                   known to be a header is a member: to count one id too many is harmless, to lose a member is not
//	.txt               one id a line
//	.parquet           the column as of CSV
//
// Text files can also end in .gz or .zst. White space around an id is no part of it: Amplitude's CSV export writes a tab
// before each cell. Empty ids are no members.
package cohort
