package snapshot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeManifest writes a manifest that flagged has written to another place, with another path.
func writeManifest(t *testing.T, from, to string, edit func(m *Manifest)) {
	t.Helper()
	m, err := ReadManifest(nil, from)
	if err != nil {
		t.Fatal(err)
	}
	edit(m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestManifestElsewhere: outputs and a manifest in a directory above lead to each other, wherever that directory is.
func TestManifestElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name, data, path string
		found            bool // from the data
	}{
		{"above a date", "dt=2026-11-27", "out/m.manifest.json", true},
		{"above two directories with values", "dt=2026-11-27/h=03", "out/m.manifest.json", true},
		{"above another directory", "data", "out/m.manifest.json", false},
		{"above a date in another directory", "data/dt=2026-11-27", "out/m.manifest.json", false},
		{"beside the data", ".", "out/m.manifest.json", true},
		{"a copy", "dt=2026-11-27", "out/latest.json", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, tt.data)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			whole := runs()["flags asked for"]
			whole.formats, whole.outcomes = []string{"csv", "parquet"}, whole.outcomes[:50]
			own := whole.write(t, dir)
			manifest := filepath.Join(root, filepath.Base(tt.path))
			writeManifest(t, own, manifest, func(m *Manifest) {
				m.Path = tt.path
				for i := range m.Outputs {
					m.Outputs[i].Path = "out/" + tt.data + "/" + filepath.Base(m.Outputs[i].Path)
				}
			})
			if err := os.Remove(own); err != nil {
				t.Fatal(err)
			}
			r, err := Open(nil, manifest)
			if err != nil || r.Path != filepath.Join(dir, "a.csv") || r.ErrorRecords != filepath.Join(dir, "a.errors.jsonl") {
				t.Fatalf("Open(%s) = %+v, %v; want the outputs in %s", manifest, r, err, dir)
			}
			if got := findings(t, manifest); len(got) > 0 {
				t.Errorf("findings: %q; want none", got)
			}
			found, err := FindManifest(nil, filepath.Join(dir, "a.csv"))
			if tt.found && found != manifest || !tt.found && err == nil {
				t.Errorf("FindManifest: %q, %v; want it found: %v", found, err, tt.found)
			}
		})
	}
}

// TestCopyOfManifest: a copy that --latest has made beside the manifest does not hide which one is the run's.
func TestCopyOfManifest(t *testing.T) {
	dir := t.TempDir()
	own := flagged("jsonl").write(t, dir)
	writeManifest(t, own, filepath.Join(dir, "latest.manifest.json"), func(m *Manifest) {
		m.Path, m.Latest = "run/latest.manifest.json", true
	})
	if found, err := FindManifest(nil, filepath.Join(dir, "a.parquet")); err != nil || found != own {
		t.Errorf("FindManifest of an output beside %s and a copy of it: %q, %v", own, found, err)
	}
	if r, err := Open(nil, filepath.Join(dir, "latest.manifest.json")); err != nil || r.Path != filepath.Join(dir, "a.csv") {
		t.Errorf("Open of the copy: %+v, %v", r, err)
	}
}

// TestHostileManifestPath: whatever a manifest says of where it was, what is read is below its directory, or said to be
// outside.
func TestHostileManifestPath(t *testing.T) {
	for _, path := range []string{"../../../x.json", "/x.json", "/etc/x.json", "..", ".", "/", "s3://bucket/x.json", "run/../../x.json",
		"\x00", "run/a.csv/x/x.json", "~/x.json"} {
		t.Run(path, func(t *testing.T) {
			dir := t.TempDir()
			own := flagged("jsonl").write(t, dir)
			for _, output := range []string{"/etc/passwd", "../../etc/passwd", "run/../../../etc/passwd", "etc/passwd"} {
				m, err := ReadManifest(nil, own)
				if err != nil {
					t.Fatal(err)
				}
				m.Path = path
				m.Outputs[0].Path = output
				for _, l := range Locate(nil, own, m, nil) {
					if l.Path != "" && !within(dir, l.Path) && !strings.Contains(l.Note, "is outside of the manifest's directory") {
						t.Errorf("path %q, output %q: leads to %s with the note %q", path, l.File.Path, l.Path, l.Note)
					}
				}
			}
		})
	}
}
