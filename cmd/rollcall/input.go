package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sources"
)

// input is the users to evaluate: files that can be read more than once, as they were when the run began.
type input struct {
	files   []sources.File // open, until Close
	spool   *durable.Log   // the copy of standard input, locked; nil if it is not the input
	keep    string         // the name that it has until the run is finished; "": it has none
	kept    bool           // it has that name
	empty   bool           // nothing came from standard input
	options sources.Options
	limit   int64
	sample  int64

	total  int64           // rows that will be evaluated; known after preflight
	rows   int64           // rows that are there; known after preflight, if sample is set
	report []snapshot.File // known after preflight
}

// openInput finds the files that the arguments name. What can be read only once (standard input, a named
// pipe) is copied to a temporary file first, because every run reads its input twice: once before the first
// request, to find what is wrong with it. keepSpool keeps the copy as the file keep, for the run that resumes this
// one. The caller closes the input.
func openInput(ctx context.Context, env *env, con *console, o *snapshotOptions, args []string, keep string) (*input,
	error) {
	in := &input{options: o.inputOptions(), limit: o.limit, sample: o.sample, keep: keep}
	if err := in.openFiles(ctx, env, args); err != nil {
		return in, err
	}
	return in, in.divide(ctx, con, o.shard)
}

// openFiles opens the files of the input. See openInput.
func (in *input) openFiles(ctx context.Context, env *env, args []string) error {
	if args[0] == "-" {
		if in.options.Format == "" {
			in.options.Format = "csv"
		}
		return in.spoolFrom(ctx, env.Stdin, "standard input")
	}
	if info, err := os.Stat(args[0]); len(args) == 1 && err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		f, err := openFile(ctx, args[0])
		if err != nil {
			return fmt.Errorf("open input: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		if in.options.Format == "" {
			in.options.Format = "csv"
		}
		return in.spoolFrom(ctx, f, args[0])
	}
	files, err := sources.ExpandPaths(ctx, env.Stores, args)
	if _, same := errors.AsType[*sources.SameFileError](err); same {
		return &exitError{err, exitUsage}
	}
	if err != nil {
		return err
	}
	in.files = files
	return sources.Pin(ctx, in.files)
}

// spoolFrom copies r to a temporary file that only its owner can read.
func (in *input) spoolFrom(ctx context.Context, r io.Reader, name string) error {
	w, file, err := in.createSpool()
	if err != nil {
		return fmt.Errorf("keep %s: %w", text.Clean(name), err)
	}
	in.files = []sources.File{sources.PinOpen(ctx, file, name)}
	copied := make(chan error, 1)
	var bytes int64
	go func() {
		var err error
		bytes, err = io.Copy(w, r)
		copied <- err
	}()
	select {
	case err = <-copied:
	case <-ctx.Done(): // a read that nobody ends; the process does
		err = context.Cause(ctx)
	}
	if err != nil {
		in.Close()
		return fmt.Errorf("read %s: %w", text.Clean(name), err)
	}
	in.empty = bytes == 0
	return nil
}

// createSpool creates the copy of standard input, to write and to read. The copy of a run has a name, so that the run
// that resumes it finds it, and is locked as long as it is in use, so that the next run can tell whether a process was
// killed ([removeSpools]). One that nobody resumes, of a dry run, has no name.
func (in *input) createSpool() (io.Writer, *os.File, error) {
	if in.keep == "" {
		f, err := durable.CreateUnnamed()
		return f, f, pipeline.WithHint(err, "it is copied to the directory of TMPDIR: name one that can be written")
	}
	path := in.keep + "-" + strings.ToLower(rand.Text()[:10])
	var err error
	if in.spool, err = durable.OpenLog(path, true); err != nil {
		return nil, nil, err
	}
	f, err := durable.OpenOurs(path)
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	return in.spool, f, nil
}

// keepSpool gives the copy of standard input the name under which the run that resumes this one finds it.
func (in *input) keepSpool() error {
	if in.spool == nil || in.kept {
		return nil
	}
	if err := durable.WrapError("keep", in.keep, in.spool.Datasync()); err != nil {
		return err
	}
	if err := durable.Rename(in.files[0].Path, in.keep); err != nil {
		return err
	}
	in.kept, in.files[0].Path = true, in.keep
	return durable.SyncDir(in.keep)
}

// useKept makes the copy that an unfinished run has kept the input, in place of an empty one.
func (in *input) useKept(ctx context.Context) error {
	name := in.files[0].Name
	in.Close()
	var err error
	if in.spool, err = durable.OpenLog(in.keep, false); err != nil {
		return fmt.Errorf("read what was kept of %s: %w", text.Clean(name), err)
	}
	in.kept = true
	f, err := durable.OpenOurs(in.keep)
	if err != nil {
		in.Close()
		return fmt.Errorf("read what was kept of %s: %w", text.Clean(name), err)
	}
	in.files = []sources.File{sources.PinOpen(ctx, f, name)}
	return nil
}

// Close closes the files, and removes what openInput has made and keepSpool has not kept.
func (in *input) Close() {
	sources.Unpin(in.files)
	if in.spool == nil {
		return
	}
	if !in.kept {
		_ = in.spool.Remove() // a leftover that is private is not worth a failure: the next run removes it
	}
	_ = in.spool.Close()
	in.spool = nil
}

// removeSpools removes the copies of standard input that killed runs of an output have left, kept being the name of
// one that was whole.
func removeSpools(kept string) error {
	entries, err := os.ReadDir(filepath.Dir(kept))
	if err != nil {
		return durable.WrapError("look at", filepath.Dir(kept), err)
	}
	directory, name := filepath.Split(kept)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), name+"-") {
			if _, err := removeUnlocked(directory + e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeUnlocked removes a hidden file of a process that has ended. One that is in use, or that is not ours, stays.
func removeUnlocked(path string) (removed bool, err error) {
	log, err := durable.OpenLog(path, false)
	if errors.Is(err, durable.ErrLocked) || errors.Is(err, durable.ErrNotOurs) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(log.Remove(), log.Close())
}

// Open opens the input at its first row.
func (in *input) Open() (*sources.Input, error) { return sources.Open(in.files, in.options) }

// Select is the rows of src that --limit and --sample choose. It needs preflight to have counted them.
func (in *input) Select(src pipeline.Source) pipeline.Source {
	if in.limit == 0 && in.sample == 0 {
		return src
	}
	return &selection{Source: src, in: in}
}

// selection is some rows of a source.
type selection struct {
	pipeline.Source
	in         *input
	seen, kept int64
}

// Next yields the next row that is selected. For a sample these are rows spread evenly: the i-th of n is row
// ⌊i·rows/n⌋ + 1, the same ones each time.
func (s *selection) Next(row *pipeline.Row) error {
	if s.kept == s.in.total {
		return io.EOF
	}
	for {
		if err := s.Source.Next(row); err != nil {
			return err
		}
		s.seen++
		if s.in.sample == 0 || s.seen == sampledRow(s.kept, s.in.rows, s.in.total)+1 {
			s.kept++
			return nil
		}
	}
}

// sampledRow is ⌊i·rows/n⌋ without overflow.
func sampledRow(i, rows, n int64) int64 { return i*(rows/n) + i*(rows%n)/n }

// findings is what preflight found.
type findings struct {
	columns     []sources.ColumnUse
	hasLocation bool
	carry       []pipeline.Column
	bad         map[pipeline.Kind]int64 // rows that will fail, whatever the API says
	first       firstFailure            // of these
	ids         damagedIDs
	ragged      countedRows // rows that --ragged pad takes
	unseen      []string    // columns that the options name and no row has

	failedRun  string                  // whose error records the input is; "": it is not any run's
	failedWith map[pipeline.Kind]int64 // how the users failed there
}

// completes is the run that a run of this input completes; nil if the input is not error records.
func (f *findings) completes() *snapshot.Completes {
	if f.failedRun == "" {
		return nil
	}
	return &snapshot.Completes{RunID: f.failedRun, FailedByKind: f.failedWith}
}

// badRows is how many rows will fail, whatever the API says, and why.
func (f *findings) badRows() (n int64, why string) {
	for _, bad := range f.bad {
		n += bad
	}
	return n, describeFailures(f.bad, &f.first)
}

// preflight reads the whole input once, before anything is sent: it counts the rows, and ends with an error if they
// cannot be read.
//
// look and each, if not nil, see every row that will be evaluated. look is called from the goroutines that decode the
// input, in no order, and mostly without the number of the row; each is called in order.
func (in *input) preflight(ctx context.Context, look, each func(*pipeline.Row)) (*findings, error) {
	src, err := in.Open()
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // only read
	if in.limit == 0 && in.sample == 0 && each == nil {
		src.Inspect(look)
		look = nil
	}
	found := &findings{bad: map[pipeline.Kind]int64{}, failedWith: map[pipeline.Kind]int64{}, ids: damagedIDs{}}
	rows := make([]int64, len(in.files))
	var row pipeline.Row
	for in.limit == 0 || in.rows < in.limit {
		if in.rows%256 == 0 {
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
		}
		if err := src.Next(&row); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		in.rows++
		rows[src.FileIndex()]++
		if in.sample > 0 {
			continue
		}
		found.inspectRow(src, &row, look, each)
	}
	sums, err := src.ReadRest()
	if err != nil {
		return nil, err
	}
	for i, sum := range sums {
		file := snapshot.File{Path: in.files[i].String(), Rows: rows[i], Bytes: sum.Bytes, SHA256: sum.SHA256}
		if in.options.Parts != nil {
			part := in.options.Parts[i]
			file.Path, file.Rows = in.files[part.File].String(), rows[part.File]
			if file.Part, err = in.describePart(i, file.Rows, sum); err != nil {
				return nil, err
			}
		}
		in.report = append(in.report, file)
	}
	in.total = in.rows
	if in.sample > 0 && in.sample < in.rows {
		in.total = in.sample
	}
	if in.sample > 0 { // which rows are in the sample is known only now
		if err := in.eachSampled(ctx, func(src *sources.Input, row *pipeline.Row) {
			found.inspectRow(src, row, look, each)
		}); err != nil {
			return nil, err
		}
	}
	found.columns, found.hasLocation, found.carry, found.unseen = src.Columns(), src.HasLocation(), src.Carry(),
		src.MissingColumns()
	found.failedRun = src.FailedRun()
	return found, nil
}

func (f *findings) inspectRow(src *sources.Input, row *pipeline.Row, calls ...func(*pipeline.Row)) {
	if row.Err != nil {
		f.bad[row.Err.Kind]++
	}
	f.first.record(row.Number, row.Err)
	if row.FailedWith != "" {
		f.failedWith[row.FailedWith]++
	}
	f.ids.countRow(src.DamagedIDs(), row)
	if src.Ragged() {
		f.ragged.count(row)
	}
	for _, call := range calls {
		if call != nil {
			call(row)
		}
	}
}

func (in *input) eachSampled(ctx context.Context, each func(*sources.Input, *pipeline.Row)) error {
	src, err := in.Open()
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only read
	chosen := in.Select(src)
	var row pipeline.Row
	for {
		if err := chosen.Next(&row); errors.Is(err, io.EOF) {
			_, err := src.ReadRest()
			return err
		} else if err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		each(src, &row)
	}
}

// contextReader is a reader that ends with its context.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
