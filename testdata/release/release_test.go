//go:build release

package release

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxBinary is the largest size of the binary of Linux on amd64. Each of the stores' libraries was chosen for it.
const maxBinary = 36_000_000

// run runs a command, which must succeed, and returns its standard output.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return string(out)
}

// TestBinaries: one for each system, static, without the paths of who built it, and not too large.
func TestBinaries(t *testing.T) {
	if len(binaries) != 6 {
		t.Errorf("there are %d binaries, want 6", len(binaries))
	}
	for to, file := range binaries {
		t.Run(to.Os+"/"+to.Arch, func(t *testing.T) {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes", info.Size())
			if (to == target{"linux", "amd64"}) && info.Size() >= maxBinary {
				t.Errorf("it has %d bytes, want less than %d", info.Size(), maxBinary)
			}
			if got := machineOf(t, file); got != to {
				t.Errorf("it is for %v", got)
			}
			build, err := buildinfo.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			settings := map[string]string{}
			for _, s := range build.Settings {
				settings[s.Key] = s.Value
			}
			if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
				t.Errorf("it was built with CGO_ENABLED=%s, -trimpath=%s", settings["CGO_ENABLED"], settings["-trimpath"])
			}
		})
	}
	got := run(t, exec.Command(binaries[target{"linux", "amd64"}], "version"))
	if want := "rollcall v" + names["Version"] + " (go"; !strings.HasPrefix(got, want) {
		t.Errorf("version is %q, want %q", got, want)
	}
}

// machineOf returns what a binary is for. One of Linux must need no libraries.
func machineOf(t *testing.T, file string) target {
	t.Helper()
	if f, err := elf.Open(file); err == nil {
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("it is not static: %v", p.Type)
			}
		}
		return target{"linux", map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]}
	}
	if f, err := macho.Open(file); err == nil {
		defer f.Close()
		return target{"darwin", map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu]}
	}
	f, err := pe.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return target{"windows", map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64",
		pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}[f.Machine]}
}

// TestArchives: each has the binary, what to read, manual pages and completions, in a directory of its name.
func TestArchives(t *testing.T) {
	for to, binary := range binaries {
		t.Run(to.Os+"/"+to.Arch, func(t *testing.T) {
			name := expand(conf.Archives[0].NameTemplate, to)
			var files map[string][]byte
			if to.Os == "windows" {
				files = readZip(t, filepath.Join(dist, name+".zip"))
			} else {
				files = readTarGz(t, filepath.Join(dist, name+".tar.gz"))
			}
			want, err := os.ReadFile(binary)
			if err != nil {
				t.Fatal(err)
			}
			if string(files[path.Join(name, filepath.Base(binary))]) != string(want) {
				t.Error("the binary is not the one that was built")
			}
			for _, file := range []string{"README.md", "man/rollcall.1.gz", "man/rollcall-snapshot.1.gz",
				"man/rollcall-exit-codes.7.gz", "completions/rollcall.bash", "completions/_rollcall",
				"completions/rollcall.fish"} {
				if len(files[path.Join(name, file)]) == 0 {
					t.Errorf("%s is missing or empty", file)
				}
			}
			for file := range files {
				if !strings.HasPrefix(file, name+"/") {
					t.Errorf("%s is outside of the directory", file)
				}
			}
		})
	}
}

func readZip(t *testing.T, name string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func readTarGz(t *testing.T, name string) map[string][]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err == nil {
			files[header.Name], err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestChecksums has sha256sum check the list, as users do, and compares it with what is there.
func TestChecksums(t *testing.T) {
	check := exec.Command("sha256sum", "--check", "--strict", conf.Checksum.NameTemplate)
	check.Dir = dist
	checked := strings.Count(run(t, check), ": OK\n")
	if want := 6 + 4 + 1; checked != want { // archives, packages, an SBOM
		t.Errorf("%d files have a checksum, want %d", checked, want)
	}
}

// TestSBOM: every module that the linker put into the binary is in the SBOM, in its version.
func TestSBOM(t *testing.T) {
	data, err := os.ReadFile(sbomFile())
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct {
		BomFormat  string
		Components []struct{ Name, Version, Purl string }
	}
	if err := json.Unmarshal(data, &sbom); err != nil || sbom.BomFormat != "CycloneDX" {
		t.Fatalf("format %q, %v; want CycloneDX", sbom.BomFormat, err)
	}
	var listed []string
	for _, c := range sbom.Components {
		listed = append(listed, c.Name+"@"+c.Version)
	}
	build, err := buildinfo.ReadFile(binaries[target{"linux", "amd64"}])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range build.Deps {
		if !slices.Contains(listed, m.Path+"@"+m.Version) {
			t.Errorf("%s@%s is missing", m.Path, m.Version)
		}
	}
	t.Logf("%d modules", len(build.Deps))
}
