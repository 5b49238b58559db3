package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

const (
	apiKeyVariable    = "AMPLITUDE_API_KEY"
	secretKeyVariable = "AMPLITUDE_SECRET_KEY"
)

// cohortsDir is where cohorts that were downloaded are kept; "" if nothing is kept beside the outputs.
func (o *snapshotOptions) cohortsDir() string {
	// A name with a date has the same directory every day: what is kept there is asked for once.
	given := *o
	given.outputNames = o.given
	if stem := given.manifestStem(); stem != "" {
		return fixedName(stem) + ".cohorts"
	}
	return ""
}

// fetchCohorts downloads the cohorts that the asked flags, and those that they depend on, name. Each becomes a file of
// OUT.cohorts, whole or not at all, and before the first user: a later run asks only for what has changed since. Which
// members the run used is said by the SHA-256 in its manifest.
func (s *snapshotRun) fetchCohorts(eng *engine.Engine) error {
	o := s.o
	if eng == nil {
		return pipeline.WithHint(usageErrorf("--cohorts fetch is for --evaluator local"),
			"the API knows the cohorts; for --carry, give their files")
	}
	dir := o.cohortsDir()
	if dir == "" {
		return pipeline.WithHint(usageErrorf("--cohorts fetch keeps the cohorts beside the output, and there is no file"),
			"name one with --out")
	}
	ids, names, err := o.cohortNames(eng)
	if err != nil {
		return err
	}
	o.cohorts.fetched = map[string]string{}
	if len(ids) == 0 || o.dryRun {
		return nil
	}
	client, err := o.newCohortClient(s.env, s.con)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return stopped(durable.WrapError("make", dir, err))
	}
	for _, id := range ids {
		path := filepath.Join(dir, id+".json")
		changed, err := downloadCohort(s.env.Soft, client, id, path)
		if failed, ok := errors.AsType[*amplitude.CohortError](err); ok && failed.Temporary() {
			return stopped(err)
		}
		if err != nil {
			return err
		}
		s.con.Log.Info("cohort "+text.Clean(id)+" is in "+text.Clean(path), "downloaded", changed)
		o.cohorts.fetched[names[id]] = path
	}
	return nil
}

// downloadCohort makes path the cohort as the server has it now. It reports whether that was not there yet.
func downloadCohort(ctx context.Context, client *amplitude.CohortClient, id, path string) (changed bool, err error) {
	old, err := cohort.ReadDocument(ctx, path)
	if err != nil || old.ID != id { // it is not there, or not whole
		old = cohort.Document{}
	}
	var temp *durable.Temp // of the last answer
	drop := func() error {
		if temp == nil {
			return nil
		}
		return errors.Join(temp.Close(), temp.Remove())
	}
	changed, err = client.Download(ctx, id, old.LastModified, func() (io.Writer, error) {
		err := drop()
		temp = nil
		if err == nil {
			temp, err = durable.CreateTemp(path, 0o600)
		}
		return temp, stopped(err)
	})
	if err != nil || !changed {
		return false, errors.Join(err, drop())
	}
	if err := durable.WrapError("write", path, errors.Join(temp.Sync(), temp.Close())); err != nil {
		return false, errors.Join(stopped(err), temp.Remove())
	}
	doc, err := cohort.ReadDocument(ctx, temp.Name())
	if err == nil && doc.ID != id {
		err = fmt.Errorf("it is cohort %q", doc.ID)
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("the server's answer for cohort %s: %w", id, err), temp.Remove())
	}
	if err := errors.Join(temp.Rename(), temp.SyncDir()); err != nil {
		return false, errors.Join(stopped(durable.WrapError("write", path, err)), temp.Remove())
	}
	return true, nil
}

// cohortNames returns the ids of the cohorts to download, and what each is called: --cohort-id says that of some. Those
// that a file gives are not downloaded.
func (o *snapshotOptions) cohortNames(eng *engine.Engine) (ids []string, names map[string]string, err error) {
	called, err := parsePairs("cohort-id", o.cohorts.ids)
	if err != nil {
		return nil, nil, err
	}
	given, err := parsePairs("cohort", o.cohorts.files)
	if err != nil {
		return nil, nil, err
	}
	names = map[string]string{}
	for name, id := range called {
		names[id] = name
	}
	for _, use := range eng.Cohorts(o.flags) {
		if names[use.ID] == "" {
			names[use.ID] = use.ID
		}
		if use.GroupType == "" && given[names[use.ID]] == "" && !slices.Contains(ids, use.ID) {
			ids = append(ids, use.ID)
		}
	}
	slices.Sort(ids)
	return ids, names, nil
}

func (o *snapshotOptions) newCohortClient(env *env, con *console) (*amplitude.CohortClient, error) {
	base, err := amplitude.CohortURL(o.server.server, o.server.allowHTTP)
	if err != nil {
		return nil, &exitError{err, exitUsage}
	}
	const where = "(Amplitude: Settings > Projects; these are the project's keys, not a deployment's)"
	apiKey, _, err := readKey(env, con, "API key", "api-key-file", o.cohorts.apiKeyFile, apiKeyVariable, "API key", where)
	if err != nil {
		return nil, err
	}
	secretKey, _, err := readKey(env, con, "secret key", "secret-key-file", o.cohorts.secretKey, secretKeyVariable,
		"secret key", where)
	if err != nil {
		return nil, err
	}
	return amplitude.NewCohortClient(amplitude.CohortConfig{BaseURL: base, APIKey: apiKey, SecretKey: secretKey,
		MaxSize: o.cohorts.maxSize, Timeout: max(o.server.timeout, time.Second), MaxWait: o.maxOutage, Logger: con.Log,
		UserAgent: "rollcall/" + version()})
}
