package cohort

import (
	"hash/maphash"
	"math/bits"
)

// table is a set of ids: an open-addressed table of their hashes. The seeds are random, so nobody can choose ids whose
// hashes are the same.
type table struct {
	seeds [2]maphash.Seed
	slots [][2]uint64 // the zero value is free
	n     int
}

func newTable(expected int) *table {
	return &table{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		slots: make([][2]uint64, max(64, expected+expected/2))}
}

func (t *table) hash(id []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(t.seeds[0], id), maphash.Bytes(t.seeds[1], id) | 1} // never zero
}

// lookup is find for an id. The second hash is only needed where the first one is found.
func (t *table) lookup(id []byte) (slot int, ok bool) {
	h := maphash.Bytes(t.seeds[0], id)
	high, _ := bits.Mul64(h, uint64(len(t.slots)))
	for slot = int(high); t.slots[slot][1] != 0; {
		if t.slots[slot][0] == h && t.slots[slot][1] == maphash.Bytes(t.seeds[1], id)|1 {
			return slot, true
		}
		if slot++; slot == len(t.slots) {
			slot = 0
		}
	}
	return slot, false
}

// find is the slot that holds a hash, or the free one where it belongs.
func (t *table) find(h [2]uint64) (slot int, ok bool) {
	high, _ := bits.Mul64(h[0], uint64(len(t.slots)))
	for slot = int(high); ; {
		switch t.slots[slot] {
		case h:
			return slot, true
		case [2]uint64{}:
			return slot, false
		}
		if slot++; slot == len(t.slots) {
			slot = 0
		}
	}
}

// insert adds an id; it reports whether it is a new one.
func (t *table) insert(id []byte) bool {
	h := t.hash(id)
	slot, ok := t.find(h)
	if ok {
		return false
	}
	t.slots[slot] = h
	if t.n++; t.n > len(t.slots)/5*4 {
		old := t.slots
		t.slots = make([][2]uint64, len(old)/2*3)
		for _, h := range old {
			if h != [2]uint64{} {
				slot, _ := t.find(h)
				t.slots[slot] = h
			}
		}
	}
	return true
}
