package main

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/report"
	"github.com/rollcall-cli/rollcall/pipeline/report/exposure"
	"github.com/rollcall-cli/rollcall/pipeline/report/page"
)

// pageOptions say where the HTML page of a report goes.
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
func (o *pageOptions) write(r *exposure.Report, configs *report.File) error {
	if o.file == "" {
		return nil
	}
	var read []string // by now it is known which outputs a manifest led to
	for i := range r.Snapshots {
		read = append(read, r.Snapshots[i].Path, r.Snapshots[i].Manifest)
	}
	if err := o.check(read...); err != nil {
		return err
	}
	data, err := page.HTML(r, page.Origin{Made: clock(), Version: version(), Files: reportedFiles(r, configs)})
	if err != nil {
		return err
	}
	return durable.WriteFile(o.file, data)
}

// reportedFiles are the files that a report was made of, with the checksums that the manifests have: the users that were
// asked for, and the outputs that were read.
func reportedFiles(r *exposure.Report, configs *report.File) []report.File {
	var files []report.File
	for i := range r.Snapshots {
		s := &r.Snapshots[i]
		output := report.File{Path: s.Path}
		if m, err := report.ReadManifest(s.Manifest); s.Manifest != "" && err == nil {
			files = append(files, m.Inputs...)
			for _, l := range report.Locate(s.Manifest, m, []string{s.Path}) {
				located, err := os.Stat(l.Path)
				if read, readErr := os.Stat(s.Path); err == nil && readErr == nil && os.SameFile(located, read) {
					output.SHA256 = l.File.SHA256
				}
			}
		}
		files = append(files, output)
	}
	if configs != nil {
		files = append(files, *configs)
	}
	return files
}
