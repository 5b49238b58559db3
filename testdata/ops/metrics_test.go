//go:build ops

package ops

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMetrics has promtool check the names, help texts and form of what a run writes, of one that fails, too.
func TestMetrics(t *testing.T) {
	directory := t.TempDir()
	for _, test := range []struct {
		name string
		code int
		args []string
		want []string
	}{
		{name: "remote", code: 0, args: []string{"--server", "embedded"},
			want: []string{"rollcall_request_duration_seconds_bucket{", `rollcall_requests{output=`, "} 1997\n"}},
		{name: "local", code: 0, args: []string{"--evaluator", "local"}, want: []string{`rollcall_input_users{output=`, "} 1997\n"}},
		{name: "failed", code: 1, args: []string{"--evaluator", "local", "--min-users", "5000"},
			want: []string{"rollcall_run_exit_code{"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(directory, test.name+".prom")
			args := append([]string{"snapshot", "../users.csv", "--quiet", "--flag-configs", "../flags.json", "--max-errors", "3",
				"--out", filepath.Join(directory, test.name+".csv"), "--metrics", file}, test.args...)
			cmd := exec.Command(rollcall, args...)
			if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != test.code {
				t.Fatalf("%v: exit code %d, want %d\n%s", cmd.Args, cmd.ProcessState.ExitCode(), test.code, out)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(string(data), want) {
					t.Errorf("%s has no %s:\n%s", file, want, data)
				}
			}
			check := exec.Command("promtool", "check", "metrics")
			check.Stdin = strings.NewReader(string(data))
			if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("promtool check metrics: %v\n%s\n%s", err, out, data)
			}
		})
	}
}

// TestAlerts runs the tests of the alert rules.
func TestAlerts(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "rollcall.rules.yml"}, {"test", "rules", "rollcall.rules.test.yml"}} {
		t.Run(args[0], func(t *testing.T) {
			cmd := exec.Command("promtool", args...)
			cmd.Dir = "../recipes/prometheus"
			run(t, cmd)
		})
	}
}
