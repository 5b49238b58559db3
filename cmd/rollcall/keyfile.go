package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// credentialsVariable is the directory in which systemd gives a service its credentials (LoadCredential=NAME:FILE).
const credentialsVariable = "CREDENTIALS_DIRECTORY"

// keyPath is the file that an option such as --key-file names. A name without a directory is that of a credential of systemd, if there is
// one.
func keyPath(env *env, file string) string {
	dir, _ := env.LookupEnv(credentialsVariable)
	if dir == "" || strings.ContainsRune(file, filepath.Separator) {
		return file
	}
	path := filepath.Join(dir, file)
	if _, err := os.Stat(path); err != nil {
		return file
	}
	return path
}

// checkKeyFile refuses a key file that others may have changed, and one that others can read although we could change
// that. Where we cannot, because it is not ours or secrets are mounted there, it warns.
func checkKeyFile(env *env, con *console, f *os.File, option string) error {
	mode, ours, err := durable.AccessTo(f)
	if err != nil {
		return usageErrorf("read --%s: %w", option, err)
	}
	switch verdict := judgeKeyFile(mode, ours, func() bool { return inSecretsMount(env, f) }); verdict {
	case keyRefused:
		does := "read"
		if mode&0o022 != 0 {
			does = "written"
		}
		return pipeline.WithHint(usageErrorf("--%s %s can be %s by others (mode %04o)", option, text.Clean(f.Name()), does,
			mode), fmt.Sprintf(keyHint, text.Clean(f.Name())))
	case keyWarned:
		con.Warn(fmt.Sprintf("--%s %s can be read by others (mode %04o)", option, text.Clean(f.Name()), mode), "",
			about{code: warnKeyFile, subjects: []string{f.Name()}})
	}
	return nil
}

// keyVerdict is what becomes of a key file.
type keyVerdict int

const (
	keyTaken keyVerdict = iota
	keyWarned
	keyRefused
)

// judgeKeyFile decides about a key file of a mode. ours is whether it belongs to this user; secrets tells whether it is
// in a place where secrets are mounted.
func judgeKeyFile(mode fs.FileMode, ours bool, secrets func() bool) keyVerdict {
	switch {
	case mode&0o022 != 0:
		return keyRefused
	case mode&0o044 == 0, !ours && mode&0o004 == 0: // our group may read it: that is how we do
		return keyTaken
	case ours && !secrets():
		return keyRefused
	}
	return keyWarned
}

// inSecretsMount reports whether a file is where Docker, Kubernetes and systemd mount secrets: on a file system that is
// mounted read-only, or in memory below /run/secrets, /var/run/secrets or $CREDENTIALS_DIRECTORY.
func inSecretsMount(env *env, f *os.File) bool {
	readOnly, inMemory := mountOf(f)
	if readOnly || !inMemory {
		return readOnly
	}
	path, err := realPath(f.Name())
	if err != nil {
		return false
	}
	credentials, _ := env.LookupEnv(credentialsVariable)
	for _, dir := range []string{"/run/secrets", "/var/run/secrets", credentials} {
		if dir == "" {
			continue
		}
		if dir, err := realPath(dir); err == nil && strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") {
			return true
		}
	}
	return false
}

// realPath is an absolute path without links: Kubernetes links a secret to its current version.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
