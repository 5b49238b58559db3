package exposure

// maxSampled is how many ids are remembered: with so many, a share of repeated users is known to about half a
// percentage point.
const maxSampled = 1 << 16

// repeats finds out how many users are there more than once. Tests take users for independent of each other, which two
// rows of the same user are not: they always get the same.
//
// It remembers ids by their hash, all of them as long as there are few, and then every second, every fourth, … : those
// whose hash ends in enough zeros. An id is remembered always or never, so that what is true of those is true of all.
type repeats struct {
	rows map[uint64]uint32 // by hash of an id
	mask uint64
}

func (r *repeats) add(id []byte) {
	h := uint64(14695981039346656037) // FNV-1a, and the end of MurmurHash3 so that the last bits depend on all
	for _, c := range id {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	if h ^= h >> 33; h&r.mask != 0 {
		return
	}
	if r.rows == nil {
		r.rows = map[uint64]uint32{}
	}
	if r.rows[h]++; len(r.rows) > maxSampled {
		r.mask = r.mask<<1 | 1
		for h := range r.rows {
			if h&r.mask != 0 {
				delete(r.rows, h)
			}
		}
	}
}

// share is the share of users who were there before.
func (r *repeats) share() float64 {
	var rows int64
	for _, n := range r.rows {
		rows += int64(n)
	}
	if rows == 0 {
		return 0
	}
	return float64(rows-int64(len(r.rows))) / float64(rows)
}
