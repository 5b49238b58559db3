package engine

import "math/bits"

// The hash of the reference is MurmurHash3_x86_32 with seed 0 of salt + "/" + value. It is written out here, and
// not taken from spaolacci/murmur3 (which the tests compare it with): that package's Sum32 keeps a pointer in
// a uintptr, which the race detector's pointer checks reject, and it cannot continue from a hashed salt.
const (
	murmurC1 = 0xcc9e2d51
	murmurC2 = 0x1b873593
)

// saltHash is the hash of salt + "/" so far: its whole blocks, and the bytes that do not fill one.
type saltHash struct {
	hash   uint32
	length uint32 // of the prefix, in bytes
	tail   uint32 // up to three bytes, little endian
	shift  uint8  // how many bits of tail are used: 0, 8, 16 or 24
}

func newSaltHash(salt string) saltHash {
	var h saltHash
	prefix := salt + "/"
	for len(prefix) >= 4 {
		h.hash = murmurMix(h.hash, uint32(prefix[0])|uint32(prefix[1])<<8|uint32(prefix[2])<<16|uint32(prefix[3])<<24)
		prefix = prefix[4:]
		h.length += 4
	}
	for i := range len(prefix) {
		h.tail |= uint32(prefix[i]) << h.shift
		h.shift += 8
		h.length++
	}
	return h
}

// hashValue returns the hash of salt + "/" + value.
func (h saltHash) hashValue(value string) uint32 {
	hash, length := h.hash, h.length+uint32(len(value))
	// The prefix's tail shifts every block of the value: a block is its bytes so far, and the value's next
	// four above them. The masks tell the compiler that the shifts are small.
	acc, shift, i := uint64(h.tail), h.shift, 0
	for ; i+8 <= len(value); i += 8 {
		v := value[i : i+8]
		next := uint64(v[0]) | uint64(v[1])<<8 | uint64(v[2])<<16 | uint64(v[3])<<24 | uint64(v[4])<<32 | uint64(v[5])<<40 | uint64(v[6])<<48 | uint64(v[7])<<56
		acc |= next << (shift & 31)
		hash = murmurMix(hash, uint32(acc))
		hash = murmurMix(hash, uint32(acc>>32))
		acc = next >> 32 >> ((32 - shift) & 63)
	}
	if i+4 <= len(value) {
		v := value[i : i+4]
		acc |= uint64(uint32(v[0])|uint32(v[1])<<8|uint32(v[2])<<16|uint32(v[3])<<24) << (shift & 31)
		hash = murmurMix(hash, uint32(acc))
		acc >>= 32
		i += 4
	}
	for ; i < len(value); i++ {
		acc |= uint64(value[i]) << (shift & 63)
		shift += 8
	}
	if shift >= 32 {
		hash = murmurMix(hash, uint32(acc))
		acc >>= 32
		shift -= 32
	}
	if shift > 0 {
		hash ^= murmurBlock(uint32(acc))
	}
	hash ^= length
	hash ^= hash >> 16
	hash *= 0x85ebca6b
	hash ^= hash >> 13
	hash *= 0xc2b2ae35
	return hash ^ hash>>16
}

func murmurBlock(k uint32) uint32 { return bits.RotateLeft32(k*murmurC1, 15) * murmurC2 }

func murmurMix(hash, k uint32) uint32 {
	return bits.RotateLeft32(hash^murmurBlock(k), 13)*5 + 0xe6546b64
}
