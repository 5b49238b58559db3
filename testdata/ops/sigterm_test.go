//go:build ops

package ops

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSIGTERM ends the command as container platforms do: it is process 1, for which a signal has no default effect, and
// gets SIGTERM. Whether the requests in flight are answered or hang, it exits with 143 by itself, nothing is published, the
// last line of the log says so, and the same command resumes.
func TestSIGTERM(t *testing.T) {
	for _, test := range []struct {
		name  string
		hangs bool
	}{{"requests in flight are answered", false}, {"requests in flight hang", true}} {
		t.Run(test.name, func(t *testing.T) {
			root := makeDirs(t, "data", "secret")
			write(t, root+"/secret/key", recipeKey, 0o400)
			write(t, root+"/data/users.csv", read(t, "../users.csv"), 0o644)
			j := &job{api: startAPI(t), dir: "/", user: nobody(), writable: []string{root + "/data"}, args: []string{"snapshot",
				root + "/data/users.csv", "--out", root + "/data/assignments.parquet", "--key-file", root + "/secret/key",
				"--log-format", "json", "--max-errors", "1%", "--grace", "1s"}}
			arrived, release := j.api.hold()
			defer release()
			j.start(t)
			j.await(t, arrived)
			if err := j.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			j.await(t, j.stderr.stopping)
			if !test.hangs {
				release()
			}
			end := j.wait(t, 143)
			release()
			if end.Event != "interrupted" || end.Published || !strings.Contains(end.Message, "nothing was published") ||
				end.Hint != "run the same command again: it goes on from there" {
				t.Errorf("the last line is %+v; want that it was interrupted, that nothing was published, and what to do", end)
			}
			if files, err := filepath.Glob(root + "/data/assignments*"); err != nil || len(files) > 0 {
				t.Errorf("published: %v (%v), want nothing", files, err)
			}
			if _, err := os.Stat(root + "/data/.assignments.parquet.rollcall"); err != nil {
				t.Errorf("the journal: %v", err)
			}
			if end := j.run(t, 0); end.Event != "finished" || end.Resumes != 1 {
				t.Errorf("the same command again: %+v; want that it resumed and finished\n%s", end, j.stderr)
			}
		})
	}
}
