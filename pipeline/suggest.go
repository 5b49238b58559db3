package pipeline

import (
	"fmt"
	"strings"
)

// maxSuggested is the longest name that is compared: names that come from outside can be of any length.
const maxSuggested = 200

// Suggest returns a hint for an unknown name: the nearest of the known ones, ignoring case, or "" if
// none is near.
func Suggest(name string, known []string) string {
	best, bestDistance := "", len(name)/2+1
	for _, k := range known {
		if len(name) > maxSuggested || len(k) > maxSuggested {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance returns the Levenshtein distance of a and b, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
