//go:build ops

package ops

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

const recipes = "../recipes"

// ofOthers are the options of other programs that the pages mention.
var ofOthers = map[string]bool{"--files": true} // spark-submit

// TestRecipeOptions parses every command line in the recipes and in the README with the command itself: --help at the
// end has it read all options and run nothing. Options that only a text mentions must exist, too.
func TestRecipeOptions(t *testing.T) {
	_, list, _ := strings.Cut(run(t, exec.Command(rollcall, "--help")), "Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var commands []string
	known := maps.Clone(ofOthers)
	for _, match := range regexp.MustCompile(`(?m)^  ([a-z]+)`).FindAllStringSubmatch(list, -1) {
		commands = append(commands, match[1])
		for _, option := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(run(t, exec.Command(rollcall, match[1], "--help")), -1) {
			known[option] = true
		}
	}
	// A command is found in what is around it: a shell script, a unit, a page.
	commandLine := regexp.MustCompile("(?m)(?:^|[\\s=\"'`(/])rollcall (?:" + strings.Join(commands, "|") + ")\\b[^|&;<>`)\\n]*")
	lines := 0
	for _, file := range recipeFiles(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "\\\n", " ")
		text = regexp.MustCompile(`\$?\{\{.*?\}\}`).ReplaceAllString(text, "x") // templates of GitHub, Airflow and dbt
		for _, line := range commandLine.FindAllString(text, -1) {
			line = line[strings.Index(line, "rollcall "):]
			if strings.Count(line, `"`)%2 == 1 { // the end of the string that the command is in
				line = line[:strings.LastIndex(line, `"`)]
			}
			lines++
			cmd := exec.Command("sh", "-f", "-c", "exec "+line+" --help")
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(rollcall)+":"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", file, line, err, out)
			}
		}
		if strings.HasPrefix(file, recipes) && strings.HasSuffix(file, ".md") {
			for _, match := range regexp.MustCompile("`(--[a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
				if !known[match[1]] {
					t.Errorf("%s mentions %s, which no command has", file, match[1])
				}
			}
		}
	}
	if lines < 35 {
		t.Errorf("%d command lines were found, want at least 35: is the pattern out of date?", lines)
	}
}

// recipeFiles are the files of all recipes, and the README.
func recipeFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(recipes, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(files, "../../README.md")
}

// job is a recipe's command. It asks an API of this machine; a rate would only make the test slower.
type job struct {
	api  *api
	args []string
	dir  string
	env  []string
	user *syscall.Credential // nil: this process's

	writable []string // not nil: it runs in a container, which may write to these directories alone; see contain

	cmd    *exec.Cmd     // after start, as all of these
	ended  chan struct{} // closed when it has ended
	stderr *jobLog
	maxRSS int64 // in KiB, when it has ended
}

// jobLog is what a job writes to standard error. stopping is closed when it says that it has got a signal: from then on
// it asks about nobody else.
type jobLog struct {
	text     bytes.Buffer
	stopping chan struct{}
	once     sync.Once
}

func (l *jobLog) Write(p []byte) (int, error) {
	n, err := l.text.Write(p)
	if strings.Contains(l.text.String(), "interrupted: finishing the ") {
		l.once.Do(func() { close(l.stopping) })
	}
	return n, err
}

func (l *jobLog) String() string { return l.text.String() }

// start starts the job.
func (j *job) start(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rollcall, j.args...)
	cmd.Dir = j.dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ROLLCALL_") }),
		append(j.env, "ROLLCALL_SERVER="+j.api.url, "ROLLCALL_RATE=0", "ROLLCALL_MAX_OUTAGE=1s")...)
	j.cmd, j.ended, j.stderr = cmd, make(chan struct{}), &jobLog{stopping: make(chan struct{})}
	cmd.Stderr = j.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: j.user}
	if j.writable != nil && j.user != nil {
		contain(cmd, j.user, j.writable)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func(ended chan struct{}) {
		_ = cmd.Wait() // wait looks at the exit code
		close(ended)
	}(j.ended)
}

// await waits until something has happened. The job must not have ended before.
func (j *job) await(t *testing.T, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-j.ended:
		select {
		case <-happened: // both, on a slow machine
			return
		default:
		}
		t.Fatalf("%v has ended too early: %v\n%s", j.cmd.Args, j.cmd.ProcessState, j.stderr)
	}
}

// ending is the last line of the JSON log.
type ending struct {
	Message   string `json:"msg"`
	Hint      string `json:"hint"`
	Event     string `json:"event"`
	ExitCode  int    `json:"exit_code"`
	Published bool   `json:"published"`
	Resumes   int    `json:"resumes"`
}

// wait waits for the end of the job, which must be with that code, and returns the log's last line.
func (j *job) wait(t *testing.T, code int) ending {
	t.Helper()
	<-j.ended
	cmd := j.cmd
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		j.maxRSS = usage.Maxrss
	}
	log := strings.TrimSpace(j.stderr.String())
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%v: exit code %d, want %d\n%s", cmd.Args, got, code, log)
	}
	var last ending
	if err := json.Unmarshal([]byte(log[strings.LastIndex(log, "\n")+1:]), &last); err != nil || last.ExitCode != code {
		t.Errorf("%v: the last line of the log is not JSON that says exit code %d (%v):\n%s", cmd.Args, code, err, log)
	}
	return last
}

// run runs the job to its end.
func (j *job) run(t *testing.T, code int) ending {
	t.Helper()
	j.start(t)
	return j.wait(t, code)
}

// terminate sends SIGTERM after enough answers, as container platforms and systemd do. Nobody else is answered before.
func (j *job) terminate(t *testing.T) ending {
	t.Helper()
	arrived, release := j.api.hold()
	defer release()
	j.start(t)
	j.await(t, arrived)
	if err := j.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	j.await(t, j.stderr.stopping)
	release()
	return j.wait(t, 143)
}

// api is the Evaluation API of a test. Its address is part of what a run is bound to, so a run and its next attempt
// have the same one.
type api struct {
	url    string
	script atomic.Pointer[func(n int64) *evalserver.Fault]
	n      atomic.Int64
}

// startAPI starts an API with the flags of the tests. It answers everybody.
func startAPI(t *testing.T) *api {
	t.Helper()
	eng, err := engine.Parse([]byte(read(t, "../flags.json")), engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{}
	a.answer()
	server, err := evalserver.Start("127.0.0.1:0", evalserver.New(eng, evalserver.Config{Key: recipeKey,
		Script: func(*evalserver.Request, int) *evalserver.Fault { return (*a.script.Load())(a.n.Add(1)) }}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	a.url = server.URL()
	return a
}

// behave sets what happens to the n-th request from now on; nil is an answer.
func (a *api) behave(script func(n int64) *evalserver.Fault) {
	a.n.Store(0)
	a.script.Store(&script)
}

// answer has the API answer everybody.
func (a *api) answer() { a.behave(func(int64) *evalserver.Fault { return nil }) }

// enough is how many answers are more than the window of a run, which is 1024 users: so some are in the journal.
const enough = 1500

// fail has the API answer enough requests, and then none.
func (a *api) fail() {
	a.behave(func(n int64) *evalserver.Fault {
		if n > enough {
			return &evalserver.Fault{Kind: "503"}
		}
		return nil
	})
}

// hold has the API answer enough requests, and the others when release is called. arrived gets a value when one waits.
func (a *api) hold() (arrived chan struct{}, release func()) {
	arrived, held := make(chan struct{}, 1), make(chan struct{})
	a.behave(func(n int64) *evalserver.Fault {
		if n <= enough {
			return nil
		}
		select {
		case arrived <- struct{}{}:
		default:
		}
		<-held
		return nil
	})
	return arrived, sync.OnceFunc(func() {
		close(held)
		a.answer()
	})
}

// recipeKey is the key that the API of the tests takes.
const recipeKey = "recipe-canary-0123456789"

// nobody is the user that jobs run as where this process is root's; nil elsewhere.
func nobody() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

// makeDirs makes directories that the user nobody owns, below a new one, and returns that.
func makeDirs(t *testing.T, names ...string) string {
	t.Helper()
	root, err := os.MkdirTemp("", "recipe") // not t.TempDir, whose parent others cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if user := nobody(); user != nil {
			if err := os.Chown(dir, int(user.Uid), int(user.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// write writes a file for the user nobody.
func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if user := nobody(); user != nil {
		if err := os.Chown(path, int(user.Uid), int(user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// read reads a file.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
