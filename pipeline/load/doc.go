// Package load writes the SQL statements that load an output of a run into a warehouse or a database.
//
// Start with [Statements]. What differs between the databases is one table of a few words for each ([Databases] has
// its names) and one template: the statements are the same in all of them where the databases are.
//
//   - The table is created if it is not there, with a type and a comment for each column of the output, as the manifest
//     lists them, and a column run_id before them.
//   - The run is loaded as a whole: rows of the same run_id are deleted first, in the same transaction where there are
//     transactions. So the statements can be run again, and a table holds many runs.
//   - Nothing is guessed from the data: an id such as 007 stays a text.
//
// Names and texts in the statements come from the output's columns, the manifest and the command line. They are quoted
// for the database; what no database takes in a name (a control character) is an error.
package load
