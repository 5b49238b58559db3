package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// storeLab is a bucket in memory, and the command with it.
type storeLab struct {
	*testing.T
	memory *pipelinetest.Memory
	stores *blob.Stores
}

// inStoreLab runs a test with the bucket s3://bucket, in a bubble in which time passes at once.
func inStoreLab(t *testing.T, f func(lab *storeLab)) {
	synctest.Test(t, func(t *testing.T) {
		m := &pipelinetest.Memory{}
		f(&storeLab{t, m, blob.NewStores(map[string]blob.Store{"s3": {
			Open: func(context.Context, string) (blob.Bucket, error) { return m, nil }}})})
	})
}

// startRun begins what a run of an output with two outputs and error records has in a bucket. Its process is killed, or
// goes on until the test has ended.
func (lab *storeLab) startRun(out string, killed bool) {
	lab.Helper()
	ctx, end := context.WithCancel(context.Background())
	holder := journal.NewHolder(ctx, nil)
	place := func(name string) *journal.InBucket {
		return &journal.InBucket{Holder: holder, Bucket: lab.memory, Key: journal.PathFor(fixedName(name)), URL: name}
	}
	started := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	w, err := journal.CreateIn(place(out), journal.Header{RunID: "20261128T030000Z-abc", StartedAt: started})
	if err != nil {
		lab.Fatal(err)
	}
	if err := w.Append(&journal.Record{Row: 1, At: started, Body: "{}"}); err != nil {
		lab.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		lab.Fatal(err)
	}
	errs := strings.TrimSuffix(out, ".csv") + ".errors.jsonl"
	if _, err := journal.LockIn(place(errs)); err != nil {
		lab.Fatal(err)
	}
	v := nameValues{started, "20261128T030000Z-abc"}
	for _, key := range []string{out, out + ".manifest.json", errs} {
		lab.stage(v.expand(key))
	}
	if !killed {
		lab.Cleanup(func() {
			end()
			time.Sleep(time.Minute)
		})
		return
	}
	end()
	time.Sleep(time.Minute)
}

func (lab *storeLab) stage(key string) {
	lab.Helper()
	if _, err := lab.memory.Stage(lab.Context(), key, blob.Condition{}); err != nil {
		lab.Fatal(err)
	}
}

// left is what is in the bucket: objects, and uploads by the names that they would have.
func (lab *storeLab) left() (left []string) {
	for _, key := range lab.memory.Keys() {
		left = append(left, key[:min(strings.Index(key+"-journal/", "-journal/"), len(key))])
	}
	for p, err := range lab.memory.Pending(lab.Context(), "") {
		if err != nil {
			lab.Fatal(err)
		}
		left = append(left, "upload of "+p.Key)
	}
	slices.Sort(left)
	return slices.Compact(left)
}

func (lab *storeLab) run(args ...string) (code int, out, said string) {
	var stdout, stderr bytes.Buffer
	code = run(args, &env{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Stores: lab.stores,
		Soft: lab.Context(), Hard: lab.Context(), LookupEnv: func(string) (string, bool) { return "", false }})
	return code, stdout.String(), stderr.String()
}

// TestCleanStore: what killed runs have left in a bucket goes, and nothing else.
func TestCleanStore(t *testing.T) {
	const a, b = "dir/a.csv", "dir/b.csv"
	all := func(out string) []string {
		dir, name, _ := strings.Cut(out, "/")
		name = strings.TrimSuffix(name, ".csv")
		return []string{dir + "/." + name + ".csv.rollcall", dir + "/." + name + ".csv.rollcall-lease",
			dir + "/." + name + ".errors.jsonl.rollcall-lease", "upload of " + out, "upload of " + out + ".manifest.json",
			"upload of " + dir + "/" + name + ".errors.jsonl"}
	}
	inDir := []string{"s3://bucket/dir/"}
	for _, tt := range []struct {
		name  string
		setUp func(lab *storeLab)
		args  []string
		left  []string
		says  []string
	}{
		{"a directory", func(lab *storeLab) { lab.startRun(a, true); lab.startRun(b, true) }, inDir, nil,
			[]string{"removed s3://bucket/dir/.a.csv.rollcall (3 objects, ",
				"aborted the upload of s3://bucket/dir/b.csv, begun"}},
		{"a directory without its slash", func(lab *storeLab) { lab.startRun(a, true) }, []string{"s3://bucket/dir"}, nil,
			nil},
		{"an output", func(lab *storeLab) { lab.startRun(a, true); lab.startRun(b, true) }, []string{"s3://bucket/dir/a.csv"},
			all(b), nil},
		{"a dry run", func(lab *storeLab) { lab.startRun(a, true) }, []string{"s3://bucket/dir/", "--dry-run"}, all(a),
			[]string{"would remove s3://bucket/dir/.a.csv.rollcall (",
				"would abort the upload of s3://bucket/dir/a.csv, begun"}},
		{"in use", func(lab *storeLab) { lab.startRun(a, false); lab.startRun(b, true) }, inDir, all(a),
			[]string{"a run is using s3://bucket/dir/.a.csv.rollcall"}},
		{"an output in use", func(lab *storeLab) { lab.startRun(a, false) }, []string{"s3://bucket/dir/a.csv"}, all(a),
			[]string{"nothing to remove"}},
		{"the directory above", func(lab *storeLab) { lab.startRun(a, false) }, []string{"s3://bucket/"}, all(a),
			[]string{"nothing to remove"}},
		{"too young", func(lab *storeLab) { lab.startRun(a, true) }, []string{"s3://bucket/dir/", "--older-than", "1h"},
			all(a), []string{"nothing to remove"}},
		{"old enough", func(lab *storeLab) { lab.startRun(a, true); time.Sleep(2 * time.Hour) },
			[]string{"s3://bucket/dir/", "--older-than", "1h"}, nil, nil},
		{"uploads without a journal", func(lab *storeLab) {
			lab.stage(a)
			lab.stage("dir/other.csv")
			time.Sleep(time.Second)
		}, []string{"s3://bucket/dir/a.csv"}, []string{"upload of dir/other.csv"}, nil},
		{"uploads of others", func(lab *storeLab) {
			lab.startRun(a, true)
			lab.stage("dir/a.csv.bak")
			lab.stage("dir/a.csv/x")
			lab.stage("elsewhere/a.csv")
			time.Sleep(time.Second)
		}, inDir,
			[]string{"upload of dir/a.csv.bak", "upload of dir/a.csv/x", "upload of elsewhere/a.csv"}, nil},
		{"partitions", func(lab *storeLab) {
			lab.startRun(a, true)
			lab.stage("dir/country=DE/a-00000.csv")
			lab.stage("dir/country=DE/x-00000.csv")
			time.Sleep(time.Second)
		}, inDir, []string{"upload of dir/country=DE/x-00000.csv"}, nil},
		{"a name with placeholders", func(lab *storeLab) {
			lab.startRun("dir/dt={date}/a.csv", true)
			lab.stage("dir/dt=2026-11-27/a.csv")
			time.Sleep(time.Second)
		}, []string{"s3://bucket/dir/dt={date}/a.csv"}, []string{"upload of dir/dt=2026-11-27/a.csv"},
			[]string{"aborted the upload of s3://bucket/dir/dt=2026-11-28/a.csv, begun"}},
		{"what a removed journal has left", func(lab *storeLab) {
			lab.startRun(a, true)
			if err := lab.memory.Delete(lab.Context(), "dir/.a.csv.rollcall-journal/.00000001"); err != nil {
				lab.Fatal(err)
			}
		}, inDir, nil, nil},
		{"nothing", func(*storeLab) {}, inDir, nil, []string{"nothing to remove"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inStoreLab(t, func(lab *storeLab) {
				tt.setUp(lab)
				code, out, said := lab.run(append([]string{"clean"}, tt.args...)...)
				left, want := lab.left(), slices.Sorted(slices.Values(tt.left))
				if code != exitOK || !slices.Equal(left, want) {
					t.Errorf("clean %q: exit %d, left %q; want %q\n%s%s", tt.args, code, left, want, out, said)
				}
				for _, text := range tt.says {
					if strings.Count(out+said, text) != 1 {
						t.Errorf("it does not say %q once:\n%s%s", text, out, said)
					}
				}
			})
		})
	}
}
