package diff

import (
	"crypto/sha256"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// state is what a user has of a flag, as far as it counts. The zero state is nothing: not assigned, or absent.
type state struct {
	variant    uint32 // 1 + the name's number; 0: no variant
	experiment uint32 // the name's number
	payload    uint32 // the payload's number; 0: none
}

// unknownPayload is one that BEFORE does not have.
const unknownPayload = ^uint32(0)

// names are the keys of both snapshots as numbers; 0 is null.
type names struct {
	index map[string]uint32
	texts []string
}

func newNames() *names { return &names{map[string]uint32{"": 0}, []string{""}} }

func (n *names) number(s string) uint32 {
	i, ok := n.index[s]
	if !ok {
		i = uint32(len(n.texts))
		n.texts = append(n.texts, s)
		n.index[s] = i
	}
	return i
}

// variant is the name of a state's variant.
func (n *names) variant(v uint32) string {
	if v == 0 {
		return ""
	}
	return n.texts[v-1]
}

// payloads are the payloads of the users of BEFORE in one pass.
type payloads struct {
	index map[identity]uint32
	texts []string // by number; only with keep
	keep  bool
	bytes int64
}

const payloadCost = 64 // bytes of an entry of the index, about

// number is the number of a payload in its canonical form; without add it may be unknownPayload.
func (p *payloads) number(canonical []byte, add bool) uint32 {
	if len(canonical) == 0 {
		return 0
	}
	id := short(sha256.Sum256(canonical))
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

func (p *payloads) text(n uint32) string {
	if int(n) < len(p.texts) {
		return p.texts[n]
	}
	return ""
}

// canonical is a payload with its names sorted and without white space; numbers stay as they are written. null is no
// payload, and half of a surrogate pair is \ufffd, because JSONL cannot tell them apart. What is not JSON stays as it is.
func canonical(payload []byte) []byte {
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
	name     string
	notAsked string // the run that did not ask for it: NotAskedBefore or NotAskedAfter; "": none
	codes    codes  // what each user of BEFORE has, as a number among states
	cross    codes  // what the changed ones would have with the other configuration
	index    map[state]uint32
	states   []state

	// transitions count the users in both by the variants before (high) and after (low); from nothing to nothing is
	// what is left. added and removed count the others by their variant.
	transitions    map[uint64]int64
	added, removed map[uint32]int64
	payload        int64 // users with the same variant and another payload
	experiment     int64
	changed        int64
	causes         map[Cause]int64

	got [2]map[uint32]int64 // by side and variant: the users, when all passes are done; nil: not counted yet

	current state // of the user at hand
	seen    int64 // which user current is of
}

const stateCost = 64 // bytes of an entry of a flag's index, and of its state

// maxRecent is how many bytes of payloads are remembered as they stand in a file.
const maxRecent = 4 << 20

// lookup is the state that an assignment is.
func (j *join) lookup(s *side, a *snapshot.Assignment) state {
	if !a.Assigned || j.wide && a.Variant == snapshot.NoKey { // the wide layout has nothing but the name
		return state{}
	}
	st := state{variant: s.name(j.names, a.Variant) + 1}
	if j.experiments {
		st.experiment = s.name(j.names, a.ExperimentKey)
	}
	if j.payloads && len(a.Payload) > 0 {
		st.payload = j.payload(s, a.Payload)
	}
	return st
}

// payload is the number of a payload as it stands in a file. Few differ in most files.
func (j *join) payload(s *side, text []byte) uint32 {
	if n, ok := s.recent[string(text)]; ok {
		return n
	}
	if s.recentBytes += len(text) + payloadCost; s.recentBytes > maxRecent {
		s.forget()
		s.recentBytes = len(text) + payloadCost
	}
	n := j.interned.number(canonical(text), s.number == 0)
	s.recent[string(text)] = n
	return n
}

// forget forgets the numbers of payloads.
func (s *side) forget() { s.recent, s.recentBytes = map[string]uint32{}, 0 }

// code is the number of a state among the flag's.
func (j *join) code(f *flag, st state) uint32 {
	if st == (state{}) {
		return 0
	}
	code, ok := f.index[st]
	if !ok {
		code = uint32(len(f.states))
		f.index[st] = code
		f.states = append(f.states, st)
		j.bytes += stateCost
	}
	return code
}

// name is the number of a key of a file.
func (s *side) name(n *names, key snapshot.Key) uint32 {
	for len(s.names) <= int(key) {
		s.names = append(s.names, ^uint32(0))
	}
	if s.names[key] == ^uint32(0) {
		s.names[key] = n.number(s.unescape(s.keys.Name(key)))
	}
	return s.names[key]
}

// unescape takes away what --csv-formulas escape put before a text (sinks/csv.go).
func (s *side) unescape(text string) string {
	if s.escaped && len(text) > 1 && text[0] == '\'' && strings.IndexByte("=+-@\t\r", text[1]) >= 0 {
		return text[1:]
	}
	return text
}

func (s *side) unescapeID(id []byte) []byte {
	if s.escaped && len(id) > 1 && id[0] == '\'' && strings.IndexByte("=+-@\t\r", id[1]) >= 0 {
		return id[1:]
	}
	return id
}
