package diff

import (
	"crypto/sha256"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// state is what a user has of a flag, as far as it counts. The zero state is nothing: not assigned, or absent.
type state struct {
	variant    uint32 // 1 + the name's number; 0: no variant
	experiment uint32 // the name's number, see numberOf
	payload    uint32 // the payload's number; 0: none
}

// unknownPayload is one that BEFORE does not have.
const unknownPayload = ^uint32(0)

const (
	emptyKey    = 1       // the key of "", which is the first
	unknownName = 1 << 31 // the number of a name that is in neither snapshot
)

// numberOf is the number of a name: its key, and 0 for null and for "", which not all formats tell apart.
func numberOf(key snapshot.Key) uint32 {
	if key == emptyKey {
		return 0
	}
	return uint32(key)
}

// findNumber is the number of a name.
func (c *comparison) findNumber(name string) uint32 {
	if key, ok := c.keys.Find(name); ok {
		return numberOf(key)
	}
	return unknownName
}

// variantName is the name of a state's variant.
func (c *comparison) variantName(v uint32) string {
	if v == 0 {
		return ""
	}
	return c.keys.Name(snapshot.Key(v - 1))
}

// payloads are the payloads of the users of BEFORE in one pass.
type payloads struct {
	index map[identity]uint32
	texts []string // by number; only with keep
	keep  bool
	bytes int64
}

const payloadCost = 64 // bytes of an entry of the index, about

// numberOf is the number of a payload in its canonical form; without add it may be unknownPayload.
func (p *payloads) numberOf(canonical []byte, add bool) uint32 {
	if len(canonical) == 0 {
		return 0
	}
	id := truncate(sha256.Sum256(canonical))
	n, ok := p.index[id]
	switch {
	case ok:
		return n
	case !add:
		return unknownPayload
	}
	n = uint32(len(p.index) + 1)
	p.index[id] = n
	p.bytes += payloadCost
	if p.keep {
		for len(p.texts) < int(n) {
			p.texts = append(p.texts, "")
		}
		p.texts = append(p.texts, string(canonical))
		p.bytes += int64(len(canonical)) + 16
	}
	return n
}

func (p *payloads) textOf(n uint32) string {
	if int(n) < len(p.texts) {
		return p.texts[n]
	}
	return ""
}

// canonicalize is a payload with its names sorted and without white space; numbers stay as they are written. null is no
// payload, and half of a surrogate pair is \ufffd, because JSONL cannot tell them apart. What is not JSON stays as it
// is.
func canonicalize(payload []byte) []byte {
	if len(payload) == 0 || string(payload) == "null" {
		return nil
	}
	text, _ := pipeline.MendSurrogates(string(payload))
	v, err := pipeline.ParseJSON(text)
	if err != nil {
		return payload
	}
	if v.Kind == pipeline.Null {
		return nil
	}
	return v.AppendJSON(nil)
}

// flag is a flag of either snapshot.
type flag struct {
	name      string
	notAsked  string // the run that did not ask for it: NotAskedBefore or NotAskedAfter; "": none
	codes     codes  // what each user of BEFORE has, as a number among states
	evaluated codes  // what the changed ones get with the other configuration
	index     map[state]uint32
	states    []state

	// transitions count the users by the variants before (high) and after (low), absentUser where they are not in that
	// snapshot. From nothing to nothing is what is left.
	transitions map[uint64]int64
	payload     int64 // users with the same variant and another payload
	experiment  int64
	changed     int64
	causes      map[Cause]int64

	current state // of the current user
	seen    int64 // the number of the user that current is of
}

// absentUser is in place of the variant of a user who is not in the snapshot.
const absentUser = ^uint32(0)

const stateCost = 64 // bytes of an entry of a flag's index, and of its state

// maxRecent is how many bytes of payloads keep their numbers, as they are in a file.
const maxRecent = 4 << 20

// stateOf is the state of an assignment.
func (c *comparison) stateOf(s *side, a *snapshot.Assignment) state {
	if !a.Assigned || c.wide && a.Variant == snapshot.NoKey { // the wide layout has nothing but the name
		return state{}
	}
	st := state{variant: 1 + numberOf(a.Variant)}
	if c.experiments {
		st.experiment = numberOf(a.ExperimentKey)
	}
	if c.payloads && len(a.Payload) > 0 {
		st.payload = c.payloadNumber(s, a.Payload)
	}
	return st
}

// payloadNumber is the number of a payload as it is in a file. Most files have few different ones.
func (c *comparison) payloadNumber(s *side, text []byte) uint32 {
	if n, ok := s.recent[string(text)]; ok {
		return n
	}
	if s.recentBytes += len(text) + payloadCost; s.recentBytes > maxRecent {
		s.clearPayloads()
		s.recentBytes = len(text) + payloadCost
	}
	n := c.interned.numberOf(canonicalize(text), s == c.before)
	s.recent[string(text)] = n
	return n
}

func (s *side) clearPayloads() { s.recent, s.recentBytes = map[string]uint32{}, 0 }

// codeOf is the number of a state among the flag's.
func (c *comparison) codeOf(f *flag, st state) uint32 {
	if st == (state{}) {
		return 0
	}
	code, ok := f.index[st]
	if !ok {
		code = uint32(len(f.states))
		f.index[st] = code
		f.states = append(f.states, st)
		c.bytes += stateCost
	}
	return code
}
