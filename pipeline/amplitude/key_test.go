package amplitude

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
)

const canary = "client-CANARY0123456789"

func TestKeyCannotBePrinted(t *testing.T) {
	key, err := NewKey(canary + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if key.Secret() != canary {
		t.Fatalf("NewKey kept %q", key.Secret())
	}
	holder := struct {
		Key Key
		P   *Key
	}{key, &key}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", key, holder)
	}
	fmt.Fprintln(&out, key.String(), key.GoString())
	for _, v := range []any{key, holder, map[string]Key{"k": key}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	text, _ := key.MarshalText()
	out.Write(text)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", key, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", key, "holder", holder)
	fmt.Fprintln(&out, fmt.Errorf("wrapped: %v %w", key, fmt.Errorf("%v", holder)))
	c, err := New(Config{BaseURL: "https://example.com", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v %+v %#v %s %q\n", c, c, c, c, c)
	fmt.Fprintf(&out, "%+v %#v\n", Config{Key: key}, Config{Key: key})
	if strings.Contains(out.String(), "CANARY") {
		t.Errorf("the key can be read in:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "[key]") {
		t.Errorf("no [key] in:\n%s", out.String())
	}
}

func TestNewKey(t *testing.T) {
	for _, tt := range []struct {
		in string
		ok bool
	}{
		{"abc", true}, {"abc\n", true}, {"abc\r\n", true}, {"client-A_b.c/d+e=", true},
		{"", false}, {"\n", false}, {" ", false}, {"a b", false}, {" a", false}, {"a\n\n", false},
		{"a\nX-Evil: 1", false}, {"a\x00", false}, {"a\x7f", false}, {"ключ", false}, {"a\r", true},
	} {
		t.Run(strconv.Quote(tt.in), func(t *testing.T) {
			key, err := NewKey(tt.in)
			if (err == nil) != tt.ok {
				t.Errorf("NewKey(%q): error %v, want ok %v", tt.in, err, tt.ok)
			}
			if err != nil && len(tt.in) > 2 && strings.Contains(err.Error(), tt.in) {
				t.Errorf("NewKey(%q): the error repeats it: %v", tt.in, err)
			}
			if key.IsZero() == tt.ok {
				t.Errorf("NewKey(%q).IsZero() = %v", tt.in, key.IsZero())
			}
		})
	}
}
