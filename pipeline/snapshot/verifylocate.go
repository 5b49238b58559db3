package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const manifestExtension = ".manifest.json"

// streamName is the path that a manifest has for an output that went to standard output.
const streamName = "standard output"

// Located is an output of a manifest, and where it is now.
type Located struct {
	File File
	Path string // "": there is no file
	Note string // what is unusual about it; "": nothing
}

// Locate says where the outputs that the manifest lists are now. A manifest has the paths that the run was given,
// relative to the working directory of the run, while the manifest itself is beside the first output; so a file is
// where it was relative to that, wherever the directory is now. A file that was neither in the manifest's directory
// nor below it is looked for beside the manifest and then where it was, with a note, unless it is among named.
func Locate(manifest string, m *Manifest, named []string) []Located {
	return locateFiles(manifest, m, m.Outputs, named)
}

// LocateSideFiles is [Locate] for the files of a run that hold no rows: the summary, and flag configurations that were
// downloaded.
func LocateSideFiles(manifest string, m *Manifest, named []string) []Located {
	return locateFiles(manifest, m, m.SideFiles, named)
}

func locateFiles(manifest string, m *Manifest, list []File, named []string) []Located {
	var files []Located
	first := ""
	for _, f := range m.Outputs {
		if f.Path != streamName {
			first = f.Path
			break
		}
	}
	directory := filepath.Dir(manifest)
	for _, f := range list {
		l := Located{File: f}
		if f.Path == streamName {
			l.Note = "an output of this run went to standard output, and is not checked"
			files = append(files, l)
			continue
		}
		rel, err := filepath.Rel(filepath.Dir(first), f.Path)
		inside := err == nil && filepath.IsLocal(rel)
		if inside {
			l.Path = filepath.Join(directory, rel)
		} else {
			l.Path = findOutside(directory, f.Path, rel, err == nil)
		}
		if i := slices.IndexFunc(named, func(n string) bool {
			return sameFile(n, l.Path) || !inside && filepath.Base(n) == filepath.Base(l.Path)
		}); i >= 0 {
			l.Path = named[i]
		} else if !within(directory, l.Path) {
			l.Note = fmt.Sprintf("%s is outside of the manifest's directory", l.Path)
		} else if !inside {
			l.Note = fmt.Sprintf("%s was written to another directory than the manifest's; the file beside the manifest is used",
				filepath.Base(f.Path))
		}
		files = append(files, l)
	}
	return files
}

// findOutside is the path of a file that was not below the manifest's directory.
func findOutside(directory, path, rel string, related bool) string {
	beside := filepath.Join(directory, filepath.Base(path))
	if _, err := os.Stat(beside); err == nil {
		return beside
	}
	if related {
		return filepath.Join(directory, rel)
	}
	return path
}

// within reports whether the file is in the directory or below it, after links are followed.
func within(directory, path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if real, err := filepath.EvalSymlinks(directory); err == nil {
		directory = real
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	if directory, err = filepath.Abs(directory); err != nil {
		return false
	}
	rel, err := filepath.Rel(directory, path)
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

// IsManifest reports whether the file has the extension of a manifest.
func IsManifest(path string) bool { return strings.HasSuffix(path, manifestExtension) }

// FindManifest is the manifest of an output: the one that has its name, or another one in the same directory that lists
// it.
func FindManifest(path string) (string, error) {
	own := path + manifestExtension
	if _, err := os.Lstat(own); err == nil {
		return own, nil
	}
	manifests, err := findManifests(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	found := slices.DeleteFunc(manifests, func(manifest string) bool { return !listsFile(manifest, path, nil) })
	switch len(found) {
	case 0:
		return "", pipeline.WithHint(fmt.Errorf("%s: there is no manifest %s, and no other one beside it lists it", path,
			own),
			"without a manifest an output is unfinished or was moved alone; name the manifest if it is elsewhere")
	case 1:
		return found[0], nil
	}
	return "", pipeline.WithHint(fmt.Errorf("%s: %d manifests beside it list it", path, len(found)),
		"name the manifest of the run")
}

// FindRun is the manifest of a run among those in a directory; nil if there is none.
func FindRun(dir, runID string) *Manifest {
	manifests, _ := findManifests(dir) // none, if the directory cannot be read
	for _, manifest := range manifests {
		if m, err := ReadManifest(manifest); err == nil && m.RunID == runID {
			return m
		}
	}
	return nil
}

// findManifests are the files in a directory that have the extension of a manifest.
func findManifests(dir string) (found []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if IsManifest(e.Name()) {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found, err
}

// Lists reports whether the manifest can be read and lists the file, wherever the file is now.
func Lists(manifest, path string) bool { return listsFile(manifest, path, []string{path}) }

func listsFile(manifest, path string, named []string) bool {
	m, err := ReadManifest(manifest)
	if err != nil {
		return false
	}
	files := slices.Concat(Locate(manifest, m, named), LocateSideFiles(manifest, m, named))
	return slices.ContainsFunc(files, func(l Located) bool { return l.Path != "" && sameFile(l.Path, path) })
}
