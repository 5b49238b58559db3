package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const manifestEnding = ".manifest.json"

// streamName is the path that a manifest has for an output that went to standard output.
const streamName = "standard output"

// Located is an output of a manifest, and where it is now.
type Located struct {
	File File
	Path string // "" where there is nothing to look at
	Note string // what is unusual about it; "" is nothing
}

// Locate says where the files that the manifest lists are. A manifest has the paths that the run was given, relative
// to the folder that it ran in, while the manifest itself stands beside the first output; so a file is where it was
// relative to that, wherever the folder is now. One that was not in the manifest's folder or below it is looked for
// beside the manifest, and then where it was, with a note, unless it is among named.
func Locate(manifest string, m *Manifest, named []string) []Located {
	return locate(manifest, m, m.Outputs, named)
}

// LocateSideFiles is [Locate] for the files of a run that hold no rows: the summary, and flag configurations that were
// downloaded.
func LocateSideFiles(manifest string, m *Manifest, named []string) []Located {
	return locate(manifest, m, m.SideFiles, named)
}

func locate(manifest string, m *Manifest, list []File, named []string) []Located {
	var files []Located
	first := ""
	for _, f := range m.Outputs {
		if f.Path != streamName {
			first = f.Path
			break
		}
	}
	folder := filepath.Dir(manifest)
	for _, f := range list {
		l := Located{File: f}
		if f.Path == streamName {
			l.Note = "an output of this run went to standard output, and is not looked at"
			files = append(files, l)
			continue
		}
		rel, err := filepath.Rel(filepath.Dir(first), f.Path)
		inside := err == nil && filepath.IsLocal(rel)
		if inside {
			l.Path = filepath.Join(folder, rel)
		} else {
			l.Path = outside(folder, f.Path, rel, err == nil)
		}
		if i := slices.IndexFunc(named, func(n string) bool {
			return sameFile(n, l.Path) || !inside && filepath.Base(n) == filepath.Base(l.Path)
		}); i >= 0 {
			l.Path = named[i]
		} else if !within(folder, l.Path) {
			l.Note = fmt.Sprintf("%s is outside of the manifest's folder", l.Path)
		} else if !inside {
			l.Note = fmt.Sprintf("%s was written to another folder than the manifest's; it is taken from beside the manifest", filepath.Base(f.Path))
		}
		files = append(files, l)
	}
	return files
}

// outside is the path of a file that was not below the manifest's folder.
func outside(folder, path, rel string, related bool) string {
	beside := filepath.Join(folder, filepath.Base(path))
	if _, err := os.Stat(beside); err == nil {
		return beside
	}
	if related {
		return filepath.Join(folder, rel)
	}
	return path
}

// within reports whether the file is in the folder or below it, links followed. A file that is not there is where its
// name says.
func within(folder, path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return false
	}
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}

// IsManifest reports whether the file has the name of a manifest.
func IsManifest(path string) bool { return strings.HasSuffix(path, manifestEnding) }

// FindManifest is the manifest of an output: the one that has its name, or another one in the same folder that
// lists it.
func FindManifest(path string) (string, error) {
	own := path + manifestEnding
	if _, err := os.Lstat(own); err == nil {
		return own, nil
	}
	folder := filepath.Dir(path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	var found []string
	for _, e := range entries {
		if !IsManifest(e.Name()) {
			continue
		}
		manifest := filepath.Join(folder, e.Name())
		if lists(manifest, path, nil) {
			found = append(found, manifest)
		}
	}
	switch len(found) {
	case 0:
		return "", pipeline.WithHint(fmt.Errorf("%s: there is no manifest %s, and no other one beside it lists it", path, own),
			"without a manifest an output is unfinished or was moved alone; name the manifest if it is elsewhere")
	case 1:
		return found[0], nil
	}
	return "", pipeline.WithHint(fmt.Errorf("%s: %d manifests beside it list it", path, len(found)), "name the manifest of the run that is meant")
}

// FindRun is the manifest of a run, among those in a directory; nil if it is not there.
func FindRun(dir, runID string) *Manifest {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if !IsManifest(e.Name()) {
			continue
		}
		if m, err := ReadManifest(filepath.Join(dir, e.Name())); err == nil && m.RunID == runID {
			return m
		}
	}
	return nil
}

// Lists reports whether the manifest can be read and lists the file, wherever it is now.
func Lists(manifest, path string) bool { return lists(manifest, path, []string{path}) }

func lists(manifest, path string, named []string) bool {
	m, err := ReadManifest(manifest)
	if err != nil {
		return false
	}
	files := slices.Concat(Locate(manifest, m, named), LocateSideFiles(manifest, m, named))
	return slices.ContainsFunc(files, func(l Located) bool { return l.Path != "" && sameFile(l.Path, path) })
}
