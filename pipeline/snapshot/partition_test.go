package snapshot

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sinks"
)

// partitionedRun is a run with an output in one piece, and the same output in several files.
type partitionedRun struct {
	*run
	format string
	parts  sinks.Partitioning
}

// write writes the files of the run, and returns the name of the manifest.
func (r *partitionedRun) write(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	spec := r.spec
	spec.Version, spec.Meta = "1", map[string]string{"rollcall.run_id": "r1"}
	columns, err := spec.Columns()
	if err != nil {
		t.Fatal(err)
	}
	out, err := sinks.CreatePartitioned(t.Context(), filepath.Join(folder, "part."+r.format), spec, r.parts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.outcomes {
		if err := out.Write(&r.outcomes[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	info := out.Info()
	f := File{Path: "run/part." + r.format, Bytes: info.Bytes, Rows: info.Rows, SHA256: info.SHA256,
		Partitioned: &Partitioned{By: r.parts.By, Files: []PartitionFile{}}}
	for _, part := range out.Files() {
		err := errors.Join(os.MkdirAll(filepath.Dir(part.Path), 0o700), os.Rename(part.Temp, part.Path))
		if err != nil {
			t.Fatal(err)
		}
		f.Partitioned.Files = append(f.Partitioned.Files, PartitionFile{Path: part.Below, Bytes: part.Bytes, Rows: part.Rows,
			SHA256: part.SHA256})
	}
	edit := r.edit
	r.run.edit = func(m *Manifest) {
		for _, c := range columns {
			m.Layout.Columns = append(m.Layout.Columns, Column{Name: c.Name, Type: c.Type.String(), Required: c.Required,
				Precision: c.Precision, Scale: c.Scale})
		}
		m.Layout.Flags = r.spec.Flags
		if r.options["flags"] == "" && r.options["flags-from"] == "" {
			m.Layout.Flags = nil
		}
		m.Outputs = slices.Insert(m.Outputs, 1, f)
		if edit != nil {
			edit(m)
		}
	}
	r.formats = []string{"parquet"}
	return r.run.write(t, folder)
}

// TestPartitionedOutputsAreTheSame: Verify compares an output in one piece with the same one in several files, value by
// value, of any layout and format and by any columns.
func TestPartitionedOutputsAreTheSame(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	all := runs()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := &partitionedRun{run: all[name], format: allFormats[random.IntN(len(allFormats))]}
		if random.IntN(2) == 0 {
			r.format = "parquet"
		}
		r.outcomes = r.outcomes[:min(len(r.outcomes), 120+random.IntN(120))]
		columns, err := r.spec.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var by []string
		for i, c := range columns {
			one := sinks.Partitioning{By: []string{c.Name}}
			// A user has an id of their own, and an empty text of plan comes back as null.
			if i != colUser && c.Name != "plan" && c.Name != "evaluation_id" && one.Check(&r.spec) == nil {
				by = append(by, c.Name)
			}
		}
		random.Shuffle(len(by), func(i, j int) { by[i], by[j] = by[j], by[i] })
		r.parts = sinks.Partitioning{By: by[:random.IntN(4)], RowsPerFile: []int64{0, 0, 5, 40}[random.IntN(4)]}
		if !r.parts.Enabled() {
			r.parts.By = by[:1]
		}
		t.Run(name, func(t *testing.T) {
			t.Logf("seed %d: %s by %q, %d rows a file, of %d outcomes", seed, r.format, r.parts.By, r.parts.RowsPerFile,
				len(r.outcomes))
			manifest := r.write(t)
			if found := findings(t, manifest); len(found) > 0 {
				t.Errorf("found %d: %q", len(found), found[:min(len(found), 5)])
			}
		})
	}
}

// TestManyPartitionsAreOneOutput: more partitions than are open at once.
func TestManyPartitionsAreOneOutput(t *testing.T) {
	for _, format := range []string{"csv", "jsonl", "parquet"} {
		t.Run(format, func(t *testing.T) {
			r := &partitionedRun{run: runs()["included"], format: format,
				parts: sinks.Partitioning{By: []string{"flag_key", "seats", "rate", "device_id"}, RowsPerFile: 20}}
			r.outcomes = r.outcomes[:300]
			manifest := r.write(t)
			m, err := ReadManifest(nil, manifest)
			if err != nil {
				t.Fatal(err)
			}
			if parts, err := m.Outputs[1].Partitioned.partitions("x/part." + format); err != nil || len(parts) <= 2*mergedTables {
				t.Fatalf("%d partitions, %v; want more than %d", len(parts), err, 2*mergedTables)
			}
			if found := findings(t, manifest); len(found) > 0 {
				t.Errorf("found %q", found)
			}
			// Columns that nobody wants are not needed to put rows in order.
			run, err := Open(nil, filepath.Join(filepath.Dir(manifest), "part."+format))
			if err != nil {
				t.Fatal(err)
			}
			users, err := run.Users(Options{NoIDs: true, NoPayloads: true, NoIncluded: true, NoCarried: true})
			if err != nil {
				t.Fatal(err)
			}
			var u User
			for err = users.Next(&u); err == nil; err = users.Next(&u) {
			}
			if err != io.EOF || len(run.Problems) > 0 || users.Close() != nil {
				t.Errorf("read: %v, %v", err, run.Problems)
			}
		})
	}
}

// TestOpenPartitioned: a run is opened by the name of its output, the directory, or the manifest.
func TestOpenPartitioned(t *testing.T) {
	r := &partitionedRun{run: runs()["flags asked for"], format: "csv", parts: sinks.Partitioning{By: []string{"flag_key"}}}
	r.outcomes = r.outcomes[:50]
	r.edit = func(m *Manifest) { m.Outputs = m.Outputs[1:] }
	manifest := r.write(t)
	dir := filepath.Dir(manifest)
	own := filepath.Join(dir, "part.csv.manifest.json")
	if err := os.Rename(manifest, own); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{own, filepath.Join(dir, "part.csv"), dir, dir + "/"} {
		run, err := Open(nil, name)
		if err != nil {
			t.Errorf("Open(%q): %v", name, err)
			continue
		}
		if run.Path != filepath.Join(dir, "part.csv") || run.Listed == nil || len(run.Problems) > 0 {
			t.Errorf("Open(%q) opened %s, %v", name, run.Path, run.Problems)
		}
		if err := run.CheckSize(); err != nil || len(run.Problems) > 0 {
			t.Errorf("%s: CheckSize: %v, %v", name, err, run.Problems)
		}
		if compared, err := run.Checksum(t.Context()); !compared || err != nil || len(run.Problems) > 0 {
			t.Errorf("%s: Checksum: %v, %v, %v", name, compared, err, run.Problems)
		}
		if found, err := FindManifest(nil, name); name != own && (found != own || err != nil) {
			t.Errorf("FindManifest(%q) = %q, %v", name, found, err)
		}
	}
	part := filepath.Join(dir, "flag_key==a", "part-00000.csv")
	part = strings.ReplaceAll(part, "==", "=%3D")
	if _, err := os.Stat(part); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(nil, part); err == nil || !strings.Contains(err.Error(), "one of 3 files") ||
		!strings.Contains(pipeline.Hint(err), "part.csv") {
		t.Errorf("Open(%q): %v, want an error", part, err)
	}
	if run, err := Open(nil, filepath.Join(dir, "other.csv")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opened what is not there: %v, %v", run, err)
	}
}

// TestVerifyPartitions: what is wrong with the files of a partitioned output is found.
func TestVerifyPartitions(t *testing.T) {
	const a, zeta = "flag_key=%3Da/part-00000.csv", "flag_key=Zeta flag/part-00000.csv"
	tests := []struct {
		name   string
		edit   func(m *Manifest)
		change func(dir string) error
		want   []string
	}{
		{"nothing", nil, nil, nil},
		{"a file is missing", nil, func(dir string) error { return os.Remove(filepath.Join(dir, a)) },
			[]string{"part.csv checksum: " + a + ": the file does not exist"}},
		{"a file was changed", nil, func(dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, a))
			return errors.Join(err, os.WriteFile(filepath.Join(dir, a), append(data[:len(data)-2], "x\n"...), 0o600))
		}, []string{"part.csv checksum: " + a + ": its SHA-256 is"}},
		{"a file was added", nil, func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "flag_key=new"), 0o700),
				os.WriteFile(filepath.Join(dir, "flag_key=new", "part-00000.csv"), nil, 0o600))
		}, []string{"part.csv files: flag_key=new/part-00000.csv is not in the manifest"}},
		{"two files were exchanged", nil, func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, a), filepath.Join(dir, "x")),
				os.Rename(filepath.Join(dir, zeta), filepath.Join(dir, a)),
				os.Rename(filepath.Join(dir, "x"), filepath.Join(dir, zeta)))
		}, []string{"part.csv checksum: " + a + ": it has", "part.csv checksum: " + a + ": its SHA-256 is",
			"part.csv checksum: \"" + zeta + "\": it has", "part.csv checksum: \"" + zeta + "\": its SHA-256 is"}},
		{"the manifest leads elsewhere", func(m *Manifest) {
			m.Outputs[1].Partitioned.Files[0].Path = "../" + m.Outputs[1].Partitioned.Files[0].Path
		}, nil, []string{"part.csv checksum: the manifest's list", "part.csv checksum:"}},
		{"the manifest lacks a file", func(m *Manifest) {
			m.Outputs[1].Partitioned.Files = m.Outputs[1].Partitioned.Files[1:]
		}, nil, []string{"part.csv checksum: the manifest's list", "part.csv files: "}},
		{"other columns", func(m *Manifest) { m.Outputs[1].Partitioned.By = []string{"variant"} }, nil,
			[]string{"part.csv checksum: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &partitionedRun{run: runs()["flags asked for"], format: "csv",
				parts: sinks.Partitioning{By: []string{"flag_key"}}}
			r.outcomes = r.outcomes[:50]
			r.edit = tt.edit
			manifest := r.write(t)
			if tt.change != nil {
				if err := tt.change(filepath.Dir(manifest)); err != nil {
					t.Fatal(err)
				}
			}
			found := findings(t, manifest)
			ok := len(found) == len(tt.want)
			for i := range found {
				ok = ok && strings.Contains(found[i], tt.want[i])
			}
			if !ok {
				t.Errorf("found (-want +got):\n%s", cmp.Diff(tt.want, found))
			}
		})
	}
}

func TestPartitionPaths(t *testing.T) {
	list := func(paths ...string) *Partitioned {
		p := &Partitioned{By: []string{"country", "flag"}}
		for _, path := range paths {
			p.Files = append(p.Files, PartitionFile{Path: path})
		}
		return p
	}
	tests := []struct {
		name  string
		paths []string
		ok    bool
	}{
		{"none", nil, true},
		{"two partitions", []string{"country=DE/flag=a/part-00000.csv", "country=DE/flag=a/part-00001.csv",
			"country=FR/flag=a/part-00000.csv"}, true},
		{"null", []string{"country=__HIVE_DEFAULT_PARTITION__/flag=a/part-00000.csv"}, true},
		{"many files", []string{"country=DE/flag=a/part-00001.csv"}, false},
		{"out of order", []string{"country=FR/flag=a/part-00000.csv", "country=DE/flag=a/part-00000.csv"}, false},
		{"a file twice", []string{"country=DE/flag=a/part-00000.csv", "country=DE/flag=a/part-00000.csv"}, false},
		{"parent", []string{"../country=DE/part-00000.csv"}, false},
		{"absolute", []string{"/country=DE/flag=a/part-00000.csv"}, false},
		{"other columns", []string{"flag=a/country=DE/part-00000.csv"}, false},
		{"fewer", []string{"country=DE/part-00000.csv"}, false},
		{"more", []string{"country=DE/flag=a/x=1/part-00000.csv"}, false},
		{"dots", []string{"country=DE/../part-00000.csv"}, false},
		{"another name", []string{"country=DE/flag=a/data-00000.csv"}, false},
		{"another format", []string{"country=DE/flag=a/part-00000.parquet"}, false},
		{"hidden", []string{"country=DE/flag=a/.part-00000.csv"}, false},
		{"another number", []string{"country=DE/flag=a/part-0.csv"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := list(tt.paths...).Check("x/part.csv"); (err == nil) != tt.ok {
				t.Errorf("Check(%q): %v, want ok %v", tt.paths, err, tt.ok)
			}
		})
	}
	for below, want := range map[string]bool{
		"part-00000.csv": true, "a=1/part-00012.csv": true, "a=1/b=2/part-00000.csv": true,
		"part.csv": false, "a/part-00000.csv": false, "../part-00000.csv": false, "a=1/part-00000.csv.gz": false,
		"a=1/data-00000.csv": false} {
		if got := IsPart("s3://b/x/part.csv", below); got != want {
			t.Errorf("IsPart(%q) = %v, want %v", below, got, want)
		}
	}
}
