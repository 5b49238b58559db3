package amplitude

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Key is a deployment key. It cannot be printed: every way to format, log or marshal it gives "[key]". The zero
// Key means no key.
//
// The text is behind a pointer, because fmt calls no methods on the value of an unexported field, nor for %p: it would
// print the text itself, but prints a pointer in a struct as an address.
type Key struct{ secret *string }

const hiddenKey = "[key]"

// NewKey makes a key from the contents of a file or an environment variable: one line, with or without a newline.
func NewKey(text string) (Key, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	hint := "a deployment key is one word, as Amplitude shows it under Experiment, Deployments"
	if text == "" {
		return Key{}, pipeline.WithHint(errors.New("the deployment key is empty"), hint)
	}
	for i := range len(text) {
		// It becomes a header's value: a newline in it would be another header.
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return Key{}, pipeline.WithHint(fmt.Errorf("the deployment key has a character at position %d that is not valid "+
				"in a key", i+1), hint)
		}
	}
	return Key{&text}, nil
}

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.secret == nil }

// Secret returns the key itself, for code that must recognize it again. Never print or store it as it is.
func (k Key) Secret() string {
	if k.secret == nil {
		return ""
	}
	return *k.secret
}

// String hides the key.
func (Key) String() string { return hiddenKey }

// GoString hides the key from %#v.
func (Key) GoString() string { return hiddenKey }

// Format hides the key from every verb.
func (Key) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hiddenKey)) }

// MarshalText hides the key from JSON, YAML and their like.
func (Key) MarshalText() ([]byte, error) { return []byte(hiddenKey), nil }

// MarshalJSON hides the key.
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + hiddenKey + `"`), nil }

// LogValue hides the key from slog.
func (Key) LogValue() slog.Value { return slog.StringValue(hiddenKey) }
