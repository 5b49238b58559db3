package diff

import (
	"crypto/sha256"
	"encoding/binary"
)

// identity stands for a pair of ids.
type identity struct{ hi, lo uint64 }

// hasher makes identities. It keeps its buffer.
type hasher struct{ buf []byte }

// identify is the identity of a pair; an empty id is null.
func (h *hasher) identify(user, device []byte) identity {
	h.buf = binary.LittleEndian.AppendUint32(h.buf[:0], uint32(len(user))) // so that a|bc is not ab|c
	h.buf = append(h.buf, user...)
	h.buf = append(h.buf, device...)
	return truncate(sha256.Sum256(h.buf))
}

func truncate(sum [sha256.Size]byte) identity {
	return identity{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}
}

// repeated is the identity of the n-th user, from 2 on, who has the same pair.
func (id identity) repeated(n uint32) identity {
	var b [20]byte
	binary.BigEndian.PutUint64(b[:], id.hi)
	binary.BigEndian.PutUint64(b[8:], id.lo)
	binary.BigEndian.PutUint32(b[16:], n)
	return truncate(sha256.Sum256(b[:]))
}

// user is a user of BEFORE. It has 32 bytes.
type user struct {
	id     identity
	row    int64
	before uint32 // users of BEFORE with this pair; counted at the first of them
	after  uint32 // users of AFTER with this pair; of the others 1 where one was matched. Its top bit: changed
}

// matches is how many users of AFTER were matched with this one, or with one of the same pair.
func (u *user) matches() uint32 { return u.after &^ changedBit }

func (u *user) changed() bool { return u.after&changedBit != 0 }

const (
	userBytes = 32
	chunkBits = 10
	chunkSize = 1 << chunkBits

	changedBit = 1 << 31
)

// users are the users of one pass by identity: an open-addressed index into chunks that are never copied.
type users struct {
	chunks [][]user
	n      int
	index  []uint32 // number of the user plus 1; 0 is free
	bytes  int64
}

func newUsers(expected int64) *users {
	size := 1 << 10
	for int64(size)*3/4 < min(expected, 1<<30) {
		size *= 2
	}
	return &users{index: make([]uint32, size), bytes: int64(size) * 4}
}

func (u *users) user(i int) *user { return &u.chunks[i>>chunkBits][i&(chunkSize-1)] }

// findUser is the number of the user with that identity, or -1.
func (u *users) findUser(id identity) int {
	mask := len(u.index) - 1
	for slot := int(id.lo) & mask; ; slot = (slot + 1) & mask {
		i := u.index[slot]
		if i == 0 {
			return -1
		}
		if u.user(int(i-1)).id == id {
			return int(i - 1)
		}
	}
}

// insertUser adds a user who is not there yet, and returns their number.
func (u *users) insertUser(id identity, row int64) int {
	if u.n+1 > len(u.index)/4*3 {
		u.grow()
	}
	if u.n>>chunkBits == len(u.chunks) {
		u.chunks = append(u.chunks, make([]user, chunkSize))
		u.bytes += chunkSize * userBytes
	}
	i := u.n
	u.n++
	*u.user(i) = user{id: id, row: row, before: 1}
	u.setIndex(id, i)
	return i
}

func (u *users) setIndex(id identity, i int) {
	mask := len(u.index) - 1
	slot := int(id.lo) & mask
	for u.index[slot] != 0 {
		slot = (slot + 1) & mask
	}
	u.index[slot] = uint32(i + 1)
}

func (u *users) grow() {
	u.index = make([]uint32, 2*len(u.index))
	u.bytes += int64(len(u.index)) * 2
	for i := range u.n {
		u.setIndex(u.user(i).id, i)
	}
}

// codes are a small number for each user, most often below 256: a plane for each byte, whose chunks are there where
// they are not all zero.
type codes struct{ planes [][][]byte }

func (c *codes) get(i int) (code uint32) {
	chunk, at := i>>chunkBits, i&(chunkSize-1)
	for p, plane := range c.planes {
		if chunk < len(plane) && plane[chunk] != nil {
			code |= uint32(plane[chunk][at]) << (8 * p)
		}
	}
	return code
}

// set sets a code, and returns how many bytes that took.
func (c *codes) set(i int, code uint32) (bytes int64) {
	chunk, at := i>>chunkBits, i&(chunkSize-1)
	for p := 0; code != 0 || p < len(c.planes); p, code = p+1, code>>8 {
		if p == len(c.planes) {
			c.planes = append(c.planes, nil)
		}
		plane := c.planes[p]
		if chunk >= len(plane) || plane[chunk] == nil {
			if code&0xff == 0 {
				continue
			}
			for len(plane) <= chunk {
				plane = append(plane, nil)
			}
			plane[chunk] = make([]byte, chunkSize)
			c.planes[p] = plane
			bytes += chunkSize + 24 // and the slice's header
		}
		plane[chunk][at] = byte(code)
	}
	return bytes
}
