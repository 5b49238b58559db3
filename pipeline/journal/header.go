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

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Header records what the answers in a journal depend on. A run may only resume a journal if nothing in the header
// has changed: see [Header.Diff].
type Header struct {
	RunID     string    `json:"run_id"`
	StartedAt time.Time `json:"started_at"`
	Version   string    `json:"version"` // of rollcall; every frame has the version of the format
	Inputs    []Input   `json:"inputs"`  // in their order
	// Options has all options that change an answer or the shape of an output, by name without the dashes; never the key.
	Options map[string]string `json:"options"`
	Key     Key               `json:"key"`
	// Flags are the flags as they were before the first user; nil: nobody asked. They bind nothing.
	Flags *pipeline.FlagVersions `json:"flags,omitempty"`
}

// Input is a file of users.
type Input struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // in hex
}

// Key identifies an API key without revealing it: it is an HMAC-SHA256 with a random salt. The zero Key
// is that of a run without a key.
type Key struct {
	Salt string `json:"salt,omitempty"`
	MAC  string `json:"mac,omitempty"`
}

// NewKey returns a Key for the secret. For "" it is zero.
func NewKey(secret string) Key {
	if secret == "" {
		return Key{}
	}
	salt := rand.Text()
	return Key{salt, computeMAC(salt, secret)}
}

// Matches reports whether k was made from the secret.
func (k Key) Matches(secret string) bool {
	if secret == "" || k.MAC == "" {
		return secret == "" && k.MAC == ""
	}
	return hmac.Equal([]byte(k.MAC), []byte(computeMAC(k.Salt, secret)))
}

func computeMAC(salt, secret string) string {
	h := hmac.New(sha256.New, []byte(salt))
	h.Write([]byte("rollcall journal key\n" + secret))
	return hex.EncodeToString(h.Sum(nil))
}

// Diff lists, for the person at the terminal, the differences that keep a run with these inputs and options from
// resuming the journal with header h. If there are none, it may, provided that Key matches the same secret or the user
// says that the deployment is the same.
func (h *Header) Diff(inputs []Input, options map[string]string) []string {
	var diff []string
	report := func(format string, args ...any) { diff = append(diff, fmt.Sprintf(format, args...)) }

	indexByName := func(inputs []Input, name string) int {
		return slices.IndexFunc(inputs, func(in Input) bool { return in.Name == name })
	}
	for _, was := range h.Inputs {
		i := indexByName(inputs, was.Name)
		switch {
		case i < 0:
			report("the input %s is no longer given", was.Name)
		case inputs[i].Bytes != was.Bytes:
			report("the input %s has %d bytes, but had %d", was.Name, inputs[i].Bytes, was.Bytes)
		case inputs[i].SHA256 != was.SHA256:
			report("the input %s has changed (but not its size)", was.Name)
		}
	}
	for _, is := range inputs {
		if indexByName(h.Inputs, is.Name) < 0 {
			report("the input %s is new", is.Name)
		}
	}
	if len(diff) == 0 && !slices.Equal(h.Inputs, inputs) {
		report("the inputs are given in another order, or not as often")
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
			report("--%s is %q, but was not set", name, is)
		case !has:
			report("--%s is not set, but was %q", name, was)
		case is != was:
			report("--%s is %q, but was %q", name, is, was)
		}
	}
	return diff
}
