package engine

import (
	"strings"
	"testing"

	"github.com/spaolacci/murmur3"
)

// The published vectors of MurmurHash3_x86_32 with seed 0, and a second implementation.
func TestSaltHash(t *testing.T) {
	// "/" is part of every key here, so the vectors are of strings that have one.
	second := func(s string) uint32 {
		h := murmur3.New32()
		h.Write([]byte(s))
		return h.Sum32()
	}
	if got, want := second("Hello, world!"), uint32(0xc0363e43); got != want {
		t.Fatalf("the second implementation: murmur3(%q) = %#x, want %#x", "Hello, world!", got, want)
	}
	const text = "añ😀bcdefghijklmnopqrstuvwxyz0123456789"
	for salt := range 20 {
		for value := range len(text) {
			salt, value := strings.Repeat("s", salt), text[:value]
			if got, want := newSaltHash(salt).hashValue(value), second(salt+"/"+value); got != want {
				t.Errorf("hash of %q = %#x, want %#x", salt+"/"+value, got, want)
			}
		}
	}
}
