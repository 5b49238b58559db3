package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/diff"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sources"
)

// nowAt are the places where a file of a run may be now: where it was, where it was relative to the outputs, and beside
// the manifest.
func nowAt(run diff.Run, path string) []string {
	folder := filepath.Dir(run.Path)
	places := []string{path}
	if outs := run.Manifest.Outputs; len(outs) > 0 {
		if rel, err := filepath.Rel(filepath.Dir(outs[0].Path), path); err == nil {
			places = append(places, filepath.Join(folder, rel))
		}
	}
	return append(places, filepath.Join(folder, filepath.Base(path)))
}

// keptConfigs are the flag configurations of a run, if they are still what it evaluated.
func keptConfigs(ctx context.Context, run diff.Run) ([]byte, error) {
	want := run.Manifest.FlagConfigs
	found := ""
	for _, path := range nowAt(run, want.Path) {
		if !isRegular(path) {
			continue
		}
		data, err := readFlagConfigs(ctx, path)
		if err != nil {
			continue
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) == want.SHA256 {
			return data, nil
		}
		found = path
	}
	if found != "" {
		return nil, fmt.Errorf("%s is not what it was when the run read it", found)
	}
	return nil, fmt.Errorf("%s is not there any more", want.Path)
}

// causesOf opens the inputs of two runs, if they are still what the runs read.
func causesOf(ctx context.Context) func(before, after diff.Run) (func(bool) (diff.Replay, error), error) {
	return func(before, after diff.Run) (func(bool) (diff.Replay, error), error) {
		var inputs [2]*input
		var engines [2]*engine.Engine
		for i, run := range []diff.Run{before, after} {
			var err error
			if inputs[i], err = keptInput(ctx, run); err != nil {
				return nil, err
			}
			data, err := keptConfigs(ctx, run)
			if err != nil {
				return nil, err
			}
			if engines[i], err = engine.ParseLenient(data); err != nil {
				return nil, err
			}
		}
		return func(after bool) (diff.Replay, error) {
			own, other := 0, 1
			if after {
				own, other = 1, 0
			}
			src, err := inputs[own].Open()
			if err != nil {
				return nil, err
			}
			return &replay{src: src, own: engines[own].Plan(nil), other: engines[other].Plan(nil)}, nil
		}, nil
	}
}

// keptInput is the input of a run, read as the run did.
func keptInput(ctx context.Context, run diff.Run) (*input, error) {
	m := run.Manifest
	o := snapshotOptions{inputFormat: m.Options["input-format"], delimiter: m.Options["delimiter"], noHeader: m.Options["no-header"] == "true",
		trim: m.Options["trim"] == "true", ragged: m.Options["ragged"], mapping: m.List("map"), properties: m.List("properties"), types: m.List("types"), missing: m.Options["missing"]}
	if err := o.checkMapping(); err != nil {
		return nil, fmt.Errorf("%s: %w", run.Path, err)
	}
	in := &input{options: o.inputOptions()}
	for _, f := range m.Inputs {
		path, err := keptFile(ctx, run, f)
		if err != nil {
			return nil, err
		}
		in.files = append(in.files, sources.File{Path: path, Name: f.Path})
	}
	return in, nil
}

func keptFile(ctx context.Context, run diff.Run, f snapshot.File) (string, error) {
	found := ""
	for _, path := range slices.Compact(nowAt(run, f.Path)) {
		if !isRegular(path) {
			continue
		}
		sum, bytes, err := hashFile(ctx, path)
		if err != nil {
			continue
		}
		if bytes == f.Bytes && sum == f.SHA256 {
			return path, nil
		}
		found = path
	}
	if found != "" {
		return "", fmt.Errorf("the input %s is not what it was when the run read it", found)
	}
	return "", fmt.Errorf("the input %s is not there any more", f.Path)
}

// replay is a [diff.Replay] of an input.
type replay struct {
	src        pipeline.Source
	own, other *engine.Plan
	row        pipeline.Row
	buf        []*engine.Variant
	answers    [2][]pipeline.Variant
}

func (r *replay) Row(number int64) (own, other []pipeline.Variant, ok bool, err error) {
	for r.row.Number < number {
		if err := r.src.Next(&r.row); errors.Is(err, io.EOF) {
			return nil, nil, false, nil
		} else if err != nil {
			return nil, nil, false, err
		}
	}
	if r.row.Number != number || r.row.Err != nil {
		return nil, nil, false, nil
	}
	for i, plan := range []*engine.Plan{r.own, r.other} {
		r.buf = plan.Append(r.buf[:0], &r.row.User)
		r.answers[i] = r.answers[i][:0]
		for _, v := range r.buf {
			if v.Answered() {
				r.answers[i] = append(r.answers[i], v.Variant)
			}
		}
	}
	return r.answers[0], r.answers[1], true, nil
}

func (r *replay) Close() error { return r.src.Close() }
