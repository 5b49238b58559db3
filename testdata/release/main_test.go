//go:build release

package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// nfpm is the version that goreleaser 2.15.1 has.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"

// config is what this package knows of .goreleaser.yaml.
type config struct {
	ProjectName string `yaml:"project_name"`
	Dist        string
	Before      struct{ Hooks []string }
	Snapshot    struct {
		VersionTemplate string `yaml:"version_template"`
	}
	Builds []struct {
		Main, Binary                      string
		Env, Flags, Ldflags, Goos, Goarch []string
	}
	Archives []struct {
		NameTemplate    string `yaml:"name_template"`
		Formats         []string
		FormatOverrides []struct {
			Goos    string
			Formats []string
		} `yaml:"format_overrides"`
		Files []struct{ Src, Dst string }
	}
	Nfpms []struct {
		FileNameTemplate                                   string `yaml:"file_name_template"`
		Formats, Recommends                                []string
		Bindir, Section, Maintainer, Homepage, Description string
		Contents                                           []map[string]string
	}
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
	}
	Sboms []struct {
		Cmd             string
		Args, Documents []string
	}
	DockersV2 []struct {
		Dockerfile string
		Platforms  []string
	} `yaml:"dockers_v2"`
}

// A target is what one binary is for.
type target struct{ Os, Arch string }

var (
	root, dist string // the repository's directory; where the release is
	conf       config
	names      map[string]string // what templates can name, but for Os and Arch
	binaries   = map[target]string{}
)

func TestMain(m *testing.M) {
	if err := makeRelease(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func makeRelease() error {
	var err error
	if root, err = filepath.Abs("../.."); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err == nil {
		err = yaml.Unmarshal(data, &conf)
	}
	if err != nil {
		return fmt.Errorf(".goreleaser.yaml: %w", err)
	}
	commit, err := command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return fmt.Errorf("git: %w", err)
	}
	date, err := command("git", "log", "-1", "--format=%cI").Output()
	if err != nil {
		return fmt.Errorf("git: %w", err)
	}
	names = map[string]string{"ProjectName": conf.ProjectName, "ShortCommit": strings.TrimSpace(string(commit)),
		"CommitDate": strings.TrimSpace(string(date))}
	names["Version"] = expand(conf.Snapshot.VersionTemplate, target{})
	dist = filepath.Join(root, conf.Dist)
	if err := errors.Join(os.RemoveAll(dist), os.MkdirAll(dist, 0o755)); err != nil {
		return err
	}
	for _, hook := range conf.Before.Hooks {
		if err := output(command("sh", "-c", hook)); err != nil {
			return err
		}
	}
	for _, step := range []func() error{buildAll, archiveAll, packageAll, describeBinary, writeChecksums} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// expand expands a template as goreleaser does. A name that this package does not know is an error in the file.
func expand(text string, to target) string {
	values := map[string]string{"Os": to.Os, "Arch": to.Arch}
	for name, value := range names {
		values[name] = value
	}
	var b strings.Builder
	t, err := template.New("").Option("missingkey=error").Parse(text)
	if err == nil {
		err = t.Execute(&b, values)
	}
	if err != nil {
		panic(fmt.Sprintf(".goreleaser.yaml: %q: %v", text, err))
	}
	return b.String()
}

// command is a command in the repository's directory.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	return cmd
}

// output runs a command, which must succeed.
func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

func buildAll() error {
	build := conf.Builds[0]
	for _, system := range build.Goos {
		for _, arch := range build.Goarch {
			to := target{system, arch}
			file := filepath.Join(dist, "build", system+"_"+arch, build.Binary)
			if system == "windows" {
				file += ".exe"
			}
			args := append([]string{"build"}, build.Flags...)
			args = append(args, "-ldflags", expand(strings.Join(build.Ldflags, " "), to), "-o", file, build.Main)
			cmd := command("go", args...)
			cmd.Env = append(append(os.Environ(), build.Env...), "GOOS="+system, "GOARCH="+arch)
			if err := output(cmd); err != nil {
				return err
			}
			binaries[to] = file
		}
	}
	return nil
}

// file is a file of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

func archiveAll() error {
	archive := conf.Archives[0]
	for to, binary := range binaries {
		name := expand(archive.NameTemplate, to)
		data, err := os.ReadFile(binary)
		if err != nil {
			return err
		}
		files := []file{{path.Join(name, filepath.Base(binary)), 0o755, data}}
		for _, f := range archive.Files {
			found, err := filepath.Glob(filepath.Join(root, f.Src))
			if err != nil {
				return err
			}
			for _, found := range found {
				data, err := os.ReadFile(found)
				if err != nil {
					return err
				}
				files = append(files, file{path.Join(name, f.Dst, filepath.Base(found)), 0o644, data})
			}
		}
		formats := archive.Formats
		for _, o := range archive.FormatOverrides {
			if o.Goos == to.Os {
				formats = o.Formats
			}
		}
		for _, format := range formats {
			write := map[string]func(io.Writer, []file) error{"tar.gz": writeTarGz, "zip": writeZip}[format]
			var b bytes.Buffer
			if err := write(&b, files); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dist, name+"."+format), b.Bytes(), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeTar(w io.Writer, files []file) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		if err := t.WriteHeader(header); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeTarGz(w io.Writer, files []file) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	return errors.Join(writeTar(z, files), z.Close())
}

func writeZip(w io.Writer, files []file) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		entry, err := z.Create(f.name)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}

// packageAll makes the packages of Linux, from the file that nfpm reads.
func packageAll() error {
	p := conf.Nfpms[0]
	tool := filepath.Join(dist, "build", "nfpm")
	if err := installTool(nfpm, tool); err != nil {
		return err
	}
	for to, binary := range binaries {
		if to.Os != "linux" {
			continue
		}
		contents := append(slices.Clone(p.Contents), map[string]string{"src": binary,
			"dst": path.Join(p.Bindir, conf.Builds[0].Binary)})
		text, err := yaml.Marshal(map[string]any{
			"name": conf.ProjectName, "arch": to.Arch, "platform": to.Os, "version": names["Version"], "section": p.Section,
			"maintainer": p.Maintainer, "homepage": p.Homepage, "description": p.Description, "recommends": p.Recommends,
			"mtime": names["CommitDate"], "contents": contents,
		})
		if err != nil {
			return err
		}
		file := filepath.Join(dist, "build", "nfpm-"+to.Arch+".yaml")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
		for _, format := range p.Formats {
			name := expand(p.FileNameTemplate, to) + "." + format
			if err := output(command(tool, "package", "-f", file, "-p", format, "-t", filepath.Join(dist, name))); err != nil {
				return err
			}
		}
	}
	return nil
}

// installTool builds a command of another module.
func installTool(module, file string) error {
	cmd := command("go", "install", "-trimpath", module)
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Dir(file))
	return output(cmd)
}

// describeBinary writes the SBOM of one binary; those of the others come from the same command.
func describeBinary() error {
	s, to := conf.Sboms[0], target{"linux", "amd64"}
	args := slices.Clone(s.Args)
	for i, arg := range args {
		args[i] = strings.NewReplacer("$document", sbomFile(), "$artifact", binaries[to]).Replace(arg)
	}
	return output(command(s.Cmd, args...))
}

func sbomFile() string {
	return filepath.Join(dist, expand(conf.Sboms[0].Documents[0], target{"linux", "amd64"}))
}

func writeChecksums() error {
	entries, err := os.ReadDir(dist)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dist, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	return os.WriteFile(filepath.Join(dist, expand(conf.Checksum.NameTemplate, target{})), []byte(b.String()), 0o644)
}
