package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// isPartitioned reports whether an output is several files.
func (f *File) isPartitioned() bool { return f != nil && f.Partitioned != nil }

// partName splits the path of a file of a partitioned output into its directory and its number. base is the last element
// of the output's path.
func partName(base, below string) (dir string, n int, ok bool) {
	dir, name := path.Split(below)
	base, ext := cutFormat(base)
	digits, begins := strings.CutPrefix(name, base+"-")
	digits, ends := strings.CutSuffix(digits, ext)
	n, err := strconv.Atoi(digits)
	return strings.TrimSuffix(dir, "/"), n, begins && ends && err == nil && n >= 0 && fmt.Sprintf("%05d", n) == digits
}

// cutFormat splits the name of an output before the extension of its format.
func cutFormat(name string) (base, ext string) {
	format, compression, _ := formatOf(name)
	n := len("." + format)
	if compression != "" {
		n += len("." + compression)
	}
	if n > len(name) {
		return name, ""
	}
	return name[:len(name)-n], name[len(name)-n:]
}

// partition is the files of an output that have the same values in the columns that directories are named after.
type partition struct {
	values []Value // of these columns; Text is that of the directory
	files  []PartitionFile
}

// partitions returns the partitions of an output, in the order of their directories. It is an error if a path is not what
// a run gives its files: it must lead nowhere else.
func (p *Partitioned) partitions(output string) ([]partition, error) {
	var all []partition
	last := ""
	for _, f := range p.Files {
		dir, n, ok := partName(baseName(output), f.Path)
		if ok && (len(all) == 0 || dir != last) {
			values, err := p.parseDirectory(dir)
			if err != nil {
				return nil, fmt.Errorf("%s: the manifest lists %s: %w", output, show(f.Path), err)
			}
			ok = len(all) == 0 || dir > last
			all, last = append(all, partition{values: values}), dir
		}
		if !ok || n != len(all[len(all)-1].files) {
			return nil, fmt.Errorf("%s: the manifest lists %s, which is not a file of this output", output, show(f.Path))
		}
		all[len(all)-1].files = append(all[len(all)-1].files, f)
	}
	return all, nil
}

// parseDirectory returns the values that a directory stands for.
func (p *Partitioned) parseDirectory(dir string) ([]Value, error) {
	values := make([]Value, 0, len(p.By))
	if dir == "" && len(p.By) == 0 {
		return values, nil
	}
	names := strings.Split(dir, "/")
	for i, name := range names {
		column, value, isNull, err := pipeline.ParsePartition(name)
		if err == nil && (i >= len(p.By) || column != p.By[i]) {
			err = fmt.Errorf("%s is not one of its partitions", show(name))
		}
		if err != nil {
			return nil, err
		}
		v := Value{Kind: pipeline.String, Text: []byte(value)}
		if isNull {
			v = Value{}
		}
		values = append(values, v)
	}
	if len(values) != len(p.By) {
		return nil, errors.New("it is not in the directory of a partition")
	}
	return values, nil
}

// Check refuses a list in which a path is not what a run gives the files of this output.
func (p *Partitioned) Check(output string) error {
	_, err := p.partitions(output)
	return err
}

// IsPart reports whether a path below the directory of an output is what runs give the files of outputs of this name,
// whatever they are partitioned by.
func IsPart(output, below string) bool {
	dir, _, ok := partName(baseName(output), below)
	return ok && (dir == "" || IsPartition(dir))
}

// IsPartition reports whether a directory below that of an output has the name of a partition, or of one that is in
// another.
func IsPartition(below string) bool {
	for name := range strings.SplitSeq(below, "/") {
		if _, _, _, err := pipeline.ParsePartition(name); err != nil {
			return false
		}
	}
	return true
}

// sum is the checksum of all files together, of the checksums in the list.
func (p *Partitioned) sum() string {
	list := sha256.New()
	for _, f := range p.Files {
		fmt.Fprintf(list, "%s  %s\n", f.SHA256, f.Path)
	}
	return hex.EncodeToString(list.Sum(nil))
}

// isOfPartitions reports whether a path, of which there is no file, is that of a partitioned output of the manifest, or
// of its directory in a store.
func isOfPartitions(files *blob.Files, manifest, path string) bool {
	m, err := ReadManifest(files, manifest)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(Locate(files, manifest, m, nil), func(l Located) bool {
		return l.File.isPartitioned() && l.isNamed(files, path)
	})
}

// partPath is where a file of a partitioned output is.
func partPath(output string, f *PartitionFile) string {
	return blob.Join(blob.Dir(output), filepath.FromSlash(f.Path))
}

// sizeOf is the size of an output, of all its files.
func (r *Run) sizeOf(f *File) (size int64, err error) {
	if !f.isPartitioned() {
		info, err := r.files.Stat(r.Path)
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}
	if _, err := f.Partitioned.partitions(r.Path); err != nil {
		return 0, err
	}
	for i := range f.Partitioned.Files {
		info, err := r.files.Stat(partPath(r.Path, &f.Partitioned.Files[i]))
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, nil
}

// sumOf is the checksum of an output, of all its files.
func (r *Run) sumOf(ctx context.Context, f *File) (sum string, err error) {
	if !f.isPartitioned() {
		sum, _, err = hashFile(ctx, r.files, r.Path)
		return sum, err
	}
	if _, err := f.Partitioned.partitions(r.Path); err != nil {
		return "", err
	}
	found := Partitioned{Files: slices.Clone(f.Partitioned.Files)}
	for i := range found.Files {
		p := &found.Files[i]
		if p.SHA256, _, err = hashFile(ctx, r.files, partPath(r.Path, p)); err != nil {
			return "", err
		}
	}
	return found.sum(), nil
}

// findAdded returns the files that are in the directories of an output, have names as its files have, and are not
// listed; and how many others are in the directories of its partitions, but for those of the run's other outputs.
func (m *Manifest) findAdded(files *blob.Files, l *Located) (added []string, others int, err error) {
	listed, output := map[string]bool{}, l.Path
	for i := range m.Outputs {
		if f := &m.Outputs[i]; f.isPartitioned() && blob.Dir(f.Path) == blob.Dir(l.File.Path) {
			for _, part := range f.Partitioned.Files {
				listed[part.Path] = true
			}
		}
	}
	found, err := files.Below(blob.Dir(output), IsPartition)
	for _, below := range found {
		switch {
		case listed[below] || strings.HasPrefix(path.Base(below), "."):
		case IsPart(output, below):
			added = append(added, below)
		case strings.Contains(below, "/"):
			others++
		}
	}
	return added, others, err
}
