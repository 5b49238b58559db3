package snapshot

import (
	"context"
	"io"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// VerifyRetries checks runs that asked again about the failed users of another verified run: their users are among those
// who failed there, and all of them together are counted once. It adds a check to the verdict of each such run.
// named are the files as [Verify] got them, by verdict. What is wrong is in the verdicts: an error says that ctx has ended.
func VerifyRetries(ctx context.Context, verdicts []*Verdict, named [][]string) error {
	manifests := make([]*Manifest, len(verdicts))
	at := map[string]int{}
	for i, v := range verdicts {
		if m, err := ReadManifest(v.Manifest); err == nil {
			manifests[i] = m
			at[m.RunID] = i
		}
	}
	for i, retry := range manifests {
		if retry == nil || retry.Completes == nil {
			continue
		}
		failed, listed := at[retry.Completes.RunID]
		if !listed {
			continue
		}
		v := &verifier{ctx: ctx, verdict: verdicts[i], m: retry}
		c := v.check("retry", verdicts[i].Manifest)
		if _, err := CountOnce(manifests); err != nil {
			c.fail("%v", err)
		}
		v.retry(c, manifests[failed], lastPath(verdicts[failed].Manifest, manifests[failed], named[failed]), named[i])
		verdicts[i].OK = verdicts[i].OK && c.Status != StatusFailed
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// lastPath is where the error records of a run are.
func lastPath(manifest string, m *Manifest, named []string) string {
	files := Locate(manifest, m, named)
	if len(files) == 0 {
		return ""
	}
	return files[len(files)-1].Path
}

// retry makes sure that each row of the run is one of the error records of the other.
func (v *verifier) retry(c *Check, failed *Manifest, records string, named []string) {
	if n, most := v.m.Completes.Users(), failed.Users.Failed; n != v.m.Users.Read || n > most {
		c.fail("it read %d users, of whom %d had failed in run %s, which has %d failed users", v.m.Users.Read, n, failed.RunID, most)
	}
	files := Locate(v.verdict.Manifest, v.m, named)
	for i, f := range files {
		if f.Path == "" || records == "" {
			continue
		}
		if err := v.among(c, f.Path, i == len(files)-1, records); err != nil {
			c.fail("%v", err)
		}
	}
	c.Detail = text.Count(v.m.Users.Read, "user") + " of the " + text.Thousands(failed.Users.Failed) + " who failed in run " + failed.RunID + " asked again: " +
		text.Thousands(v.m.Users.Answered) + " answered, " + text.Thousands(v.m.Users.Failed) + " failed"
}

// among makes sure that each row of a file is one of the error records. Both are sorted by row number; where they are not,
// their own checks say so.
func (v *verifier) among(c *Check, path string, errors bool, records string) error {
	rows, err := openRows(path, v.m, errors)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // only read
	asked, err := openRows(records, nil, true)
	if err != nil {
		return err
	}
	defer asked.Close() //nolint:errcheck // only read
	known := int64(0)
	for n := 0; ; n++ {
		row, err := rows.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n%4096 == 0 && v.ctx.Err() != nil {
			return nil
		}
		for known < row {
			if known, err = asked.next(); err == io.EOF {
				c.failAs("row "+path, "row %d is in %s, and did not fail in the run that it completes", row, path)
				return nil
			} else if err != nil {
				return err
			}
		}
		if known != row {
			c.failAs("row "+path, "row %d is in %s, and did not fail in the run that it completes", row, path)
		}
	}
}

// rowNumbers reads the row numbers of an output or of error records.
type rowNumbers struct {
	*Reader
	u       User
	records bool
}

func openRows(path string, m *Manifest, errorRecords bool) (*rowNumbers, error) {
	if !errorRecords {
		r, err := OpenReader(path, Options{Manifest: m, NoIDs: true, NoPayloads: true, NoIncluded: true, NoCarried: true})
		return &rowNumbers{Reader: r}, err
	}
	f, err := openErrorRecords(path)
	if err != nil {
		return nil, err
	}
	return &rowNumbers{Reader: f.Reader, records: true}, nil
}

func (n *rowNumbers) next() (int64, error) {
	if !n.records {
		err := n.Next(&n.u)
		return n.u.Row, err
	}
	_, row, err := (&recordFile{n.Reader}).next()
	return row, err
}
