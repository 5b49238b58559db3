package amplitude

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// AuthError says that the API refused the key. It ends the run.
type AuthError struct {
	Status int
	Source string // where the key came from, as [Config.KeySource] has it; may be empty
}

// Error names the key's source, never the key.
func (e *AuthError) Error() string {
	from := ""
	if e.Source != "" {
		from = " from " + e.Source
	}
	return fmt.Sprintf("the API refused the deployment key%s: status %d", from, e.Status)
}

// OutageError says that the API was down, or kept us waiting, for longer than [Config.MaxOutage]. It ends the run,
// which can be resumed: no user was written off for it.
type OutageError struct {
	For    time.Duration
	Status int    // the last answer's; 0: none came
	Class  string // of the last failure without an answer: one of those of [Stats.TransportErrors]
}

// Error says for how long, and what was seen last.
func (e *OutageError) Error() string {
	last := e.Class
	if e.Status != 0 {
		last = fmt.Sprintf("status %d", e.Status)
	}
	return fmt.Sprintf("the API has not answered for %v (last: %s)", e.For.Round(time.Second), last)
}

// RedirectError says that the server wanted to send us elsewhere. It ends the run: following would carry the key
// along.
type RedirectError struct {
	Status int
	To     string // scheme and host alone; empty if the server did not say
}

// Error says where to.
func (e *RedirectError) Error() string {
	to := ""
	if e.To != "" {
		to = " to " + e.To
	}
	return fmt.Sprintf("the server redirects%s (status %d); redirects are not followed, the key would go along", to, e.Status)
}

// ServerError says that what is at the base URL is not the Evaluation API. It ends the run.
type ServerError struct {
	Status int
	Path   string
}

// Error says what was answered.
func (e *ServerError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the server answered %s with status %d %s", e.Path, e.Status, http.StatusText(e.Status)))
}

// ConnectError says that the server cannot be reached in a way that waiting does not mend: no such host, or a
// certificate that does not hold. It ends the run.
type ConnectError struct {
	Class string // "dns" or "tls"
	Err   error
}

// Error says why.
func (e *ConnectError) Error() string {
	if e.Class == "dns" {
		return "cannot find the server: " + e.Err.Error()
	}
	return "cannot trust the server: " + e.Err.Error()
}

// Unwrap is the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// TrackingError says that the server is one that records an assignment for every user it is asked about, whatever
// the no-track headers say.
type TrackingError struct{}

// Error says how it is known.
func (*TrackingError) Error() string {
	return "the server answers GET /status as Amplitude's self-hosted proxy does, which ignores no-track and records an assignment for every user"
}

var (
	// errTimeout is the cause with which an attempt is cancelled when its time is over.
	errTimeout = errors.New("the attempt took too long")
	// errResend is the cause with which net/http's own second try is cancelled.
	errResend = errors.New("the connection broke")
	// errUnasked ends a connection on which more came than was asked for.
	errUnasked = errors.New("an answer that nobody asked for")
	// errHeader ends a connection whose answer begins with more than maxHeader bytes of headers.
	errHeader = errors.New("the header of the answer is too long")
)

// classify sorts a failure of the RoundTripper or of reading a body into a class. A non-nil fatal says that
// trying again does not help; before says that no answer ever came.
func classify(err error, before bool) (class string, fatal error) {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // url.Error's text has the URL, and the URL the user's id
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "dns", pipeline.WithHint(&ConnectError{"dns", dns}, "is --server spelled right?")
		}
		return "dns", nil
	}
	if cert := certificateError(err); cert != nil {
		return "tls", pipeline.WithHint(&ConnectError{"tls", cert}, "is --server spelled right, and does a proxy of your network stand in between? SSL_CERT_FILE names further certificates to trust")
	}
	if isTLS(err) {
		if before {
			return "tls", pipeline.WithHint(&ConnectError{"tls", err}, "does --server speak https, with TLS 1.2 or later?")
		}
		return "tls", nil // it worked before: a connection that was garbled
	}
	var ne net.Error
	text := err.Error()
	switch {
	case errors.Is(err, errTimeout), errors.As(err, &ne) && ne.Timeout():
		return "timeout", nil
	case errors.Is(err, errResend), errors.Is(err, errUnasked), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "dropped", nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused", nil
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return "reset", nil
	case strings.HasPrefix(text, "http2:"), strings.HasPrefix(text, "stream error:"), strings.HasPrefix(text, "connection error:"):
		return "http2", nil // the bundled types are not exported
	case errors.Is(err, errHeader), strings.Contains(text, "response headers exceeded"), strings.Contains(text, "header list"):
		return "header", nil
	case strings.Contains(text, "server closed"):
		return "dropped", nil
	}
	return "other", nil
}

func certificateError(err error) error {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return e
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return e
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return e
	}
	return nil
}

// isTLS reports an error of the TLS layer: a server that speaks something else, or an alert, which crypto/tls
// hands out as a net.OpError of its own.
func isTLS(err error) bool {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	return strings.HasPrefix(err.Error(), "tls: ")
}
