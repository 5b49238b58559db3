//go:build release

package release

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An image is what `docker load` reads: a layer, what runs, and the list of both.
type image struct {
	Architecture string      `json:"architecture"`
	Os           string      `json:"os"`
	Config       imageConfig `json:"config"`
	RootFS       rootFS      `json:"rootfs"`
}

type imageConfig struct {
	User       string
	Entrypoint []string
	WorkingDir string
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// buildImage makes the image of a Dockerfile and writes it to dist.
func buildImage(t *testing.T, to target) string {
	t.Helper()
	image := image{Architecture: to.Arch, Os: to.Os}
	var files []file
	text, err := os.ReadFile(filepath.Join(root, conf.DockersV2[0].Dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		switch rest := strings.Join(words[1:], " "); words[0] {
		case "FROM":
			if rest != "scratch" {
				t.Fatalf("it is built from %s, want scratch", rest)
			}
		case "ARG":
		case "COPY":
			source := filepath.Join(root, words[1])
			if words[1] == "$TARGETPLATFORM/rollcall" {
				source = binaries[to]
			}
			data, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			mode := int64(0o644)
			if source == binaries[to] {
				mode = 0o755
			}
			files = append(files, file{strings.TrimPrefix(words[2], "/"), mode, data})
		case "USER":
			image.Config.User = rest
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(rest), &image.Config.Entrypoint); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		default:
			t.Fatalf("this package does not know %s: add it", words[0])
		}
	}
	var layer bytes.Buffer
	if err := writeTar(&layer, files); err != nil {
		t.Fatal(err)
	}
	image.RootFS = rootFS{"layers", []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes()))}}
	config, err := json.Marshal(image)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "Layers": []string{"layer.tar"},
		"RepoTags": []string{"rollcall:" + names["Version"]}}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	err = writeTar(&b, []file{{"manifest.json", 0o644, manifest}, {"config.json", 0o644, config},
		{"layer.tar", 0o644, layer.Bytes()}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dist, "build", "image-"+to.Arch+".tar")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// unpackImage writes the files of an image's layer to a directory, as a container's root has them.
func unpackImage(t *testing.T, name, directory string) image {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	outer := readTar(t, f)
	var image image
	if err := json.Unmarshal(outer["config.json"].data, &image); err != nil {
		t.Fatal(err)
	}
	for _, f := range readTar(t, bytes.NewReader(outer["layer.tar"].data)) {
		path := filepath.Join(directory, f.name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.data, os.FileMode(f.mode)))
		if err != nil {
			t.Fatal(err)
		}
	}
	return image
}

func readTar(t *testing.T, r io.Reader) map[string]file {
	t.Helper()
	files := map[string]file{}
	for r := tar.NewReader(r); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		files[path.Clean(header.Name)] = file{header.Name, header.Mode, data}
	}
}

// inImage runs the command in a container: with the root of the image, read-only, a volume /data, and as the image's
// user. There is no /tmp, no /proc and no /dev.
func inImage(t *testing.T, root, data string, image image, env []string, args ...string) *exec.Cmd {
	t.Helper()
	// Mounts of a namespace of its own. A bind mount gets read-only by a second mount.
	script := `set -e
mount --bind "$ROOT" "$ROOT"
mount --bind "$DATA" "$ROOT/data"
mount -o remount,ro,bind "$ROOT"
exec chroot --userspec="$USERSPEC" "$ROOT" "$@"`
	args = slices.Concat([]string{"--mount", "sh", "-c", script, "sh"}, image.Config.Entrypoint, args)
	cmd := exec.Command("unshare", args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "ROOT=" + root, "DATA=" + data,
		"USERSPEC=" + image.Config.User}, env...)
	return cmd
}

// TestImage runs the image as a container platform does, with everything forbidden that can be.
func TestImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	container := t.TempDir()
	image := unpackImage(t, buildImage(t, target{"linux", "amd64"}), container)
	if image.Config.User != "65534:65534" {
		t.Errorf("it runs as user %q, want 65534:65534", image.Config.User)
	}
	certificates := filepath.Join(container, "etc/ssl/certs/ca-certificates.crt")
	bundle, err := os.ReadFile(certificates)
	if err != nil || strings.Count(string(bundle), "BEGIN CERTIFICATE") < 100 {
		t.Errorf("it has %d certificates, %v; want those of Debian",
			strings.Count(string(bundle), "BEGIN CERTIFICATE"), err)
	}
	data := t.TempDir()
	for _, directory := range []string{container, data} { // the user must get there
		for p := directory; strings.HasPrefix(p, os.TempDir()+"/"); p = filepath.Dir(p) {
			if err := os.Chmod(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(container, "data"), 0o755), os.Chown(data, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	if out, err := inImage(t, container, data, image, nil, "version").CombinedOutput(); err != nil {
		if strings.Contains(string(out), "mount: ") || strings.Contains(string(out), "unshare: ") {
			t.Skipf("no mounts here: %s", out)
		}
		t.Fatalf("version: %v\n%s", err, out)
	}
	for _, name := range []string{"few.csv", "flags.json"} {
		content, err := os.ReadFile(filepath.Join(root, "testdata", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(data, name), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	snapshot := []string{"snapshot", "--flags", "pricing-test", "--flag-configs", "/data/flags.json", "--server", "embedded"}
	t.Run("outputs on the volume", func(t *testing.T) {
		run(t, inImage(t, container, data, image, nil, append(snapshot, "/data/few.csv", "--out",
			"/data/out.parquet")...))
		run(t, inImage(t, container, data, image, nil, "verify", "/data/out.parquet"))
	})
	t.Run("standard input", func(t *testing.T) {
		cmd := inImage(t, container, data, image, nil, append(snapshot, "-", "--input-format", "csv", "--out",
			"/data/stdin.csv")...)
		cmd.Stdin = strings.NewReader("user_id\na\nb\n")
		run(t, cmd)
	})
	t.Run("dry run of standard input", func(t *testing.T) { // of which a run keeps a copy beside its output
		dry := append(snapshot, "-", "--input-format", "csv", "--out", "/data/dry.csv", "--dry-run")
		for _, tt := range []struct {
			name, want string
			env        []string
		}{{"no directory for temporary files", "TMPDIR", nil}, {"TMPDIR", "", []string{"TMPDIR=/data"}}} {
			cmd := inImage(t, container, data, image, tt.env, dry...)
			cmd.Stdin = strings.NewReader("user_id\na\nb\n")
			out, err := cmd.CombinedOutput()
			if (err == nil) != (tt.want == "") || !strings.Contains(string(out), tt.want) {
				t.Errorf("%s: %v, want %q; it said:\n%s", tt.name, err, tt.want, out)
			}
		}
	})
	t.Run("outputs on the read-only root", func(t *testing.T) {
		out, err := inImage(t, container, data, image, nil, append(snapshot, "/data/few.csv", "--out",
			"/out.csv")...).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 && exit.ExitCode() != 64 ||
			!strings.Contains(string(out), "read-only file system") {
			t.Errorf("%v, want that the file system is read-only; it said:\n%s", err, out)
		}
	})
	t.Run("https", func(t *testing.T) {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"pricing-test":{"key":"on","value":"on"}}`)
		}))
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are expected
		server.StartTLS()
		defer server.Close()
		remote := []string{"snapshot", "/data/few.csv", "--flags", "pricing-test", "--server", server.URL, "--limit", "1",
			"--max-outage", "1s", "--out"}
		key := []string{"AMPLITUDE_DEPLOYMENT_KEY=server-0123456789abcdef"}
		out, err := inImage(t, container, data, image, key, append(remote, "/data/untrusted.csv")...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "certificate") {
			t.Errorf("a server with an unknown certificate: %v, %s", err, out)
		}
		trusted := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		if err := os.WriteFile(certificates, append(bundle, trusted...), 0o644); err != nil {
			t.Fatal(err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(trusted) {
			t.Fatal("the server's certificate cannot be read")
		}
		run(t, inImage(t, container, data, image, key, append(remote, "/data/trusted.csv")...))
	})
}
