//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRootOf(t *testing.T) {
	for _, tt := range []struct{ name, stack, want string }{
		{"a goroutine", "runtime.memmove a.encode a.work runtime.goexit", "a.work"},
		{"without goexit", "runtime.memmove a.work", "a.work"},
		{"of an errgroup", "a.work golang.org/x/sync/errgroup.(*Group).Go.func1 runtime.goexit", "a.work"},
		{"of a WaitGroup", "a.work sync.(*WaitGroup).Go.func1", "a.work"},
		{"main", "a.work main.main runtime.main runtime.goexit", "runtime.main"},
		{"nothing else", "runtime.goexit", "runtime.goexit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := rootOf(strings.Fields(tt.stack)); got != tt.want {
				t.Errorf("rootOf(%s) = %s, want %s", tt.stack, got, tt.want)
			}
		})
	}
}

func TestShareOut(t *testing.T) {
	const moments = `{"a.wait\na.worker\nruntime.goexit":1,"a.write\na.emitter\nruntime.goexit":1}
{"a.wait\na.worker\nruntime.goexit":2,"a.encode\na.worker\nruntime.goexit":2,"main.main\nruntime.main":1}
`
	most, err := countGoroutines(strings.NewReader(moments))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"a.worker": 4, "a.emitter": 1, "runtime.main": 1}, most); diff != "" {
		t.Errorf("goroutines (-want +got):\n%s", diff)
	}
	const traces = `File: rollcall
Type: cpu
Duration: 1s, Total samples = 1.05s (105%)
-----------+-------------------------------------------------------
      10ms   runtime.memmove (inline)
             a.encode
             a.worker
-----------+-------------------------------------------------------
     490ms   a.encode
             a.worker
-----------+-------------------------------------------------------
     0.25s   a.write
             a.emitter
             golang.org/x/sync/errgroup.(*Group).Go.func1
-----------+-------------------------------------------------------
      50ms   main.main
             runtime.main
-----------+-------------------------------------------------------
     200ms   runtime.scanobject
             runtime.gcBgMarkWorker
-----------+-------------------------------------------------------
      50ms   runtime.GoroutineProfile
             main.runProfiled.func1
-----------+-------------------------------------------------------
`
	got, err := shareOut(traces, most)
	if err != nil {
		t.Fatal(err)
	}
	want := []share{{"a.worker", 50, false}, {"a.emitter", 25, true}, {"runtime.gcBgMarkWorker", 20, false},
		{"runtime.main", 5, true}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(share{}), cmp.Comparer(func(a, b float64) bool {
		return a-b < 1e-9 && b-a < 1e-9
	})); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	if _, err := shareOut("File: rollcall\n", most); err == nil {
		t.Error("a profile without samples: no error")
	}
	if _, err := countGoroutines(strings.NewReader(`{"a":`)); err == nil {
		t.Error("a file of goroutines that is cut: no error")
	}
}

// The command can be built with the profile that it does not have itself, and leaves what readShares reads.
func TestBuildProfiled(t *testing.T) {
	t.Chdir("../..")
	b := bench{dir: t.TempDir()}
	binary, err := b.buildProfiled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	profile := filepath.Join(b.dir, "profile")
	cmd := exec.CommandContext(t.Context(), binary, "version")
	cmd.Env = cleanEnv("BENCHJOB_PROFILE=" + profile)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "rollcall ") {
		t.Fatalf("rollcall version: %v\n%s", err, out)
	}
	for _, path := range []string{profile, profile + ".json"} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("nothing was profiled: %v", err)
		}
	}
}
