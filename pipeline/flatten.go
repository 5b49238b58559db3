package pipeline

import (
	"slices"
	"strings"
)

// Flatten turns the variants of one answer into assignment rows and appends them to dst.
//
// With flags, there is exactly one row for each of them, in their order, assigned or not; variants of other
// flags are dropped, and unasked says how many. Without, there is one row for each variant, sorted by flag key.
func Flatten(dst []Assignment, variants []Variant, flags []string) (rows []Assignment, unasked int) {
	if len(flags) == 0 {
		start := len(dst)
		for _, v := range variants {
			dst = append(dst, Assignment{Variant: v, Assigned: true})
		}
		slices.SortFunc(dst[start:], func(a, b Assignment) int { return strings.Compare(a.FlagKey, b.FlagKey) })
		return dst, 0
	}
	found := 0
	for _, flag := range flags {
		i := slices.IndexFunc(variants, func(v Variant) bool { return v.FlagKey == flag })
		if i < 0 {
			dst = append(dst, Assignment{Variant: Variant{FlagKey: flag}})
			continue
		}
		found++
		dst = append(dst, Assignment{Variant: variants[i], Assigned: true})
	}
	return dst, len(variants) - found
}
