package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// newShards returns the manifests of n shards of an input of 10 bytes and 2 rows each, whose outputs are in a directory.
func newShards(t *testing.T, n int) (parts []Part, out string) {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("part-%05d", i))
		if err := os.WriteFile(name+".csv", []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		m := &Manifest{Format: ManifestFormat, RunID: fmt.Sprintf("run-%d", i), Version: "1",
			StartedAt: time.Unix(int64(10*i+10), 0), FinishedAt: time.Unix(int64(10*i+15), 0),
			Options: RunOptions{"layout": "long", "rate": 100.0, "shard": fmt.Sprintf("%d/%d", i+1, n)},
			Shard:   &Shard{Number: i + 1, Of: n},
			Inputs: []File{{Path: "users.csv", Rows: 2, Bytes: 10, Part: &InputPart{From: int64(10 * i), To: int64(10*i + 10),
				Row: int64(2 * i), FileBytes: int64(10 * n), FileVersion: "v"}}},
			Outputs: []File{{Path: name + ".csv", Bytes: 2, Rows: 1, SHA256: "s"}, {Path: name + ".errors.jsonl", Rows: 1}},
			Users:   Users{Read: 2, Answered: 1, Failed: 1, FailedByKind: map[pipeline.Kind]int64{pipeline.KindMissingID: 1}},
			Flags:   []FlagCount{{Flag: "a", Assigned: 1, Variants: []VariantCount{{"on", 1}}}}, NobodyGot: []string{"b"},
			Requests: Requests{Sent: 3, Retries: 1, Statuses: map[string]int64{"200": 2, "429": 1}, PerSecond: 5,
				Latency: Latency{Max: float64(i)}},
			Warnings: []string{"of all", fmt.Sprintf("of %d", i)}, NoTrack: []string{"honoured", "unproven"}[i%2],
			FlagChanges: &FlagChanges{State: []FlagState{FlagsUnchanged, FlagsUnknown}[i%2]},
		}
		if i == 0 {
			m.Flags, m.NobodyGot = append(m.Flags, FlagCount{Flag: "b", Assigned: 1, Variants: []VariantCount{{"x", 1}}}), nil
		}
		parts = append(parts, Part{name + ".csv.manifest.json", m})
	}
	return parts, filepath.Join(dir, "manifest.json")
}

func isFree(option string) bool { return option == "rate" }

func TestMerge(t *testing.T) {
	parts, out := newShards(t, 3)
	parts[1].Manifest.Options["rate"] = 50.0
	parts[0], parts[2] = parts[2], parts[0]
	m, err := Merge(nil, parts, out, isFree, "job", File{Path: "e.jsonl", Rows: 3})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %d/%d/%d %v %v %v\n%v %v %v\n%+v %v\n%s %s %q", m.RunID, m.Users.Read, m.Users.Answered, m.Users.Failed,
		m.Users.FailedByKind, m.StartedAt.Unix(), m.FinishedAt.Unix(), m.Flags, m.NobodyGot, m.Inputs, m.Requests, m.Shards,
		m.NoTrack, m.FlagChanges.State, m.Warnings)
	want := `job 6/3/3 map[missing_id:3] 10 35
[{a 3 0 [{on 3}]} {b 1 2 [{x 1}]}] [] [{users.csv 30 6  <nil> <nil>}]
{Sent:9 Retries:3 Pauses:0 Statuses:map[200:6 429:3] PerSecond:15 FoundRate:0 Latency:{P50:0 P90:0 P99:0 Max:2} Method: Posted:0} ` +
		`[{1 run-0 part-00000.csv.manifest.json} {2 run-1 part-00001.csv.manifest.json} {3 run-2 part-00002.csv.manifest.json}]
unproven unknown ["of all" "shard 1: of 0" "shard 2: of 1" "shard 3: of 2"]`
	if got != want {
		t.Errorf("Merge makes\n%s\nwant\n%s", got, want)
	}
	output := m.Outputs[0]
	if filepath.Base(output.Path) != "part.csv" || output.Rows != 3 || output.Bytes != 6 || len(output.Partitioned.Files) != 3 ||
		output.Partitioned.Files[2].Path != "part-00002.csv" || output.Partitioned.Check(output.Path) != nil {
		t.Errorf("Merge makes the output %+v of %+v", output, output.Partitioned)
	}
	if !m.isOfRun("run-1") || !m.isOfRun("job") || m.isOfRun("run-9") {
		t.Error("isOfRun does not know the runs of the shards, or others")
	}
}

func TestMergeErrors(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func(parts []Part) []Part
	}{
		{"one is missing", "1 shard is missing: 2/3", func(p []Part) []Part { return append(p[:1], p[2]) }},
		{"two are missing", "2 shards are missing: 1/3, 3/3", func(p []Part) []Part { return p[1:2] }},
		{"one is duplicated", "shard 1/3 is duplicated", func(p []Part) []Part { return append(p, p[0]) }},
		{"another number of shards", "is one of 2 shards, others are of 3", func(p []Part) []Part {
			p[1].Manifest.Shard.Of = 2
			return p
		}},
		{"not a shard", "is not the manifest of a shard", func(p []Part) []Part {
			p[1].Manifest.Shard = nil
			return p
		}},
		{"other options", `shard 1 has --layout "long", shard 2 has "wide"`, func(p []Part) []Part {
			p[1].Manifest.Options["layout"] = "wide"
			return p
		}},
		{"another version", "version of rollcall 1, shard 3 has 2", func(p []Part) []Part {
			p[2].Manifest.Version = "2"
			return p
		}},
		{"other configurations", "flag configurations with the SHA-256 none, shard 2 has abc", func(p []Part) []Part {
			p[1].Manifest.FlagConfigs = &File{SHA256: "abc"}
			return p
		}},
		{"a flag was edited", "flag f was edited between shards 1 and 3", func(p []Part) []Part {
			p[0].Manifest.Shard.Flags = &pipeline.FlagVersions{Flags: map[string]pipeline.FlagVersion{"f": {Version: "1"}}}
			p[2].Manifest.Shard.Flags = &pipeline.FlagVersions{Flags: map[string]pipeline.FlagVersion{"f": {Version: "2"}}}
			return p
		}},
		{"other columns", "shards 1 and 2 do not have the same columns", func(p []Part) []Part {
			p[1].Manifest.Layout.Wide = true
			return p
		}},
		{"rows are missing", "rows 3 to 3 of the input are in no shard", func(p []Part) []Part {
			p[1].Manifest.Inputs[0].Part.Row = 3
			return p
		}},
		{"a gap between bytes", "the parts of users.csv do not fit together at byte 12", func(p []Part) []Part {
			p[1].Manifest.Inputs[0].Part.From = 12
			return p
		}},
		{"the end is missing", "the shards have read 29 of 30 bytes", func(p []Part) []Part {
			p[2].Manifest.Inputs[0].Part.To = 29
			return p
		}},
		{"the input was replaced", "users.csv was replaced between two shards", func(p []Part) []Part {
			p[1].Manifest.Inputs[0].Part.FileVersion = "w"
			return p
		}},
		{"not a part", "does not say which part of users.csv it has read", func(p []Part) []Part {
			p[1].Manifest.Inputs[0].Part = nil
			return p
		}},
		{"another name", "is not named as shard 2", func(p []Part) []Part {
			p[1].Manifest.Outputs[0].Path = strings.Replace(p[1].Manifest.Outputs[0].Path, "00001", "00007", 1)
			return p
		}},
		{"a file was cut", "has 2 bytes, its manifest says 3", func(p []Part) []Part {
			p[1].Manifest.Outputs[0].Bytes = 3
			return p
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parts, out := newShards(t, 3)
			_, err := Merge(nil, tt.change(parts), out, isFree, "job", File{})
			if _, ok := errors.AsType[*MergeError](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Merge = %v, want a MergeError with %q", err, tt.want)
			}
		})
	}
}
