package text

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Thousands is a count with separators: 1,234,567.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Count is a count with its noun: "1 user", "1,200 users".
func Count(n int64, noun string) string { return Plural(n, noun, noun+"s") }

// Plural is a count with a singular or a plural: "1 retry", "2 retries".
func Plural(n int64, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return Thousands(n) + " " + plural
}

// CountIs is a count with its noun and the verb that follows it, which is singular or plural: "1 user is", "2 users
// are".
func CountIs(n int64, noun, singular, plural string) string {
	return Plural(n, noun+" "+singular, noun+"s "+plural)
}

// Percent is a share as a percentage: "12.3 %", with more digits where the share is very near to none or all, and never
// 0 or 100 unless it is exactly that.
func Percent(share float64) string { return PercentDigits(share, 1) }

// PercentDigits is [Percent] with at least that many digits after the point.
func PercentDigits(share float64, digits int) string {
	p := 100 * share
	for ; digits <= 4; digits++ {
		s := strconv.FormatFloat(p, 'f', digits, 64)
		near := strings.Trim(s, "0.") == "" && share > 0 || (s == "100" || strings.HasPrefix(s, "100.")) && share < 1
		if !near {
			return s + " %"
		}
	}
	if share < 0.5 {
		return "< 0.0001 %"
	}
	return "> 99.9999 %"
}

// Minute is a time in UTC, to the minute: "2026-01-31 08:15".
func Minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// PValue is a p-value: "p = 0.042", "p < 1e-99".
func PValue(p float64) string {
	switch {
	case p < 1e-99:
		return "p < 1e-99"
	case p < 0.001:
		return "p = " + strconv.FormatFloat(p, 'e', 0, 64)
	case p < 0.01:
		return "p = " + strconv.FormatFloat(p, 'f', 4, 64)
	case p > 0.995:
		return "p = 1"
	}
	return "p = " + strconv.FormatFloat(p, 'f', 2, 64)
}

// unbroken matches what [Percent] and [PValue] print, and an effect size.
var unbroken = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\d %|\b[pw] [=<] \d(\.\d+)?(e-\d+)?|\d points`)
})

// Unbroken returns a clean sentence with no-break spaces inside numbers, and a minus sign in "p = 4e-07". It is for
// pages: [Clean] would escape the spaces.
func Unbroken(s string) string {
	return unbroken().ReplaceAllStringFunc(s, func(m string) string {
		return strings.NewReplacer(" ", "\u00a0", "e-", "e\u2212").Replace(m)
	})
}
