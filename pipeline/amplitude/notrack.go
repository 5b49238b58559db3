package amplitude

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// NoTrack says whether a server honours the no-track headers, as far as that is known. The values are those of the
// manifest.
type NoTrack string

// The values of NoTrack.
const (
	Honoured NoTrack = "honoured" // a documented host, or a server that has a path which the self-hosted proxy lacks
	Local    NoTrack = "local"    // a server on this machine that is not recognized as the proxy
	Unproven NoTrack = "unproven" // no answer decides
	Ignored  NoTrack = "ignored"  // Amplitude's self-hosted proxy, which records an assignment for every user
)

// Tracking is the result of [Client.Preflight].
type Tracking struct {
	NoTrack NoTrack
	Seen    string // the answers on which it is based; "": nothing was asked
}

// preflightTime is the default of Config.PreflightTime.
const preflightTime = 5 * time.Second

// documentedHosts honour no-track. What they answer to other paths than the documented ones is not known, so nothing
// that they answer there may decide about them: they are not asked.
var documentedHosts = []string{"api.lab.amplitude.com", "api.lab.eu.amplitude.com"}

// sign is a request that tells Amplitude's self-hosted proxy from its API, and its answer.
type sign struct {
	call *call
	path string
	r    result
	text string
}

// isFinal reports whether there is an answer, and another request would not change it.
func (s *sign) isFinal() bool {
	return s.r.status != 0 && s.r.status < 500 && s.r.status != http.StatusTooManyRequests &&
		s.r.bad != errTruncated.Error()
}

// isGood reports whether the path gave the answer that it is for.
func (s *sign) isGood() bool { return s.r.status == http.StatusOK && s.r.bad == "" }

func (s *sign) describe() string {
	text := "GET " + s.path + ": "
	switch {
	case s.r.status == 0 && s.r.class == "":
		return text + "not asked"
	case s.r.bad != "":
		return text + s.r.bad
	}
	return text + s.r.describe()
}

// Preflight finds out whether the server honours the no-track headers. Amplitude's self-hosted proxy does not, and it
// answers GET /status with OK, and GET /sdk/v2/flags, but not GET /v1/flags. The first is asked without the key, the
// others with it, as /v1/vardata will be; they are only asked of servers that are not on this machine. posts says that
// users will be asked about by POST, too: to another path, which a gateway may pass on to another server than /v1, so
// what is known of /v1 does not prove that a server honours no-track there.
//
// An error ends the run. It is not an error if there is no answer within PreflightTime.
func (c *Client) Preflight(ctx context.Context, posts bool) (Tracking, error) {
	if c.Documented() {
		return Tracking{NoTrack: Honoured}, nil
	}
	a := &attempt{}
	local := isLoopback(c.vardata.url.Hostname())
	signs := []sign{{call: &c.status, path: "/status"}, {call: &c.flagsV1, path: "/v1/flags"},
		{call: &c.flagsV2, path: "/sdk/v2/flags"}}
	if local {
		signs = signs[:1]
	}
	left := min(c.preflightTime, c.circuit.maxOutage)
	for n := 0; ; n++ {
		for i := range signs {
			s := &signs[i]
			if s.isFinal() || left <= 0 {
				continue
			}
			if err := c.limiter.waitForToken(ctx, nil, 0, func() bool { return false }); err != nil {
				return Tracking{}, err
			}
			began := time.Now()
			if err := c.requestSign(ctx, a, s, min(left, c.preflightTime*2/5)); err != nil {
				return Tracking{}, err
			}
			left -= time.Since(began)
			if s.r.fatal != nil && c.known.isEmpty() { // else it is an outage, which Evaluate waits for
				return Tracking{}, s.r.fatal
			}
			if s.r.status == 0 && s.r.class != "timeout" {
				break // the others will not be answered either
			}
		}
		t, decided := judgeSigns(signs, local, posts)
		wait := probeFirst << min(n, 10)
		if decided || left <= wait {
			return t, nil
		}
		if err := sleep(ctx, wait, nil); err != nil {
			return Tracking{}, err
		}
		left -= wait
	}
}

// Documented reports whether the server is one of Amplitude's documented hosts, which honour no-track.
func (c *Client) Documented() bool {
	host := strings.TrimSuffix(c.vardata.url.Hostname(), ".")
	return slices.Contains(documentedHosts, strings.ToLower(host))
}

// requestSign makes the request of a sign. It returns an error only if ctx is done.
func (c *Client) requestSign(ctx context.Context, a *attempt, s *sign, most time.Duration) error {
	within, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	query := ""
	if s.call != &c.status {
		query = string(c.flagList)
	}
	r, err := c.send(within, a, request{call: s.call, query: query})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		r = result{class: "timeout"}
	}
	s.r, s.text = r, a.text
	return nil
}

// judgeSigns returns what the signs prove. decided reports that further answers would not change that.
func judgeSigns(signs []sign, local, posts bool) (t Tracking, decided bool) {
	var seen []string
	decided = true
	for i := range signs {
		seen = append(seen, signs[i].describe())
		decided = decided && signs[i].isFinal()
	}
	t = Tracking{NoTrack: Unproven, Seen: strings.Join(seen, ", ")}
	status := &signs[0]
	switch {
	case status.isGood() && strings.TrimSpace(status.text) == "OK":
		return Tracking{NoTrack: Ignored, Seen: "GET /status"}, true
	case local:
		if decided {
			t.NoTrack = Local
		}
		return t, decided
	}
	v1, v2 := &signs[1], &signs[2]
	switch {
	case v1.r.status == http.StatusNotFound && v2.isGood():
		return Tracking{NoTrack: Ignored, Seen: "GET /sdk/v2/flags, but not GET /v1/flags,"}, true
	case posts:
		t.Seen += "; none is about POST " + pathPost
	case v1.isGood():
		t.NoTrack = Honoured
	}
	return t, decided
}

// TrackingError says that the server is one that records an assignment for every user it is asked about, whatever
// the no-track headers say.
type TrackingError struct {
	Answers string // what it answers as such a server does
}

// Error says how it is known.
func (e *TrackingError) Error() string {
	return fmt.Sprintf("the server answers %s as Amplitude's self-hosted proxy does, which ignores no-track and "+
		"records an assignment for every user",
		e.Answers)
}
