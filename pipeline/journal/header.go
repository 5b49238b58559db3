package journal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Header binds a journal to what its answers depend on. A run may only resume one whose header differs in
// nothing: see [Header.Diff].
type Header struct {
	RunID     string            `json:"run_id"`
	StartedAt time.Time         `json:"started_at"`
	Version   string            `json:"version"` // of rollcall; the format's stands before every frame
	Inputs    []Input           `json:"inputs"`  // in their order
	Options   map[string]string `json:"options"` // all that change an answer or an output's shape, by name without the dashes; never the key
	Key       Key               `json:"key"`
}

// Input is a file of users.
type Input struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // in hex
}

// Key recognises an API key and does not give it away: it is an HMAC-SHA256 with a salt of its own. The zero Key
// stands for a run without a key.
type Key struct {
	Salt string `json:"salt,omitempty"`
	MAC  string `json:"mac,omitempty"`
}

// NewKey is the Key of that secret; of "" it is zero.
func NewKey(secret string) Key {
	if secret == "" {
		return Key{}
	}
	salt := rand.Text()
	return Key{salt, mac(salt, secret)}
}

// Matches reports whether k was made of that secret.
func (k Key) Matches(secret string) bool {
	if secret == "" || k.MAC == "" {
		return secret == "" && k.MAC == ""
	}
	return hmac.Equal([]byte(k.MAC), []byte(mac(k.Salt, secret)))
}

func mac(salt, secret string) string {
	h := hmac.New(sha256.New, []byte(salt))
	h.Write([]byte("rollcall journal key\n" + secret))
	return hex.EncodeToString(h.Sum(nil))
}

// Diff says, for the person at the terminal, what keeps a run with these inputs and options from going on with h: one
// phrase each. None: it may, if Key is of the same secret, or the user says that the deployment is the same one.
func (h *Header) Diff(inputs []Input, options map[string]string) []string {
	var diff []string
	say := func(format string, args ...any) { diff = append(diff, fmt.Sprintf(format, args...)) }

	named := func(inputs []Input, name string) int {
		return slices.IndexFunc(inputs, func(in Input) bool { return in.Name == name })
	}
	for _, was := range h.Inputs {
		i := named(inputs, was.Name)
		switch {
		case i < 0:
			say("the input %s is not named any more", was.Name)
		case inputs[i].Bytes != was.Bytes:
			say("the input %s has %d bytes, and had %d", was.Name, inputs[i].Bytes, was.Bytes)
		case inputs[i].SHA256 != was.SHA256:
			say("the input %s has changed (its size has not)", was.Name)
		}
	}
	for _, is := range inputs {
		if named(h.Inputs, is.Name) < 0 {
			say("the input %s is new", is.Name)
		}
	}
	if len(diff) == 0 && !slices.Equal(h.Inputs, inputs) {
		say("the inputs are named in another order, or not as often")
	}

	names := maps.Clone(h.Options)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, options)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := h.Options[name]
		is, has := options[name]
		switch {
		case !had:
			say("--%s is %q, and was not set", name, is)
		case !has:
			say("--%s is not set, and was %q", name, was)
		case is != was:
			say("--%s is %q, and was %q", name, is, was)
		}
	}
	return diff
}
