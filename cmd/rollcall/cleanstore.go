package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
)

// What unfinished runs leave in stores: journals, leases and uploads.

// cleanStore removes what runs have left of an output with that URL, or in a directory.
func (c *cleaner) cleanStore(url string) error {
	if err := checkTemplate("OUT", url); err != nil {
		return err
	}
	url = fixedName(url)
	b, key, err := c.env.Stores.Bucket(c.env.Soft, url)
	if err != nil {
		return err
	}
	root := strings.TrimSuffix(url, key)
	if !strings.HasSuffix(root, "/") {
		root += "/"
	}
	output := strings.TrimSuffix(key, "/")
	directory := key == "" || strings.HasSuffix(key, "/")
	if !directory {
		for _, err := range blob.List(c.env.Soft, b, output+"/", false) {
			if err != nil {
				return err
			}
			directory = true
			break
		}
	}
	var found []journal.Found
	if output != "" { // there may be uploads of it without a journal
		dir, _ := path.Split(output)
		if found, err = journal.Find(c.env.Soft, b, dir); err != nil {
			return err
		}
		var own []journal.Found
		for _, name := range outputFamily(output)[:2] { // the others have no locks of their own: see sideUploads
			hidden := journal.PathFor(name)
			if i := slices.IndexFunc(found, func(f journal.Found) bool { return f.Key == hidden }); i >= 0 {
				own = append(own, found[i])
			} else {
				own = append(own, journal.Found{Key: hidden})
			}
		}
		found = own
	}
	if directory {
		below := output + "/"
		if output == "" {
			below = ""
		}
		more, err := journal.Find(c.env.Soft, b, below)
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	return c.cleanFound(b, root, found)
}

// outputFamily is an output and what is published with it under names that are made from its name.
func outputFamily(out string) []string {
	return []string{out, sinks.TrimFormat(out) + ".errors.jsonl", out + ".manifest.json", out + ".flags.json"}
}

// sideUploads are the names of the uploads that the lock of an output is for: its own, and those of the files that are
// published beside it and have no lock. The error records have one.
func sideUploads(out string) []string {
	return []string{out, out + ".manifest.json", out + ".flags.json", sinks.TrimFormat(out) + ".crosscheck.jsonl"}
}

// cleanFound removes what no run is using.
func (c *cleaner) cleanFound(b blob.Bucket, root string, found []journal.Found) error {
	found = slices.DeleteFunc(found, func(f journal.Found) bool { return f.Written.After(c.before) })
	var leases []string
	for _, f := range found {
		if f.Lease != "" {
			leases = append(leases, f.Lease)
		}
	}
	holder := journal.NewHolder(c.env.Soft, func(message string) { c.con.Log.Info(text.Clean(message)) })
	if len(leases) > 0 {
		c.con.Log.Info(fmt.Sprintf("waiting %v to see which of %s are alive", journal.LeaseTime,
			text.Count(int64(len(leases)), "run")))
	}
	alive, err := holder.Observe(b, leases)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range found {
		if f.Lease != "" && slices.Contains(alive, f.Lease) {
			c.con.Log.Info("a run is using " + text.Clean(root+f.Key))
			continue
		}
		place := &journal.InBucket{Holder: holder, Bucket: b, Key: f.Key, URL: root + f.Key}
		errs = append(errs, c.cleanPlace(place, root, &f))
	}
	if scheme, _, _ := strings.Cut(root, ":"); scheme != "s3" && !c.quiet {
		_, err := fmt.Fprintf(c.env.Stdout, "%s does not list uploads that nobody completes: it discards them after a week\n",
			text.Clean(root))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// cleanPlace removes a journal with its lease, and the uploads of its outputs.
func (c *cleaner) cleanPlace(place *journal.InBucket, root string, f *journal.Found) error {
	dir, name := path.Split(f.Key)
	output := dir + strings.TrimPrefix(strings.TrimSuffix(name, ".rollcall"), ".")
	names := sideUploads(output)
	if template, ok := templateOf(strings.TrimPrefix(output, dir)); ok && f.Journal {
		// The journal tells when the run began, and so what its outputs are called; if it cannot be read, whoever removes it
		// says what is wrong.
		if h, err := journal.HeaderIn(place); err == nil {
			if v := (nameValues{h.StartedAt, h.RunID}); v.check() == nil {
				names = append(names, outputFamily(dir+v.expand(template))...)
			}
		}
	}
	uploads, err := c.findUploads(place.Bucket, names)
	if err != nil {
		return err
	}
	if f.Objects == 0 && len(uploads) == 0 {
		return nil
	}
	abort := func() error {
		for _, p := range uploads {
			if err := place.Bucket.Abort(c.env.Soft, p); err != nil {
				return err
			}
		}
		return nil
	}
	if !c.dryRun {
		err := journal.ClearIn(place, abort)
		if errors.Is(err, journal.ErrLocked) {
			c.con.Log.Info("a run is using " + text.Clean(place.URL))
			return nil
		}
		if err != nil {
			return err
		}
	}
	var errs []error
	for _, p := range uploads {
		errs = append(errs, c.report("abort", "the upload of "+text.Clean(root+p.Key), "begun", p.Begun))
	}
	if f.Objects > 0 {
		errs = append(errs, c.report("remove", fmt.Sprintf("%s (%s, %s)", text.Clean(place.URL),
			text.Count(int64(f.Objects), "object"), formatBytes(f.Bytes)), "last written", f.Written))
	}
	return errors.Join(errs...)
}

// findUploads lists the uploads of outputs of these names, and of the files of outputs that are several.
func (c *cleaner) findUploads(b blob.Bucket, names []string) (uploads []blob.PendingUpload, err error) {
	var dirs []string
	for _, name := range names {
		dir, _ := path.Split(name)
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		for p, err := range b.Pending(c.env.Soft, dir) {
			if err != nil {
				return nil, err
			}
			ofOurs := slices.ContainsFunc(names, func(name string) bool {
				own, _ := path.Split(name)
				return own == dir && (p.Key == name || snapshot.IsPart(name, p.Key[len(dir):]))
			})
			if ofOurs && p.Begun.Before(c.before) {
				uploads = append(uploads, p)
			}
		}
	}
	return uploads, nil
}

// report says what was done, or would be.
func (c *cleaner) report(verb, what, did string, at time.Time) error {
	c.removed++
	if c.quiet {
		return nil
	}
	done := map[string]string{"abort": "aborted", "remove": "removed"}[verb]
	if c.dryRun {
		done = "would " + verb
	}
	_, err := fmt.Fprintf(c.env.Stdout, "%s %s, %s %s\n", done, what, did, at.Local().Format("2006-01-02 15:04"))
	return err
}

// findUnfinishedInStore lists the URLs of journals in the directory of a URL that nobody has written to for an hour.
func findUnfinishedInStore(env *env, url string) ([]string, error) {
	b, key, err := env.Stores.Bucket(env.Soft, url)
	if err != nil {
		return nil, err
	}
	found, err := journal.Find(env.Soft, b, key[:strings.LastIndex(key, "/")+1])
	if err != nil {
		return nil, err
	}
	var old []string
	for _, f := range found {
		if f.Journal && time.Since(f.Written) > settled {
			old = append(old, strings.TrimSuffix(url, key)+f.Key)
		}
	}
	return old, nil
}
