package snapshot

import "errors"

// Key stands for a flag key, a variant or an experiment key: a small number that is faster to compare and to count than
// a text. [Keys] has the texts.
type Key int32

// NoKey is the Key of null.
const NoKey Key = 0

// Keys holds the keys of the outputs that share it. The zero value is empty. It is used from one goroutine.
type Keys struct {
	index map[string]Key
	names []string // by Key
	bytes int
}

const (
	maxKeys     = 1 << 18
	maxKeyBytes = 64 << 20
)

// Name is the text of a key; "" of NoKey.
func (k *Keys) Name(key Key) string {
	if int(key) < len(k.names) {
		return k.names[key]
	}
	return ""
}

// Len is one more than the largest Key, so a slice of this length can be indexed by keys.
func (k *Keys) Len() int { return max(len(k.names), 1) }

// Find is the key of a text, if it has one.
func (k *Keys) Find(name string) (Key, bool) {
	key, ok := k.index[name]
	return key, ok
}

// Intern is the key of a text, which it makes if there is none.
func (k *Keys) Intern(name string) (Key, error) { return k.intern([]byte(name), NoKey) }

// intern is [Keys.Intern]. A right guess spares the look-up.
func (k *Keys) intern(name []byte, guess Key) (Key, error) {
	if guess != NoKey && int(guess) < len(k.names) && k.names[guess] == string(name) {
		return guess, nil
	}
	if key, ok := k.index[string(name)]; ok {
		return key, nil
	}
	if len(k.names) >= maxKeys || k.bytes+len(name) > maxKeyBytes {
		return NoKey, errors.New("it has more different flags and variants than rollcall writes")
	}
	if k.index == nil {
		k.index, k.names = map[string]Key{}, []string{""}
	}
	key := Key(len(k.names))
	k.names = append(k.names, string(name))
	k.index[k.names[key]] = key
	k.bytes += len(name)
	return key, nil
}
