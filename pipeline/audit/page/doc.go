// Package page makes one HTML file of a report or a diff: what an auditor reads, prints and forwards.
//
// The file is complete: it has no script, loads nothing, and forbids both (a Content-Security-Policy in its head). In
// the order of the files:
//
//  1. [Report] (report.go, flag.go, overlap.go) turns a report.Report into a view, and [Diff] (diff.go) a diff.Report.
//     All widths, marks and accessible names are computed here, so that the templates only loop. page.go is what both
//     views share, bar.go the bars.
//  2. report.html and diff.html are the templates, and frame.html is what they share. Every string that is not made
//     in this package passes one of the template functions clean, prose and sentence, which are [text.Clean] with a
//     capital letter or no-break spaces; then html/template escapes it.
//  3. page.css is embedded in the file. Colours are variables, in a light and a dark set; a test computes the
//     contrasts.
//
// Colour alone says nothing: variants have a pattern beside their names, verdicts have a sign and a word. Nor does a
// bar: its figures are its accessible name.
package page
