package snapshot

import "errors"

// Key stands for a flag key, a variant or an experiment key: a small number that compares and counts faster than a
// text. Which text it is, [Keys] knows.
type Key int32

// NoKey is the Key of null.
const NoKey Key = 0

// Keys are all keys of the outputs that share them. The zero value is empty. It is used from one goroutine.
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

// Len is one more than the largest Key: keys are numbered from 1 on, so a slice of this length can be indexed by them.
func (k *Keys) Len() int { return max(len(k.names), 1) }

// Find is the key of a text that has one.
func (k *Keys) Find(name string) (Key, bool) {
	key, ok := k.index[name]
	return key, ok
}

// Intern is the key of a text, which it gets if it has none.
func (k *Keys) Intern(name string) (Key, error) { return k.add([]byte(name), NoKey) }

// add is the key of a text, which it gets if it has none. A right guess spares the look-up.
func (k *Keys) add(name []byte, guess Key) (Key, error) {
	if guess != NoKey && int(guess) < len(k.names) && k.names[guess] == string(name) {
		return guess, nil
	}
	if key, ok := k.index[string(name)]; ok {
		return key, nil
	}
	if len(k.names) >= maxKeys || k.bytes+len(name) > maxKeyBytes {
		return NoKey, errors.New("more different flags and variants than an output of rollcall has")
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
