package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Run is a finished run, opened at one of its outputs.
type Run struct {
	Path         string    // the output whose users are read
	ManifestPath string    // "": there is none
	Manifest     *Manifest // nil: there is none, and MissingManifest says why
	Layout       Layout    // of the outputs; the zero value where there is no manifest

	MissingManifest error  // why there is no manifest
	ErrorRecords    string // the file of the error records, which may be missing; "": not known
	Listed          *File  // what the manifest says of the output; nil: it does not list it

	// Once is the users of the run, less those whom another run asked about again that was opened along with it.
	Once Users

	// Problems are what was found to be wrong so far: by Open, by [Run.CheckSize] and [Run.Checksum], and by the Reader of
	// [Run.Users] when it has read the output to its end.
	Problems []Problem

	files *blob.Files
}

// Open opens a finished run by one of its outputs, or by its manifest, which stands for the first output that is there.
// An output without a manifest is opened, too; that is one of its Problems. Nothing has to be closed.
//
// The error records of a run are refused, and a manifest none of whose outputs can be read.
func Open(files *blob.Files, path string) (*Run, error) {
	info, missing := files.Stat(path)
	if missing != nil && !errors.Is(missing, fs.ErrNotExist) {
		return nil, missing
	}
	r := &Run{Path: path, ManifestPath: path, files: files}
	var err error
	byManifest := IsManifest(files, path)
	var named []string
	if !byManifest {
		named = []string{path}
		r.ManifestPath, err = FindManifest(files, path)
		if missing != nil && (err != nil || !isOfPartitions(files, r.ManifestPath, path)) {
			return nil, missing
		}
		byManifest = err == nil && (missing == nil && info.IsDir() || missing != nil && !sameFile(files, path+manifestExtension, r.ManifestPath))
		if err != nil {
			if serr := files.Err(); serr != nil { // there may be one
				return nil, serr
			}
			if info.IsDir() {
				return nil, err
			}
			r.ManifestPath, r.MissingManifest = "", err
			r.Problems = append(r.Problems, Problem{Code: NoManifest})
			return r, nil
		}
	}
	if r.Manifest, err = ReadManifest(files, r.ManifestPath); err != nil {
		return nil, err
	}
	r.Layout, r.Once = r.Manifest.Layout, r.Manifest.Users
	for i, l := range Locate(files, r.ManifestPath, r.Manifest, named) {
		if l.Path == "" {
			continue
		}
		_, err := files.Stat(l.Path)
		same := err == nil && files.Same(path, l.Path)
		if l.File.isPartitioned() {
			if l.hasPart(files, path) {
				return nil, pipeline.WithHint(fmt.Errorf("%s is one of %d files of an output", path, len(l.File.Partitioned.Files)),
					"name the output: "+l.Path)
			}
			err, same = nil, sameFile(files, path, l.Path)
		}
		switch {
		case i == len(r.Manifest.Outputs)-1:
			if same {
				return nil, pipeline.WithHint(fmt.Errorf("%s holds the error records of a run, not its assignments", path),
					"name one of its other outputs")
			}
			r.ErrorRecords = l.Path
		case err == nil && r.Listed == nil && (byManifest || same):
			r.Path, r.Listed = l.Path, &l.File
		}
	}
	if r.Listed == nil {
		if byManifest {
			return nil, pipeline.WithHint(fmt.Errorf("%s: no output of this run is a file that can be read", path),
				"name the output")
		}
		r.Problems = append(r.Problems, Problem{Code: NotListed})
	}
	return r, nil
}

// OpenAll opens several runs whose users are added up. Two outputs of one run are refused, and two runs that asked
// again about the failed users of the same third; see [CountOnce].
func OpenAll(files *blob.Files, paths []string) ([]*Run, error) {
	var runs []*Run
	var manifests []*Manifest
	for _, path := range paths {
		r, err := Open(files, path)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(runs, r.isSameRun); i >= 0 {
			return nil, pipeline.WithHint(fmt.Errorf("%s and %s are of the same run, and its users would count twice",
				runs[i].Path, r.Path),
				"name one output of each run")
		}
		runs, manifests = append(runs, r), append(manifests, r.Manifest)
	}
	once, err := CountOnce(manifests)
	if err != nil {
		return nil, err
	}
	for i, r := range runs {
		r.Once = once[i]
	}
	return runs, nil
}

func (r *Run) isSameRun(other *Run) bool {
	return r.Manifest != nil && other.Manifest != nil && r.Manifest.RunID != "" && r.Manifest.RunID == other.Manifest.RunID
}

// Users opens the output at its first user. Close the Reader when done. Unless o.Uncounted is set, it counts the users
// that it reads, and what is not as it should be is added to Problems when it has returned [io.EOF].
func (r *Run) Users(o Options) (*Reader, error) {
	o.Manifest, o.listed = r.Manifest, r.Listed
	reader, err := OpenReader(r.files, r.Path, o)
	if err == nil && !o.Uncounted {
		reader.counter, reader.run = &counter{}, r
	}
	return reader, err
}

// CheckSize compares the size of the output with the manifest.
func (r *Run) CheckSize() error {
	if r.Listed == nil {
		return nil
	}
	size, err := r.sizeOf(r.Listed)
	if err == nil && size != r.Listed.Bytes {
		r.Problems = append(r.Problems, Problem{Code: WrongSize, Got: size, Want: r.Listed.Bytes})
	}
	return err
}

// Checksum compares the checksum of the output with the manifest. It reports whether there was one to compare with.
func (r *Run) Checksum(ctx context.Context) (compared bool, err error) {
	if r.Listed == nil {
		return false, nil
	}
	sum, err := r.sumOf(ctx, r.Listed)
	if err == nil && sum != r.Listed.SHA256 {
		r.Problems = append(r.Problems, Problem{Code: WrongChecksum})
	}
	return err == nil, err
}

// Files are what the users of the run are from: its inputs and the output, with the checksums in the manifest.
func (r *Run) Files() []File {
	output := File{Path: r.Path}
	if r.Manifest == nil {
		return []File{output}
	}
	if r.Listed != nil {
		output.SHA256 = r.Listed.SHA256
	}
	return append(slices.Clone(r.Manifest.Inputs), output)
}

// Inputs are the input files of the run, if they are still there, or have moved along with the outputs, and are still
// what the run read.
func (r *Run) Inputs(ctx context.Context) ([]Located, error) {
	var files []Located
	if r.Manifest == nil {
		return nil, r.MissingManifest
	}
	for _, f := range r.Manifest.Inputs {
		if f.Part != nil {
			return nil, pipeline.WithHint(fmt.Errorf("the run is a shard, and has read a part of %s", f.Path),
				"`rollcall merge` makes one run of all shards")
		}
		path, err := r.findUnchanged(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("the input %w", err)
		}
		files = append(files, Located{File: f, Path: path})
	}
	return files, nil
}

// FlagConfigs are the flag configurations that the run evaluated, if they are still there and unchanged.
func (r *Run) FlagConfigs(ctx context.Context) ([]byte, error) {
	switch {
	case r.Manifest == nil:
		return nil, r.MissingManifest
	case r.Manifest.FlagConfigs == nil:
		return nil, errors.New("the run evaluated no flag configurations: it asked a server")
	}
	path, err := r.findUnchanged(ctx, *r.Manifest.FlagConfigs)
	if err != nil {
		return nil, err
	}
	f, err := r.files.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, r.Manifest.FlagConfigs.Bytes+1))
	return data, errors.Join(err, f.Close())
}

// findUnchanged finds a file that the run read: where it was, where it was relative to the outputs, or beside them.
func (r *Run) findUnchanged(ctx context.Context, want File) (string, error) {
	dir := blob.Dir(r.Path)
	leads := !blob.IsURL(dir) && !blob.IsURL(want.Path) // or else below dir alone: see Locate
	var places []string
	if leads {
		places = append(places, want.Path)
	}
	if outs := r.Manifest.Outputs; len(outs) > 0 {
		if rel, err := blob.Rel(blob.Dir(outs[0].Path), want.Path); err == nil && (leads || filepath.IsLocal(rel)) {
			places = append(places, blob.Join(dir, rel))
		}
	}
	places = append(places, blob.Join(dir, baseName(want.Path)))
	changed := ""
	for _, path := range slices.Compact(places) {
		sum, bytes, err := hashFile(ctx, r.files, path)
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if err == nil && bytes == want.Bytes && sum == want.SHA256 {
			return path, nil
		}
		if err == nil {
			changed = path
		}
	}
	if changed != "" {
		return "", fmt.Errorf("%s has changed since the run read it", changed)
	}
	if !leads {
		return "", fmt.Errorf("%s is not beside the outputs, and a manifest leads nowhere else in a store", want.Path)
	}
	return "", fmt.Errorf("%s is no longer there", want.Path)
}

// EachFailed calls each for every error record of the run, in the order of the file, until it returns false. userID may
// be empty, and is valid until each returns. values are those that the user's original row has in these columns, by
// their names in the input; null where the row lacks one. They are nil where the record has no original row
// that could be decoded, and where no columns are named.
func (r *Run) EachFailed(columns []string,
	each func(number int64, userID []byte, values []pipeline.Value) bool) (err error) {
	if r.ErrorRecords == "" {
		return errors.New("the file of the error records is not known")
	}
	records, err := openErrorRecords(r.files, r.ErrorRecords)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.t.Close()) }()
	format, _, _ := formatOf(r.ErrorRecords)
	records.escaped = r.Layout.EscapeFormulas && (format == "csv" || format == "tsv")
	var members []pipeline.Member
	values := make([]pipeline.Value, len(columns))
	for {
		cells, number, err := records.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var kept []pipeline.Value
		if input := payloadText(&cells[colInput]); len(columns) > 0 && len(input) > 0 {
			if members, err = pipeline.ParseObject(members[:0], string(input)); err != nil {
				return records.errorf("column input: %w", err)
			}
			if len(members) != 1 || members[0].Name != badRow {
				kept = values
				for i, name := range columns {
					values[i] = pipeline.Value{}
					if at := slices.IndexFunc(members, func(m pipeline.Member) bool { return m.Name == name }); at >= 0 {
						values[i] = members[at].Value
					}
				}
			}
		}
		if !each(number, idText(&cells[colUser]), kept) {
			return nil
		}
	}
}

// badRow is the only name in the original row of a record if the row did not decode (sources/badrow.go).
const badRow = "rollcall.bad_row"

// hashFile is the SHA-256 of a regular file, and its size.
func hashFile(ctx context.Context, files *blob.Files, path string) (sum string, bytes int64, err error) {
	f, err := files.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		bytes += int64(n)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), bytes, nil
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return "", bytes, err
		}
	}
}
