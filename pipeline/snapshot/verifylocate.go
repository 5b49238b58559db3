package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
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
// relative to the working directory of the run, while the manifest itself is beside the first output, or where its
// Path says; so a file is where it was relative to that, wherever the directory is now. A file that was neither in the manifest's directory
// nor below it is looked for beside the manifest and then where it was, with a note, unless it is among named. A
// manifest leads into no store, and one in a store to nothing that is not below its directory: such a file has to be
// named, and else is beside the manifest or missing.
func Locate(files *blob.Files, manifest string, m *Manifest, named []string) []Located {
	return locateFiles(files, manifest, m, m.Outputs, named)
}

// LocateSideFiles is [Locate] for the files of a run that hold no rows: the summary, and flag configurations that were
// downloaded.
func LocateSideFiles(files *blob.Files, manifest string, m *Manifest, named []string) []Located {
	return locateFiles(files, manifest, m, m.SideFiles, named)
}

func locateFiles(files *blob.Files, manifest string, m *Manifest, list []File, named []string) []Located {
	var all []Located
	first := ""
	for _, f := range m.Outputs {
		if f.Path != streamName {
			first = f.Path
			break
		}
	}
	if m.Path != "" {
		first = m.Path
	}
	directory := blob.Dir(manifest)
	for _, f := range list {
		l := Located{File: f}
		if f.Path == streamName {
			l.Note = "an output of this run went to standard output, and is not checked"
			all = append(all, l)
			continue
		}
		rel, err := blob.Rel(blob.Dir(first), f.Path)
		inside := err == nil && filepath.IsLocal(rel)
		if inside {
			l.Path = blob.Join(directory, rel)
		} else {
			l.Path = findOutside(files, directory, f.Path, rel, err == nil)
		}
		if i := slices.IndexFunc(named, func(n string) bool {
			return sameFile(files, n, l.Path) || !inside && baseName(n) == baseName(l.Path)
		}); i >= 0 {
			l.Path = named[i]
		} else if at := l.Path; !within(directory, at) && !(f.isPartitioned() && within(directory, blob.Dir(at))) {
			l.Note = fmt.Sprintf("%s is outside of the manifest's directory", l.Path)
		} else if !inside {
			l.Note = fmt.Sprintf("%s was written to another directory than the manifest's; the file beside the manifest is used",
				baseName(f.Path))
			if _, err := files.Stat(l.Path); err != nil {
				l.Note = fmt.Sprintf("%s is not looked for, because it is outside of the manifest's directory: name it, too",
					f.Path)
			}
		}
		all = append(all, l)
	}
	return all
}

// baseName is [filepath.Base], also for URLs.
func baseName(name string) string {
	if blob.IsURL(name) {
		return path.Base(name)
	}
	return filepath.Base(name)
}

// findOutside is the path of a file that was not below the manifest's directory.
func findOutside(files *blob.Files, directory, path, rel string, related bool) string {
	beside := blob.Join(directory, baseName(path))
	if _, err := files.Stat(beside); err == nil || blob.IsURL(directory) || blob.IsURL(path) {
		return beside
	}
	if related {
		return filepath.Join(directory, rel)
	}
	return path
}

// within reports whether the file is in the directory or below it, after links are followed.
func within(directory, path string) bool {
	if blob.IsURL(directory) {
		return strings.HasPrefix(path, directory+"/")
	}
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

// sameFile reports whether two names are of one file, which may not exist.
func sameFile(files *blob.Files, a, b string) bool {
	return a == b || !blob.IsURL(a) && !blob.IsURL(b) && filepath.Clean(a) == filepath.Clean(b) || files.Same(a, b)
}

// IsManifest reports whether the file is a manifest: it has the extension of one, or is a JSON file that can be read as
// one, as that of --latest.
func IsManifest(files *blob.Files, path string) bool {
	if HasManifestName(path) {
		return true
	}
	if !strings.HasSuffix(path, ".json") {
		return false
	}
	_, err := ReadManifest(files, path)
	return err == nil
}

// HasManifestName reports whether the file has the extension of a manifest.
func HasManifestName(path string) bool {
	return strings.HasSuffix(path, manifestExtension) || path[strings.LastIndexByte(path, '/')+1:] == manifestExtension[1:]
}

// isNamed reports whether a name is that of the output, of one of its files, or of the directory of all.
func (l *Located) isNamed(files *blob.Files, name string) bool {
	if sameFile(files, l.Path, name) {
		return true
	}
	return l.File.isPartitioned() && (sameFile(files, blob.Dir(l.Path), strings.TrimSuffix(name, "/")) || l.hasPart(files, name))
}

// hasPart reports whether a name is that of a file of a partitioned output.
func (l *Located) hasPart(files *blob.Files, name string) bool {
	return slices.ContainsFunc(l.File.Partitioned.Files, func(f PartitionFile) bool {
		return baseName(f.Path) == baseName(name) && sameFile(files, partPath(l.Path, &f), name)
	})
}

// FindManifest is the manifest of an output: the one that has its name, or another one in the same directory that lists
// it; or in a directory above, as long as those between have names like date=2026-11-28, as a partitioned output may have
// them. Of a directory it is the only one in it. It is never a copy that --latest has made.
func FindManifest(files *blob.Files, path string) (string, error) {
	own := path + manifestExtension
	if _, err := files.Lstat(own); err == nil {
		return own, nil
	} else if files.InStore(path) && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	dir := strings.TrimSuffix(path, "/")
	if info, err := files.Stat(path); err == nil && info.IsDir() || files.InStore(path) && err != nil {
		found, err := findManifests(files, dir)
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return "", pipeline.WithHint(fmt.Errorf("%s has %d manifests", path, len(found)), "name the manifest of the run")
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	for dir = blob.Dir(dir); ; dir = blob.Dir(dir) {
		_, _, _, notPartition := pipeline.ParsePartition(baseName(dir))
		manifests, err := findManifests(files, dir)
		if err != nil && (notPartition != nil || !errors.Is(err, fs.ErrNotExist)) {
			return "", err
		}
		found := slices.DeleteFunc(manifests, func(manifest string) bool { return !listsFile(files, manifest, path, nil) })
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			return "", pipeline.WithHint(fmt.Errorf("%s: %d manifests in %s list it", path, len(found), dir),
				"name the manifest of the run")
		}
		if notPartition != nil {
			break
		}
	}
	return "", pipeline.WithHint(fmt.Errorf("%s: there is no manifest %s, and no other one beside it lists it", path, own),
		"without a manifest an output is unfinished or was moved alone; name the manifest if it is elsewhere")
}

// FindRun is the manifest of a run among those in a directory; nil if there is none.
func FindRun(files *blob.Files, dir, runID string) *Manifest {
	manifests, _ := findManifests(files, dir) // none, if the directory cannot be read
	for _, manifest := range manifests {
		if m, err := ReadManifest(files, manifest); err == nil && m.RunID == runID {
			return m
		}
	}
	return nil
}

// findManifests are the files in a directory that have the extension of a manifest.
func findManifests(files *blob.Files, dir string) (found []string, err error) {
	names, err := files.Names(dir)
	for _, name := range names {
		if HasManifestName(name) {
			found = append(found, blob.Join(dir, name))
		}
	}
	return found, err
}

// Lists reports whether the manifest can be read and lists the file, wherever the file is now.
func Lists(files *blob.Files, manifest, path string) bool {
	return listsFile(files, manifest, path, []string{path})
}

func listsFile(files *blob.Files, manifest, path string, named []string) bool {
	m, err := ReadManifest(files, manifest)
	if err != nil || m.Latest && named == nil {
		return false
	}
	all := slices.Concat(Locate(files, manifest, m, named), LocateSideFiles(files, manifest, m, named))
	return slices.ContainsFunc(all, func(l Located) bool { return l.Path != "" && l.isNamed(files, path) })
}
