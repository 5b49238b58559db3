//go:build ops

package ops

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// findOperators is a program that prints the arguments of each BashOperator in a DAG file, without running the file:
// Airflow is not installed here.
const findOperators = `
import ast, json, sys
def constant(node):
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
tree = ast.parse(open(sys.argv[1]).read())
print(json.dumps([{k.arg: constant(k.value) for k in call.keywords} for call in ast.walk(tree)
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "BashOperator"]))
`

// TestAirflow compiles the DAG file, and runs the commands of its tasks as BashOperator does. Whether Airflow loads it is
// not tried.
func TestAirflow(t *testing.T) {
	dag := recipes + "/airflow/rollcall_assignments.py"
	compile := exec.Command("python3", "-W", "error", "-m", "py_compile", dag)
	compile.Env = append(os.Environ(), "PYTHONPYCACHEPREFIX="+t.TempDir())
	run(t, compile)
	var tasks []struct {
		TaskID         string            `json:"task_id"`
		BashCommand    string            `json:"bash_command"`
		Env            map[string]string `json:"env"`
		AppendEnv      bool              `json:"append_env"`
		Retries        int               `json:"retries"`
		SkipOnExitCode int               `json:"skip_on_exit_code"`
	}
	if err := json.Unmarshal([]byte(run(t, exec.Command("python3", "-c", findOperators, dag))), &tasks); err != nil {
		t.Fatal(err)
	}

	root := makeDirs(t, "srv/exports/dt=2026-11-28", "srv/experiments", "srv/secrets")
	place := strings.NewReplacer("/srv/", root+"/srv/", "{{ data_interval_start | ds }}", "2026-11-28")
	for name, text := range map[string]string{"experiments/flags.txt": "checkout-redesign\nonboarding-flow\npricing-test\n",
		"experiments/checkout.rules.yaml": read(t, recipes+"/github/checkout.rules.yaml"), "secrets/amplitude": recipeKey,
		"exports/dt=2026-11-28/users.csv": read(t, "../users.csv")} {
		if err := os.WriteFile(filepath.Join(root, "srv", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	api := startAPI(t)
	attempt := func(task int) (int, string) {
		one := tasks[task]
		cmd := exec.CommandContext(t.Context(), "bash", "-c", place.Replace(one.BashCommand))
		cmd.Dir = t.TempDir() // BashOperator makes one
		cmd.Env = []string{}
		if one.AppendEnv {
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(rollcall)+":"+os.Getenv("PATH"),
				"ROLLCALL_SERVER="+api.url, "ROLLCALL_MAX_OUTAGE=1s")
		}
		for name, value := range one.Env {
			cmd.Env = append(cmd.Env, name+"="+place.Replace(value))
		}
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	// The rate is on the command line, and would take 20 s.
	tasks[0].BashCommand = strings.Replace(tasks[0].BashCommand, "--rate 100", "--rate 0", 1)
	api.fail()
	if code, said := attempt(0); code != 75 || tasks[0].Retries < 1 {
		t.Errorf("an outage: exit code %d, want 75, and retries, which are %d\n%s", code, tasks[0].Retries, said)
	}
	api.answer()
	var got []string
	for i, one := range tasks {
		got = append(got, one.TaskID)
		code, said := attempt(i)
		if code != 0 {
			t.Errorf("%s: exit code %d\n%s", one.TaskID, code, said)
		}
		if i == 0 && !strings.Contains(said, `"resumes":1`) {
			t.Errorf("the attempt after an outage has not resumed:\n%s", said)
		}
	}
	if d := cmp.Diff([]string{"snapshot", "verify", "check"}, got); d != "" {
		t.Errorf("tasks (-want +got):\n%s", d)
	}
	// Without --max-errors, three users without an id are exit code 3, which is skipped and not tried again.
	tasks[0].BashCommand = strings.Replace(tasks[0].BashCommand, "--max-errors 1%", "", 1)
	if code, said := attempt(0); code != 3 || tasks[0].SkipOnExitCode != 3 {
		t.Errorf("without --max-errors: exit code %d, want 3, and that it is skipped: %d\n%s", code, tasks[0].SkipOnExitCode, said)
	}
}
