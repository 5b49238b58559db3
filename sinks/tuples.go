package sinks

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Bounds of a tupleCache.
const (
	tupleSlots = 4 << 10 // a power of two
	tupleProbe = 8       // slots that a tuple may be in
	maxTuples  = tupleSlots / 2
	tupleBytes = 1 << 20  // text of all kept tuples
	tupleText  = 16 << 10 // text of one tuple

	// The sizes of tupleCache.recent.
	recentPlaces = 32
	recentKeys   = 16

	// After this many assignments without a slot the cache is cleared, because its tuples are out of use.
	tupleMisses = 64 << 10
)

// tupleCache makes the tuples of assignments, and returns the same tuple for equal assignments. It only saves work:
// what is not in the cache is made again, so the output does not depend on the hash.
type tupleCache struct {
	include                       []string
	metadata, evaluationID, value bool // included
	seed                          maphash.Seed
	slots                         []keptTuple
	count, bytes, misses          int
	scratch                       []*tuple // for the rows of a block that are not kept

	// recent holds the slots that were found last, by the assignment's place among those of its user and a few bits of
	// its variant's key. It saves the hash.
	recent [recentPlaces * recentKeys]*keptTuple
}

type keptTuple struct {
	hash       uint64
	assignment pipeline.Assignment
	tuple      *tuple // nil: the slot is free
}

func newTupleCache(include []string) *tupleCache {
	return &tupleCache{
		include:      include,
		metadata:     slices.Contains(include, "metadata"),
		evaluationID: slices.Contains(include, "evaluation_id"),
		value:        slices.Contains(include, "value"),
		seed:         maphash.MakeSeed(),
		slots:        make([]keptTuple, tupleSlots),
	}
}

// appendTuples appends the tuples of the assignments of one block.
func (ts *tupleCache) appendTuples(dst []*tuple, assignments []pipeline.Assignment) []*tuple {
	if ts.misses > tupleMisses {
		clear(ts.slots)
		ts.count, ts.bytes, ts.misses = 0, 0, 0
	}
	spare := 0
	for i := range assignments {
		a := &assignments[i]
		key := len(a.Key)
		if key > 0 {
			key += int(a.Key[0]) + int(a.Key[key-1])
		}
		recent := &ts.recent[i%recentPlaces*recentKeys+key%recentKeys]
		slot := *recent
		if slot == nil || slot.tuple == nil || !ts.equalCells(&slot.assignment, a) {
			if slot = ts.findSlot(a); slot != nil {
				*recent = slot
			}
		}
		var t *tuple
		if slot != nil {
			t = slot.tuple
		} else {
			ts.misses++
			if spare == len(ts.scratch) {
				ts.scratch = append(ts.scratch, &tuple{})
			}
			t = ts.scratch[spare]
			spare++
			t.cells, t.alone = ts.appendCells(t.cells[:0], a), ts.isAlone(a)
		}
		dst = append(dst, t)
	}
	return dst
}

// findSlot returns the slot of an assignment's tuple, which it fills if need be; nil if there is none.
func (ts *tupleCache) findSlot(a *pipeline.Assignment) *keptTuple {
	if ts.isAlone(a) {
		return nil
	}
	hash := maphash.String(ts.seed, a.FlagKey) + maphash.String(ts.seed, a.Key)*3 +
		uint64(len(a.Payload))*0x9e3779b97f4a7c15
	for i := range uint64(tupleProbe) {
		slot := &ts.slots[(hash+i)%tupleSlots]
		if slot.tuple == nil {
			return ts.storeTuple(slot, hash, a)
		}
		if slot.hash == hash && ts.equalCells(&slot.assignment, a) {
			return slot
		}
	}
	return nil
}

// isAlone reports whether the assignment's tuple has an evaluation id: each answer has its own.
func (ts *tupleCache) isAlone(a *pipeline.Assignment) bool {
	return ts.evaluationID && a.EvaluationID != ""
}

func (ts *tupleCache) equalCells(a, b *pipeline.Assignment) bool {
	return a.FlagKey == b.FlagKey && a.Key == b.Key && a.Assigned == b.Assigned && a.Payload == b.Payload &&
		a.ExperimentKey == b.ExperimentKey && (!ts.metadata || a.Metadata == b.Metadata) &&
		(!ts.evaluationID || a.EvaluationID == b.EvaluationID) && (!ts.value || a.Value == b.Value)
}

// storeTuple puts the assignment into a free slot. It copies the strings, because they are parts of an answer, which
// would stay in memory as a whole.
func (ts *tupleCache) storeTuple(slot *keptTuple, hash uint64, a *pipeline.Assignment) *keptTuple {
	own := pipeline.Assignment{Assigned: a.Assigned, Variant: pipeline.Variant{
		FlagKey: a.FlagKey, Key: a.Key, Payload: a.Payload, ExperimentKey: a.ExperimentKey,
	}}
	if ts.metadata {
		own.Metadata = a.Metadata
	}
	if ts.value {
		own.Value = a.Value
	}
	texts := []*string{&own.FlagKey, &own.Key, &own.Payload, &own.ExperimentKey, &own.Metadata, &own.Value}
	size := 0
	for _, s := range texts {
		size += len(*s)
	}
	if size > tupleText || ts.bytes+size > tupleBytes || ts.count == maxTuples {
		return nil
	}
	for _, s := range texts {
		*s = strings.Clone(*s)
	}
	ts.bytes += size
	ts.count++
	*slot = keptTuple{hash, own, &tuple{kept: true, cells: ts.appendCells(nil, &own)}}
	return slot
}

// appendCells appends the cells of the columns that vary.
func (ts *tupleCache) appendCells(dst []cell, a *pipeline.Assignment) []cell {
	outcome := cell{text: "not_assigned"}
	if a.Assigned {
		outcome.text = "assigned"
	}
	dst = append(dst, newText(a.FlagKey), outcome, newOptionalText(a.Key), newOptionalText(a.Payload),
		newOptionalText(a.ExperimentKey))
	for _, name := range ts.include {
		switch name {
		case "metadata":
			dst = append(dst, newOptionalText(a.Metadata))
		case "evaluation_id":
			dst = append(dst, newOptionalText(a.EvaluationID))
		case "value":
			dst = append(dst, newOptionalText(a.Value))
		}
	}
	return dst
}
