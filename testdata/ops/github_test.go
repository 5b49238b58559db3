//go:build ops

package ops

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const workflowFile = recipes + "/github/experiments.yml"

// TestGitHubWorkflow has actionlint read the workflow, and shellcheck the scripts in it.
func TestGitHubWorkflow(t *testing.T) {
	run(t, exec.Command("tools/bin/actionlint", "-shellcheck", "shellcheck", workflowFile))
}

// TestGitHubSteps runs the steps of the workflow as GitHub does, on pull requests that change nothing, change who gets
// what, break a rule, and have a mistake in the rules. The steps that install and log in are left out.
func TestGitHubSteps(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct {
			Env   map[string]string `yaml:"env"`
			Steps []struct {
				Name string `yaml:"name"`
				Run  string `yaml:"run"`
			} `yaml:"steps"`
		} `yaml:"jobs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, workflowFile)), &workflow); err != nil {
		t.Fatal(err)
	}
	job := workflow.Jobs["diff"]
	live, rules := read(t, "../flags.json"), read(t, recipes+"/github/checkout.rules.yaml")
	for _, tt := range []struct {
		name         string
		configs      string
		rules        string
		failed       string // the step that fails; "" is none
		code         int
		want, absent string
	}{
		{"nothing changes", live, rules, "", 0, "# Snapshot diff: same", "does not hold"},
		{"others get it", strings.ReplaceAll(live, "tW3kPz1q", "another-salt"), rules, "", 0, "Flag `dark-mode`", "does not hold"},
		{"a rule is broken", live, strings.Replace(rules, "min: 35%, max: 50%", "min: 1%, max: 2%", 1), "Whether the rules hold", 4, "checkout-redesign: share of treatment", ""},
		{"a mistake in the rules", live, strings.Replace(rules, "share:", "shares:", 1), "Whether the rules hold", 64, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "experiments"), 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"flags.json": tt.configs, "checkout.rules.yaml": tt.rules,
				"flags.txt": "checkout-redesign\ndark-mode\nonboarding-flow\npricing-test\n"} {
				write(t, filepath.Join(dir, "experiments", name), text, 0o644)
			}
			testdata, err := filepath.Abs("..")
			if err != nil {
				t.Fatal(err)
			}
			summary := filepath.Join(dir, "summary.md")
			env := append(os.Environ(), "PATH="+filepath.Dir(rollcall)+":"+os.Getenv("PATH"), "GITHUB_STEP_SUMMARY="+summary)
			for name, value := range job.Env {
				env = append(env, name+"="+value)
			}
			env = append(env, "USERS="+testdata+"/users.csv", "LIVE="+testdata+"/flags.json")
			var ran []string
			for _, step := range job.Steps {
				if step.Run == "" || step.Name == "Install rollcall" {
					continue
				}
				ran = append(ran, step.Name)
				cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run)
				cmd.Dir, cmd.Env = dir, env
				out, err := cmd.CombinedOutput()
				if step.Name == tt.failed {
					if code := cmd.ProcessState.ExitCode(); code != tt.code {
						t.Errorf("step %q: exit code %d, want %d\n%s", step.Name, code, tt.code, out)
					}
					break
				}
				if err != nil {
					t.Fatalf("step %q: %v\n%s", step.Name, err, out)
				}
			}
			if want := []string{"Evaluate both configurations", "What changes", "Whether the rules hold"}; !slices.Equal(ran, want) {
				t.Errorf("the steps %q ran, want %q", ran, want)
			}
			got := read(t, summary)
			if !strings.Contains(got, tt.want) || tt.absent != "" && strings.Contains(got, tt.absent) {
				t.Errorf("the summary is\n%s\nwant it to have %q, and not %q", got, tt.want, tt.absent)
			}
			if ids := "02290204-54b1-4b02-ac60-4e9e9d31f732"; strings.Contains(got, ids) {
				t.Errorf("the summary has the id of a user, %s:\n%s", ids, got)
			}
		})
	}
}
