//go:build release

package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installed are the files of a package, besides its manual pages.
var installed = []string{
	"/usr/bin/rollcall", "/usr/share/man/man1/rollcall-snapshot.1.gz", "/usr/share/man/man7/rollcall-files.7.gz",
	"/usr/share/bash-completion/completions/rollcall", "/usr/share/fish/vendor_completions.d/rollcall.fish",
	"/usr/share/doc/rollcall/README.md",
}

func packageFile(format string) string {
	return filepath.Join(dist, expand(conf.Nfpms[0].FileNameTemplate, target{"linux", "amd64"})+"."+format)
}

// TestDeb installs the package with dpkg, uses it, and removes it: then nothing is left. Without root, it is unpacked
// instead.
func TestDeb(t *testing.T) {
	deb, prefix := packageFile("deb"), ""
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("there is no dpkg here")
	}
	control := run(t, exec.Command("dpkg-deb", "--field", deb, "Package", "Architecture", "Recommends"))
	for _, want := range []string{"Package: rollcall\n", "Architecture: amd64\n", "Recommends: ca-certificates\n"} {
		if !strings.Contains(control, want) {
			t.Errorf("its control file has %q, want %q", control, want)
		}
	}
	if os.Geteuid() == 0 {
		if _, err := os.Lstat("/usr/bin/rollcall"); err == nil {
			t.Fatal("/usr/bin/rollcall exists already: this test would overwrite and remove it")
		}
		run(t, exec.Command("dpkg", "--install", deb))
		t.Cleanup(func() {
			run(t, exec.Command("dpkg", "--purge", "rollcall"))
			for _, name := range installed {
				if _, err := os.Lstat(name); err == nil {
					t.Errorf("%s is left after the package was removed", name)
				}
			}
		})
	} else {
		prefix = t.TempDir()
		run(t, exec.Command("dpkg-deb", "--extract", deb, prefix))
	}
	for _, name := range append(installed, "/usr/share/zsh/vendor-completions/_rollcall") {
		if info, err := os.Stat(prefix + name); err != nil || info.Size() == 0 || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s: %v, %v; want a file that only root may change", name, info, err)
		}
	}
	rollcall := prefix + "/usr/bin/rollcall"
	got, want := run(t, exec.Command(rollcall, "version")), "rollcall v"+names["Version"]
	if !strings.HasPrefix(got, want) {
		t.Errorf("version is %q, want %q", got, want)
	}
	if _, err := exec.LookPath("man"); err == nil {
		man := exec.Command("man", "-M", prefix+"/usr/share/man", "rollcall-snapshot")
		man.Env = append(os.Environ(), "MANPAGER=cat", "MANWIDTH=80")
		if page := run(t, man); !strings.Contains(page, "rollcall snapshot") {
			t.Errorf("man rollcall-snapshot prints %.200q", page)
		}
	}
	// What bash does: it sources the file, and calls the function that complete names for the command.
	script := `source "$0" && complete -p rollcall && declare -F __start_rollcall`
	run(t, exec.Command("bash", "-c", script, prefix+"/usr/share/bash-completion/completions/rollcall"))

	snapshot := exec.Command(rollcall, "snapshot", filepath.Join(root, "testdata/few.csv"), "--out", "out.csv", "--flags",
		"pricing-test", "--server", "embedded", "--flag-configs", filepath.Join(root, "testdata/flags.json"))
	snapshot.Dir = t.TempDir()
	run(t, snapshot)
	verify := exec.Command(rollcall, "verify", "out.csv")
	verify.Dir = snapshot.Dir
	run(t, verify)
}

// TestRPM has rpm read the package.
func TestRPM(t *testing.T) {
	database := "--dbpath=" + t.TempDir()
	run(t, exec.Command("rpm", database, "--checksig", "--nosignature", packageFile("rpm")))
	got := run(t, exec.Command("rpm", database, "--query", "--package", "--nosignature", "--list", packageFile("rpm")))
	for _, name := range append(installed, "/usr/share/zsh/site-functions/_rollcall") {
		if !strings.Contains("\n"+got, "\n"+name+"\n") {
			t.Errorf("%s is missing; it has:\n%s", name, got)
		}
	}
}
