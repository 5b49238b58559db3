//go:build ops

package ops

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSystemdUnits has systemd check the units, and how far the service is closed in.
func TestSystemdUnits(t *testing.T) {
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"rollcall.service", "rollcall.timer", "rollcall-resume.service"} {
		unit := filepath.Join(dir, name)
		units = append(units, unit)
		text := strings.ReplaceAll(read(t, filepath.Join(recipes, "systemd", name)), "/usr/bin/rollcall", rollcall)
		if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", units[0]).CombinedOutput()
	_, score, _ := strings.Cut(string(out), "Overall exposure level")
	t.Logf("exposure%s", strings.TrimSpace(score))
	if err != nil {
		t.Errorf("systemd-analyze security: %v, want an exposure of at most 1.5\n%s", err, out)
	}
}

// TestSystemdService runs the command of the service with its configuration, as a user without rights and with the key
// as systemd hands it out, and compares how it ends with what the unit says of that.
func TestSystemdService(t *testing.T) {
	unit := readUnit(t, filepath.Join(recipes, "systemd/rollcall.service"))
	service := unit["Service"]
	root := makeDirs(t, "etc", "exports", "state", "credentials", "metrics")
	place := strings.NewReplacer("/etc/rollcall", root+"/etc", "/srv/exports", root+"/exports",
		"/var/lib/prometheus/node-exporter", root+"/metrics")
	write(t, root+"/etc/nightly.yaml", place.Replace(read(t, filepath.Join(recipes, "systemd/nightly.yaml"))), 0o644)
	write(t, root+"/etc/flags.txt", "checkout-redesign\npricing-test\n", 0o644)
	write(t, root+"/exports/users.csv", read(t, "../users.csv"), 0o644)
	write(t, root+"/credentials/amplitude", recipeKey+"\n", 0o400)
	command := strings.Fields(place.Replace(service["ExecStart"][0]))
	if command[0] != "/usr/bin/rollcall" {
		t.Fatalf("ExecStart begins with %s, want /usr/bin/rollcall, where the packages install it", command[0])
	}
	j := &job{api: startAPI(t), args: command[1:], dir: root + "/state", env: []string{"CREDENTIALS_DIRECTORY=" + root + "/credentials"}, user: nobody()}

	j.api.fail()
	end := j.run(t, 75)
	j.api.answer()
	if !restarts(service, 75) || end.Event != "stopped" || end.Published {
		t.Errorf("an outage: %+v; want that it stopped, and that systemd starts it again", end)
	}
	journal := root + "/state/" + filepath.Base(readUnit(t, filepath.Join(recipes, "systemd/rollcall-resume.service"))["Unit"]["ConditionPathExists"][0])
	if _, err := os.Stat(journal); err != nil {
		t.Errorf("rollcall-resume.service waits for another file than the journal: %v", err)
	}
	if end := j.run(t, 0); end.Event != "finished" || end.Resumes != 1 {
		t.Errorf("after an outage: %+v; want that it resumed and finished", end)
	}
	if metrics := read(t, root+"/metrics/rollcall.prom"); !strings.Contains(metrics, "rollcall_last_success_timestamp_seconds") {
		t.Errorf("the metrics have no time of the last success:\n%s", metrics)
	}
	if info, err := os.Stat(root + "/metrics/rollcall.prom"); err != nil {
		t.Error(err)
	} else if info.Mode().Perm()&0o004 == 0 {
		t.Errorf("the metrics have mode %v: the node exporter cannot read them", info.Mode())
	}
	if strings.Contains(j.stderr.String(), "can be read by others") {
		t.Errorf("it warns of a key that only this user can read:\n%s", j.stderr)
	}

	end = j.terminate(t)
	if end.Event != "interrupted" || end.Published || !slices.Contains(strings.Fields(service["SuccessExitStatus"][0]), "143") {
		t.Errorf("SIGTERM: %+v; want that it was interrupted, and SuccessExitStatus=143", end)
	}
	if end := j.run(t, 0); end.Resumes != 1 {
		t.Errorf("after SIGTERM: %+v; want that it resumed\n%s", end, j.stderr)
	}
	stop, err := time.ParseDuration(service["TimeoutStopSec"][0])
	if err != nil || stop <= 8*time.Second+5*time.Second {
		t.Errorf("TimeoutStopSec=%v (%v), want more than the grace of 8 s and the time to commit", stop, err)
	}
	for _, code := range []int{1, 3, 4, 64} {
		if restarts(service, code) {
			t.Errorf("systemd starts it again after exit code %d, which needs a person", code)
		}
	}
}

// restarts reports whether systemd starts a service again that has exited with a code.
func restarts(service map[string][]string, code int) bool {
	return service["Restart"][0] == "on-failure" &&
		!slices.Contains(strings.Fields(service["RestartPreventExitStatus"][0]), strconv.Itoa(code)) &&
		!slices.Contains(strings.Fields(service["SuccessExitStatus"][0]), strconv.Itoa(code))
}

// readUnit reads a unit: sections of keys and their values.
func readUnit(t *testing.T, path string) map[string]map[string][]string {
	t.Helper()
	unit, section := map[string]map[string][]string{}, ""
	for line := range strings.Lines(read(t, path)) {
		line = strings.TrimSpace(line)
		key, value, isKey := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
			unit[section] = map[string][]string{}
		case isKey:
			unit[section][key] = append(unit[section][key], value)
		}
	}
	return unit
}
