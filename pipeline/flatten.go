package pipeline

import (
	"slices"
	"strings"
)

// flatten turns the variants of one answer into assignment rows and appends them to dst.
//
// With flags, there is exactly one row for each of them, in their order, assigned or not. Variants of other flags are
// dropped, and their flags appended to others. Without flags, there is one row for each variant, sorted by flag key.
func flatten(dst []Assignment, others []string, variants []Variant, flags []string) (rows []Assignment,
	unasked []string) {
	if len(flags) == 0 {
		start := len(dst)
		for _, v := range variants {
			dst = append(dst, Assignment{Variant: v, Assigned: true})
		}
		slices.SortFunc(dst[start:], func(a, b Assignment) int { return strings.Compare(a.FlagKey, b.FlagKey) })
		return dst, others
	}
	var few [64]bool
	taken := append(few[:0], make([]bool, len(variants))...)
	found, next := 0, 0 // answers mostly come in the order asked: each search starts where the last one ended
	for _, flag := range flags {
		is := func(v Variant) bool { return v.FlagKey == flag }
		i := slices.IndexFunc(variants[next:], is) + next
		if i < next {
			i = slices.IndexFunc(variants[:next], is)
		}
		if i < 0 {
			dst = append(dst, Assignment{Variant: Variant{FlagKey: flag}})
			continue
		}
		found, next, taken[i] = found+1, i+1, true
		dst = append(dst, Assignment{Variant: variants[i], Assigned: true})
	}
	if found == len(variants) {
		return dst, others
	}
	for i := range variants {
		if !taken[i] {
			others = append(others, variants[i].FlagKey)
		}
	}
	return dst, others
}
