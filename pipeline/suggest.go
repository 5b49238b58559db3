package pipeline

import (
	"fmt"
	"strings"
)

// maxSuggested bounds the work on names that come from outside.
const maxSuggested = 200

// Suggest is a hint for a name that is not known: the nearest of those that are, whatever the case, or "" when
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

// editDistance is Levenshtein's, by bytes.
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
