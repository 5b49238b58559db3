package snapshot

import (
	"context"
	"io"
	"iter"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// VerifyRetries checks runs that asked again about the failed users of another verified run: their users are among
// those who failed there, and all of them together are counted once. It adds a check to the verdict of each such run.
// named are the files that [Verify] got, by verdict. What is wrong is in the verdicts: an error means that ctx has
// ended.
func VerifyRetries(ctx context.Context, files *blob.Files, verdicts []*Verdict, named [][]string) error {
	manifests := make([]*Manifest, len(verdicts))
	byRun := map[string]int{}
	for i, v := range verdicts {
		if m, err := ReadManifest(files, v.Manifest); err == nil {
			manifests[i] = m
			byRun[m.RunID] = i
		}
	}
	for i, retry := range manifests {
		if retry == nil || retry.Completes == nil {
			continue
		}
		failed, listed := byRun[retry.Completes.RunID]
		if !listed {
			continue
		}
		v := &verifier{ctx: ctx, files: files, verdict: verdicts[i], m: retry}
		c := v.newCheck("retry", verdicts[i].Manifest)
		for _, other := range manifests[:i] {
			if other != nil && other.Completes != nil && other.Completes.RunID == retry.Completes.RunID {
				c.fail(RetriedTwice, "runs %s and %s both asked again about the failed users of run %s", other.RunID, retry.RunID,
					retry.Completes.RunID)
			}
		}
		if _, err := countPair(manifests[failed], retry); err != nil {
			c.fail(Unreadable, "%v", err)
		}
		records := ""
		if outputs := Locate(files, verdicts[failed].Manifest, manifests[failed], named[failed]); len(outputs) > 0 {
			records = outputs[len(outputs)-1].Path
		}
		v.checkRetry(c, manifests[failed], records, named[i])
		verdicts[i].OK = verdicts[i].OK && c.Status != StatusFailed
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return files.Err()
}

// countPair is [CountOnce] of a run and its retry, whatever run the former completes.
func countPair(failed, retry *Manifest) ([]Users, error) {
	base := *failed
	base.Completes = nil
	return CountOnce([]*Manifest{&base, retry})
}

// checkRetry makes sure that each row of the run is one of the error records of the other.
func (v *verifier) checkRetry(c *Check, failed *Manifest, records string, named []string) {
	if n, most := v.m.Completes.Users(), failed.Users.Failed; n != v.m.Users.Read || n > most {
		c.fail(NotFailed, "it read %d users, of whom %d had failed in run %s, which has %d failed users", v.m.Users.Read, n,
			failed.RunID, most)
	}
	files := Locate(v.files, v.verdict.Manifest, v.m, named)
	for i, f := range files {
		if f.Path == "" || records == "" {
			continue
		}
		rows := userRows(v.files, f.Path, v.m)
		if i == len(files)-1 {
			rows = recordRows(v.files, f.Path)
		}
		if err := v.checkAmong(c, f.Path, rows, recordRows(v.files, records)); err != nil {
			c.fail(Unreadable, "%v", err)
		}
	}
	c.Detail = text.Count(v.m.Users.Read, "user") + " of the " + text.Thousands(failed.Users.Failed) +
		" who failed in run " + failed.RunID +
		" asked again: " + text.Thousands(v.m.Users.Answered) + " answered, " + text.Thousands(v.m.Users.Failed) + " failed"
}

// checkAmong makes sure that each row of a file is one of those that failed. Both are sorted; if they are not, their
// own checks find that.
func (v *verifier) checkAmong(c *Check, path string, rows, failed iter.Seq2[int64, error]) error {
	nextFailed, stop := iter.Pull2(failed)
	defer stop()
	n, known, more := 0, int64(0), true
	for row, err := range rows {
		if n++; err != nil || n%4096 == 0 && v.ctx.Err() != nil {
			return err
		}
		for known < row && more {
			if known, err, more = nextFailed(); err != nil {
				return err
			}
		}
		if known != row {
			c.failAs("row "+path, NotFailed, "row %d is in %s, and did not fail in the run that it completes", row, path)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// userRows are the row numbers of an output.
func userRows(files *blob.Files, path string, m *Manifest) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		r, err := OpenReader(files, path, Options{Manifest: m, NoIDs: true, NoPayloads: true, NoIncluded: true,
			NoCarried: true})
		if err != nil {
			yield(0, err)
			return
		}
		defer r.Close() //nolint:errcheck // only read
		var u User
		for {
			if err := r.Next(&u); err == io.EOF || !yield(u.Row, err) || err != nil {
				return
			}
		}
	}
}

// recordRows are the row numbers of error records.
func recordRows(files *blob.Files, path string) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		f, err := openErrorRecords(files, path)
		if err != nil {
			yield(0, err)
			return
		}
		defer f.Close() //nolint:errcheck // only read
		for {
			_, row, err := f.next()
			if err == io.EOF || !yield(row, err) || err != nil {
				return
			}
		}
	}
}
