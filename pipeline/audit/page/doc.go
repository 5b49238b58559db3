// Package page makes one HTML file of a report or a diff: what an auditor reads, prints and forwards.
//
// The file stands for itself: it has no script, loads nothing, and forbids both (a Content-Security-Policy in its head).
// In the order of the files:
//
//  1. [HTML] (page.go, flag.go, overlap.go) turns an exposure.Report into a view: what the template prints, as text. All
//     widths, marks and names for screen readers are made here, so that the template has no logic but loops. [Diff]
//     (diff.go) does so with a compare.Report.
//  2. page.html and diff.html are the templates, and frame.html is what they share. html/template escapes what comes
//     from the data; [clean] takes out what is no text before, such as control characters and overrides of the writing
//     direction.
//  3. page.css is embedded in it. Colours are variables, in a light and a dark set; a test computes their contrasts.
//
// Nothing is said with colour alone: variants have a pattern and stand beside their names, verdicts have a sign and a
// word. Nothing is said with a bar alone: each has its figures as its accessible name.
package page
