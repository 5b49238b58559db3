//go:build storage

package storage

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// TestKubernetesRecipe runs the container of testdata/recipes/kubernetes/cronjob-store.yaml, from a bucket to a bucket. The
// first pod meets an outage; the next one has another empty disk, resumes, and leaves nothing on it.
func TestKubernetesRecipe(t *testing.T) {
	const key = "recipe-canary-0123456789"
	s3 := s3Store
	s3.start(t)
	s3.put(t, "exports/users/2026-11-28.csv", readFile(t, "../users.csv"))
	disk := t.TempDir()
	place := strings.NewReplacer("s3://example-exports/", s3.url("exports/"), "s3://example-assignments/", s3.url("made/"),
		"/etc/rollcall", disk, "/run/secrets/rollcall", disk)
	args, configs := readRecipe(t, "../recipes/kubernetes/cronjob-store.yaml")
	for i := range args {
		args[i] = place.Replace(args[i])
	}
	for name, text := range configs {
		if err := os.WriteFile(filepath.Join(disk, name), []byte(place.Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(disk, "amplitude"), []byte(key), 0o400); err != nil {
		t.Fatal(err)
	}

	eng, err := engine.Parse(readFile(t, "../flags.json"), engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	var outage atomic.Bool
	outage.Store(true)
	api, err := evalserver.Start("127.0.0.1:0", evalserver.New(eng, evalserver.Config{Key: key,
		Script: func(*evalserver.Request, int) *evalserver.Fault {
			if asked.Add(1) > 1500 && outage.Load() { // more than the window of a run, so that the journal has some
				return &evalserver.Fault{Kind: "503"}
			}
			return nil
		}}))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close() //nolint:errcheck // the test is over
	for name, value := range map[string]string{"SERVER": api.URL(), "RATE": "0", "MAX_OUTAGE": "1s", "METRICS_LISTEN": "127.0.0.1:0"} {
		t.Setenv("ROLLCALL_"+name, value)
	}
	pod := func(code int) string {
		dir, said := runCommand(t, code, args...)
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Errorf("left on the disk: %v (%v), want nothing", files, err)
		}
		return said
	}
	pod(75)
	outage.Store(false)
	said := strings.TrimSpace(pod(0))
	var end struct {
		Resumes int      `json:"resumes"`
		Outputs []string `json:"outputs"`
	}
	err = json.Unmarshal([]byte(said[strings.LastIndex(said, "\n")+1:]), &end)
	if err != nil || end.Resumes != 1 || len(end.Outputs) == 0 || !strings.HasPrefix(end.Outputs[0], s3.url("made/assignments/dt=20")) {
		t.Fatalf("the second pod: %+v, %v; want that it resumed and wrote the day's output\n%s", end, err, said)
	}
	runCommand(t, 0, "verify", end.Outputs[0])
}

// readRecipe returns the arguments of the container and the files of the ConfigMap.
func readRecipe(t *testing.T, path string) (args []string, configs map[string]string) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(string(readFile(t, path))))
	for {
		var o struct {
			Kind string            `yaml:"kind"`
			Data map[string]string `yaml:"data"`
			Spec struct {
				JobTemplate struct {
					Spec struct {
						Template struct {
							Spec struct {
								Containers []struct {
									Args []string `yaml:"args"`
								} `yaml:"containers"`
							} `yaml:"spec"`
						} `yaml:"template"`
					} `yaml:"spec"`
				} `yaml:"jobTemplate"`
			} `yaml:"spec"`
		}
		err := decoder.Decode(&o)
		if err == io.EOF {
			return args, configs
		}
		if err != nil {
			t.Fatal(err)
		}
		switch o.Kind {
		case "CronJob":
			args = o.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Args
		case "ConfigMap":
			configs = o.Data
		}
	}
}
