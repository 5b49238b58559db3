package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJudgeKeyFile(t *testing.T) {
	const outside, secrets = false, true
	tests := []struct {
		mode    fs.FileMode
		ours    bool
		secrets bool
		want    keyVerdict
	}{
		{0o600, true, outside, keyTaken},
		{0o400, true, secrets, keyTaken},
		{0o644, true, outside, keyRefused},
		{0o440, true, outside, keyRefused},
		{0o604, true, outside, keyRefused},
		{0o644, true, secrets, keyWarned},
		{0o444, true, secrets, keyWarned},
		{0o440, true, secrets, keyWarned},
		{0o444, false, outside, keyWarned},
		{0o440, false, outside, keyTaken},
		{0o660, true, secrets, keyRefused},
		{0o602, true, secrets, keyRefused},
		{0o666, false, secrets, keyRefused},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%04o, ours %t, secrets %t", tt.mode, tt.ours, tt.secrets), func(t *testing.T) {
			if got := judgeKeyFile(tt.mode, tt.ours, func() bool { return tt.secrets }); got != tt.want {
				t.Errorf("judgeKeyFile(%04o, %t, %t) = %d, want %d", tt.mode, tt.ours, tt.secrets, got, tt.want)
			}
		})
	}
}

// TestKeyInMemory reads a key with the mode that Docker gives secrets, from a file system in memory: as a credential
// it is taken with a warning, elsewhere it is refused.
func TestKeyInMemory(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "rollcall-test-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "amplitude")
	if err := os.WriteFile(path, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(path); err != nil {
		t.Fatal(err)
	} else if readOnly, inMemory := mountOf(f); readOnly || !inMemory {
		t.Skip("/dev/shm is not a file system in memory that can be written to")
	}
	for _, tt := range []struct {
		name, credentials, keyFile string
		code                       int
		said                       string
	}{
		{"a credential", dir, "amplitude", exitOK, "warning: --key-file " + path + " can be read by others (mode 0444)"},
		{"a credential by its path", dir, path, exitOK, "warning: --key-file " + path + " can be read by others (mode 0444)"},
		{"not a credential", "", path, exitUsage, "can be read by others (mode 0444)"},
		{"of another directory", t.TempDir(), path, exitUsage, "can be read by others (mode 0444)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			env := &env{Soft: t.Context(), Stderr: &stderr,
				LookupEnv: func(name string) (string, bool) { return tt.credentials, name == credentialsVariable }}
			con := newConsole(env)
			o := serverOptions{keyFile: tt.keyFile}
			key, source, err := o.key(env, con)
			if err != nil {
				con.Error(err)
			}
			if code := exitCode(err); code != tt.code || !strings.Contains(stderr.String(), tt.said) ||
				strings.Contains(stderr.String(), "canary") {
				t.Errorf("--key-file %s: code %d, want %d; it said\n%s\nwant %q", tt.keyFile, code, tt.code, &stderr, tt.said)
			}
			if err == nil && (key.Secret() != "canary" || source != "--key-file "+path) {
				t.Errorf("--key-file %s: the key of %s, want that of %s", tt.keyFile, source, path)
			}
		})
	}
}
