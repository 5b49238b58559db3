package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// readsStores are the commands whose arguments may be URLs of stores.
var readsStores = map[string]bool{"snapshot": true, "verify": true, "report": true, "check": true, "diff": true,
	"load": true, "explain": true, "clean": true, "plan": true, "merge": true}

// storedOptions are the options whose values may be such URLs, for the commands that have them.
var storedOptions = map[string]bool{"flag-configs": true, "flags-from": true, "config": true, "cohorts": true,
	"cohort": true, "html": true, "save": true, "missing": true, "errors": true, "summary": true,
	"manifest": true, "latest": true, "plan": true}

// writesStores are the commands whose --out may be such a URL.
var writesStores = map[string]bool{"snapshot": true, "diff": true, "plan": true, "merge": true}

// keyOptions name files with keys. A bucket is no place for those: many may read it, and it has copies and logs.
var keyOptions = map[string]bool{"key-file": true, "api-key-file": true, "secret-key-file": true}

// pathOption is how the help of an option begins that names files or a directory.
var pathOption = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("^`(NAME=)?(FILE|DIR)[`|]") })

// checkPathNames refuses paths, given as arguments or options, that cannot be read or written: URLs, but for those of
// stores that the command reads, and paths that begin with a ~ which the shell has not replaced.
func checkPathNames(cmd *cobra.Command, stores *blob.Stores) error {
	for _, arg := range cmd.Flags().Args() {
		if stores.Knows(arg) && readsStores[cmd.Name()] {
			continue
		}
		if err := checkPathName("INPUT", arg, false); err != nil {
			return err
		}
	}
	var err error
	cmd.Flags().VisitAll(func(o *pflag.Flag) {
		if err != nil || !o.Changed || !pathOption().MatchString(o.Usage) {
			return
		}
		paths := []string{o.Value.String()}
		if list, ok := o.Value.(pflag.SliceValue); ok {
			paths = list.GetSlice()
		}
		for _, path := range paths {
			if o.Name == "cohort" {
				_, path, _ = strings.Cut(path, "=")
			}
			if stores.Knows(path) && (storedOptions[o.Name] || o.Name == "out" && writesStores[cmd.Name()]) {
				continue
			}
			if o.Name == "work-dir" && err == nil && blob.IsURL(path) {
				err = pipeline.WithHint(usageErrorf("--work-dir %s: it is a directory on this machine", text.Clean(path)),
					"without it, the journal of outputs in a store is beside them")
			}
			if err == nil {
				err = checkPathName("--"+o.Name, path, writtenPaths[o.Name])
			}
			if err != nil && keyOptions[o.Name] && blob.IsURL(path) {
				err = pipeline.WithHint(usageErrorf("--%s %s: keys are read from local files only", o.Name, text.Clean(path)),
					"mount the secret as a file, or pass the key in the environment: see `rollcall help environment`")
			}
		}
	})
	return err
}

// writtenPaths are the options that name files to write.
var writtenPaths = map[string]bool{"out": true, "errors": true, "summary": true, "manifest": true, "latest": true, "save": true, "html": true,
	"missing": true, "metrics": true}

// storePattern is a path that is a URL.
var storePattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]+)://`)
})

// copyCommands are the commands that copy a file from or to where a URL points.
var copyCommands = map[string]string{
	"s3": "aws s3 cp", "s3a": "aws s3 cp", "gs": "gcloud storage cp", "az": "azcopy copy", "abfs": "azcopy copy",
	"abfss": "azcopy copy",
	"wasbs": "azcopy copy", "hdfs": "hdfs dfs -cp",
}

// checkPathName refuses a path that is not one of this machine. what says where it was found.
func checkPathName(what, path string, written bool) error {
	if scheme := storePattern().FindStringSubmatch(path); scheme != nil {
		path := text.Clean(path)
		hint := "copy the file here first"
		copying, known := copyCommands[strings.ToLower(scheme[1])]
		switch {
		case strings.EqualFold(scheme[1], "file"):
			hint = "write the path alone: " + path[len(scheme[0]):]
		case written && known:
			hint = "name a local file, and copy it when the run has ended with 0:\n" + copying + " FILE " + path
		case written:
			hint = "name a local file, and copy it when the run has ended with 0"
		case known:
			hint = "copy it first:\n" + copying + " " + path + " ."
		case strings.HasPrefix(strings.ToLower(scheme[1]), "http"):
			hint = "download it first: curl -fO '" + path + "'"
		}
		only := "rollcall reads that from local files only"
		if written {
			only = "rollcall writes that to local files only"
		}
		return pipeline.WithHint(usageErrorf("%s %s: %s", what, path, only), hint)
	}
	first, rest, _ := strings.Cut(path, "/")
	if !strings.HasPrefix(first, "~") {
		return nil
	}
	if _, err := os.Lstat(first); err == nil { // a file or directory of that name
		return nil
	}
	if first != "~" && rest == "" {
		return nil // a name such as ~users.csv
	}
	path, first, rest = text.Clean(path), text.Clean(first), text.Clean(rest)
	hint := "only a shell replaces ~, and only at the start of a word: write the whole path"
	if home, err := os.UserHomeDir(); err == nil && first == "~" {
		hint += fmt.Sprintf(": %s/%s", home, rest)
	}
	return pipeline.WithHint(usageErrorf("%s %s: there is no directory %s", what, path, first), hint)
}
