package amplitude

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// CohortConfig is what a [CohortClient] needs.
type CohortConfig struct {
	BaseURL   string // as [CohortURL] returns it
	APIKey    Key    // of the project, and not a deployment's
	SecretKey Key
	MaxSize   int           // members of a cohort at most
	Timeout   time.Duration // without a byte of an answer
	MaxWait   time.Duration // for a cohort that is being made, or a server that is out
	Logger    *slog.Logger
	UserAgent string
}

// CohortClient downloads the members of cohorts.
type CohortClient struct {
	cfg    CohortConfig
	client *http.Client
}

// maxMemberBytes is how many bytes of an answer a member may take on average.
const maxMemberBytes = 256

// CohortURL returns the base URL of the cohorts of a server as --server names it.
func CohortURL(server string, allowHTTP bool) (string, error) {
	switch server {
	case "us":
		return "https://cohort-v2.lab.amplitude.com", nil
	case "eu":
		return "https://cohort-v2.lab.eu.amplitude.com", nil
	}
	return BaseURL(server, allowHTTP)
}

// NewCohortClient makes a client. It sends nothing.
func NewCohortClient(cfg CohortConfig) (*CohortClient, error) {
	to, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	t, err := newTransport(to, 1)
	if err != nil {
		return nil, err
	}
	t.DisableCompression = false // the transport unpacks the answer as it is read
	return &CohortClient{cfg: cfg, client: &http.Client{Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// Close closes idle connections.
func (c *CohortClient) Close() { c.client.CloseIdleConnections() }

// CohortError says that a cohort cannot be had.
type CohortError struct {
	ID     string
	Status int // 0: the server did not answer, or was not asked

	refused bool // it was not asked
	reason  string
}

func (e *CohortError) Error() string {
	return fmt.Sprintf("cohort %s: %s", e.ID, e.reason)
}

// Temporary reports whether the same request may be answered later.
func (e *CohortError) Temporary() bool {
	return e.Status == 0 && !e.refused || e.Status == http.StatusAccepted || e.Status == http.StatusTooManyRequests ||
		e.Status >= 500
}

// isCohortID reports whether the text can be the id of a cohort.
func isCohortID(id string) bool {
	return id != "" && len(id) <= 100 && !strings.ContainsFunc(id, func(r rune) bool {
		return !('A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	})
}

// Download writes a cohort's document to what open returns, which it calls for each answer, and of which the last counts. It writes nothing, and
// reports false, if the cohort is unchanged since lastModified (in milliseconds since 1970; 0: it is not known).
//
// A cohort that is being made (202), a refusal for now (429), a server's fault (5xx) and an answer that breaks off are
// tried again for as long as MaxWait; every other answer ends it with a [*CohortError].
func (c *CohortClient) Download(ctx context.Context, id string, lastModified int64,
	open func() (io.Writer, error)) (changed bool, err error) {
	if !isCohortID(id) { // it comes from a flag configuration, and becomes part of a URL and a file's name
		return false, &CohortError{ID: id, refused: true, reason: "its id is not one that Amplitude gives"}
	}
	query := url.Values{"maxCohortSize": {strconv.Itoa(c.cfg.MaxSize)}}
	if lastModified > 0 {
		query.Set("lastModified", strconv.FormatInt(lastModified, 10))
	}
	to := c.cfg.BaseURL + "/sdk/v1/cohort/" + id + "?" + query.Encode()
	deadline := time.Now().Add(c.cfg.MaxWait)
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		changed, r, err := c.downloadOnce(ctx, to, open)
		if err == nil {
			return changed, nil
		}
		failed, ok := errors.AsType[*CohortError](err)
		if !ok {
			return false, err
		}
		failed.ID = id
		if !failed.Temporary() {
			return false, c.explain(failed)
		}
		pause := wait/2 + rand.N(wait/2)
		if after, ok := parseRetryAfter(r, time.Now()); ok {
			pause = max(pause, after)
		}
		if time.Now().Add(pause).After(deadline) {
			return false, c.explain(failed)
		}
		c.cfg.Logger.Info("cohort "+id+" is not there yet", "reason", failed.reason, "again_in", pause.Round(time.Second))
		if err := sleep(ctx, pause, nil); err != nil {
			return false, err
		}
	}
}

// downloadOnce makes one attempt. A *CohortError may be worth another one, any other error is not.
func (c *CohortClient) downloadOnce(ctx context.Context, to string, open func() (io.Writer, error)) (changed bool,
	r result, err error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.cfg.Timeout, func() { cancel(errTimeout) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(within, http.MethodGet, to, nil)
	if err != nil {
		return false, r, err
	}
	req.SetBasicAuth(c.cfg.APIKey.Secret(), c.cfg.SecretKey.Secret())
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("X-Amp-Exp-Library", strings.ReplaceAll(c.cfg.UserAgent, " ", "-"))
	resp, err := c.client.Do(req)
	if ctx.Err() != nil {
		return false, r, context.Cause(ctx)
	}
	if err != nil {
		if context.Cause(within) == errTimeout {
			err = errTimeout
		}
		class, _ := classify(err, false)
		return false, r, &CohortError{reason: "no answer: " + class}
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	r.retryAfter, r.date = resp.Header.Get("Retry-After"), resp.Header.Get("Date")
	switch resp.StatusCode {
	case http.StatusNoContent:
		return false, r, nil
	case http.StatusOK:
	case http.StatusAccepted:
		return false, r, &CohortError{Status: resp.StatusCode, reason: "it is being made"}
	default:
		return false, r, &CohortError{Status: resp.StatusCode, reason: fmt.Sprintf("status %d", resp.StatusCode)}
	}
	w, err := open()
	if err != nil {
		return false, r, err
	}
	most := int64(c.cfg.MaxSize)*maxMemberBytes + 1<<20
	body := &sourceReader{r: resp.Body, progress: func() { silence.Reset(c.cfg.Timeout) }}
	n, err := io.Copy(w, io.LimitReader(body, most+1))
	switch {
	case ctx.Err() != nil:
		return false, r, context.Cause(ctx)
	case body.err != nil:
		return false, r, &CohortError{reason: "its answer broke off"}
	case err != nil:
		return false, r, err
	case n > most:
		return false, r, &CohortError{Status: http.StatusRequestEntityTooLarge, reason: fmt.Sprintf(
			"its answer is larger than %d MiB", most>>20)}
	}
	return true, r, nil
}

// sourceReader tells an error of reading from one of writing.
type sourceReader struct {
	r        io.Reader
	progress func() // called when something was read
	err      error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n > 0 {
		s.progress()
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// explain adds what to do about it.
func (c *CohortClient) explain(e *CohortError) error {
	hint := "run the same command again when the server answers"
	switch e.Status {
	case http.StatusAccepted:
		hint = "Amplitude is computing it: run the same command again later"
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "the project's API key and secret key are needed, not a deployment key; is --server the right region?"
	case http.StatusNotFound:
		hint = "is it archived, or of another project? --cohort ID=FILE gives its members from a file"
	case http.StatusRequestEntityTooLarge:
		hint = fmt.Sprintf("it has more than %d members: raise --max-cohort-size", c.cfg.MaxSize)
	}
	return pipeline.WithHint(e, hint)
}
