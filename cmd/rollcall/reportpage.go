package main

import (
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline/audit/diff"
	"github.com/rollcall-cli/rollcall/pipeline/audit/page"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// pageOptions say where the HTML page of a report or a diff goes.
type pageOptions struct {
	file      string
	overwrite bool
}

func (o *pageOptions) define(options *pflag.FlagSet) {
	options.StringVar(&o.file, "html", "", "`FILE` write the report as one HTML page, too")
	options.BoolVar(&o.overwrite, "overwrite", false, "replace an existing page")
}

// check refuses, before anything is read, to replace a file: one of those that are read always, any other one without
// --overwrite.
func (o *pageOptions) check(read ...string) error {
	if o.file == "" {
		return nil
	}
	exists, err := durable.Exists(o.file)
	if err != nil || !exists {
		return err
	}
	out, err := os.Stat(o.file)
	for _, path := range read {
		if in, inErr := os.Stat(path); err == nil && inErr == nil && os.SameFile(in, out) {
			return usageErrorf("--html %s is read, and would be replaced", o.file)
		}
	}
	if !o.overwrite {
		return errExists(o.file)
	}
	return nil
}

// write writes the page of a report.
func (o *pageOptions) write(r *report.Report, configs *snapshot.File) error {
	var read []snapshotFile
	for i := range r.Snapshots {
		read = append(read, snapshotFile{r.Snapshots[i].Path, r.Snapshots[i].Manifest})
	}
	return o.publish(read, configs, func(origin page.Origin) ([]byte, error) { return page.Report(r, origin) })
}

// writeDiff writes the page of a diff.
func (o *pageOptions) writeDiff(r *diff.Report) error {
	read := []snapshotFile{{r.Before.Path, r.Before.Manifest}, {r.After.Path, r.After.Manifest}}
	return o.publish(read, nil, func(origin page.Origin) ([]byte, error) { return page.Diff(r, origin) })
}

// snapshotFile is an output that was read, and its manifest; "" is none.
type snapshotFile struct{ path, manifest string }

func (o *pageOptions) publish(read []snapshotFile, configs *snapshot.File, render func(page.Origin) ([]byte, error)) error {
	if o.file == "" {
		return nil
	}
	for _, s := range read { // by now it is known which outputs a manifest led to
		if err := o.check(s.path, s.manifest); err != nil {
			return err
		}
	}
	data, err := render(page.Origin{Made: clock(), Version: version(), Files: originFiles(read, configs)})
	if err != nil {
		return err
	}
	return durable.WriteFile(o.file, data)
}

// originFiles are the files that a page was made of, with the checksums that the manifests have: the users that were asked
// for, and the outputs that were read.
func originFiles(read []snapshotFile, configs *snapshot.File) []snapshot.File {
	var files []snapshot.File
	add := func(f snapshot.File) {
		if !slices.ContainsFunc(files, func(o snapshot.File) bool { return o.Path == f.Path && o.SHA256 == f.SHA256 }) {
			files = append(files, f)
		}
	}
	for _, s := range read {
		output := snapshot.File{Path: s.path}
		if m, err := snapshot.ReadManifest(s.manifest); s.manifest != "" && err == nil {
			for _, in := range m.Inputs {
				add(in)
			}
			for _, l := range snapshot.Locate(s.manifest, m, []string{s.path}) {
				located, err := os.Stat(l.Path)
				if is, isErr := os.Stat(s.path); err == nil && isErr == nil && os.SameFile(located, is) {
					output.SHA256 = l.File.SHA256
				}
			}
		}
		add(output)
	}
	if configs != nil {
		add(*configs)
	}
	return files
}
