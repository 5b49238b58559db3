package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

// Files that the user names are opened and read here. They may be pipes, as <(command) and /dev/stdin are: each is read
// once, from its beginning to its end. Opening a named pipe waits for whoever writes it, and no deadline ends that.

// await runs f, which may wait forever in the operating system, until it returns or ctx ends. Then f is abandoned:
// the process is about to end.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// openFile opens a file for reading.
func openFile(ctx context.Context, path string) (*os.File, error) {
	return await(ctx, func() (*os.File, error) { return os.Open(path) })
}

// readFile reads a file, which may have at most that many bytes.
func readFile(ctx context.Context, path string, most int64) ([]byte, error) {
	return await(ctx, func() (data []byte, err error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // only read
		return readMost(f, path, most)
	})
}

// readMost reads what r holds, if that is not more than that many bytes.
func readMost(r io.Reader, path string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		size := fmt.Sprintf("%d MiB", most>>20)
		if most < 1<<20 {
			size = fmt.Sprintf("%d bytes", most)
		}
		err = fmt.Errorf("%s is larger than %s", text.Clean(path), size)
	}
	return data, err
}

const (
	maxConfigBytes  = 256 << 20 // of a file of flag configurations
	maxOptionsBytes = 1 << 20   // of a --config file
	maxKeyBytes     = 4 << 10   // of a key file
)

// readStored is readFile for a file that may be in a store.
func readStored(ctx context.Context, stores *blob.Stores, path string, most int64) ([]byte, error) {
	if !stores.Knows(path) {
		return readFile(ctx, path, most)
	}
	o, err := stores.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return readMost(o.Section(0, o.Size()), path, most)
}

// newFiles returns where files are written that a command makes beside the outputs of a run.
func (e *env) newFiles(overwrite bool) *staging.Files {
	return staging.New(e.Hard, e.Stores, overwrite)
}

// writeFile writes a whole file, on this machine or in a store: it appears complete, or not at all. Only overwrite
// replaces one.
func (e *env) writeFile(path string, data []byte, overwrite bool) error {
	files := e.newFiles(overwrite)
	temp, err := files.WriteTemp(path, data)
	if err != nil {
		return err
	}
	return publishFile(files, temp.Name(), path, temp.Remove)
}

// publishFile gives a complete file its name. If that fails, remove removes it.
func publishFile(files *staging.Files, temp, path string, remove func() error) error {
	err := files.Publish(temp, path)
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		err = errExists(path)
	}
	return errors.Join(err, remove())
}

// readFlagConfigs reads a file of flag configurations, which may be in a store.
func readFlagConfigs(ctx context.Context, stores *blob.Stores, file string) ([]byte, error) {
	data, err := readStored(ctx, stores, file, maxConfigBytes)
	if err != nil {
		err = fmt.Errorf("read flag configurations: %w", err)
		if errors.Is(err, fs.ErrNotExist) {
			err = pipeline.WithHint(err, "`rollcall flags --save FILE` downloads them")
		}
	}
	return data, err
}
