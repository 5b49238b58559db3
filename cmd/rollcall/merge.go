package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

// mergeOptions are the options of `rollcall merge`.
type mergeOptions struct {
	commonOptions
	out       string
	overwrite bool
	maxErrors string
	minUsers  int64
	concat    bool
	errLine   errorLimit
}

func (o *mergeOptions) define(options *pflag.FlagSet) {
	group(options, "Options", func() {
		options.StringVarP(&o.out, "out", "o", "", "`FILE` manifest.json, or NAME.manifest.json: that of the job")
		options.StringVar(&o.maxErrors, "max-errors", "", "`N|P%` merge nothing if more users fail")
		options.Int64Var(&o.minUsers, "min-users", 1, "`N` merge nothing if fewer users are answered [1]")
		options.BoolVar(&o.concat, "concat", false, "make one file of those of the shards (not of Parquet)")
		options.BoolVar(&o.overwrite, "overwrite", false, "replace an earlier manifest of the job")
		o.commonOptions.define(options)
	})
}

func mergeCommand(env *env, con *console) *cobra.Command {
	var o mergeOptions
	cmd := &cobra.Command{
		Use: "merge MANIFEST... --out FILE [options]", DisableFlagsInUseLine: true,
		Short: "Make one run of the shards of a job",
		Long: `merge writes the manifest of a job from those of its shards, if they are all
there, were called alike, and have read the whole input. verify, report, check,
diff and load take it as that of one run. The files of the shards stay where they
are, beside it; their error records are put together in one file. If a shard is
missing, merge prints the command that runs it again.`,
		Example: `  rollcall merge out/part-*.manifest.json --out out/manifest.json
  rollcall report out/manifest.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.start(cmd, env, con); err != nil {
				return err
			}
			switch {
			case len(args) == 0:
				return pipeline.WithHint(usageErrorf("no MANIFEST given"), "name those of all shards, for example with a glob")
			case !snapshot.HasManifestName(o.out):
				return pipeline.WithHint(usageErrorf("--out is the manifest of the job"),
					"for example --out manifest.json, in the directory of the shards")
			case o.minUsers < 0:
				return usageErrorf("--min-users cannot be %d", o.minUsers)
			}
			if err := o.errLine.parse("--max-errors", o.maxErrors); err != nil {
				return err
			}
			return o.run(env, con, args)
		},
	}
	o.define(cmd.Flags())
	return cmd
}

func (o *mergeOptions) run(env *env, con *console, args []string) error {
	files := staging.New(env.Soft, env.Stores, o.overwrite)
	if exists, err := files.Exists(o.out); err != nil {
		return err
	} else if exists && !o.overwrite {
		return errExists(o.out)
	}
	paths, err := expandManifests(env, args)
	if err != nil {
		return err
	}
	var parts []snapshot.Part
	for _, path := range paths {
		if env.Files.Same(path, o.out) {
			continue // a glob has found what an earlier merge has written
		}
		m, err := snapshot.ReadManifest(env.Files, path)
		if err != nil {
			return err
		}
		parts = append(parts, snapshot.Part{Path: path, Manifest: m})
	}
	if len(parts) == 0 {
		return usageErrorf("no manifest of a shard is there")
	}
	runID := newRunID(clock())
	free := func(option string) bool { return freeOptions[option] != "" }
	var records snapshot.File
	merged, err := snapshot.Merge(env.Files, parts, o.out, free, runID, records)
	if err != nil {
		return o.explainMerge(err, parts)
	}
	if err := o.checkUsers(merged); err != nil {
		return err
	}
	for _, output := range merged.Outputs {
		if o.concat && strings.HasSuffix(output.Path, ".parquet") {
			return pipeline.WithHint(usageErrorf("--concat is for text: %s is Parquet", text.Clean(output.Path)),
				"query engines read the files of the shards as one table: part-*.parquet")
		}
	}
	data, records, err := joinErrorRecords(env.Soft, env, parts, merged)
	if err != nil {
		return err
	}
	if o.concat {
		for i := range merged.Outputs[:len(merged.Outputs)-1] {
			if err := o.concatenate(env, files, &merged.Outputs[i]); err != nil {
				return err
			}
		}
	}
	if err := o.writeMerged(files, merged, data, records); err != nil {
		return err
	}
	con.Log.Info(fmt.Sprintf("%s: %s, %s answered, %s failed", text.Clean(o.out),
		text.Count(int64(len(parts)), "shard"), text.Thousands(merged.Users.Answered), text.Thousands(merged.Users.Failed)))
	if merged.Users.Failed > 0 && !o.errLine.set {
		return errSomeFailed
	}
	return nil
}

// writeMerged publishes the error records, and then the manifest.
func (o *mergeOptions) writeMerged(files *staging.Files, merged *snapshot.Manifest, data []byte,
	records snapshot.File) error {
	if exists, err := files.Exists(records.Path); err != nil {
		return err
	} else if exists && !o.overwrite {
		return errExists(records.Path)
	}
	if o.overwrite { // where a manifest is, its files are complete
		if err := files.Remove(o.out); err != nil {
			return err
		}
	}
	if err := writeWhole(files, records.Path, data); err != nil {
		return err
	}
	merged.Outputs[len(merged.Outputs)-1] = records
	manifest, err := merged.Marshal()
	if err != nil {
		return err
	}
	return writeWhole(files, o.out, manifest)
}

// concatenate makes one file of the files of an output, which stay.
func (o *mergeOptions) concatenate(env *env, files *staging.Files, output *snapshot.File) (err error) {
	if exists, err := files.Exists(output.Path); err != nil {
		return err
	} else if exists && !o.overwrite {
		return errExists(output.Path)
	}
	f, err := files.Create(output.Path, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Remove()) }() // which does nothing, once it is published
	hash, written := sha256.New(), &countingWriter{}
	w, err := compress(output.Path, io.MultiWriter(f, hash, written))
	if err != nil {
		return err
	}
	var header []byte
	for i, part := range output.Partitioned.Files {
		path := blob.Join(blob.Dir(output.Path), part.Path)
		if err := copyRows(env, path, w, i == 0, &header, part.SHA256); err != nil {
			return fmt.Errorf("read %s: %w", text.Clean(path), err)
		}
	}
	if err := errors.Join(w.Close(), f.Sync(), f.Close()); err != nil {
		return staging.WrapError("write", output.Path, err)
	}
	output.Partitioned, output.Bytes, output.SHA256 = nil, written.bytes, hex.EncodeToString(hash.Sum(nil))
	if err = files.Publish(f.Name(), output.Path); errors.Is(err, fs.ErrExist) {
		return errExists(output.Path)
	}
	return err
}

type countingWriter struct{ bytes int64 }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.bytes += int64(len(p))
	return len(p), nil
}

// copyRows copies the text of a file, of all but the first without the header, which all have.
func copyRows(env *env, path string, w io.Writer, first bool, header *[]byte, sum string) error {
	f, err := env.Files.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	hash := sha256.New()
	r, err := decompress(path, io.TeeReader(contextReader{env.Soft, f}, hash))
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(r, 64<<10)
	if !strings.Contains(path, ".jsonl") {
		own, err := readHeader(in)
		if err != nil {
			return err
		}
		if first {
			*header = own
			if _, err := w.Write(own); err != nil {
				return err
			}
		} else if !bytes.Equal(own, *header) {
			return errors.New("its header is not that of the first shard")
		}
	}
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	if _, err := io.Copy(hash, f); err != nil { // what the decompression has left
		return err
	}
	if hex.EncodeToString(hash.Sum(nil)) != sum {
		return errors.New("it is not what its manifest says")
	}
	return nil
}

// readHeader returns the first record of CSV or TSV, with its line end.
func readHeader(in *bufio.Reader) (header []byte, err error) {
	for quotes := 0; quotes%2 == 1 || !bytes.HasSuffix(header, []byte{'\n'}); {
		line, err := in.ReadBytes('\n')
		if header = append(header, line...); err != nil {
			return nil, fmt.Errorf("its header ends early: %w", err)
		}
		quotes += bytes.Count(line, []byte{'"'})
	}
	return header, nil
}

// checkUsers holds the job to --max-errors and --min-users.
func (o *mergeOptions) checkUsers(m *snapshot.Manifest) error {
	if least := o.minUsers; m.Users.Answered < least && m.Users.Read > 0 {
		return fmt.Errorf("%s answered, and --min-users is %s; nothing was merged",
			text.CountIs(m.Users.Answered, "user", "was", "were"), text.Thousands(least))
	}
	if o.errLine.set && m.Users.Failed > o.errLine.most(m.Users.Read) {
		return fmt.Errorf("%s failed, more than %s; nothing was merged", text.Count(m.Users.Failed, "user"),
			o.errLine.allows(m.Users.Read))
	}
	return nil
}

// joinErrorRecords returns the error records of all shards, as those of the job: with its run id.
func joinErrorRecords(ctx context.Context, env *env, parts []snapshot.Part, merged *snapshot.Manifest) ([]byte,
	snapshot.File, error) {
	var joined bytes.Buffer
	last := &merged.Outputs[len(merged.Outputs)-1]
	file := snapshot.File{Rows: merged.Users.Failed}
	slices.SortFunc(parts, func(a, b snapshot.Part) int { return a.Manifest.Shard.Number - b.Manifest.Shard.Number })
	for _, p := range parts {
		if err := context.Cause(ctx); err != nil {
			return nil, *last, err
		}
		all := snapshot.Locate(env.Files, p.Path, p.Manifest, nil)
		l := all[len(all)-1]
		whole, ok := strings.CutSuffix(strings.Replace(l.Path, fmt.Sprintf("-%05d.", p.Manifest.Shard.Number-1), ".", 1), "")
		if file.Path = whole; !ok || whole == l.Path {
			return nil, *last, fmt.Errorf("%s is not named as shard %d: with {shard} in --out it is", text.Clean(l.Path),
				p.Manifest.Shard.Number)
		}
		if err := appendErrorRecords(&joined, env, l, p.Manifest.RunID, merged.RunID); err != nil {
			return nil, *last, err
		}
	}
	data, err := compressFor(file.Path, joined.Bytes())
	sum := sha256.Sum256(data)
	file.Bytes, file.SHA256 = int64(len(data)), hex.EncodeToString(sum[:])
	return data, file, err
}

// appendErrorRecords appends the lines of a shard's error records, which are JSON with the run's id at the end.
func appendErrorRecords(dst *bytes.Buffer, env *env, l snapshot.Located, from, to string) error {
	if !strings.Contains(l.Path, ".jsonl") {
		return pipeline.WithHint(fmt.Errorf("merge %s: error records of shards are put together as JSON Lines alone",
			text.Clean(l.Path)), "give the shards no --errors, or one with .jsonl")
	}
	f, err := env.Files.Open(l.Path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	hash := sha256.New()
	r, err := decompress(l.Path, io.TeeReader(f, hash))
	if err != nil {
		return fmt.Errorf("read %s: %w", text.Clean(l.Path), err)
	}
	end, lines := []byte(`"run_id":"`+from+`"}`), int64(0)
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			head, ok := bytes.CutSuffix(bytes.TrimSuffix(line, []byte{'\n'}), end)
			if !ok {
				return fmt.Errorf("%s: line %d is not an error record of run %s", text.Clean(l.Path), lines+1, from)
			}
			dst.Write(head)
			dst.WriteString(`"run_id":"` + to + "\"}\n")
			lines++
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", text.Clean(l.Path), err)
		}
	}
	if _, err := io.Copy(hash, f); err != nil { // what the decompression has left
		return fmt.Errorf("read %s: %w", text.Clean(l.Path), err)
	}
	if lines != l.File.Rows || hex.EncodeToString(hash.Sum(nil)) != l.File.SHA256 {
		return fmt.Errorf("%s is not what its manifest says", text.Clean(l.Path))
	}
	return nil
}

// decompress returns the text of a file with that name.
func decompress(name string, r io.Reader) (io.Reader, error) {
	switch {
	case strings.HasSuffix(name, ".gz"):
		return gzip.NewReader(r)
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return r, nil
}

// compress returns a writer that compresses as the name of the file says.
func compress(name string, w io.Writer) (io.WriteCloser, error) {
	switch {
	case strings.HasSuffix(name, ".gz"):
		return gzip.NewWriter(w), nil
	case strings.HasSuffix(name, ".zst"):
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return plainWriter{w}, nil
}

type plainWriter struct{ io.Writer }

// Close does nothing.
func (plainWriter) Close() error { return nil }

// compressFor compresses data as the name of the file says.
func compressFor(name string, data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := compress(name, &b)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(data)
	return b.Bytes(), errors.Join(err, w.Close())
}

// explainMerge adds the command that runs the first missing shard again.
func (o *mergeOptions) explainMerge(err error, parts []snapshot.Part) error {
	merge, ok := errors.AsType[*snapshot.MergeError](err)
	if !ok || len(merge.Missing) == 0 {
		return err
	}
	return pipeline.WithHint(err, "run it again: "+shardCommandLine(parts[0].Manifest, merge.Missing[0], merge.Of))
}

// shardCommandLine is the command of a shard that was called like another. The key is not in it: a manifest has none.
func shardCommandLine(like *snapshot.Manifest, number, of int) string {
	words := []string{"rollcall snapshot"}
	var inputs []string
	for _, f := range like.Inputs {
		if !slices.Contains(inputs, f.Path) {
			inputs = append(inputs, f.Path)
		}
	}
	words = append(words, inputs...)
	var defaults snapshotOptions
	options := pflag.NewFlagSet("", pflag.ContinueOnError)
	defaults.define(options)
	options.VisitAll(func(f *pflag.Flag) {
		value := like.Options.Text(f.Name)
		if value == "" || f.Name == "shard" || value == f.DefValue || value == strings.Join(sliceDefault(f), ",") {
			return
		}
		if f.Value.Type() == "bool" {
			words = append(words, "--"+f.Name+"="+value)
			return
		}
		if f.Name == "out" || f.Name == "errors" || f.Name == "summary" {
			value = strings.ReplaceAll(value, fmt.Sprintf("-%05d.", like.Shard.Number-1), fmt.Sprintf("-%05d.", number-1))
		}
		words = append(words, "--"+f.Name, shellQuote(value))
	})
	return strings.Join(append(words, fmt.Sprintf("--shard %d/%d", number, of)), " ")
}

func sliceDefault(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.DefValue}
}

// shellQuote returns a word for a shell.
func shellQuote(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=%+@", r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// expandManifests returns the files that the arguments name; globs, also of stores, are those that they match.
func expandManifests(env *env, args []string) (paths []string, err error) {
	for _, arg := range args {
		switch {
		case !strings.ContainsAny(arg, "*?["):
			paths = append(paths, arg)
			continue
		case env.Stores.Knows(arg):
			objects, err := env.Stores.Glob(env.Soft, arg)
			if err != nil {
				return nil, err
			}
			for _, o := range objects {
				paths = append(paths, o.URL())
			}
		default:
			matches, err := filepath.Glob(arg)
			if err != nil {
				return nil, wrapUsage(arg, err)
			}
			paths = append(paths, matches...)
		}
	}
	return paths, nil
}
