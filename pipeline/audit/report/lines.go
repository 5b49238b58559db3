package report

import "github.com/rollcall-cli/rollcall/pipeline/audit/text"

// Lines, Printable, Thousands and Percent are those of package text.
type Lines = text.Printer

func Printable(s string) string    { return text.Clean(s) }
func Thousands(n int64) string     { return text.Thousands(n) }
func Percent(share float64) string { return text.Percent(share) }
