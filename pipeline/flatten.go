package pipeline

import (
	"slices"
	"strings"
)

// FlagIndex is the flags that a run asks for, in their order. It is safe for concurrent use; nil is all flags that are
// answered.
type FlagIndex struct {
	flags     []string
	positions map[string]int
}

// IndexFlags returns the index of these flags, each of which is there once; nil if there are none.
func IndexFlags(flags []string) *FlagIndex {
	if len(flags) == 0 {
		return nil
	}
	x := &FlagIndex{flags: flags, positions: make(map[string]int, len(flags))}
	for i, flag := range flags {
		x.positions[flag] = i
	}
	return x
}

// nearFlags is how many flags are compared one by one before the map is asked: answers mostly come in the order asked,
// without the flags that the user does not get.
const nearFlags = 8

// find returns the position of a flag, or -1. It looks near the guess first.
func (x *FlagIndex) find(flag string, guess int) int {
	for i := guess; i < len(x.flags) && i < guess+nearFlags; i++ {
		if x.flags[i] == flag {
			return i
		}
	}
	if i, ok := x.positions[flag]; ok {
		return i
	}
	return -1
}

// flatten turns the variants of one answer into assignment rows and appends them to dst.
//
// With flags, there is exactly one row for each of them, in their order, assigned or not. Variants of other flags are
// dropped, and their flags appended to others; so are all but the first variant of a flag. Without flags, there is one
// row for each variant, sorted by flag key.
func flatten(dst []Assignment, others []string, variants []Variant, asked *FlagIndex) (rows []Assignment,
	unasked []string) {
	start := len(dst)
	if asked == nil {
		for _, v := range variants {
			dst = append(dst, Assignment{Variant: v, Assigned: true})
		}
		slices.SortFunc(dst[start:], func(a, b Assignment) int { return strings.Compare(a.FlagKey, b.FlagKey) })
		return dst, others
	}
	next := 0 // where the next variant's flag is, if the answer is in the order asked
	for i := range variants {
		at := asked.find(variants[i].FlagKey, next)
		if at > len(dst)-start {
			dst = asked.appendEmpty(dst, start, at)
		}
		switch rows := dst[start:]; {
		case at == len(rows):
			dst = append(dst, Assignment{Variant: variants[i], Assigned: true})
		case at < 0 || rows[at].Assigned:
			others = append(others, variants[i].FlagKey)
			continue
		default:
			rows[at].Variant, rows[at].Assigned = variants[i], true
		}
		next = at + 1
	}
	return asked.appendEmpty(dst, start, len(asked.flags)), others
}

// appendEmpty appends rows of flags that are not assigned, until dst has end rows from start on.
func (x *FlagIndex) appendEmpty(dst []Assignment, start, end int) []Assignment {
	for i := len(dst) - start; i < end; i++ {
		dst = append(dst, Assignment{Variant: Variant{FlagKey: x.flags[i]}})
	}
	return dst
}
