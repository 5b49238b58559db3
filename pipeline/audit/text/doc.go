// Package text turns names and numbers into what a person reads: on a terminal, in Markdown, and on the pages. Report,
// check, diff, verify and the command all print through it, so that a number, a table and a hostile name look the same
// everywhere.
//
// What is printed: a name that came from outside (a column, a flag key, a variant, an id, a file, an error's text)
// passes [Clean] before it reaches a terminal or a page, and [Markdown] or [Code] before it reaches Markdown. Whole
// texts of several lines pass [CleanLines] where they leave the process, so that a name which somebody forgot to clean
// can break a line at most, and never move a cursor.
//
//	Clean, CleanLines, Markdown, Code    what is safe to print
//	Thousands, Percent, PValue, Count    numbers; Unbroken for pages
//	List, Shorten, Capitalize, Fill      names, sentences
//	Printer, Align                       lines, wrapped text and tables of a width
package text
