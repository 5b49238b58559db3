//go:build ops

package ops

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestKubernetesManifests checks the manifests with the code of Kubernetes' API server, and has it refuse some that are
// wrong.
func TestKubernetesManifests(t *testing.T) {
	manifests, err := filepath.Glob(filepath.Join(recipes, "kubernetes/*.yaml"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, manifest := range manifests {
		t.Run(filepath.Base(manifest), func(t *testing.T) { run(t, exec.Command("tools/bin/kubecheck", manifest)) })
	}
	good := read(t, filepath.Join(recipes, "kubernetes/cronjob.yaml"))
	for _, wrong := range []struct{ name, old, new, want string }{
		{"a field that no type has", "fsGroupChangePolicy:", "fsGroupChangePolcy:", "unknown field"},
		{"a schedule", `"0 2 * * *"`, `"0 25 * * *"`, "spec.schedule"},
		{"a restart policy", "restartPolicy: Never", "restartPolicy: OnFailure", "restartPolicy"},
		{"rights", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "not restricted"},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "wrong.yaml")
			write(t, file, strings.Replace(good, wrong.old, wrong.new, 1), 0o644)
			if out, err := exec.Command("tools/bin/kubecheck", file).Output(); err == nil || !strings.Contains(string(out), wrong.want) {
				t.Errorf("%s: %v, it said %q, want %q", wrong.new, err, out, wrong.want)
			}
		})
	}
}

// object is what the tests read of an object of Kubernetes.
type object struct {
	Kind string            `yaml:"kind"`
	Data map[string]string `yaml:"data"`
	Spec struct {
		JobTemplate struct {
			Spec struct {
				PodFailurePolicy struct {
					Rules []struct {
						Action      string `yaml:"action"`
						OnExitCodes struct {
							Values []int `yaml:"values"`
						} `yaml:"onExitCodes"`
					} `yaml:"rules"`
				} `yaml:"podFailurePolicy"`
				Template struct {
					Spec podSpec `yaml:"spec"`
				} `yaml:"template"`
			} `yaml:"spec"`
		} `yaml:"jobTemplate"`
	} `yaml:"spec"`
}

type podSpec struct {
	TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
	Containers                    []struct {
		Args []string `yaml:"args"`
		Env  []struct {
			Name  string `yaml:"name"`
			Value string `yaml:"value"`
		} `yaml:"env"`
		Resources struct {
			Limits map[string]string `yaml:"limits"`
		} `yaml:"resources"`
	} `yaml:"containers"`
}

// readObjects reads the objects of a manifest, by kind.
func readObjects(t *testing.T, path string) map[string]object {
	t.Helper()
	objects := map[string]object{}
	decoder := yaml.NewDecoder(strings.NewReader(read(t, path)))
	for {
		var o object
		if err := decoder.Decode(&o); err != nil {
			break // the end: kubecheck has read all of it
		}
		objects[o.Kind] = o
	}
	return objects
}

// TestKubernetesJob runs the container's command as a pod does: as process 1, without rights, on a read-only root, with
// the secret and the volume as the kubelet mounts them. A pod that is stopped is followed by another.
func TestKubernetesJob(t *testing.T) {
	objects := readObjects(t, filepath.Join(recipes, "kubernetes/cronjob.yaml"))
	job1 := objects["CronJob"].Spec.JobTemplate.Spec
	pod := job1.Template.Spec
	root := makeDirs(t)
	place := strings.NewReplacer("/etc/rollcall", root+"/etc", "/run/secrets/rollcall", root+"/secret", "/data/", root+"/data/")
	mountConfig(t, root+"/etc", objects["ConfigMap"].Data, place)
	mountSecret(t, root+"/secret", "amplitude", recipeKey)
	volume := root + "/data"
	makeVolume(t, volume)
	write(t, volume+"/users.csv", read(t, "../users.csv"), 0o644)

	j := &job{api: startAPI(t), dir: "/", user: nobody(), writable: []string{volume}, env: []string{"ROLLCALL_METRICS_LISTEN=127.0.0.1:0"}}
	for _, arg := range pod.Containers[0].Args {
		j.args = append(j.args, place.Replace(arg))
	}
	for _, v := range pod.Containers[0].Env {
		j.env = append(j.env, v.Name+"="+v.Value)
	}
	retried := func(code int) bool {
		for _, rule := range job1.PodFailurePolicy.Rules {
			if rule.Action == "FailJob" && slices.Contains(rule.OnExitCodes.Values, code) {
				return false
			}
		}
		return true
	}

	j.api.fail()
	if end := j.run(t, 75); end.Event != "stopped" || end.Published || !retried(75) {
		t.Errorf("an outage: %+v; want that it stopped, and that the job tries again", end)
	}
	j.api.answer()
	if end := j.run(t, 0); end.Event != "finished" || end.Resumes != 1 {
		t.Errorf("the pod after an outage: %+v; want that it resumed and finished\n%s", end, j.stderr)
	}
	if strings.Contains(j.stderr.String(), "can be read by others") {
		t.Errorf("it warns of a secret that only its group can read:\n%s", j.stderr)
	}
	if limit := pod.Containers[0].Resources.Limits["memory"]; limit != "256Mi" || j.maxRSS > 200<<10 {
		t.Errorf("the run took %d KiB, want at most 200 MiB of the limit, which is %s, want 256Mi", j.maxRSS, limit)
	}

	if end := j.terminate(t); end.Event != "interrupted" || end.Published || !retried(143) {
		t.Errorf("SIGTERM: %+v; want that it was interrupted, and that the job tries again", end)
	}
	if grace := pod.TerminationGracePeriodSeconds; grace < 8+10 {
		t.Errorf("terminationGracePeriodSeconds: %d, want the grace of 8 s and time to commit", grace)
	}
	if end := j.run(t, 0); end.Resumes != 1 {
		t.Errorf("the pod after SIGTERM: %+v; want that it resumed\n%s", end, j.stderr)
	}

	few := *j
	few.env = append(slices.Clone(j.env), "ROLLCALL_MIN_USERS=5000") // the manifest's file has another one, which ROLLCALL_ overrides
	if few.run(t, 1); retried(1) {
		t.Error("the job tries again after exit code 1, which needs a person")
	}
	for _, code := range []int{3, 4, 64} {
		if retried(code) {
			t.Errorf("the job tries again after exit code %d, which needs a person", code)
		}
	}

	// Why fsGroupChangePolicy is OnRootMismatch: with Always, the kubelet does this before each pod.
	j.terminate(t)
	err := filepath.WalkDir(volume, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o660)
	})
	if err != nil {
		t.Fatal(err)
	}
	if j.run(t, 1); !strings.Contains(j.stderr.String(), "others may write to it (mode 0660)") {
		t.Errorf("a journal that the group can write: it said\n%s\nwant that it is refused", j.stderr)
	}
}

// mountConfig makes the directory of a ConfigMap.
func mountConfig(t *testing.T, dir string, files map[string]string, place *strings.Replacer) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(place.Replace(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// mountSecret makes the directory of a Secret as the kubelet does with fsGroup: files of root's that the group can
// read, in a directory with a date, behind two links.
func mountSecret(t *testing.T, dir, name, secret string) {
	t.Helper()
	version := filepath.Join(dir, "..2026_11_28_02_00_00.1")
	file := filepath.Join(version, name)
	err := os.MkdirAll(version, 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(secret), 0o400)
	}
	if user := nobody(); user != nil && err == nil {
		if err = os.Chown(file, 0, int(user.Gid)); err == nil {
			err = os.Chmod(file, 0o440)
		}
	}
	if err == nil {
		err = os.Symlink(filepath.Base(version), filepath.Join(dir, "..data"))
	}
	if err == nil {
		err = os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// makeVolume makes the directory of a volume as the kubelet does with fsGroup: of root's, and the group can write.
func makeVolume(t *testing.T, dir string) {
	t.Helper()
	err := os.Mkdir(dir, 0o755)
	if user := nobody(); user != nil && err == nil {
		if err = os.Chown(dir, 0, int(user.Gid)); err == nil {
			err = os.Chmod(dir, 0o775|fs.ModeSetgid)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// contain has a command of root's run in a container, as far as its recipe says: it is process 1, and the root is
// read-only but for some directories.
func contain(cmd *exec.Cmd, user *syscall.Credential, writable []string) {
	script := "mount --make-rprivate /\n"
	for _, dir := range writable {
		script += fmt.Sprintf("mount --bind %[1]s %[1]s\n", dir)
	}
	script += "mount -o remount,bind,ro /\n" +
		fmt.Sprintf(`exec setpriv --reuid=%d --regid=%d --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"`, user.Uid, user.Gid)
	cmd.Args = append([]string{"sh", "-e", "-c", script, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
}
